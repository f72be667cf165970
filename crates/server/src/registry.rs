//! The list of services: the only one.

use std::path::Path;
use std::sync::Arc;

use base::Region;
use kernel::ServiceDef;

use crate::drivers::Drivers;
use crate::paths::Paths;
use crate::random::SystemRandom;

/// Every service of the region, built with its drivers.
pub(crate) fn services(
    paths: &Paths,
    drivers: &Drivers,
    directory: &Arc<iam::Directory>,
    key: [u8; 32],
) -> Vec<ServiceDef> {
    let _ = (paths, drivers, directory, key);
    vec![sts::service().into()]
}

/// The services' tables, for those who only read them. Nothing on the host is touched.
pub(crate) async fn tables() -> anyhow::Result<Vec<ServiceDef>> {
    let folder = Path::new("/nonexistent");
    let paths = Paths::new(folder);
    let drivers = Drivers::open(&paths, &Region::new("ap-northeast-2"))?;
    let store = store::Store::open(&std::env::temp_dir().join(format!("skyhold-ledger-{}", std::process::id())), store::Options::ephemeral()).await?;
    let random = Arc::new(SystemRandom);
    let clock = Arc::new(kernel::clock::RegionClock::default());
    let directory = Arc::new(iam::Directory::new(store, clock, random));
    Ok(services(&paths, &drivers, &directory, [0; 32]))
}
