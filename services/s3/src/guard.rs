//! What guards an object beside its bucket's policy: whose it is, its access control list, how its
//! bytes are encrypted, and whether it was replicated.

use base::AccountId;
use serde::{Deserialize, Serialize};

use crate::Ctx;
use crate::acl::{Acl, Asked, is_enforced};
use crate::error::Result;
use crate::sse::Sse;
use crate::store::{Bucket, Object};
use crate::version::{self, Named};

/// The guard of an object or of an upload that becomes one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Guard {
    /// Whose it is, where that is not the bucket's owner.
    #[serde(default)]
    pub(crate) owner: Option<AccountId>,
    /// What its owner grants.
    #[serde(default)]
    pub(crate) acl: Acl,
    /// How its bytes are encrypted beside the store's seal.
    #[serde(default)]
    pub(crate) sse: Sse,
    /// `PENDING`, `COMPLETED`, `FAILED` or `REPLICA`.
    #[serde(default)]
    pub(crate) replication: Option<String>,
}

impl Guard {
    /// The guard of what the caller writes into `bucket`.
    ///
    /// AWS: "Controlling ownership of objects and disabling ACLs for your bucket".
    pub(crate) fn of_writer(ctx: &Ctx, bucket: &Bucket, asked: Asked) -> Result<Self> {
        let foreign = ctx.account != bucket.owner
            && !matches!(
                ctx.caller.principal,
                policy::Principal::Anonymous | policy::Principal::Service { .. }
            );
        if !foreign || is_enforced(bucket) {
            return Ok(Self { acl: asked.checked(bucket, &bucket.owner)?, ..Self::default() });
        }
        let gives = asked.canned == Some("bucket-owner-full-control");
        if gives && bucket.ownership.as_deref() == Some("BucketOwnerPreferred") {
            return Ok(Self::default());
        }
        let acl = asked.checked(bucket, &ctx.account)?;
        Ok(Self { owner: Some(ctx.account.clone()), acl, ..Self::default() })
    }

    /// Whose the object is.
    pub(crate) fn owner(&self, bucket: &Bucket) -> AccountId {
        match &self.owner {
            Some(owner) if !is_enforced(bucket) => owner.clone(),
            Some(_) | None => bucket.owner.clone(),
        }
    }
}

/// The object, or the version of it that is asked for.
pub(crate) async fn find_version(
    ctx: &Ctx,
    bucket: &Bucket,
    key: &str,
    version_id: Option<&str>,
) -> Result<Object> {
    let named = Named::parse(version_id)?;
    ctx.store.read(|tx| version::object(tx, &bucket.name, key, &named)).await
}

/// Changes the guard of an object that was found.
pub(crate) async fn change_guard(
    ctx: &Ctx,
    object: &Object,
    apply: impl Fn(&mut Guard) + Send + Sync,
) -> Result<()> {
    ctx.store
        .write(|tx| {
            let named = Named::of(&object.version);
            let mut found = version::object(tx, &object.bucket, &object.key, &named)?;
            apply(&mut found.guard);
            version::rewrite(tx, &found)
        })
        .await
}
