//! Writing and deleting parameters.

use std::collections::BTreeSet;

use base::Tags;
use ec2_api::DescribeImagesInput;
use ssm_api::{
    DeleteParameterInput, DeleteParameterOutput, DeleteParametersInput, DeleteParametersOutput,
    ParameterTier, ParameterType, PutParameterInput, PutParameterOutput,
};

use store::WriteTx;

use crate::error::{Error, Result};
use crate::sealing::OWN_KEY;
use crate::store::{PARAMETERS, Parameter, Version};
use crate::{Ctx, policy, sealing};

/// The data type of parameters that name images.
const IMAGE: &str = "aws:ec2:image";
/// AWS: "Managing parameter tiers".
const STANDARD_MAX: usize = 10_000;
const ADVANCED_MAX: usize = 100_000;

/// How many versions of a parameter are kept.
///
/// AWS: "Working with parameter versions".
const VERSIONS_MAX: usize = 100;
/// AWS: "Managing parameter tiers".
const STANDARD_BYTES_MAX: usize = 4096;
const ADVANCED_BYTES_MAX: usize = 8192;
/// AWS: PutParameter, `Name`.
const LEVELS_MAX: usize = 15;

/// Adds a parameter or a version of one.
///
/// AWS: PutParameter.
///
/// # Errors
///
/// [`Error::ParameterAlreadyExists`] without `Overwrite`, and the errors of the value's checks.
pub(crate) async fn put_parameter(
    ctx: Ctx,
    input: PutParameterInput,
) -> Result<PutParameterOutput> {
    check_name(&input.name)?;
    let policies = policy::parse(input.policies.as_deref())?;
    let overwrite = input.overwrite.unwrap_or(false);
    let tags: Tags = input.tags.iter().map(|tag| (tag.key.clone(), tag.value.clone())).collect();
    if overwrite && !tags.is_empty() {
        return Err(Error::Validation(
            "Invalid request: tags and overwrite can't be used together. To create a parameter \
             with tags, please remove overwrite flag. To update tags for an existing parameter, \
             please use AddTagsToResource or RemoveTagsFromResource."
                .to_owned(),
        ));
    }
    kernel::tags::check(&tags, ctx.caller.invoked_by.as_deref())
        .map_err(|error| Error::Validation(error.to_string()))?;
    let known = ctx.drivers.shelf.get(&ctx.store, &input.name).await?;
    if known.is_some() && !overwrite {
        return Err(Error::ParameterAlreadyExists);
    }
    let last = known.as_ref().and_then(|known| known.versions.last());
    let kept = || last.map(|last| last.policies.clone()).unwrap_or_default();
    let policies = policies.unwrap_or_else(kept);
    let tier = tier_of(&input, last, !policies.is_empty())?;
    let data_type = data_type(&ctx, &input, last).await?;
    let mut wanted = wanted(&ctx, &input, last, tier, data_type, policies)?;
    if wanted.kind == ParameterType::SecureString.as_str() {
        let key = input.key_id.clone().unwrap_or_else(|| OWN_KEY.to_owned());
        let sealed = sealing::seal(&ctx, &input.name, &key, tier, &input.value).await?;
        wanted.value = sealed.value;
        wanted.data_key = sealed.data_key;
        wanted.key = Some(key);
    } else if input.key_id.is_some() {
        return Err(Error::Validation(
            "KeyId is required for SecureString type parameter only.".to_owned(),
        ));
    }
    let version = ctx.store.write(|tx| insert(tx, &input.name, overwrite, &tags, &wanted)).await;
    ctx.drivers.shelf.forget(ctx.store.scope(), &input.name);
    Ok(PutParameterOutput { version: Some(version?), tier: Some(tier) })
}

/// Adds `wanted` as the newest version of the parameter `name`.
fn insert(
    tx: &mut WriteTx<'_>,
    name: &str,
    overwrite: bool,
    tags: &Tags,
    wanted: &Version,
) -> Result<i64> {
    let known = tx.get(&PARAMETERS, name)?;
    if known.is_some() && !overwrite {
        return Err(Error::ParameterAlreadyExists);
    }
    let upgrade = known.as_ref().and_then(|known| known.versions.last());
    if upgrade.is_none_or(|last| last.tier != wanted.tier) {
        check_room(tx, &wanted.tier)?;
    }
    let mut parameter = known.unwrap_or_else(|| Parameter {
        name: name.to_owned(),
        tags: tags.clone(),
        versions: Vec::new(),
    });
    let last = parameter.versions.last();
    if last.is_some_and(|last| last.kind != wanted.kind) {
        let was = last.map(|last| last.kind.clone()).unwrap_or_default();
        return Err(Error::HierarchyTypeMismatch(was, wanted.kind.clone()));
    }
    let number = last.map_or(1, |last| last.number + 1);
    parameter.versions.push(Version { number, ..wanted.clone() });
    if parameter.versions.len() > VERSIONS_MAX {
        let labelled = parameter.versions.first().filter(|oldest| !oldest.labels.is_empty());
        if let Some(oldest) = labelled {
            let name = name.to_owned();
            return Err(Error::ParameterMaxVersionLimitExceeded(name, oldest.number));
        }
        parameter.versions.remove(0);
    }
    tx.put(&PARAMETERS, &parameter)?;
    Ok(number)
}

