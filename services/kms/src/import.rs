//! Key material that is brought along.
//!
//! AWS: "Importing key material for AWS KMS keys". What a client needs to wrap its material is
//! made anew for every request; the private half travels in the import token, sealed, so that
//! nothing is kept for imports that never come.

use std::time::Duration;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrapPadded};
use aws_lc_rs::rsa::{
    KeySize, OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepAlgorithm, OaepPrivateDecryptingKey,
    PrivateDecryptingKey,
};
use base::Timestamp;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kms_api::{
    AlgorithmSpec, DeleteImportedKeyMaterialInput, DeleteImportedKeyMaterialOutput,
    ExpirationModelType, GetParametersForImportInput, GetParametersForImportOutput,
    ImportKeyMaterialInput, ImportKeyMaterialOutput, ImportType, KeySpec, OriginType,
    WrappingKeySpec,
};
use serde::{Deserialize, Serialize};

use crate::Ctx;
use crate::error::{Error, Result};
use crate::key::{change, material, not_pending_deletion, own};
use crate::keyring::secret;
use crate::spec::{Family, family, imported_length};
use crate::store::{Key, Material, State};

/// How long an import token holds.
///
/// AWS: GetParametersForImport.
const VALID: Duration = Duration::from_secs(86_400);
/// The longest that imported material may be kept with an end.
///
/// AWS: ImportKeyMaterial, `ValidTo`.
const EXPIRES_MAX: Duration = Duration::from_secs(365 * 86_400);
const TOKEN_PLACE: &str = "kms import token";

/// What an import token says.
#[derive(Debug, Serialize, Deserialize)]
struct Token {
    key_arn: String,
    algorithm: String,
    /// The private half of the wrapping key, PKCS #8 in base64.
    private: String,
    valid_to: Timestamp,
}

/// Gives a key to wrap material with, and the token that goes with it.
///
/// AWS: GetParametersForImport.
///
/// # Errors
///
/// [`Error::UnsupportedOperation`] for a key whose material is AWS's, [`Error::NotFound`],
/// [`Error::InvalidState`].
pub(crate) async fn get_parameters_for_import(
    ctx: Ctx,
    input: GetParametersForImportInput,
) -> Result<GetParametersForImportOutput> {
    let opened = own(&ctx, &input.key_id).await?;
    not_pending_deletion(&opened.key)?;
    external(&opened.key)?;
    check_algorithm(&opened.key, input.wrapping_algorithm)?;
    let size = match input.wrapping_key_spec {
        WrappingKeySpec::Rsa2048 => KeySize::Rsa2048,
        WrappingKeySpec::Rsa3072 => KeySize::Rsa3072,
        WrappingKeySpec::Rsa4096 => KeySize::Rsa4096,
        WrappingKeySpec::Sm2 => {
            return Err(Error::UnsupportedOperation(
                "The wrapping key spec SM2 is not supported in this region.".to_owned(),
            ));
        }
    };
    let making = tokio::task::spawn_blocking(move || {
        let pair = PrivateDecryptingKey::generate(size)?;
        let private: Pkcs8V1Der<'_> = pair.as_der()?;
        let public: PublicKeyX509Der<'_> = pair.public_key().as_der()?;
        Ok::<_, Error>((private.as_ref().to_vec(), public.as_ref().to_vec()))
    });
    let (private, public) = making.await.map_err(kernel::ServiceError::internal)??;
    let valid_to = ctx.now() + VALID;
    let token = Token {
        key_arn: opened.key.arn.clone(),
        algorithm: input.wrapping_algorithm.to_string(),
        private: STANDARD.encode(private),
        valid_to,
    };
    let token = serde_json::to_vec(&token).map_err(kernel::ServiceError::internal)?;
    Ok(GetParametersForImportOutput {
        key_id: Some(opened.key.arn.clone()),
        import_token: Some(ctx.drivers.cipher.seal(TOKEN_PLACE, &token).into()),
        public_key: Some(public.into()),
        parameters_valid_to: Some(valid_to),
    })
}

fn external(key: &Key) -> Result<()> {
    if key.origin() == OriginType::External {
        return Ok(());
    }
    Err(Error::UnsupportedOperation(format!(
        "{} origin is {} which is not valid for this operation.",
        key.arn, key.origin
    )))
}

/// Private keys of pairs are too long for RSA alone.
fn check_algorithm(key: &Key, algorithm: AlgorithmSpec) -> Result<()> {
    let pair = !matches!(family(key.spec())?, Family::Symmetric | Family::Hmac);
    let fits = match algorithm {
        AlgorithmSpec::RsaAesKeyWrapSha1 | AlgorithmSpec::RsaAesKeyWrapSha256 => true,
        AlgorithmSpec::RsaesOaepSha1 | AlgorithmSpec::RsaesOaepSha256 => {
            !matches!(key.spec(), KeySpec::Rsa2048 | KeySpec::Rsa3072 | KeySpec::Rsa4096)
        }
        AlgorithmSpec::RsaesPkcs1V15 | AlgorithmSpec::Sm2pke => false,
    };
    if fits {
        return Ok(());
    }
    Err(Error::UnsupportedOperation(format!(
        "The wrapping algorithm {algorithm} is not valid for {} of the key spec {}.",
        if pair { "a key pair" } else { "a key" },
        key.spec
    )))
}

