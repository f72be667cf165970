//! Which services a user, group, role or policy gives access to, and when they were last asked.
//!
//! AWS: "Refine permissions in AWS using last accessed information".

use std::collections::{BTreeMap, BTreeSet};

use base::{Arn, Timestamp};
use iam_api::{
    AccessAdvisorUsageGranularityType, EntityDetails, EntityInfo,
    GenerateServiceLastAccessedDetailsInput, GenerateServiceLastAccessedDetailsOutput,
    GetServiceLastAccessedDetailsInput, GetServiceLastAccessedDetailsOutput,
    GetServiceLastAccessedDetailsWithEntitiesInput,
    GetServiceLastAccessedDetailsWithEntitiesOutput, JobStatusType,
    ListPoliciesGrantingServiceAccessEntry, ListPoliciesGrantingServiceAccessInput,
    ListPoliciesGrantingServiceAccessOutput, PolicyGrantingServiceAccess, PolicyOwnerEntityType,
    PolicyType, ServiceLastAccessed, TrackedActionLastAccessed,
};
use policy::{Kind, Policy, managed};
use store::ReadTx;

use crate::access::{self, Keys};
use crate::directory::managed_document;
use crate::entity::{Entity, date};
use crate::error::{Error, Result};
use crate::store::{
    ACCESSES, Access, GROUPS, Permissions, REPORTS, ROLES, Report, USERS, USERS_BY_GROUP,
};
use crate::{Ctx, listing};

/// Somebody who calls: a user or a role.
#[derive(Clone)]
struct Caller {
    info: EntityInfo,
}

/// A policy and who has it.
struct Granting {
    view: PolicyGrantingServiceAccess,
    services: BTreeSet<String>,
}

/// What an ARN is about: who may call by it, and the policies.
struct Subject {
    callers: Vec<Caller>,
    policies: Vec<Granting>,
}

fn invalid(arn: &str) -> Error {
    Error::InvalidInput(format!("{arn} is not the ARN of a user, group, role or policy."))
}

fn user(found: &crate::store::User, ctx: &Ctx) -> Caller {
    Caller {
        info: EntityInfo {
            arn: found.arn(&ctx.account).to_string(),
            name: found.name.clone(),
            type_: PolicyOwnerEntityType::User,
            id: found.id.clone(),
            path: Some(found.path.clone()),
        },
    }
}

fn role(found: &crate::store::Role, ctx: &Ctx) -> Caller {
    Caller {
        info: EntityInfo {
            arn: found.arn(&ctx.account).to_string(),
            name: found.name.clone(),
            type_: PolicyOwnerEntityType::Role,
            id: found.id.clone(),
            path: Some(found.path.clone()),
        },
    }
}

/// The services whose actions a document allows; `*` for all.
fn services_of(document: &str) -> BTreeSet<String> {
    let Ok(policy) = Policy::parse(document, Kind::Identity) else { return BTreeSet::new() };
    let mut services = BTreeSet::new();
    for outline in policy.outlines().filter(|outline| !outline.denies) {
        if outline.excludes_actions {
            services.insert("*".to_owned());
        } else {
            services.extend(outline.services);
        }
    }
    services
}

fn granting(
    tx: &ReadTx<'_>,
    permissions: &Permissions,
    owner: (PolicyOwnerEntityType, &str),
) -> Result<Vec<Granting>> {
    let mut all = Vec::new();
    for (name, document) in &permissions.inline {
        all.push(Granting {
            view: PolicyGrantingServiceAccess {
                policy_name: name.clone(),
                policy_type: PolicyType::Inline,
                entity_type: Some(owner.0),
                entity_name: Some(owner.1.to_owned()),
                policy_arn: None,
            },
            services: services_of(document),
        });
    }
    for arn in &permissions.attached {
        let document = managed_document(tx, arn)?.unwrap_or_default();
        all.push(Granting {
            view: PolicyGrantingServiceAccess {
                policy_name: arn.rsplit('/').next().unwrap_or_default().to_owned(),
                policy_type: PolicyType::Managed,
                policy_arn: Some(arn.clone()),
                entity_type: None,
                entity_name: None,
            },
            services: services_of(&document),
        });
    }
    Ok(all)
}

