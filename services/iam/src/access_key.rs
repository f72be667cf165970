//! Access keys of users and of the root user.

use base::{AccountId, Arn};
use iam_api::{
    AccessKey, AccessKeyLastUsed, AccessKeyMetadata, CreateAccessKeyInput, CreateAccessKeyOutput,
    DeleteAccessKeyInput, DeleteAccessKeyOutput, GetAccessKeyLastUsedInput,
    GetAccessKeyLastUsedOutput, ListAccessKeysInput, ListAccessKeysOutput, StatusType,
    UpdateAccessKeyInput, UpdateAccessKeyOutput,
};
use store::ReadTx;

use crate::Ctx;
use crate::access::{self, Keys};
use crate::entity::{self, date};
use crate::error::{Error, Result};
use crate::listing;
use crate::store::{KEY_USES, KEYS, KEYS_BY_USER, Key, User};
use crate::user::calling_user;

/// AWS: "IAM and AWS STS quotas", access keys assigned to an IAM user.
pub(crate) const KEYS_PER_USER_MAX: usize = 2;
/// How a key that was never used is shown. AWS: AccessKeyLastUsed.
const NEVER_USED: &str = "N/A";

/// Whose keys a call is about: a user's, or under no name the root user's.
struct Owner {
    account: AccountId,
    user: Option<String>,
}

impl Owner {
    /// The owner that the caller names or is, once it may do `action` there.
    async fn of(ctx: &Ctx, action: &str, name: Option<String>) -> Result<Self> {
        let user = match name {
            Some(name) => Some(name),
            None => calling_user(ctx)?,
        };
        if let Some(name) = &user {
            access::existing::<User>(ctx, action, name).await?;
        }
        Ok(Self { account: ctx.account.clone(), user })
    }

    fn index(&self) -> (String, String) {
        (self.account.to_string(), self.user.clone().unwrap_or_default())
    }

    /// The key called `id`, if it is the owner's.
    fn key(&self, tx: &ReadTx<'_>, id: &str) -> Result<Key> {
        let found = tx.get(&KEYS, id)?;
        let own = found.filter(|key| key.account == self.account && key.user == self.user);
        own.ok_or_else(|| {
            Error::NoSuchEntity(format!("The Access Key with id {id} cannot be found."))
        })
    }
}

fn status(key: &Key) -> StatusType {
    if key.active { StatusType::Active } else { StatusType::Inactive }
}

/// Makes an access key. Its secret is told this once.
///
/// AWS: CreateAccessKey.
///
/// # Errors
///
/// [`Error::LimitExceeded`] beyond two keys.
pub(crate) async fn create_access_key(
    ctx: Ctx,
    input: CreateAccessKeyInput,
) -> Result<CreateAccessKeyOutput> {
    let owner = Owner::of(&ctx, "CreateAccessKey", input.user_name).await?;
    let pair = ctx.drivers.new_key();
    let key = Key {
        id: pair.access_key_id,
        secret: pair.secret_access_key,
        account: ctx.account.clone(),
        user: owner.user.clone(),
        active: true,
        created: ctx.now(),
    };
    ctx.store
        .write(|tx| {
            if let Some(name) = &owner.user {
                entity::get::<User>(tx, name)?;
            }
            if tx.find(&KEYS_BY_USER, owner.index())?.len() >= KEYS_PER_USER_MAX {
                return Err(Error::quota("AccessKeysPerUser", KEYS_PER_USER_MAX));
            }
            Ok(tx.put(&KEYS, &key)?)
        })
        .await?;
    Ok(CreateAccessKeyOutput {
        access_key: AccessKey {
            user_name: owner.user.unwrap_or_default(),
            status: status(&key),
            access_key_id: key.id,
            secret_access_key: key.secret,
            create_date: Some(date(key.created)),
        },
    })
}

