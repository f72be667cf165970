//! What a request asks a stack to become: the template, its parameters and the rest, checked as
//! far as can be without touching a resource.

use std::collections::{BTreeMap, BTreeSet};

use base::Tags;
use cloudformation_api::{Capability, Parameter, RollbackConfiguration, Tag};
use kernel::{Ctx, Kernel};
use s3_api::GetObjectInput;
use serde_json::Value;
use ssm_api::GetParametersInput;

use crate::error::{Error, Result};
use crate::existence;
use crate::store::Deployment;
use crate::template::{
    BODY_BYTES_MAX, Declaration, Evaluator, Graph, Inputs, OBJECT_BYTES_MAX, Pseudo, Resolver,
    Supplied, Template, TemplateError, parse, references, required_capabilities,
};

/// The members that `CreateStack`, `UpdateStack` and `CreateChangeSet` share.
#[derive(Debug, Default)]
pub(crate) struct Request {
    pub(crate) body: Option<String>,
    pub(crate) url: Option<String>,
    pub(crate) use_previous: bool,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) tags: Vec<Tag>,
    pub(crate) capabilities: Vec<Capability>,
    pub(crate) resource_types: Vec<String>,
    pub(crate) role: Option<String>,
    pub(crate) notification_arns: Vec<String>,
    pub(crate) rollback: Option<RollbackConfiguration>,
}

/// What is asked for, complete.
pub(crate) struct Wanted {
    pub(crate) deployment: Deployment,
    pub(crate) template: Template,
    pub(crate) inputs: Inputs,
}

/// The most tags of a stack.
///
/// AWS: "CreateStack", Tags.
const TAGS_MAX: usize = 50;
/// The most parameters in one call of `ssm:GetParameters`.
const SSM_NAMES_MAX: usize = 10;

impl Request {
    /// Makes the request complete; `previous` is what the stack has now.
    pub(crate) async fn complete(self, ctx: &Ctx, previous: Option<&Deployment>) -> Result<Wanted> {
        self.refuse_unsupported()?;
        let text = self.template_text(ctx, previous).await?;
        let template = read(&text, ctx.kernel())?;
        self.check_capabilities(&template)?;
        self.check_types(&template)?;
        let given = previous.map(|previous| previous.parameters.clone()).unwrap_or_default();
        let mut inputs = Inputs::new(&template, &self.supplied()?, &given)?;
        let resolved = resolve_from_ssm(ctx, &template, &mut inputs).await?;
        existence::check(ctx, &template, &inputs).await?;
        let deployment = Deployment {
            template: text,
            parameters: inputs.given.clone(),
            resolved,
            tags: self.tags(previous)?,
            capabilities: self.capabilities.iter().map(ToString::to_string).collect(),
            role: self.role.or_else(|| previous.and_then(|previous| previous.role.clone())),
        };
        Ok(Wanted { deployment, template, inputs })
    }

    fn refuse_unsupported(&self) -> Result<()> {
        if !self.notification_arns.is_empty() {
            return Err(Error::unsupported("NotificationARNs"));
        }
        let triggers = |rollback: &RollbackConfiguration| {
            !rollback.rollback_triggers.is_empty()
                || rollback.monitoring_time_in_minutes.is_some_and(|minutes| minutes > 0)
        };
        if self.rollback.as_ref().is_some_and(triggers) {
            return Err(Error::unsupported("RollbackConfiguration"));
        }
        Ok(())
    }

    async fn template_text(&self, ctx: &Ctx, previous: Option<&Deployment>) -> Result<String> {
        match (&self.body, &self.url, self.use_previous) {
            (Some(body), None, false) => body_text(body),
            (None, Some(url), false) => fetch(ctx, url).await,
            (None, None, true) => previous
                .map(|previous| previous.template.clone())
                .ok_or_else(|| Error::validation("There is no previous template to use.")),
            (None, None, false) => {
                Err(Error::validation("Either Template URL or Template Body must be specified."))
            }
            _ => Err(Error::validation(
                "Only one of Template URL, Template Body and Use Previous Template may be specified.",
            )),
        }
    }

