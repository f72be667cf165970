//! The engines and classes on offer.

use engine::{Engine, EngineKind, Release};
use nodes::parameter_group::family;
use rds_api::{
    AvailabilityZone, CharacterSet, DBEngineVersion, DescribeDBEngineVersionsInput,
    DescribeDBEngineVersionsOutput, DescribeOrderableDBInstanceOptionsInput,
    DescribeOrderableDBInstanceOptionsOutput, OrderableDBInstanceOption,
};

use crate::cluster::Rds;
use crate::error::{Error, Result, refuse};
use crate::{Ctx, class, listing, request};

fn databases() -> impl Iterator<Item = &'static Release> {
    engine::Engines::releases()
        .iter()
        .filter(|release| matches!(release.kind, EngineKind::MariaDb | EngineKind::PostgreSql))
}

fn title(kind: EngineKind) -> &'static str {
    if kind == EngineKind::PostgreSql { "PostgreSQL" } else { "MariaDB" }
}

/// The full version of a release where it is unpacked, else its series.
fn version(rds: &Rds, release: &Release) -> Result<String> {
    let engine = Engine { kind: release.kind, version: release.series.to_owned() };
    let root = rds.drivers.engines.installed(&engine)?;
    Ok(root.map_or_else(|| release.series.to_owned(), |root| root.version))
}

fn asked(release: &Release, full: &str, wanted: Option<&str>) -> bool {
    wanted.is_none_or(|wanted| wanted == full || wanted == release.series)
}

/// Tells the versions that instances can run.
///
/// AWS: DescribeDBEngineVersions.
pub(crate) async fn describe_db_engine_versions(
    ctx: Ctx,
    input: DescribeDBEngineVersionsInput,
) -> Result<DescribeDBEngineVersionsOutput> {
    refuse(&[("Filters", !input.filters.is_empty())])?;
    let mut all = Vec::new();
    let mut seen = Vec::new();
    for release in databases() {
        let full = version(&ctx.drivers, release)?;
        let family = family(release.kind, release.series);
        let engine = input.engine.as_deref().is_none_or(|name| name == release.kind.name());
        let of_family = input.db_parameter_group_family.as_ref().is_none_or(|one| *one == family);
        let first = !seen.contains(&release.kind);
        seen.push(release.kind);
        if !engine || !of_family || !asked(release, &full, input.engine_version.as_deref()) {
            continue;
        }
        // What an instance gets that names no version is the first of its engine.
        if input.default_only == Some(true) && !first {
            continue;
        }
        let utf8 = input.list_supported_character_sets == Some(true);
        let set = || CharacterSet {
            character_set_name: Some("utf8mb4".to_owned()),
            character_set_description: Some("UTF-8 Unicode".to_owned()),
        };
        let lists_sets = utf8 && release.kind == EngineKind::MariaDb;
        all.push(DBEngineVersion {
            engine: Some(release.kind.name().to_owned()),
            major_engine_version: Some(release.series.to_owned()),
            engine_version: Some(full.clone()),
            db_parameter_group_family: Some(family),
            db_engine_description: Some(title(release.kind).to_owned()),
            db_engine_version_description: Some(format!("{} {full}", title(release.kind))),
            supported_character_sets: if lists_sets { vec![set()] } else { Vec::new() },
            supports_log_exports_to_cloudwatch_logs: Some(false),
            supports_read_replica: Some(true),
            status: Some("available".to_owned()),
            supports_parallel_query: Some(false),
            supports_global_databases: Some(false),
            supports_babelfish: Some(false),
            supports_limitless_database: Some(false),
            supports_certificate_rotation_without_restart: Some(false),
            supports_local_write_forwarding: Some(false),
            supports_integrations: Some(false),
            ..Default::default()
        });
    }
    let key = |one: &DBEngineVersion| {
        let text = |part: &Option<String>| part.clone().unwrap_or_default();
        format!("{} {}", text(&one.engine), text(&one.engine_version))
    };
    let (db_engine_versions, marker) =
        listing::page(all, input.marker.as_deref(), input.max_records, key)?;
    Ok(DescribeDBEngineVersionsOutput { marker, db_engine_versions })
}

fn option(
    ctx: &Ctx,
    release: &Release,
    full: &str,
    class: &str,
    storage: &str,
) -> OrderableDBInstanceOption {
    let zones = ctx.region.zones();
    let zone = |zone: &base::Zone| AvailabilityZone { name: Some(zone.to_string()) };
    OrderableDBInstanceOption {
        engine: Some(release.kind.name().to_owned()),
        engine_version: Some(full.to_owned()),
        db_instance_class: Some(class.to_owned()),
        license_model: Some(request::license_of(release.kind).to_owned()),
        availability_zones: zones.iter().map(zone).collect(),
        multi_az_capable: Some(true),
        read_replica_capable: Some(true),
        vpc: Some(true),
        supports_storage_encryption: Some(false),
        storage_type: Some(storage.to_owned()),
        supports_iops: Some(false),
        supports_storage_throughput: Some(false),
        supports_enhanced_monitoring: Some(false),
        supports_iam_database_authentication: Some(false),
        supports_performance_insights: Some(false),
        min_storage_size: Some(20),
        max_storage_size: Some(65_536),
        supported_engine_modes: vec!["provisioned".to_owned()],
        supports_storage_autoscaling: Some(false),
        supports_kerberos_authentication: Some(false),
        outpost_capable: Some(false),
        supports_global_databases: Some(false),
        supported_network_types: vec!["IPV4".to_owned()],
        supports_clusters: Some(false),
        supports_dedicated_log_volume: Some(false),
        ..Default::default()
    }
}

/// Tells what can be ordered of an engine: each class that this host can carry.
///
/// AWS: DescribeOrderableDBInstanceOptions.
pub(crate) async fn describe_orderable_db_instance_options(
    ctx: Ctx,
    input: DescribeOrderableDBInstanceOptionsInput,
) -> Result<DescribeOrderableDBInstanceOptionsOutput> {
    refuse(&[
        ("Filters", !input.filters.is_empty()),
        ("AvailabilityZoneGroup", input.availability_zone_group.is_some()),
    ])?;
    if !databases().any(|release| release.kind.name() == input.engine) {
        return Err(Error::value(format!("Invalid DB engine: {}", input.engine)));
    }
    let mut all = Vec::new();
    for release in databases().filter(|release| release.kind.name() == input.engine) {
        let full = version(&ctx.drivers, release)?;
        let license = request::license_of(release.kind);
        let other = input.license_model.as_deref().is_some_and(|model| model != license);
        if other
            || input.vpc == Some(false)
            || !asked(release, &full, input.engine_version.as_deref())
        {
            continue;
        }
        for (name, _) in class::all() {
            let wanted = input.db_instance_class.as_ref().is_none_or(|wanted| *wanted == name);
            if wanted && request::class_name(&name).is_ok() {
                all.extend(["gp2", "gp3"].map(|kind| option(&ctx, release, &full, &name, kind)));
            }
        }
    }
    let key = |one: &OrderableDBInstanceOption| {
        let text = |part: &Option<String>| part.clone().unwrap_or_default();
        let (class, storage) = (text(&one.db_instance_class), text(&one.storage_type));
        format!("{} {class} {storage}", text(&one.engine_version))
    };
    let (orderable_db_instance_options, marker) =
        listing::page(all, input.marker.as_deref(), input.max_records, key)?;
    Ok(DescribeOrderableDBInstanceOptionsOutput { orderable_db_instance_options, marker })
}
