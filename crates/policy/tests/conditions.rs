//! Condition operators, table by table.
//!
//! AWS: "IAM JSON policy elements: Condition operators", "Conditions with multiple context keys or
//! values", "Set operators for multivalued context keys".

#![expect(clippy::unwrap_used, reason = "tables of cases, which a failure names")]

use policy::{Context, Kind, NamedPolicy, Policy, PolicySet, Principal, Reach, Request, evaluate};

/// Whether a statement with `condition` applies under `context`.
fn holds(condition: &str, context: &Context) -> bool {
    let document = format!(
        r#"{{"Version":"2012-10-17","Statement":{{"Effect":"Allow","Action":"*","Resource":"*",
        "Condition":{condition}}}}}"#
    );
    let policy = Policy::parse(&document, Kind::Identity)
        .unwrap_or_else(|error| panic!("{condition}: {error}"));
    let set = PolicySet { identity: vec![NamedPolicy::new("p", policy)], ..PolicySet::default() };
    let principal = Principal::User {
        arn: "arn:aws:iam::111122223333:user/ann".parse().unwrap(),
        id: "AIDAEXAMPLEEXAMPLE".to_owned(),
    };
    let request = Request { action: "s3:GetObject", resource: "*", principal: &principal, context };
    evaluate(&set, &request, Reach::SameAccount).is_allowed()
}

