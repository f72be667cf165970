//! What authorization must know of a key: which one a request means, its policy with the grants
//! that apply, and KMS's condition keys.
//!
//! AWS: "Condition keys for AWS KMS", "Key policies in AWS KMS", "Determining access to AWS KMS
//! keys".

use std::collections::BTreeMap;
use std::sync::Arc;

use kernel::ServiceError;
use kernel::access::{Asked, Subject};
use policy::{Context, NamedPolicy};
use protocol::Value;
use store::ReadTx;

use crate::Ctx;
use crate::error::{Error, Result};
use crate::grant::{self, Use};
use crate::key::{Reference, named, own, reference};
use crate::keyring::{Opened, arn_of};
use crate::store::{ALIASES, BY_KEY};

/// Condition keys that are members of requests, by the member's name.
///
/// AWS: Service Authorization Reference, "Condition keys for AWS Key Management Service".
const FROM_MEMBERS: &[(&str, &str)] = &[
    ("kms:BypassPolicyLockoutSafetyCheck", "BypassPolicyLockoutSafetyCheck"),
    ("kms:DataKeyPairSpec", "KeyPairSpec"),
    ("kms:ExpirationModel", "ExpirationModel"),
    ("kms:GranteePrincipal", "GranteePrincipal"),
    ("kms:KeyAgreementAlgorithm", "KeyAgreementAlgorithm"),
    ("kms:MacAlgorithm", "MacAlgorithm"),
    ("kms:MessageType", "MessageType"),
    ("kms:PrimaryRegion", "PrimaryRegion"),
    ("kms:ReplicaRegion", "ReplicaRegion"),
    ("kms:RetiringPrincipal", "RetiringPrincipal"),
    ("kms:RotationPeriodInDays", "RotationPeriodInDays"),
    ("kms:ScheduleKeyDeletionPendingWindowInDays", "PendingWindowInDays"),
    ("kms:SigningAlgorithm", "SigningAlgorithm"),
    ("kms:ValidTo", "ValidTo"),
    ("kms:WrappingAlgorithm", "WrappingAlgorithm"),
    ("kms:WrappingKeySpec", "WrappingKeySpec"),
];

/// The actions of operations that take an alias where they take a key.
const BY_ALIAS: &[&str] = &[
    "Decrypt",
    "DeriveSharedSecret",
    "DescribeKey",
    "Encrypt",
    "GenerateDataKey",
    "GenerateDataKeyPair",
    "GenerateDataKeyPairWithoutPlaintext",
    "GenerateDataKeyWithoutPlaintext",
    "GenerateMac",
    "GetPublicKey",
    "ReEncryptFrom",
    "ReEncryptTo",
    "Sign",
    "Verify",
    "VerifyMac",
];

/// The subject of a call.
pub(crate) async fn of(ctx: Ctx, asked: Asked) -> std::result::Result<Subject, ServiceError> {
    subject(&ctx, asked).await.map_err(ServiceError::from)
}

async fn subject(ctx: &Ctx, asked: Asked) -> Result<Subject> {
    let Asked { action, resource, input, mut context } = asked;
    let operation = action.strip_prefix("kms:").unwrap_or(&action);
    describe_caller(ctx, &mut context);
    describe_request(operation, &input, &mut context);
    if !resource.contains(":key/") {
        // Aliases have no policies; what is asked on `*` has no key.
        return Ok(Subject { resource, policy: None, context });
    }
    let found = match key_of(ctx, operation, &input, &resource).await {
        Ok(found) => found,
        // The handler says what is not there, to those who might see it.
        Err(Error::NotFound(_)) => None,
        Err(error) => return Err(error),
    };
    let Some(opened) = found else {
        let resource = arn_of_missing(ctx, &resource);
        return Ok(Subject { resource, policy: None, context });
    };
    describe_key(ctx, &opened, &mut context).await?;
    if operation.starts_with("ReEncrypt") {
        describe_pair(ctx, &opened, operation, &input, &mut context).await?;
    }
    let policy = policy_of(ctx, &opened, operation, &input);
    let name = format!("policy of {}", opened.key.arn);
    Ok(Subject {
        resource: opened.key.arn.clone(),
        policy: Some(NamedPolicy::new(name, policy)),
        context,
    })
}

/// The ARN of what is not there: an alias keeps its own form.
fn arn_of_missing(ctx: &Ctx, resource: &str) -> String {
    let (_, name) = resource.split_once(":key/").unwrap_or_default();
    match reference(ctx, name) {
        Some(Reference::Alias(scope, alias)) => {
            format!("arn:aws:kms:{}:{}:{alias}", scope.region, scope.account)
        }
        Some(Reference::Id(scope, id)) => arn_of(&scope.region, scope.account.as_str(), &id),
        None => resource.to_owned(),
    }
}

