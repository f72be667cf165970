//! What the tag policies of all levels come to for an account.
//!
//! AWS: "Management policy inheritance", inheritance operators.

use kernel::Ctx;
use organizations_api::{
    DescribeEffectivePolicyInput, DescribeEffectivePolicyOutput, EffectivePolicy,
    EffectivePolicyType,
};
use serde_json::{Map, Value as Json};

use crate::access::own;
use crate::account::member;
use crate::error::{Error, Result};
use crate::membership;
use crate::policy::TAG_POLICY;

/// The policy that holds for an account, merged from the root down.
///
/// AWS: DescribeEffectivePolicy.
///
/// # Errors
///
/// [`Error::TypeNotAvailable`], [`Error::EffectivePolicyNotFound`], [`Error::AccessDenied`].
pub(crate) async fn describe_effective_policy(
    ctx: Ctx,
    input: DescribeEffectivePolicyInput,
) -> Result<DescribeEffectivePolicyOutput> {
    if input.policy_type != EffectivePolicyType::TagPolicy {
        return Err(Error::TypeNotAvailable);
    }
    let (target, levels) = ctx
        .store
        .read(|tx| {
            let (organization, caller) = own(tx, &ctx)?;
            let target = input.target_id.clone().unwrap_or_else(|| caller.account.to_string());
            let privileged =
                organization.management == caller.account || !caller.delegated.is_empty();
            if target != caller.account.as_str() && !privileged {
                return Err(Error::AccessDenied);
            }
            let member = member(tx, &organization, &target).map_err(|_| Error::TargetNotFound)?;
            let levels = membership::texts(tx, &member.account, TAG_POLICY)?;
            Ok((target, levels))
        })
        .await?;
    let texts: Vec<Json> =
        levels.iter().flatten().filter_map(|(_, text)| serde_json::from_str(text).ok()).collect();
    if texts.is_empty() {
        return Err(Error::EffectivePolicyNotFound);
    }
    let mut merged = Json::Object(Map::new());
    for text in &texts {
        merge(&mut merged, text, true);
    }
    Ok(DescribeEffectivePolicyOutput {
        effective_policy: Some(EffectivePolicy {
            policy_content: Some(plain(&merged).to_string()),
            last_updated_timestamp: Some(ctx.now()),
            target_id: Some(target),
            policy_type: Some(EffectivePolicyType::TagPolicy),
        }),
    })
}

/// What children may do to a value, beside the value.
const CHILD_OPERATORS: &str = "@@operators_allowed_for_child_policies";

/// Lets a policy further down change what was merged so far.
fn merge(into: &mut Json, from: &Json, allowed: bool) {
    let Json::Object(from) = from else { return };
    if !into.is_object() {
        *into = Json::Object(Map::new());
    }
    let Json::Object(target) = into else { return };
    let may = |operator: &str| {
        let limits = target.get(CHILD_OPERATORS).and_then(Json::as_array);
        limits.is_none_or(|list| {
            list.iter().filter_map(Json::as_str).any(|name| name == operator || name == "@@all")
        })
    };
    let permitted: Vec<(String, Json)> = from
        .iter()
        .filter(|(name, _)| !name.starts_with("@@") || (allowed && may(name)))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if let Some(limits) = from.get(CHILD_OPERATORS)
        && !target.contains_key(CHILD_OPERATORS)
    {
        target.insert(CHILD_OPERATORS.to_owned(), limits.clone());
    }
    for (name, value) in permitted {
        match name.as_str() {
            "@@assign" => {
                target.insert("@@assign".to_owned(), value);
            }
            "@@append" | "@@remove" => {
                let has = target.entry("@@assign").or_insert_with(|| Json::Array(Vec::new()));
                let mut items = listed(has);
                for item in listed(&value) {
                    items.retain(|other| *other != item);
                    if name == "@@append" {
                        items.push(item);
                    }
                }
                *has = Json::Array(items);
            }
            other if other.starts_with("@@") => {}
            other => merge(target.entry(other.to_owned()).or_insert(Json::Null), &value, allowed),
        }
    }
}

fn listed(value: &Json) -> Vec<Json> {
    match value {
        Json::Array(items) => items.clone(),
        Json::Null => Vec::new(),
        other @ (Json::Bool(_) | Json::Number(_) | Json::String(_) | Json::Object(_)) => {
            vec![other.clone()]
        }
    }
}

/// The policy without operators.
fn plain(value: &Json) -> Json {
    let Json::Object(members) = value else { return value.clone() };
    if let Some(assigned) = members.get("@@assign") {
        return assigned.clone();
    }
    let members = members.iter().filter(|(name, _)| !name.starts_with("@@"));
    Json::Object(members.map(|(name, value)| (name.clone(), plain(value))).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn policies_merge_from_the_root_down() {
        let root = json!({"tags": {"cost": {"tag_key": {"@@assign": "Cost"},
            "tag_value": {"@@assign": ["1", "2"]}}}});
        let unit = json!({"tags": {"cost": {"tag_value": {"@@append": ["3"], "@@remove": "1"}}}});
        let mut merged = Json::Object(Map::new());
        for text in [&root, &unit] {
            merge(&mut merged, text, true);
        }
        let want = json!({"tags": {"cost": {"tag_key": "Cost", "tag_value": ["2", "3"]}}});
        assert_eq!(plain(&merged), want);
    }

    #[test]
    fn a_parent_can_forbid_its_children_to_change_a_value() {
        let root = json!({"tags": {"cost": {"tag_key":
            {"@@assign": "Cost", "@@operators_allowed_for_child_policies": ["@@none"]}}}});
        let unit = json!({"tags": {"cost": {"tag_key": {"@@assign": "COST"}}}});
        let mut merged = Json::Object(Map::new());
        for text in [&root, &unit] {
            merge(&mut merged, text, true);
        }
        assert_eq!(plain(&merged), json!({"tags": {"cost": {"tag_key": "Cost"}}}));
    }
}
