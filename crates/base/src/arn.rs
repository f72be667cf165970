//! Amazon Resource Names.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// An Amazon Resource Name, kept as its six parts.
///
/// AWS: "Identify AWS resources with Amazon Resource Names (ARNs)".
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Arn {
    /// `aws`, `aws-cn` or `aws-us-gov`.
    pub partition: String,
    /// The service's namespace, as `ec2`.
    pub service: String,
    /// The region, empty for global resources.
    pub region: String,
    /// The account, empty where the resource has none.
    pub account: String,
    /// Everything behind the fifth colon, as `instance/i-0123456789abcdef0`.
    pub resource: String,
}

/// The text is not an ARN.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an ARN: {0}")]
pub struct ParseArnError(pub String);

impl Arn {
    /// An ARN in the standard partition.
    pub fn new(
        service: &str,
        region: impl fmt::Display,
        account: impl fmt::Display,
        resource: impl Into<String>,
    ) -> Self {
        Self {
            partition: "aws".to_owned(),
            service: service.to_owned(),
            region: region.to_string(),
            account: account.to_string(),
            resource: resource.into(),
        }
    }

    /// The part of the resource behind its type: `r` of `role/r` and of `function:r`, the whole
    /// resource where it has no type.
    pub fn name(&self) -> &str {
        self.resource.split_once(['/', ':']).map_or(self.resource.as_str(), |(_, name)| name)
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { partition, service, region, account, resource } = self;
        write!(f, "arn:{partition}:{service}:{region}:{account}:{resource}")
    }
}

impl FromStr for Arn {
    type Err = ParseArnError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.splitn(6, ':');
        let mut next = || parts.next().ok_or_else(|| ParseArnError(text.to_owned()));
        if next()? != "arn" {
            return Err(ParseArnError(text.to_owned()));
        }
        let (partition, service, region) = (next()?, next()?, next()?);
        let (account, resource) = (next()?, next()?);
        if partition.is_empty() || service.is_empty() || resource.is_empty() {
            return Err(ParseArnError(text.to_owned()));
        }
        Ok(Self {
            partition: partition.to_owned(),
            service: service.to_owned(),
            region: region.to_owned(),
            account: account.to_owned(),
            resource: resource.to_owned(),
        })
    }
}

impl From<Arn> for String {
    fn from(arn: Arn) -> Self {
        arn.to_string()
    }
}

impl TryFrom<String> for Arn {
    type Error = ParseArnError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_survives_a_round_trip() {
        for text in [
            "arn:aws:iam::123456789012:role/path/name",
            "arn:aws:s3:::bucket/key:with:colons",
            "arn:aws:ec2:ap-northeast-2:123456789012:instance/i-0123456789abcdef0",
        ] {
            assert_eq!(text.parse::<Arn>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn text_that_is_no_arn_is_refused() {
        for text in ["", "arn", "arn:aws:s3", "arn:aws:s3:::", "urn:aws:s3:::b", "arn::s3:::b"] {
            assert!(text.parse::<Arn>().is_err(), "{text}");
        }
    }
}
