//! Rules of listeners, tried in the order of their priority before the default action.

use std::collections::BTreeMap;

use base::Arn;
use elbv2_api::{
    CreateRuleInput, CreateRuleOutput, DeleteRuleInput, DeleteRuleOutput, DescribeRulesInput,
    DescribeRulesOutput, ModifyRuleInput, ModifyRuleOutput, RuleTransform, SetRulePrioritiesInput,
    SetRulePrioritiesOutput,
};
use store::{ReadTx, StartsWith};

use crate::error::{Error, Result, invalid, unsupported};
use crate::load_balancer::rules_of;
use crate::store::{LISTENERS, Listener, RULES, Rule};
use crate::{Ctx, action, condition, limit, listener, listing, load_balancer, tag};

/// AWS: CreateRule (`Priority`).
const PRIORITY: std::ops::RangeInclusive<i32> = 1..=50_000;

/// Makes a rule.
///
/// AWS: CreateRule.
///
/// # Errors
///
/// [`Error::PriorityInUse`] when another rule of the listener has the priority.
pub(crate) async fn create_rule(ctx: Ctx, input: CreateRuleInput) -> Result<CreateRuleOutput> {
    require_no_transforms(&input.transforms)?;
    let priority = priority(input.priority)?;
    let conditions = condition::from_wire(input.conditions)?;
    let action = action::from_wire(input.actions)?;
    let tags = tag::from_wire(&ctx, input.tags)?;
    let hex = ctx.random().text("0123456789abcdef", 16);
    let max = limit::value(&ctx, limit::RULES).await?;
    let groups_max = limit::value(&ctx, limit::GROUPS_PER_LOAD_BALANCER).await?;
    let made = ctx
        .store
        .write(|tx| {
            let listener = listener::find(tx, &input.listener_arn)?;
            let lb_arn = listener.load_balancer.to_string();
            let lb = load_balancer::find(tx, &lb_arn)?;
            action::require_groups(tx, &lb, &action.action, groups_max)?;
            let of_lb = lb_arn.replacen(":loadbalancer/", ":listener-rule/", 1);
            let all = tx.scan(&RULES, StartsWith(&format!("{of_lb}/")))?;
            if all.iter().any(|r| r.listener == listener.arn && r.priority == priority) {
                return Err(Error::PriorityInUse(priority));
            }
            if all.len() >= max {
                return Err(Error::TooManyRules(lb_arn));
            }
            let resource = listener.arn.resource.replacen("listener/", "listener-rule/", 1);
            let rule = Rule {
                arn: Arn { resource: format!("{resource}/{hex}"), ..listener.arn.clone() },
                listener: listener.arn,
                priority,
                conditions: conditions.clone(),
                action: action.clone(),
                tags: tags.clone(),
            };
            tx.put(&RULES, &rule)?;
            Ok(rule)
        })
        .await?;
    Ok(CreateRuleOutput { rules: vec![to_wire(&made)] })
}

fn require_no_transforms(transforms: &[RuleTransform]) -> Result<()> {
    if transforms.is_empty() {
        return Ok(());
    }
    Err(unsupported("Transforms of rules are not supported in this region"))
}

fn priority(priority: i32) -> Result<u32> {
    if !PRIORITY.contains(&priority) {
        return Err(invalid(format!("Priority '{priority}' must be between 1 and 50000")));
    }
    Ok(priority.unsigned_abs())
}

/// Lists rules by their priority, a listener's default one last.
///
/// AWS: DescribeRules.
pub(crate) async fn describe_rules(
    ctx: Ctx,
    input: DescribeRulesInput,
) -> Result<DescribeRulesOutput> {
    let listed = match (&input.listener_arn, input.rule_arns.is_empty()) {
        (Some(arn), true) => {
            ctx.store
                .read(|tx| {
                    let listener = listener::find(tx, arn)?;
                    let rules = tx.scan(&RULES, StartsWith(&rules_of(arn)))?;
                    Ok::<_, Error>(with_default(rules, &[listener]))
                })
                .await?
        }
        (None, false) => {
            let (rules, listeners) = ctx
                .store
                .read(|tx| Ok::<_, Error>((tx.scan(&RULES, ())?, tx.scan(&LISTENERS, ())?)))
                .await?;
            let all = with_default(rules, &listeners);
            let arn = |it: &Listed| it.rule.rule_arn.clone().unwrap_or_default();
            listing::asked_for(all, &input.rule_arns, arn, |_| {
                Error::RuleNotFound("One or more rules not found".to_owned())
            })?
        }
        (Some(_), false) | (None, true) => {
            return Err(invalid("You must specify either listener rule ARNs or a listener ARN"));
        }
    };
    let page =
        listing::page(listed, input.marker.as_deref(), input.page_size, |it| it.order.clone())?;
    Ok(DescribeRulesOutput {
        rules: page.items.into_iter().map(|it| it.rule).collect(),
        next_marker: page.next,
    })
}

/// A rule and where it stands in the list.
struct Listed {
    order: String,
    rule: elbv2_api::Rule,
}

fn with_default(rules: Vec<Rule>, listeners: &[Listener]) -> Vec<Listed> {
    let order = |listener: &Arn, priority: u32| format!("{listener}/{priority:08}");
    let own = rules
        .iter()
        .map(|it| Listed { order: order(&it.listener, it.priority), rule: to_wire(it) });
    let default = listeners
        .iter()
        .map(|it| Listed { order: order(&it.arn, u32::MAX), rule: default_to_wire(it) });
    own.chain(default).collect()
}

