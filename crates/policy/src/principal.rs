//! Who calls, and the `Principal` elements that name them.
//!
//! AWS: "AWS JSON policy elements: Principal", "AWS JSON policy elements: NotPrincipal".

use base::{AccountId, Arn};

use crate::context::Context;

/// Who makes a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Principal {
    /// The root user of an account.
    Root {
        /// The account.
        account: AccountId,
    },
    /// An IAM user.
    User {
        /// `arn:aws:iam::123456789012:user/path/name`.
        arn: Arn,
        /// The unique id, `AIDA..`.
        id: String,
    },
    /// A session of a role.
    AssumedRole {
        /// The role: `arn:aws:iam::123456789012:role/path/name`.
        role: Arn,
        /// The session: `arn:aws:sts::123456789012:assumed-role/name/session`.
        session: Arn,
        /// The role's unique id, `AROA..`.
        role_id: String,
    },
    /// A session that a user made with GetFederationToken.
    FederatedUser {
        /// `arn:aws:sts::123456789012:federated-user/name`.
        arn: Arn,
        /// The user who made the session, whose policies bound it; none for the root user.
        user: Option<Arn>,
    },
    /// An AWS service on its own behalf.
    Service {
        /// `elasticloadbalancing.amazonaws.com`.
        name: String,
    },
    /// A user whom a SAML or OpenID Connect provider vouches for.
    Federated {
        /// The provider's ARN or well-known name.
        provider: String,
    },
    /// A request without a signature.
    Anonymous,
}

/// The names by which an element may mean the caller, made once an evaluation.
pub(crate) struct Identities {
    /// The caller's own ARN.
    own: String,
    /// The ARN of the role, or of the federating user, whose session calls.
    role: Option<String>,
    /// The role's or user's unique id.
    id: String,
    account: String,
    service: Option<String>,
    federated: Option<String>,
}

/// How an element named the caller, from the weakest to the strongest: which boundaries an allow
/// in a resource-based policy overcomes depends on it.
///
/// AWS: "Determining whether a request is allowed or denied within an account", Resource-based
/// policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Naming {
    /// By account: the account then grants to its own principals with identity policies.
    Account,
    /// By role, or by the user who made a federated session: boundary and session policies still
    /// limit the session.
    Role,
    /// The caller itself, or everyone.
    Direct,
}

/// `Principal` or `NotPrincipal` of a statement.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Principals {
    pub(crate) negated: bool,
    pub(crate) entries: Box<[Entry]>,
}

/// One principal of an element.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Entry {
    Everyone,
    Account(Box<str>),
    /// An ARN or unique id.
    Aws(Box<str>),
    Service(Box<str>),
    Federated(Box<str>),
    CanonicalUser(Box<str>),
}

impl Principal {
    /// The account that the caller belongs to, if it belongs to one.
    pub fn account(&self) -> Option<&str> {
        match self {
            Self::Root { account } => Some(account.as_str()),
            Self::User { arn, .. } | Self::FederatedUser { arn, .. } => Some(&arn.account),
            Self::AssumedRole { session, .. } => Some(&session.account),
            Self::Service { .. } | Self::Federated { .. } | Self::Anonymous => None,
        }
    }

    /// The caller's ARN, if it has one.
    pub fn arn(&self) -> Option<Arn> {
        match self {
            Self::Root { account } => Some(Arn::new("iam", "", account, "root")),
            Self::User { arn, .. } | Self::FederatedUser { arn, .. } => Some(arn.clone()),
            Self::AssumedRole { session, .. } => Some(session.clone()),
            Self::Service { .. } | Self::Federated { .. } | Self::Anonymous => None,
        }
    }

    /// How AWS's messages name the caller.
    pub fn display(&self) -> String {
        match self {
            Self::Service { name } => name.clone(),
            Self::Federated { provider } => provider.clone(),
            Self::Anonymous => "anonymous".to_owned(),
            Self::Root { .. }
            | Self::User { .. }
            | Self::AssumedRole { .. }
            | Self::FederatedUser { .. } => {
                self.arn().map(|arn| arn.to_string()).unwrap_or_default()
            }
        }
    }

    pub(crate) fn describe(&self, context: &mut Context) {
        if let Some(account) = self.account() {
            context.set("aws:PrincipalAccount", account);
        }
        let is_service = matches!(self, Self::Service { .. });
        context.set("aws:PrincipalIsAWSService", is_service.to_string());
        match self {
            Self::Root { account } => {
                context.set("aws:PrincipalType", "Account");
                context.set("aws:userid", account.as_str());
                context.set("aws:PrincipalArn", Arn::new("iam", "", account, "root").to_string());
            }
            Self::User { arn, id } => {
                context.set("aws:PrincipalType", "User");
                context.set("aws:userid", id.as_str());
                context.set("aws:username", last_part(&arn.resource));
                context.set("aws:PrincipalArn", arn.to_string());
            }
            Self::AssumedRole { role, session, role_id } => {
                context.set("aws:PrincipalType", "AssumedRole");
                context.set("aws:userid", format!("{role_id}:{}", last_part(&session.resource)));
                context.set("aws:PrincipalArn", role.to_string());
            }
            Self::FederatedUser { arn, .. } => {
                context.set("aws:PrincipalType", "FederatedUser");
                context.set("aws:userid", format!("{}:{}", arn.account, last_part(&arn.resource)));
                context.set("aws:PrincipalArn", arn.to_string());
            }
            Self::Service { name } => {
                context.set("aws:PrincipalServiceName", name.as_str());
            }
            Self::Federated { provider } => context.set("aws:FederatedProvider", provider.as_str()),
            Self::Anonymous => {
                context.set("aws:PrincipalType", "Anonymous");
                context.set("aws:userid", "anonymous");
            }
        }
    }

