//! Policy documents: the grammar, and the compiled form that evaluation reads.
//!
//! AWS: "Grammar of the IAM JSON policy language". Faults are looked for in the order in which IAM
//! reports them: syntax, then its first parser, then statement ids, missing elements, resources
//! and actions.

use crate::action::Actions;
use crate::arn_pattern::ArnPattern;
use crate::check::{self, BadResource};
use crate::condition::{BadCondition, Condition};
use crate::context::Context;
use crate::json::Json;
use crate::pattern::Variables;
use crate::principal::{Entry, Identities, Naming, Principals};

const SYNTAX: &str = "Syntax errors in policy.";
const LEGACY: &str = "The policy failed legacy parsing";
const INVALID_JSON: &str = "This policy contains invalid Json";

/// What a policy is attached to, which decides the grammar it must follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A user's, group's or role's permissions, managed or inline.
    Identity,
    /// A bucket's, queue's, topic's, secret's ... policy.
    Resource,
    /// A KMS key's policy: as [`Kind::Resource`], and nothing is allowed without its consent.
    Key,
    /// A role's trust policy: a resource policy without resources; nobody assumes the role without
    /// its consent.
    Trust,
    /// A permissions boundary.
    Boundary,
    /// A policy passed to AssumeRole or GetFederationToken.
    Session,
    /// A service control policy of AWS Organizations.
    Scp,
    /// A resource control policy of AWS Organizations: a resource policy of a whole account.
    Rcp,
}

/// A document that IAM refuses. The text is AWS's; the caller knows the code
/// (`MalformedPolicyDocument`, `MalformedPolicy`, `InvalidParameterValue` ...).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PolicyError(pub String);

/// A policy, compiled.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    kind: Kind,
    current: bool,
    pub(crate) statements: Box<[Statement]>,
    keys: Box<[Box<str>]>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Allow,
    Deny,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Statement {
    /// The statement's id, or its place as `#1`.
    pub(crate) label: Box<str>,
    pub(crate) effect: Effect,
    principals: Option<Principals>,
    actions: Actions,
    resources: Option<Resources>,
    conditions: Box<[Condition]>,
}

/// What a statement is about, for who limits what documents may say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outline {
    /// The statement denies.
    pub denies: bool,
    /// It has `NotAction`.
    pub excludes_actions: bool,
    /// The services whose actions it names, `*` for all.
    pub services: Vec<String>,
    /// Its principal is everyone.
    pub everyone: bool,
}

#[derive(Debug, Clone, PartialEq)]
struct Resources {
    negated: bool,
    patterns: Box<[ArnPattern]>,
}

/// A request as statements see it.
pub(crate) struct Call<'a> {
    /// The action's service and name in lower case.
    pub(crate) service: &'a str,
    pub(crate) name: &'a str,
    pub(crate) resource: &'a str,
    pub(crate) who: &'a Identities,
    pub(crate) context: &'a Context,
}

/// The first part of a statement that does not apply to a call.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Mismatch {
    Action,
    Principal,
    Resource,
    Condition(String),
}

impl Policy {
    /// Reads, validates and compiles `json`. Size limits are the caller's, for they differ by
    /// where the policy is kept.
    ///
    /// # Errors
    ///
    /// The message with which AWS refuses the document.
    pub fn parse(json: &str, kind: Kind) -> Result<Self, PolicyError> {
        Parser { kind }.policy(json).map_err(PolicyError)
    }

    /// What the policy was parsed for.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether the document names version 2012-10-17, without which variables are plain text.
    /// Managed policies must ("Policy document must be version 2012-10-17 or greater.").
    pub fn is_current_version(&self) -> bool {
        self.current
    }

    /// Every principal that the document names, as it writes them.
    pub fn principals(&self) -> impl Iterator<Item = &str> {
        self.statements
            .iter()
            .filter_map(|statement| statement.principals.as_ref())
            .flat_map(|principals| principals.entries.iter().map(Entry::text))
    }

