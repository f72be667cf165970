//! Grants: permissions for one principal that need no change of the key's policy.
//!
//! AWS: "Grants in AWS KMS". A grant holds as soon as it is made, so that grant tokens are only
//! checked: they name a grant of this region or the request is refused.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use kernel::paging;
use kms_api::{
    CreateGrantInput, CreateGrantOutput, GrantConstraints, GrantListEntry, GrantOperation, KeySpec,
    KeyUsageType, ListGrantsInput, ListGrantsOutput, ListRetirableGrantsInput,
    ListRetirableGrantsOutput, RetireGrantInput, RetireGrantOutput, RevokeGrantInput,
    RevokeGrantOutput,
};
use policy::{Kind, Policy, Principal};
use serde::{Deserialize, Serialize};
use store::Scope;

use crate::Ctx;
use crate::encrypt::dry;
use crate::error::{Error, Result};
use crate::key::{own, scope_of, usable};
use crate::keyring::Opened;
use crate::store::{GRANTS, Grant, KEYS};

/// AWS: "Resource quotas" (AWS KMS), grants per KMS key.
const GRANTS_MAX: usize = 50_000;
/// AWS: ListGrants, `Limit`.
const PAGE: i32 = 50;
const TOKEN_PLACE: &str = "kms grant token";

/// What a grant token says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Token {
    pub(crate) key_arn: String,
    pub(crate) grant_id: String,
}

/// Makes a grant.
///
/// AWS: CreateGrant.
///
/// # Errors
///
/// [`Error::NotFound`], [`Error::Disabled`], [`Error::InvalidState`], [`Error::InvalidArn`] for a
/// principal that is none, [`Error::Validation`] for operations that the key does not have,
/// [`Error::LimitExceeded`].
pub(crate) async fn create_grant(ctx: Ctx, input: CreateGrantInput) -> Result<CreateGrantOutput> {
    check_tokens(&ctx, &input.grant_tokens)?;
    let opened = own(&ctx, &input.key_id).await?;
    usable(&opened.key)?;
    let grantee = one_principal(
        input.grantee_principal.as_deref(),
        input.grantee_service_principal.as_deref(),
        "grantee",
    )?;
    let grantee =
        grantee.ok_or_else(|| Error::Validation("A grant needs a GranteePrincipal.".to_owned()))?;
    let retiring = one_principal(
        input.retiring_principal.as_deref(),
        input.retiring_service_principal.as_deref(),
        "retiring",
    )?;
    check_operations(&opened, &input.operations)?;
    let (context_equals, context_subset) = constraints(&opened, input.constraints)?;
    let mut grant = Grant {
        key_id: opened.key.id.clone(),
        id: String::new(),
        name: input.name,
        grantee,
        retiring,
        issuer: ctx.account.to_string(),
        operations: input.operations.iter().map(|operation| operation.to_string()).collect(),
        context_equals,
        context_subset,
        created: ctx.now(),
    };
    dry(input.dry_run)?;
    if let Some(known) = grant.name.as_ref().and_then(|_| same(&opened, &grant)) {
        grant = known;
    } else {
        grant.id = ctx.random().text("0123456789abcdef", 64);
        insert(&ctx, &opened, &grant).await?;
    }
    let token = Token { key_arn: opened.key.arn.clone(), grant_id: grant.id.clone() };
    Ok(CreateGrantOutput {
        grant_token: Some(sealed_token(&ctx, &token)?),
        grant_id: Some(grant.id),
    })
}

/// A grant that was made by the same request before: with a name, a request may be repeated.
fn same(opened: &Opened, wanted: &Grant) -> Option<Grant> {
    let alike = |grant: &&Grant| {
        let id = grant.id.clone();
        **grant == Grant { id, created: grant.created, ..wanted.clone() }
    };
    opened.grants.iter().find(alike).cloned()
}

async fn insert(ctx: &Ctx, opened: &Opened, grant: &Grant) -> Result<()> {
    if opened.grants.len() >= GRANTS_MAX {
        return Err(Error::LimitExceeded(format!(
            "A KMS key cannot have more than {GRANTS_MAX} grants."
        )));
    }
    let scope = scope_of(ctx, &opened.key)?;
    ctx.drivers
        .keyring
        .write(ctx.store.store(), &scope, |tx| {
            if !tx.contains(&KEYS, &grant.key_id)? {
                return Err(Error::NotFound(format!("Key '{}' does not exist", opened.key.arn)));
            }
            tx.put(&GRANTS, grant)?;
            Ok(())
        })
        .await
}

