//! Policy documents as clients hand them in and get them back.

use policy::{Kind, Policy};

use crate::error::{Error, Result};

/// The most characters of a managed policy, white space not counted.
///
/// AWS: "IAM and AWS STS quotas", IAM and STS character limits.
pub(crate) const MANAGED_CHARS_MAX: usize = 6144;
/// The most characters of a trust policy. AWS: as above; 2,048 unless raised.
pub(crate) const TRUST_CHARS_MAX: usize = 2048;

/// Refuses what is no policy of an identity.
///
/// # Errors
///
/// [`Error::MalformedPolicyDocument`].
pub(crate) fn check_inline(document: &str) -> Result<()> {
    parse(document, Kind::Identity).map(|_| ())
}

/// Refuses what cannot be a managed policy.
///
/// # Errors
///
/// [`Error::MalformedPolicyDocument`], [`Error::LimitExceeded`].
pub(crate) fn check_managed(document: &str) -> Result<()> {
    let policy = parse(document, Kind::Identity)?;
    if !policy.is_current_version() {
        let text = "Policy document must be version 2012-10-17 or greater.";
        return Err(Error::MalformedPolicyDocument(text.to_owned()));
    }
    if chars(document) > MANAGED_CHARS_MAX {
        return Err(Error::quota("PolicySize", MANAGED_CHARS_MAX));
    }
    Ok(())
}

/// Refuses what cannot be a role's trust policy.
///
/// # Errors
///
/// [`Error::MalformedPolicyDocument`], [`Error::LimitExceeded`].
pub(crate) fn check_trust(document: &str) -> Result<()> {
    parse(document, Kind::Trust)?;
    if chars(document) > TRUST_CHARS_MAX {
        return Err(Error::quota("ACLSizePerRole", TRUST_CHARS_MAX));
    }
    Ok(())
}

/// How long a document counts as: its white space does not.
pub(crate) fn chars(document: &str) -> usize {
    document.chars().filter(|c| !c.is_whitespace()).count()
}

/// A document as answers carry it: URL-encoded after RFC 3986.
///
/// AWS: PolicyVersion, `Document`.
pub(crate) fn encoded(document: &str) -> String {
    let mut out = String::with_capacity(document.len() * 2);
    for byte in document.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

fn parse(document: &str, kind: Kind) -> Result<Policy> {
    Policy::parse(document, kind).map_err(|e| Error::MalformedPolicyDocument(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_travel_url_encoded_and_count_without_white_space() {
        assert_eq!(encoded("{\"a\": \"é-_.~\"}"), "%7B%22a%22%3A%20%22%C3%A9-_.~%22%7D");
        assert_eq!(chars("{ \"a\":\n\t1 }"), 7);
    }
}
