//! Evaluating intrinsic functions.

use std::collections::BTreeMap;

use base64::Engine as _;
use serde_json::{Map, Value};

use super::function::{self, Function, Piece};
use super::model::{Resource, Template};
use super::parameter::{Inputs, scalar_text};
use super::{Result, TemplateError, cidr, condition};

/// Stands for what is only known once the change is made.
///
/// AWS: "DescribeChangeSet", `AfterValue`.
pub const PENDING: &str = "{{changeSet:KNOWN_AFTER_APPLY}}";

/// What the evaluator asks the outside world. A planner answers [`PENDING`] where it cannot know.
pub trait Resolver {
    /// What `Ref` of a resource answers: its physical id as a rule.
    ///
    /// # Errors
    ///
    /// The resource does not exist yet.
    fn reference(&self, resource: &str) -> Result<Value>;

    /// What `Fn::GetAtt` answers.
    ///
    /// # Errors
    ///
    /// The resource does not exist yet, or has no such attribute.
    fn attribute(&self, resource: &str, attribute: &str) -> Result<Value>;

    /// The value that another stack exports as `name`.
    ///
    /// # Errors
    ///
    /// No stack does.
    fn import(&self, name: &str) -> Result<Value>;

    /// The zones of `region` in which the account can make subnets.
    fn zones(&self, region: &str) -> Vec<String>;
}

/// A resolver for where only parameters count: it knows no resource and no export.
#[derive(Debug)]
pub struct Unresolvable;

impl Resolver for Unresolvable {
    fn reference(&self, resource: &str) -> Result<Value> {
        Err(outside(resource))
    }

    fn attribute(&self, resource: &str, _attribute: &str) -> Result<Value> {
        Err(outside(resource))
    }

    fn import(&self, name: &str) -> Result<Value> {
        Err(TemplateError::NoExport(name.to_owned()))
    }

    fn zones(&self, _region: &str) -> Vec<String> {
        Vec::new()
    }
}

fn outside(resource: &str) -> TemplateError {
    TemplateError::function(format!(
        "Unresolved dependencies [{resource}]. Cannot reference resources in the Conditions block of the template"
    ))
}

/// The pseudo parameters.
///
/// AWS: "Get AWS values using pseudo parameters".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pseudo {
    /// The account.
    pub account: String,
    /// The region.
    pub region: String,
    /// The stack's ARN.
    pub stack_id: String,
    /// The stack's name.
    pub stack_name: String,
    /// The topics that are told of the stack's events.
    pub notification_arns: Vec<String>,
}

pub(super) const PSEUDO: [&str; 8] = [
    "AWS::AccountId",
    "AWS::NoValue",
    "AWS::NotificationARNs",
    "AWS::Partition",
    "AWS::Region",
    "AWS::StackId",
    "AWS::StackName",
    "AWS::URLSuffix",
];

impl Pseudo {
    fn value(&self, name: &str) -> Option<Value> {
        Some(match name {
            "AWS::AccountId" => self.account.clone().into(),
            "AWS::NotificationARNs" => self.notification_arns.clone().into(),
            "AWS::Partition" => base::Partition::NAME.into(),
            "AWS::Region" => self.region.clone().into(),
            "AWS::StackId" => self.stack_id.clone().into(),
            "AWS::StackName" => self.stack_name.clone().into(),
            "AWS::URLSuffix" => base::Partition::DNS_SUFFIX.into(),
            _ => return None,
        })
    }
}

/// Evaluates the values of one template with one set of parameters.
pub struct Evaluator<'a> {
    template: &'a Template,
    inputs: &'a Inputs,
    pseudo: &'a Pseudo,
    resolver: &'a dyn Resolver,
    conditions: BTreeMap<String, bool>,
}

