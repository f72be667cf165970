//! What instances are told about themselves, and the credentials of their roles.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use base::{Region, ResourceId};
use imds::{Credentials, HttpTokens, Iam, InstanceMetadata, InterfaceMetadata, Options, PublicKey};
use kernel::session::Subject;
use kernel::{Next, TaskError};
use store::{ReadTx, Scope, WriteTx};

use super::reconcile::{Place, place_of};
use super::store::{INSTANCES, Instance, ROLE_CREDENTIALS, RoleCredentials, State};
use super::{interfaces_of, network};
use crate::TaskCtx;
use crate::error::{Error, Result};
use crate::tags;
use crate::vpc::store::{Interface, SECURITY_GROUPS, SUBNETS, VPCS};

/// How long a role's credentials hold, and how long before their end new ones are told.
///
/// AWS: "IAM roles for Amazon EC2" (rotated at least five minutes before they expire).
const LIFETIME: Duration = Duration::from_secs(6 * 3600);
const ROTATED_BEFORE_END: Duration = Duration::from_secs(3600);

/// The service that holds the roles of instances.
const SERVICE: &str = "ec2.amazonaws.com";

/// Whether an instance asks for metadata: it runs, starts, or ends in order.
fn asks(instance: &Instance) -> bool {
    match instance.state {
        State::Pending | State::Running | State::Stopping | State::ShuttingDown => true,
        State::Stopped | State::Terminated => false,
    }
}

/// What each instance is told, by its VPC and by each of its private addresses. The transaction
/// sees all accounts.
pub(crate) fn documents(
    tx: &ReadTx<'_>,
    region: &Region,
) -> Result<BTreeMap<ResourceId, BTreeMap<IpAddr, InstanceMetadata>>> {
    let mut all: BTreeMap<ResourceId, BTreeMap<IpAddr, InstanceMetadata>> = BTreeMap::new();
    for (scope, instance) in tx.scan_all(&INSTANCES)? {
        if scope.region != *region || !asks(&instance) {
            continue;
        }
        let tx = tx.scope(&scope);
        let enis = interfaces_of(&tx, &instance.id)?;
        let document = document(&tx, &scope, &instance, &enis)?;
        for eni in &enis {
            let of_vpc = all.entry(eni.vpc.clone()).or_default();
            for address in &eni.addresses {
                of_vpc.insert(IpAddr::V4(address.address), document.clone());
            }
        }
    }
    Ok(all)
}

fn document(
    tx: &ReadTx<'_>,
    scope: &Scope,
    instance: &Instance,
    enis: &[Interface],
) -> Result<InstanceMetadata> {
    let region = &scope.region;
    let interfaces =
        enis.iter().map(|eni| interface(tx, scope, eni)).collect::<Result<Vec<_>>>()?;
    let primary = interfaces.first().cloned().unwrap_or_default();
    let shown_tags = tags::of(tx, &instance.id)?;
    let root = instance.root_device.trim_start_matches("/dev/").to_owned();
    Ok(InstanceMetadata {
        options: Options {
            http_tokens: if instance.metadata.tokens_required {
                HttpTokens::Required
            } else {
                HttpTokens::Optional
            },
            hop_limit: instance.metadata.hop_limit,
            endpoint_enabled: instance.metadata.endpoint,
            instance_tags: instance.metadata.tags,
        },
        instance_id: instance.id.to_string(),
        image_id: instance.image.clone(),
        launch_index: instance.launch_index,
        instance_type: instance.instance_type.clone(),
        life_cycle: "on-demand".to_owned(),
        reservation_id: instance.reservation.to_string(),
        local_hostname: format!("{}.{}", instance.hostname, network::private_domain(region)),
        local_ipv4: primary.local_ipv4s.first().copied(),
        public_hostname: primary.public_hostname.clone(),
        public_ipv4: primary.public_ipv4s.first().copied(),
        mac: primary.mac.clone(),
        security_groups: primary.security_groups.clone(),
        interfaces,
        availability_zone: instance.zone.to_string(),
        availability_zone_id: instance.zone.zone_id(),
        region: region.to_string(),
        block_devices: [
            ("ami".to_owned(), root.clone()),
            ("root".to_owned(), format!("/dev/{root}")),
        ]
        .into(),
        public_key: instance.key.as_ref().map(|key| PublicKey {
            name: key.name.clone(),
            openssh_key: format!("{}\n", key.openssh),
        }),
        iam: iam(tx, instance)?,
        tags: shown_tags,
        target_lifecycle_state: None,
        user_data: instance.user_data.clone(),
        account_id: scope.account.to_string(),
        architecture: "x86_64".to_owned(),
        pending_time: instance.launched.iso8601_seconds(),
    })
}

fn iam(tx: &ReadTx<'_>, instance: &Instance) -> Result<Option<Iam>> {
    let Some(profile) = &instance.profile else { return Ok(None) };
    let kept = tx.get(&ROLE_CREDENTIALS, &instance.id)?;
    let Some(kept) = kept.filter(|kept| kept.profile == profile.arn) else {
        return Ok(Some(Iam {
            instance_profile_arn: profile.arn.clone(),
            instance_profile_id: profile.id.clone(),
            ..Iam::default()
        }));
    };
    Ok(Some(Iam {
        instance_profile_arn: profile.arn.clone(),
        instance_profile_id: profile.id.clone(),
        role: kept.role_name,
        credentials: Some(Credentials {
            last_updated: kept.issued.iso8601_seconds(),
            access_key_id: kept.access_key_id,
            secret_access_key: kept.secret_access_key,
            token: kept.token,
            expiration: kept.expires.iso8601_seconds(),
        }),
    }))
}