/// The access keys of a user, without their secrets.
///
/// AWS: ListAccessKeys.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn list_access_keys(
    ctx: Ctx,
    input: ListAccessKeysInput,
) -> Result<ListAccessKeysOutput> {
    let owner = Owner::of(&ctx, "ListAccessKeys", input.user_name).await?;
    let keys = ctx.store.read(|tx| tx.find(&KEYS_BY_USER, owner.index())).await?;
    let page = listing::page(keys, input.marker.as_deref(), input.max_items, |key| key.id.clone())?;
    let view = |key: Key| AccessKeyMetadata {
        user_name: key.user.clone(),
        status: Some(status(&key)),
        create_date: Some(date(key.created)),
        access_key_id: Some(key.id),
    };
    Ok(ListAccessKeysOutput {
        access_key_metadata: page.items.into_iter().map(view).collect(),
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
    })
}

/// Lets a key be used, or not; effective with the next call.
///
/// AWS: UpdateAccessKey.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn update_access_key(
    ctx: Ctx,
    input: UpdateAccessKeyInput,
) -> Result<UpdateAccessKeyOutput> {
    let owner = Owner::of(&ctx, "UpdateAccessKey", input.user_name).await?;
    let active = match input.status {
        StatusType::Active => true,
        StatusType::Inactive => false,
        StatusType::Expired => {
            return Err(Error::InvalidInput("Status must be Active or Inactive.".to_owned()));
        }
    };
    ctx.store
        .write(|tx| {
            let key = Key { active, ..owner.key(tx, &input.access_key_id)? };
            Ok::<_, Error>(tx.put(&KEYS, &key)?)
        })
        .await?;
    Ok(UpdateAccessKeyOutput {})
}

/// Deletes a key; it signs nothing from now on.
///
/// AWS: DeleteAccessKey.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn delete_access_key(
    ctx: Ctx,
    input: DeleteAccessKeyInput,
) -> Result<DeleteAccessKeyOutput> {
    let owner = Owner::of(&ctx, "DeleteAccessKey", input.user_name).await?;
    ctx.store
        .write(|tx| {
            let key = owner.key(tx, &input.access_key_id)?;
            tx.delete(&KEY_USES, &key.id)?;
            tx.delete(&KEYS, &key.id)?;
            Ok::<_, Error>(())
        })
        .await?;
    ctx.drivers.forget_key(&input.access_key_id);
    Ok(DeleteAccessKeyOutput {})
}

/// When a key was last used, and for what.
///
/// AWS: GetAccessKeyLastUsed.
///
/// # Errors
///
/// [`Error::AccessDenied`] for a key that the account does not have, as AWS does.
pub(crate) async fn get_access_key_last_used(
    ctx: Ctx,
    input: GetAccessKeyLastUsedInput,
) -> Result<GetAccessKeyLastUsedOutput> {
    let id = &input.access_key_id;
    let (key, used) = ctx
        .store
        .read(|tx| {
            let key = tx.get(&KEYS, id)?.filter(|key| key.account == ctx.account);
            Ok::<_, store::Error>((key, tx.get(&KEY_USES, id)?))
        })
        .await?;
    let action = "GetAccessKeyLastUsed";
    let Some(key) = key else {
        return Err(Error::AccessDenied(format!(
            "User: {} is not authorized to perform: iam:{action} on resource: access key {id}",
            ctx.caller.arn
        )));
    };
    match &key.user {
        Some(name) => {
            access::existing::<User>(&ctx, action, name).await?;
        }
        None => {
            let root = Arn::new("iam", "", &ctx.account, "root").to_string();
            access::require(&ctx, action, &root, Keys::new()).await?;
        }
    }
    let access_key_last_used = match used {
        Some(used) => AccessKeyLastUsed {
            last_used_date: Some(date(used.at)),
            service_name: used.service,
            region: used.region,
        },
        None => AccessKeyLastUsed {
            last_used_date: None,
            service_name: NEVER_USED.to_owned(),
            region: NEVER_USED.to_owned(),
        },
    };
    Ok(GetAccessKeyLastUsedOutput {
        user_name: key.user,
        access_key_last_used: Some(access_key_last_used),
    })
}