/// AWS: "Managing parameter tiers", the numbers of parameters.
fn check_room(tx: &WriteTx<'_>, tier: &str) -> Result<()> {
    let (max, tier) = if tier == ParameterTier::Standard.as_str() {
        (STANDARD_MAX, ParameterTier::Standard.as_str())
    } else {
        (ADVANCED_MAX, ParameterTier::Advanced.as_str())
    };
    // A table that is small as a whole needs no look at the tiers.
    if tx.scan_page(&PARAMETERS, None, max)?.next.is_none() {
        return Ok(());
    }
    let same = |parameter: &Parameter| parameter.versions.last().is_some_and(|v| v.tier == tier);
    if tx.scan(&PARAMETERS, ())?.iter().filter(|parameter| same(parameter)).count() < max {
        return Ok(());
    }
    Err(Error::ParameterLimitExceeded(max, tier))
}

/// Deletes a parameter.
///
/// AWS: DeleteParameter.
///
/// # Errors
///
/// [`Error::ParameterNotFound`].
pub(crate) async fn delete_parameter(
    ctx: Ctx,
    input: DeleteParameterInput,
) -> Result<DeleteParameterOutput> {
    let found = ctx.store.write(|tx| tx.delete(&PARAMETERS, &input.name)).await;
    ctx.drivers.shelf.forget(ctx.store.scope(), &input.name);
    if !found? {
        return Err(Error::ParameterNotFound);
    }
    Ok(DeleteParameterOutput {})
}

/// Deletes several parameters.
///
/// AWS: DeleteParameters.
pub(crate) async fn delete_parameters(
    ctx: Ctx,
    input: DeleteParametersInput,
) -> Result<DeleteParametersOutput> {
    let output = ctx
        .store
        .write(|tx| -> Result<DeleteParametersOutput> {
            let mut output = DeleteParametersOutput::default();
            for name in &input.names {
                if tx.delete(&PARAMETERS, name)? {
                    output.deleted_parameters.push(name.clone());
                } else {
                    output.invalid_parameters.push(name.clone());
                }
            }
            Ok(output)
        })
        .await;
    for name in &input.names {
        ctx.drivers.shelf.forget(ctx.store.scope(), name);
    }
    output
}

/// The version that a request asks for, without its number and with its value open.
fn wanted(
    ctx: &Ctx,
    input: &PutParameterInput,
    last: Option<&Version>,
    tier: ParameterTier,
    data_type: String,
    policies: Vec<policy::Policy>,
) -> Result<Version> {
    let kind = match (&input.type_, last) {
        (Some(kind), Some(last)) if last.kind != kind.as_str() => {
            return Err(Error::HierarchyTypeMismatch(last.kind.clone(), kind.as_str().to_owned()));
        }
        (Some(kind), _) => kind.as_str().to_owned(),
        (None, Some(last)) => last.kind.clone(),
        (None, None) => {
            return Err(Error::Validation(
                "A parameter type is required when you create a parameter.".to_owned(),
            ));
        }
    };
    if let Some(pattern) = &input.allowed_pattern {
        let regex = regex::Regex::new(pattern)
            .map_err(|_| Error::InvalidAllowedPattern(pattern.clone()))?;
        if !regex.is_match(&input.value) {
            return Err(Error::ParameterPatternMismatch(pattern.clone()));
        }
    }
    Ok(Version {
        number: 0,
        kind,
        value: input.value.clone(),
        data_key: None,
        key: None,
        description: input.description.clone(),
        allowed_pattern: input.allowed_pattern.clone(),
        tier: tier.as_str().to_owned(),
        data_type,
        modified: ctx.now(),
        modified_by: ctx.caller.arn.clone(),
        labels: BTreeSet::new(),
        policies,
    })
}

