//! The account as a whole: its alias and what is in it.

use std::collections::BTreeMap;

use iam_api::{
    CreateAccountAliasInput, CreateAccountAliasOutput, DeleteAccountAliasInput,
    DeleteAccountAliasOutput, GetAccountSummaryInput, GetAccountSummaryOutput,
    ListAccountAliasesInput, ListAccountAliasesOutput,
};
use store::ReadTx;

use crate::Ctx;
use crate::access::{self, Keys};
use crate::access_key::KEYS_PER_USER_MAX;
use crate::attachment::ATTACHED_MAX;
use crate::entity::{Entity, Permitted};
use crate::error::{Error, Result};
use crate::group::GROUPS_PER_USER_MAX;
use crate::listing;
use crate::policy_version::VERSIONS_MAX;
use crate::store::{
    ALIASES, ALIASES_BY_ACCOUNT, Alias, Group, InstanceProfile, KEYS_BY_USER, MFA_BY_HOLDER,
    MFA_DEVICES, ManagedPolicy, OIDC_IDPS, Role, SAML_IDPS, SERVER_CERTS, SIGNING_BY_HOLDER, User,
};

/// Names the account, instead of the name it had.
///
/// AWS: CreateAccountAlias.
///
/// # Errors
///
/// [`Error::EntityAlreadyExists`] when an account has that alias.
pub(crate) async fn create_account_alias(
    ctx: Ctx,
    input: CreateAccountAliasInput,
) -> Result<CreateAccountAliasOutput> {
    access::require(&ctx, "CreateAccountAlias", "*", Keys::new()).await?;
    let alias = Alias { alias: input.account_alias, account: ctx.account.clone() };
    ctx.store
        .write(|tx| {
            if tx.contains(&ALIASES, &alias.alias)? {
                return Err(Error::EntityAlreadyExists(format!(
                    "The account alias {} already exists.",
                    alias.alias
                )));
            }
            for old in tx.find(&ALIASES_BY_ACCOUNT, ctx.account.as_str())? {
                tx.delete(&ALIASES, &old.alias)?;
            }
            Ok(tx.put(&ALIASES, &alias)?)
        })
        .await?;
    Ok(CreateAccountAliasOutput {})
}

/// Takes the account's alias away.
///
/// AWS: DeleteAccountAlias.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn delete_account_alias(
    ctx: Ctx,
    input: DeleteAccountAliasInput,
) -> Result<DeleteAccountAliasOutput> {
    access::require(&ctx, "DeleteAccountAlias", "*", Keys::new()).await?;
    ctx.store
        .write(|tx| {
            let found = tx.get(&ALIASES, &input.account_alias)?;
            let own = found.filter(|alias| alias.account == ctx.account).ok_or_else(|| {
                Error::NoSuchEntity(format!(
                    "The account alias {} cannot be found.",
                    input.account_alias
                ))
            })?;
            tx.delete(&ALIASES, &own.alias)?;
            Ok::<_, Error>(())
        })
        .await?;
    Ok(DeleteAccountAliasOutput {})
}

/// The account's alias, if it has one.
///
/// AWS: ListAccountAliases.
pub(crate) async fn list_account_aliases(
    ctx: Ctx,
    input: ListAccountAliasesInput,
) -> Result<ListAccountAliasesOutput> {
    access::require(&ctx, "ListAccountAliases", "*", Keys::new()).await?;
    let found = ctx.store.read(|tx| tx.find(&ALIASES_BY_ACCOUNT, ctx.account.as_str())).await?;
    let names = found.into_iter().map(|alias| alias.alias).collect();
    let page = listing::page(names, input.marker.as_deref(), input.max_items, String::clone)?;
    Ok(ListAccountAliasesOutput {
        account_aliases: page.items,
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
    })
}