    fn supplied(&self) -> Result<BTreeMap<String, Supplied>> {
        let mut supplied = BTreeMap::new();
        for parameter in &self.parameters {
            let Some(key) = parameter.parameter_key.clone() else {
                return Err(Error::validation("Every parameter must have a ParameterKey."));
            };
            let previous = parameter.use_previous_value.unwrap_or(false);
            let value = match (&parameter.parameter_value, previous) {
                (Some(_), true) => {
                    return Err(Error::validation(format!(
                        "Invalid input for parameter key {key}. Cannot specify usePreviousValue as true and non empty value for a parameter"
                    )));
                }
                (Some(value), false) => Supplied::Value(value.clone()),
                (None, true) => Supplied::Previous,
                (None, false) => {
                    return Err(Error::validation(format!(
                        "Invalid input for parameter key {key}. Cannot specify null value for a parameter"
                    )));
                }
            };
            if supplied.insert(key.clone(), value).is_some() {
                return Err(Error::validation(format!("Duplicate parameter key {key}")));
            }
        }
        Ok(supplied)
    }

    fn tags(&self, previous: Option<&Deployment>) -> Result<Tags> {
        if self.tags.len() > TAGS_MAX {
            return Err(Error::validation(format!("A stack can have at most {TAGS_MAX} tags.")));
        }
        if let Some(tag) = self.tags.iter().find(|tag| tag.key.starts_with("aws:")) {
            return Err(Error::validation(format!(
                "Tag key {} is not valid: keys that start with aws: are reserved.",
                tag.key
            )));
        }
        if self.tags.is_empty() {
            return Ok(previous.map(|previous| previous.tags.clone()).unwrap_or_default());
        }
        Ok(self.tags.iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect())
    }

    fn check_capabilities(&self, template: &Template) -> Result<()> {
        use crate::template::Capability as Needed;
        let Some((needed, _)) = required_capabilities(template) else {
            return Ok(());
        };
        let named = self.capabilities.contains(&Capability::CapabilityNamedIam);
        let given = match needed {
            Needed::Iam => named || self.capabilities.contains(&Capability::CapabilityIam),
            Needed::NamedIam => named,
        };
        if given { Ok(()) } else { Err(Error::InsufficientCapabilities(needed.as_str())) }
    }

    /// Whether `ResourceTypes` allows every type of the template.
    fn check_types(&self, template: &Template) -> Result<()> {
        let allowed = |kind: &str| {
            self.resource_types.is_empty()
                || self.resource_types.iter().any(|pattern| match pattern.strip_suffix('*') {
                    Some(prefix) => kind.starts_with(prefix),
                    None => kind == pattern,
                })
        };
        match template.types().into_iter().find(|kind| !allowed(kind)) {
            None => Ok(()),
            Some(kind) => Err(Error::validation(format!(
                "Resource type {kind} is not allowed by parameter ResourceTypes [{}]",
                self.resource_types.join(", ")
            ))),
        }
    }
}

/// A template from a request's body.
pub(crate) fn body_text(body: &str) -> Result<String> {
    if body.len() > BODY_BYTES_MAX {
        return Err(Error::validation(format!(
            "1 validation error detected: Value at 'templateBody' failed to satisfy constraint: Member must have length less than or equal to {BODY_BYTES_MAX}"
        )));
    }
    Ok(body.to_owned())
}

/// A template from an object in S3, read as the caller.
pub(crate) async fn fetch(ctx: &Ctx, url: &str) -> Result<String> {
    let (bucket, key) =
        location(url).ok_or_else(|| Error::validation("TemplateURL must be a supported URL."))?;
    let refuse = |error: &dyn std::fmt::Display| {
        Error::validation(format!(
            "S3 error: {error}\nFor more information check http://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html"
        ))
    };
    let input = GetObjectInput { bucket, key, ..GetObjectInput::default() };
    let object =
        ctx.client.via(crate::PRINCIPAL).call(input).await.map_err(|e| refuse(&e.message))?;
    let body = object.body.unwrap_or_default().collect(OBJECT_BYTES_MAX).await.map_err(|_| {
        Error::validation(format!("Template may not exceed {OBJECT_BYTES_MAX} bytes in size."))
    })?;
    String::from_utf8(body.to_vec())
        .map_err(|_| Error::validation("Template format error: unsupported structure."))
}

/// The bucket and key that a template's URL names, path- or host-style, here or on AWS.
fn location(url: &str) -> Option<(String, String)> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    let (authority, path) = rest.split_once('/')?;
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let host = authority.split(':').next().unwrap_or_default();
    let path = percent_decoded(path)?;
    let hosted = host.find(".s3.").or_else(|| host.find(".s3-")).and_then(|at| host.get(..at));
    let (bucket, key) = match hosted {
        Some(bucket) => (bucket.to_owned(), path),
        None => {
            let (bucket, key) = path.split_once('/')?;
            (bucket.to_owned(), key.to_owned())
        }
    };
    (!bucket.is_empty() && !key.is_empty()).then_some((bucket, key))
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next()?, rest.next()?];
        let digits = std::str::from_utf8(&digits).ok()?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
    }
    String::from_utf8(bytes).ok()
}