fn interface(tx: &ReadTx<'_>, scope: &Scope, eni: &Interface) -> Result<InterfaceMetadata> {
    let region = &scope.region;
    let mut groups = Vec::new();
    for id in &eni.groups {
        groups.extend(tx.get(&SECURITY_GROUPS, id)?.map(|group| group.name));
    }
    let subnet = tx.get(&SUBNETS, &eni.subnet)?;
    let vpc = tx.get(&VPCS, &eni.vpc)?;
    let public: Vec<Ipv4Addr> =
        eni.addresses.iter().filter_map(|address| Some(address.public.as_ref()?.address)).collect();
    Ok(InterfaceMetadata {
        mac: eni.mac.to_string(),
        device_number: eni.attachment.as_ref().map_or(0, |at| u32::from(at.device_index)),
        interface_id: eni.id.to_string(),
        local_hostname: network::private_name(region, eni.primary()),
        local_ipv4s: eni.addresses.iter().map(|address| address.address).collect(),
        public_hostname: public.first().map(|address| network::public_name(region, *address)),
        public_ipv4s: public,
        owner_id: scope.account.to_string(),
        security_groups: groups,
        security_group_ids: eni.groups.iter().map(ToString::to_string).collect(),
        subnet_id: eni.subnet.to_string(),
        subnet_ipv4_cidr_block: subnet.map(|subnet| subnet.cidr.to_string()).unwrap_or_default(),
        vpc_id: eni.vpc.to_string(),
        vpc_ipv4_cidr_blocks: vpc
            .map(|vpc| vpc.blocks.iter().map(|block| block.cidr.to_string()).collect())
            .unwrap_or_default(),
    })
}

/// The instances whose roles have credentials to be kept fresh.
pub(crate) async fn keys(ctx: TaskCtx) -> std::result::Result<Vec<String>, TaskError> {
    let all = ctx.store.read(|tx| tx.scan_all(&INSTANCES)).await?;
    let wanted = all.iter().filter(|(scope, instance)| {
        scope.region == ctx.region && instance.profile.is_some() && asks(instance)
    });
    Ok(wanted.map(|(scope, instance)| format!("{}/{}", scope.account, instance.id)).collect())
}

/// Gives an instance new credentials before its old ones end.
pub(crate) async fn rotate(ctx: TaskCtx, key: String) -> std::result::Result<Next, TaskError> {
    let Some((place, id)) = place_of(&ctx, &key) else { return Ok(Next::Idle) };
    let Ok(id) = super::parse(id) else { return Ok(Next::Idle) };
    let instance = place.store.read(|tx| tx.get(&INSTANCES, &id)).await?;
    let Some(instance) = instance.filter(asks) else { return Ok(Next::Idle) };
    ensure_credentials(&ctx, &place, &instance).await?;
    let kept = place.store.read(|tx| tx.get(&ROLE_CREDENTIALS, &id)).await?;
    Ok(match kept {
        Some(kept) => Next::At(rotation(&kept)),
        // The profile holds no role now; it may be given one.
        None => Next::At(ctx.now() + Duration::from_secs(60)),
    })
}

/// When credentials are replaced.
fn rotation(kept: &RoleCredentials) -> base::Timestamp {
    let lasts = kept.expires.since(kept.issued).saturating_sub(ROTATED_BEFORE_END);
    kept.issued + lasts
}

/// Makes sure that the role in an instance's profile has credentials that still hold.
pub(super) async fn ensure_credentials(
    ctx: &TaskCtx,
    place: &Place,
    instance: &Instance,
) -> std::result::Result<(), TaskError> {
    let Some(profile) = &instance.profile else { return Ok(()) };
    let kept = place.store.read(|tx| tx.get(&ROLE_CREDENTIALS, &instance.id)).await?;
    let now = ctx.now();
    let role = ctx.kernel().identity().instance_profile_role(&place.account, &profile.arn).await?;
    let Some(role) = role else {
        place.store.write(|tx| tx.delete(&ROLE_CREDENTIALS, &instance.id)).await?;
        return Ok(());
    };
    let role_arn = role.arn.to_string();
    let fresh = kept.is_some_and(|kept| {
        kept.profile == profile.arn && kept.role_arn == role_arn && now < rotation(&kept)
    });
    if fresh {
        return Ok(());
    }
    let role_name = role.arn.name().rsplit('/').next().unwrap_or_default().to_owned();
    let subject = Subject::Role {
        role_arn: role_arn.clone(),
        role_id: role.role_id,
        session_name: instance.id.to_string(),
    };
    let sealer = ctx.kernel().sealer();
    let mut session = sealer.issue(place.account.clone(), subject, now, now + LIFETIME);
    session.service = Some(SERVICE.to_owned());
    let credentials = RoleCredentials {
        instance: instance.id.clone(),
        profile: profile.arn.clone(),
        role_arn,
        role_name,
        token: sealer.seal(&session),
        access_key_id: session.access_key_id,
        secret_access_key: session.secret_access_key,
        issued: session.issued,
        expires: session.expires,
    };
    let write = |tx: &mut WriteTx<'_>| {
        let kept = tx.get(&INSTANCES, &instance.id)?;
        if kept.is_some_and(|kept| kept.profile.is_some_and(|p| p.arn == credentials.profile)) {
            tx.put(&ROLE_CREDENTIALS, &credentials)?;
        }
        Ok::<_, Error>(())
    };
    Ok(place.store.write(write).await?)
}
