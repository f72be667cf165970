//! `AWS::ElasticLoadBalancingV2::ListenerRule`.

use std::sync::Arc;

use async_trait::async_trait;
use elbv2_api::{
    CreateRuleInput, DeleteRuleInput, DescribeRulesInput, DescribeTagsInput,
    HostHeaderConditionConfig, HttpHeaderConditionConfig, HttpRequestMethodConditionConfig,
    ModifyRuleInput, PathPatternConditionConfig, QueryStringConditionConfig,
    QueryStringKeyValuePair, RuleCondition, RulePriorityPair, SetRulePrioritiesInput,
    SourceIpConditionConfig, error as shape,
};
use kernel::ServiceError;
use kernel::resource::{
    Attributes, Progress, Properties, Property, ResourceCtx, ResourceHandler, ResourceType,
};
use serde_json::{Value as Json, json};

use super::listener::actions;
use super::property::Object;

const PROPERTIES: &[Property] = &[
    Property::new("Actions").required(),
    Property::new("Conditions").required(),
    Property::new("ListenerArn").required().replaces(),
    Property::new("Priority").required(),
];

pub(super) fn resource_type() -> ResourceType {
    ResourceType {
        name: "AWS::ElasticLoadBalancingV2::ListenerRule",
        properties: PROPERTIES,
        attributes: &["IsDefault", "RuleArn"],
        handler: Arc::new(Handler),
    }
}

struct Handler;

fn conditions(properties: &Properties) -> Result<Vec<RuleCondition>, ServiceError> {
    Object::of(properties).list("Conditions")?.iter().map(condition).collect()
}

fn condition(item: &Json) -> Result<RuleCondition, ServiceError> {
    const KNOWN: &[&str] = &[
        "Field",
        "HostHeaderConfig",
        "HttpHeaderConfig",
        "HttpRequestMethodConfig",
        "PathPatternConfig",
        "QueryStringConfig",
        "SourceIpConfig",
        "Values",
    ];
    let read = Object::from(item, "Conditions", KNOWN)?;
    let values = |name: &str| {
        let group = read.group(name, &["Values"])?;
        group.map(|it| it.texts("Values")).transpose()
    };
    let header = read.group("HttpHeaderConfig", &["HttpHeaderName", "Values"])?;
    Ok(RuleCondition {
        field: read.text("Field")?,
        values: read.texts("Values")?,
        host_header_config: values("HostHeaderConfig")?
            .map(|values| HostHeaderConditionConfig { values, ..Default::default() }),
        path_pattern_config: values("PathPatternConfig")?
            .map(|values| PathPatternConditionConfig { values, ..Default::default() }),
        http_request_method_config: values("HttpRequestMethodConfig")?
            .map(|values| HttpRequestMethodConditionConfig { values }),
        source_ip_config: values("SourceIpConfig")?
            .map(|values| SourceIpConditionConfig { values, ..Default::default() }),
        http_header_config: match header {
            None => None,
            Some(it) => Some(HttpHeaderConditionConfig {
                http_header_name: it.text("HttpHeaderName")?,
                values: it.texts("Values")?,
                ..Default::default()
            }),
        },
        query_string_config: query(read)?,
        regex_values: Vec::new(),
    })
}

fn query(condition: Object<'_>) -> Result<Option<QueryStringConditionConfig>, ServiceError> {
    let Some(group) = condition.group("QueryStringConfig", &["Values"])? else { return Ok(None) };
    let pair = |item: &Json| {
        let item = Object::from(item, "QueryStringConfig", &["Key", "Value"])?;
        Ok(QueryStringKeyValuePair { key: item.text("Key")?, value: item.text("Value")? })
    };
    let values = group.list("Values")?.iter().map(pair).collect::<Result<_, ServiceError>>()?;
    Ok(Some(QueryStringConditionConfig { values }))
}

#[async_trait]
impl ResourceHandler for Handler {
    async fn find(
        &self,
        ctx: &ResourceCtx,
        properties: &Properties,
    ) -> Result<Option<String>, ServiceError> {
        let read = Object::of(properties);
        let input =
            DescribeRulesInput { listener_arn: read.text("ListenerArn")?, ..Default::default() };
        let priority = read.text("Priority")?;
        let rules = ctx.client.call(input).await?.rules;
        let rule = rules.into_iter().find(|rule| rule.priority == priority);
        let Some(arn) = rule.and_then(|rule| rule.rule_arn) else { return Ok(None) };
        let input = DescribeTagsInput { resource_arns: vec![arn.clone()] };
        let tags = ctx.client.call(input).await?.tag_descriptions;
        let has = |key: &str, value: &str| {
            tags.iter()
                .flat_map(|it| &it.tags)
                .any(|tag| tag.key == key && tag.value.as_deref() == Some(value))
        };
        let ours = has("aws:cloudformation:stack-id", &ctx.stack_id)
            && has("aws:cloudformation:logical-id", &ctx.logical_id);
        Ok(ours.then_some(arn))
    }

    async fn create(
        &self,
        ctx: &ResourceCtx,
        properties: &Properties,
    ) -> Result<String, ServiceError> {
        let read = Object::of(properties);
        let input = CreateRuleInput {
            listener_arn: read.text("ListenerArn")?.unwrap_or_default(),
            conditions: conditions(properties)?,
            priority: read.parsed("Priority")?.unwrap_or_default(),
            actions: actions(properties, "Actions")?,
            tags: super::to_wire(ctx.tags.clone()),
            transforms: Vec::new(),
        };
        let made = ctx.client.call(input).await?.rules.into_iter().next();
        Ok(made.and_then(|made| made.rule_arn).unwrap_or_default())
    }

    async fn settled(
        &self,
        _ctx: &ResourceCtx,
        physical_id: &str,
        _properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        let known = [("IsDefault", json!(false)), ("RuleArn", json!(physical_id))];
        Ok(Progress::Done(known.into_iter().map(|(name, it)| (name.to_owned(), it)).collect()))
    }

    async fn update(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        old: &Properties,
        new: &Properties,
    ) -> Result<(), ServiceError> {
        if old.get("Priority") != new.get("Priority") {
            let pair = RulePriorityPair {
                rule_arn: Some(physical_id.to_owned()),
                priority: Object::of(new).parsed("Priority")?,
            };
            ctx.client.call(SetRulePrioritiesInput { rule_priorities: vec![pair] }).await?;
        }
        let input = ModifyRuleInput {
            rule_arn: physical_id.to_owned(),
            conditions: conditions(new)?,
            actions: actions(new, "Actions")?,
            ..ModifyRuleInput::default()
        };
        ctx.client.call(input).await.map(|_| ())
    }

    async fn delete(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        _properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        let input = DeleteRuleInput { rule_arn: physical_id.to_owned() };
        let done = ctx.client.call(input).await;
        super::deleted(done, shape::RULE_NOT_FOUND_EXCEPTION)?;
        Ok(Progress::Done(Attributes::new()))
    }
}
