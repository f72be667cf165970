//! The evaluation logic, table by table.
//!
//! AWS: "Policy evaluation logic", "Determining whether a request is allowed or denied within an
//! account", "Cross-account policy evaluation logic", "Permissions boundaries for IAM entities".

#![expect(clippy::unwrap_used, reason = "tables of cases, which a failure names")]

use policy::{
    Cause, Context, Decision, Kind, Layer, NamedPolicy, Policy, PolicySet, Principal, Reach,
    Request, considered, evaluate,
};

const ACCOUNT: &str = "111122223333";

fn user() -> Principal {
    Principal::User {
        arn: "arn:aws:iam::111122223333:user/team/ann".parse().unwrap(),
        id: "AIDAANNEXAMPLE000001".to_owned(),
    }
}

fn session() -> Principal {
    Principal::AssumedRole {
        role: "arn:aws:iam::111122223333:role/app/web".parse().unwrap(),
        session: "arn:aws:sts::111122223333:assumed-role/web/i-1".parse().unwrap(),
        role_id: "AROAWEBEXAMPLE000001".to_owned(),
    }
}

fn root() -> Principal {
    Principal::Root { account: ACCOUNT.parse().unwrap() }
}

fn service(name: &str) -> Principal {
    Principal::Service { name: name.to_owned() }
}

fn federated_user() -> Principal {
    Principal::FederatedUser {
        arn: "arn:aws:sts::111122223333:federated-user/f".parse().unwrap(),
        user: None,
    }
}

fn policy(kind: Kind, statements: &str) -> NamedPolicy {
    let document = format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#);
    let policy =
        Policy::parse(&document, kind).unwrap_or_else(|error| panic!("{error}: {document}"));
    NamedPolicy::new("p", policy)
}

const ALLOW: &str = r#"{"Sid":"yes","Effect":"Allow","Action":"s3:*","Resource":"*"}"#;
const DENY: &str = r#"{"Sid":"no","Effect":"Deny","Action":"s3:*","Resource":"*"}"#;
const OTHER: &str = r#"{"Effect":"Allow","Action":"ec2:*","Resource":"*"}"#;

fn decide(set: &PolicySet, principal: &Principal, reach: Reach) -> Decision {
    let context = Context::of(principal);
    let request = Request {
        action: "s3:GetObject",
        resource: "arn:aws:s3:::bucket/key",
        principal,
        context: &context,
    };
    evaluate(set, &request, reach)
}

/// `A` allowed, `E` explicitly denied, otherwise the layer that did not allow.
fn letter(decision: &Decision) -> char {
    match decision {
        Decision::Allow(_) => 'A',
        Decision::ExplicitDeny(_) => 'E',
        Decision::ImplicitDeny(Layer::Identity) => 'i',
        Decision::ImplicitDeny(Layer::Resource) => 'r',
        Decision::ImplicitDeny(Layer::Boundary) => 'b',
        Decision::ImplicitDeny(Layer::Session) => 's',
        Decision::ImplicitDeny(Layer::Scp) => 'o',
        Decision::ImplicitDeny(Layer::Rcp) => 'c',
    }
}