/// Reads a template and checks what depends on the region: types and attributes.
pub(crate) fn read(text: &str, kernel: &Kernel) -> Result<Template> {
    let template = Template::read(&parse(text)?)?;
    let unknown: Vec<String> = template
        .types()
        .into_iter()
        .filter(|kind| kernel.resource_type(kind).is_none())
        .map(str::to_owned)
        .collect();
    if !unknown.is_empty() {
        return Err(TemplateError::UnknownTypes(unknown).into());
    }
    for resource in template.resources.values() {
        if let Some(policy) = &resource.update_policy {
            crate::engine::check_update_policy(&resource.kind, policy)
                .map_err(Error::validation)?;
        }
    }
    check_attributes(&template, kernel)?;
    Ok(template)
}

fn check_attributes(template: &Template, kernel: &Kernel) -> Result<()> {
    let mut named = BTreeSet::new();
    let resources = template.resources.values();
    let properties = resources.map(|resource| Value::Object(resource.properties.clone()));
    let outputs = template.outputs.values().map(|output| output.value.clone());
    for value in properties.chain(outputs) {
        named.extend(references(&value)?.attributes);
    }
    for (resource, attribute) in named {
        let kind = template.resources.get(&resource).map_or("", |r| r.kind.as_str());
        let known = kernel.resource_type(kind).is_some_and(|resource_type| {
            // An attribute that a function computes is looked up when it is known.
            attribute.is_empty() || resource_type.attributes.contains(&attribute.as_str())
        });
        if !known {
            return Err(TemplateError::Function(format!(
                "resource {resource} does not support attribute type {attribute} in Fn::GetAtt"
            ))
            .into());
        }
    }
    Ok(())
}

/// Fetches the parameters that stand in the Parameter Store; gives what it held.
async fn resolve_from_ssm(
    ctx: &Ctx,
    template: &Template,
    inputs: &mut Inputs,
) -> Result<BTreeMap<String, String>> {
    let wanted: Vec<(String, String)> = inputs
        .unresolved()
        .into_iter()
        .map(|(parameter, name)| (parameter.to_owned(), name.to_owned()))
        .collect();
    let mut names: Vec<String> = wanted.iter().map(|(_, name)| name.clone()).collect();
    names.sort_unstable();
    names.dedup();
    let client = ctx.client.via(crate::PRINCIPAL);
    let mut held = BTreeMap::new();
    for some in names.chunks(SSM_NAMES_MAX) {
        let input = GetParametersInput { names: some.to_vec(), with_decryption: None };
        let found = client.call(input).await?;
        if !found.invalid_parameters.is_empty() {
            return Err(Error::validation(format!(
                "Unable to fetch parameters [{}] from parameter store for this account.",
                found.invalid_parameters.join(",")
            )));
        }
        for parameter in found.parameters {
            if parameter.type_ == Some(ssm_api::ParameterType::SecureString) {
                return Err(Error::validation(format!(
                    "Parameters [{}] referenced by template have types not supported by CloudFormation.",
                    parameter.name.unwrap_or_default()
                )));
            }
            // A name with a version or label comes back without it.
            let selector = parameter.selector.unwrap_or_default();
            let asked = format!("{}{selector}", parameter.name.unwrap_or_default());
            held.insert(asked, parameter.value.unwrap_or_default());
        }
    }
    let mut resolved = BTreeMap::new();
    for (parameter, name) in wanted {
        let value = held.get(&name).cloned().unwrap_or_default();
        inputs.resolve(template, &parameter, &value);
        resolved.insert(parameter, value);
    }
    Ok(resolved)
}

/// The inputs of a deployment that was checked when it was accepted.
pub(crate) fn inputs_of(template: &Template, deployment: &Deployment) -> Result<Inputs> {
    let supplied = deployment
        .parameters
        .iter()
        .map(|(name, value)| (name.clone(), Supplied::Value(value.clone())))
        .collect();
    let mut inputs = Inputs::new(template, &supplied, &BTreeMap::new())?;
    for (parameter, held) in &deployment.resolved {
        inputs.resolve(template, parameter, held);
    }
    Ok(inputs)
}