/// The ARN of a listener's default rule: the listener's own id stands for it.
fn default_arn(listener: &Arn) -> Arn {
    let resource = listener.resource.replacen("listener/", "listener-rule/", 1);
    let id = resource.rsplit('/').next().unwrap_or_default().to_owned();
    Arn { resource: format!("{resource}/{id}"), ..listener.clone() }
}

/// Changes a rule's conditions or action.
///
/// AWS: ModifyRule.
///
/// # Errors
///
/// [`Error::OperationNotPermitted`] for a default rule.
pub(crate) async fn modify_rule(ctx: Ctx, input: ModifyRuleInput) -> Result<ModifyRuleOutput> {
    // To reset transforms is no change where there are none.
    require_no_transforms(&input.transforms)?;
    let conditions = match input.conditions {
        none if none.is_empty() => None,
        conditions => Some(condition::from_wire(conditions)?),
    };
    let action = match input.actions {
        none if none.is_empty() => None,
        actions => Some(action::from_wire(actions)?),
    };
    let groups_max = limit::value(&ctx, limit::GROUPS_PER_LOAD_BALANCER).await?;
    let changed = ctx
        .store
        .write(|tx| {
            let mut rule = find(tx, &input.rule_arn, "modified")?;
            if let Some(conditions) = &conditions {
                rule.conditions.clone_from(conditions);
            }
            if let Some(action) = &action {
                let listener = listener::find(tx, &rule.listener.to_string())?;
                let lb = load_balancer::find(tx, &listener.load_balancer.to_string())?;
                action::require_groups(tx, &lb, &action.action, groups_max)?;
                rule.action = action.clone();
            }
            tx.put(&RULES, &rule)?;
            Ok::<_, Error>(rule)
        })
        .await?;
    Ok(ModifyRuleOutput { rules: vec![to_wire(&changed)] })
}

/// Deletes a rule.
///
/// AWS: DeleteRule.
///
/// # Errors
///
/// [`Error::OperationNotPermitted`] for a default rule.
pub(crate) async fn delete_rule(ctx: Ctx, input: DeleteRuleInput) -> Result<DeleteRuleOutput> {
    ctx.store
        .write(|tx| {
            let rule = find(tx, &input.rule_arn, "deleted")?;
            tx.delete(&RULES, rule.arn.to_string())?;
            Ok::<_, Error>(())
        })
        .await?;
    Ok(DeleteRuleOutput {})
}

/// Gives rules other priorities, all at once.
///
/// AWS: SetRulePriorities.
///
/// # Errors
///
/// [`Error::PriorityInUse`] when two rules of a listener would have the same one.
pub(crate) async fn set_rule_priorities(
    ctx: Ctx,
    input: SetRulePrioritiesInput,
) -> Result<SetRulePrioritiesOutput> {
    let mut wanted = BTreeMap::new();
    for pair in input.rule_priorities {
        let arn = pair.rule_arn.ok_or_else(|| invalid("A rule ARN must be specified"))?;
        let given = pair.priority.ok_or_else(|| invalid("A rule priority must be specified"))?;
        if wanted.insert(arn.clone(), priority(given)?).is_some() {
            return Err(invalid(format!("The rule '{arn}' is given twice")));
        }
    }
    let changed = ctx
        .store
        .write(|tx| {
            let mut changed = Vec::new();
            for (arn, priority) in &wanted {
                let rule = Rule { priority: *priority, ..find(tx, arn, "prioritized")? };
                tx.put(&RULES, &rule)?;
                changed.push(rule);
            }
            for rule in &changed {
                let own = tx.scan(&RULES, StartsWith(&rules_of(&rule.listener.to_string())))?;
                if own.iter().any(|it| it.arn != rule.arn && it.priority == rule.priority) {
                    return Err(Error::PriorityInUse(rule.priority));
                }
            }
            Ok(changed)
        })
        .await?;
    Ok(SetRulePrioritiesOutput { rules: changed.iter().map(to_wire).collect() })
}

fn find(tx: &ReadTx<'_>, arn: &str, to_be: &str) -> Result<Rule> {
    let parsed = arn.parse::<Arn>().ok().filter(|it| it.resource.starts_with("listener-rule/"));
    let parsed =
        parsed.ok_or_else(|| invalid(format!("'{arn}' is not a valid listener rule ARN")))?;
    if let Some(rule) = tx.get(&RULES, arn)? {
        return Ok(rule);
    }
    let listener = parsed.resource.rsplit_once('/').map(|(listener, _)| Arn {
        resource: listener.replacen("listener-rule/", "listener/", 1),
        ..parsed.clone()
    });
    if let Some(listener) = listener
        && default_arn(&listener) == parsed
        && tx.contains(&LISTENERS, listener.to_string())?
    {
        return Err(Error::OperationNotPermitted(format!(
            "Default rule '{arn}' cannot be {to_be}"
        )));
    }
    Err(Error::RuleNotFound(format!("Rule '{arn}' not found")))
}

fn to_wire(rule: &Rule) -> elbv2_api::Rule {
    elbv2_api::Rule {
        rule_arn: Some(rule.arn.to_string()),
        priority: Some(rule.priority.to_string()),
        conditions: rule.conditions.iter().map(condition::to_wire).collect(),
        actions: vec![action::to_wire(&rule.action)],
        is_default: Some(false),
        ..Default::default()
    }
}

fn default_to_wire(listener: &Listener) -> elbv2_api::Rule {
    elbv2_api::Rule {
        rule_arn: Some(default_arn(&listener.arn).to_string()),
        priority: Some("default".to_owned()),
        actions: vec![action::to_wire(&listener.action)],
        is_default: Some(true),
        ..Default::default()
    }
}