/// How much of what the account has, and how much it may have.
///
/// AWS: GetAccountSummary.
pub(crate) async fn get_account_summary(
    ctx: Ctx,
    _input: GetAccountSummaryInput,
) -> Result<GetAccountSummaryOutput> {
    access::require(&ctx, "GetAccountSummary", "*", Keys::new()).await?;
    let counts = ctx.store.read(|tx| counts(tx, ctx.account.as_str())).await?;
    let quotas = [
        ("UsersQuota", User::QUOTA.1),
        ("GroupsQuota", Group::QUOTA.1),
        ("RolesQuota", Role::QUOTA.1),
        ("PoliciesQuota", ManagedPolicy::QUOTA.1),
        ("InstanceProfilesQuota", InstanceProfile::QUOTA.1),
        ("UserPolicySizeQuota", User::INLINE_CHARS_MAX),
        ("GroupPolicySizeQuota", Group::INLINE_CHARS_MAX),
        ("RolePolicySizeQuota", Role::INLINE_CHARS_MAX),
        ("AssumeRolePolicySizeQuota", crate::document::TRUST_CHARS_MAX),
        ("PolicySizeQuota", crate::document::MANAGED_CHARS_MAX),
        ("GroupsPerUserQuota", GROUPS_PER_USER_MAX),
        ("AccessKeysPerUserQuota", KEYS_PER_USER_MAX),
        ("AttachedPoliciesPerUserQuota", ATTACHED_MAX),
        ("AttachedPoliciesPerGroupQuota", ATTACHED_MAX),
        ("AttachedPoliciesPerRoleQuota", ATTACHED_MAX),
        ("VersionsPerPolicyQuota", VERSIONS_MAX),
        ("ServerCertificatesQuota", crate::server_certificate::CERTIFICATES_MAX),
        ("SigningCertificatesPerUserQuota", crate::signing_certificate::CERTIFICATES_MAX),
        // Session tokens of this region are of the second version: good in every region.
        ("GlobalEndpointTokenVersion", 2),
    ];
    let summary_map: BTreeMap<String, i32> = counts
        .into_iter()
        .chain(quotas)
        .map(|(name, count)| (name.to_owned(), i32::try_from(count).unwrap_or(i32::MAX)))
        .collect();
    Ok(GetAccountSummaryOutput { summary_map })
}

fn counts(tx: &ReadTx<'_>, account: &str) -> Result<Vec<(&'static str, usize)>> {
    let policies = tx.scan(&ManagedPolicy::TABLE, ())?;
    let root = (account.to_owned(), String::new());
    let devices = tx.scan(&MFA_DEVICES, ())?;
    let root_mfa = tx.find_one(&MFA_BY_HOLDER, account)?.is_some();
    let root_certificates = tx.find_one(&SIGNING_BY_HOLDER, account)?.is_some();
    let root_has_keys = tx.find_one(&KEYS_BY_USER, root)?.is_some();
    Ok(vec![
        ("Users", tx.scan(&User::TABLE, ())?.len()),
        ("Groups", tx.scan(&Group::TABLE, ())?.len()),
        ("Roles", tx.scan(&Role::TABLE, ())?.len()),
        ("InstanceProfiles", tx.scan(&InstanceProfile::TABLE, ())?.len()),
        ("PolicyVersionsInUse", policies.iter().map(|policy| policy.versions.len()).sum()),
        ("Policies", policies.len()),
        ("AccountAccessKeysPresent", usize::from(root_has_keys)),
        ("MFADevices", devices.len()),
        ("MFADevicesInUse", devices.iter().filter(|device| device.holder.is_some()).count()),
        ("AccountMFAEnabled", usize::from(root_mfa)),
        // Nobody signs in with a root user's password here.
        ("AccountPasswordPresent", 0),
        ("AccountSigningCertificatesPresent", usize::from(root_certificates)),
        ("ServerCertificates", tx.scan(&SERVER_CERTS, ())?.len()),
        ("Providers", tx.scan(&SAML_IDPS, ())?.len() + tx.scan(&OIDC_IDPS, ())?.len()),
    ])
}
