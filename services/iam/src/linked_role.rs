//! Service-linked roles: roles that only one service assumes and only AWS changes.
//!
//! AWS: "Create a service-linked role".

use std::time::Duration;

use base::{AccountId, Random, Tags, Timestamp};
use iam_api::{
    CreateServiceLinkedRoleInput, CreateServiceLinkedRoleOutput, DeleteServiceLinkedRoleInput,
    DeleteServiceLinkedRoleOutput, DeletionTaskStatusType, GetServiceLinkedRoleDeletionStatusInput,
    GetServiceLinkedRoleDeletionStatusOutput,
};
use policy::managed;

use crate::Ctx;
use crate::access::{self, Keys};
use crate::directory::unique_id;
use crate::entity::{self, Entity};
use crate::error::{Error, Result};
use crate::role::MAX_SESSION_DEFAULT_SECS;
use crate::store::{DELETIONS, Deletion, Permissions, ROLES, Role};

/// How long the status of a deletion can be asked for.
const DELETION_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);

/// A service that has a linked role.
struct Linked {
    /// Its principal.
    service: &'static str,
    /// The name of its role.
    role: &'static str,
    /// The policy of its role, an AWS managed one.
    policy: &'static str,
    /// Whether an account may have several, told apart by a suffix.
    suffixes: bool,
}

/// The services of this region that act through a linked role.
///
/// AWS: "AWS services that work with IAM", service-linked roles.
const LINKED: &[Linked] = &[
    Linked {
        service: "autoscaling.amazonaws.com",
        role: "AWSServiceRoleForAutoScaling",
        policy: "AutoScalingServiceRolePolicy",
        suffixes: true,
    },
    Linked {
        service: "elasticloadbalancing.amazonaws.com",
        role: "AWSServiceRoleForElasticLoadBalancing",
        policy: "AWSElasticLoadBalancingServiceRolePolicy",
        suffixes: false,
    },
    Linked {
        service: "rds.amazonaws.com",
        role: "AWSServiceRoleForRDS",
        policy: "AmazonRDSServiceRolePolicy",
        suffixes: false,
    },
    Linked {
        service: "elasticache.amazonaws.com",
        role: "AWSServiceRoleForElastiCache",
        policy: "ElastiCacheServiceRolePolicy",
        suffixes: false,
    },
    Linked {
        service: "ssm.amazonaws.com",
        role: "AWSServiceRoleForAmazonSSM",
        policy: "AmazonSSMServiceRolePolicy",
        suffixes: false,
    },
];

/// The name of the service-linked role of `service`; none for a service that has none.
pub(crate) fn name_of(service: &str, suffix: Option<&str>) -> Option<String> {
    let linked = LINKED.iter().find(|linked| linked.service == service)?;
    Some(match suffix {
        Some(suffix) => format!("{}_{suffix}", linked.role),
        None => linked.role.to_owned(),
    })
}

/// The service-linked role of `service` as it is made; none for a service that has none.
pub(crate) fn fresh(
    service: &str,
    suffix: Option<&str>,
    description: Option<String>,
    now: Timestamp,
    random: &dyn Random,
) -> Option<Role> {
    let linked = LINKED.iter().find(|linked| linked.service == service)?;
    let name = name_of(service, suffix)?;
    let policy = managed::all()
        .iter()
        .find(|policy| policy.is_for_service_linked_roles() && policy.name == linked.policy)?;
    Some(Role {
        id: unique_id("AROA", random),
        path: format!("/aws-service-role/{service}/"),
        created: now,
        trust_policy: format!(
            "{{\"Version\":\"2012-10-17\",\"Statement\":[{{\"Effect\":\"Allow\",\"Principal\":\
             {{\"Service\":\"{service}\"}},\"Action\":\"sts:AssumeRole\"}}]}}"
        ),
        description,
        max_session_secs: MAX_SESSION_DEFAULT_SECS,
        tags: Tags::new(),
        permissions: Permissions { attached: [policy.arn()].into(), ..Permissions::default() },
        linked_service: Some(service.to_owned()),
        name,
    })
}

