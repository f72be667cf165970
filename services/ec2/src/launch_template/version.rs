//! Versions of launch templates.

use ec2_api::{
    CreateLaunchTemplateVersionInput, CreateLaunchTemplateVersionOutput,
    DeleteLaunchTemplateVersionsInput, DeleteLaunchTemplateVersionsOutput,
    DeleteLaunchTemplateVersionsResponseErrorItem, DeleteLaunchTemplateVersionsResponseSuccessItem,
    DescribeLaunchTemplateVersionsInput, DescribeLaunchTemplateVersionsOutput,
    GetLaunchTemplateDataInput, GetLaunchTemplateDataOutput, LaunchTemplateErrorCode,
    LaunchTemplateVersion, ResponseError,
};
use kernel::token::{self, Known};
use store::{ReadTx, WriteTx};

use super::wire::{data_of, settings_from};
use super::{LAUNCH_TEMPLATES, LaunchTemplate, VERSIONS, VERSIONS_MAX, Version, find};
use crate::Ctx;
use crate::error::{Error, Result, refuse};
use crate::instance;
use crate::listing::{self, Asked, Field};

fn described(template: &LaunchTemplate, version: &Version) -> LaunchTemplateVersion {
    LaunchTemplateVersion {
        launch_template_id: Some(template.id.to_string()),
        launch_template_name: Some(template.name.clone()),
        version_number: Some(version.number),
        version_description: version.description.clone(),
        create_time: Some(version.created),
        created_by: Some(version.created_by.clone()),
        default_version: Some(version.number == template.default_version),
        launch_template_data: Some(data_of(&version.settings)),
        operator: None,
    }
}

/// Adds a version to a template, from scratch or over another version of it.
///
/// AWS: CreateLaunchTemplateVersion.
pub(crate) async fn create_launch_template_version(
    ctx: Ctx,
    input: CreateLaunchTemplateVersionInput,
) -> Result<CreateLaunchTemplateVersionOutput> {
    refuse(&[("ResolveAlias", input.resolve_alias == Some(true))])?;
    let settings = settings_from(&ctx, input.launch_template_data.clone())?;
    let named = (&input.launch_template_id, &input.launch_template_name);
    let fingerprint = token::fingerprint(&(named, &input.source_version, &settings));
    let write = |tx: &mut WriteTx<'_>| {
        let mut template =
            find(tx, input.launch_template_id.as_ref(), input.launch_template_name.as_ref())?;
        if let Some(client_token) = &input.client_token {
            match token::look_up(tx, "CreateLaunchTemplateVersion", client_token, &fingerprint)? {
                Known::New => {}
                Known::Same(number) => {
                    let version = tx.get(&VERSIONS, (&template.id, template.number(&number)?))?;
                    let gone = || Error::LaunchTemplateVersionNotFound(number.clone());
                    return Ok(described(&template, &version.ok_or_else(gone)?));
                }
                Known::Different => return Err(Error::IdempotentParameterMismatch),
            }
        }
        if tx.scan(&VERSIONS, (&template.id,))?.len() >= VERSIONS_MAX {
            return Err(Error::LaunchTemplateVersionLimit);
        }
        let settings = match &input.source_version {
            None => settings.clone(),
            Some(source) => {
                let below = tx.get(&VERSIONS, (&template.id, template.number(source)?))?;
                let gone = || Error::LaunchTemplateVersionNotFound(source.clone());
                below.ok_or_else(gone)?.settings.overlaid(settings.clone())
            }
        };
        template.last_number += 1;
        template.latest_version = template.last_number;
        let version = Version {
            template: template.id.clone(),
            number: template.latest_version,
            description: input.version_description.clone(),
            created: ctx.now(),
            created_by: ctx.caller.arn.clone(),
            settings,
        };
        if let Some(client_token) = &input.client_token {
            let number = version.number.to_string();
            let operation = "CreateLaunchTemplateVersion";
            token::remember(tx, operation, client_token, &fingerprint, &number, ctx.now())?;
        }
        tx.put(&LAUNCH_TEMPLATES, &template)?;
        tx.put(&VERSIONS, &version)?;
        Ok(described(&template, &version))
    };
    let launch_template_version = Some(ctx.store.write(write).await?);
    Ok(CreateLaunchTemplateVersionOutput { launch_template_version, warning: None })
}

/// Removes versions of a template; the default one stays.
///
/// AWS: DeleteLaunchTemplateVersions.
pub(crate) async fn delete_launch_template_versions(
    ctx: Ctx,
    input: DeleteLaunchTemplateVersionsInput,
) -> Result<DeleteLaunchTemplateVersionsOutput> {
    let write = |tx: &mut WriteTx<'_>| {
        let mut output = DeleteLaunchTemplateVersionsOutput::default();
        let mut template =
            find(tx, input.launch_template_id.as_ref(), input.launch_template_name.as_ref())?;
        for text in &input.versions {
            let number = template.number(text)?;
            if number == template.default_version {
                return Err(Error::OperationNotPermitted(
                    "Cannot delete the default version of a launch template.".to_owned(),
                ));
            }
            if tx.delete(&VERSIONS, (&template.id, number))? {
                output.successfully_deleted_launch_template_versions.push(
                    DeleteLaunchTemplateVersionsResponseSuccessItem {
                        launch_template_id: Some(template.id.to_string()),
                        launch_template_name: Some(template.name.clone()),
                        version_number: Some(number),
                    },
                );
            } else {
                output
                    .unsuccessfully_deleted_launch_template_versions
                    .push(unknown(&template, number));
            }
        }
        let left = tx.scan(&VERSIONS, (&template.id,))?;
        let latest = left.iter().map(|version| version.number).max();
        template.latest_version = latest.unwrap_or(template.default_version);
        tx.put(&LAUNCH_TEMPLATES, &template)?;
        Ok(output)
    };
    ctx.store.write(write).await
}

