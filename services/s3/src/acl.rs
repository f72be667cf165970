//! Access control lists of buckets and objects: canned ones, grants in headers and documents, and
//! what a grant lets a caller do.
//!
//! AWS: "Access control list (ACL) overview", "Controlling ownership of objects and disabling ACLs
//! for your bucket".

use base::AccountId;
use policy::Principal;
use s3_api::{
    AccessControlPolicy, GetBucketAclInput, GetBucketAclOutput, GetObjectAclInput,
    GetObjectAclOutput, Grant as ShownGrant, Grantee as ShownGrantee, Owner,
    Permission as ShownPermission, PutBucketAclInput, PutBucketAclOutput, PutObjectAclInput,
    PutObjectAclOutput, Type,
};
use serde::{Deserialize, Serialize};

use crate::Ctx;
use crate::admission::{Wish, admit};
use crate::bucket::{canonical_id, owner};
use crate::error::{Error, Result};
use crate::guard::{change_guard, find_version};
use crate::settings::change;
use crate::store::Bucket;

/// AWS: "Access control list (ACL) overview": up to 100 grants.
const GRANTS_MAX: usize = 100;
const GROUPS: &str = "http://acs.amazonaws.com/groups/";
const LOG_DELIVERY: &str = "s3/LogDelivery";

/// The grants of a bucket or object; none stands for the owner's full control alone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Acl(Option<Vec<Grant>>);

/// What is granted to one grantee.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Grant {
    grantee: Grantee,
    permission: Permission,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Grantee {
    /// An account, by its canonical user id.
    Account(String),
    /// Everyone, signed or not.
    AllUsers,
    /// Everyone who signs.
    AuthenticatedUsers,
    /// The service that delivers server access logs.
    LogDelivery,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Permission {
    FullControl,
    Read,
    Write,
    ReadAcp,
    WriteAcp,
}

/// The lists that a request may bring, in one form for all operations.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    pub(crate) canned: Option<&'static str>,
    /// Grants of headers: `FULL_CONTROL` and its like with the header's text.
    pub(crate) headers: [Option<String>; 5],
    pub(crate) document: Option<AccessControlPolicy>,
}

/// The list that the headers of an input ask for. The last argument is the `x-amz-grant-write`
/// member, which objects do not have.
macro_rules! asked_of {
    ($input:expr, $write:expr) => {
        $crate::acl::Asked {
            canned: $input.acl.map(|acl| acl.as_str()),
            headers: [
                $input.grant_full_control.clone(),
                $input.grant_read.clone(),
                $write,
                $input.grant_read_acp.clone(),
                $input.grant_write_acp.clone(),
            ],
            document: None,
        }
    };
}
pub(crate) use asked_of;

const PERMISSIONS: [Permission; 5] = [
    Permission::FullControl,
    Permission::Read,
    Permission::Write,
    Permission::ReadAcp,
    Permission::WriteAcp,
];

impl Asked {
    /// Whether the request says anything of access control lists.
    pub(crate) fn is_some(&self) -> bool {
        self.canned.is_some() || self.document.is_some() || self.headers.iter().any(Option::is_some)
    }

    /// The list, where it is allowed at all: in a bucket without lists only what changes nothing.
    pub(crate) fn checked(self, bucket: &Bucket, owner: &AccountId) -> Result<Acl> {
        let enforced = is_enforced(bucket);
        let acl = self.read(owner, &bucket.owner)?;
        if enforced {
            let plain = Acl::default();
            let whole = Acl::canned("bucket-owner-full-control", owner, &bucket.owner)?;
            return match acl == plain || acl == whole || acl.is_owners_alone(&bucket.owner) {
                true => Ok(plain),
                false => Err(Error::AccessControlListNotSupported),
            };
        }
        let blocked = bucket.public_access_block.is_some_and(|block| block.block_public_acls);
        if blocked && acl.is_public() {
            return Err(Error::denied());
        }
        Ok(acl)
    }

    fn read(self, owner: &AccountId, bucket_owner: &AccountId) -> Result<Acl> {
        let has_headers = self.headers.iter().any(Option::is_some);
        if self.canned.is_some() && has_headers {
            let text = "Specifying both Canned ACLs and Header Grants is not allowed";
            return Err(Error::InvalidRequest(text.to_owned()));
        }
        if self.document.is_some() && (has_headers || self.canned.is_some()) {
            return Err(Error::UnexpectedContent);
        }
        if let Some(canned) = self.canned {
            return Acl::canned(canned, owner, bucket_owner);
        }
        if let Some(document) = self.document {
            return of_document(&document, owner);
        }
        if !has_headers {
            return Ok(Acl::default());
        }
        let mut grants = Vec::new();
        for (permission, text) in PERMISSIONS.into_iter().zip(self.headers) {
            for grantee in grantees_of(text.as_deref().unwrap_or_default())? {
                grants.push(Grant { grantee, permission });
            }
        }
        Acl::of(grants)
    }
}