    pub(crate) fn identities(&self) -> Identities {
        let (role, id) = match self {
            Self::AssumedRole { role, role_id, .. } => (Some(role.to_string()), role_id.clone()),
            Self::User { id, .. } => (None, id.clone()),
            Self::FederatedUser { user, .. } => {
                (user.as_ref().map(ToString::to_string), String::new())
            }
            Self::Root { .. } | Self::Service { .. } | Self::Federated { .. } | Self::Anonymous => {
                (None, String::new())
            }
        };
        let named = |name: &String| Some(name.clone());
        let service = if let Self::Service { name } = self { named(name) } else { None };
        let federated =
            if let Self::Federated { provider } = self { named(provider) } else { None };
        Identities {
            own: self.arn().map(|arn| arn.to_string()).unwrap_or_default(),
            role,
            id,
            account: self.account().unwrap_or_default().to_owned(),
            service,
            federated,
        }
    }
}

fn last_part(resource: &str) -> &str {
    resource.rsplit('/').next().unwrap_or(resource)
}

impl Identities {
    /// Whether these are an account's root user.
    fn is_root(&self) -> bool {
        self.own.ends_with(":root") && self.role.is_none()
    }
}

impl Principals {
    /// How the element means the caller, or nothing when it does not.
    pub(crate) fn naming(&self, who: &Identities) -> Option<Naming> {
        if self.negated {
            return (!self.exempts(who)).then_some(Naming::Direct);
        }
        self.entries.iter().filter_map(|entry| entry.naming(who)).max()
    }

    /// Whether `NotPrincipal` spares the caller: it must list the caller, its role and its account.
    fn exempts(&self, who: &Identities) -> bool {
        let lists = |wanted: &dyn Fn(&Entry) -> bool| self.entries.iter().any(wanted);
        if lists(&|entry| matches!(entry, Entry::Everyone)) {
            return true;
        }
        if who.account.is_empty() {
            return self.entries.iter().any(|entry| entry.naming(who).is_some());
        }
        let account = lists(&|entry| entry.naming(who) == Some(Naming::Account))
            || who.is_root() && lists(&|entry| entry.naming(who).is_some());
        let role = who.role.is_none()
            || lists(&|entry| {
                matches!(entry, Entry::Aws(_)) && entry.naming(who) == Some(Naming::Role)
            });
        let is_own = |arn: &str| *arn == *who.own || (*arn == *who.id && who.role.is_none());
        let own = who.is_root() || lists(&|entry| matches!(entry, Entry::Aws(arn) if is_own(arn)));
        account && role && own
    }
}

impl Entry {
    fn naming(&self, who: &Identities) -> Option<Naming> {
        let same = |name: &str, mine: &Option<String>| mine.as_deref() == Some(name);
        match self {
            Self::Everyone => Some(Naming::Direct),
            Self::Account(account) if who.is_root() => {
                (**account == *who.account).then_some(Naming::Direct)
            }
            Self::Account(account) => (**account == *who.account).then_some(Naming::Account),
            Self::Aws(name)
                if who.role.is_some() && (same(name, &who.role) || **name == *who.id) =>
            {
                Some(Naming::Role)
            }
            Self::Aws(name) => {
                let is_own = **name == *who.own || (!who.id.is_empty() && **name == *who.id);
                is_own.then_some(Naming::Direct)
            }
            Self::Service(name) => same(name, &who.service).then_some(Naming::Direct),
            Self::Federated(name) => same(name, &who.federated).then_some(Naming::Direct),
            // Canonical user ids are S3's own; they are translated when a bucket policy is stored.
            Self::CanonicalUser(_) => None,
        }
    }

    /// Reads a value of the map under `kind`; nothing when it can't be a principal.
    pub(crate) fn parse(kind: &str, value: &str) -> Option<Self> {
        match kind {
            "AWS" => Self::parse_aws(value),
            "Service" => {
                let plausible = value.contains('.') && !value.contains(['*', '?', ' ', ':']);
                plausible.then(|| Self::Service(value.into()))
            }
            "Federated" => (!value.is_empty()).then(|| Self::Federated(value.into())),
            "CanonicalUser" => {
                let plausible =
                    !value.is_empty() && value.bytes().all(|b| b.is_ascii_alphanumeric());
                plausible.then(|| Self::CanonicalUser(value.into()))
            }
            _ => None,
        }
    }

    fn parse_aws(value: &str) -> Option<Self> {
        if value == "*" {
            return Some(Self::Everyone);
        }
        let is_account = |text: &str| text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit());
        if is_account(value) {
            return Some(Self::Account(value.into()));
        }
        let is_unique_id = value.len() >= 16
            && value.starts_with('A')
            && value.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
        if is_unique_id {
            return Some(Self::Aws(value.into()));
        }
        let arn: Arn = value.parse().ok()?;
        if value.contains(['*', '?']) || !is_account(&arn.account) || !arn.region.is_empty() {
            return None;
        }
        match (arn.service.as_str(), arn.resource.split('/').next()?) {
            ("iam", "root") => Some(Self::Account(arn.account.into())),
            ("iam", "user" | "role") | ("sts", "assumed-role" | "federated-user") => {
                arn.resource.contains('/').then(|| Self::Aws(value.into()))
            }
            _ => None,
        }
    }

    /// The entry as documents write it.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Everyone => "*",
            Self::Account(text)
            | Self::Aws(text)
            | Self::Service(text)
            | Self::Federated(text)
            | Self::CanonicalUser(text) => text,
        }
    }
}