/// Makes the linked role of a service.
///
/// AWS: CreateServiceLinkedRole.
///
/// # Errors
///
/// [`Error::InvalidInput`] for a role that is there, a service without linked roles, and a suffix
/// that the service does not take.
pub(crate) async fn create_service_linked_role(
    ctx: Ctx,
    input: CreateServiceLinkedRoleInput,
) -> Result<CreateServiceLinkedRoleOutput> {
    let service = input.aws_service_name.as_str();
    let suffix = input.custom_suffix.as_deref();
    let linked = LINKED.iter().find(|linked| linked.service == service);
    let name = linked.map_or(service, |linked| linked.role);
    let path = format!("/aws-service-role/{service}/");
    let keys = Keys::new().with("iam:AWSServiceName", service);
    access::may_create::<Role>(&ctx, "CreateServiceLinkedRole", &path, name, keys).await?;
    if suffix.is_some() && linked.is_some_and(|linked| !linked.suffixes) {
        return Err(Error::InvalidInput(format!("Custom suffix is not allowed for {service}")));
    }
    let role =
        fresh(service, suffix, input.description, ctx.now(), ctx.random()).ok_or_else(|| {
            Error::InvalidInput(format!(
                "Service-linked roles are not supported for the service {service}."
            ))
        })?;
    ctx.store
        .write(|tx| match entity::require_room::<Role>(tx, &role.name) {
            Ok(()) => Ok(tx.put(&ROLES, &role)?),
            Err(Error::EntityAlreadyExists(_)) => Err(Error::InvalidInput(format!(
                "Service role name {} has been taken in this account, please try a different \
                 suffix.",
                role.name
            ))),
            Err(other) => Err(other),
        })
        .await?;
    Ok(CreateServiceLinkedRoleOutput { role: Some(role.detail(&ctx.account)) })
}

/// Deletes a linked role. The service makes it anew when it needs it again.
///
/// AWS: DeleteServiceLinkedRole.
///
/// # Errors
///
/// [`Error::NoSuchEntity`], [`Error::InvalidInput`] for a role that is not linked.
pub(crate) async fn delete_service_linked_role(
    ctx: Ctx,
    input: DeleteServiceLinkedRoleInput,
) -> Result<DeleteServiceLinkedRoleOutput> {
    let role: Role = access::existing(&ctx, "DeleteServiceLinkedRole", &input.role_name).await?;
    let Some(service) = &role.linked_service else {
        return Err(Error::InvalidInput(format!(
            "Role {} is not a service-linked role.",
            role.name
        )));
    };
    let serial = ctx.random().text("0123456789abcdef", 32);
    let id = format!("task/aws-service-role/{service}/{}/{serial}", role.name);
    let deletion =
        Deletion { id: id.clone(), role: role.arn(&ctx.account).to_string(), at: ctx.now() };
    ctx.store
        .write(|tx| {
            for old in tx.scan(&DELETIONS, ())? {
                if deletion.at.since(old.at) > DELETION_KEPT {
                    tx.delete(&DELETIONS, &old.id)?;
                }
            }
            tx.delete(&ROLES, &role.name)?;
            Ok::<_, Error>(tx.put(&DELETIONS, &deletion)?)
        })
        .await?;
    Ok(DeleteServiceLinkedRoleOutput { deletion_task_id: id })
}

/// What became of the deletion of a linked role.
///
/// AWS: GetServiceLinkedRoleDeletionStatus.
///
/// # Errors
///
/// [`Error::NoSuchEntity`] for an id that no deletion has.
pub(crate) async fn get_service_linked_role_deletion_status(
    ctx: Ctx,
    input: GetServiceLinkedRoleDeletionStatusInput,
) -> Result<GetServiceLinkedRoleDeletionStatusOutput> {
    let id = &input.deletion_task_id;
    let found = ctx.store.read(|tx| tx.get(&DELETIONS, id)).await?;
    let resource = match &found {
        Some(deletion) => deletion.role.clone(),
        None => unknown_role(&ctx.account, id),
    };
    access::require(&ctx, "GetServiceLinkedRoleDeletionStatus", &resource, Keys::new()).await?;
    match found {
        // The record is written in the transaction that deletes the role.
        Some(_) => Ok(GetServiceLinkedRoleDeletionStatusOutput {
            status: DeletionTaskStatusType::Succeeded,
            reason: None,
        }),
        None => Err(Error::NoSuchEntity(format!("Deletion task {id} cannot be found."))),
    }
}

/// The ARN of the role that a deletion's id names.
fn unknown_role(account: &AccountId, id: &str) -> String {
    let role = id.strip_prefix("task").and_then(|rest| rest.rsplit_once('/'));
    let (path, name) =
        role.and_then(|(role, _)| role.rsplit_once('/')).unwrap_or(("/aws-service-role", "*"));
    entity::arn_of::<Role>(account, &format!("{path}/"), name).to_string()
}
