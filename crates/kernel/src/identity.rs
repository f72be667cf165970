//! The seam to whoever keeps users, roles and keys (the service `iam`), and the authentication of
//! what a request claims.

use async_trait::async_trait;
use base::{AccountId, Arn};
use policy::{PolicySet, Principal};
use protocol::ServiceError;

use crate::ctx::Caller;

/// A long-term access key.
#[derive(Debug, Clone)]
pub struct AccessKey {
    /// The secret that signs.
    pub secret: String,
    /// Whether it may be used.
    pub active: bool,
    /// Whose it is.
    pub caller: Caller,
}

/// What a role says about itself.
#[derive(Debug, Clone)]
pub struct RoleInfo {
    /// The role's ARN.
    pub arn: Arn,
    /// Its unique id, `AROA…`.
    pub role_id: String,
    /// Its trust policy, JSON.
    pub trust_policy: String,
    /// The longest session it gives, in seconds.
    pub max_session_duration_secs: i64,
    /// Its tags.
    pub tags: base::Tags,
}

/// Users, roles, keys and their policies.
#[async_trait]
pub trait Identity: Send + Sync + 'static {
    /// The key called `id`, if there is one.
    async fn access_key(&self, id: &str) -> Result<Option<AccessKey>, ServiceError>;

    /// Notes that a key was used.
    async fn access_key_used(&self, id: &str, service: &str, region: &str);

    /// Every policy that bears on what `principal` may do, compiled; none when the principal is
    /// gone.
    async fn policies(&self, principal: &Principal) -> Result<Option<PolicySet>, ServiceError>;

    /// The role called `name` in `account`.
    async fn role(&self, account: &AccountId, name: &str)
    -> Result<Option<RoleInfo>, ServiceError>;

    /// The name of the role in an instance profile, by the profile's name or ARN.
    async fn instance_profile_role(
        &self,
        account: &AccountId,
        profile: &str,
    ) -> Result<Option<RoleInfo>, ServiceError>;

    /// The service-linked role of `service` (`autoscaling.amazonaws.com`), made if it is missing.
    async fn service_linked_role(
        &self,
        account: &AccountId,
        service: &str,
    ) -> Result<RoleInfo, ServiceError>;
}