/// The ARN or the service principal, whichever is given.
fn one_principal(arn: Option<&str>, service: Option<&str>, what: &str) -> Result<Option<String>> {
    let (kind, name) = match (arn, service) {
        (Some(_), Some(_)) => {
            return Err(Error::Validation(format!(
                "A grant has one {what} principal: an ARN or a service principal."
            )));
        }
        (Some(arn), None) => (kind_of(arn), arn),
        (None, Some(service)) => ("Service", service),
        (None, None) => return Ok(None),
    };
    let document = serde_json::json!({
        "Version": "2012-10-17",
        "Statement": [
            { "Effect": "Allow", "Principal": { kind: name }, "Action": "*", "Resource": "*" },
        ],
    });
    let valid = name != "*" && Policy::parse(&document.to_string(), Kind::Key).is_ok();
    if !valid {
        return Err(Error::InvalidArn(format!("ARN does not refer to a valid principal: {name}")));
    }
    Ok(Some(name.to_owned()))
}

/// The member of a `Principal` element that `name` stands in.
fn kind_of(name: &str) -> &'static str {
    if name.ends_with(".amazonaws.com") { "Service" } else { "AWS" }
}

fn check_operations(opened: &Opened, operations: &[GrantOperation]) -> Result<()> {
    use GrantOperation as Op;
    let (usage, spec) = (opened.key.usage(), opened.key.spec());
    let symmetric = spec == KeySpec::SymmetricDefault;
    for operation in operations {
        let fits = match operation {
            Op::CreateGrant | Op::RetireGrant | Op::DescribeKey => true,
            Op::Decrypt | Op::Encrypt | Op::ReEncryptFrom | Op::ReEncryptTo => {
                usage == KeyUsageType::EncryptDecrypt
            }
            Op::GenerateDataKey
            | Op::GenerateDataKeyWithoutPlaintext
            | Op::GenerateDataKeyPair
            | Op::GenerateDataKeyPairWithoutPlaintext => symmetric,
            Op::Sign | Op::Verify => usage == KeyUsageType::SignVerify,
            Op::GetPublicKey => !symmetric && usage != KeyUsageType::GenerateVerifyMac,
            Op::GenerateMac | Op::VerifyMac => usage == KeyUsageType::GenerateVerifyMac,
            Op::DeriveSharedSecret => usage == KeyUsageType::KeyAgreement,
            Op::Encapsulate | Op::Decapsulate => false,
        };
        if !fits {
            return Err(Error::Validation(format!(
                "Grant operation {operation} is not supported for a key with usage {usage}."
            )));
        }
    }
    Ok(())
}

type Pairs = Option<BTreeMap<String, String>>;

fn constraints(opened: &Opened, given: Option<GrantConstraints>) -> Result<(Pairs, Pairs)> {
    let Some(given) = given else { return Ok((None, None)) };
    if given.source_arn.is_some() {
        return Err(Error::NotImplemented(
            "The grant constraint SourceArn is not implemented yet.".to_owned(),
        ));
    }
    if opened.key.spec() != KeySpec::SymmetricDefault {
        return Err(Error::Validation(
            "Grant constraints on the encryption context need a symmetric encryption key."
                .to_owned(),
        ));
    }
    let some = |pairs: BTreeMap<String, String>| (!pairs.is_empty()).then_some(pairs);
    Ok((some(given.encryption_context_equals), some(given.encryption_context_subset)))
}

/// Lists the grants of a key.
///
/// AWS: ListGrants.
///
/// # Errors
///
/// [`Error::NotFound`], [`Error::InvalidMarker`].
pub(crate) async fn list_grants(ctx: Ctx, input: ListGrantsInput) -> Result<ListGrantsOutput> {
    let opened = own(&ctx, &input.key_id).await?;
    let wanted = |grant: &&Grant| {
        input.grant_id.as_ref().is_none_or(|id| *id == grant.id)
            && input.grantee_principal.as_ref().is_none_or(|who| *who == grant.grantee)
            && input.grantee_service_principal.as_ref().is_none_or(|who| *who == grant.grantee)
    };
    let found: Vec<Grant> = opened.grants.iter().filter(wanted).cloned().collect();
    let arn = opened.key.arn.clone();
    let shown = |grant: Grant| entry(grant, arn.clone());
    let page = page(found, input.marker.as_deref(), input.limit)?;
    let truncated = Some(page.next.is_some());
    let grants = page.items.into_iter().map(shown).collect();
    Ok(ListGrantsOutput { grants, next_marker: page.next, truncated })
}