fn unknown(
    template: &LaunchTemplate,
    number: i64,
) -> DeleteLaunchTemplateVersionsResponseErrorItem {
    DeleteLaunchTemplateVersionsResponseErrorItem {
        launch_template_id: Some(template.id.to_string()),
        launch_template_name: Some(template.name.clone()),
        version_number: Some(number),
        response_error: Some(ResponseError {
            code: Some(LaunchTemplateErrorCode::LaunchTemplateVersionDoesNotExist),
            message: Some(Error::LaunchTemplateVersionNotFound(number.to_string()).to_string()),
        }),
    }
}

const FIELDS: &[Field<LaunchTemplateVersion>] = &[
    ("create-time", |v| listing::shown(v.create_time)),
    ("is-default-version", |v| listing::shown(v.default_version)),
    ("image-id", |v| data(v, |d| d.image_id.clone())),
    ("instance-type", |v| data(v, |d| d.instance_type.clone())),
    ("ebs-optimized", |v| data(v, |d| Some(d.ebs_optimized?.to_string()))),
    ("kernel-id", |v| data(v, |d| d.kernel_id.clone())),
    ("ram-disk-id", |v| data(v, |d| d.ram_disk_id.clone())),
    ("iam-instance-profile", |v| {
        data(v, |d| d.iam_instance_profile.as_ref().and_then(|p| p.arn.clone().or(p.name.clone())))
    }),
];

fn data(
    version: &LaunchTemplateVersion,
    of: fn(&ec2_api::ResponseLaunchTemplateData) -> Option<String>,
) -> Vec<String> {
    version.launch_template_data.as_ref().and_then(of).into_iter().collect()
}

/// Tells versions of one template, or the latest or default versions of all.
///
/// AWS: DescribeLaunchTemplateVersions.
pub(crate) async fn describe_launch_template_versions(
    ctx: Ctx,
    input: DescribeLaunchTemplateVersionsInput,
) -> Result<DescribeLaunchTemplateVersionsOutput> {
    refuse(&[("ResolveAlias", input.resolve_alias == Some(true))])?;
    let (id, name) = (input.launch_template_id.as_ref(), input.launch_template_name.as_ref());
    let of_all = id.is_none() && name.is_none();
    let all_named = input.versions.iter().all(|v| matches!(v.as_str(), "$Latest" | "$Default"));
    if of_all && (input.versions.is_empty() || !all_named) {
        return Err(Error::MissingParameter("LaunchTemplateId or LaunchTemplateName".to_owned()));
    }
    let read = |tx: &ReadTx<'_>| {
        let templates = match of_all {
            true => tx.scan(&LAUNCH_TEMPLATES, ())?,
            false => vec![find(tx, id, name)?],
        };
        let mut found = Vec::new();
        for template in &templates {
            found.extend(versions_of(tx, template, &input)?);
        }
        Ok::<_, Error>(found)
    };
    let all = ctx.store.read(read).await?;
    let selected = listing::select(all, &input.filters, FIELDS, |_| &[])?;
    let asked =
        Asked { ids: &[], max_results: input.max_results, next_token: input.next_token.as_deref() };
    // The newest first, as AWS shows them.
    let key = |version: &LaunchTemplateVersion| {
        let number = version.version_number.unwrap_or_default();
        let id = version.launch_template_id.clone().unwrap_or_default();
        format!("{id} {:020}", i64::MAX.saturating_sub(number))
    };
    let (launch_template_versions, next_token) = listing::page(selected, asked, key)?;
    Ok(DescribeLaunchTemplateVersionsOutput { launch_template_versions, next_token })
}

fn versions_of(
    tx: &ReadTx<'_>,
    template: &LaunchTemplate,
    input: &DescribeLaunchTemplateVersionsInput,
) -> Result<Vec<LaunchTemplateVersion>> {
    let bound = |text: &Option<String>| text.as_ref().map(|t| template.number(t)).transpose();
    let (min, max) = (bound(&input.min_version)?, bound(&input.max_version)?);
    let wanted =
        input.versions.iter().map(|text| template.number(text)).collect::<Result<Vec<_>>>()?;
    let all = tx.scan(&VERSIONS, (&template.id,))?;
    if let Some(number) = wanted.iter().find(|n| !all.iter().any(|v| v.number == **n)) {
        return Err(Error::LaunchTemplateVersionNotFound(number.to_string()));
    }
    let asked = |version: &&Version| {
        (wanted.is_empty() || wanted.contains(&version.number))
            && min.is_none_or(|min| version.number >= min)
            && max.is_none_or(|max| version.number <= max)
    };
    Ok(all.iter().filter(asked).map(|version| described(template, version)).collect())
}

/// The data of a template that would launch an instance like this one.
///
/// AWS: GetLaunchTemplateData.
pub(crate) async fn get_launch_template_data(
    ctx: Ctx,
    input: GetLaunchTemplateDataInput,
) -> Result<GetLaunchTemplateDataOutput> {
    let read = |tx: &ReadTx<'_>| instance::settings_of(tx, &instance::get(tx, &input.instance_id)?);
    let settings = ctx.store.read(read).await?;
    Ok(GetLaunchTemplateDataOutput { launch_template_data: Some(data_of(&settings)) })
}
