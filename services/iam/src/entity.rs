//! What users, groups, roles, instance profiles and customer managed policies have in common.

use base::{AccountId, Arn, Tags, Timestamp};
use store::{Index, ReadTx, Record, Table};

use crate::error::{Error, Result};
use crate::store::{
    GROUPS, GROUPS_BY_NAME, Group, InstanceProfile, ManagedPolicy, POLICIES, POLICIES_BY_NAME,
    PROFILES, PROFILES_BY_NAME, Permissions, ROLES, ROLES_BY_NAME, Role, USERS, USERS_BY_NAME,
    User,
};

/// Something that has a name, a path and an ARN.
pub(crate) trait Entity: Record<Key = String> + Send + Sync + 'static {
    /// How ARNs call it, as `instance-profile`.
    const ARN_TYPE: &'static str;
    const TABLE: Table<Self>;
    const BY_NAME: Index<Self, String>;
    /// The quota on their number, by AWS's name.
    ///
    /// AWS: "IAM and AWS STS quotas", IAM resource quotas.
    const QUOTA: (&'static str, usize);

    fn name(&self) -> &str;
    fn path(&self) -> &str;
    fn tags(&self) -> Option<&Tags>;
    fn boundary(&self) -> Option<&str>;
    /// There is none called `name`.
    fn missing(name: &str) -> Error;
    /// Another is called `name`.
    fn taken(name: &str) -> Error;

    fn arn(&self, account: &AccountId) -> Arn {
        arn_of::<Self>(account, self.path(), self.name())
    }
}

/// An entity that policies give permissions.
pub(crate) trait Permitted: Entity {
    /// As messages call it.
    const NOUN: &'static str;
    /// The most characters of its inline policies together, white space not counted.
    ///
    /// AWS: "IAM and AWS STS quotas", IAM and STS character limits.
    const INLINE_CHARS_MAX: usize;
    /// The quota on its managed policies, by AWS's name.
    const ATTACHED_QUOTA: &'static str;

    fn permissions(&self) -> &Permissions;
    fn permissions_mut(&mut self) -> &mut Permissions;
    /// Whether only AWS may change it.
    fn is_protected(&self) -> bool;
}

/// An entity that can be tagged.
pub(crate) trait Tagged: Entity {
    fn tags_mut(&mut self) -> &mut Tags;
}

/// The ARN of an entity called `name` under `path`.
pub(crate) fn arn_of<E: Entity>(account: &AccountId, path: &str, name: &str) -> Arn {
    Arn::new("iam", "", account, format!("{}{path}{name}", E::ARN_TYPE))
}

/// The entity called `name`.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) fn get<E: Entity>(tx: &ReadTx<'_>, name: &str) -> Result<E> {
    tx.get(&E::TABLE, name)?.ok_or_else(|| E::missing(name))
}

/// The entity called `name`, if it may be changed.
///
/// # Errors
///
/// [`Error::NoSuchEntity`], and [`Error::UnmodifiableEntity`] for a service-linked role.
pub(crate) fn get_modifiable<E: Permitted>(tx: &ReadTx<'_>, name: &str) -> Result<E> {
    let found: E = get(tx, name)?;
    if found.is_protected() {
        return Err(Error::UnmodifiableEntity(name.to_owned()));
    }
    Ok(found)
}

/// Refuses a name that is taken, in any case, and one entity too many.
///
/// # Errors
///
/// [`Error::EntityAlreadyExists`], [`Error::LimitExceeded`].
pub(crate) fn require_room<E: Entity>(tx: &ReadTx<'_>, name: &str) -> Result<()> {
    require_free::<E>(tx, name)?;
    let (quota, max) = E::QUOTA;
    if tx.scan(&E::TABLE, ())?.len() >= max {
        return Err(Error::quota(quota, max));
    }
    Ok(())
}

/// Refuses a name that is taken, in any case.
///
/// # Errors
///
/// [`Error::EntityAlreadyExists`].
pub(crate) fn require_free<E: Entity>(tx: &ReadTx<'_>, name: &str) -> Result<()> {
    match tx.find_one(&E::BY_NAME, name.to_lowercase())? {
        Some(_) => Err(E::taken(name)),
        None => Ok(()),
    }
}

