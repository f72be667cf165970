//! Target groups: what targets speak and how their health is found out.

use base::{Arn, ResourceId};
use elbv2_api::{
    CreateTargetGroupInput, CreateTargetGroupOutput, DeleteTargetGroupInput,
    DeleteTargetGroupOutput, DescribeTargetGroupsInput, DescribeTargetGroupsOutput, Matcher,
    ModifyTargetGroupInput, ModifyTargetGroupOutput, ProtocolEnum, TargetGroupIpAddressTypeEnum,
    TargetTypeEnum,
};
use proxy::{ProtocolVersion, TargetProtocol};
use store::ReadTx;

use crate::error::{Error, Result, invalid, unsupported};
use crate::plan::groups_used;
use crate::store::{Attributes, HealthCheck, TARGET_GROUPS, TARGETS, TargetGroup, TargetKind};
use crate::{Ctx, PRINCIPAL, limit, listing, load_balancer, network, tag};

/// AWS: CreateTargetGroup, the bounds of the health check's members.
const INTERVAL_SECS: std::ops::RangeInclusive<i32> = 5..=300;
const TIMEOUT_SECS: std::ops::RangeInclusive<i32> = 2..=120;
const THRESHOLD: std::ops::RangeInclusive<i32> = 2..=10;
const PATH_MAX: usize = 1024;
const TRAFFIC_PORT: &str = "traffic-port";

/// Makes a target group, or returns the equal one that exists.
///
/// AWS: CreateTargetGroup.
///
/// # Errors
///
/// [`Error::DuplicateTargetGroupName`] when the name is taken with other settings.
pub(crate) async fn create_target_group(
    ctx: Ctx,
    input: CreateTargetGroupInput,
) -> Result<CreateTargetGroupOutput> {
    let wanted = wanted(&ctx, input).await?;
    let max = limit::value(&ctx, limit::TARGET_GROUPS).await?;
    let (made, used_by) = ctx
        .store
        .write(|tx| {
            let all = tx.scan(&TARGET_GROUPS, ())?;
            if let Some(existing) = all.iter().find(|other| other.name == wanted.name) {
                let as_wanted = TargetGroup {
                    arn: existing.arn.clone(),
                    attributes: existing.attributes.clone(),
                    ..wanted.clone()
                };
                return if *existing == as_wanted {
                    Ok((existing.clone(), load_balancers(tx, &existing.arn)?))
                } else {
                    Err(Error::DuplicateTargetGroupName(wanted.name.clone()))
                };
            }
            if all.len() >= max {
                return Err(Error::TooManyTargetGroups);
            }
            tx.put(&TARGET_GROUPS, &wanted)?;
            Ok((wanted.clone(), Vec::new()))
        })
        .await?;
    Ok(CreateTargetGroupOutput { target_groups: vec![to_wire(&made, used_by)] })
}

async fn wanted(ctx: &Ctx, input: CreateTargetGroupInput) -> Result<TargetGroup> {
    load_balancer::require_name("target group", &input.name)?;
    let kind = kind(input.target_type.unwrap_or_default())?;
    let protocol =
        target_protocol(input.protocol.ok_or_else(|| invalid("A protocol must be specified"))?)?;
    let port = input.port.ok_or_else(|| invalid("A port must be specified"))?;
    let port = number_of_port(port)?;
    if input.ip_address_type == Some(TargetGroupIpAddressTypeEnum::Ipv6) {
        return Err(unsupported("IPv6 target groups are not supported in this region"));
    }
    if input.target_control_port.is_some() {
        return Err(unsupported("Target control ports are not supported in this region"));
    }
    let version = match input.protocol_version.as_deref() {
        None | Some("HTTP1") => ProtocolVersion::Http1,
        Some("HTTP2") => ProtocolVersion::Http2,
        Some("GRPC") => ProtocolVersion::Grpc,
        Some(other) => return Err(invalid(format!("Protocol version '{other}' is not valid"))),
    };
    let tags = tag::from_wire(ctx, input.tags)?;
    let vpc = input.vpc_id.ok_or_else(|| invalid("A VPC ID must be specified"))?;
    let vpc = require_vpc(ctx, &vpc).await?;
    let change = Change {
        protocol: input.health_check_protocol,
        port: input.health_check_port,
        enabled: input.health_check_enabled,
        path: input.health_check_path,
        interval: input.health_check_interval_seconds,
        timeout: input.health_check_timeout_seconds,
        healthy: input.healthy_threshold_count,
        unhealthy: input.unhealthy_threshold_count,
        matcher: input.matcher,
    };
    let hex = ctx.random().text("0123456789abcdef", 16);
    Ok(TargetGroup {
        arn: ctx.arn("elasticloadbalancing", format!("targetgroup/{}/{hex}", input.name)),
        name: input.name,
        protocol,
        version,
        port,
        vpc,
        kind,
        health_check: change.applied(default_health_check(version), version)?,
        attributes: Attributes::new(),
        tags,
    })
}