    /// Whether the policy lets everyone in: an Allow for `*` without a condition.
    ///
    /// AWS: "The meaning of \"public\"".
    pub fn is_public(&self) -> bool {
        self.statements.iter().any(|statement| {
            statement.effect == Effect::Allow
                && statement.conditions.is_empty()
                && statement.principals.as_ref().is_some_and(|principals| {
                    principals.negated || principals.entries.contains(&Entry::Everyone)
                })
        })
    }

    /// Whether nothing is allowed unless this policy allows it, be the caller of the same account.
    pub(crate) fn must_consent(&self) -> bool {
        match self.kind {
            Kind::Trust | Kind::Key => true,
            Kind::Identity
            | Kind::Resource
            | Kind::Boundary
            | Kind::Session
            | Kind::Scp
            | Kind::Rcp => false,
        }
    }

    /// The condition keys that the document reads, in conditions or variables, as it writes them.
    ///
    /// AWS: GetContextKeysForCustomPolicy.
    pub fn context_keys(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|key| &**key)
    }

    /// The effect, actions and resources of each statement as organizations check them: whether
    /// it denies, whether it names `NotAction`, whether it has conditions.
    pub fn outlines(&self) -> impl Iterator<Item = Outline> + '_ {
        self.statements.iter().map(|statement| Outline {
            denies: statement.effect == Effect::Deny,
            excludes_actions: statement.actions.is_negated(),
            services: statement.actions.services(),
            everyone: statement.principals.as_ref().is_some_and(|principals| {
                !principals.negated && principals.entries.iter().all(|e| *e == Entry::Everyone)
            }),
        })
    }
}

impl Statement {
    /// How the statement names the caller, if it is about the call; else why it is not.
    pub(crate) fn applies(&self, call: &Call<'_>) -> Result<Naming, Mismatch> {
        if !self.actions.cover(call.service, call.name) {
            return Err(Mismatch::Action);
        }
        let naming = match &self.principals {
            None => Naming::Direct,
            Some(principals) => principals.naming(call.who).ok_or(Mismatch::Principal)?,
        };
        if let Some(resources) = &self.resources
            && !resources.cover(call.resource, call.context)
        {
            return Err(Mismatch::Resource);
        }
        match self.conditions.iter().find(|condition| !condition.holds(call.context)) {
            Some(failed) => Err(Mismatch::Condition(failed.label())),
            None => Ok(naming),
        }
    }

    /// As [`Statement::applies`], without the work of saying why not.
    pub(crate) fn naming(&self, call: &Call<'_>) -> Option<Naming> {
        if !self.actions.cover(call.service, call.name) {
            return None;
        }
        let naming = match &self.principals {
            None => Naming::Direct,
            Some(principals) => principals.naming(call.who)?,
        };
        let about = self.resources.as_ref().is_none_or(|r| r.cover(call.resource, call.context));
        (about && self.conditions.iter().all(|c| c.holds(call.context))).then_some(naming)
    }
}

impl Resources {
    /// A variable without a value makes its own pattern match nothing, and `NotResource` as a
    /// whole.
    fn cover(&self, resource: &str, context: &Context) -> bool {
        let mut unresolved = false;
        for pattern in &self.patterns {
            match pattern.matches(resource, context) {
                Some(true) => return !self.negated,
                Some(false) => {}
                None => unresolved = true,
            }
        }
        self.negated && !unresolved
    }
}

