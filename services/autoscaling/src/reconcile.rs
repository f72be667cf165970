//! One run of a group: look at its members, plan, write the plan down, make it so.

use std::collections::BTreeMap;
use std::time::Duration;

use base::Timestamp;
use kernel::{Client, Next, TaskError};
use store::Scope;

use crate::TaskCtx;
use crate::act::{self, Seen};
use crate::activity;
use crate::error::Error;
use crate::plan::{Step, plan};
use crate::refresh;
use crate::store::{ACTIVITIES, GROUPS, Group, Life, Member, PAST_REFRESHES};

type Result<T> = std::result::Result<T, TaskError>;

/// How soon a group in flux is looked at again.
const FLUX: Duration = Duration::from_millis(250);
/// How often the health of a settled group is looked at.
const WATCH: Duration = Duration::from_millis(1000);
/// The service's principal.
pub(crate) const PRINCIPAL: &str = "autoscaling.amazonaws.com";

/// The groups of the region.
pub(crate) async fn keys(ctx: TaskCtx) -> Result<Vec<String>> {
    let all = ctx.store.read(|tx| tx.scan_all(&GROUPS)).await?;
    Ok(all.iter().map(|(scope, group)| format!("{}/{}", scope.account, group.name)).collect())
}

/// What one run works with.
pub(crate) struct Run {
    pub(crate) ctx: TaskCtx,
    pub(crate) scope: Scope,
    pub(crate) client: Client,
    pub(crate) name: String,
}

/// Brings the group `key` nearer to what is wanted.
pub(crate) async fn reconcile(ctx: TaskCtx, key: String) -> Result<Next> {
    let Some((account, name)) = key.split_once('/') else { return Ok(Next::Idle) };
    let account: base::AccountId = account.parse()?;
    let client = ctx.service_client(&account, PRINCIPAL).await?;
    let scope = Scope::new(account, ctx.region.clone());
    let run = Run { ctx, scope, client, name: name.to_owned() };
    let Some(group) = run.group().await? else { return Ok(Next::Idle) };
    let seen = act::look(&run, &group).await?;
    let Some(group) = run.note(&seen).await? else { return Ok(Next::Idle) };
    let group = run.decide(group).await?;
    act::act(&run, &group, &seen).await?;
    let Some(group) = run.group().await? else { return Ok(Next::Idle) };
    if group.deleting && group.members.is_empty() {
        run.forget(&group).await?;
        return Ok(Next::Idle);
    }
    let settled = group.members.iter().all(|member| member.life == Life::InService)
        && group.members.len() == group.desired
        && !group.refresh.as_ref().is_some_and(refresh::is_active);
    Ok(match (settled, group.members.is_empty()) {
        (true, true) => Next::Idle,
        (true, false) => Next::Poll(WATCH),
        (false, _) => Next::Poll(FLUX),
    })
}

impl Run {
    pub(crate) fn now(&self) -> Timestamp {
        self.ctx.now()
    }

    pub(crate) async fn group(&self) -> Result<Option<Group>> {
        let store = self.ctx.store.scoped(self.scope.clone());
        Ok(store.read(|tx| tx.get(&GROUPS, &self.name)).await?)
    }

    /// Changes the group as it is kept now; nothing is written when nothing changes.
    pub(crate) async fn change(
        &self,
        edit: impl Fn(&mut Group) + Send + Sync,
    ) -> Result<Option<Group>> {
        let store = self.ctx.store.scoped(self.scope.clone());
        let changed = store
            .write(|tx| {
                let Some(before) = tx.get(&GROUPS, &self.name)? else { return Ok(None) };
                let mut after = before.clone();
                edit(&mut after);
                if after != before {
                    tx.put(&GROUPS, &after)?;
                }
                Ok::<_, store::Error>(Some(after))
            })
            .await?;
        Ok(changed)
    }

    pub(crate) async fn change_member(
        &self,
        number: u64,
        edit: impl Fn(&mut Member) + Send + Sync,
    ) -> Result<()> {
        self.change(|group| {
            group.members.iter_mut().filter(|member| member.number == number).for_each(&edit);
        })
        .await
        .map(|_| ())
    }

    /// Writes down what was seen of the members' health.
    async fn note(&self, seen: &BTreeMap<String, Seen>) -> Result<Option<Group>> {
        let now = self.now();
        self.change(|group| {
            let (elb, grace) = (group.elb_health, Duration::from_secs(group.grace_secs));
            for member in group.members.iter_mut().filter(|m| m.life != Life::Terminating) {
                let Some(id) = &member.instance else { continue };
                let running = seen.get(id).is_some_and(|seen| seen.is_alive);
                // An instance that was started anew has its grace anew.
                let started = seen.get(id).and_then(|seen| seen.launched);
                let since = member.in_service.map(|since| started.map_or(since, |s| s.max(since)));
                let past_grace = since.is_some_and(|since| now.since(since) >= grace);
                let serving = seen.get(id).is_none_or(|seen| !seen.is_unhealthy_target);
                member.ended |= !running;
                if !running || (elb && past_grace && !serving) {
                    member.healthy = false;
                }
            }
        })
        .await
    }