impl<'a> Evaluator<'a> {
    /// Evaluates the conditions and the rules; the rest can be asked for after that.
    ///
    /// # Errors
    ///
    /// A condition that cannot be evaluated, a rule that does not hold, or an existing resource
    /// that refers to one whose condition is false.
    pub fn new(
        template: &'a Template,
        inputs: &'a Inputs,
        pseudo: &'a Pseudo,
        resolver: &'a dyn Resolver,
    ) -> Result<Self> {
        let parameters_only = Evaluator {
            template,
            inputs,
            pseudo,
            resolver: &Unresolvable,
            conditions: BTreeMap::new(),
        };
        for rule in template.rules.values() {
            rule.check(&parameters_only)?;
        }
        let conditions = condition::evaluate_all(template, &parameters_only)?;
        Ok(Self { template, inputs, pseudo, resolver, conditions })
    }

    /// The values of the conditions.
    pub fn conditions(&self) -> &BTreeMap<String, bool> {
        &self.conditions
    }

    /// The resources that exist under the conditions.
    pub fn resources(&self) -> impl Iterator<Item = (&'a String, &'a Resource)> {
        let holds = |resource: &Resource| self.holds(resource.condition.as_deref());
        self.template.resources.iter().filter(move |(_, resource)| holds(resource))
    }

    /// Whether what carries `condition` exists.
    pub fn holds(&self, condition: Option<&str>) -> bool {
        condition.is_none_or(|name| self.conditions.get(name).copied().unwrap_or(false))
    }

    /// The properties of a resource.
    ///
    /// # Errors
    ///
    /// A function in them cannot be evaluated.
    pub fn properties(&self, resource: &Resource) -> Result<Map<String, Value>> {
        self.members(&resource.properties)
    }