/// A statement's members, found by name.
struct Members<'a> {
    sid: Option<&'a str>,
    effect: &'a str,
    principal: Option<(bool, &'a Json)>,
    action: Option<(bool, Vec<&'a str>)>,
    resource: Option<(bool, Vec<&'a str>)>,
    conditions: Vec<(&'a str, &'a str, Vec<&'a str>)>,
}

/// The parser of one document.
struct Parser {
    kind: Kind,
}

type Parsed<T> = Result<T, String>;

impl Parser {
    /// IAM's identity policies get one message for all faults of syntax; policies of resources,
    /// which a younger parser reads, get one that names the fault.
    fn syntax(&self, named: impl Into<String>) -> String {
        if self.takes_principals() { named.into() } else { SYNTAX.to_owned() }
    }

    fn takes_principals(&self) -> bool {
        match self.kind {
            Kind::Resource | Kind::Key | Kind::Trust | Kind::Rcp => true,
            Kind::Identity | Kind::Boundary | Kind::Session | Kind::Scp => false,
        }
    }

    fn policy(&self, json: &str) -> Parsed<Policy> {
        let document = Json::parse(json).ok_or_else(|| self.syntax(INVALID_JSON))?;
        let members = document.as_object().ok_or_else(|| self.syntax(INVALID_JSON))?;
        let (mut current, mut statement) = (false, None);
        for (name, value) in members {
            match name.as_str() {
                "Version" => match value.as_text() {
                    Some("2012-10-17") => current = true,
                    Some("2008-10-17") => {}
                    _ => return Err(self.syntax("The policy must contain a valid version string")),
                },
                "Id" if value.as_text().is_some() => {}
                "Statement" => statement = Some(value),
                other => return Err(self.syntax(format!("Unknown field {other}"))),
            }
        }
        let items = match statement {
            Some(one @ Json::Object(_)) => std::slice::from_ref(one),
            Some(Json::Array(items)) if !items.is_empty() => items.as_slice(),
            Some(_) => return Err(self.syntax(INVALID_JSON)),
            None => return Err(self.syntax("Missing required field Statement")),
        };
        let members: Vec<Members<'_>> =
            items.iter().map(|item| self.members(item)).collect::<Parsed<_>>()?;
        let variables = if current { Variables::Active } else { Variables::Literal };
        self.validate(&members)?;
        let statements = members
            .iter()
            .enumerate()
            .map(|(at, members)| self.statement(at, members, variables))
            .collect::<Parsed<_>>()?;
        let keys = keys_of(&members, variables);
        Ok(Policy { kind: self.kind, current, statements, keys })
    }

    fn members<'a>(&self, item: &'a Json) -> Parsed<Members<'a>> {
        let object = item.as_object().ok_or_else(|| self.syntax(INVALID_JSON))?;
        let mut found = Members {
            sid: None,
            effect: "",
            principal: None,
            action: None,
            resource: None,
            conditions: Vec::new(),
        };
        for (name, value) in object {
            let negated = name.starts_with("Not");
            let texts = || value.texts().ok_or_else(|| self.syntax(INVALID_JSON));
            let twice = || Err(self.syntax(INVALID_JSON));
            match name.as_str() {
                "Sid" => {
                    found.sid = Some(value.as_text().ok_or_else(|| self.syntax(INVALID_JSON))?);
                }
                "Effect" => {
                    found.effect = value.as_text().unwrap_or_default();
                }
                "Principal" | "NotPrincipal" if found.principal.is_some() => return twice(),
                "Principal" | "NotPrincipal" => found.principal = Some((negated, value)),
                "Action" | "NotAction" if found.action.is_some() => return twice(),
                "Action" | "NotAction" => found.action = Some((negated, texts()?)),
                "Resource" | "NotResource" if found.resource.is_some() => return twice(),
                "Resource" | "NotResource" => found.resource = Some((negated, texts()?)),
                "Condition" => found.conditions = self.conditions(value)?,
                other => return Err(self.syntax(format!("Unknown field {other}"))),
            }
        }
        match found.effect {
            "Allow" | "Deny" => {}
            "" => return Err(self.syntax("Missing required field Effect cannot be empty!")),
            other if other.eq_ignore_ascii_case("allow") || other.eq_ignore_ascii_case("deny") => {
                return Err(self.syntax_or_legacy(format!("Invalid effect: {other}")));
            }
            other => return Err(self.syntax(format!("Invalid effect: {other}"))),
        }
        Ok(found)
    }

    fn syntax_or_legacy(&self, named: String) -> String {
        if self.takes_principals() { named } else { LEGACY.to_owned() }
    }

    fn conditions<'a>(&self, block: &'a Json) -> Parsed<Vec<(&'a str, &'a str, Vec<&'a str>)>> {
        let mut conditions = Vec::new();
        let invalid = || self.syntax(INVALID_JSON);
        for (operator, keys) in block.as_object().ok_or_else(invalid)? {
            for (key, values) in keys.as_object().ok_or_else(invalid)? {
                let values = values.scalars().ok_or_else(invalid)?;
                if key.is_empty() {
                    return Err(invalid());
                }
                conditions.push((operator.as_str(), key.as_str(), values));
            }
        }
        Ok(conditions)
    }

    /// The faults that concern the statements together, in IAM's order.
    fn validate(&self, statements: &[Members<'_>]) -> Parsed<()> {
        let mut first_bad_resource = None;
        for statement in statements {
            self.check_principal(statement)?;
            if self.kind == Kind::Trust && statement.resource.is_some() {
                return Err("Has prohibited field Resource".to_owned());
            }
            for resource in statement.resource.iter().flat_map(|(_, resources)| resources) {
                match self.check_resource(resource) {
                    Err(BadResource::Legacy) => return Err(LEGACY.to_owned()),
                    Err(BadResource::Because(message)) => {
                        first_bad_resource.get_or_insert(message);
                    }
                    Ok(()) => {}
                }
            }
        }
        check_sids(statements, self.kind)?;
        for statement in statements {
            if statement.action.as_ref().is_none_or(|(_, names)| names.is_empty()) {
                return Err(self.missing("Policy statement must contain actions.", "Action"));
            }
        }
        for statement in statements {
            let absent = statement.resource.as_ref().is_none_or(|(_, names)| names.is_empty());
            // IAM names a bad action before it misses the resource.
            if absent && self.kind != Kind::Trust {
                check_actions(statement)?;
                return Err(self.missing("Policy statement must contain resources.", "Resource"));
            }
        }
        match first_bad_resource {
            Some(message) => Err(message),
            None => statements.iter().try_for_each(|statement| {
                check_actions(statement)?;
                self.check_trust_actions(statement)
            }),
        }
    }

    fn missing(&self, identity: &str, field: &str) -> String {
        if self.takes_principals() {
            format!("Missing required field {field}")
        } else {
            identity.to_owned()
        }
    }

    fn check_principal(&self, statement: &Members<'_>) -> Parsed<()> {
        match (self.takes_principals(), statement.principal.is_some()) {
            (true, true) | (false, false) => Ok(()),
            (true, false) => Err("Missing required field Principal".to_owned()),
            (false, true) => Err("Policy document should not specify a principal.".to_owned()),
        }
    }

    /// Resource policies may name resources in the service's own words, so only identity policies
    /// are held to ARNs.
    fn check_resource(&self, resource: &str) -> Result<(), BadResource> {
        if !self.takes_principals() {
            return check::resource(resource);
        }
        if resource.is_empty() {
            return Err(BadResource::Because("Policy has invalid resource".to_owned()));
        }
        Ok(())
    }

    fn check_trust_actions(&self, statement: &Members<'_>) -> Parsed<()> {
        let foreign = |name: &&str| {
            let lower = name.to_ascii_lowercase();
            !lower.starts_with("sts:")
        };
        let names = statement.action.iter().flat_map(|(_, names)| names);
        if self.kind == Kind::Trust && names.into_iter().any(foreign) {
            return Err("AssumeRole policy may only specify STS AssumeRole actions.".to_owned());
        }
        Ok(())
    }

    fn statement(
        &self,
        at: usize,
        members: &Members<'_>,
        variables: Variables,
    ) -> Parsed<Statement> {
        let principals =
            members.principal.as_ref().map(|(negated, value)| principals(*negated, value));
        let (negated, names) = members.action.as_ref().ok_or(SYNTAX)?;
        let actions = Actions::compile(*negated, names.iter().copied());
        let resources = match &members.resource {
            None => None,
            // A lone star spares the pattern, it is the commonest resource.
            Some((negated, names)) => Some(Resources {
                negated: *negated,
                patterns: names
                    .iter()
                    .map(|name| ArnPattern::compile(name, variables))
                    .collect::<Result<_, _>>()
                    .map_err(|_| self.syntax("Policy has invalid resource"))?,
            }),
        };
        let resources =
            resources.filter(|r| r.negated || !r.patterns.iter().any(ArnPattern::is_any));
        let conditions = members
            .conditions
            .iter()
            .map(|(operator, key, values)| Condition::compile(operator, key, values, variables))
            .collect::<Result<_, _>>()
            .map_err(|bad| match bad {
                BadCondition::Syntax => self.syntax("Invalid Condition type"),
                BadCondition::Value => self.syntax_or_legacy("Invalid value for condition".into()),
            })?;
        let label = match members.sid {
            Some(sid) if !sid.is_empty() => sid.into(),
            _ => format!("#{}", at + 1).into(),
        };
        let effect = if members.effect == "Deny" { Effect::Deny } else { Effect::Allow };
        let principals = principals.transpose()?;
        Ok(Statement { label, effect, principals, actions, resources, conditions })
    }
}

/// The keys of conditions, and of variables where they are alive.
fn keys_of(members: &[Members<'_>], variables: Variables) -> Box<[Box<str>]> {
    let mut keys: Vec<Box<str>> = Vec::new();
    let mut add = |key: &str| {
        let known = keys.iter().any(|known| known.eq_ignore_ascii_case(key));
        if !known && !key.is_empty() && !matches!(key, "*" | "?" | "$") {
            keys.push(key.into());
        }
    };
    for statement in members {
        let resources = statement.resource.iter().flat_map(|(_, names)| names);
        let values = statement.conditions.iter().flat_map(|(_, _, values)| values);
        for text in resources.chain(values).filter(|_| variables == Variables::Active) {
            for part in text.split("${").skip(1) {
                let inside = part.split('}').next().unwrap_or_default();
                add(inside.split(',').next().unwrap_or_default().trim());
            }
        }
        for (_, key, _) in &statement.conditions {
            add(key);
        }
    }
    keys.into()
}

fn check_actions(statement: &Members<'_>) -> Parsed<()> {
    statement.action.iter().flat_map(|(_, names)| names).try_for_each(|name| check::action(name))
}

fn check_sids(statements: &[Members<'_>], kind: Kind) -> Parsed<()> {
    let mut seen: Vec<&str> = Vec::new();
    for sid in statements.iter().filter_map(|statement| statement.sid).filter(|s| !s.is_empty()) {
        let plain = sid.bytes().all(|b| b.is_ascii_alphanumeric());
        if !plain && !matches!(kind, Kind::Resource | Kind::Key | Kind::Rcp) {
            return Err("Statement IDs (SID) must be alpha-numeric. Check that your input \
                        satisfies the regular expression [0-9A-Za-z]*"
                .to_owned());
        }
        if seen.contains(&sid) {
            return Err("Statement IDs (SID) in a single policy must be unique.".to_owned());
        }
        seen.push(sid);
    }
    Ok(())
}

fn principals(negated: bool, value: &Json) -> Parsed<Principals> {
    let refuse =
        |kind: &str, name: &str| format!("Invalid principal in policy: \"{kind}\":\"{name}\"");
    let mut entries = Vec::new();
    match value {
        Json::Text(text) if text == "*" => entries.push(Entry::Everyone),
        Json::Text(text) => return Err(format!("Invalid principal in policy: \"{text}\"")),
        Json::Object(kinds) if !kinds.is_empty() => {
            for (kind, names) in kinds {
                let names = names.texts().filter(|names| !names.is_empty());
                for name in names.ok_or_else(|| "Invalid principal in policy".to_owned())? {
                    entries.push(Entry::parse(kind, name).ok_or_else(|| refuse(kind, name))?);
                }
            }
        }
        Json::Null | Json::Scalar(_) | Json::Array(_) | Json::Object(_) => {
            return Err("Invalid principal in policy".to_owned());
        }
    }
    Ok(Principals { negated, entries: entries.into() })
}
