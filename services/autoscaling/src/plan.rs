//! Who joins and who leaves: decisions without I/O.

use std::collections::BTreeMap;
use std::time::Duration;

use base::Timestamp;

use crate::store::{Group, Life, Member, Subnet};

/// How long a zone in which a launch failed is left alone while others can be used.
pub(crate) const ZONE_REST: Duration = Duration::from_secs(15);

/// How long a group whose every launch fails waits between two, at first and at most.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// One decision with its cause, as the activity will tell it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Step {
    /// Launch an instance in this subnet.
    Launch { subnet: Subnet, cause: String },
    /// Take the member with this number out and end it.
    Terminate { number: u64, cause: String },
}

/// What the group should do now.
pub(crate) fn plan(group: &Group, now: Timestamp) -> Vec<Step> {
    let group = &with_failures(group, now);
    let mut steps = Vec::new();
    let may = |process: &str| !group.suspended.contains(process);
    let mut leaving = Vec::new();
    if may("HealthCheck") && may("ReplaceUnhealthy") && may("Terminate") {
        for member in group.active().filter(|member| !member.healthy) {
            leaving.push(member.number);
            let cause = format!(
                "At {} an instance was taken out of service in response to {}.",
                now.iso8601_seconds(),
                unhealthy_reason(group, member)
            );
            steps.push(Step::Terminate { number: member.number, cause });
        }
    }
    let staying: Vec<&Member> =
        group.active().filter(|member| !leaving.contains(&member.number)).collect();
    if staying.len() < group.desired && may("Launch") {
        launch(group, &staying, group.desired - staying.len(), now, &mut steps);
    } else if staying.len() > group.desired && may("Terminate") {
        shrink(group, &staying, now, &mut steps);
    } else if staying.len() == group.desired && leaving.is_empty() && may("AZRebalance") {
        rebalance(group, &staying, now, &mut steps);
    }
    steps
}

/// The group as it will be when those who ended before they were in service are noted as launches
/// that failed, which is done with the steps that follow.
fn with_failures(group: &Group, now: Timestamp) -> Group {
    let mut known = group.clone();
    for member in group.active().filter(|member| member.life == Life::Pending && member.ended) {
        known.launch_failed(&member.subnet.zone, now);
    }
    known
}

fn unhealthy_reason(group: &Group, member: &Member) -> &'static str {
    if group.elb_health && !member.ended {
        "an ELB system health check failure"
    } else {
        "an EC2 health check indicating it has been terminated or stopped"
    }
}

/// How many of `members` are in each zone of the group.
fn counts(group: &Group, members: &[&Member]) -> BTreeMap<String, usize> {
    let mut counts: BTreeMap<String, usize> =
        group.zones().into_iter().map(|zone| (zone, 0)).collect();
    for member in members {
        *counts.entry(member.subnet.zone.clone()).or_default() += 1;
    }
    counts
}

/// The subnets of zones in which no launch failed of late. Where there is none, a zone is tried
/// again after a pause, which grows while launches fail.
fn usable(group: &Group, now: Timestamp) -> Vec<&Subnet> {
    let after = |rest: Duration| -> Vec<&Subnet> {
        let rested = |zone: &str| {
            group.failed_zones.get(zone).is_none_or(|failed| now.since(*failed) >= rest)
        };
        group.subnets.iter().filter(|subnet| rested(&subnet.zone)).collect()
    };
    let good = after(ZONE_REST);
    if good.is_empty() { after(pause(group.failures)) } else { good }
}

/// How long a group in whose zones launches fail waits after the last of `failures`.
fn pause(failures: u32) -> Duration {
    let doubled = 1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    PAUSE_MIN.saturating_mul(doubled).min(PAUSE_MAX)
}

fn launch(group: &Group, staying: &[&Member], count: usize, now: Timestamp, steps: &mut Vec<Step>) {
    let mut counts = counts(group, staying);
    let subnets = usable(group, now);
    for number in 0..count {
        let fewest = |subnet: &&&Subnet| counts.get(&subnet.zone).copied().unwrap_or(0);
        let Some(subnet) = subnets.iter().min_by_key(fewest) else { return };
        let cause = format!(
            "{} At {} an instance was started in response to a difference between desired and \
             actual capacity, increasing the capacity from {} to {}.",
            group.cause,
            now.iso8601_seconds(),
            staying.len() + number,
            staying.len() + number + 1
        );
        steps.push(Step::Launch { subnet: (*subnet).clone(), cause: cause.trim().to_owned() });
        *counts.entry(subnet.zone.clone()).or_default() += 1;
    }
}

