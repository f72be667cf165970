//! The list of services: the only one.

use std::path::Path;
use std::sync::Arc;

use base::Region;
use kernel::ServiceDef;
use kernel::cipher::Cipher;

use crate::drivers::Drivers;
use crate::paths::Paths;
use crate::random::SystemRandom;

/// Who signs certificates, and who is asked whether a domain is its requester's.
pub(crate) struct Certificates {
    pub(crate) authority: acm::Authority,
    pub(crate) resolver: Arc<dyn acm::Resolver>,
}

/// Every service of the region, built with its drivers.
pub(crate) fn services(
    paths: &Paths,
    drivers: &Drivers,
    directory: &Arc<iam::Directory>,
    key: [u8; 32],
    certificates: Certificates,
) -> Vec<ServiceDef> {
    let d = drivers.clone();
    let cipher = Cipher::new(key, Arc::new(SystemRandom));
    let mut services: Vec<ServiceDef> = vec![
        acm::service(acm::Drivers {
            cipher: cipher.clone(),
            authority: Arc::new(certificates.authority),
            resolver: certificates.resolver,
        })
        .into(),
        autoscaling::service().into(),
        cloudformation::service().into(),
        cloudtrail::service(cloudtrail::Drivers { cipher: cipher.clone() }).into(),
        ec2::service(ec2::Drivers {
            net: d.net.clone(),
            net_options: d.net_options.clone(),
            machine: d.machine.clone(),
            host: Arc::new(ec2::LocalHost::new(
                d.folders.clone(),
                crate::tls::authority(&paths.keys()).unwrap_or_default(),
            )),
        })
        .into(),
        elasticache::service(elasticache::Drivers {
            net: d.net.clone(),
            machine: d.machine.clone(),
            engines: d.engines.clone(),
            data_dir: paths.data.join("caches"),
            cipher: cipher.clone(),
        })
        .into(),
        elbv2::service(elbv2::Drivers {
            net: d.net.clone(),
            machine: d.machine.clone(),
            cipher: cipher.clone(),
        })
        .into(),
        iam::service(directory.clone()).into(),
        kms::service(kms::Drivers { cipher: cipher.clone() }).into(),
        organizations::service().into(),
        rds::service(rds::Drivers {
            net: d.net.clone(),
            machine: d.machine.clone(),
            engines: d.engines.clone(),
            data_dir: paths.data.join("databases"),
            cipher: cipher.clone(),
        })
        .into(),
        s3::service(s3::Drivers {
            blobs: Arc::new(blob::LocalBlobs::new(&paths.objects(), key)),
            cipher: cipher.clone(),
        })
        .into(),
        secretsmanager::service(secretsmanager::Drivers { cipher }).into(),
        ssm::service().into(),
        sts::service().into(),
    ];
    if !d.may_run {
        services = services.into_iter().map(without_root).collect();
    }
    services
}

/// What an ordinary user's region has of a service.
fn without_root(service: ServiceDef) -> ServiceDef {
    const RUN_THINGS: [&str; 5] = ["autoscaling", "ec2", "elasticache", "elbv2", "rds"];
    if !RUN_THINGS.contains(&service.name) {
        return service;
    }
    service.refusing(
        "This region was started by an ordinary user: instances, networks, load balancers, \
         databases and caches need root. Run: sudo skyhold up",
    )
}

/// The services' tables, for those who only read them. Nothing on the host is touched.
pub(crate) async fn tables() -> anyhow::Result<Vec<ServiceDef>> {
    let paths = Paths::new(Path::new("/nonexistent"));
    let drivers = Drivers::open(&paths, &Region::new("ap-northeast-2"))?;
    let folder = std::env::temp_dir().join(format!("skyhold-ledger-{}", std::process::id()));
    let store = store::Store::open(&folder, store::Options::ephemeral()).await?;
    let random = Arc::new(SystemRandom);
    let clock = Arc::new(kernel::clock::RegionClock::default());
    let directory = Arc::new(iam::Directory::new(store, clock, random));
    let certificates =
        Certificates { authority: acm::Authority::make()?.0, resolver: Arc::new(acm::NoResolver) };
    Ok(services(&paths, &drivers, &directory, [0; 32], certificates))
}