/// The pseudo parameters of a stack.
pub(crate) fn pseudo(ctx: &Ctx, stack_id: &str, stack_name: &str) -> Pseudo {
    Pseudo {
        account: ctx.account.to_string(),
        region: ctx.region.to_string(),
        stack_id: stack_id.to_owned(),
        stack_name: stack_name.to_owned(),
        notification_arns: Vec::new(),
    }
}

/// Checks what only the parameters decide: conditions, rules, and names that they take away.
pub(crate) fn check_with_inputs(
    wanted: &Wanted,
    pseudo: &Pseudo,
    resolver: &dyn Resolver,
) -> Result<()> {
    let evaluator = Evaluator::new(&wanted.template, &wanted.inputs, pseudo, resolver)?;
    Graph::new(&wanted.template, evaluator.conditions())?.order()?;
    Ok(())
}

/// A parameter's value as `DescribeStacks` shows it.
pub(crate) fn shown_value(declaration: Option<&Declaration>, value: &str) -> String {
    let hidden = declaration.is_some_and(|declaration| declaration.no_echo);
    if hidden { "****".to_owned() } else { value.to_owned() }
}

/// The values of parameters that are not to be shown.
pub(crate) fn hidden_values(deployment: &Deployment) -> Vec<String> {
    let declared = parse(&deployment.template).and_then(|tree| Template::read(&tree));
    let declared = declared.map(|template| template.parameters).unwrap_or_default();
    let hidden = declared.iter().filter(|(_, declaration)| declaration.no_echo);
    hidden
        .filter_map(|(name, _)| deployment.parameters.get(name).cloned())
        .filter(|value| !value.is_empty())
        .collect()
}

/// A stack's parameters as the API shows them.
pub(crate) fn shown_parameters(deployment: &Deployment) -> Vec<Parameter> {
    let declared = parse(&deployment.template).and_then(|tree| Template::read(&tree));
    let declared = declared.map(|template| template.parameters).unwrap_or_default();
    let parameters = deployment.parameters.iter();
    parameters
        .map(|(name, value)| Parameter {
            parameter_key: Some(name.clone()),
            parameter_value: Some(shown_value(declared.get(name), value)),
            use_previous_value: None,
            resolved_value: deployment.resolved.get(name).cloned(),
        })
        .collect()
}

/// A stack's name as `CreateStack` wants it.
pub(crate) fn check_name(name: &str) -> Result<()> {
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let letter_first = name.starts_with(|c: char| c.is_ascii_alphabetic());
    if plain && letter_first && name.len() <= 128 {
        return Ok(());
    }
    Err(Error::validation(format!(
        "1 validation error detected: Value '{name}' at 'stackName' failed to satisfy constraint: Member must satisfy regular expression pattern: [a-zA-Z][-a-zA-Z0-9]*"
    )))
}

/// Tags as the API shows them.
pub(crate) fn shown_tags(tags: &Tags) -> Vec<Tag> {
    let tag = |(key, value): (&String, &String)| Tag { key: key.clone(), value: value.clone() };
    tags.iter().map(tag).collect()
}

/// Capabilities as the API shows them.
pub(crate) fn shown_capabilities(deployment: &Deployment) -> Vec<Capability> {
    deployment.capabilities.iter().filter_map(|text| text.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn template_urls_name_objects() {
        let own = |bucket: &str, key: &str| Some((bucket.to_owned(), key.to_owned()));
        let cases = [
            ("https://s3.amazonaws.com/b/k/x.yaml", own("b", "k/x.yaml")),
            ("https://b.s3.ap-northeast-2.amazonaws.com/x%20y.yaml", own("b", "x y.yaml")),
            ("https://my.b.s3-us-west-2.amazonaws.com/x", own("my.b", "x")),
            ("http://127.0.0.1:4566/b/x?versionId=1", own("b", "x")),
            ("http://b.s3.localhost:4566/x", own("b", "x")),
            ("s3://b/x", None),
            ("https://s3.amazonaws.com/b", None),
            ("https://s3.amazonaws.com/b/", None),
        ];
        for (url, expected) in cases {
            assert_eq!(location(url), expected, "{url}");
        }
    }

    #[test]
    fn stack_names_are_checked() {
        for (name, good) in [("web-1", true), ("1web", false), ("a_b", false), ("", false)] {
            assert_eq!(check_name(name).is_ok(), good, "{name}");
        }
    }
}