/// What the ARN is about.
fn subject(tx: &ReadTx<'_>, ctx: &Ctx, arn: &str) -> Result<Subject> {
    let parsed: Arn = arn.parse().map_err(|_| invalid(arn))?;
    let (kind, rest) = parsed.resource.split_once('/').ok_or_else(|| invalid(arn))?;
    let name = rest.rsplit('/').next().unwrap_or_default();
    let missing = || Error::NoSuchEntity(format!("ARN {arn} not found"));
    let here = |own: String| if own == arn { Ok(()) } else { Err(missing()) };
    match kind {
        "user" => {
            let found = tx.get(&USERS, name)?.ok_or_else(missing)?;
            here(found.arn(&ctx.account).to_string())?;
            let owner = (PolicyOwnerEntityType::User, name);
            let mut policies = granting(tx, &found.permissions, owner)?;
            for group in &found.groups {
                if let Some(group) = tx.get(&GROUPS, group)? {
                    let owner = (PolicyOwnerEntityType::Group, group.name.as_str());
                    policies.extend(granting(tx, &group.permissions, owner)?);
                }
            }
            Ok(Subject { callers: vec![user(&found, ctx)], policies })
        }
        "role" => {
            let found = tx.get(&ROLES, name)?.ok_or_else(missing)?;
            here(found.arn(&ctx.account).to_string())?;
            let owner = (PolicyOwnerEntityType::Role, name);
            let policies = granting(tx, &found.permissions, owner)?;
            Ok(Subject { callers: vec![role(&found, ctx)], policies })
        }
        "group" => {
            let found = tx.get(&GROUPS, name)?.ok_or_else(missing)?;
            here(found.arn(&ctx.account).to_string())?;
            let owner = (PolicyOwnerEntityType::Group, name);
            let policies = granting(tx, &found.permissions, owner)?;
            let members = tx.find(&USERS_BY_GROUP, name)?;
            Ok(Subject { callers: members.iter().map(|m| user(m, ctx)).collect(), policies })
        }
        "policy" => {
            if managed::find(arn).is_none() && parsed.account != ctx.account.as_str() {
                return Err(missing());
            }
            managed_document(tx, arn)?.ok_or_else(missing)?;
            let only = Permissions { attached: [arn.to_owned()].into(), ..Permissions::default() };
            let policies = granting(tx, &only, (PolicyOwnerEntityType::User, ""))?;
            let has = |permissions: &Permissions| permissions.attached.contains(arn);
            let mut callers = Vec::new();
            for found in tx.scan(&USERS, ())? {
                let mut by_group = false;
                for group in &found.groups {
                    by_group |= tx.get(&GROUPS, group)?.is_some_and(|g| has(&g.permissions));
                }
                if by_group || has(&found.permissions) {
                    callers.push(user(&found, ctx));
                }
            }
            let roles = tx.scan(&ROLES, ())?;
            callers.extend(roles.iter().filter(|r| has(&r.permissions)).map(|r| role(r, ctx)));
            Ok(Subject { callers, policies })
        }
        _ => Err(invalid(arn)),
    }
}

/// Starts a report. It is made when it is asked for, from what was seen up to then.
///
/// AWS: GenerateServiceLastAccessedDetails.
///
/// # Errors
///
/// [`Error::NoSuchEntity`], [`Error::InvalidInput`].
pub(crate) async fn generate_service_last_accessed_details(
    ctx: Ctx,
    input: GenerateServiceLastAccessedDetailsInput,
) -> Result<GenerateServiceLastAccessedDetailsOutput> {
    let action = "GenerateServiceLastAccessedDetails";
    access::require(&ctx, action, &input.arn, Keys::new()).await?;
    let report = Report {
        id: ctx.random().uuid(),
        made: ctx.now(),
        actions: input.granularity == Some(AccessAdvisorUsageGranularityType::ActionLevel),
        text: input.arn,
    };
    ctx.store
        .write(|tx| {
            subject(tx, &ctx, &report.text)?;
            Ok::<_, Error>(tx.put(&REPORTS, &report)?)
        })
        .await?;
    Ok(GenerateServiceLastAccessedDetailsOutput { job_id: Some(report.id) })
}

