//! Instance profiles of instances: at launch and while they run.

use base::ResourceId;
use ec2_api::{
    AssociateIamInstanceProfileInput, AssociateIamInstanceProfileOutput,
    DescribeIamInstanceProfileAssociationsInput, DescribeIamInstanceProfileAssociationsOutput,
    DisassociateIamInstanceProfileInput, DisassociateIamInstanceProfileOutput, IamInstanceProfile,
    IamInstanceProfileAssociation, IamInstanceProfileAssociationState,
    ReplaceIamInstanceProfileAssociationInput, ReplaceIamInstanceProfileAssociationOutput,
};
use kernel::ServiceError;
use policy::{Kind, NamedPolicy, Policy, Principal, Reach, Request};
use store::{ReadTx, WriteTx};

use super::settings::{ProfileName, profile_name};
use super::store::{INSTANCES, Instance, Profile, ROLE_CREDENTIALS, State};
use crate::Ctx;
use crate::error::{Error, Result};
use crate::listing::{self, Asked, Field};

/// The profile that is named, with a new association. It must hold a role.
pub(super) async fn find(ctx: &Ctx, name: &ProfileName) -> Result<Profile> {
    let (text, arn, parameter) = match name {
        ProfileName::Arn(arn) => (arn.clone(), arn.clone(), "iamInstanceProfile.arn"),
        ProfileName::Name(name) => {
            let arn = base::Arn::new("iam", "", &ctx.account, format!("instance-profile/{name}"));
            (name.clone(), arn.to_string(), "iamInstanceProfile.name")
        }
    };
    let invalid = |why: &str| {
        Error::value(format!("Value ({text}) for parameter {parameter} is invalid. {why}"))
    };
    if matches!(name, ProfileName::Arn(_)) && super::profile_in(&arn).is_none() {
        return Err(invalid("Invalid IAM Instance Profile ARN"));
    }
    let role = ctx.kernel().identity().instance_profile_role(&ctx.account, &text).await?;
    let role = role.ok_or_else(|| invalid("Invalid IAM Instance Profile name"))?;
    require_pass_role(ctx, &role.arn.to_string()).await?;
    Ok(Profile { association: ctx.id("iip-assoc"), arn, id: String::new(), since: ctx.now() })
}

/// Refuses who may not hand `role` to instances. Which role a profile holds is known only here,
/// so no access rule can ask it.
///
/// AWS: "Grant a user permissions to pass a role to an AWS service".
async fn require_pass_role(ctx: &Ctx, role: &str) -> Result<()> {
    let principal = &ctx.caller.principal;
    if let Principal::Root { .. } = principal {
        return Ok(());
    }
    let mut policies = ctx.kernel().identity().policies(principal).await?.unwrap_or_default();
    for text in &ctx.caller.session_policies {
        let parsed = Policy::parse(text, Kind::Session).map_err(ServiceError::internal)?;
        policies.session.push(NamedPolicy::new("session policy", parsed));
    }
    let mut context = ctx.context();
    context.set("iam:PassedToService", "ec2.amazonaws.com");
    let request = Request { action: "iam:PassRole", resource: role, principal, context: &context };
    match policy::evaluate(&policies, &request, Reach::SameAccount).denial(&request) {
        None => Ok(()),
        Some(why) => {
            let text = format!("You are not authorized to perform this operation. {why}");
            Err(ServiceError::new("UnauthorizedOperation", text).status(403).into())
        }
    }
}

fn described(
    instance: &ResourceId,
    profile: &Profile,
    state: IamInstanceProfileAssociationState,
) -> IamInstanceProfileAssociation {
    IamInstanceProfileAssociation {
        association_id: Some(profile.association.to_string()),
        instance_id: Some(instance.to_string()),
        iam_instance_profile: Some(IamInstanceProfile {
            arn: Some(profile.arn.clone()),
            id: Some(profile.id.clone()).filter(|id| !id.is_empty()),
        }),
        state: Some(state),
        timestamp: Some(profile.since),
    }
}

/// Gives an instance a profile.
///
/// AWS: AssociateIamInstanceProfile.
pub(crate) async fn associate_iam_instance_profile(
    ctx: Ctx,
    input: AssociateIamInstanceProfileInput,
) -> Result<AssociateIamInstanceProfileOutput> {
    let given = &input.iam_instance_profile;
    let profile = find(&ctx, &profile_name(given.arn.as_ref(), given.name.as_ref())?).await?;
    let write = |tx: &mut WriteTx<'_>| {
        let mut instance = super::get(tx, &input.instance_id)?;
        if instance.state.is_ending() {
            return Err(Error::IncorrectInstanceState(format!(
                "The instance '{}' is not in the 'running' or 'stopped' states.",
                instance.id
            )));
        }
        if instance.profile.is_some() {
            return Err(Error::IncorrectState(format!(
                "There is an existing association for instance {}",
                instance.id
            )));
        }
        instance.profile = Some(profile.clone());
        tx.put(&INSTANCES, &instance)?;
        Ok(instance.id)
    };
    let id = ctx.store.write(write).await?;
    let state = IamInstanceProfileAssociationState::Associating;
    Ok(AssociateIamInstanceProfileOutput {
        iam_instance_profile_association: Some(described(&id, &profile, state)),
    })
}

