//! Ids and ARNs of what an organization has.
//!
//! AWS: Service Authorization Reference, resource types of AWS Organizations.

use base::{Arn, Random};

use crate::store::Organization;

const LETTERS: &str = "abcdefghijklmnopqrstuvwxyz0123456789";

/// The policy that allows everything, which AWS made.
pub(crate) const FULL_ACCESS: &str = "p-FullAWSAccess";
/// The resource control policy that allows everything, which AWS made.
pub(crate) const RCP_FULL_ACCESS: &str = "p-RCPFullAWSAccess";

fn id(prefix: &str, chars: usize, random: &dyn Random) -> String {
    format!("{prefix}{}", random.text(LETTERS, chars))
}

pub(crate) fn organization(random: &dyn Random) -> String {
    id("o-", 10, random)
}

pub(crate) fn root(random: &dyn Random) -> String {
    id("r-", 4, random)
}

/// A unit's id tells its root's.
pub(crate) fn unit(root: &str, random: &dyn Random) -> String {
    id(&format!("ou-{}-", root.trim_start_matches("r-")), 8, random)
}

pub(crate) fn policy(random: &dyn Random) -> String {
    id("p-", 8, random)
}

pub(crate) fn creation(random: &dyn Random) -> String {
    id("car-", 32, random)
}

pub(crate) fn handshake(random: &dyn Random) -> String {
    id("h-", 16, random)
}

impl Organization {
    /// The ARN of `kind/ORGANIZATION/rest` in the management account.
    pub(crate) fn arn_of(&self, kind: &str, rest: &str) -> String {
        let resource = format!("{kind}/{}/{rest}", self.id);
        Arn::new("organizations", "", &self.management, resource).to_string()
    }

    pub(crate) fn arn(&self) -> String {
        let resource = format!("organization/{}", self.id);
        Arn::new("organizations", "", &self.management, resource).to_string()
    }

    pub(crate) fn policy_arn(&self, kind: &str, id: &str) -> String {
        let kind = kind.to_lowercase();
        if id == FULL_ACCESS || id == RCP_FULL_ACCESS {
            return Arn::new("organizations", "", "aws", format!("policy/{kind}/{id}")).to_string();
        }
        self.arn_of("policy", &format!("{kind}/{id}"))
    }
}
