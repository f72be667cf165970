//! More than a thousand cases of AWS's published evaluation logic.
//!
//! `cases/evaluation.json` holds them: the pages of the IAM and Organizations User Guides that they
//! follow, the policies, and the cases, each with who calls, what applies, and what the page says
//! comes out. The expectations were written from the pages, not taken from this engine.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a table that a failure names")]

use policy::{
    Context, Decision, Kind, NamedPolicy, Policy, PolicySet, Principal, Reach, Request, evaluate,
};
use serde_json::Value;

const TABLE: &str = include_str!("cases/evaluation.json");

fn principal(who: &str) -> Principal {
    match who {
        "user" => Principal::User {
            arn: "arn:aws:iam::111122223333:user/team/ann".parse().unwrap(),
            id: "AIDAANNEXAMPLE000001".to_owned(),
        },
        "role" => Principal::AssumedRole {
            role: "arn:aws:iam::111122223333:role/app/web".parse().unwrap(),
            session: "arn:aws:sts::111122223333:assumed-role/web/i-1".parse().unwrap(),
            role_id: "AROAWEBEXAMPLE000001".to_owned(),
        },
        "root" => Principal::Root { account: "111122223333".parse().unwrap() },
        "federated" => Principal::FederatedUser {
            arn: "arn:aws:sts::111122223333:federated-user/guest".parse().unwrap(),
            user: Some("arn:aws:iam::111122223333:user/team/ann".parse().unwrap()),
        },
        "service" => Principal::Service { name: "logs.amazonaws.com".to_owned() },
        "web" => Principal::Federated {
            provider: "arn:aws:iam::111122223333:oidc-provider/idp.example.com".to_owned(),
        },
        "anonymous" => Principal::Anonymous,
        other => panic!("who is {other}?"),
    }
}

struct Table {
    policies: Vec<Value>,
}

impl Table {
    fn policy(&self, at: &Value, kind: Kind) -> NamedPolicy {
        let text = self.policies[usize::try_from(at.as_u64().unwrap()).unwrap()].to_string();
        let policy = Policy::parse(&text, kind).unwrap_or_else(|error| panic!("{error}: {text}"));
        NamedPolicy::new("p", policy)
    }

    fn list(&self, case: &Value, layer: &str, kind: Kind) -> Vec<NamedPolicy> {
        let list = case[layer].as_array().map_or(&[][..], Vec::as_slice);
        list.iter().map(|at| self.policy(at, kind)).collect()
    }

    fn levels(&self, case: &Value, layer: &str, kind: Kind) -> Vec<Vec<NamedPolicy>> {
        let levels = case[layer].as_array().map_or(&[][..], Vec::as_slice);
        let level = |level: &Value| {
            level.as_array().unwrap().iter().map(|at| self.policy(at, kind)).collect()
        };
        levels.iter().map(level).collect()
    }

    fn set(&self, case: &Value) -> PolicySet {
        let one =
            |layer: &str, kind| (!case[layer].is_null()).then(|| self.policy(&case[layer], kind));
        PolicySet {
            identity: self.list(case, "identity", Kind::Identity),
            resource: one("resource", Kind::Resource)
                .or_else(|| one("key", Kind::Key))
                .or_else(|| one("trust", Kind::Trust)),
            boundary: one("boundary", Kind::Boundary),
            session: self.list(case, "session", Kind::Session),
            scps: self.levels(case, "scps", Kind::Scp),
            rcps: self.levels(case, "rcps", Kind::Rcp),
        }
    }
}

fn context(principal: &Principal, case: &Value) -> Context {
    let mut context = Context::of(principal);
    for (key, values) in case["context"].as_object().into_iter().flatten() {
        let values: Vec<&str> =
            values.as_array().unwrap().iter().map(|value| value.as_str().unwrap()).collect();
        match values.as_slice() {
            [one] => context.set(key, *one),
            many => context.set_all(key, many.iter().copied()),
        }
    }
    context
}

#[test]
fn every_case_comes_out_as_its_page_says() {
    let table: Value = serde_json::from_str(TABLE).unwrap();
    let pages = table["pages"].as_array().unwrap();
    let cases = table["cases"].as_array().unwrap();
    let policies = Table { policies: table["policies"].as_array().unwrap().clone() };
    assert!(cases.len() >= 1000, "{} cases", cases.len());
    let mut wrong = Vec::new();
    for case in cases {
        let principal = principal(case["who"].as_str().unwrap());
        let context = context(&principal, case);
        let request = Request {
            action: case["action"].as_str().unwrap(),
            resource: case["arn"].as_str().unwrap(),
            principal: &principal,
            context: &context,
        };
        let cross = case["cross"].as_bool() == Some(true);
        let reach = if cross { Reach::CrossAccount } else { Reach::SameAccount };
        let decision = evaluate(&policies.set(case), &request, reach);
        let got = match &decision {
            Decision::Allow(_) => "allow",
            Decision::ExplicitDeny(_) => "explicit",
            Decision::ImplicitDeny(_) => "implicit",
        };
        if got != case["expect"].as_str().unwrap() {
            let page = &pages[usize::try_from(case["page"].as_u64().unwrap()).unwrap()];
            let shown: Vec<&Value> = ["identity", "session"]
                .iter()
                .flat_map(|layer| case[*layer].as_array().into_iter().flatten())
                .chain(["resource", "boundary"].iter().map(|layer| &case[*layer]))
                .filter_map(|at| policies.policies.get(usize::try_from(at.as_u64()?).ok()?))
                .collect();
            wrong.push(format!("{page}: {case} {shown:?} gave {decision:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}