    /// `value` with its functions evaluated; nothing when it is `AWS::NoValue`.
    ///
    /// # Errors
    ///
    /// A function in it cannot be evaluated.
    pub fn evaluate(&self, value: &Value) -> Result<Option<Value>> {
        match value {
            Value::Array(items) => {
                let values: Result<Vec<_>> = items.iter().map(|item| self.evaluate(item)).collect();
                Ok(Some(values?.into_iter().flatten().collect()))
            }
            Value::Object(members) => match function::call(members)? {
                Some((function, argument)) => self.call(function, argument),
                None => Ok(Some(Value::Object(self.members(members)?))),
            },
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                Ok(Some(value.clone()))
            }
        }
    }

    fn members(&self, members: &Map<String, Value>) -> Result<Map<String, Value>> {
        let mut values = Map::new();
        for (key, member) in members {
            if let Some(value) = self.evaluate(member)? {
                values.insert(key.clone(), value);
            }
        }
        Ok(values)
    }

    /// `value` as the text that `function` needs.
    pub(super) fn text(&self, value: &Value, function: Function) -> Result<String> {
        let found = self.evaluate(value)?;
        found.as_ref().and_then(scalar_text).ok_or_else(|| function.misuse())
    }

    /// `value` as the list that `function` needs; nothing while it is not known.
    fn list(&self, value: &Value, function: Function) -> Result<Option<Vec<Value>>> {
        match self.evaluate(value)? {
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(Value::String(text)) if text.contains(PENDING) => Ok(None),
            _ => Err(function.misuse()),
        }
    }

    fn call(&self, function: Function, argument: &Value) -> Result<Option<Value>> {
        let value = match function {
            Function::Ref => return self.reference(argument),
            Function::If => {
                let (name, yes, no) = function::branches(argument)?;
                let holds = self.conditions.get(name).copied();
                let holds = holds.ok_or_else(|| unresolved_if(name))?;
                return self.evaluate(if holds { yes } else { no });
            }
            Function::GetAtt => {
                let (resource, attribute) = function::attribute(argument)?;
                let attribute = self.text(attribute, function)?;
                self.resolver.attribute(resource, &attribute)?
            }
            Function::Sub => self.substitute(argument)?,
            Function::Join => self.join(argument)?,
            Function::Select => self.select(argument)?,
            Function::Split => self.split(argument)?,
            Function::FindInMap => self.find_in_map(argument)?,
            Function::Base64 => {
                let text = self.text(argument, function)?;
                if text.contains(PENDING) {
                    PENDING.into()
                } else {
                    base64::engine::general_purpose::STANDARD.encode(text).into()
                }
            }
            Function::Cidr => self.cidr(argument)?,
            Function::GetAzs => {
                let region = self.text(argument, function)?;
                let region = if region.is_empty() { &self.pseudo.region } else { &region };
                self.resolver.zones(region).into()
            }
            Function::ImportValue => {
                let name = self.text(argument, function)?;
                if name.contains(PENDING) { PENDING.into() } else { self.resolver.import(&name)? }
            }
            Function::And | Function::Or | Function::Not | Function::Equals => {
                return Err(TemplateError::function(
                    "Fn::And, Fn::Equals, Fn::Not and Fn::Or can only be used in conditions and rules",
                ));
            }
        };
        Ok(Some(value))
    }

    fn reference(&self, argument: &Value) -> Result<Option<Value>> {
        let name = argument.as_str().ok_or_else(|| Function::Ref.misuse())?;
        if name == "AWS::NoValue" {
            return Ok(None);
        }
        self.named(name).map(Some)
    }

    fn named(&self, name: &str) -> Result<Value> {
        if let Some(value) = self.pseudo.value(name) {
            return Ok(value);
        }
        if let Some(value) = self.inputs.values.get(name) {
            return Ok(value.clone());
        }
        if self.template.parameters.contains_key(name) {
            // A parameter from SSM whose value nobody fetched: only planning does that.
            return Ok(PENDING.into());
        }
        self.resolver.reference(name)
    }

    fn substitute(&self, argument: &Value) -> Result<Value> {
        let function::Substitution { pieces, own } = function::substitution(argument)?;
        let mut text = String::new();
        for piece in pieces {
            match piece {
                Piece::Text(plain) => text.push_str(plain),
                Piece::Literal(name) => text.push_str(&format!("${{{name}}}")),
                Piece::Variable(name) => {
                    let value = match own.and_then(|own| own.get(name)) {
                        Some(value) => self.evaluate(value)?.unwrap_or_default(),
                        None => match name.split_once('.') {
                            Some((resource, attribute)) => {
                                self.resolver.attribute(resource, attribute)?
                            }
                            None => self.named(name)?,
                        },
                    };
                    let value = scalar_text(&value).ok_or_else(|| {
                        TemplateError::function(format!(
                            "variable {name} in Fn::Sub expression does not resolve to a string"
                        ))
                    })?;
                    text.push_str(&value);
                }
            }
        }
        Ok(text.into())
    }

    fn join(&self, argument: &Value) -> Result<Value> {
        let (delimiter, items) = function::pair(Function::Join, argument)?;
        let delimiter = delimiter.as_str().ok_or_else(|| Function::Join.misuse())?;
        let Some(items) = self.list(items, Function::Join)? else {
            return Ok(PENDING.into());
        };
        let texts: Option<Vec<String>> = items.iter().map(scalar_text).collect();
        Ok(texts.ok_or_else(|| Function::Join.misuse())?.join(delimiter).into())
    }

    fn split(&self, argument: &Value) -> Result<Value> {
        let (delimiter, text) = function::pair(Function::Split, argument)?;
        let delimiter = delimiter.as_str().filter(|text| !text.is_empty());
        let delimiter = delimiter.ok_or_else(|| Function::Split.misuse())?;
        let text = self.text(text, Function::Split)?;
        if text.contains(PENDING) {
            return Ok(PENDING.into());
        }
        Ok(text.split(delimiter).collect())
    }

    fn select(&self, argument: &Value) -> Result<Value> {
        let (index, items) = function::pair(Function::Select, argument)?;
        let index = self.text(index, Function::Select)?;
        let Some(items) = self.list(items, Function::Select)? else {
            return Ok(PENDING.into());
        };
        let position: usize = index.trim().parse().map_err(|_| Function::Select.misuse())?;
        items.get(position).cloned().ok_or_else(|| {
            TemplateError::function(format!(
                "Fn::Select cannot select nonexistent value at index {position}"
            ))
        })
    }

    fn find_in_map(&self, argument: &Value) -> Result<Value> {
        let function = Function::FindInMap;
        let (mapping, key, attribute) = function::triple(function, argument)?;
        let text = |value| self.text(value, function);
        let (mapping, key, attribute) = (text(mapping)?, text(key)?, text(attribute)?);
        let found = self.template.mappings.get(&mapping);
        let found = found.and_then(|keys| keys.get(&key)).and_then(|found| found.get(&attribute));
        found.cloned().ok_or_else(|| {
            TemplateError::function(format!(
                "Unable to get mapping for {mapping}::{key}::{attribute}"
            ))
        })
    }

    fn cidr(&self, argument: &Value) -> Result<Value> {
        let misuse = || Function::Cidr.misuse();
        let (block, count, bits) = match argument.as_array().map(Vec::as_slice) {
            Some([block, count]) => (block, count, None),
            Some([block, count, bits]) => (block, count, Some(bits)),
            _ => return Err(misuse()),
        };
        let text = |value| self.text(value, Function::Cidr);
        let block = text(block)?;
        if block.contains(PENDING) {
            return Ok(PENDING.into());
        }
        let count = text(count)?.parse().map_err(|_| misuse())?;
        let bits = bits.map(text).transpose()?;
        let bits = bits.map(|bits| bits.parse()).transpose().map_err(|_| misuse())?;
        Ok(cidr::blocks(&block, count, bits)?.into())
    }
}