/// Whether a bucket knows no lists: the owner owns everything in it.
pub(crate) fn is_enforced(bucket: &Bucket) -> bool {
    bucket.ownership.as_deref() == Some("BucketOwnerEnforced")
}

impl Acl {
    fn of(grants: Vec<Grant>) -> Result<Self> {
        if grants.len() > GRANTS_MAX {
            return Err(Error::MalformedAcl);
        }
        Ok(Self(Some(grants)))
    }

    /// AWS: "Canned ACL".
    fn canned(name: &str, owner: &AccountId, bucket_owner: &AccountId) -> Result<Self> {
        use Permission::{FullControl, Read, Write};
        let own = Grant { grantee: Grantee::Account(canonical_id(owner)), permission: FullControl };
        let to = |grantee, permission| Grant { grantee, permission };
        let host = || Grantee::Account(canonical_id(bucket_owner));
        let mut grants = vec![own];
        match name {
            "private" => return Ok(Self::default()),
            "public-read" => grants.push(to(Grantee::AllUsers, Read)),
            "public-read-write" => {
                grants.push(to(Grantee::AllUsers, Read));
                grants.push(to(Grantee::AllUsers, Write));
            }
            "authenticated-read" => grants.push(to(Grantee::AuthenticatedUsers, Read)),
            "bucket-owner-read" if owner != bucket_owner => grants.push(to(host(), Read)),
            "bucket-owner-full-control" if owner != bucket_owner => {
                grants.push(to(host(), FullControl));
            }
            "bucket-owner-read" | "bucket-owner-full-control" => return Ok(Self::default()),
            "log-delivery-write" => {
                grants.push(to(Grantee::LogDelivery, Write));
                grants.push(to(Grantee::LogDelivery, Permission::ReadAcp));
            }
            // Amazon EC2 reads bundles of machine images by this grant; there are none here.
            "aws-exec-read" => return Err(Error::NotImplemented("x-amz-acl")),
            other => return Err(Error::argument("x-amz-acl", other, "")),
        }
        Self::of(grants)
    }

    fn is_owners_alone(&self, owner: &AccountId) -> bool {
        let id = canonical_id(owner);
        self.0.as_ref().is_some_and(|grants| {
            !grants.is_empty()
                && grants.iter().all(|grant| grant.grantee == Grantee::Account(id.clone()))
        })
    }

    /// Whether it lets in everyone, or everyone who signs.
    pub(crate) fn is_public(&self) -> bool {
        let public = |grant: &Grant| {
            matches!(grant.grantee, Grantee::AllUsers | Grantee::AuthenticatedUsers)
        };
        self.0.as_ref().is_some_and(|grants| grants.iter().any(public))
    }

    /// Whether the list of a thing of `owner` lets `principal` of `account` do `action`, which is
    /// an action on a bucket or on an object.
    pub(crate) fn allows(
        &self,
        owner: &AccountId,
        (principal, account): (&Principal, &AccountId),
        action: &str,
        ignore_public: bool,
    ) -> bool {
        let Some(wanted) = permission_for(action) else { return false };
        let is_anonymous = matches!(principal, Principal::Anonymous);
        let is_service = matches!(principal, Principal::Service { .. });
        let Some(grants) = &self.0 else {
            return !is_anonymous && !is_service && account == owner;
        };
        let id = canonical_id(account);
        grants.iter().any(|grant| {
            let covers = grant.permission == Permission::FullControl || grant.permission == wanted;
            covers
                && match &grant.grantee {
                    Grantee::Account(granted) => !is_anonymous && !is_service && *granted == id,
                    Grantee::AllUsers => !ignore_public,
                    Grantee::AuthenticatedUsers => !ignore_public && !is_anonymous,
                    Grantee::LogDelivery => {
                        matches!(principal, Principal::Service { name }
                            if name == "logging.s3.amazonaws.com")
                    }
                }
        })
    }

    fn shown(&self, owner: &AccountId) -> Vec<ShownGrant> {
        let own = || Grant {
            grantee: Grantee::Account(canonical_id(owner)),
            permission: Permission::FullControl,
        };
        let grants = self.0.clone().unwrap_or_else(|| vec![own()]);
        grants.into_iter().map(Grant::shown).collect()
    }
}

