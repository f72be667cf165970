//! What documents are accepted, and with which words the others are refused.
//!
//! AWS: "Grammar of the IAM JSON policy language", "IAM JSON policy elements reference".

#![expect(clippy::too_many_lines, reason = "tables of cases, which a failure names")]

use policy::{Kind, Policy};
use proptest::prelude::*;

const SYNTAX: &str = "Syntax errors in policy.";
const LEGACY: &str = "The policy failed legacy parsing";
const VENDOR: &str = "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc.";

fn statement(members: &str) -> String {
    format!(r#"{{"Version":"2012-10-17","Statement":[{{{members}}}]}}"#)
}

fn refused(kind: Kind, document: &str, want: &str) {
    match Policy::parse(document, kind) {
        Ok(_) => panic!("accepted: {document}"),
        Err(error) => assert_eq!(error.to_string(), want, "{document}"),
    }
}

fn accepted(kind: Kind, document: &str) {
    if let Err(error) = Policy::parse(document, kind) {
        panic!("{error}: {document}");
    }
}

#[test]
fn identity_documents_are_refused_with_iams_words() {
    for document in [
        "",
        "This is not a json document",
        "[]",
        "{}",
        r#""x""#,
        r#"{"Version":"2012-10-17"}"#,
        r#"{"Version":"2012-10-17","Statement":[]}"#,
        r#"{"Version":"2012-10-17","Statement":["a"]}"#,
        r#"{"Version":"2012-10-17","Statement":"a"}"#,
        r#"{"Version":"2013-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#,
        r#"{"Version":1,"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#,
        r#"{"Id":{},"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#,
        r#"{"Extra":1,"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#,
        r#"{"version":"2012-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}"#,
        r#"{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"},"Statement":[]}"#,
    ] {
        refused(Kind::Identity, document, SYNTAX);
    }
    for (members, want) in [
        (r#""Action":"s3:*","Resource":"*""#, SYNTAX),
        (r#""Effect":"Maybe","Action":"s3:*","Resource":"*""#, SYNTAX),
        (r#""Effect":1,"Action":"s3:*","Resource":"*""#, SYNTAX),
        (r#""Effect":"allow","Action":"s3:*","Resource":"*""#, LEGACY),
        (r#""Effect":"Allow","Action":"s3:*","Resource":"*","Extra":1"#, SYNTAX),
        (r#""Effect":"Allow","Action":"s3:*","NotAction":"s3:*","Resource":"*""#, SYNTAX),
        (r#""Effect":"Allow","Action":"s3:*","Resource":"*","NotResource":"*""#, SYNTAX),
        (r#""Effect":"Allow","Action":{},"Resource":"*""#, SYNTAX),
        (r#""Effect":"Allow","Action":1,"Resource":"*""#, SYNTAX),
        (r#""Effect":"Allow","Action":[[]],"Resource":"*""#, SYNTAX),
        (r#""Effect":"Allow","Action":"s3:*","Resource":{}"#, SYNTAX),
        (r#""Effect":"Allow","Action":"s3:*","Resource":["*",{}]"#, SYNTAX),
        (r#""Effect":"Allow","Action":"s3:*","Resource":"*","Sid":{}"#, SYNTAX),
        (r#""Effect":"Allow","Action":"s3:*","Resource":"*","Condition":[]"#, SYNTAX),
        (r#""Effect":"Allow","Action":"s3:*","Resource":"*","Condition":"a""#, SYNTAX),
        (r#""Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"a":"b"}"#, SYNTAX),
        (
            r#""Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"StringEquals":{"a":{}}}"#,
            SYNTAX,
        ),
        (
            r#""Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"StringIs":{"a":"b"}}"#,
            SYNTAX,
        ),
        (
            r#""Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"ForAny:StringEquals":{"a":"b"}}"#,
            SYNTAX,
        ),
        (
            r#""Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"NullIfExists":{"a":"true"}}"#,
            SYNTAX,
        ),
        (
            r#""Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"DateLessThan":{"a":"soon"}}"#,
            LEGACY,
        ),
        (
            r#""Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"NumericEquals":{"a":"ten"}}"#,
            LEGACY,
        ),
        (
            r#""Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"IpAddress":{"a":"ten"}}"#,
            LEGACY,
        ),
        (
            r#""Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"StringEquals":{"a":"${x"}}"#,
            SYNTAX,
        ),
        (r#""Effect":"Allow""#, "Policy statement must contain actions."),
        (r#""Effect":"Allow","Resource":"*""#, "Policy statement must contain actions."),
        (
            r#""Effect":"Allow","Action":[],"Resource":"*""#,
            "Policy statement must contain actions.",
        ),
        (r#""Effect":"Allow","Action":"s3:*""#, "Policy statement must contain resources."),
        (
            r#""Effect":"Allow","Action":"s3:*","Resource":[]"#,
            "Policy statement must contain resources.",
        ),
        (r#""Effect":"Allow","Action":"invalid""#, VENDOR),
        (r#""Effect":"Allow","Action":"invalid","Resource":"*""#, VENDOR),
        (r#""Effect":"Allow","NotAction":"","Resource":"*""#, VENDOR),
        (r#""Effect":"Allow","Action":"a a:B","Resource":"*""#, "Vendor a a is not valid"),
        (
            r#""Effect":"Allow","Action":"s3:List:Bucket","Resource":"*""#,
            "Actions/Condition can contain only one colon.",
        ),
        (
            r#""Effect":"Allow","Action":"s:3:x","Resource":"sdfsadf""#,
            "Resource sdfsadf must be in ARN format or \"*\".",
        ),
        (r#""Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3::b""#, LEGACY),
        (r#""Effect":"Allow","Resource":"arn:aws:s3::b""#, LEGACY),
        (
            r#""Effect":"Allow","Action":"s3:*","Resource":"*","Principal":"*""#,
            "Policy document should not specify a principal.",
        ),
        (
            r#""Sid":"a-b","Effect":"Allow","Action":"s3:*","Resource":"*""#,
            "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the \
             regular expression [0-9A-Za-z]*",
        ),
    ] {
        refused(Kind::Identity, &statement(members), want);
    }
    refused(
        Kind::Identity,
        r#"{"Statement":[{"Sid":"a","Effect":"Allow","Action":"*","Resource":"*"},
                         {"Sid":"a","Effect":"Deny","Action":"s3:*","Resource":"*"}]}"#,
        "Statement IDs (SID) in a single policy must be unique.",
    );
}

#[test]
fn identity_documents_of_every_form_are_accepted() {
    for members in [
        r#""Effect":"Allow","Action":"*","Resource":"*""#,
        r#""Effect":"Deny","NotAction":["iam:*","sts:*"],"NotResource":["arn:aws:s3:::b"]"#,
        r#""Sid":"","Effect":"Allow","Action":"s3:*","Resource":"*""#,
        r#""Sid":"A1","Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b/${aws:username}/*""#,
        r#""Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{}"#,
        r#""Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"Bool":{"aws:SecureTransport":false}}"#,
        r#""Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"NumericLessThan":{"aws:MultiFactorAuthAge":3600}}"#,
        r#""Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"StringEquals":{"saml:aud":["a",1,true]}}"#,
    ] {
        for kind in [Kind::Identity, Kind::Boundary, Kind::Session, Kind::Scp] {
            accepted(kind, &statement(members));
        }
    }
    accepted(
        Kind::Identity,
        r#" {"Id":"x","Version":"2008-10-17","Statement":{"Effect":"Allow","Action":"*","Resource":"*"}} "#,
    );
}

#[test]
fn versions_are_told_apart() {
    for (version, current) in
        [(r#""Version":"2012-10-17","#, true), (r#""Version":"2008-10-17","#, false), ("", false)]
    {
        let document =
            format!(r#"{{{version}"Statement":{{"Effect":"Allow","Action":"*","Resource":"*"}}}}"#);
        let policy = Policy::parse(&document, Kind::Identity).unwrap();
        assert_eq!(policy.is_current_version(), current, "{document}");
    }
}

#[test]
fn trust_documents() {
    for (members, want) in [
        (r#""Effect":"Allow","Action":"sts:AssumeRole""#, "Missing required field Principal"),
        (
            r#""Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":"sts:AssumeRole","Resource":"*""#,
            "Has prohibited field Resource",
        ),
        (r#""Effect":"Allow","Principal":{"AWS":"123456789012"}"#, "Missing required field Action"),
        (
            r#""Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":"s3:GetObject""#,
            "AssumeRole policy may only specify STS AssumeRole actions.",
        ),
        (
            r#""Effect":"Allow","Principal":{"AWS":"nobody"},"Action":"sts:AssumeRole""#,
            "Invalid principal in policy: \"AWS\":\"nobody\"",
        ),
        (
            r#""Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123456789012:user/*"},"Action":"sts:AssumeRole""#,
            "Invalid principal in policy: \"AWS\":\"arn:aws:iam::123456789012:user/*\"",
        ),
        (
            r#""Effect":"Allow","Principal":{"Service":"ec2"},"Action":"sts:AssumeRole""#,
            "Invalid principal in policy: \"Service\":\"ec2\"",
        ),
        (
            r#""Effect":"Allow","Principal":"ec2.amazonaws.com","Action":"sts:AssumeRole""#,
            "Invalid principal in policy: \"ec2.amazonaws.com\"",
        ),
        (
            r#""Effect":"Allow","Principal":{},"Action":"sts:AssumeRole""#,
            "Invalid principal in policy",
        ),
        (
            r#""Effect":"Allow","Principal":{"AWS":[]},"Action":"sts:AssumeRole""#,
            "Invalid principal in policy",
        ),
        (
            r#""Effect":"Allow","Principal":"*","Action":"sts:AssumeRole","Extra":1"#,
            "Unknown field Extra",
        ),
        (
            r#""Principal":"*","Action":"sts:AssumeRole""#,
            "Missing required field Effect cannot be empty!",
        ),
    ] {
        refused(Kind::Trust, &statement(members), want);
    }
    refused(Kind::Trust, "{", "This policy contains invalid Json");
    refused(Kind::Trust, r#"{"Version":"2012-10-17"}"#, "Missing required field Statement");
    for principal in [
        r#"{"AWS":"123456789012"}"#,
        r#"{"AWS":["arn:aws:iam::123456789012:root","arn:aws:iam::123456789012:user/p/a"]}"#,
        r#"{"AWS":"arn:aws:iam::123456789012:role/r"}"#,
        r#"{"AWS":"arn:aws:sts::123456789012:assumed-role/r/s"}"#,
        r#"{"AWS":"AIDACKCEVSQ6C2EXAMPLE"}"#,
        r#"{"AWS":"*"}"#,
        r#""*""#,
        r#"{"Service":["ec2.amazonaws.com","lambda.amazonaws.com"]}"#,
        r#"{"Federated":"cognito-identity.amazonaws.com"}"#,
        r#"{"Federated":"arn:aws:iam::123456789012:saml-provider/p"}"#,
    ] {
        for action in ["sts:AssumeRole", "sts:*", "sts:AssumeRoleWithWebIdentity"] {
            accepted(
                Kind::Trust,
                &statement(&format!(
                    r#""Effect":"Allow","Principal":{principal},"Action":"{action}""#
                )),
            );
        }
    }
}

#[test]
fn resource_documents() {
    let all =
        r#""Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*""#;
    accepted(Kind::Resource, &statement(all));
    accepted(Kind::Resource, &statement(&format!(r#""Sid":"a name with spaces",{all}"#)));
    accepted(Kind::Key, &statement(&all.replace("arn:aws:s3:::b/*", "*")));
    for (members, want) in [
        (r#""Effect":"Allow","Action":"s3:*","Resource":"*""#, "Missing required field Principal"),
        (r#""Effect":"Allow","Principal":"*","Action":"s3:*""#, "Missing required field Resource"),
        (r#""Effect":"Allow","Principal":"*","Resource":"*""#, "Missing required field Action"),
        (
            r#""Effect":"Allow","Principal":{"AWS":"x"},"Action":"s3:*","Resource":"*""#,
            "Invalid principal in policy: \"AWS\":\"x\"",
        ),
    ] {
        refused(Kind::Resource, &statement(members), want);
    }
}

#[test]
fn public_policies_are_recognized() {
    for (members, want) in [
        (r#""Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"*""#, true),
        (r#""Effect":"Allow","Principal":{"AWS":"*"},"Action":"s3:*","Resource":"*""#, true),
        (r#""Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"*""#, false),
        (
            r#""Effect":"Allow","Principal":{"AWS":"123456789012"},"Action":"s3:*","Resource":"*""#,
            false,
        ),
        (
            r#""Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"*","Condition":{"StringEquals":{"aws:SourceVpc":"vpc-1"}}"#,
            false,
        ),
    ] {
        let policy = Policy::parse(&statement(members), Kind::Resource).unwrap();
        assert_eq!(policy.is_public(), want, "{members}");
    }
}

#[test]
fn principals_are_listed() {
    let document = statement(
        r#""Effect":"Allow","Principal":{"AWS":["123456789012","AIDACKCEVSQ6C2EXAMPLE"],"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole""#,
    );
    let policy = Policy::parse(&document, Kind::Trust).unwrap();
    let listed: Vec<&str> = policy.principals().collect();
    assert_eq!(listed, ["123456789012", "AIDACKCEVSQ6C2EXAMPLE", "ec2.amazonaws.com"]);
}

proptest! {
    #[test]
    fn parsing_never_panics(text in ".{0,200}") {
        for kind in [Kind::Identity, Kind::Trust, Kind::Resource] {
            let _ = Policy::parse(&text, kind);
        }
    }

    #[test]
    fn parsing_odd_members_never_panics(
        effect in ".{0,8}", action in ".{0,20}", resource in ".{0,30}", operator in "[A-Za-z:]{0,20}",
        key in ".{0,10}", value in ".{0,20}",
    ) {
        let [effect, action, resource, operator, key, value] =
            [effect, action, resource, operator, key, value]
                .map(|text| serde_json::to_string(&text).unwrap());
        let condition = format!("{{{operator}:{{{key}:{value}}}}}");
        let members = format!(
            r#""Effect":{effect},"Action":{action},"Resource":{resource},"Condition":{condition}"#,
        );
        let _ = Policy::parse(&statement(&members), Kind::Identity);
    }
}
