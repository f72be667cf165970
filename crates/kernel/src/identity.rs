//! The seam to whoever keeps users, roles and keys (the service `iam`), and the authentication of
//! what a request claims.

use async_trait::async_trait;
use base::{AccountId, Arn};
use policy::{PolicySet, Principal};
use protocol::ServiceError;

use crate::ctx::Caller;
use crate::session::Sealer;

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

/// What bears on what a principal may do.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    /// Its identity policies and its boundary.
    pub policies: PolicySet,
    /// Its tags: the user's, or the role's, not the session's.
    pub tags: base::Tags,
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

/// An OpenID Connect provider that an account trusts.
#[derive(Debug, Clone)]
pub struct OidcProvider {
    /// Its ARN.
    pub arn: String,
    /// The issuer without its scheme, as `token.actions.githubusercontent.com`.
    pub issuer: String,
    /// The audiences it may speak to.
    pub client_ids: Vec<String>,
    /// SHA-1 thumbprints of certificates that vouch for it, in hexadecimal.
    pub thumbprints: Vec<String>,
}

/// A SAML provider that an account trusts.
#[derive(Debug, Clone)]
pub struct SamlProvider {
    /// Its ARN.
    pub arn: String,
    /// Its name.
    pub name: String,
    /// Its metadata document.
    pub metadata: String,
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

    /// As [`Identity::policies`], with the principal's tags.
    async fn standing(&self, principal: &Principal) -> Result<Option<Standing>, ServiceError> {
        let tags = base::Tags::new();
        Ok(self.policies(principal).await?.map(|policies| Standing { policies, tags }))
    }

    /// Enters an account that an organization made. It may be there already.
    async fn account_made(&self, _account: &AccountId) -> Result<(), ServiceError> {
        Ok(())
    }

    /// Notes that `caller` asked something of `service`, for what tells who used what last.
    async fn accessed(&self, _caller: &Caller, _service: &str, _operation: &str, _region: &str) {}

    /// Whether the MFA device `serial` belongs to this user (none: the root user) and shows
    /// `code` now. A code is good once. `sealer` opens the device's seed.
    async fn authenticates(
        &self,
        _sealer: &Sealer,
        _account: &AccountId,
        _user: Option<&str>,
        _serial: &str,
        _code: &str,
    ) -> Result<bool, ServiceError> {
        Ok(false)
    }

    /// The document in force of the managed policy `arn`, as `account` sees it.
    async fn managed_policy(
        &self,
        _account: &AccountId,
        _arn: &str,
    ) -> Result<Option<String>, ServiceError> {
        Ok(None)
    }

    /// The OpenID Connect provider of `account` for `issuer`, which is without its scheme.
    async fn oidc_provider(
        &self,
        _account: &AccountId,
        _issuer: &str,
    ) -> Result<Option<OidcProvider>, ServiceError> {
        Ok(None)
    }

    /// The SAML provider of `account` called `name`.
    async fn saml_provider(
        &self,
        _account: &AccountId,
        _name: &str,
    ) -> Result<Option<SamlProvider>, ServiceError> {
        Ok(None)
    }

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