fn shrink(group: &Group, staying: &[&Member], now: Timestamp, steps: &mut Vec<Step>) {
    let mut left: Vec<&Member> = staying.to_vec();
    // Capacity that is on its way must arrive before what it replaces may go.
    let waits = left.iter().any(|m| m.life == Life::Pending && m.instance.is_some());
    let over = left.len() - group.desired;
    if waits && over < left.iter().filter(|m| m.life == Life::Pending).count() + 1 && over == 1 {
        return;
    }
    for _ in 0..over {
        let Some(victim) = victim(group, &left) else { return };
        let number = victim.number;
        let cause = format!(
            "{} At {} an instance was taken out of service in response to a difference between \
             desired and actual capacity, shrinking the capacity from {} to {}.",
            group.cause,
            now.iso8601_seconds(),
            left.len(),
            left.len() - 1
        );
        steps.push(Step::Terminate { number, cause: cause.trim().to_owned() });
        left.retain(|member| member.number != number);
    }
}

/// The member that goes first: of the fullest zone, then by the group's policies.
///
/// AWS: "Configure termination policies for Amazon EC2 Auto Scaling".
fn victim<'a>(group: &Group, members: &[&'a Member]) -> Option<&'a Member> {
    let counts = counts(group, members);
    let free: Vec<&&Member> = members.iter().filter(|member| !member.protected).collect();
    let fullest = free.iter().map(|m| counts.get(&m.subnet.zone).copied().unwrap_or(0)).max()?;
    let in_fullest =
        |member: &&&&Member| counts.get(&member.subnet.zone).copied().unwrap_or(0) == fullest;
    let candidates: Vec<&&&Member> = free.iter().filter(in_fullest).collect();
    let version = |member: &Member| {
        member.template_version.as_ref().and_then(|v| v.parse::<u64>().ok()).unwrap_or(0)
    };
    let chosen = match group.termination_policies.first().map(String::as_str) {
        Some("NewestInstance") => {
            candidates.iter().max_by_key(|member| (member.launched, member.number))
        }
        Some("OldestInstance") => {
            candidates.iter().min_by_key(|member| (member.launched, member.number))
        }
        _ => {
            candidates.iter().min_by_key(|member| (version(member), member.launched, member.number))
        }
    };
    chosen.map(|member| **member.to_owned())
}