async fn require_vpc(ctx: &Ctx, vpc: &str) -> Result<ResourceId> {
    let missing = || invalid(format!("The VPC ID '{vpc}' is not found"));
    let ec2 = ctx.service_client(PRINCIPAL).await?;
    let input = ec2_api::DescribeVpcsInput { vpc_ids: vec![vpc.to_owned()], ..Default::default() };
    let output = ec2.call(input).await.map_err(|error| match error.code.as_str() {
        "InvalidVpcID.NotFound" | "InvalidVpcID.Malformed" | "InvalidVpcId.Malformed" => missing(),
        _ => Error::Inside(error),
    })?;
    let found = output.vpcs.first().ok_or_else(missing)?;
    network::id("vpc", found.vpc_id.as_deref())
}

fn kind(asked: TargetTypeEnum) -> Result<TargetKind> {
    match asked {
        TargetTypeEnum::Instance => Ok(TargetKind::Instance),
        TargetTypeEnum::Ip => Ok(TargetKind::Ip),
        TargetTypeEnum::Lambda | TargetTypeEnum::Alb => Err(unsupported(format!(
            "Target groups of target type '{asked}' are not supported in this region"
        ))),
    }
}

fn target_protocol(protocol: ProtocolEnum) -> Result<TargetProtocol> {
    match protocol {
        ProtocolEnum::Http => Ok(TargetProtocol::Http),
        ProtocolEnum::Https => Ok(TargetProtocol::Https),
        ProtocolEnum::Tcp
        | ProtocolEnum::Tls
        | ProtocolEnum::Udp
        | ProtocolEnum::TcpUdp
        | ProtocolEnum::Geneve
        | ProtocolEnum::Quic
        | ProtocolEnum::TcpQuic => Err(Error::UnsupportedProtocol(format!(
            "Targets of protocol '{protocol}' are not supported in this region"
        ))),
    }
}

fn protocol_to_wire(protocol: TargetProtocol) -> ProtocolEnum {
    match protocol {
        TargetProtocol::Http => ProtocolEnum::Http,
        TargetProtocol::Https => ProtocolEnum::Https,
    }
}

pub(crate) fn number_of_port(port: i32) -> Result<u16> {
    let port = u16::try_from(port).ok().filter(|port| *port > 0);
    port.ok_or_else(|| invalid("The port must be between 1 and 65535"))
}

/// AWS: CreateTargetGroup, the defaults for HTTP.
fn default_health_check(version: ProtocolVersion) -> HealthCheck {
    let (path, matcher) = match version {
        ProtocolVersion::Http1 | ProtocolVersion::Http2 => ("/", "200"),
        ProtocolVersion::Grpc => ("/AWS.ALB/healthcheck", "12"),
    };
    HealthCheck {
        enabled: true,
        protocol: TargetProtocol::Http,
        port: None,
        path: path.to_owned(),
        interval_secs: 30,
        timeout_secs: 5,
        healthy_threshold: 5,
        unhealthy_threshold: 2,
        matcher: matcher.to_owned(),
    }
}

/// What a request changes of a health check.
struct Change {
    protocol: Option<ProtocolEnum>,
    port: Option<String>,
    enabled: Option<bool>,
    path: Option<String>,
    interval: Option<i32>,
    timeout: Option<i32>,
    healthy: Option<i32>,
    unhealthy: Option<i32>,
    matcher: Option<Matcher>,
}

impl Change {
    fn applied(self, to: HealthCheck, version: ProtocolVersion) -> Result<HealthCheck> {
        let bounded =
            |what: &str, asked: Option<i32>, range: &std::ops::RangeInclusive<i32>, is| match asked
            {
                None => Ok(is),
                Some(asked) if range.contains(&asked) => Ok(asked.unsigned_abs()),
                Some(_) => Err(invalid(format!(
                    "Health check {what} must be between '{}' and '{}'",
                    range.start(),
                    range.end()
                ))),
            };
        let check = HealthCheck {
            enabled: self.enabled.unwrap_or(to.enabled),
            protocol: self.protocol.map_or(Ok(to.protocol), target_protocol)?,
            port: match self.port.as_deref() {
                None => to.port,
                Some(TRAFFIC_PORT) => None,
                Some(port) => Some(health_port(port)?),
            },
            path: self.path.unwrap_or(to.path),
            interval_secs: bounded("interval", self.interval, &INTERVAL_SECS, to.interval_secs)?,
            timeout_secs: bounded("timeout", self.timeout, &TIMEOUT_SECS, to.timeout_secs)?,
            healthy_threshold: bounded(
                "healthy threshold count",
                self.healthy,
                &THRESHOLD,
                to.healthy_threshold,
            )?,
            unhealthy_threshold: bounded(
                "unhealthy threshold count",
                self.unhealthy,
                &THRESHOLD,
                to.unhealthy_threshold,
            )?,
            matcher: matcher(self.matcher, version)?.unwrap_or(to.matcher),
        };
        if !check.enabled {
            return Err(invalid(
                "Health check enabled must be true for target groups with target type \
                 'instance' or 'ip'",
            ));
        }
        if check.timeout_secs >= check.interval_secs {
            return Err(invalid("Health check timeout must be smaller than the interval"));
        }
        if !check.path.starts_with('/') || check.path.len() > PATH_MAX {
            return Err(invalid(format!("Health check path '{}' is not valid", check.path)));
        }
        Ok(check)
    }
}

