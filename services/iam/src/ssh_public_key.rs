//! SSH public keys of users.
//!
//! AWS: "Use IAM with CodeCommit", SSH keys: RSA of 2,048 bits and more, in OpenSSH's form or PEM.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use iam_api as api;
use iam_api::{
    DeleteSSHPublicKeyInput, DeleteSSHPublicKeyOutput, EncodingType, GetSSHPublicKeyInput,
    GetSSHPublicKeyOutput, ListSSHPublicKeysInput, ListSSHPublicKeysOutput, SSHPublicKeyMetadata,
    StatusType, UpdateSSHPublicKeyInput, UpdateSSHPublicKeyOutput, UploadSSHPublicKeyInput,
    UploadSSHPublicKeyOutput,
};
use md5::{Digest, Md5};
use store::ReadTx;

use crate::access::{self, holder, holder_id};
use crate::directory::unique_id;
use crate::entity::date;
use crate::error::{Error, Result};
use crate::store::{PublicKey, SSH_BY_HOLDER, SSH_KEYS, User};
use crate::{Ctx, listing, pem};

/// AWS: "IAM and AWS STS quotas", SSH public keys assigned to an IAM user.
pub(crate) const KEYS_MAX: usize = 5;

const INVALID: Error = Error::InvalidPublicKey("The SSH public key is not a valid RSA key.");

/// An RSA key, from the one line of OpenSSH.
struct SshRsa {
    blob: Vec<u8>,
    exponent: Vec<u8>,
    modulus: Vec<u8>,
}

impl SshRsa {
    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace();
        if words.next()? != "ssh-rsa" {
            return None;
        }
        let blob = STANDARD.decode(words.next()?).ok()?;
        let (kind, rest) = field(&blob)?;
        let (exponent, rest) = field(rest)?;
        let (modulus, rest) = field(rest)?;
        let plain = |number: &[u8]| number.strip_prefix(&[0]).unwrap_or(number).to_vec();
        let (exponent, modulus) = (plain(exponent), plain(modulus));
        let sound = kind == b"ssh-rsa" && rest.is_empty() && modulus.len() >= 256;
        sound.then_some(Self { exponent, modulus, blob: blob.clone() })
    }

    /// The MD5 fingerprint, as AWS shows it.
    fn fingerprint(&self) -> String {
        let hash = Md5::digest(&self.blob);
        hash.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
    }
}

/// A length of four bytes and as many bytes.
fn field(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

fn status(found: &PublicKey) -> StatusType {
    if found.active { StatusType::Active } else { StatusType::Inactive }
}

fn view(name: &str, found: &PublicKey, body: String) -> api::SSHPublicKey {
    api::SSHPublicKey {
        user_name: name.to_owned(),
        ssh_public_key_id: found.id.clone(),
        fingerprint: found.fingerprint.clone(),
        ssh_public_key_body: body,
        status: status(found),
        upload_date: Some(date(found.uploaded)),
    }
}

fn held(tx: &ReadTx<'_>, id: &str, holder: &str) -> Result<PublicKey> {
    let found = tx.get(&SSH_KEYS, id)?.filter(|found| found.holder == holder);
    found
        .ok_or_else(|| Error::NoSuchEntity(format!("The Public Key with id {id} cannot be found.")))
}

/// Adds a key to a user.
///
/// AWS: UploadSSHPublicKey.
///
/// # Errors
///
/// [`Error::InvalidPublicKey`], [`Error::DuplicateSshPublicKey`], [`Error::LimitExceeded`].
pub(crate) async fn upload_ssh_public_key(
    ctx: Ctx,
    input: UploadSSHPublicKeyInput,
) -> Result<UploadSSHPublicKeyOutput> {
    let user: User = access::existing(&ctx, "UploadSSHPublicKey", &input.user_name).await?;
    if input.ssh_public_key_body.contains("-----BEGIN") {
        return Err(Error::UnrecognizedPublicKeyEncoding("PEM"));
    }
    let key = SshRsa::parse(&input.ssh_public_key_body).ok_or(INVALID)?;
    let key = PublicKey {
        id: unique_id("APKA", ctx.random()),
        holder: user.id.clone(),
        body: input.ssh_public_key_body.trim().to_owned(),
        fingerprint: key.fingerprint(),
        active: true,
        uploaded: ctx.now(),
    };
    ctx.store
        .write(|tx| {
            let own = tx.find(&SSH_BY_HOLDER, key.holder.as_str())?;
            if own.iter().any(|other| other.fingerprint == key.fingerprint) {
                return Err(Error::DuplicateSshPublicKey(
                    "The SSH public key is already associated with the user.".to_owned(),
                ));
            }
            if own.len() >= KEYS_MAX {
                return Err(Error::quota("SSHPublicKeysPerUser", KEYS_MAX));
            }
            Ok(tx.put(&SSH_KEYS, &key)?)
        })
        .await?;
    let body = key.body.clone();
    Ok(UploadSSHPublicKeyOutput { ssh_public_key: Some(view(&user.name, &key, body)) })
}

/// A key of a user, in either form.
///
/// AWS: GetSSHPublicKey.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn get_ssh_public_key(
    ctx: Ctx,
    input: GetSSHPublicKeyInput,
) -> Result<GetSSHPublicKeyOutput> {
    let user: User = access::existing(&ctx, "GetSSHPublicKey", &input.user_name).await?;
    let key = ctx.store.read(|tx| held(tx, &input.ssh_public_key_id, &user.id)).await?;
    let body = match input.encoding {
        EncodingType::Ssh => key.body.clone(),
        EncodingType::Pem => {
            let rsa = SshRsa::parse(&key.body).ok_or(INVALID)?;
            let der = pem::rsa_spki(&rsa.modulus, &rsa.exponent);
            pem::armoured("PUBLIC KEY", &der)
        }
    };
    Ok(GetSSHPublicKeyOutput { ssh_public_key: Some(view(&user.name, &key, body)) })
}