/// Refuses to delete what still has policies.
///
/// # Errors
///
/// [`Error::DeleteConflict`].
pub(crate) fn require_no_policies(permissions: &Permissions) -> Result<()> {
    if !permissions.attached.is_empty() {
        return Err(Error::DeleteConflict("detach all policies"));
    }
    if !permissions.inline.is_empty() {
        return Err(Error::DeleteConflict("delete policies"));
    }
    Ok(())
}

/// A date as IAM shows it: to the second.
pub(crate) fn date(at: Timestamp) -> Timestamp {
    Timestamp::from_secs(at.as_secs())
}

macro_rules! entity {
    ($record:ty, $arn_type:literal, $table:ident, $by_name:ident, $quota:expr,
     boundary: $boundary:expr, tags: $tags:expr,
     missing: $missing:literal, taken: $taken:literal) => {
        impl Entity for $record {
            const ARN_TYPE: &'static str = $arn_type;
            const TABLE: Table<Self> = $table;
            const BY_NAME: Index<Self, String> = $by_name;
            const QUOTA: (&'static str, usize) = $quota;

            fn name(&self) -> &str {
                &self.name
            }

            fn path(&self) -> &str {
                &self.path
            }

            fn tags(&self) -> Option<&Tags> {
                let of: fn(&Self) -> Option<&Tags> = $tags;
                of(self)
            }

            fn boundary(&self) -> Option<&str> {
                let of: fn(&Self) -> Option<&str> = $boundary;
                of(self)
            }

            fn missing(name: &str) -> Error {
                Error::NoSuchEntity(format!($missing, name))
            }

            fn taken(name: &str) -> Error {
                Error::EntityAlreadyExists(format!($taken, name))
            }
        }
    };
}

entity!(
    User, "user", USERS, USERS_BY_NAME, ("UsersPerAccount", 5000),
    boundary: |user| user.permissions.boundary.as_deref(),
    tags: |user| Some(&user.tags),
    missing: "The user with name {} cannot be found.",
    taken: "User with name {} already exists."
);
entity!(
    Group, "group", GROUPS, GROUPS_BY_NAME, ("GroupsPerAccount", 300),
    boundary: |_| None,
    tags: |_| None,
    missing: "The group with name {} cannot be found.",
    taken: "Group with name {} already exists."
);
entity!(
    Role, "role", ROLES, ROLES_BY_NAME, ("RolesPerAccount", 1000),
    boundary: |role| role.permissions.boundary.as_deref(),
    tags: |role| Some(&role.tags),
    missing: "The role with name {} cannot be found.",
    taken: "Role with name {} already exists."
);
entity!(
    InstanceProfile, "instance-profile", PROFILES, PROFILES_BY_NAME,
    ("InstanceProfilesPerAccount", 1000),
    boundary: |_| None,
    tags: |profile| Some(&profile.tags),
    missing: "Instance Profile {} cannot be found.",
    taken: "Instance Profile {} already exists."
);
entity!(
    ManagedPolicy, "policy", POLICIES, POLICIES_BY_NAME, ("PoliciesPerAccount", 1500),
    boundary: |_| None,
    tags: |policy| Some(&policy.tags),
    missing: "Policy {} was not found.",
    taken: "A policy called {} already exists. Duplicate names are not allowed."
);

macro_rules! permitted {
    ($record:ty, $noun:literal, $chars:literal, $quota:literal, protected: $protected:expr) => {
        impl Permitted for $record {
            const NOUN: &'static str = $noun;
            const INLINE_CHARS_MAX: usize = $chars;
            const ATTACHED_QUOTA: &'static str = $quota;

            fn permissions(&self) -> &Permissions {
                &self.permissions
            }

            fn permissions_mut(&mut self) -> &mut Permissions {
                &mut self.permissions
            }

            fn is_protected(&self) -> bool {
                let of: fn(&Self) -> bool = $protected;
                of(self)
            }
        }
    };
}

permitted!(User, "user", 2048, "PoliciesPerUser", protected: |_| false);
permitted!(Group, "group", 5120, "PoliciesPerGroup", protected: |_| false);
permitted!(Role, "role", 10_240, "PoliciesPerRole", protected: |role| role.linked_service.is_some());

macro_rules! tagged {
    ($($record:ty),*) => {
        $(impl Tagged for $record {
            fn tags_mut(&mut self) -> &mut Tags {
                &mut self.tags
            }
        })*
    };
}

tagged!(User, Role, InstanceProfile, ManagedPolicy);