fn health_port(text: &str) -> Result<u16> {
    let port = text.parse::<u16>().ok().filter(|port| *port > 0);
    port.ok_or_else(|| invalid(format!("Health check port '{text}' is not valid")))
}

fn matcher(asked: Option<Matcher>, version: ProtocolVersion) -> Result<Option<String>> {
    let Some(asked) = asked else { return Ok(None) };
    let (codes, foreign, range) = match version {
        ProtocolVersion::Http1 | ProtocolVersion::Http2 => {
            (asked.http_code, asked.grpc_code, 200..=499)
        }
        ProtocolVersion::Grpc => (asked.grpc_code, asked.http_code, 0..=99),
    };
    if foreign.is_some() {
        return Err(invalid("The matcher does not fit the protocol version of the target group"));
    }
    let fits = |part: &str| {
        let code = |text: &str| text.parse::<u16>().ok().filter(|code| range.contains(code));
        match part.split_once('-') {
            None => code(part).is_some(),
            Some((from, to)) => code(from).zip(code(to)).is_some_and(|(from, to)| from <= to),
        }
    };
    match codes {
        Some(codes) if !codes.split(',').all(fits) => {
            Err(invalid(format!("Health check matcher '{codes}' is not valid")))
        }
        codes => Ok(codes),
    }
}

/// Lists target groups.
///
/// AWS: DescribeTargetGroups.
pub(crate) async fn describe_target_groups(
    ctx: Ctx,
    input: DescribeTargetGroupsInput,
) -> Result<DescribeTargetGroupsOutput> {
    let ways = [
        input.load_balancer_arn.is_some(),
        !input.target_group_arns.is_empty(),
        !input.names.is_empty(),
    ];
    if ways.iter().filter(|given| **given).count() > 1 {
        return Err(invalid(
            "Only one of load balancer ARN, target group ARNs and names can be specified",
        ));
    }
    let found = ctx
        .store
        .read(|tx| {
            let mut groups = tx.scan(&TARGET_GROUPS, ())?;
            if let Some(arn) = &input.load_balancer_arn {
                load_balancer::find(tx, arn)?;
                let used = groups_used(tx, arn)?;
                groups.retain(|group| used.contains(&group.arn.to_string()));
            }
            let with_users = |group: TargetGroup| {
                let used_by = load_balancers(tx, &group.arn)?;
                Ok((group, used_by))
            };
            groups.into_iter().map(with_users).collect::<Result<Vec<_>>>()
        })
        .await?;
    let missing = |_| Error::TargetGroupNotFound("One or more target groups not found".to_owned());
    let found =
        listing::asked_for(found, &input.target_group_arns, |it| it.0.arn.to_string(), missing)?;
    let found = listing::asked_for(found, &input.names, |it| it.0.name.clone(), missing)?;
    let page =
        listing::page(found, input.marker.as_deref(), input.page_size, |it| it.0.arn.to_string())?;
    Ok(DescribeTargetGroupsOutput {
        target_groups: page
            .items
            .into_iter()
            .map(|(group, users)| to_wire(&group, users))
            .collect(),
        next_marker: page.next,
    })
}

/// Changes a target group's health check.
///
/// AWS: ModifyTargetGroup.
pub(crate) async fn modify_target_group(
    ctx: Ctx,
    input: ModifyTargetGroupInput,
) -> Result<ModifyTargetGroupOutput> {
    let (changed, users) = ctx
        .store
        .write(|tx| {
            let mut group = find(tx, &input.target_group_arn)?;
            let change = Change {
                protocol: input.health_check_protocol,
                port: input.health_check_port.clone(),
                enabled: input.health_check_enabled,
                path: input.health_check_path.clone(),
                interval: input.health_check_interval_seconds,
                timeout: input.health_check_timeout_seconds,
                healthy: input.healthy_threshold_count,
                unhealthy: input.unhealthy_threshold_count,
                matcher: input.matcher.clone(),
            };
            group.health_check = change.applied(group.health_check, group.version)?;
            tx.put(&TARGET_GROUPS, &group)?;
            let users = load_balancers(tx, &group.arn)?;
            Ok::<_, Error>((group, users))
        })
        .await?;
    Ok(ModifyTargetGroupOutput { target_groups: vec![to_wire(&changed, users)] })
}