/// The instance of an association.
fn by_association(tx: &ReadTx<'_>, association: &str) -> Result<(Instance, Profile)> {
    let all = tx.scan(&INSTANCES, ())?;
    let found = all.into_iter().find_map(|instance| {
        let profile = instance.profile.clone()?;
        (profile.association.as_str() == association).then_some((instance, profile))
    });
    found.ok_or_else(|| Error::ProfileAssociationNotFound(association.to_owned()))
}

/// Takes an instance's profile away; its credentials are told no more.
///
/// AWS: DisassociateIamInstanceProfile.
pub(crate) async fn disassociate_iam_instance_profile(
    ctx: Ctx,
    input: DisassociateIamInstanceProfileInput,
) -> Result<DisassociateIamInstanceProfileOutput> {
    let write = |tx: &mut WriteTx<'_>| {
        let (mut instance, profile) = by_association(tx, &input.association_id)?;
        instance.profile = None;
        tx.put(&INSTANCES, &instance)?;
        tx.delete(&ROLE_CREDENTIALS, &instance.id)?;
        Ok::<_, Error>((instance.id, profile))
    };
    let (id, profile) = ctx.store.write(write).await?;
    let state = IamInstanceProfileAssociationState::Disassociating;
    Ok(DisassociateIamInstanceProfileOutput {
        iam_instance_profile_association: Some(described(&id, &profile, state)),
    })
}

/// Gives an instance another profile in one step.
///
/// AWS: ReplaceIamInstanceProfileAssociation.
pub(crate) async fn replace_iam_instance_profile_association(
    ctx: Ctx,
    input: ReplaceIamInstanceProfileAssociationInput,
) -> Result<ReplaceIamInstanceProfileAssociationOutput> {
    let given = &input.iam_instance_profile;
    let profile = find(&ctx, &profile_name(given.arn.as_ref(), given.name.as_ref())?).await?;
    let write = |tx: &mut WriteTx<'_>| {
        let (mut instance, _) = by_association(tx, &input.association_id)?;
        instance.profile = Some(profile.clone());
        tx.put(&INSTANCES, &instance)?;
        tx.delete(&ROLE_CREDENTIALS, &instance.id)?;
        Ok::<_, Error>(instance.id)
    };
    let id = ctx.store.write(write).await?;
    let state = IamInstanceProfileAssociationState::Associating;
    Ok(ReplaceIamInstanceProfileAssociationOutput {
        iam_instance_profile_association: Some(described(&id, &profile, state)),
    })
}

const FIELDS: &[Field<IamInstanceProfileAssociation>] = &[
    ("instance-id", |a| listing::text(a.instance_id.as_ref())),
    ("state", |a| listing::shown(a.state)),
];

/// Tells which instances have which profile.
///
/// AWS: DescribeIamInstanceProfileAssociations.
pub(crate) async fn describe_iam_instance_profile_associations(
    ctx: Ctx,
    input: DescribeIamInstanceProfileAssociationsInput,
) -> Result<DescribeIamInstanceProfileAssociationsOutput> {
    let state = IamInstanceProfileAssociationState::Associated;
    let all = ctx.store.read(|tx| tx.scan(&INSTANCES, ())).await?;
    let all = all.iter().filter(|instance| instance.state != State::Terminated);
    let all = all.filter_map(|i| Some(described(&i.id, i.profile.as_ref()?, state))).collect();
    let id = |a: &IamInstanceProfileAssociation| a.association_id.clone().unwrap_or_default();
    let named = listing::named(
        all,
        &input.association_ids,
        |a| a.association_id.as_deref().unwrap_or_default(),
        Error::ProfileAssociationNotFound,
    )?;
    let selected = listing::select(named, &input.filters, FIELDS, |_| &[])?;
    let asked = Asked {
        ids: &input.association_ids,
        max_results: input.max_results,
        next_token: input.next_token.as_deref(),
    };
    let (iam_instance_profile_associations, next_token) = listing::page(selected, asked, id)?;
    Ok(DescribeIamInstanceProfileAssociationsOutput {
        iam_instance_profile_associations,
        next_token,
    })
}
