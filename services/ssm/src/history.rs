//! Versions and their labels.

use kernel::paging;
use ssm_api::{
    GetParameterHistoryInput, GetParameterHistoryOutput, LabelParameterVersionInput,
    LabelParameterVersionOutput, ParameterHistory, UnlabelParameterVersionInput,
    UnlabelParameterVersionOutput,
};

use crate::Ctx;
use crate::error::{Error, Result};
use crate::sealing::value_of;
use crate::store::{PARAMETERS, Version};

/// AWS: GetParameterHistory, `MaxResults`.
const HISTORY_PAGE: i32 = 50;
/// AWS: "Working with parameter labels".
const LABELS_MAX: usize = 10;

/// Lists the versions of a parameter.
///
/// AWS: GetParameterHistory.
///
/// # Errors
///
/// [`Error::ParameterNotFound`], [`Error::InvalidNextToken`].
pub(crate) async fn get_parameter_history(
    ctx: Ctx,
    input: GetParameterHistoryInput,
) -> Result<GetParameterHistoryOutput> {
    let parameter = ctx.store.read(|tx| tx.get(&PARAMETERS, &input.name)).await?;
    let parameter = parameter.ok_or(Error::ParameterNotFound)?;
    let limit = usize::try_from(input.max_results.unwrap_or(HISTORY_PAGE)).unwrap_or(1);
    let key = |version: &Version| format!("{:020}", version.number);
    let page = paging::page(parameter.versions, input.next_token.as_deref(), limit, key)
        .map_err(|_| Error::InvalidNextToken)?;
    let open = input.with_decryption.unwrap_or(false);
    let mut parameters = Vec::new();
    for version in page.items {
        let value = value_of(&ctx, &input.name, &version, open).await?;
        parameters.push(ParameterHistory {
            name: Some(input.name.clone()),
            type_: version.kind.parse().ok(),
            key_id: version.key,
            last_modified_date: Some(version.modified),
            last_modified_user: Some(version.modified_by),
            description: version.description,
            value: Some(value),
            allowed_pattern: version.allowed_pattern,
            version: Some(version.number),
            labels: version.labels.into_iter().collect(),
            tier: version.tier.parse().ok(),
            policies: crate::policy::shown(&version.policies),
            data_type: Some(version.data_type),
        });
    }
    Ok(GetParameterHistoryOutput { parameters, next_token: page.next })
}

/// Puts labels on a version; a label that another version has moves.
///
/// AWS: LabelParameterVersion.
///
/// # Errors
///
/// [`Error::ParameterNotFound`], [`Error::ParameterVersionNotFound`],
/// [`Error::ParameterVersionLabelLimitExceeded`].
pub(crate) async fn label_parameter_version(
    ctx: Ctx,
    input: LabelParameterVersionInput,
) -> Result<LabelParameterVersionOutput> {
    let (good, bad): (Vec<String>, Vec<String>) =
        input.labels.iter().cloned().partition(|label| is_label(label));
    let number = ctx
        .store
        .write(|tx| -> Result<i64> {
            let parameter = tx.get(&PARAMETERS, &input.name)?;
            let mut parameter = parameter.ok_or(Error::ParameterNotFound)?;
            let newest = parameter.versions.last().map_or(0, |version| version.number);
            let number = input.parameter_version.unwrap_or(newest);
            let missing =
                || Error::ParameterVersionNotFound(number.to_string(), input.name.clone());
            if !parameter.versions.iter().any(|version| version.number == number) {
                return Err(missing());
            }
            for version in &mut parameter.versions {
                version.labels.retain(|label| !good.contains(label));
                if version.number == number {
                    version.labels.extend(good.iter().cloned());
                    if version.labels.len() > LABELS_MAX {
                        return Err(Error::ParameterVersionLabelLimitExceeded);
                    }
                }
            }
            tx.put(&PARAMETERS, &parameter)?;
            Ok(number)
        })
        .await;
    ctx.drivers.shelf.forget(ctx.store.scope(), &input.name);
    let parameter_version = Some(number?);
    Ok(LabelParameterVersionOutput { invalid_labels: bad, parameter_version })
}

/// Takes labels from a version.
///
/// AWS: UnlabelParameterVersion.
///
/// # Errors
///
/// [`Error::ParameterNotFound`], [`Error::ParameterVersionNotFound`].
pub(crate) async fn unlabel_parameter_version(
    ctx: Ctx,
    input: UnlabelParameterVersionInput,
) -> Result<UnlabelParameterVersionOutput> {
    let output = ctx
        .store
        .write(|tx| -> Result<UnlabelParameterVersionOutput> {
            let parameter = tx.get(&PARAMETERS, &input.name)?;
            let mut parameter = parameter.ok_or(Error::ParameterNotFound)?;
            let number = input.parameter_version;
            let version = parameter.versions.iter_mut().find(|v| v.number == number);
            let version = version.ok_or_else(|| {
                Error::ParameterVersionNotFound(number.to_string(), input.name.clone())
            })?;
            let (removed_labels, invalid_labels) =
                input.labels.iter().cloned().partition(|label| version.labels.remove(label));
            tx.put(&PARAMETERS, &parameter)?;
            Ok(UnlabelParameterVersionOutput { removed_labels, invalid_labels })
        })
        .await;
    ctx.drivers.shelf.forget(ctx.store.scope(), &input.name);
    output
}

fn is_label(label: &str) -> bool {
    let lower = label.to_lowercase();
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let starts_well = label.chars().next().is_some_and(|c| !c.is_ascii_digit());
    (1..=100).contains(&label.len())
        && label.chars().all(allowed)
        && starts_well
        && !lower.starts_with("aws")
        && !lower.starts_with("ssm")
}