#[cfg(test)]
mod tests {
    use base::AccountId;
    use kernel::clock::RegionClock;
    use kernel::{Builder, Settings, plain_caller};
    use policy::Principal;
    use protocol::{Fields, Value};
    use s3_api::{BucketLocationConstraint, CreateBucketConfiguration, CreateBucketInput};

    use super::*;

    /// Operations that no access rule weighs: who the caller is needs no permission, a session of
    /// its own neither; the rest is weighed by STS itself, which knows the role's trust policy.
    const STS: [&str; 5] = [
        "AssumeRole",
        "AssumeRoleWithSAML",
        "AssumeRoleWithWebIdentity",
        "GetCallerIdentity",
        "GetSessionToken",
    ];

    /// The codes of AWS's refusals.
    const DENIED: [&str; 3] = ["AccessDenied", "AccessDeniedException", "UnauthorizedOperation"];

    #[tokio::test]
    async fn every_operation_of_every_service_is_denied_without_permission() {
        let folder = tempfile::tempdir().unwrap();
        let store = store::Store::open(folder.path(), store::Options::ephemeral()).await.unwrap();
        let random = Arc::new(SystemRandom);
        let clock = Arc::new(RegionClock::default());
        let directory = Arc::new(iam::Directory::new(store.clone(), clock.clone(), random.clone()));
        let account: AccountId = "111122223333".parse().unwrap();
        let settings = Settings {
            region: Region::new("ap-northeast-2"),
            account: account.clone(),
            endpoint_url: "http://127.0.0.1:4566".to_owned(),
        };
        let mut builder = Builder::new(settings, store, clock, random, directory, [7; 32]);
        for def in tables().await.unwrap() {
            builder = builder.service(def);
        }
        let kernel = builder.without_tasks().start();
        // Of a bucket that does not exist S3 says that before it weighs anything.
        let root = Principal::Root { account: account.clone() };
        let root = kernel.client_for(plain_caller(root, &account, account.as_str()), "test");
        let place = CreateBucketConfiguration {
            location_constraint: Some(BucketLocationConstraint::ApNortheast2),
            ..Default::default()
        };
        let bucket = CreateBucketInput {
            bucket: "bucket".to_owned(),
            create_bucket_configuration: Some(place),
            ..Default::default()
        };
        root.call(bucket).await.unwrap();
        let arn = "arn:aws:iam::111122223333:user/nobody".parse().unwrap();
        let nobody = Principal::User { arn, id: "AIDANOBODYEXAMPLE0001".to_owned() };
        let nobody = plain_caller(nobody, &account, "AIDANOBODYEXAMPLE0001");
        let (mut asked, mut escaped) = (0, Vec::new());
        for def in kernel.services() {
            for operation in def.operations() {
                asked += 1;
                let rule = def.access_rules().iter().find(|rule| rule.operation == operation);
                if rule.is_some_and(|rule| rule.needs.is_empty()) {
                    // IAM weighs the whole ARN itself: its own tests ask every operation.
                    // S3 weighs each object of a batch, which only its body names.
                    let weighed = def.name == "iam"
                        || def.name == "sts" && STS.contains(&operation)
                        || def.name == "s3" && operation == "DeleteObjects";
                    if !weighed {
                        escaped.push(format!("{}:{operation} needs nothing", def.name));
                    }
                    continue;
                }
                let mut members = Fields::new();
                if def.name == "s3" {
                    members.push("Bucket", Value::Text("bucket".to_owned()));
                    members.push("Key", Value::Text("key".to_owned()));
                }
                let input = Value::Struct(members);
                let answer = kernel.might(def.name, operation, &input, nobody.clone()).await;
                match answer {
                    Err(error) if DENIED.contains(&error.code.as_str()) => {}
                    Err(error) => escaped.push(format!("{}:{operation}: {error}", def.name)),
                    Ok(()) => escaped.push(format!("{}:{operation} is allowed", def.name)),
                }
            }
        }
        assert!(asked > 600, "{asked} operations");
        assert!(escaped.is_empty(), "{} of {asked}:\n{}", escaped.len(), escaped.join("\n"));
    }
}