fn job(tx: &ReadTx<'_>, id: &str) -> Result<Report> {
    tx.get(&REPORTS, id)?
        .filter(|report| report.text.starts_with("arn:"))
        .ok_or_else(|| Error::NoSuchEntity(format!("Job with id {id} cannot be found.")))
}

/// The services that the subject may use, each with all accesses to it.
fn accesses(
    tx: &ReadTx<'_>,
    ctx: &Ctx,
    subject: &Subject,
) -> Result<BTreeMap<String, Vec<(EntityInfo, Access)>>> {
    let mut names: BTreeSet<String> =
        subject.policies.iter().flat_map(|granting| granting.services.iter().cloned()).collect();
    if names.remove("*") {
        names.extend(ctx.kernel().services().filter_map(|def| namespace(def.name)));
    }
    let mut found: BTreeMap<String, Vec<(EntityInfo, Access)>> =
        names.into_iter().map(|name| (name, Vec::new())).collect();
    for caller in &subject.callers {
        for access in tx.scan(&ACCESSES, (caller.info.id.clone(),))? {
            if let Some(list) = found.get_mut(&access.service) {
                list.push((caller.info.clone(), access));
            }
        }
    }
    Ok(found)
}

/// How policies call a service, by boto3's name for it.
fn namespace(service: &str) -> Option<String> {
    protocol::schema::service(service).map(|schema| schema.signing_name.to_owned())
}

/// What people call a service, by its name in policies.
fn display_name(ctx: &Ctx, namespace: &str) -> String {
    let schemas = ctx.kernel().services().filter_map(|def| protocol::schema::service(def.name));
    let named = schemas.into_iter().find(|schema| schema.signing_name == namespace);
    named.map_or_else(|| namespace.to_owned(), |schema| format!("AWS {}", schema.service_id))
}

/// The report by services.
///
/// AWS: GetServiceLastAccessedDetails.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn get_service_last_accessed_details(
    ctx: Ctx,
    input: GetServiceLastAccessedDetailsInput,
) -> Result<GetServiceLastAccessedDetailsOutput> {
    access::require(&ctx, "GetServiceLastAccessedDetails", "*", Keys::new()).await?;
    let (report, found) = ctx
        .store
        .read(|tx| {
            let report = job(tx, &input.job_id)?;
            let subject = subject(tx, &ctx, &report.text)?;
            let found = accesses(tx, &ctx, &subject)?;
            Ok::<_, Error>((report, found))
        })
        .await?;
    let services = found.into_iter().map(|(name, mut list)| {
        list.sort_by_key(|(_, access)| access.at);
        let last = list.last();
        let mut actions: BTreeMap<String, (Timestamp, String, String)> = BTreeMap::new();
        for (info, access) in list.iter().filter(|_| report.actions) {
            for (action, at) in &access.actions {
                let newest = actions.get(action).is_none_or(|(other, ..)| other < at);
                if newest {
                    let entry = (*at, info.arn.clone(), access.region.clone());
                    actions.insert(action.clone(), entry);
                }
            }
        }
        ServiceLastAccessed {
            service_name: display_name(&ctx, &name),
            service_namespace: name,
            last_authenticated: last.map(|(_, access)| date(access.at)),
            last_authenticated_entity: last.map(|(info, _)| info.arn.clone()),
            last_authenticated_region: last.map(|(_, access)| access.region.clone()),
            total_authenticated_entities: i32::try_from(list.len()).ok(),
            tracked_actions_last_accessed: actions
                .into_iter()
                .map(|(name, (at, entity, region))| TrackedActionLastAccessed {
                    action_name: Some(name),
                    last_accessed_entity: Some(entity),
                    last_accessed_time: Some(date(at)),
                    last_accessed_region: Some(region),
                })
                .collect(),
        }
    });
    let page = listing::page(
        services.collect(),
        input.marker.as_deref(),
        input.max_items,
        |service: &ServiceLastAccessed| service.service_namespace.clone(),
    )?;
    Ok(GetServiceLastAccessedDetailsOutput {
        job_status: JobStatusType::Completed,
        job_type: Some(if report.actions {
            AccessAdvisorUsageGranularityType::ActionLevel
        } else {
            AccessAdvisorUsageGranularityType::ServiceLevel
        }),
        job_creation_date: date(report.made),
        job_completion_date: date(report.made),
        services_last_accessed: page.items,
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
        error: None,
    })
}