/// Takes the material that a client wrapped.
///
/// AWS: ImportKeyMaterial.
///
/// # Errors
///
/// [`Error::InvalidImportToken`], [`Error::ExpiredImportToken`], [`Error::InvalidCiphertext`],
/// [`Error::IncorrectKeyMaterial`], [`Error::UnsupportedOperation`], [`Error::InvalidState`].
pub(crate) async fn import_key_material(
    ctx: Ctx,
    input: ImportKeyMaterialInput,
) -> Result<ImportKeyMaterialOutput> {
    let opened = own(&ctx, &input.key_id).await?;
    not_pending_deletion(&opened.key)?;
    external(&opened.key)?;
    let token = ctx.drivers.cipher.open(TOKEN_PLACE, &input.import_token);
    let token = token.ok().and_then(|text| serde_json::from_slice::<Token>(&text).ok());
    let token = token.ok_or(Error::InvalidImportToken)?;
    if token.key_arn != opened.key.arn {
        return Err(Error::InvalidImportToken);
    }
    if token.valid_to <= ctx.now() {
        return Err(Error::ExpiredImportToken);
    }
    let valid_to = valid_to(&ctx, &input)?;
    let plain = unwrap(&token, &input.encrypted_key_material)?;
    let spec = opened.key.spec();
    if !imported_length(spec).contains(&plain.len()) || secret(&opened.key, &plain).is_none() {
        return Err(Error::IncorrectKeyMaterial(format!(
            "The key material in the request is not valid for a key of the key spec {spec}."
        )));
    }
    let mut id = String::new();
    let key = change(&ctx, &input.key_id, |key| {
        not_pending_deletion(key)?;
        place(&ctx, key, &input, &plain, valid_to)
    })
    .await?;
    let wanted = material(&ctx.drivers.cipher, &key.arn, 0, &plain).id;
    id.push_str(&wanted);
    let key_material_id = Some(id).filter(|_| spec == KeySpec::SymmetricDefault);
    Ok(ImportKeyMaterialOutput { key_id: Some(key.arn), key_material_id })
}

/// Puts the material where it belongs: a new generation, or the place of the same one.
fn place(
    ctx: &Ctx,
    key: &mut Key,
    input: &ImportKeyMaterialInput,
    plain: &[u8],
    valid_to: Option<Timestamp>,
) -> Result<()> {
    let last = key.materials.iter().map(|material| material.number).max().unwrap_or(0);
    let fresh = material(&ctx.drivers.cipher, &key.arn, last + 1, plain);
    if input.key_material_id.as_ref().is_some_and(|id| *id != fresh.id) {
        return Err(Error::IncorrectKeyMaterial(
            "The key material in the request does not have the given key material ID.".to_owned(),
        ));
    }
    let known = key.materials.iter().position(|material| material.id == fresh.id);
    match (known, input.import_type) {
        (Some(_), Some(ImportType::NewKeyMaterial)) => {
            return Err(Error::IncorrectKeyMaterial(format!(
                "The key material was imported into {} before.",
                key.arn
            )));
        }
        (Some(at), _) => {
            if let Some(known) = key.materials.get_mut(at) {
                let sealed =
                    crate::keyring::sealed(&ctx.drivers.cipher, &key.arn, known.number, plain);
                known.sealed = Some(sealed);
                known.valid_to = valid_to;
                known.description.clone_from(&input.key_material_description);
            }
        }
        (None, Some(ImportType::NewKeyMaterial)) | (None, None) if key.materials.is_empty() => {
            key.current = Some(fresh.number);
            key.materials.push(described(fresh, input, valid_to));
        }
        (None, Some(ImportType::NewKeyMaterial)) => {
            if key.spec() != KeySpec::SymmetricDefault {
                return Err(Error::UnsupportedOperation(format!(
                    "{} key spec is {}: it keeps the key material that it has.",
                    key.arn, key.spec
                )));
            }
            // What waited for a rotation gives way to what waits now.
            let current = key.current;
            key.materials.retain(|m| current.is_some_and(|current| m.number <= current));
            key.materials.push(described(fresh, input, valid_to));
        }
        (None, _) => {
            return Err(Error::IncorrectKeyMaterial(
                "The key material in the request is not identical to the key material that was \
                 imported into this KMS key before."
                    .to_owned(),
            ));
        }
    }
    settle(key);
    Ok(())
}

fn described(
    fresh: Material,
    input: &ImportKeyMaterialInput,
    valid_to: Option<Timestamp>,
) -> Material {
    Material { valid_to, description: input.key_material_description.clone(), ..fresh }
}

