//! The checks that IAM makes of actions and resources beyond the grammar, with its messages.

/// The beginnings of the resource part of an IAM ARN.
const IAM_PATHS: [&str; 13] = [
    "user/",
    "federated-user/",
    "role/",
    "group/",
    "instance-profile/",
    "mfa/",
    "server-certificate/",
    "policy/",
    "sms-mfa/",
    "saml-provider/",
    "oidc-provider/",
    "report/",
    "access-report/",
];

/// What is wrong with a resource.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum BadResource {
    /// The first parser of IAM gives up, before other faults are looked for.
    Legacy,
    /// A fault with a message of its own.
    Because(String),
}

/// Checks `Action` and `NotAction` names.
pub(crate) fn action(name: &str) -> Result<(), String> {
    if name == "*" {
        return Ok(());
    }
    let Some((vendor, rest)) = name.split_once(':') else {
        return Err(
            "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.".to_owned()
        );
    };
    if rest.contains(':') {
        return Err("Actions/Condition can contain only one colon.".to_owned());
    }
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
    if vendor != "*" && (vendor.is_empty() || !vendor.bytes().all(plain)) {
        return Err(format!("Vendor {vendor} is not valid"));
    }
    Ok(())
}

/// Checks a member of `Resource` or `NotResource` of an identity-based policy.
pub(crate) fn resource(text: &str) -> Result<(), BadResource> {
    if text == "*" {
        return Ok(());
    }
    let because = |message: String| Err(BadResource::Because(message));
    let Some((_, behind)) = text.split_once(':') else {
        return because(format!("Resource {text} must be in ARN format or \"*\"."));
    };
    let (partition, behind) = match behind.split_once(':') {
        Some((partition, behind)) => (partition, Some(behind)),
        None => (behind, None),
    };
    if !matches!(partition, "aws" | "*") {
        return because(bad_partition(partition, behind.unwrap_or_default()));
    }
    let Some(behind) = behind else {
        return because(
            "Resource vendor must be fully qualified and cannot contain regexes.".to_owned(),
        );
    };
    let parts: Vec<&str> = behind.splitn(4, ':').collect();
    let part = |at: usize| parts.get(at).copied().unwrap_or_default();
    let (service, region, account, resource) = (part(0), part(1), part(2), part(3));
    if service == "iam" && !region.is_empty() {
        return because(format!("IAM resource {text} cannot contain region information."));
    }
    if service == "s3" && parts.len() == 4 && !region.is_empty() && account.is_empty() {
        return because(format!("Resource {text} can not contain region information."));
    }
    if service.is_empty() || text.matches(':').count() < 5 && text.contains("::") {
        return Err(BadResource::Legacy);
    }
    if service == "iam"
        && parts.len() == 4
        && resource != "*"
        && !IAM_PATHS.iter().any(|path| resource.starts_with(path))
    {
        return because(format!(
            "IAM resource path must either be \"*\" or start with {}.",
            IAM_PATHS.join(", ")
        ));
    }
    Ok(())
}

/// The message shows the ARN with its absent parts as stars.
fn bad_partition(partition: &str, behind: &str) -> String {
    let mut parts = behind.splitn(4, ':');
    let first = parts.next().filter(|part| !part.is_empty() || behind.contains(':'));
    let mut next = || parts.next().unwrap_or("*");
    format!(
        "Partition \"{partition}\" is not valid for resource \"arn:{partition}:{}:{}:{}:{}\".",
        first.unwrap_or("*"),
        next(),
        next(),
        next()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_a_vendor_and_a_name() {
        for good in ["*", "*:*", "s3:*", "s3:Get*", "execute-api:Invoke", "a4b:X", "a.b:C", "s3:"] {
            assert_eq!(action(good), Ok(()), "{good}");
        }
        for (bad, want) in [
            ("", "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."),
            ("s3", "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."),
            ("s3:a:b", "Actions/Condition can contain only one colon."),
            ("a a:B", "Vendor a a is not valid"),
            ("s*:B", "Vendor s* is not valid"),
            (":B", "Vendor  is not valid"),
        ] {
            assert_eq!(action(bad), Err(want.to_owned()), "{bad}");
        }
    }

    #[test]
    fn resources_are_arns() {
        for good in [
            "*",
            "arn:aws:s3:::b",
            "arn:aws:s3:::b/${aws:username}/*",
            "arn:aws:s3:us-west-2:123456789012:accesspoint/x",
            "arn:aws:s3:*:*:*",
            "arn:*:ec2:*:*:instance/*",
            "arn:aws:iam::123456789012:role/x",
            "arn:aws:iam::*:*",
            "arn:aws:logs:*",
        ] {
            assert_eq!(resource(good), Ok(()), "{good}");
        }
        for (bad, want) in [
            ("", "Resource  must be in ARN format or \"*\"."),
            ("bucket", "Resource bucket must be in ARN format or \"*\"."),
            ("a:b", "Partition \"b\" is not valid for resource \"arn:b:*:*:*:*\"."),
            ("a:b:c", "Partition \"b\" is not valid for resource \"arn:b:c:*:*:*\"."),
            ("a:b:c:d:e:f:g", "Partition \"b\" is not valid for resource \"arn:b:c:d:e:f:g\"."),
            (
                "aws:s3:::example_bucket",
                "Partition \"s3\" is not valid for resource \"arn:s3:::example_bucket:*\".",
            ),
            ("arn:aws", "Resource vendor must be fully qualified and cannot contain regexes."),
            (
                "arn:aws:iam:us-east-1:1:user/x",
                "IAM resource arn:aws:iam:us-east-1:1:user/x cannot contain region information.",
            ),
            (
                "arn:aws:s3:us-east-1::b",
                "Resource arn:aws:s3:us-east-1::b can not contain region information.",
            ),
        ] {
            assert_eq!(resource(bad), Err(BadResource::Because(want.to_owned())), "{bad}");
        }
        assert_eq!(resource("arn:aws:s3::b"), Err(BadResource::Legacy));
        assert_eq!(resource("arn:aws::::b"), Err(BadResource::Legacy));
        assert!(matches!(resource("arn:aws:iam:::b"), Err(BadResource::Because(_))));
    }
}
