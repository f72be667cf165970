//! Listeners: the ports that a load balancer answers on, each with its default action.

use base::Arn;
use elbv2_api::{
    Certificate, CreateListenerInput, CreateListenerOutput, DeleteListenerInput,
    DeleteListenerOutput, DescribeListenerAttributesInput, DescribeListenerAttributesOutput,
    DescribeListenersInput, DescribeListenersOutput, DescribeSSLPoliciesInput,
    DescribeSSLPoliciesOutput, ListenerAttribute, ModifyListenerInput, ModifyListenerOutput,
    MutualAuthenticationAttributes, ProtocolEnum,
};
use store::{ReadTx, StartsWith};

use crate::error::{Error, Result, invalid};
use crate::load_balancer::listeners_of;
use crate::store::{LISTENERS, Listener};
use crate::{Ctx, action, limit, listing, load_balancer, tag};

/// Makes a listener, or returns the equal one that exists.
///
/// AWS: CreateListener.
///
/// # Errors
///
/// [`Error::DuplicateListener`] when the port has another listener.
pub(crate) async fn create_listener(
    ctx: Ctx,
    input: CreateListenerInput,
) -> Result<CreateListenerOutput> {
    let protocol =
        input.protocol.ok_or_else(|| invalid("A listener protocol must be specified"))?;
    require_http(protocol)?;
    require_no_tls(&Tls {
        policy: input.ssl_policy,
        certificates: input.certificates,
        alpn: input.alpn_policy,
        mutual: input.mutual_authentication,
    })?;
    let port = port(input.port.ok_or_else(|| invalid("A listener port must be specified"))?)?;
    let action = action::from_wire(input.default_actions)?;
    let tags = tag::from_wire(&ctx, input.tags)?;
    let arn = input.load_balancer_arn;
    let hex = ctx.random().text("0123456789abcdef", 16);
    let max = limit::value(&ctx, limit::LISTENERS).await?;
    let groups_max = limit::value(&ctx, limit::GROUPS_PER_LOAD_BALANCER).await?;
    let made = ctx
        .store
        .write(|tx| {
            let lb = load_balancer::find(tx, &arn)?;
            action::require_groups(tx, &lb, &action.action, groups_max)?;
            let own = tx.scan(&LISTENERS, StartsWith(&listeners_of(&arn)))?;
            if let Some(existing) = own.iter().find(|listener| listener.port == port) {
                return if existing.action == action {
                    Ok(existing.clone())
                } else {
                    Err(duplicate(&arn))
                };
            }
            if own.len() >= max {
                return Err(Error::TooManyListeners(arn.clone()));
            }
            let resource = lb.arn.resource.replacen("loadbalancer/", "listener/", 1);
            let listener = Listener {
                arn: Arn { resource: format!("{resource}/{hex}"), ..lb.arn.clone() },
                load_balancer: lb.arn,
                port,
                action: action.clone(),
                tags: tags.clone(),
            };
            tx.put(&LISTENERS, &listener)?;
            Ok(listener)
        })
        .await?;
    Ok(CreateListenerOutput { listeners: vec![to_wire(&made)] })
}

struct Tls {
    policy: Option<String>,
    certificates: Vec<Certificate>,
    alpn: Vec<String>,
    mutual: Option<MutualAuthenticationAttributes>,
}

fn require_http(protocol: ProtocolEnum) -> Result<()> {
    match protocol {
        ProtocolEnum::Http => Ok(()),
        ProtocolEnum::Https => Err(Error::UnsupportedProtocol(
            "Listeners of protocol 'HTTPS' are not supported in this region".to_owned(),
        )),
        ProtocolEnum::Tcp
        | ProtocolEnum::Tls
        | ProtocolEnum::Udp
        | ProtocolEnum::TcpUdp
        | ProtocolEnum::Geneve
        | ProtocolEnum::Quic
        | ProtocolEnum::TcpQuic => {
            Err(invalid("Listener protocol must be 'HTTP' for an application load balancer"))
        }
    }
}

fn require_no_tls(tls: &Tls) -> Result<()> {
    let given = [
        ("an SSL policy", tls.policy.is_some()),
        ("certificates", !tls.certificates.is_empty()),
        ("an ALPN policy", !tls.alpn.is_empty()),
        ("mutual authentication", tls.mutual.is_some()),
    ];
    match given.iter().find(|(_, given)| *given) {
        Some((what, _)) => Err(invalid(format!("You cannot specify {what} for an HTTP listener"))),
        None => Ok(()),
    }
}

fn port(port: i32) -> Result<u16> {
    let port = u16::try_from(port).ok().filter(|port| *port > 0);
    port.ok_or_else(|| invalid("The listener port must be between 1 and 65535"))
}

fn duplicate(load_balancer: &str) -> Error {
    Error::DuplicateListener(format!(
        "A listener already exists on this port for this load balancer '{load_balancer}'"
    ))
}