#[test]
fn identity_statements_select_by_action_and_resource() {
    for (statements, want) in [
        ("", 'i'),
        (ALLOW, 'A'),
        (OTHER, 'i'),
        (DENY, 'E'),
        (r#"{"Effect":"Allow","Action":"*","Resource":"*"}"#, 'A'),
        (r#"{"Effect":"Allow","Action":"s3:getobject","Resource":"*"}"#, 'A'),
        (r#"{"Effect":"Allow","Action":"S3:Get*","Resource":"*"}"#, 'A'),
        (r#"{"Effect":"Allow","Action":"s3:Put*","Resource":"*"}"#, 'i'),
        (r#"{"Effect":"Allow","Action":["s3:Put*","s3:Get?bject"],"Resource":"*"}"#, 'A'),
        (r#"{"Effect":"Allow","NotAction":"iam:*","Resource":"*"}"#, 'A'),
        (r#"{"Effect":"Allow","NotAction":"s3:*","Resource":"*"}"#, 'i'),
        (r#"{"Effect":"Allow","NotAction":["iam:*","s3:GetObject"],"Resource":"*"}"#, 'i'),
        (r#"{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::bucket/*"}"#, 'A'),
        (r#"{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::bucket"}"#, 'i'),
        (r#"{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::Bucket/*"}"#, 'i'),
        (
            r#"{"Effect":"Allow","Action":"s3:*","Resource":["arn:aws:s3:::x","arn:aws:s3:::b*"]}"#,
            'A',
        ),
        (r#"{"Effect":"Allow","Action":"s3:*","Resource":"arn:*:s3:*:*:*"}"#, 'A'),
        (r#"{"Effect":"Allow","Action":"s3:*","NotResource":"arn:aws:s3:::bucket/*"}"#, 'i'),
        (r#"{"Effect":"Allow","Action":"s3:*","NotResource":"arn:aws:s3:::other/*"}"#, 'A'),
        (r#"{"Effect":"Allow","Action":"s3:*","NotResource":"*"}"#, 'i'),
        (r#"{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::bucket/${aws:nope}"}"#, 'i'),
        (
            r#"{"Effect":"Allow","Action":"s3:*","NotResource":"arn:aws:s3:::bucket/${aws:nope}"}"#,
            'i',
        ),
        (
            r#"{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::bucket/${aws:nope,'key'}"}"#,
            'A',
        ),
        (&format!("{ALLOW},{DENY}"), 'E'),
        (&format!("{DENY},{ALLOW}"), 'E'),
        (&format!(r#"{ALLOW},{{"Effect":"Deny","Action":"s3:Put*","Resource":"*"}}"#), 'A'),
        (
            &format!(
                r#"{ALLOW},{{"Effect":"Deny","Action":"*","NotResource":"arn:aws:s3:::bucket/*"}}"#
            ),
            'A',
        ),
        (&format!(r#"{ALLOW},{{"Effect":"Deny","NotAction":"s3:Get*","Resource":"*"}}"#), 'A'),
        (
            &format!(
                r#"{ALLOW},{{"Effect":"Deny","Action":"*","Resource":"*","Condition":{{"StringNotEquals":{{"aws:RequestedRegion":"us-east-1"}}}}}}"#
            ),
            'E',
        ),
        (
            r#"{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"StringEquals":{"aws:username":"ann"}}}"#,
            'A',
        ),
        (
            r#"{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"StringEquals":{"aws:userid":"AIDAANNEXAMPLE000001","aws:PrincipalType":"User"}}}"#,
            'A',
        ),
        (
            r#"{"Effect":"Allow","Action":"s3:*","Resource":"*","Condition":{"ArnLike":{"aws:PrincipalArn":"arn:aws:iam::*:user/team/*"}}}"#,
            'A',
        ),
    ] {
        let identity =
            if statements.is_empty() { vec![] } else { vec![policy(Kind::Identity, statements)] };
        let set = PolicySet { identity, ..PolicySet::default() };
        let decision = decide(&set, &user(), Reach::SameAccount);
        assert_eq!(letter(&decision), want, "{statements}");
    }
}

#[test]
fn old_documents_have_no_variables() {
    let text =
        r#"{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::bucket/${*}"}}"#;
    let old = NamedPolicy::new("old", Policy::parse(text, Kind::Identity).unwrap());
    let set = PolicySet { identity: vec![old], ..PolicySet::default() };
    let principal = user();
    let context = Context::of(&principal);
    for (resource, want) in [("arn:aws:s3:::bucket/${x}", true), ("arn:aws:s3:::bucket/*", false)] {
        let request =
            Request { action: "s3:GetObject", resource, principal: &principal, context: &context };
        assert_eq!(evaluate(&set, &request, Reach::SameAccount).is_allowed(), want, "{resource}");
    }
}

/// A set of one optional policy a layer; each given as its statements.
#[derive(Default, Clone, Copy)]
struct Layers<'a> {
    identity: Option<&'a str>,
    resource: Option<&'a str>,
    boundary: Option<&'a str>,
    session: Option<&'a str>,
    scps: &'a [&'a str],
}

impl Layers<'_> {
    fn set(&self) -> PolicySet {
        let one = |kind, text: Option<&str>| text.map(|text| policy(kind, text));
        PolicySet {
            identity: one(Kind::Identity, self.identity).into_iter().collect(),
            resource: one(Kind::Resource, self.resource),
            boundary: one(Kind::Boundary, self.boundary),
            session: one(Kind::Session, self.session).into_iter().collect(),
            scps: self.scps.iter().map(|text| vec![policy(Kind::Scp, text)]).collect(),
            ..PolicySet::default()
        }
    }
}

fn grant(principal: &str) -> String {
    format!(
        r#"{{"Sid":"grant","Effect":"Allow","Principal":{principal},"Action":"s3:*","Resource":"*"}}"#
    )
}

#[test]
fn limits_intersect_within_an_account() {
    let (yes, no, other) = (Some(ALLOW), Some(DENY), Some(OTHER));
    let none = Layers::default();
    for (layers, want) in [
        (Layers { identity: yes, boundary: yes, ..none }, 'A'),
        (Layers { identity: yes, boundary: other, ..none }, 'b'),
        (Layers { identity: yes, boundary: no, ..none }, 'E'),
        (Layers { identity: None, boundary: yes, ..none }, 'i'),
        (Layers { identity: yes, session: yes, ..none }, 'A'),
        (Layers { identity: yes, session: other, ..none }, 's'),
        (Layers { identity: yes, session: no, ..none }, 'E'),
        (Layers { identity: None, session: yes, ..none }, 'i'),
        (Layers { identity: yes, boundary: yes, session: yes, ..none }, 'A'),
        (Layers { identity: yes, boundary: other, session: yes, ..none }, 'b'),
        (Layers { identity: yes, boundary: yes, session: other, ..none }, 's'),
        (Layers { identity: yes, scps: &[ALLOW], ..none }, 'A'),
        (Layers { identity: yes, scps: &[OTHER], ..none }, 'o'),
        (Layers { identity: yes, scps: &[DENY], ..none }, 'E'),
        (Layers { identity: yes, scps: &[ALLOW, ALLOW, ALLOW], ..none }, 'A'),
        (Layers { identity: yes, scps: &[ALLOW, OTHER, ALLOW], ..none }, 'o'),
        (Layers { identity: yes, scps: &[ALLOW, ALLOW, DENY], ..none }, 'E'),
        (Layers { identity: None, scps: &[ALLOW], ..none }, 'i'),
        (Layers { identity: no, scps: &[OTHER], ..none }, 'E'),
        (Layers { identity: other, boundary: other, session: other, scps: &[OTHER], ..none }, 'o'),
    ] {
        for principal in [user(), session()] {
            let decision = decide(&layers.set(), &principal, Reach::SameAccount);
            assert_eq!(letter(&decision), want, "{:?}", decision);
        }
    }
}

#[test]
fn an_empty_level_of_control_policies_allows_nothing() {
    let mut set = Layers { identity: Some(ALLOW), ..Layers::default() }.set();
    set.scps = vec![vec![policy(Kind::Scp, ALLOW)], vec![]];
    assert_eq!(letter(&decide(&set, &user(), Reach::SameAccount)), 'o');
    set.scps = vec![vec![policy(Kind::Scp, OTHER), policy(Kind::Scp, ALLOW)]];
    assert_eq!(letter(&decide(&set, &user(), Reach::SameAccount)), 'A');
}

#[test]
fn resource_policies_within_an_account() {
    let user_arn = grant(r#"{"AWS":"arn:aws:iam::111122223333:user/team/ann"}"#);
    let user_id = grant(r#"{"AWS":"AIDAANNEXAMPLE000001"}"#);
    let role_arn = grant(r#"{"AWS":"arn:aws:iam::111122223333:role/app/web"}"#);
    let session_arn = grant(r#"{"AWS":"arn:aws:sts::111122223333:assumed-role/web/i-1"}"#);
    let account = grant(r#"{"AWS":"111122223333"}"#);
    let account_root = grant(r#"{"AWS":"arn:aws:iam::111122223333:root"}"#);
    let everyone = grant(r#""*""#);
    let everyone_aws = grant(r#"{"AWS":"*"}"#);
    let stranger = grant(r#"{"AWS":"arn:aws:iam::111122223333:user/bob"}"#);
    let federated_arn = grant(r#"{"AWS":"arn:aws:sts::111122223333:federated-user/f"}"#);
    let (yes, other) = (Some(ALLOW), Some(OTHER));
    let none = Layers::default();
    // Each: who, resource policy, the other layers, the outcome.
    let cases: Vec<(Principal, &str, Layers<'_>, char)> = vec![
        (user(), &user_arn, none, 'A'),
        (user(), &user_id, none, 'A'),
        (user(), &everyone, none, 'A'),
        (user(), &everyone_aws, none, 'A'),
        (user(), &stranger, none, 'i'),
        (user(), &account, none, 'i'),
        (user(), &account_root, none, 'i'),
        (user(), &account, Layers { identity: yes, ..none }, 'A'),
        (user(), &stranger, Layers { identity: yes, ..none }, 'A'),
        // What names the user is not limited by an implicit deny in its boundary.
        (user(), &user_arn, Layers { boundary: other, ..none }, 'A'),
        (user(), &account, Layers { identity: yes, boundary: other, ..none }, 'b'),
        (user(), &user_arn, Layers { boundary: Some(DENY), ..none }, 'E'),
        (user(), &user_arn, Layers { identity: Some(DENY), ..none }, 'E'),
        (user(), &user_arn, Layers { scps: &[OTHER], ..none }, 'o'),
        (session(), &role_arn, none, 'A'),
        (session(), &session_arn, none, 'A'),
        (session(), &everyone, none, 'A'),
        (session(), &user_arn, none, 'i'),
        // What names the role is limited by boundary and session, what names the session is not.
        (session(), &role_arn, Layers { boundary: other, ..none }, 'b'),
        (session(), &role_arn, Layers { boundary: yes, ..none }, 'A'),
        (session(), &role_arn, Layers { session: other, ..none }, 's'),
        (session(), &role_arn, Layers { session: yes, ..none }, 'A'),
        (session(), &session_arn, Layers { boundary: other, session: other, ..none }, 'A'),
        (session(), &account, Layers { identity: yes, ..none }, 'A'),
        (session(), &account, none, 'i'),
        (federated_user(), &federated_arn, none, 'A'),
        (root(), &stranger, none, 'A'),
        (root(), &account, none, 'A'),
    ];
    for (who, text, layers, want) in cases {
        let set = Layers { resource: Some(text), ..layers }.set();
        let decision = decide(&set, &who, Reach::SameAccount);
        assert_eq!(letter(&decision), want, "{who:?} {text} {decision:?}");
    }
}

#[test]
fn both_sides_must_allow_across_accounts() {
    let user_arn = grant(r#"{"AWS":"arn:aws:iam::111122223333:user/team/ann"}"#);
    let account = grant(r#"{"AWS":"111122223333"}"#);
    let everyone = grant(r#""*""#);
    let none = Layers::default();
    let yes = Some(ALLOW);
    for (layers, want) in [
        (Layers { identity: yes, ..none }, 'r'),
        (Layers { identity: yes, resource: Some(&user_arn), ..none }, 'A'),
        (Layers { identity: yes, resource: Some(&account), ..none }, 'A'),
        (Layers { identity: yes, resource: Some(&everyone), ..none }, 'A'),
        (Layers { resource: Some(&user_arn), ..none }, 'i'),
        (Layers { resource: Some(&everyone), ..none }, 'i'),
        (Layers { identity: Some(OTHER), resource: Some(&user_arn), ..none }, 'i'),
        (Layers { identity: yes, boundary: Some(OTHER), resource: Some(&user_arn), ..none }, 'b'),
        (Layers { identity: yes, session: Some(OTHER), resource: Some(&user_arn), ..none }, 's'),
        (Layers { identity: yes, scps: &[OTHER], resource: Some(&user_arn), ..none }, 'o'),
        (Layers { identity: Some(DENY), resource: Some(&user_arn), ..none }, 'E'),
    ] {
        let decision = decide(&layers.set(), &user(), Reach::CrossAccount);
        assert_eq!(letter(&decision), want, "{decision:?}");
    }
    let set = Layers { resource: Some(&account), ..none }.set();
    assert_eq!(letter(&decide(&set, &root(), Reach::CrossAccount)), 'A');
    assert_eq!(letter(&decide(&PolicySet::default(), &root(), Reach::CrossAccount)), 'r');
}

#[test]
fn an_explicit_deny_of_the_resource_reaches_everyone() {
    let deny = |principal: &str| {
        format!(r#"{{"Effect":"Deny","Principal":{principal},"Action":"s3:*","Resource":"*"}}"#)
    };
    for (principal, who, want) in [
        (r#""*""#, user(), 'E'),
        (r#""*""#, root(), 'E'),
        (r#""*""#, session(), 'E'),
        (r#""*""#, service("lambda.amazonaws.com"), 'E'),
        (r#""*""#, Principal::Anonymous, 'E'),
        (r#"{"AWS":"111122223333"}"#, user(), 'E'),
        (r#"{"AWS":"111122223333"}"#, session(), 'E'),
        (r#"{"AWS":"111122223333"}"#, root(), 'E'),
        (r#"{"AWS":"444455556666"}"#, user(), 'A'),
        (r#"{"AWS":"arn:aws:iam::111122223333:role/app/web"}"#, session(), 'E'),
        (r#"{"AWS":"arn:aws:iam::111122223333:role/app/web"}"#, user(), 'A'),
    ] {
        let text = deny(principal);
        let layers = Layers { identity: Some(ALLOW), resource: Some(&text), ..Layers::default() };
        assert_eq!(
            letter(&decide(&layers.set(), &who, Reach::SameAccount)),
            want,
            "{text} {who:?}"
        );
    }
}

#[test]
fn not_principal_spares_only_whom_it_lists_fully() {
    let deny = |principal: &str| {
        format!(r#"{{"Effect":"Deny","NotPrincipal":{principal},"Action":"s3:*","Resource":"*"}}"#)
    };
    for (principal, who, want) in [
        (
            r#"{"AWS":["arn:aws:iam::111122223333:user/team/ann","arn:aws:iam::111122223333:root"]}"#,
            user(),
            'A',
        ),
        (r#"{"AWS":"arn:aws:iam::111122223333:user/team/ann"}"#, user(), 'E'),
        (r#"{"AWS":"arn:aws:iam::111122223333:root"}"#, user(), 'E'),
        (r#"{"AWS":"arn:aws:iam::111122223333:root"}"#, root(), 'A'),
        (
            r#"{"AWS":["arn:aws:sts::111122223333:assumed-role/web/i-1","arn:aws:iam::111122223333:role/app/web","arn:aws:iam::111122223333:root"]}"#,
            session(),
            'A',
        ),
        (
            r#"{"AWS":["arn:aws:sts::111122223333:assumed-role/web/i-1","arn:aws:iam::111122223333:root"]}"#,
            session(),
            'E',
        ),
        (r#"{"AWS":"444455556666"}"#, session(), 'E'),
        (r#""*""#, user(), 'A'),
    ] {
        let text = deny(principal);
        let layers = Layers { identity: Some(ALLOW), resource: Some(&text), ..Layers::default() };
        assert_eq!(
            letter(&decide(&layers.set(), &who, Reach::SameAccount)),
            want,
            "{text} {who:?}"
        );
    }
}

#[test]
fn services_and_strangers_need_the_resources_consent() {
    for (principal, who, want) in [
        (r#"{"Service":"lambda.amazonaws.com"}"#, service("lambda.amazonaws.com"), 'A'),
        (r#"{"Service":"lambda.amazonaws.com"}"#, service("ec2.amazonaws.com"), 'r'),
        (r#"{"Service":"lambda.amazonaws.com"}"#, user(), 'i'),
        (r#"{"AWS":"111122223333"}"#, service("lambda.amazonaws.com"), 'r'),
        (r#""*""#, service("lambda.amazonaws.com"), 'A'),
        (r#""*""#, Principal::Anonymous, 'A'),
        (r#"{"AWS":"*"}"#, Principal::Anonymous, 'A'),
        (r#"{"AWS":"111122223333"}"#, Principal::Anonymous, 'r'),
        (
            r#"{"Federated":"accounts.google.com"}"#,
            Principal::Federated { provider: "accounts.google.com".to_owned() },
            'A',
        ),
        (
            r#"{"Federated":"accounts.google.com"}"#,
            Principal::Federated { provider: "www.amazon.com".to_owned() },
            'r',
        ),
        (r#"{"CanonicalUser":"79a59df900b949e5"}"#, user(), 'i'),
    ] {
        let text = grant(principal);
        let set = Layers { resource: Some(&text), ..Layers::default() }.set();
        assert_eq!(letter(&decide(&set, &who, Reach::SameAccount)), want, "{text} {who:?}");
    }
    let none = PolicySet::default();
    assert_eq!(letter(&decide(&none, &Principal::Anonymous, Reach::CrossAccount)), 'r');
    assert_eq!(letter(&decide(&none, &service("x.amazonaws.com"), Reach::CrossAccount)), 'r');
}

#[test]
fn a_role_is_assumed_only_by_whom_it_trusts() {
    let assume = |statement: &str, identity: Option<&str>, who: &Principal, reach| {
        let set = PolicySet {
            identity: identity.map(|text| policy(Kind::Identity, text)).into_iter().collect(),
            resource: Some(policy(Kind::Trust, statement)),
            ..PolicySet::default()
        };
        let context = Context::of(who).with("sts:ExternalId", "42");
        let resource = "arn:aws:iam::111122223333:role/target";
        letter(&evaluate(
            &set,
            &Request { action: "sts:AssumeRole", resource, principal: who, context: &context },
            reach,
        ))
    };
    let trust = |principal: &str| {
        format!(r#"{{"Effect":"Allow","Principal":{principal},"Action":"sts:AssumeRole"}}"#)
    };
    let may = Some(r#"{"Effect":"Allow","Action":"sts:AssumeRole","Resource":"*"}"#);
    let (same, cross) = (Reach::SameAccount, Reach::CrossAccount);
    let account = trust(r#"{"AWS":"111122223333"}"#);
    let ann = trust(r#"{"AWS":"arn:aws:iam::111122223333:user/team/ann"}"#);
    let ec2 = trust(r#"{"Service":"ec2.amazonaws.com"}"#);
    let guarded = r#"{"Effect":"Allow","Principal":{"AWS":"111122223333"},"Action":"sts:AssumeRole",
        "Condition":{"StringEquals":{"sts:ExternalId":"42"}}}"#;
    assert_eq!(assume(&account, may, &user(), same), 'A');
    assert_eq!(assume(&account, None, &user(), same), 'i');
    assert_eq!(assume(&ann, None, &user(), same), 'A');
    assert_eq!(assume(&ann, None, &user(), cross), 'i');
    assert_eq!(assume(&ann, may, &user(), cross), 'A');
    assert_eq!(assume(&ec2, may, &user(), same), 'r');
    assert_eq!(assume(&ec2, None, &service("ec2.amazonaws.com"), cross), 'A');
    assert_eq!(assume(&ec2, None, &root(), same), 'r');
    assert_eq!(assume(&account, None, &root(), same), 'A');
    assert_eq!(assume(guarded, may, &user(), same), 'A');
    assert_eq!(assume(&guarded.replace("42", "43"), may, &user(), same), 'r');
}

#[test]
fn a_key_is_used_only_with_its_policys_consent() {
    let set = |principal: &str| PolicySet {
        identity: vec![policy(Kind::Identity, ALLOW)],
        resource: Some(policy(Kind::Key, &grant(principal))),
        ..PolicySet::default()
    };
    let delegated = set(r#"{"AWS":"arn:aws:iam::111122223333:root"}"#);
    let kept = set(r#"{"AWS":"arn:aws:iam::111122223333:user/bob"}"#);
    assert_eq!(letter(&decide(&delegated, &user(), Reach::SameAccount)), 'A');
    assert_eq!(letter(&decide(&kept, &user(), Reach::SameAccount)), 'r');
}

#[test]
fn decisions_name_the_statement_and_speak_as_aws_does() {
    let set = Layers { identity: Some(ALLOW), ..Layers::default() }.set();
    let want = Cause { layer: Layer::Identity, policy: "p".into(), statement: "yes".to_owned() };
    assert_eq!(decide(&set, &user(), Reach::SameAccount), Decision::Allow(want));

    let who = user();
    let context = Context::new();
    let request =
        Request { action: "ec2:RunInstances", resource: "*", principal: &who, context: &context };
    let denial = |set: &PolicySet| evaluate(set, &request, Reach::SameAccount).denial(&request);
    assert_eq!(
        denial(&PolicySet::default()).unwrap(),
        "User: arn:aws:iam::111122223333:user/team/ann is not authorized to perform: \
         ec2:RunInstances on resource: * because no identity-based policy allows the \
         ec2:RunInstances action"
    );
    let deny = r#"{"Effect":"Deny","Action":"*","Resource":"*"}"#;
    let set = Layers { scps: &[deny], ..Layers::default() }.set();
    assert!(denial(&set).unwrap().ends_with("with an explicit deny in a service control policy"));
    let set = Layers { identity: Some(deny), ..Layers::default() }.set();
    assert!(denial(&set).unwrap().ends_with("with an explicit deny in an identity-based policy"));
    assert_eq!(denial(&Layers { identity: Some(OTHER), ..Layers::default() }.set()), None);
}

#[test]
fn every_statement_about_the_action_is_explained() {
    let text = format!(
        r#"{ALLOW},{OTHER},{{"Sid":"far","Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::x"}},
        {{"Sid":"mfa","Effect":"Deny","Action":"s3:*","Resource":"*",
        "Condition":{{"Bool":{{"aws:MultiFactorAuthPresent":"false"}}}}}}"#
    );
    let set = Layers { identity: Some(&text), ..Layers::default() }.set();
    let who = user();
    let context = Context::new();
    let request = Request {
        action: "s3:GetObject",
        resource: "arn:aws:s3:::bucket/key",
        principal: &who,
        context: &context,
    };
    assert_eq!(
        considered(&set, &request),
        [
            "identity-based policy p yes: allows",
            "identity-based policy p far: allows other resources",
            "identity-based policy p mfa: denies under a condition that fails: \
             Bool aws:multifactorauthpresent",
        ]
    );
}

#[test]
fn sessions_describe_themselves() {
    let context = Context::of(&session());
    assert_eq!(context.values("aws:userid"), ["AROAWEBEXAMPLE000001:i-1"]);
    assert_eq!(context.values("aws:PrincipalArn"), ["arn:aws:iam::111122223333:role/app/web"]);
    assert_eq!(context.values("aws:PrincipalAccount"), [ACCOUNT]);
    assert_eq!(context.values("aws:PrincipalIsAWSService"), ["false"]);
    assert!(context.values("aws:username").is_empty());
}