/// The report by who asked one service.
///
/// AWS: GetServiceLastAccessedDetailsWithEntities.
///
/// # Errors
///
/// [`Error::NoSuchEntity`].
pub(crate) async fn get_service_last_accessed_details_with_entities(
    ctx: Ctx,
    input: GetServiceLastAccessedDetailsWithEntitiesInput,
) -> Result<GetServiceLastAccessedDetailsWithEntitiesOutput> {
    access::require(&ctx, "GetServiceLastAccessedDetailsWithEntities", "*", Keys::new()).await?;
    let (report, callers, mut found) = ctx
        .store
        .read(|tx| {
            let report = job(tx, &input.job_id)?;
            let subject = subject(tx, &ctx, &report.text)?;
            let found = accesses(tx, &ctx, &subject)?;
            Ok::<_, Error>((report, subject.callers, found))
        })
        .await?;
    let list = found.remove(&input.service_namespace).ok_or_else(|| {
        Error::NoSuchEntity(format!(
            "Service namespace {} does not exist.",
            input.service_namespace
        ))
    })?;
    let details = callers
        .into_iter()
        .map(|caller| EntityDetails {
            last_authenticated: list
                .iter()
                .find(|(info, _)| info.arn == caller.info.arn)
                .map(|(_, access)| date(access.at)),
            entity_info: caller.info,
        })
        .collect();
    let page = listing::page(
        details,
        input.marker.as_deref(),
        input.max_items,
        |details: &EntityDetails| details.entity_info.arn.clone(),
    )?;
    Ok(GetServiceLastAccessedDetailsWithEntitiesOutput {
        job_status: JobStatusType::Completed,
        job_creation_date: date(report.made),
        job_completion_date: date(report.made),
        entity_details_list: page.items,
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
        error: None,
    })
}

/// The policies by which somebody may use services.
///
/// AWS: ListPoliciesGrantingServiceAccess.
///
/// # Errors
///
/// [`Error::NoSuchEntity`], [`Error::InvalidInput`].
pub(crate) async fn list_policies_granting_service_access(
    ctx: Ctx,
    input: ListPoliciesGrantingServiceAccessInput,
) -> Result<ListPoliciesGrantingServiceAccessOutput> {
    let action = "ListPoliciesGrantingServiceAccess";
    access::require(&ctx, action, &input.arn, Keys::new()).await?;
    let subject = ctx.store.read(|tx| subject(tx, &ctx, &input.arn)).await?;
    let entries = input.service_namespaces.iter().map(|namespace| {
        let grants =
            |g: &&Granting| g.services.contains("*") || g.services.contains(namespace.as_str());
        let policies = subject.policies.iter().filter(grants).map(|g| g.view.clone()).collect();
        ListPoliciesGrantingServiceAccessEntry {
            service_namespace: Some(namespace.clone()),
            policies,
        }
    });
    let page = listing::page(entries.collect(), input.marker.as_deref(), None, |entry| {
        entry.service_namespace.clone().unwrap_or_default()
    })?;
    Ok(ListPoliciesGrantingServiceAccessOutput {
        policies_granting_service_access: page.items,
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
    })
}