/// Lists listeners.
///
/// AWS: DescribeListeners.
pub(crate) async fn describe_listeners(
    ctx: Ctx,
    input: DescribeListenersInput,
) -> Result<DescribeListenersOutput> {
    let found = match (&input.load_balancer_arn, input.listener_arns.is_empty()) {
        (Some(arn), true) => {
            ctx.store
                .read(|tx| {
                    load_balancer::find(tx, arn)?;
                    Ok::<_, Error>(tx.scan(&LISTENERS, StartsWith(&listeners_of(arn)))?)
                })
                .await?
        }
        (None, false) => {
            let all = ctx.store.read(|tx| tx.scan(&LISTENERS, ())).await?;
            listing::asked_for(
                all,
                &input.listener_arns,
                |it| it.arn.to_string(),
                |_| Error::ListenerNotFound("One or more listeners not found".to_owned()),
            )?
        }
        (Some(_), false) | (None, true) => {
            return Err(invalid("You must specify either listener ARNs or a load balancer ARN"));
        }
    };
    let page =
        listing::page(found, input.marker.as_deref(), input.page_size, |it| it.arn.to_string())?;
    Ok(DescribeListenersOutput {
        listeners: page.items.iter().map(to_wire).collect(),
        next_marker: page.next,
    })
}

/// Changes a listener; connections of the others are not touched.
///
/// AWS: ModifyListener.
pub(crate) async fn modify_listener(
    ctx: Ctx,
    input: ModifyListenerInput,
) -> Result<ModifyListenerOutput> {
    input.protocol.map_or(Ok(()), require_http)?;
    require_no_tls(&Tls {
        policy: input.ssl_policy,
        certificates: input.certificates,
        alpn: input.alpn_policy,
        mutual: input.mutual_authentication,
    })?;
    let port = input.port.map(port).transpose()?;
    let action = match input.default_actions {
        none if none.is_empty() => None,
        actions => Some(action::from_wire(actions)?),
    };
    let arn = input.listener_arn;
    let groups_max = limit::value(&ctx, limit::GROUPS_PER_LOAD_BALANCER).await?;
    let changed = ctx
        .store
        .write(|tx| {
            let mut listener = find(tx, &arn)?;
            let lb_arn = listener.load_balancer.to_string();
            let lb = load_balancer::find(tx, &lb_arn)?;
            if let Some(port) = port {
                let own = tx.scan(&LISTENERS, StartsWith(&listeners_of(&lb_arn)))?;
                if own.iter().any(|other| other.arn != listener.arn && other.port == port) {
                    return Err(duplicate(&lb_arn));
                }
                listener.port = port;
            }
            if let Some(action) = &action {
                action::require_groups(tx, &lb, &action.action, groups_max)?;
                listener.action = action.clone();
            }
            tx.put(&LISTENERS, &listener)?;
            Ok(listener)
        })
        .await?;
    Ok(ModifyListenerOutput { listeners: vec![to_wire(&changed)] })
}

/// Deletes a listener with its rules. One that is not there is deleted already.
///
/// AWS: DeleteListener.
pub(crate) async fn delete_listener(
    ctx: Ctx,
    input: DeleteListenerInput,
) -> Result<DeleteListenerOutput> {
    ctx.store
        .write(|tx| {
            let found = find(tx, &input.listener_arn)?;
            load_balancer::remove_listener(tx, &found.arn)
        })
        .await?;
    Ok(DeleteListenerOutput {})
}

/// Tells a listener's attributes. None can be changed here, so these are the defaults that hold.
///
/// AWS: DescribeListenerAttributes.
pub(crate) async fn describe_listener_attributes(
    ctx: Ctx,
    input: DescribeListenerAttributesInput,
) -> Result<DescribeListenerAttributesOutput> {
    ctx.store.read(|tx| find(tx, &input.listener_arn)).await?;
    let attribute = ListenerAttribute {
        key: Some("routing.http.response.server.enabled".to_owned()),
        value: Some("true".to_owned()),
    };
    Ok(DescribeListenerAttributesOutput { attributes: vec![attribute] })
}

/// Lists the policies for TLS: there are none, since no listener of this region speaks it.
///
/// AWS: DescribeSSLPolicies.
pub(crate) async fn describe_ssl_policies(
    _ctx: Ctx,
    input: DescribeSSLPoliciesInput,
) -> Result<DescribeSSLPoliciesOutput> {
    if let Some(name) = input.names.into_iter().next() {
        return Err(Error::SslPolicyNotFound(name));
    }
    // Of no policies there is one page, whatever its size and kind.
    listing::page(Vec::<String>::new(), input.marker.as_deref(), input.page_size, String::clone)?;
    Ok(DescribeSSLPoliciesOutput::default())
}

/// A listener by its ARN.
pub(crate) fn find(tx: &ReadTx<'_>, arn: &str) -> Result<Listener> {
    if !arn.parse::<Arn>().is_ok_and(|arn| arn.resource.starts_with("listener/")) {
        return Err(invalid(format!("'{arn}' is not a valid listener ARN")));
    }
    let missing = || Error::ListenerNotFound(format!("Listener '{arn}' not found"));
    tx.get(&LISTENERS, arn)?.ok_or_else(missing)
}

fn to_wire(listener: &Listener) -> elbv2_api::Listener {
    elbv2_api::Listener {
        listener_arn: Some(listener.arn.to_string()),
        load_balancer_arn: Some(listener.load_balancer.to_string()),
        port: Some(listener.port.into()),
        protocol: Some(ProtocolEnum::Http),
        default_actions: vec![action::to_wire(&listener.action)],
        ..Default::default()
    }
}
