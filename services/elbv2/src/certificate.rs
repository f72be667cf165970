//! The certificates of HTTPS listeners: a default one, and a list of which the client's name picks.
//!
//! AWS: "SSL certificates for your Application Load Balancer".

use elbv2_api::{
    AddListenerCertificatesInput, AddListenerCertificatesOutput, Certificate,
    DescribeListenerCertificatesInput, DescribeListenerCertificatesOutput,
    RemoveListenerCertificatesInput, RemoveListenerCertificatesOutput,
};
use kernel::certificates::{self, CERTIFICATES};
use store::{ReadTx, StartsWith, WriteTx};

use crate::error::{Error, Result, invalid};
use crate::load_balancer::listeners_of;
use crate::store::{LISTENERS, Listener, ListenerTls};
use crate::{Ctx, limit, listener, listing};

/// The certificates that a listener shows, the default one first.
pub(crate) fn shown(listener: &Listener) -> impl Iterator<Item = &str> {
    listener.tls.iter().flat_map(|tls| {
        let others = tls.others.iter().filter(|it| **it != tls.certificate);
        std::iter::once(tls.certificate.as_str()).chain(others.map(String::as_str))
    })
}

/// Checks that a certificate is there and can be shown.
pub(crate) fn require(tx: &ReadTx<'_>, arn: &str) -> Result<()> {
    match tx.get(&CERTIFICATES, arn)? {
        None => Err(Error::CertificateNotFound(arn.to_owned())),
        Some(found) if found.material.is_none() => {
            Err(Error::UnsupportedCertificate(arn.to_owned()))
        }
        Some(_) => Ok(()),
    }
}

/// The one certificate that a listener is made or changed with.
pub(crate) fn default_from_wire(mut given: Vec<Certificate>) -> Result<Option<String>> {
    if given.len() > 1 {
        return Err(invalid(format!(
            "Up to '1' certificate ARNs can be specified, but '{}' were specified",
            given.len()
        )));
    }
    given.pop().map(arn).transpose()
}

fn arn(certificate: Certificate) -> Result<String> {
    if certificate.is_default.is_some() {
        return Err(invalid("IsDefault cannot be specified for a certificate"));
    }
    certificate.certificate_arn.ok_or_else(|| invalid("A certificate ARN must be specified"))
}

fn arns(given: Vec<Certificate>) -> Result<Vec<String>> {
    if given.is_empty() {
        return Err(invalid("At least one certificate must be specified"));
    }
    given.into_iter().map(arn).collect()
}

/// Notes which certificates a listener shows once it is as `after` says, so that those stay.
pub(crate) fn note_uses(
    tx: &mut WriteTx<'_>,
    before: &Listener,
    after: Option<&Listener>,
) -> Result<()> {
    let holder = before.arn.to_string();
    let kept: Vec<&str> = after.into_iter().flat_map(shown).collect();
    for gone in shown(before).filter(|arn| !kept.contains(arn)) {
        certificates::release(tx, gone, &holder)?;
    }
    for arn in kept {
        certificates::hold(tx, arn, &holder, &before.load_balancer.to_string())?;
    }
    Ok(())
}

fn tls_of(listener: &mut Listener) -> Result<&mut ListenerTls> {
    let arn = listener.arn.clone();
    listener.tls.as_mut().ok_or_else(|| {
        invalid(format!("Certificates can be specified only for HTTPS listeners, not for '{arn}'"))
    })
}

/// Adds certificates to a listener's list; those that are in it stay as they are.
///
/// AWS: AddListenerCertificates.
///
/// # Errors
///
/// [`Error::CertificateNotFound`] and [`Error::TooManyCertificates`].
pub(crate) async fn add_listener_certificates(
    ctx: Ctx,
    input: AddListenerCertificatesInput,
) -> Result<AddListenerCertificatesOutput> {
    let wanted = arns(input.certificates)?;
    let changed = ctx
        .store
        .write(|tx| {
            let before = listener::find(tx, &input.listener_arn)?;
            let mut after = before.clone();
            let tls = tls_of(&mut after)?;
            for arn in &wanted {
                require(tx, arn)?;
                if !tls.others.contains(arn) {
                    tls.others.push(arn.clone());
                }
            }
            let load_balancer = before.load_balancer.to_string();
            let mut all = after.tls.as_ref().map_or(0, |tls| tls.others.len());
            for other in tx.scan(&LISTENERS, StartsWith(&listeners_of(&load_balancer)))? {
                if other.arn != before.arn {
                    all += other.tls.map_or(0, |tls| tls.others.len());
                }
            }
            if all > limit::CERTIFICATES {
                return Err(Error::TooManyCertificates(load_balancer));
            }
            note_uses(tx, &before, Some(&after))?;
            tx.put(&LISTENERS, &after)?;
            Ok(after)
        })
        .await?;
    let others = changed.tls.map(|tls| tls.others).unwrap_or_default();
    let certificates = others.into_iter().map(|arn| to_wire(arn, false)).collect();
    Ok(AddListenerCertificatesOutput { certificates })
}

/// Takes certificates off a listener's list; one that is not in it is gone already.
///
/// AWS: RemoveListenerCertificates.
///
/// # Errors
///
/// [`Error::OperationNotPermitted`] for the default certificate.
pub(crate) async fn remove_listener_certificates(
    ctx: Ctx,
    input: RemoveListenerCertificatesInput,
) -> Result<RemoveListenerCertificatesOutput> {
    let gone = arns(input.certificates)?;
    ctx.store
        .write(|tx| {
            let before = listener::find(tx, &input.listener_arn)?;
            let mut after = before.clone();
            let tls = tls_of(&mut after)?;
            let default = tls.certificate.clone();
            if gone.contains(&default) && !tls.others.contains(&default) {
                return Err(Error::OperationNotPermitted(
                    "Default certificate cannot be removed from a listener".to_owned(),
                ));
            }
            tls.others.retain(|arn| !gone.contains(arn));
            note_uses(tx, &before, Some(&after))?;
            Ok(tx.put(&LISTENERS, &after)?)
        })
        .await?;
    Ok(RemoveListenerCertificatesOutput {})
}

/// Lists a listener's certificates, the default one first.
///
/// AWS: DescribeListenerCertificates.
pub(crate) async fn describe_listener_certificates(
    ctx: Ctx,
    input: DescribeListenerCertificatesInput,
) -> Result<DescribeListenerCertificatesOutput> {
    let found = ctx.store.read(|tx| listener::find(tx, &input.listener_arn)).await?;
    let tls = found
        .tls
        .ok_or_else(|| invalid(format!("'{}' is not an HTTPS listener", input.listener_arn)))?;
    let default = std::iter::once((0, tls.certificate));
    let others = tls.others.into_iter().enumerate().map(|(at, arn)| (at + 1, arn));
    let page = listing::page(
        default.chain(others).collect(),
        input.marker.as_deref(),
        input.page_size,
        |(at, _)| format!("{at:04}"),
    )?;
    let one = |(at, arn): (usize, String)| to_wire(arn, at == 0);
    Ok(DescribeListenerCertificatesOutput {
        certificates: page.items.into_iter().map(one).collect(),
        next_marker: page.next,
    })
}

fn to_wire(arn: String, is_default: bool) -> Certificate {
    Certificate { certificate_arn: Some(arn), is_default: Some(is_default) }
}