/// Deletes a target group with its targets. One that is not there is deleted already.
///
/// AWS: DeleteTargetGroup.
///
/// # Errors
///
/// [`Error::ResourceInUse`] while a listener or rule forwards to it.
pub(crate) async fn delete_target_group(
    ctx: Ctx,
    input: DeleteTargetGroupInput,
) -> Result<DeleteTargetGroupOutput> {
    let arn = input.target_group_arn;
    require_arn(&arn)?;
    ctx.store
        .write(|tx| {
            let Some(group) = tx.get(&TARGET_GROUPS, &arn)? else { return Ok(()) };
            if !load_balancers(tx, &group.arn)?.is_empty() {
                return Err(Error::ResourceInUse(format!(
                    "Target group '{arn}' is currently in use by a listener or a rule"
                )));
            }
            for target in tx.scan(&TARGETS, (arn.clone(),))? {
                tx.delete(&TARGETS, store::Record::key(&target))?;
            }
            tx.delete(&TARGET_GROUPS, &arn)?;
            Ok(())
        })
        .await?;
    Ok(DeleteTargetGroupOutput {})
}

/// A target group by its ARN.
pub(crate) fn find(tx: &ReadTx<'_>, arn: &str) -> Result<TargetGroup> {
    require_arn(arn)?;
    let missing = || Error::TargetGroupNotFound("One or more target groups not found".to_owned());
    tx.get(&TARGET_GROUPS, arn)?.ok_or_else(missing)
}

fn require_arn(arn: &str) -> Result<()> {
    if arn.parse::<Arn>().is_ok_and(|arn| arn.resource.starts_with("targetgroup/")) {
        return Ok(());
    }
    Err(invalid(format!("'{arn}' is not a valid target group ARN")))
}

/// The load balancers whose listeners forward to a group.
pub(crate) fn load_balancers(tx: &ReadTx<'_>, group: &Arn) -> Result<Vec<Arn>> {
    let group = group.to_string();
    let mut users = Vec::new();
    for lb in load_balancer::all(tx)? {
        if groups_used(tx, &lb.arn.to_string())?.contains(&group) {
            users.push(lb.arn);
        }
    }
    Ok(users)
}

fn to_wire(group: &TargetGroup, users: Vec<Arn>) -> elbv2_api::TargetGroup {
    let check = &group.health_check;
    let number = |number: u32| i32::try_from(number).ok();
    let (version, matcher) = match group.version {
        ProtocolVersion::Http1 => ("HTTP1", http_matcher(check)),
        ProtocolVersion::Http2 => ("HTTP2", http_matcher(check)),
        ProtocolVersion::Grpc => {
            ("GRPC", Matcher { http_code: None, grpc_code: Some(check.matcher.clone()) })
        }
    };
    elbv2_api::TargetGroup {
        target_group_arn: Some(group.arn.to_string()),
        target_group_name: Some(group.name.clone()),
        protocol: Some(protocol_to_wire(group.protocol)),
        port: Some(group.port.into()),
        vpc_id: Some(group.vpc.to_string()),
        health_check_protocol: Some(protocol_to_wire(check.protocol)),
        health_check_port: Some(health_check_port(check)),
        health_check_enabled: Some(check.enabled),
        health_check_interval_seconds: number(check.interval_secs),
        health_check_timeout_seconds: number(check.timeout_secs),
        healthy_threshold_count: number(check.healthy_threshold),
        unhealthy_threshold_count: number(check.unhealthy_threshold),
        health_check_path: Some(check.path.clone()),
        matcher: Some(matcher),
        load_balancer_arns: users.iter().map(ToString::to_string).collect(),
        target_type: Some(match group.kind {
            TargetKind::Instance => TargetTypeEnum::Instance,
            TargetKind::Ip => TargetTypeEnum::Ip,
        }),
        protocol_version: Some(version.to_owned()),
        ip_address_type: Some(TargetGroupIpAddressTypeEnum::Ipv4),
        target_control_port: None,
    }
}

fn http_matcher(check: &HealthCheck) -> Matcher {
    Matcher { http_code: Some(check.matcher.clone()), grpc_code: None }
}

fn health_check_port(check: &HealthCheck) -> String {
    check.port.map_or_else(|| TRAFFIC_PORT.to_owned(), |port| port.to_string())
}