async fn key_of(
    ctx: &Ctx,
    operation: &str,
    input: &Value,
    resource: &str,
) -> Result<Option<Arc<Opened>>> {
    let text = |member: &str| input.member(member).and_then(Value::as_str);
    let member = match operation {
        "ReEncryptFrom" => "SourceKeyId",
        "ReEncryptTo" => "DestinationKeyId",
        "CreateAlias" => "TargetKeyId",
        _ => "KeyId",
    };
    match operation {
        "UpdateAlias" => {
            // Two keys: the one that the template names, and the one that the alias has now.
            let (_, name) = resource.split_once(":key/").unwrap_or_default();
            return if name.starts_with("alias/") {
                named(ctx, name).await.map(Some)
            } else {
                own(ctx, name).await.map(Some)
            };
        }
        "DeleteAlias" => {
            let Some(alias) = text("AliasName") else { return Ok(None) };
            return named_if_made(ctx, alias).await;
        }
        "RetireGrant" => {
            let token = text("GrantToken").and_then(|token| grant::read_token(ctx, token));
            let named = token.map(|token| token.key_arn).or(text("KeyId").map(str::to_owned));
            return match named {
                Some(named) => own(ctx, &named).await.map(Some),
                None => Ok(None),
            };
        }
        _ => {}
    }
    if let Some(id) = text(member) {
        let by_alias = BY_ALIAS.contains(&operation);
        return if by_alias { named(ctx, id).await } else { own(ctx, id).await }.map(Some);
    }
    let Some(Value::Blob(blob)) = input.member("CiphertextBlob") else { return Ok(None) };
    match crate::encrypt::arn_in(ctx, blob) {
        Some(arn) => own(ctx, &arn).await.map(Some),
        None => Ok(None),
    }
}

