//! The names of DB instances.

use base::Arn;
use kernel::names::{self, Name};
use kernel::token;
use store::{Scope, WriteTx};

use crate::error::Result;
use crate::store::{DbInstance, Status};

/// How long a resolver may keep an answer, so that clients find a new primary.
///
/// AWS: "Failing over a Multi-AZ DB instance for Amazon RDS".
const TTL_SECS: u32 = 5;

/// The name of the instance called `name`.
///
/// AWS: "Finding the connection information for a DB instance".
pub(crate) fn name(scope: &Scope, name: &str) -> String {
    let account = token::fingerprint(&(scope.account.as_str(), scope.region.as_str(), "rds"));
    let hash = account.get(..11).unwrap_or_default();
    format!("{name}.c{hash}.{}.rds.amazonaws.com", scope.region)
}

/// The ARN of the instance called `name`.
pub(crate) fn arn(scope: &Scope, kind: &str, name: &str) -> String {
    Arn::new("rds", &scope.region, &scope.account, format!("{kind}:{name}")).to_string()
}

/// Makes the instance's name lead to its primary.
pub(crate) fn write(tx: &mut WriteTx<'_>, scope: &Scope, instance: &DbInstance) -> Result<()> {
    let address = instance.primary_node().and_then(|node| node.address);
    let Some(address) = address.filter(|_| instance.status != Status::Deleting) else {
        return Ok(());
    };
    names::set(
        tx,
        &Name {
            name: name(scope, &instance.name),
            owner: arn(scope, "db", &instance.name),
            inside: vec![address],
            outside: vec![address],
            vpcs: Vec::new(),
            ttl_secs: TTL_SECS,
        },
    )?;
    Ok(())
}

/// Takes the instance's name away.
pub(crate) fn remove(tx: &mut WriteTx<'_>, scope: &Scope, instance: &str) -> Result<()> {
    names::remove(tx, &name(scope, instance))?;
    Ok(())
}