/// Lists the grants that a principal may retire.
///
/// AWS: ListRetirableGrants.
///
/// # Errors
///
/// [`Error::InvalidArn`], [`Error::InvalidMarker`].
pub(crate) async fn list_retirable_grants(
    ctx: Ctx,
    input: ListRetirableGrantsInput,
) -> Result<ListRetirableGrantsOutput> {
    let retiring = one_principal(
        input.retiring_principal.as_deref(),
        input.retiring_service_principal.as_deref(),
        "retiring",
    )?;
    let retiring = retiring
        .ok_or_else(|| Error::Validation("RetiringPrincipal must be specified.".to_owned()))?;
    let mut found = ctx.store.read(|tx| tx.scan(&GRANTS, ())).await?;
    found.retain(|grant| grant.retiring.as_ref() == Some(&retiring));
    let (region, account) = (ctx.region.clone(), ctx.account.clone());
    let shown = |grant: Grant| {
        let arn = crate::keyring::arn_of(&region, account.as_str(), &grant.key_id);
        entry(grant, arn)
    };
    let page = page(found, input.marker.as_deref(), input.limit)?;
    let truncated = Some(page.next.is_some());
    let grants = page.items.into_iter().map(shown).collect();
    Ok(ListRetirableGrantsOutput { grants, next_marker: page.next, truncated })
}

fn page(
    found: Vec<Grant>,
    marker: Option<&str>,
    limit: Option<i32>,
) -> Result<paging::Page<Grant>> {
    let limit = usize::try_from(limit.unwrap_or(PAGE)).unwrap_or(1);
    paging::page(found, marker, limit, |grant| format!("{}/{}", grant.key_id, grant.id))
        .map_err(|_| Error::InvalidMarker)
}

fn entry(grant: Grant, arn: String) -> GrantListEntry {
    let constraints =
        (grant.context_equals.is_some() || grant.context_subset.is_some()).then(|| {
            GrantConstraints {
                encryption_context_subset: grant.context_subset.unwrap_or_default(),
                encryption_context_equals: grant.context_equals.unwrap_or_default(),
                source_arn: None,
            }
        });
    let service = |name: &String| kind_of(name) == "Service";
    GrantListEntry {
        key_id: Some(arn),
        grant_id: Some(grant.id),
        name: grant.name,
        creation_date: Some(grant.created),
        grantee_service_principal: Some(grant.grantee.clone()).filter(service),
        grantee_principal: Some(grant.grantee),
        retiring_service_principal: grant.retiring.clone().filter(service),
        retiring_principal: grant.retiring,
        issuing_account: Some(format!("arn:aws:iam::{}:root", grant.issuer)),
        operations: grant.operations.iter().filter_map(|text| text.parse().ok()).collect(),
        constraints,
    }
}

/// Takes a grant away, as the key's administrator.
///
/// AWS: RevokeGrant.
///
/// # Errors
///
/// [`Error::NotFound`].
pub(crate) async fn revoke_grant(ctx: Ctx, input: RevokeGrantInput) -> Result<RevokeGrantOutput> {
    let opened = own(&ctx, &input.key_id).await?;
    dry(input.dry_run)?;
    delete(&ctx, &opened, &input.grant_id).await?;
    Ok(RevokeGrantOutput {})
}

/// Gives a grant back, as its grantee, its retiring principal or the account.
///
/// AWS: RetireGrant.
///
/// # Errors
///
/// [`Error::NotFound`], [`Error::InvalidGrantToken`], [`Error::Validation`].
pub(crate) async fn retire_grant(ctx: Ctx, input: RetireGrantInput) -> Result<RetireGrantOutput> {
    let (key, grant) = match (input.grant_token, input.key_id, input.grant_id) {
        (Some(token), None, None) => {
            let token = read_token(&ctx, &token).ok_or(Error::InvalidGrantToken)?;
            (token.key_arn, token.grant_id)
        }
        (None, Some(key), Some(grant)) => (key, grant),
        _ => {
            return Err(Error::Validation(
                "Specify the grant to retire by its GrantToken, or by KeyId and GrantId."
                    .to_owned(),
            ));
        }
    };
    let opened = own(&ctx, &key).await?;
    dry(input.dry_run)?;
    delete(&ctx, &opened, &grant).await?;
    Ok(RetireGrantOutput {})
}