    /// Plans and writes the plan down, each step with its activity.
    async fn decide(&self, group: Group) -> Result<Group> {
        let now = self.now();
        let mut steps = plan(&group, now);
        if steps.iter().any(|step| matches!(step, Step::Launch { .. })) {
            let lost = act::lost_zones(self).await?;
            let mut known = group.clone();
            known.failed_zones.extend(lost.into_iter().map(|zone| (zone, now)));
            steps = plan(&known, now);
        }
        steps.extend(refresh::step(&group, now));
        if steps.is_empty() {
            return self.after_refresh(group).await;
        }
        let ids: Vec<String> = steps.iter().map(|_| self.ctx.random().uuid()).collect();
        let store = self.ctx.store.scoped(self.scope.clone());
        let decided = store
            .write(|tx| {
                let Some(mut kept) = tx.get(&GROUPS, &self.name)? else { return Ok(group.clone()) };
                // Somebody changed the group meanwhile: plan anew at the next look.
                if kept != group {
                    return Ok(kept);
                }
                for (step, id) in steps.iter().zip(&ids) {
                    if let Some(launch) = failed_launch(&mut kept, step, now)
                        && let Some(begun) =
                            tx.get(&ACTIVITIES, &(kept.name.clone(), launch.clone()))?
                    {
                        tx.put(&ACTIVITIES, &activity::cancelled(begun, now))?;
                    }
                    let started = apply(&mut kept, step, id, now);
                    if let Some(started) = started {
                        tx.put(&ACTIVITIES, &started)?;
                    }
                }
                tx.put(&GROUPS, &kept)?;
                Ok::<_, store::Error>(kept)
            })
            .await?;
        self.after_refresh(decided).await
    }

    async fn after_refresh(&self, group: Group) -> Result<Group> {
        let now = self.now();
        let due = refresh::progressed(&group, now);
        if due == group.refresh {
            return Ok(group);
        }
        let changed = self.change(|kept| kept.refresh.clone_from(&due)).await?;
        Ok(changed.unwrap_or(group))
    }

    async fn forget(&self, group: &Group) -> Result<()> {
        let store = self.ctx.store.scoped(self.scope.clone());
        store
            .write(|tx| -> std::result::Result<(), Error> {
                tx.delete(&GROUPS, &group.name)?;
                for mut activity in tx.scan(&ACTIVITIES, (group.name.as_str(),))? {
                    activity.group_deleted = true;
                    tx.put(&ACTIVITIES, &activity)?;
                }
                for past in tx.scan(&PAST_REFRESHES, (group.name.as_str(),))? {
                    tx.delete(&PAST_REFRESHES, store::Record::key(&past))?;
                }
                Ok(())
            })
            .await?;
        Ok(())
    }
}

/// The activity that launched a member which a step ends before it was in service. A zone in which
/// that happens counts as one in which launches fail.
fn failed_launch(group: &mut Group, step: &Step, now: Timestamp) -> Option<String> {
    let Step::Terminate { number, .. } = step else { return None };
    let member = group.members.iter().find(|member| member.number == *number)?;
    let failed = member.life == Life::Pending && member.ended;
    let (zone, activity) = (member.subnet.zone.clone(), member.activity.clone());
    if failed {
        group.launch_failed(&zone, now);
    }
    failed.then_some(activity)
}

/// Writes a step into the group; the activity that it starts.
fn apply(
    group: &mut Group,
    step: &Step,
    id: &str,
    now: Timestamp,
) -> Option<crate::store::Activity> {
    match step {
        Step::Launch { subnet, cause } => {
            let number = group.next_launch;
            group.next_launch += 1;
            group.members.push(Member {
                number,
                subnet: subnet.clone(),
                life: Life::Pending,
                instance: None,
                instance_type: None,
                template_version: None,
                healthy: true,
                ended: false,
                protected: group.protect_new,
                launched: now,
                in_service: None,
                registered: Default::default(),
                activity: id.to_owned(),
            });
            let description = "Launching a new EC2 instance".to_owned();
            Some(activity::started(group, id, description, cause, subnet, now))
        }
        Step::Terminate { number, cause } => {
            let member = group.members.iter_mut().find(|member| member.number == *number)?;
            if member.life == Life::Terminating {
                return None;
            }
            member.life = Life::Terminating;
            id.clone_into(&mut member.activity);
            let (subnet, instance) = (member.subnet.clone(), member.instance.clone());
            let description = format!("Terminating EC2 instance: {}", instance.unwrap_or_default());
            Some(activity::started(group, id, description, cause, &subnet, now))
        }
    }
}
