//! Writing and deleting parameters.

use std::collections::BTreeSet;

use base::Tags;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ssm_api::{
    DeleteParameterInput, DeleteParameterOutput, DeleteParametersInput, DeleteParametersOutput,
    ParameterTier, ParameterType, PutParameterInput, PutParameterOutput,
};

use crate::Ctx;
use crate::error::{Error, Result};
use crate::store::{PARAMETERS, Parameter, Version};

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
    refuse_unsupported(&input)?;
    let tier = tier_of(&input)?;
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
    let version = ctx
        .store
        .write(|tx| -> Result<i64> {
            let known = tx.get(&PARAMETERS, &input.name)?;
            if known.is_some() && !overwrite {
                return Err(Error::ParameterAlreadyExists);
            }
            let mut parameter = known.unwrap_or_else(|| Parameter {
                name: input.name.clone(),
                tags: tags.clone(),
                versions: Vec::new(),
            });
            let version = next_version(&ctx, &input, &parameter, &tier)?;
            let number = version.number;
            parameter.versions.push(version);
            if parameter.versions.len() > VERSIONS_MAX {
                if parameter.versions.first().is_some_and(|oldest| !oldest.labels.is_empty()) {
                    return Err(Error::ParameterMaxVersionLimitExceeded(input.name.clone()));
                }
                parameter.versions.remove(0);
            }
            tx.put(&PARAMETERS, &parameter)?;
            Ok(number)
        })
        .await?;
    Ok(PutParameterOutput { version: Some(version), tier: Some(tier) })
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
    let found = ctx.store.write(|tx| tx.delete(&PARAMETERS, &input.name)).await?;
    if !found {
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
    ctx.store
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
        .await
}

/// The value of a version, opened when asked to.
pub(crate) fn value_of(ctx: &Ctx, name: &str, version: &Version, open: bool) -> Result<String> {
    if version.kind != ParameterType::SecureString.as_str() || !open {
        return Ok(version.value.clone());
    }
    let sealed = STANDARD.decode(&version.value).map_err(kernel::ServiceError::internal)?;
    let plain = ctx
        .drivers
        .cipher
        .open(&place(ctx, name), &sealed)
        .map_err(kernel::ServiceError::internal)?;
    String::from_utf8(plain).map_err(|error| kernel::ServiceError::internal(error).into())
}

fn place(ctx: &Ctx, name: &str) -> String {
    format!("ssm/{}/{}/{name}", ctx.account, ctx.region)
}

fn next_version(
    ctx: &Ctx,
    input: &PutParameterInput,
    known: &Parameter,
    tier: &ParameterTier,
) -> Result<Version> {
    let last = known.versions.last();
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
    let value = if kind == ParameterType::SecureString.as_str() {
        STANDARD.encode(ctx.drivers.cipher.seal(&place(ctx, &input.name), input.value.as_bytes()))
    } else {
        input.value.clone()
    };
    Ok(Version {
        number: last.map_or(1, |last| last.number + 1),
        kind,
        value,
        description: input.description.clone(),
        allowed_pattern: input.allowed_pattern.clone(),
        tier: tier.as_str().to_owned(),
        data_type: input.data_type.clone().unwrap_or_else(|| "text".to_owned()),
        modified: ctx.now(),
        modified_by: ctx.caller.arn.clone(),
        labels: BTreeSet::new(),
    })
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

fn refuse_unsupported(input: &PutParameterInput) -> Result<()> {
    if let Some(key) = &input.key_id
        && key != "alias/aws/ssm"
    {
        return Err(Error::InvalidKeyId(key.clone()));
    }
    if input.policies.as_ref().is_some_and(|policies| policies != "[]" && !policies.is_empty()) {
        return Err(Error::Unsupported("Parameter policies are not implemented yet.".to_owned()));
    }
    match input.data_type.as_deref() {
        None | Some("text") => Ok(()),
        Some(other) => {
            Err(Error::Unsupported(format!("The data type {other} is not implemented yet.")))
        }
    }
}

fn tier_of(input: &PutParameterInput) -> Result<ParameterTier> {
    let size = input.value.len();
    let tier = match input.tier.unwrap_or(ParameterTier::Standard) {
        ParameterTier::IntelligentTiering if size <= STANDARD_BYTES_MAX => ParameterTier::Standard,
        ParameterTier::IntelligentTiering | ParameterTier::Advanced => ParameterTier::Advanced,
        ParameterTier::Standard => ParameterTier::Standard,
    };
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