async fn named_if_made(ctx: &Ctx, alias: &str) -> Result<Option<Arc<Opened>>> {
    let found = ctx.store.read(|tx: &ReadTx<'_>| tx.get(&ALIASES, alias)).await?;
    match found {
        Some(found) => own(ctx, &found.key_id).await.map(Some),
        None => Ok(None),
    }
}

/// The key's policy, with a statement for the caller where a grant lets it do this.
fn policy_of(ctx: &Ctx, opened: &Opened, operation: &str, input: &Value) -> Arc<policy::Policy> {
    if opened.grants.is_empty() {
        return opened.policy.clone();
    }
    let context = encryption_context(operation, input);
    let constraints = input.member("Constraints");
    let pairs = |member: &str| {
        let pairs = constraints.and_then(|constraints| constraints.member(member)).map(pairs_of);
        pairs.filter(|pairs| !pairs.is_empty())
    };
    let operations = operations_of(input);
    let token = input.member("GrantToken").and_then(Value::as_str);
    let token = token.and_then(|token| grant::read_token(ctx, token)).map(|token| token.grant_id);
    let id = input.member("GrantId").and_then(Value::as_str).map(str::to_owned);
    let retired = token.or(id).filter(|_| operation == "RetireGrant");
    let wanted = Use {
        operation,
        context: context.as_ref(),
        delegated: (operation == "CreateGrant").then(|| {
            let equals = pairs("EncryptionContextEquals");
            (operations.as_slice(), equals, pairs("EncryptionContextSubset"))
        }),
        retired: retired.as_deref(),
    };
    match grant::granted(opened, &ctx.caller.principal, &wanted) {
        Some((kind, principal)) => {
            opened.policy_granting(kind, &principal, &format!("kms:{operation}"))
        }
        None => opened.policy.clone(),
    }
}

fn operations_of(input: &Value) -> Vec<String> {
    let list = input.member("Operations").and_then(Value::as_list).unwrap_or_default();
    list.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn pairs_of(value: &Value) -> BTreeMap<String, String> {
    let pair = |(key, value): &(String, Value)| Some((key.clone(), value.as_str()?.to_owned()));
    value.as_map().unwrap_or_default().iter().filter_map(pair).collect()
}

/// The encryption context of an operation that takes one.
fn encryption_context(operation: &str, input: &Value) -> Option<BTreeMap<String, String>> {
    let member = match operation {
        "ReEncryptFrom" => "SourceEncryptionContext",
        "ReEncryptTo" => "DestinationEncryptionContext",
        "Encrypt" | "Decrypt" => "EncryptionContext",
        _ if operation.starts_with("GenerateDataKey") => "EncryptionContext",
        _ => return None,
    };
    Some(input.member(member).map(pairs_of).unwrap_or_default())
}

/// The keys that tell who calls, and through which service.
pub(crate) fn describe_caller(ctx: &Ctx, context: &mut Context) {
    context.set("kms:CallerAccount", ctx.caller.account.as_str());
    let via = context.values("aws:CalledViaLast").first().cloned();
    let via = via.or_else(|| ctx.caller.invoked_by.clone());
    if let Some(service) = via.as_deref().and_then(|name| name.strip_suffix(".amazonaws.com")) {
        context.set("kms:ViaService", format!("{service}.{}.amazonaws.com", ctx.region));
    }
}

fn describe_request(operation: &str, input: &Value, context: &mut Context) {
    for (key, member) in FROM_MEMBERS {
        if let Some(text) = input.member(member).and_then(text_of) {
            context.set(key, text);
        }
    }
    let algorithm = match operation {
        "ReEncryptFrom" => "SourceEncryptionAlgorithm",
        "ReEncryptTo" => "DestinationEncryptionAlgorithm",
        _ => "EncryptionAlgorithm",
    };
    if let Some(pairs) = encryption_context(operation, input) {
        let given = input.member(algorithm).and_then(text_of);
        let given = given.unwrap_or_else(|| "SYMMETRIC_DEFAULT".to_owned());
        context.set("kms:EncryptionAlgorithm", given);
        for (key, value) in &pairs {
            context.set(&format!("kms:EncryptionContext:{key}"), value.as_str());
        }
        if !pairs.is_empty() {
            context.set_all("kms:EncryptionContextKeys", pairs.into_keys());
        }
    }
    if operation == "CreateKey" {
        describe_new(input, context);
    }
    if let Some(alias) = input.member("KeyId").and_then(Value::as_str)
        && let Some((_, alias)) = alias.split_once("alias/")
    {
        context.set("kms:RequestAlias", format!("alias/{alias}"));
    }
    if operation == "CreateGrant" {
        let via_service = !context.values("kms:ViaService").is_empty();
        context.set("kms:GrantIsForAWSResource", via_service.to_string());
        context.set_all("kms:GrantOperations", operations_of(input));
        let constraints = input.member("Constraints");
        for kind in ["EncryptionContextEquals", "EncryptionContextSubset"] {
            if constraints.is_some_and(|constraints| constraints.member(kind).is_some()) {
                context.set("kms:GrantConstraintType", kind);
            }
        }
    }
}

/// What CreateKey asks for, with the defaults.
fn describe_new(input: &Value, context: &mut Context) {
    let text = |member: &str, default: &str| {
        input.member(member).and_then(text_of).unwrap_or_else(|| default.to_owned())
    };
    let old = text("CustomerMasterKeySpec", "SYMMETRIC_DEFAULT");
    context.set("kms:KeySpec", text("KeySpec", &old));
    context.set("kms:CustomerMasterKeySpec", text("KeySpec", &old));
    context.set("kms:KeyUsage", text("KeyUsage", "ENCRYPT_DECRYPT"));
    context.set("kms:CustomerMasterKeyUsage", text("KeyUsage", "ENCRYPT_DECRYPT"));
    context.set("kms:KeyOrigin", text("Origin", "AWS_KMS"));
    let multi_region = text("MultiRegion", "false");
    if multi_region == "true" {
        context.set("kms:MultiRegionKeyType", "PRIMARY");
    }
    context.set("kms:MultiRegion", multi_region);
}

async fn describe_key(ctx: &Ctx, opened: &Opened, context: &mut Context) -> Result<()> {
    let key = &opened.key;
    context.set("kms:KeySpec", key.spec.as_str());
    context.set("kms:CustomerMasterKeySpec", key.spec.as_str());
    context.set("kms:KeyUsage", key.usage.as_str());
    context.set("kms:CustomerMasterKeyUsage", key.usage.as_str());
    context.set("kms:KeyOrigin", key.origin.as_str());
    context.set("kms:MultiRegion", key.multi_region.to_string());
    if key.multi_region {
        context.set("kms:MultiRegionKeyType", "PRIMARY");
    }
    for (name, value) in &key.tags {
        context.set(&format!("aws:ResourceTag/{name}"), value.as_str());
    }
    let aliases = opened.aliases(ctx).await?;
    if !aliases.is_empty() {
        context.set_all("kms:ResourceAliases", aliases.iter().cloned());
    }
    Ok(())
}

/// Whether both sides of a ReEncrypt are the same key.
async fn describe_pair(
    ctx: &Ctx,
    opened: &Opened,
    operation: &str,
    input: &Value,
    context: &mut Context,
) -> Result<()> {
    let other = if operation == "ReEncryptFrom" { "ReEncryptTo" } else { "ReEncryptFrom" };
    let resource = arn_of(&ctx.region, ctx.account.as_str(), "*");
    let same = match key_of(ctx, other, input, &resource).await {
        Ok(Some(other)) => other.key.arn == opened.key.arn,
        Ok(None) | Err(Error::NotFound(_)) => false,
        Err(error) => return Err(error),
    };
    context.set("kms:ReEncryptOnSameKey", same.to_string());
    Ok(())
}

fn text_of(value: &Value) -> Option<String> {
    let number = || value.as_i64().map(|number| number.to_string());
    let flag = || value.as_bool().map(|flag| flag.to_string());
    if let Value::Time(at) = value {
        return Some(at.iso8601_seconds());
    }
    value.as_str().map(str::to_owned).or_else(number).or_else(flag)
}

impl Opened {
    /// The key's aliases, which cost a read only while no policy of the key could ask for them.
    async fn aliases(&self, ctx: &Ctx) -> Result<Arc<Vec<String>>> {
        if let Some(known) = self.known_aliases() {
            return Ok(known);
        }
        let scope = crate::key::scope_of(ctx, &self.key)?;
        let store = ctx.store.rescoped(scope);
        let found = store.read(|tx| tx.find(&BY_KEY, self.key.id.as_str())).await?;
        Ok(self.keep_aliases(found.into_iter().map(|alias| alias.name).collect()))
    }
}
