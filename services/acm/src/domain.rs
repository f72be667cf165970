//! Domain names, and the records that prove who owns them.
//!
//! AWS: "AWS Certificate Manager DNS validation".

use aws_lc_rs::digest::{SHA256, digest};
use base::AccountId;

use crate::error::{Error, Result};
use crate::store::Validation;

/// Domains that belong to AWS, for which nobody gets a certificate.
///
/// AWS: "Certificate request fails" (Amazon-owned domain names).
const AMAZONS_OWN: [&str; 3] = ["amazonaws.com", "cloudfront.net", "elasticbeanstalk.com"];

/// Whether a certificate for `domain` is refused because AWS owns it.
pub(crate) fn is_amazons(domain: &str) -> bool {
    let bare = bare(domain);
    let is_below = |own: &str| bare == own || bare.ends_with(&format!(".{own}"));
    AMAZONS_OWN.into_iter().any(is_below)
}

/// A domain without the label of a wildcard.
fn bare(domain: &str) -> &str {
    domain.strip_prefix("*.").unwrap_or(domain)
}

/// Checks what the model's pattern leaves open.
pub(crate) fn check(domain: &str) -> Result<()> {
    let refuse = || {
        Err(Error::InvalidParameter(format!("Domain name {domain} is not a valid domain name.")))
    };
    let name = bare(domain);
    let label = |label: &str| {
        !label.is_empty() && label.len() <= 63 && !label.starts_with('-') && !label.ends_with('-')
    };
    if name.len() > 253 || !name.contains('.') || !name.split('.').all(label) {
        return refuse();
    }
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.') {
        return refuse();
    }
    // The label of the top has letters, so that no address passes for a name.
    if name.rsplit('.').next().is_some_and(|top| top.bytes().all(|b| b.is_ascii_digit())) {
        return refuse();
    }
    Ok(())
}

/// The record that proves to `account` who owns a domain. It stays the same for the account, and a
/// domain and its wildcard share it.
pub(crate) fn validation(account: &AccountId, domain: &str) -> Validation {
    let name = bare(domain);
    let hash = |what: &str| digest(&SHA256, format!("acm {what} {account} {name}").as_bytes());
    let hex = |what: &str| -> String {
        hash(what).as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
    };
    let letters: String =
        hash("zone").as_ref().iter().take(10).map(|byte| char::from(b'a' + byte % 26)).collect();
    Validation {
        domain: domain.to_owned(),
        record: format!("_{}.{name}.", hex("name")),
        value: format!("_{}.{letters}.acm-validations.aws.", hex("value")),
        done: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_none_are_refused() {
        for good in ["example.com", "*.example.com", "a-b.c.example", "xn--bcher-kva.example"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in ["localhost", "10.0.0.1", "-a.example", "a..example", "a_b.example", "*.*.x"] {
            assert!(check(bad).is_err(), "{bad}");
        }
        assert!(is_amazons("web.ap-northeast-2.elb.amazonaws.com") && !is_amazons("example.com"));
    }

    #[test]
    fn a_domain_and_its_wildcard_share_a_record() {
        let account: AccountId = "123456789012".parse().unwrap();
        let (one, wild) = (validation(&account, "a.example"), validation(&account, "*.a.example"));
        assert_eq!((&one.record, &one.value), (&wild.record, &wild.value));
        assert!(one.record.starts_with('_') && one.record.ends_with(".a.example."));
        let other: AccountId = "210987654321".parse().unwrap();
        assert_ne!(one.record, validation(&other, "a.example").record);
    }
}