impl Grant {
    fn shown(self) -> ShownGrant {
        let group = |name: &str| ShownGrantee {
            type_: Type::Group,
            uri: Some(format!("{GROUPS}{name}")),
            id: None,
            display_name: None,
            email_address: None,
        };
        let grantee = match self.grantee {
            Grantee::Account(id) => ShownGrantee {
                type_: Type::CanonicalUser,
                id: Some(id),
                uri: None,
                display_name: None,
                email_address: None,
            },
            Grantee::AllUsers => group("global/AllUsers"),
            Grantee::AuthenticatedUsers => group("global/AuthenticatedUsers"),
            Grantee::LogDelivery => group(LOG_DELIVERY),
        };
        let permission = match self.permission {
            Permission::FullControl => ShownPermission::FullControl,
            Permission::Read => ShownPermission::Read,
            Permission::Write => ShownPermission::Write,
            Permission::ReadAcp => ShownPermission::ReadAcp,
            Permission::WriteAcp => ShownPermission::WriteAcp,
        };
        ShownGrant { grantee: Some(grantee), permission: Some(permission) }
    }
}

/// The permission that lets a caller do `action`; none where no list can.
///
/// AWS: "Mapping of ACL permissions and access policy permissions".
fn permission_for(action: &str) -> Option<Permission> {
    Some(match action {
        "s3:ListBucket"
        | "s3:ListBucketVersions"
        | "s3:ListBucketMultipartUploads"
        | "s3:GetObject"
        | "s3:GetObjectVersion" => Permission::Read,
        "s3:PutObject" | "s3:DeleteObject" | "s3:DeleteObjectVersion" => Permission::Write,
        "s3:GetBucketAcl" | "s3:GetObjectAcl" | "s3:GetObjectVersionAcl" => Permission::ReadAcp,
        "s3:PutBucketAcl" | "s3:PutObjectAcl" | "s3:PutObjectVersionAcl" => Permission::WriteAcp,
        _ => return None,
    })
}

/// The grantees of a header: `id="...", uri="..."`.
fn grantees_of(text: &str) -> Result<Vec<Grantee>> {
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts
        .map(|part| {
            let malformed =
                || Error::argument("x-amz-grant", part, "Argument format not recognized");
            let (kind, value) = part.split_once('=').ok_or_else(malformed)?;
            let value = value.trim().trim_matches('"');
            match kind.trim() {
                "id" => account_grantee(value),
                "uri" => group_grantee(value),
                "emailAddress" => Err(Error::MethodNotAllowed),
                _ => Err(malformed()),
            }
        })
        .collect()
}

fn account_grantee(id: &str) -> Result<Grantee> {
    let is_id = id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit());
    match is_id {
        true => Ok(Grantee::Account(id.to_ascii_lowercase())),
        false => Err(Error::argument("CanonicalUser/ID", id, "Invalid id")),
    }
}

fn group_grantee(uri: &str) -> Result<Grantee> {
    match uri.strip_prefix(GROUPS) {
        Some("global/AllUsers") => Ok(Grantee::AllUsers),
        Some("global/AuthenticatedUsers") => Ok(Grantee::AuthenticatedUsers),
        Some(LOG_DELIVERY) => Ok(Grantee::LogDelivery),
        Some(_) | None => Err(Error::argument("Group/URI", uri, "Invalid group uri")),
    }
}

fn of_document(document: &AccessControlPolicy, owner: &AccountId) -> Result<Acl> {
    let named = document.owner.as_ref().and_then(|owner| owner.id.as_deref());
    let Some(named) = named else { return Err(Error::MalformedAcl) };
    if named != canonical_id(owner) {
        return Err(Error::denied());
    }
    let grant = |grant: &ShownGrant| {
        let grantee = grant.grantee.as_ref().ok_or(Error::MalformedAcl)?;
        let grantee = match grantee.type_ {
            Type::CanonicalUser => account_grantee(grantee.id.as_deref().unwrap_or_default())?,
            Type::Group => group_grantee(grantee.uri.as_deref().unwrap_or_default())?,
            Type::AmazonCustomerByEmail => return Err(Error::MethodNotAllowed),
        };
        let permission = match grant.permission.ok_or(Error::MalformedAcl)? {
            ShownPermission::FullControl => Permission::FullControl,
            ShownPermission::Read => Permission::Read,
            ShownPermission::Write => Permission::Write,
            ShownPermission::ReadAcp => Permission::ReadAcp,
            ShownPermission::WriteAcp => Permission::WriteAcp,
        };
        Ok(Grant { grantee, permission })
    };
    Acl::of(document.grants.iter().map(grant).collect::<Result<_>>()?)
}

fn shown_owner(account: &AccountId) -> Option<Owner> {
    Some(owner(account))
}

/// Tells a bucket's access control list.
///
/// AWS: GetBucketAcl.
pub(crate) async fn get_bucket_acl(
    ctx: Ctx,
    input: GetBucketAclInput,
) -> Result<GetBucketAclOutput> {
    let wish = Wish::new("s3:GetBucketAcl", &input.bucket, &input.expected_bucket_owner);
    let bucket = admit(&ctx, wish).await?;
    let acl = if is_enforced(&bucket) { Acl::default() } else { bucket.sharing.acl.clone() };
    Ok(GetBucketAclOutput { owner: shown_owner(&bucket.owner), grants: acl.shown(&bucket.owner) })
}

