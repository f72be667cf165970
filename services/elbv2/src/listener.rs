//! Listeners: the ports that a load balancer answers on, each with its default action.

use base::Arn;
use elbv2_api::{
    Certificate, CreateListenerInput, CreateListenerOutput, DeleteListenerInput,
    DeleteListenerOutput, DescribeListenerAttributesInput, DescribeListenerAttributesOutput,
    DescribeListenersInput, DescribeListenersOutput, ListenerAttribute, ModifyListenerInput,
    ModifyListenerOutput, MutualAuthenticationAttributes, ProtocolEnum,
};
use store::{ReadTx, StartsWith};

use crate::error::{Error, Result, invalid, unsupported};
use crate::load_balancer::listeners_of;
use crate::store::{LISTENERS, Listener, ListenerTls};
use crate::{Ctx, action, certificate, limit, listing, load_balancer, ssl_policy, tag};

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
    let asked = Tls {
        policy: input.ssl_policy,
        certificate: certificate::default_from_wire(input.certificates)?,
        alpn: input.alpn_policy,
        mutual: input.mutual_authentication,
    };
    let tls = asked.applied(kind(protocol)?, None)?;
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
                return if existing.action == action && existing.tls == tls {
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
                tls: tls.clone(),
                action: action.clone(),
                tags: tags.clone(),
            };
            for arn in certificate::shown(&listener) {
                certificate::require(tx, arn)?;
            }
            certificate::note_uses(tx, &listener, Some(&listener))?;
            tx.put(&LISTENERS, &listener)?;
            Ok(listener)
        })
        .await?;
    Ok(CreateListenerOutput { listeners: vec![to_wire(&made)] })
}

/// What a request says about TLS.
#[derive(Clone)]
struct Tls {
    policy: Option<String>,
    certificate: Option<String>,
    alpn: Vec<String>,
    mutual: Option<MutualAuthenticationAttributes>,
}

/// What an Application Load Balancer listens for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Http,
    Https,
}

fn kind(protocol: ProtocolEnum) -> Result<Kind> {
    match protocol {
        ProtocolEnum::Http => Ok(Kind::Http),
        ProtocolEnum::Https => Ok(Kind::Https),
        ProtocolEnum::Tcp
        | ProtocolEnum::Tls
        | ProtocolEnum::Udp
        | ProtocolEnum::TcpUdp
        | ProtocolEnum::Geneve
        | ProtocolEnum::Quic
        | ProtocolEnum::TcpQuic => Err(invalid(
            "Listener protocol must be 'HTTP' or 'HTTPS' for an application load balancer",
        )),
    }
}

impl Tls {
    /// The TLS of a listener of this kind that has been as `before`.
    fn applied(self, kind: Kind, before: Option<&ListenerTls>) -> Result<Option<ListenerTls>> {
        if kind == Kind::Http {
            self.require_none()?;
            return Ok(None);
        }
        if !self.alpn.is_empty() {
            return Err(Error::AlpnPolicyNotSupported(
                "ALPN policies are supported only for TLS listeners".to_owned(),
            ));
        }
        require_one_sided(self.mutual)?;
        let policy = match (self.policy, before) {
            (Some(asked), _) => ssl_policy::find(&asked)?.name.to_owned(),
            (None, Some(before)) => before.policy.clone(),
            (None, None) => ssl_policy::DEFAULT.to_owned(),
        };
        let certificate = self.certificate.or_else(|| before.map(|it| it.certificate.clone()));
        let certificate = certificate
            .ok_or_else(|| invalid("A certificate must be specified for HTTPS listeners"))?;
        let others = before.map(|it| it.others.clone()).unwrap_or_default();
        Ok(Some(ListenerTls { policy, certificate, others }))
    }

    fn require_none(&self) -> Result<()> {
        let given = [
            ("an SSL policy", self.policy.is_some()),
            ("certificates", self.certificate.is_some()),
            ("an ALPN policy", !self.alpn.is_empty()),
            ("mutual authentication", self.mutual.is_some()),
        ];
        match given.iter().find(|(_, given)| *given) {
            Some((what, _)) => {
                Err(invalid(format!("You cannot specify {what} for an HTTP listener")))
            }
            None => Ok(()),
        }
    }
}

/// Refuses that clients show certificates, too.
fn require_one_sided(mutual: Option<MutualAuthenticationAttributes>) -> Result<()> {
    let Some(mutual) = mutual else { return Ok(()) };
    let members = [
        mutual.trust_store_arn.is_some(),
        mutual.ignore_client_certificate_expiry.is_some(),
        mutual.trust_store_association_status.is_some(),
        mutual.advertise_trust_store_ca_names.is_some(),
    ];
    match mutual.mode.as_deref() {
        Some("off") if !members.contains(&true) => Ok(()),
        Some("off") => Err(invalid("Mutual authentication mode 'off' takes no other attributes")),
        mode => Err(unsupported(format!(
            "Mutual authentication mode '{}' is not supported in this region",
            mode.unwrap_or_default()
        ))),
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
    let asked = Tls {
        policy: input.ssl_policy,
        certificate: certificate::default_from_wire(input.certificates)?,
        alpn: input.alpn_policy,
        mutual: input.mutual_authentication,
    };
    let protocol = input.protocol.map(kind).transpose()?;
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
            let before = find(tx, &arn)?;
            let mut listener = before.clone();
            let was = if before.tls.is_some() { Kind::Https } else { Kind::Http };
            listener.tls = asked.clone().applied(protocol.unwrap_or(was), before.tls.as_ref())?;
            for arn in certificate::shown(&listener) {
                certificate::require(tx, arn)?;
            }
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
            certificate::note_uses(tx, &before, Some(&listener))?;
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

/// A listener by its ARN.
pub(crate) fn find(tx: &ReadTx<'_>, arn: &str) -> Result<Listener> {
    if !arn.parse::<Arn>().is_ok_and(|arn| arn.resource.starts_with("listener/")) {
        return Err(invalid(format!("'{arn}' is not a valid listener ARN")));
    }
    let missing = || Error::ListenerNotFound(format!("Listener '{arn}' not found"));
    tx.get(&LISTENERS, arn)?.ok_or_else(missing)
}

fn to_wire(listener: &Listener) -> elbv2_api::Listener {
    let tls = listener.tls.as_ref();
    let certificate = |tls: &ListenerTls| Certificate {
        certificate_arn: Some(tls.certificate.clone()),
        is_default: None,
    };
    let off =
        || MutualAuthenticationAttributes { mode: Some("off".to_owned()), ..Default::default() };
    elbv2_api::Listener {
        listener_arn: Some(listener.arn.to_string()),
        load_balancer_arn: Some(listener.load_balancer.to_string()),
        port: Some(listener.port.into()),
        protocol: Some(if tls.is_some() { ProtocolEnum::Https } else { ProtocolEnum::Http }),
        certificates: tls.map(certificate).into_iter().collect(),
        ssl_policy: tls.map(|tls| tls.policy.clone()),
        mutual_authentication: tls.map(|_| off()),
        default_actions: vec![action::to_wire(&listener.action)],
        ..Default::default()
    }
}
