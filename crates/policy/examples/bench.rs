//! Prints what an evaluation costs with twenty managed policies and a boundary.
//!
//! `cargo run --release -p policy --example bench`

use std::hint::black_box;
use std::time::Instant;

use policy::{Context, NamedPolicy, PolicySet, Principal, Reach, Request, evaluate, managed};

const ROUNDS: u32 = 200_000;

#[expect(clippy::print_stdout, reason = "the figure is the output")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut identity = Vec::new();
    for policy in
        managed::all().iter().filter(|policy| policy.name != "AdministratorAccess").take(20)
    {
        identity.push(NamedPolicy::new(policy.arn(), policy.compile()?));
    }
    let administrator =
        managed::find("arn:aws:iam::aws:policy/AdministratorAccess").ok_or("no administrator")?;
    let boundary = Some(NamedPolicy::new("boundary", administrator.compile()?));
    let set = PolicySet { identity, boundary, ..PolicySet::default() };
    let principal = Principal::AssumedRole {
        role: "arn:aws:iam::111122223333:role/app/web".parse()?,
        session: "arn:aws:sts::111122223333:assumed-role/web/i-1".parse()?,
        role_id: "AROAWEBEXAMPLE000001".to_owned(),
    };
    let mut context = Context::of(&principal);
    for (key, value) in [
        ("aws:SourceIp", "203.0.113.9"),
        ("aws:CurrentTime", "2026-11-20T11:14:00Z"),
        ("aws:SecureTransport", "true"),
        ("aws:RequestedRegion", "ap-northeast-2"),
        ("aws:UserAgent", "aws-cli/2"),
        ("aws:ResourceTag/team", "red"),
    ] {
        context.set(key, value);
    }
    for (action, resource) in [
        ("ec2:RunInstances", "arn:aws:ec2:ap-northeast-2:111122223333:instance/*"),
        ("s3:PutObject", "arn:aws:s3:::bucket/a/long/key/name.txt"),
        ("iam:PassRole", "arn:aws:iam::111122223333:role/app/web"),
        ("nothing:Known", "*"),
    ] {
        let request = Request { action, resource, principal: &principal, context: &context };
        let started = Instant::now();
        for _ in 0..ROUNDS {
            black_box(evaluate(black_box(&set), black_box(&request), Reach::SameAccount));
        }
        let micros = started.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS);
        let outcome = evaluate(&set, &request, Reach::SameAccount).is_allowed();
        println!(
            "{action:20} allowed={outcome:5} {micros:.2} µs with {} policies",
            set.identity.len()
        );
    }
    Ok(())
}