pub(super) fn unresolved_if(name: &str) -> TemplateError {
    TemplateError::function(format!("unresolved condition dependency {name} in Fn::If"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::super::parameter::Supplied;
    use super::super::parse;
    use super::*;

    struct World;

    impl Resolver for World {
        fn reference(&self, resource: &str) -> Result<Value> {
            Ok(if resource == "New" { PENDING.into() } else { format!("{resource}-id").into() })
        }
        fn attribute(&self, resource: &str, attribute: &str) -> Result<Value> {
            Ok(match attribute {
                "List" => json!(["x", "y"]),
                _ => format!("{resource}.{attribute}").into(),
            })
        }
        fn import(&self, name: &str) -> Result<Value> {
            match name {
                "shared-vpc" => Ok("vpc-9".into()),
                _ => Err(TemplateError::NoExport(name.to_owned())),
            }
        }
        fn zones(&self, region: &str) -> Vec<String> {
            ["a", "b"].map(|zone| format!("{region}{zone}")).to_vec()
        }
    }

    const HEAD: &str = r#"
Parameters:
  Name: {Type: String, Default: dev}
  Nets: {Type: CommaDelimitedList, Default: "n1,n2"}
Mappings:
  Size: {dev: {type: t3.micro, zones: [1, 2]}}
Conditions:
  IsDev: !Equals [!Ref Name, dev]
  NotDev: !Not [!Condition IsDev]
  Both: !And [!Condition IsDev, !Or [!Condition NotDev, !Equals [!Join ["", [a, b]], ab]]]
"#;

    /// Evaluates `expression` as the property `X` of a resource.
    fn evaluate(expression: &str) -> Result<Option<Value>> {
        let resources = "New: {Type: T}\n  Old: {Type: T}\n  Off: {Type: T, Condition: NotDev}";
        let text = format!(
            "{HEAD}\nResources:\n  {resources}\n  R: {{Type: T, Properties: {{X: {expression}}}}}"
        );
        let template = Template::read(&parse(&text)?)?;
        let inputs =
            Inputs::new(&template, &BTreeMap::<String, Supplied>::new(), &BTreeMap::new())?;
        let pseudo = Pseudo {
            account: "123456789012".to_owned(),
            region: "eu-1".to_owned(),
            stack_id: "arn:stack".to_owned(),
            stack_name: "web".to_owned(),
            notification_arns: vec!["t".to_owned()],
        };
        let evaluator = Evaluator::new(&template, &inputs, &pseudo, &World)?;
        Ok(evaluator.properties(&template.resources["R"])?.remove("X"))
    }

    #[test]
    fn functions_have_their_values() {
        let cases = [
            ("!Ref Name", json!("dev")),
            ("!Ref Nets", json!(["n1", "n2"])),
            ("!Ref Old", json!("Old-id")),
            ("!Ref AWS::NotificationARNs", json!(["t"])),
            ("!Ref AWS::URLSuffix", json!("amazonaws.com")),
            ("!GetAtt Old.Arn", json!("Old.Arn")),
            ("!GetAtt Old.Outputs.Y", json!("Old.Outputs.Y")),
            (
                "!Sub 'a-${Name}-${!Name}-${AWS::StackName}-${Old.Arn}'",
                json!("a-dev-${Name}-web-Old.Arn"),
            ),
            ("!Sub ['${A}${Name}', {A: !Ref Old}]", json!("Old-iddev")),
            ("!Join ['-', [a, !Ref Name, 3, true]]", json!("a-dev-3-true")),
            ("!Join [',', !Ref Nets]", json!("n1,n2")),
            ("!Join [',', !GetAtt Old.List]", json!("x,y")),
            ("!Select [1, !Ref Nets]", json!("n2")),
            ("!Select ['0', !GetAZs '']", json!("eu-1a")),
            ("!GetAZs us-1", json!(["us-1a", "us-1b"])),
            ("!Select [1, !Split ['|', 'a|b|c']]", json!("b")),
            ("!FindInMap [Size, !Ref Name, type]", json!("t3.micro")),
            ("!FindInMap [Size, dev, zones]", json!([1, 2])),
            ("!If [IsDev, 1, 2]", json!(1)),
            ("!If [Both, yes, [no]]", json!(true)),
            ("!If [NotDev, !Ref Off, x]", json!("x")),
            ("[a, !If [NotDev, b, !Ref AWS::NoValue], c]", json!(["a", "c"])),
            ("{a: !Ref AWS::NoValue, b: 1}", json!({"b": 1})),
            ("{'Fn::Base64': !Sub '${Name}'}", json!("ZGV2")),
            ("!Select [1, !Cidr [10.0.0.0/16, 2, 8]]", json!("10.0.1.0/24")),
            ("!ImportValue shared-vpc", json!("vpc-9")),
            ("{'Fn::ImportValue': !Sub 'shared-vpc'}", json!("vpc-9")),
            ("!Sub 'id ${New}'", json!(format!("id {PENDING}"))),
            ("!Select [0, !Split [',', !Ref New]]", json!(PENDING)),
            ("!Cidr [!Ref New, 2, 8]", json!(PENDING)),
            (
                "{Condition: {StringEquals: x}, Ref: y}",
                json!({"Condition": {"StringEquals": "x"}, "Ref": "y"}),
            ),
        ];
        for (expression, expected) in cases {
            let found = evaluate(expression);
            assert_eq!(found, Ok(Some(expected)), "{expression}");
        }
        assert_eq!(evaluate("!Ref AWS::NoValue"), Ok(None));
    }

    #[test]
    fn misuse_is_refused_in_aws_words() {
        let cases = [
            (
                "!Ref Nope",
                "Template format error: Unresolved resource dependencies [Nope] in the Resources block of the template",
            ),
            (
                "!Sub '${Nope}'",
                "Template format error: Unresolved resource dependencies [Nope] in the Resources block of the template",
            ),
            (
                "!Sub '${a b}'",
                "Template error: variable names in Fn::Sub syntax must contain only alphanumeric characters, underscores, periods, and colons",
            ),
            (
                "!GetAtt Nope.Arn",
                "Template error: instance of Fn::GetAtt references undefined resource Nope",
            ),
            (
                "!GetAtt Old",
                "Template error: every Fn::GetAtt object requires two non-empty parameters, the resource name and the resource attribute",
            ),
            ("!If [Nope, 1, 2]", "Template error: unresolved condition dependency Nope in Fn::If"),
            (
                "!FindInMap [Nope, a, b]",
                "Template error: Mapping named 'Nope' is not present in the 'Mappings' section of template.",
            ),
            (
                "!FindInMap [Size, prod, type]",
                "Template error: Unable to get mapping for Size::prod::type",
            ),
            (
                "!Select [5, !Ref Nets]",
                "Template error: Fn::Select cannot select nonexistent value at index 5",
            ),
            (
                "!Select [x, !Ref Nets]",
                "Template error: Fn::Select requires a list argument with two elements: an integer index and a list",
            ),
            ("!ImportValue nope", "No export named nope found."),
            (
                "!Length [1]",
                "Template error: Encountered unsupported function: Fn::Length Supported functions are: [Fn::Base64, Fn::GetAtt, Fn::GetAZs, Fn::ImportValue, Fn::Join, Fn::Split, Fn::FindInMap, Fn::Select, Ref, Fn::Equals, Fn::If, Fn::Not, Condition, Fn::And, Fn::Or, Fn::Contains, Fn::EachMemberEquals, Fn::EachMemberIn, Fn::ValueOf, Fn::ValueOfAll, Fn::RefAll, Fn::Sub, Fn::Cidr]",
            ),
            (
                "!Join [a]",
                "Template error: every Fn::Join object requires two parameters, (1) a string delimiter and (2) a list of strings to be joined or a function that returns a list of strings (such as Fn::GetAZs) to be joined.",
            ),
            ("!Transform {Name: X}", "No transform named X found."),
        ];
        for (expression, expected) in cases {
            let fault = evaluate(expression).unwrap_err();
            assert_eq!(fault.to_string(), expected, "{expression}");
        }
    }

    #[test]
    fn conditions_see_parameters_only() {
        let read = |conditions: &str| {
            let text = format!("Resources: {{A: {{Type: T}}}}\nConditions: {conditions}");
            Template::read(&parse(&text).unwrap()).unwrap_err().to_string()
        };
        assert_eq!(
            read("{C: !Equals [!Ref A, x]}"),
            "Template format error: Unresolved dependencies [A]. Cannot reference resources in the Conditions block of the template"
        );
        assert_eq!(
            read("{C: !Condition D}"),
            "Template format error: Unresolved condition dependency D in the Conditions block of the template"
        );
        assert_eq!(
            read("{C: yes}"),
            "Template format error: Conditions can only be boolean operations on parameters and other conditions"
        );
    }

    #[test]
    fn rules_are_asserted() {
        let text = r#"
Parameters: {Env: {Type: String}, Size: {Type: String}}
Rules:
  Prod:
    RuleCondition: !Equals [!Ref Env, prod]
    Assertions:
      - Assert: {"Fn::Contains": [[large], !Ref Size]}
        AssertDescription: production is large
Resources: {A: {Type: T}}
"#;
        let template = Template::read(&parse(text).unwrap()).unwrap();
        let outcome = |env: &str, size: &str| {
            let given = [("Env", env), ("Size", size)]
                .map(|(name, text)| (name.to_owned(), Supplied::Value(text.to_owned())));
            let inputs = Inputs::new(&template, &given.into(), &BTreeMap::new()).unwrap();
            let pseudo = Pseudo {
                account: String::new(),
                region: String::new(),
                stack_id: String::new(),
                stack_name: String::new(),
                notification_arns: Vec::new(),
            };
            Evaluator::new(&template, &inputs, &pseudo, &World).map(|_| ())
        };
        assert_eq!(outcome("dev", "small"), Ok(()));
        assert_eq!(outcome("prod", "large"), Ok(()));
        assert_eq!(
            outcome("prod", "small"),
            Err(TemplateError::Rule("production is large".to_owned()))
        );
    }
}
