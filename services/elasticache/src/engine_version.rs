//! The engines on offer.

use elasticache_api::{
    CacheEngineVersion, DescribeCacheEngineVersionsInput, DescribeCacheEngineVersionsOutput,
};
use engine::{Engine, EngineKind, Engines};
use nodes::parameter_group::family;

use crate::error::Result;
use crate::{Ctx, listing};

fn title(kind: EngineKind) -> &'static str {
    if kind == EngineKind::Valkey { "Valkey" } else { "Redis OSS" }
}

/// Tells the versions that caches can run.
///
/// AWS: DescribeCacheEngineVersions.
pub(crate) async fn describe_cache_engine_versions(
    ctx: Ctx,
    input: DescribeCacheEngineVersionsInput,
) -> Result<DescribeCacheEngineVersionsOutput> {
    let mut all = Vec::new();
    // Each engine has one version, which is also its default.
    for release in Engines::releases() {
        if !matches!(release.kind, EngineKind::Valkey | EngineKind::Redis) {
            continue;
        }
        let engine = Engine { kind: release.kind, version: release.series.to_owned() };
        let root = ctx.drivers.drivers.engines.installed(&engine)?;
        let full = root.map_or_else(|| release.series.to_owned(), |root| root.version);
        let family = family(release.kind, release.series);
        let of_engine = input.engine.as_deref().is_none_or(|name| name == release.kind.name());
        let of_family = input.cache_parameter_group_family.as_ref().is_none_or(|it| *it == family);
        let wanted = input.engine_version.as_deref();
        let of_version = wanted.is_none_or(|wanted| wanted == full || wanted == release.series);
        if !of_engine || !of_family || !of_version {
            continue;
        }
        all.push(CacheEngineVersion {
            engine: Some(release.kind.name().to_owned()),
            engine_version: Some(full.clone()),
            cache_parameter_group_family: Some(family),
            cache_engine_description: Some(title(release.kind).to_owned()),
            cache_engine_version_description: Some(format!("{} {full}", title(release.kind))),
        });
    }
    let key = |one: &CacheEngineVersion| {
        let text = |part: &Option<String>| part.clone().unwrap_or_default();
        format!("{} {}", text(&one.engine), text(&one.engine_version))
    };
    let (cache_engine_versions, marker) =
        listing::page(all, input.marker.as_deref(), input.max_records, key)?;
    Ok(DescribeCacheEngineVersionsOutput { marker, cache_engine_versions })
}