/// Sets a bucket's access control list.
///
/// AWS: PutBucketAcl.
pub(crate) async fn put_bucket_acl(
    ctx: Ctx,
    input: PutBucketAclInput,
) -> Result<PutBucketAclOutput> {
    let wish = Wish::new("s3:PutBucketAcl", &input.bucket, &input.expected_bucket_owner);
    let bucket = admit(&ctx, wish).await?;
    let mut asked = asked_of!(input, input.grant_write.clone());
    asked.document = input.access_control_policy;
    if !asked.is_some() {
        return Err(Error::MissingSecurityHeader);
    }
    let acl = asked.checked(&bucket, &bucket.owner)?;
    change(&ctx, &bucket, |bucket| bucket.sharing.acl = acl.clone()).await?;
    Ok(PutBucketAclOutput {})
}

/// Tells an object's access control list.
///
/// AWS: GetObjectAcl.
pub(crate) async fn get_object_acl(
    ctx: Ctx,
    input: GetObjectAclInput,
) -> Result<GetObjectAclOutput> {
    let wish = Wish::new("s3:GetObjectAcl", &input.bucket, &input.expected_bucket_owner);
    let bucket = admit(&ctx, wish.key(&input.key)).await?;
    let object = find_version(&ctx, &bucket, &input.key, input.version_id.as_deref()).await?;
    let owner = object.guard.owner(&bucket);
    let acl = if is_enforced(&bucket) { Acl::default() } else { object.guard.acl.clone() };
    Ok(GetObjectAclOutput {
        owner: shown_owner(&owner),
        grants: acl.shown(&owner),
        request_charged: None,
    })
}

/// Sets an object's access control list.
///
/// AWS: PutObjectAcl.
pub(crate) async fn put_object_acl(
    ctx: Ctx,
    input: PutObjectAclInput,
) -> Result<PutObjectAclOutput> {
    let wish = Wish::new("s3:PutObjectAcl", &input.bucket, &input.expected_bucket_owner);
    let bucket = admit(&ctx, wish.key(&input.key)).await?;
    let object = find_version(&ctx, &bucket, &input.key, input.version_id.as_deref()).await?;
    let mut asked = asked_of!(input, None);
    if input.grant_write.is_some() {
        let text = "The x-amz-grant-write header is not applicable to objects.";
        return Err(Error::InvalidRequest(text.to_owned()));
    }
    asked.document = input.access_control_policy;
    if !asked.is_some() {
        return Err(Error::MissingSecurityHeader);
    }
    let acl = asked.checked(&bucket, &object.guard.owner(&bucket))?;
    change_guard(&ctx, &object, |guard| guard.acl = acl.clone()).await?;
    Ok(PutObjectAclOutput::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(text: &str) -> AccountId {
        text.parse().unwrap()
    }

    #[test]
    fn a_grant_lets_in_whom_it_names_for_what_it_names() {
        let (owner, other) = (account("111122223333"), account("444455556666"));
        let who = |account: &AccountId| Principal::Root { account: account.clone() };
        let read = Acl::canned("public-read", &owner, &owner).unwrap();
        let allows = |acl: &Acl, principal: &Principal, account: &AccountId, action: &str| {
            acl.allows(&owner, (principal, account), action, false)
        };
        assert!(allows(&read, &Principal::Anonymous, &owner, "s3:GetObject"));
        assert!(!allows(&read, &Principal::Anonymous, &owner, "s3:PutObject"));
        assert!(!read.allows(&owner, (&Principal::Anonymous, &owner), "s3:GetObject", true));
        let signed = Acl::canned("authenticated-read", &owner, &owner).unwrap();
        assert!(!allows(&signed, &Principal::Anonymous, &owner, "s3:GetObject"));
        assert!(allows(&signed, &who(&other), &other, "s3:GetObject"));
        let private = Acl::default();
        assert!(allows(&private, &who(&owner), &owner, "s3:PutObjectAcl"));
        assert!(!allows(&private, &who(&other), &other, "s3:GetObject"));
        assert!(!allows(&private, &Principal::Anonymous, &owner, "s3:GetObject"));
    }

    #[test]
    fn headers_name_grantees() {
        let id = "a".repeat(64);
        let text = format!("id=\"{id}\", uri=\"{GROUPS}global/AllUsers\"");
        assert_eq!(grantees_of(&text).unwrap(), vec![Grantee::Account(id), Grantee::AllUsers]);
        for bad in ["id=\"short\"", "uri=\"http://x\"", "who=\"me\"", "nothing"] {
            assert!(grantees_of(bad).is_err(), "{bad}");
        }
        assert!(grantees_of("").unwrap().is_empty());
    }
}