/// The keys of a user, without their bodies.
///
/// AWS: ListSSHPublicKeys.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn list_ssh_public_keys(
    ctx: Ctx,
    input: ListSSHPublicKeysInput,
) -> Result<ListSSHPublicKeysOutput> {
    let user = holder(&ctx, "ListSSHPublicKeys", input.user_name.as_deref()).await?;
    let holder = holder_id(&ctx, user.as_ref());
    let own = ctx.store.read(|tx| tx.find(&SSH_BY_HOLDER, holder.as_str())).await?;
    let page =
        listing::page(own, input.marker.as_deref(), input.max_items, |found| found.id.clone())?;
    let name = user.map(|user| user.name).unwrap_or_default();
    let metadata = |found: PublicKey| SSHPublicKeyMetadata {
        user_name: name.clone(),
        status: status(&found),
        upload_date: date(found.uploaded),
        ssh_public_key_id: found.id,
    };
    Ok(ListSSHPublicKeysOutput {
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
        ssh_public_keys: page.items.into_iter().map(metadata).collect(),
    })
}

/// Switches a key on or off.
///
/// AWS: UpdateSSHPublicKey.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn update_ssh_public_key(
    ctx: Ctx,
    input: UpdateSSHPublicKeyInput,
) -> Result<UpdateSSHPublicKeyOutput> {
    let user: User = access::existing(&ctx, "UpdateSSHPublicKey", &input.user_name).await?;
    ctx.store
        .write(|tx| {
            let mut found = held(tx, &input.ssh_public_key_id, &user.id)?;
            found.active = input.status == StatusType::Active;
            Ok::<_, Error>(tx.put(&SSH_KEYS, &found)?)
        })
        .await?;
    Ok(UpdateSSHPublicKeyOutput {})
}

/// Takes a key from a user.
///
/// AWS: DeleteSSHPublicKey.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn delete_ssh_public_key(
    ctx: Ctx,
    input: DeleteSSHPublicKeyInput,
) -> Result<DeleteSSHPublicKeyOutput> {
    let user: User = access::existing(&ctx, "DeleteSSHPublicKey", &input.user_name).await?;
    ctx.store
        .write(|tx| {
            held(tx, &input.ssh_public_key_id, &user.id)?;
            tx.delete(&SSH_KEYS, &input.ssh_public_key_id)?;
            Ok::<_, Error>(())
        })
        .await?;
    Ok(DeleteSSHPublicKeyOutput {})
}