/// Launches into a zone that has two fewer than another; the surplus goes once it is in service.
fn rebalance(group: &Group, staying: &[&Member], now: Timestamp, steps: &mut Vec<Step>) {
    if staying.iter().any(|member| member.life != Life::InService) || group.deleting {
        return;
    }
    let counts = counts(group, staying);
    let subnets = usable(group, now);
    let fewest = |subnet: &&&Subnet| counts.get(&subnet.zone).copied().unwrap_or(0);
    let Some(target) = subnets.iter().min_by_key(fewest) else { return };
    let most = counts.values().copied().max().unwrap_or(0);
    if most < counts.get(&target.zone).copied().unwrap_or(0) + 2 {
        return;
    }
    let zones: Vec<&str> = counts.keys().map(String::as_str).collect();
    let numbers: Vec<String> = counts.values().map(ToString::to_string).collect();
    let cause = format!(
        "At {} availability zones {} had {} instances respectively. An instance was launched to \
         aid in balancing the group's zones.",
        now.iso8601_seconds(),
        zones.join(" "),
        numbers.join(", ")
    );
    steps.push(Step::Launch { subnet: (*target).clone(), cause });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Template;

    fn subnet(zone: &str) -> Subnet {
        Subnet { id: format!("subnet-{zone}"), zone: zone.to_owned() }
    }

    fn group(desired: usize, zones: &[&str], members: &[(&str, Life, bool)]) -> Group {
        let member = |(number, (zone, life, healthy)): (usize, &(&str, Life, bool))| Member {
            number: number as u64,
            subnet: subnet(zone),
            life: *life,
            instance: Some(format!("i-{number}")),
            instance_type: None,
            template_version: None,
            healthy: *healthy,
            ended: false,
            protected: false,
            launched: Timestamp::from_secs(number as i64),
            in_service: None,
            registered: Default::default(),
            activity: String::new(),
        };
        Group {
            name: "g".to_owned(),
            arn: String::new(),
            uid: String::new(),
            min: 0,
            max: 10,
            desired,
            template: Template { id: String::new(), name: String::new(), version: "1".to_owned() },
            subnets: zones.iter().map(|zone| subnet(zone)).collect(),
            elb_health: true,
            grace_secs: 0,
            cooldown_secs: 0,
            target_groups: Default::default(),
            leaving_target_groups: Default::default(),
            termination_policies: vec!["Default".to_owned()],
            protect_new: false,
            tags: Default::default(),
            suspended: Default::default(),
            created: Timestamp::from_secs(0),
            deleting: false,
            members: members.iter().enumerate().map(member).collect(),
            next_launch: 100,
            refresh: None,
            failed_zones: Default::default(),
            failures: 0,
            cause: String::new(),
        }
    }

    fn zones_launched(steps: &[Step]) -> Vec<&str> {
        let zone = |step: &'_ Step| match step {
            Step::Launch { subnet, .. } => Some(subnet.zone.clone()),
            Step::Terminate { .. } => None,
        };
        let mut zones: Vec<String> = steps.iter().filter_map(zone).collect();
        zones.sort();
        zones.into_iter().map(|zone| if zone == "a" { "a" } else { "b" }).collect()
    }

    #[test]
    fn launches_spread_over_the_zones() {
        let steps = plan(&group(4, &["a", "b"], &[]), Timestamp::from_secs(100));
        assert_eq!(zones_launched(&steps), ["a", "a", "b", "b"]);
        let one = group(2, &["a", "b"], &[("a", Life::InService, true)]);
        assert_eq!(zones_launched(&plan(&one, Timestamp::from_secs(100))), ["b"]);
    }

    #[test]
    fn an_unhealthy_member_leaves_and_another_comes() {
        let sick = [("a", Life::InService, true), ("b", Life::InService, false)];
        let steps = plan(&group(2, &["a", "b"], &sick), Timestamp::from_secs(100));
        assert!(matches!(steps[0], Step::Terminate { number: 1, .. }));
        assert_eq!(zones_launched(&steps), ["b"]);
    }

    #[test]
    fn a_zone_that_failed_rests_while_another_can_do() {
        let mut group = group(2, &["a", "b"], &[("a", Life::InService, true)]);
        group.failed_zones.insert("b".to_owned(), Timestamp::from_secs(95));
        assert_eq!(zones_launched(&plan(&group, Timestamp::from_secs(100))), ["a"]);
        assert_eq!(zones_launched(&plan(&group, Timestamp::from_secs(200))), ["b"]);
    }

    #[test]
    fn a_group_whose_launches_fail_waits_ever_longer() {
        let mut group = group(1, &["a"], &[]);
        let mut waits = |failures: u32| {
            group.failures = failures;
            group.failed_zones.insert("a".to_owned(), Timestamp::from_secs(1000));
            let launches = |at: &i64| !plan(&group, Timestamp::from_secs(1000 + at)).is_empty();
            (0..100).find(launches).unwrap()
        };
        assert_eq!([1, 2, 3, 5, 9].map(&mut waits), [1, 2, 4, 15, 15]);
        assert_eq!((pause(7), pause(40)), (PAUSE_MAX, PAUSE_MAX));
    }

    #[test]
    fn an_unbalanced_group_launches_before_it_shrinks() {
        let both = [("a", Life::InService, true), ("a", Life::InService, true)];
        let steps = plan(&group(2, &["a", "b"], &both), Timestamp::from_secs(100));
        assert_eq!((steps.len(), zones_launched(&steps)), (1, vec!["b"]));
        let three = [
            ("a", Life::InService, true),
            ("a", Life::InService, true),
            ("b", Life::InService, true),
        ];
        let steps = plan(&group(2, &["a", "b"], &three), Timestamp::from_secs(100));
        assert!(matches!(steps.as_slice(), [Step::Terminate { number: 0, .. }]));
    }

    #[test]
    fn suspended_processes_do_nothing() {
        let mut group = group(2, &["a"], &[("a", Life::InService, false)]);
        for process in ["Launch", "ReplaceUnhealthy"] {
            group.suspended.insert(process.to_owned());
        }
        assert!(plan(&group, Timestamp::from_secs(100)).is_empty());
    }
}