/// A key whose generations all have their material can be used.
fn settle(key: &mut Key) {
    let current = key.current;
    let whole = key
        .materials
        .iter()
        .filter(|m| current.is_some_and(|current| m.number <= current))
        .all(|m| m.sealed.is_some());
    match key.state {
        State::PendingImport if whole && current.is_some() => key.state = State::Enabled,
        State::Enabled | State::Disabled if !whole => key.state = State::PendingImport,
        State::Enabled | State::Disabled | State::PendingImport | State::PendingDeletion => {}
    }
}

fn valid_to(ctx: &Ctx, input: &ImportKeyMaterialInput) -> Result<Option<Timestamp>> {
    let model = input.expiration_model.unwrap_or(ExpirationModelType::KeyMaterialExpires);
    match (model, input.valid_to) {
        (ExpirationModelType::KeyMaterialDoesNotExpire, None) => Ok(None),
        (ExpirationModelType::KeyMaterialDoesNotExpire, Some(_)) => Err(Error::Validation(
            "ValidTo cannot be specified when ExpirationModel is KEY_MATERIAL_DOES_NOT_EXPIRE"
                .to_owned(),
        )),
        (ExpirationModelType::KeyMaterialExpires, Some(at))
            if at > ctx.now() && at <= ctx.now() + EXPIRES_MAX =>
        {
            Ok(Some(at))
        }
        (ExpirationModelType::KeyMaterialExpires, Some(_)) => Err(Error::Validation(
            "ValidTo must be in the future and at most 365 days away.".to_owned(),
        )),
        (ExpirationModelType::KeyMaterialExpires, None) => Err(Error::Validation(
            "A validTo date must be set if the ExpirationModel is KEY_MATERIAL_EXPIRES".to_owned(),
        )),
    }
}

fn unwrap(token: &Token, wrapped: &[u8]) -> Result<Vec<u8>> {
    let private = STANDARD.decode(&token.private).map_err(|_| Error::InvalidImportToken)?;
    let private =
        PrivateDecryptingKey::from_pkcs8(&private).map_err(|_| Error::InvalidImportToken)?;
    let bytes = private.key_size_bytes();
    let key = OaepPrivateDecryptingKey::new(private)?;
    let rsa = |algorithm: &'static OaepAlgorithm, wrapped: &[u8]| {
        let mut out = vec![0; key.min_output_size()];
        let plain = key.decrypt(algorithm, wrapped, &mut out, None);
        plain.map(|plain| plain.to_vec()).map_err(|_| Error::InvalidCiphertext)
    };
    let both = |algorithm: &'static OaepAlgorithm| {
        let (first, rest) = wrapped.split_at_checked(bytes).ok_or(Error::InvalidCiphertext)?;
        let kek = rsa(algorithm, first)?;
        let kek = AesKek::new(&AES_256, &kek).map_err(|_| Error::InvalidCiphertext)?;
        let mut out = vec![0; rest.len()];
        let plain = kek.unwrap_with_padding(rest, &mut out);
        plain.map(|plain| plain.to_vec()).map_err(|_| Error::InvalidCiphertext)
    };
    match token.algorithm.parse().map_err(|_| Error::InvalidImportToken)? {
        AlgorithmSpec::RsaesOaepSha1 => rsa(&OAEP_SHA1_MGF1SHA1, wrapped),
        AlgorithmSpec::RsaesOaepSha256 => rsa(&OAEP_SHA256_MGF1SHA256, wrapped),
        AlgorithmSpec::RsaAesKeyWrapSha1 => both(&OAEP_SHA1_MGF1SHA1),
        AlgorithmSpec::RsaAesKeyWrapSha256 => both(&OAEP_SHA256_MGF1SHA256),
        AlgorithmSpec::RsaesPkcs1V15 | AlgorithmSpec::Sm2pke => Err(Error::InvalidImportToken),
    }
}

/// Forgets imported material; the key cannot be used until the same is imported again.
///
/// AWS: DeleteImportedKeyMaterial.
///
/// # Errors
///
/// [`Error::NotFound`], [`Error::UnsupportedOperation`], [`Error::InvalidState`].
pub(crate) async fn delete_imported_key_material(
    ctx: Ctx,
    input: DeleteImportedKeyMaterialInput,
) -> Result<DeleteImportedKeyMaterialOutput> {
    let key = change(&ctx, &input.key_id, |key| {
        not_pending_deletion(key)?;
        external(key)?;
        let wanted = match &input.key_material_id {
            Some(id) => Some(id.clone()),
            None => key.current().map(|material| material.id.clone()),
        };
        let Some(wanted) = wanted else { return Ok(()) };
        let found = key.materials.iter_mut().find(|material| material.id == wanted);
        let found =
            found.ok_or_else(|| Error::NotFound(format!("Key material {wanted} is not found.")))?;
        found.sealed = None;
        found.valid_to = None;
        settle(key);
        Ok(())
    })
    .await?;
    let symmetric = key.spec() == KeySpec::SymmetricDefault;
    let current = || key.current().map(|material| material.id.clone());
    let key_material_id = input.key_material_id.or_else(current).filter(|_| symmetric);
    Ok(DeleteImportedKeyMaterialOutput { key_id: Some(key.arn), key_material_id })
}