/// Each case: operator, policy values as JSON, the request's value if any, whether it holds.
fn check(cases: &[(&str, &str, Option<&str>, bool)]) {
    for (operator, wanted, value, want) in cases {
        let context = value.map_or_else(Context::new, |v| Context::new().with("t:Key", v));
        let condition = format!(r#"{{"{operator}":{{"t:key":{wanted}}}}}"#);
        assert_eq!(holds(&condition, &context), *want, "{condition} on {value:?}");
    }
}

/// As `check`, for a multivalued key.
fn check_many(cases: &[(&str, &str, &[&str], bool)]) {
    for (operator, wanted, values, want) in cases {
        let context = Context::new().with_all("t:key", values.iter().copied());
        let condition = format!(r#"{{"{operator}":{{"t:key":{wanted}}}}}"#);
        assert_eq!(holds(&condition, &context), *want, "{condition} on {values:?}");
    }
}

#[test]
fn string_operators() {
    check(&[
        ("StringEquals", r#""a""#, Some("a"), true),
        ("StringEquals", r#""a""#, Some("A"), false),
        ("StringEquals", r#""a""#, Some("ab"), false),
        ("StringEquals", r#""a*""#, Some("ab"), false),
        ("StringEquals", r#""a*""#, Some("a*"), true),
        ("StringEquals", r#""a?""#, Some("ab"), false),
        ("StringEquals", r#""""#, Some(""), true),
        ("StringEquals", r#"["a","b"]"#, Some("b"), true),
        ("StringEquals", r#"["a","b"]"#, Some("c"), false),
        ("StringEquals", r#""a""#, None, false),
        ("StringEquals", r#""5""#, Some("5"), true),
        ("StringEquals", "5", Some("5"), true),
        ("StringEquals", "true", Some("true"), true),
        ("StringEquals", "[]", Some("a"), false),
        ("StringNotEquals", r#""a""#, Some("a"), false),
        ("StringNotEquals", r#""a""#, Some("b"), true),
        ("StringNotEquals", r#"["a","b"]"#, Some("a"), false),
        ("StringNotEquals", r#"["a","b"]"#, Some("b"), false),
        ("StringNotEquals", r#"["a","b"]"#, Some("c"), true),
        ("StringNotEquals", r#""a""#, None, true),
        ("StringEqualsIgnoreCase", r#""aB""#, Some("Ab"), true),
        ("StringEqualsIgnoreCase", r#""É""#, Some("é"), true),
        ("StringEqualsIgnoreCase", r#""a""#, Some("b"), false),
        ("StringEqualsIgnoreCase", r#""a*""#, Some("AB"), false),
        ("StringEqualsIgnoreCase", r#""a""#, None, false),
        ("StringNotEqualsIgnoreCase", r#""aB""#, Some("Ab"), false),
        ("StringNotEqualsIgnoreCase", r#""a""#, Some("b"), true),
        ("StringNotEqualsIgnoreCase", r#""a""#, None, true),
        ("StringLike", r#""a*""#, Some("abc"), true),
        ("StringLike", r#""a*""#, Some("Abc"), false),
        ("StringLike", r#""a?c""#, Some("abc"), true),
        ("StringLike", r#""a?c""#, Some("ac"), false),
        ("StringLike", r#""*""#, Some(""), true),
        ("StringLike", r#""*""#, None, false),
        ("StringLike", r#"["x*","*c"]"#, Some("abc"), true),
        ("StringLike", r#""a${*}""#, Some("abc"), false),
        ("StringLike", r#""a${*}""#, Some("a*"), true),
        ("StringLike", r#""home/*/x""#, Some("home/a/b/x"), true),
        ("StringNotLike", r#""a*""#, Some("abc"), false),
        ("StringNotLike", r#""a*""#, Some("bc"), true),
        ("StringNotLike", r#"["a*","b*"]"#, Some("bc"), false),
        ("StringNotLike", r#""a*""#, None, true),
    ]);
}

#[test]
fn numeric_operators() {
    check(&[
        ("NumericEquals", r#""10""#, Some("10"), true),
        ("NumericEquals", "10", Some("10.0"), true),
        ("NumericEquals", r#"["1","10"]"#, Some("10"), true),
        ("NumericEquals", "10", Some("11"), false),
        ("NumericEquals", "10", Some("ten"), false),
        ("NumericEquals", "10", None, false),
        ("NumericNotEquals", "10", Some("10"), false),
        ("NumericNotEquals", "10", Some("11"), true),
        ("NumericNotEquals", "[10,11]", Some("11"), false),
        ("NumericNotEquals", "10", None, true),
        ("NumericLessThan", "10", Some("9"), true),
        ("NumericLessThan", "10", Some("10"), false),
        ("NumericLessThan", "10", Some("9.99"), true),
        ("NumericLessThan", "10", None, false),
        ("NumericLessThanEquals", "10", Some("10"), true),
        ("NumericLessThanEquals", "10", Some("10.1"), false),
        ("NumericGreaterThan", "10", Some("100"), true),
        ("NumericGreaterThan", "10", Some("10"), false),
        ("NumericGreaterThan", "-5", Some("-4"), true),
        ("NumericGreaterThanEquals", "10", Some("10"), true),
        ("NumericGreaterThanEquals", "10", Some("9"), false),
        ("NumericGreaterThanEquals", "[10,5]", Some("7"), true),
        ("NumericGreaterThanEquals", "10", None, false),
    ]);
}

#[test]
fn date_operators() {
    check(&[
        ("DateEquals", r#""2020-04-01T00:00:00Z""#, Some("2020-04-01T00:00:00Z"), true),
        ("DateEquals", r#""2020-04-01T09:00:00+09:00""#, Some("2020-04-01T00:00:00Z"), true),
        ("DateEquals", r#""1585699200""#, Some("2020-04-01T00:00:00Z"), true),
        ("DateEquals", "1585699200", Some("2020-04-01T00:00:00Z"), true),
        ("DateEquals", r#""2020-04-01""#, Some("2020-04-01T00:00:01Z"), false),
        ("DateEquals", r#""2020-04-01""#, None, false),
        ("DateNotEquals", r#""2020-04-01""#, Some("2020-04-01T00:00:00Z"), false),
        ("DateNotEquals", r#""2020-04-01""#, Some("2020-04-02T00:00:00Z"), true),
        ("DateNotEquals", r#""2020-04-01""#, None, true),
        ("DateLessThan", r#""2020-04-01T00:00:00Z""#, Some("2020-03-31T23:59:59Z"), true),
        ("DateLessThan", r#""2020-04-01T00:00:00Z""#, Some("2020-04-01T00:00:00Z"), false),
        ("DateLessThanEquals", r#""2020-04-01""#, Some("2020-04-01T00:00:00Z"), true),
        ("DateLessThanEquals", r#""2020-04-01""#, Some("2020-04-01T00:00:01Z"), false),
        ("DateGreaterThan", r#""2020-04-01""#, Some("2020-04-01T00:00:01Z"), true),
        ("DateGreaterThan", r#""2020-04-01""#, Some("2020-04-01T00:00:00Z"), false),
        ("DateGreaterThan", r#""2020""#, Some("2020-01-01T00:00:01Z"), true),
        ("DateGreaterThanEquals", r#""2020-04""#, Some("2020-04-01T00:00:00Z"), true),
        ("DateGreaterThanEquals", r#""2020-04""#, Some("soon"), false),
        ("DateGreaterThanEquals", r#""2020-04""#, None, false),
    ]);
}

#[test]
fn bool_and_binary_operators() {
    check(&[
        ("Bool", r#""true""#, Some("true"), true),
        ("Bool", "true", Some("true"), true),
        ("Bool", "false", Some("true"), false),
        ("Bool", "false", Some("false"), true),
        ("Bool", r#""True""#, Some("true"), true),
        ("Bool", r#""true""#, Some("TRUE"), true),
        ("Bool", r#"["true","false"]"#, Some("false"), true),
        ("Bool", "true", None, false),
        ("Bool", "false", None, false),
        ("BoolIfExists", "true", None, true),
        ("BoolIfExists", "true", Some("false"), false),
        ("BinaryEquals", r#""QmluYXJ5VmFsdWU=""#, Some("QmluYXJ5VmFsdWU="), true),
        ("BinaryEquals", r#""QmluYXJ5VmFsdWU=""#, Some("qmluYXJ5VmFsdWU="), false),
        ("BinaryEquals", r#""QQ==""#, None, false),
    ]);
}

#[test]
fn address_operators() {
    check(&[
        ("IpAddress", r#""203.0.113.0/24""#, Some("203.0.113.9"), true),
        ("IpAddress", r#""203.0.113.0/24""#, Some("203.0.114.9"), false),
        ("IpAddress", r#""203.0.113.9""#, Some("203.0.113.9"), true),
        ("IpAddress", r#""203.0.113.9/32""#, Some("203.0.113.10"), false),
        ("IpAddress", r#"["10.0.0.0/8","203.0.113.0/24"]"#, Some("10.255.0.1"), true),
        ("IpAddress", r#""0.0.0.0/0""#, Some("8.8.8.8"), true),
        ("IpAddress", r#""0.0.0.0/0""#, Some("::1"), false),
        ("IpAddress", r#""2001:DB8:1234:5678::/64""#, Some("2001:db8:1234:5678::1"), true),
        ("IpAddress", r#""2001:DB8:1234:5678::/64""#, Some("2001:db8:1234:5679::1"), false),
        ("IpAddress", r#""::/0""#, Some("2001:db8::1"), true),
        ("IpAddress", r#""203.0.113.0/24""#, Some("AWS Internal"), false),
        ("IpAddress", r#""203.0.113.0/24""#, None, false),
        ("NotIpAddress", r#""203.0.113.0/24""#, Some("203.0.113.9"), false),
        ("NotIpAddress", r#""203.0.113.0/24""#, Some("203.0.114.9"), true),
        ("NotIpAddress", r#"["10.0.0.0/8","203.0.113.0/24"]"#, Some("10.0.0.1"), false),
        ("NotIpAddress", r#""203.0.113.0/24""#, Some("cloudformation.amazonaws.com"), true),
        ("NotIpAddress", r#""203.0.113.0/24""#, None, true),
    ]);
}

#[test]
fn arn_operators() {
    let topic = Some("arn:aws:sns:us-east-1:111122223333:t");
    for operator in ["ArnEquals", "ArnLike"] {
        check(&[
            (operator, r#""arn:aws:sns:us-east-1:111122223333:t""#, topic, true),
            (operator, r#""arn:aws:sns:*:111122223333:t""#, topic, true),
            (operator, r#""arn:aws:sns:us-east-?:111122223333:*""#, topic, true),
            (operator, r#""arn:aws:sns:*:t""#, topic, false),
            (operator, r#""arn:aws:sqs:*:*:*""#, topic, false),
            (operator, r#""arn:aws:SNS:*:*:*""#, topic, false),
            (operator, r#"["arn:aws:sqs:*:*:*","arn:aws:sns:*:*:*"]"#, topic, true),
            (operator, r#""*""#, topic, true),
            (operator, r#""arn:aws:sns:*:*:*""#, Some("text"), false),
            (operator, r#""arn:aws:sns:*:*:*""#, None, false),
        ]);
    }
    for operator in ["ArnNotEquals", "ArnNotLike"] {
        check(&[
            (operator, r#""arn:aws:sns:*:111122223333:t""#, topic, false),
            (operator, r#""arn:aws:sns:*:999999999999:t""#, topic, true),
            (operator, r#"["arn:aws:sqs:*:*:*","arn:aws:sns:*:*:*"]"#, topic, false),
            (operator, r#""arn:aws:sns:*:*:*""#, None, true),
        ]);
    }
}

#[test]
fn null_tests_presence() {
    check(&[
        ("Null", r#""true""#, None, true),
        ("Null", r#""true""#, Some("x"), false),
        ("Null", "true", None, true),
        ("Null", r#""false""#, None, false),
        ("Null", "false", Some("x"), true),
        ("Null", "false", Some(""), true),
    ]);
    check_many(&[("Null", "true", &[], true), ("Null", "false", &["a", "b"], true)]);
}

#[test]
fn if_exists_holds_without_the_key() {
    for operator in [
        ("StringEqualsIfExists", r#""a""#),
        ("StringNotEqualsIfExists", r#""a""#),
        ("StringLikeIfExists", r#""a*""#),
        ("StringEqualsIgnoreCaseIfExists", r#""a""#),
        ("NumericLessThanIfExists", "1"),
        ("DateGreaterThanIfExists", r#""2020""#),
        ("IpAddressIfExists", r#""10.0.0.0/8""#),
        ("NotIpAddressIfExists", r#""10.0.0.0/8""#),
        ("ArnLikeIfExists", r#""arn:aws:s3:::*""#),
        ("BinaryEqualsIfExists", r#""QQ==""#),
        ("BoolIfExists", "true"),
        ("ForAnyValue:StringEqualsIfExists", r#""a""#),
        ("ForAllValues:StringEqualsIfExists", r#""a""#),
    ] {
        check(&[(operator.0, operator.1, None, true)]);
    }
    check(&[
        ("StringEqualsIfExists", r#""a""#, Some("a"), true),
        ("StringEqualsIfExists", r#""a""#, Some("b"), false),
        ("StringNotEqualsIfExists", r#""a""#, Some("a"), false),
        ("NumericLessThanIfExists", "1", Some("2"), false),
    ]);
}

#[test]
fn set_operators() {
    check_many(&[
        ("ForAnyValue:StringEquals", r#"["a","b"]"#, &["a"], true),
        ("ForAnyValue:StringEquals", r#"["a","b"]"#, &["x", "b"], true),
        ("ForAnyValue:StringEquals", r#"["a","b"]"#, &["x", "y"], false),
        ("ForAnyValue:StringEquals", r#"["a","b"]"#, &[], false),
        ("ForAnyValue:StringLike", r#""a*""#, &["x", "ab"], true),
        ("ForAnyValue:StringNotEquals", r#""a""#, &["a", "b"], true),
        ("ForAnyValue:StringNotEquals", r#""a""#, &["a", "a"], false),
        ("ForAnyValue:StringNotEquals", r#""a""#, &[], false),
        ("ForAllValues:StringEquals", r#"["a","b"]"#, &["a"], true),
        ("ForAllValues:StringEquals", r#"["a","b"]"#, &["a", "b"], true),
        ("ForAllValues:StringEquals", r#"["a","b"]"#, &["a", "c"], false),
        ("ForAllValues:StringEquals", r#"["a","b"]"#, &[], true),
        ("ForAllValues:StringEquals", r#"["a","b"]"#, &[""], true),
        ("ForAllValues:StringLike", r#"["a*","b*"]"#, &["ax", "by"], true),
        ("ForAllValues:StringLike", r#"["a*","b*"]"#, &["ax", "cy"], false),
        ("ForAllValues:StringNotEquals", r#"["a","b"]"#, &["c", "d"], true),
        ("ForAllValues:StringNotEquals", r#"["a","b"]"#, &["c", "a"], false),
        ("ForAllValues:StringNotEquals", r#"["a","b"]"#, &[], true),
        ("ForAllValues:StringEqualsIgnoreCase", r#"["A"]"#, &["a", "A"], true),
        ("ForAllValues:NumericLessThan", "5", &["1", "4"], true),
        ("ForAllValues:NumericLessThan", "5", &["1", "5"], false),
        ("ForAnyValue:NumericLessThan", "5", &["9", "4"], true),
        ("ForAnyValue:ArnLike", r#""arn:aws:s3:::*""#, &["x", "arn:aws:s3:::b"], true),
        ("ForAnyValue:IpAddress", r#""10.0.0.0/8""#, &["11.0.0.1", "10.0.0.1"], true),
        ("ForAllValues:Bool", "true", &["true", "true"], true),
        ("ForAllValues:Bool", "true", &["true", "false"], false),
        // No public page settles set-less operators on several values; any match counts.
        ("StringEquals", r#""a""#, &["a", "b"], true),
        ("StringEquals", r#""a""#, &["c", "b"], false),
        ("StringNotEquals", r#""a""#, &["a", "b"], false),
        ("StringNotEquals", r#""a""#, &["c", "b"], true),
        ("StringEquals", r#""a""#, &[], false),
        ("StringNotEquals", r#""a""#, &[], true),
    ]);
}

#[test]
fn keys_and_operators_of_a_block_must_all_hold() {
    let context = Context::new().with("t:a", "1").with("t:b", "2");
    for (condition, want) in [
        (r#"{}"#, true),
        (r#"{"StringEquals":{}}"#, true),
        (r#"{"StringEquals":{"t:a":"1","t:b":"2"}}"#, true),
        (r#"{"StringEquals":{"t:a":"1","t:b":"3"}}"#, false),
        (r#"{"StringEquals":{"t:a":"1"},"NumericLessThan":{"t:b":"3"}}"#, true),
        (r#"{"StringEquals":{"t:a":"1"},"NumericLessThan":{"t:b":"2"}}"#, false),
        (r#"{"StringEquals":{"T:A":"1"}}"#, true),
        (r#"{"StringLike":{"t:a":["9","1"]},"Null":{"t:c":"true"}}"#, true),
    ] {
        assert_eq!(holds(condition, &context), want, "{condition}");
    }
}

#[test]
fn variables_stand_for_the_requests_values() {
    let context = Context::new()
        .with("aws:username", "ann")
        .with("aws:PrincipalTag/team", "red*")
        .with("aws:ResourceTag/team", "red*")
        .with("aws:ResourceTag/owner", "ann")
        .with("t:path", "home/ann/x")
        .with("t:flag", "true")
        .with_all("aws:TagKeys", ["team", "owner"]);
    for (condition, want) in [
        (r#"{"StringEquals":{"aws:ResourceTag/owner":"${aws:username}"}}"#, true),
        (r#"{"StringEquals":{"aws:ResourceTag/team":"${aws:PrincipalTag/team}"}}"#, true),
        (r#"{"StringEquals":{"aws:ResourceTag/team":"${aws:PrincipalTag/TEAM}"}}"#, true),
        (r#"{"StringLike":{"t:path":"home/${aws:username}/*"}}"#, true),
        (r#"{"StringLike":{"t:path":"home/${aws:PrincipalTag/team}/*"}}"#, false),
        (r#"{"StringLike":{"aws:ResourceTag/team":"${aws:PrincipalTag/team}"}}"#, true),
        (r#"{"StringLike":{"aws:ResourceTag/owner":"${aws:PrincipalTag/none, 'a*'}"}}"#, false),
        (r#"{"StringEquals":{"aws:ResourceTag/owner":"${aws:PrincipalTag/none, 'ann'}"}}"#, true),
        (r#"{"StringEquals":{"aws:ResourceTag/owner":"${aws:PrincipalTag/none}"}}"#, false),
        (r#"{"StringNotEquals":{"aws:ResourceTag/owner":"${aws:PrincipalTag/none}"}}"#, false),
        (r#"{"StringNotEquals":{"aws:ResourceTag/owner":"${aws:PrincipalTag/team}"}}"#, true),
        (r#"{"StringEquals":{"aws:ResourceTag/owner":["${aws:PrincipalTag/none}","ann"]}}"#, true),
        (r#"{"StringEqualsIgnoreCase":{"aws:ResourceTag/owner":"${aws:UserName}"}}"#, true),
        (r#"{"Bool":{"t:flag":"${t:flag}"}}"#, true),
        (r#"{"ForAnyValue:StringEquals":{"aws:TagKeys":"${aws:TagKeys}"}}"#, false),
        (r#"{"StringEquals":{"t:path":"${$}"}}"#, false),
    ] {
        assert_eq!(holds(condition, &context), want, "{condition}");
    }
}