/// The data type of a parameter. One of `aws:ec2:image` must name an image that is there.
///
/// AWS: "Using native parameter support in Parameter Store for Amazon Machine Image IDs".
async fn data_type(ctx: &Ctx, input: &PutParameterInput, last: Option<&Version>) -> Result<String> {
    let kept = || last.map_or_else(|| "text".to_owned(), |last| last.data_type.clone());
    let data_type = input.data_type.clone().unwrap_or_else(kept);
    match data_type.as_str() {
        "text" => {}
        IMAGE => {
            let is_string = input.type_.is_none_or(|kind| kind == ParameterType::String);
            if !is_string || base::ResourceId::parse("ami", &input.value).is_none() {
                return Err(Error::Validation(format!(
                    "The parameter value is not a valid Amazon Machine Image ID of the data type \
                     {IMAGE}: {}",
                    input.value
                )));
            }
            let images = DescribeImagesInput {
                image_ids: vec![input.value.clone()],
                ..DescribeImagesInput::default()
            };
            let found = ctx.client.call(images).await;
            if !found.is_ok_and(|found| !found.images.is_empty()) {
                return Err(Error::Validation(format!(
                    "The image {} does not exist, or you may not describe it.",
                    input.value
                )));
            }
        }
        "aws:ssm:integration" => {
            return Err(Error::Unsupported(format!(
                "The data type {data_type} is not implemented yet."
            )));
        }
        other => {
            return Err(Error::Validation(format!(
                "The following data type is not supported: {other} (Data type names are all \
                 lowercase.)"
            )));
        }
    }
    Ok(data_type)
}

fn check_name(name: &str) -> Result<()> {
    let bare = name.strip_prefix('/').unwrap_or(name);
    let lower = bare.to_lowercase();
    if lower.starts_with("aws") || lower.starts_with("ssm") {
        return Err(Error::Validation(format!(
            "Parameter name: can't be prefixed with \"{}\" (case-insensitive). If formed as a \
             path, it can consist of sub-paths divided by slash symbol; each sub-path can be \
             formed as a mix of letters, numbers and the following 3 symbols .-_",
            lower.get(..3).unwrap_or_default()
        )));
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if bare.is_empty() || !bare.chars().all(allowed) || bare.ends_with('/') || bare.contains("//") {
        return Err(Error::Validation(
            "Parameter name must be a fully qualified name, formed of letters, numbers and the \
             symbols .-_/"
                .to_owned(),
        ));
    }
    if bare.contains('/') && !name.starts_with('/') {
        return Err(Error::Validation("Parameter name must be a fully qualified name".to_owned()));
    }
    if bare.split('/').count() > LEVELS_MAX {
        return Err(Error::HierarchyLevelLimitExceeded);
    }
    Ok(())
}

fn tier_of(
    input: &PutParameterInput,
    last: Option<&Version>,
    has_policies: bool,
) -> Result<ParameterTier> {
    let size = input.value.len();
    let was_advanced = last.is_some_and(|last| last.tier == ParameterTier::Advanced.as_str());
    let needs_advanced = was_advanced || has_policies || size > STANDARD_BYTES_MAX;
    let tier = match input.tier {
        Some(ParameterTier::IntelligentTiering) if !needs_advanced => ParameterTier::Standard,
        Some(ParameterTier::IntelligentTiering | ParameterTier::Advanced) => {
            ParameterTier::Advanced
        }
        Some(ParameterTier::Standard) if was_advanced => {
            return Err(Error::Validation(
                "This parameter uses the advanced-parameter tier. You can't downgrade a parameter \
                 from the advanced-parameter tier to the standard-parameter tier. If necessary, \
                 you can delete the advanced parameter and recreate it as a standard parameter."
                    .to_owned(),
            ));
        }
        None if was_advanced => ParameterTier::Advanced,
        Some(ParameterTier::Standard) | None => ParameterTier::Standard,
    };
    if has_policies && tier == ParameterTier::Standard {
        return Err(Error::Validation(
            "Parameter policies can be used with the advanced-parameter tier only.".to_owned(),
        ));
    }
    let (max, name) = match tier {
        ParameterTier::Standard => (STANDARD_BYTES_MAX, "Standard"),
        ParameterTier::Advanced | ParameterTier::IntelligentTiering => {
            (ADVANCED_BYTES_MAX, "Advanced")
        }
    };
    if size > max {
        return Err(Error::Validation(format!(
            "{name} tier parameters support a maximum parameter value of {max} characters. To \
             create a larger parameter value, upgrade the parameter to use the advanced-parameter \
             tier. For more information, see \
             https://docs.aws.amazon.com/systems-manager/latest/userguide/\
             parameter-store-advanced-parameters.html"
        )));
    }
    Ok(tier)
}