async fn delete(ctx: &Ctx, opened: &Opened, id: &str) -> Result<()> {
    let scope: Scope = scope_of(ctx, &opened.key)?;
    let key = (opened.key.id.clone(), id.to_owned());
    let found = ctx
        .drivers
        .keyring
        .write(ctx.store.store(), &scope, |tx| Ok(tx.delete(&GRANTS, &key)?))
        .await?;
    if found {
        return Ok(());
    }
    Err(Error::NotFound(format!("Grant ID {id} not found")))
}

fn sealed_token(ctx: &Ctx, token: &Token) -> Result<String> {
    let text = serde_json::to_vec(token).map_err(kernel::ServiceError::internal)?;
    Ok(URL_SAFE_NO_PAD.encode(ctx.drivers.cipher.seal(TOKEN_PLACE, &text)))
}

/// What a grant token says; nothing when this region did not give it out.
pub(crate) fn read_token(ctx: &Ctx, token: &str) -> Option<Token> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
    let text = ctx.drivers.cipher.open(TOKEN_PLACE, &bytes).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Refuses tokens that this region did not give out.
pub(crate) fn check_tokens(ctx: &Ctx, tokens: &[String]) -> Result<()> {
    let known = |token: &String| read_token(ctx, token).is_some();
    if tokens.iter().all(known) { Ok(()) } else { Err(Error::InvalidGrantToken) }
}

/// What a call does with a key, as grants see it.
pub(crate) struct Use<'a> {
    /// The action without its prefix.
    pub(crate) operation: &'a str,
    /// The encryption context, where the operation takes one.
    pub(crate) context: Option<&'a BTreeMap<String, String>>,
    /// What a new grant would allow, for CreateGrant.
    pub(crate) delegated: Option<(&'a [String], Pairs, Pairs)>,
    /// The grant that is to be retired.
    pub(crate) retired: Option<&'a str>,
}

/// How a grant of the key names the caller, when one lets it do this: the kind of principal and
/// its name.
pub(crate) fn granted(
    opened: &Opened,
    caller: &Principal,
    wanted: &Use<'_>,
) -> Option<(&'static str, String)> {
    opened.grants.iter().find_map(|grant| {
        if let Some(id) = wanted.retired {
            let retiring = grant.retiring.as_ref().filter(|who| is(who, caller));
            let grantee =
                Some(&grant.grantee).filter(|who| grant.allows("RetireGrant") && is(who, caller));
            let who = retiring.or(grantee).filter(|_| grant.id == id)?;
            return Some((kind_of(who), who.clone()));
        }
        let fits = grant.allows(wanted.operation)
            && is(&grant.grantee, caller)
            && grant.holds_in(wanted.context)
            && wanted.delegated.as_ref().is_none_or(|asked| grant.covers(asked));
        fits.then(|| (kind_of(&grant.grantee), grant.grantee.clone()))
    })
}

/// Whether `name` is the caller, its role or its account.
fn is(name: &str, caller: &Principal) -> bool {
    if let Principal::Service { name: service } = caller {
        return *name == **service;
    }
    if let Principal::AssumedRole { role, .. } = caller
        && role.to_string() == name
    {
        return true;
    }
    let account = caller.account().map(|account| format!("arn:aws:iam::{account}:root"));
    caller.arn().is_some_and(|arn| arn.to_string() == name)
        || account.is_some_and(|root| root == name)
}

impl Grant {
    fn allows(&self, operation: &str) -> bool {
        self.operations.contains(operation)
    }

    fn holds_in(&self, context: Option<&BTreeMap<String, String>>) -> bool {
        // Operations without a context, as DescribeKey, are not constrained.
        let Some(context) = context else { return true };
        self.context_equals.as_ref().is_none_or(|wanted| wanted == context)
            && self.context_subset.as_ref().is_none_or(|wanted| includes(context, wanted))
    }

    /// Whether a grant made by this one's grantee stays within it.
    fn covers(&self, (operations, equals, subset): &(&[String], Pairs, Pairs)) -> bool {
        let none = BTreeMap::new();
        let narrower = |own: &Pairs, asked: &Pairs| {
            own.as_ref().is_none_or(|own| includes(asked.as_ref().unwrap_or(&none), own))
        };
        let equal = self.context_equals.is_none() || self.context_equals == *equals;
        operations.iter().all(|operation| self.allows(operation))
            && equal
            && (narrower(&self.context_subset, subset) || narrower(&self.context_subset, equals))
    }
}

fn includes(all: &BTreeMap<String, String>, some: &BTreeMap<String, String>) -> bool {
    some.iter().all(|(key, value)| all.get(key) == Some(value))
}
