//! Launch templates: named, versioned settings of a launch.

mod version;
mod wire;

pub(crate) use version::{
    create_launch_template_version, delete_launch_template_versions,
    describe_launch_template_versions, get_launch_template_data,
};

use ::store::{Index, ReadTx, Record, Table, WriteTx};
use base::{ResourceId, Timestamp};
use ec2_api::{
    CreateLaunchTemplateInput, CreateLaunchTemplateOutput, DeleteLaunchTemplateInput,
    DeleteLaunchTemplateOutput, DescribeLaunchTemplatesInput, DescribeLaunchTemplatesOutput,
    LaunchTemplateSpecification, ModifyLaunchTemplateInput, ModifyLaunchTemplateOutput,
};
use kernel::token::{self, Known};
use serde::{Deserialize, Serialize};

use crate::Ctx;
use crate::error::{Error, Result, refuse};
use crate::instance::settings::Settings;
use crate::listing::{self, Asked, Field};
use crate::tags;

/// A launch template.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct LaunchTemplate {
    /// `lt-…`.
    pub(crate) id: ResourceId,
    pub(crate) name: String,
    pub(crate) created: Timestamp,
    pub(crate) created_by: String,
    pub(crate) default_version: i64,
    pub(crate) latest_version: i64,
    /// The last number that was given; deleted versions' numbers are not given again.
    pub(crate) last_number: i64,
}

/// A version of a launch template.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Version {
    pub(crate) template: ResourceId,
    pub(crate) number: i64,
    pub(crate) description: Option<String>,
    pub(crate) created: Timestamp,
    pub(crate) created_by: String,
    pub(crate) settings: Settings,
}

impl Record for LaunchTemplate {
    type Key = ResourceId;

    fn key(&self) -> ResourceId {
        self.id.clone()
    }
}

impl Record for Version {
    type Key = (ResourceId, i64);

    fn key(&self) -> Self::Key {
        (self.template.clone(), self.number)
    }
}

pub(crate) const LAUNCH_TEMPLATES: Table<LaunchTemplate> =
    Table::new("ec2.launch_templates").with_indexes(&[&LAUNCH_TEMPLATES_BY_NAME]);
pub(crate) const LAUNCH_TEMPLATES_BY_NAME: Index<LaunchTemplate, String> =
    Index::new(|| LAUNCH_TEMPLATES, "name", |template| vec![template.name.clone()]);
pub(crate) const VERSIONS: Table<Version> = Table::new("ec2.launch_template_versions");

const KIND: &str = "launch-template";

/// The most versions that a template may have.
///
/// AWS: "Store instance launch parameters in Amazon EC2 launch templates", restrictions.
const VERSIONS_MAX: usize = 10_000;

/// The template that is named by id or by name.
fn find(tx: &ReadTx<'_>, id: Option<&String>, name: Option<&String>) -> Result<LaunchTemplate> {
    match (id, name) {
        (Some(_), Some(_)) => Err(Error::InvalidParameterCombination(
            "You must specify either the launch template ID or the launch template name, but not \
             both."
                .to_owned(),
        )),
        (Some(id), None) => {
            let parsed = ResourceId::parse("lt", id);
            let parsed = parsed.ok_or_else(|| Error::LaunchTemplateIdMalformed(id.clone()))?;
            let found = tx.get(&LAUNCH_TEMPLATES, &parsed)?;
            found.ok_or_else(|| Error::LaunchTemplateIdNotFound(id.clone()))
        }
        (None, Some(name)) => {
            let found = tx.find_one(&LAUNCH_TEMPLATES_BY_NAME, name)?;
            found.ok_or_else(|| Error::LaunchTemplateNameNotFound(name.clone()))
        }
        (None, None) => {
            Err(Error::MissingParameter("LaunchTemplateId or LaunchTemplateName".to_owned()))
        }
    }
}

impl LaunchTemplate {
    /// The number that `version` means: a number, `$Latest` or `$Default`.
    fn number(&self, version: &str) -> Result<i64> {
        match version {
            "$Latest" => Ok(self.latest_version),
            "$Default" => Ok(self.default_version),
            number => number.parse().map_err(|_| {
                Error::value(format!(
                    "Invalid launch template version: either '$Default', '$Latest', or a numeric \
                     version are allowed. The value '{number}' is invalid."
                ))
            }),
        }
    }
}

/// The version of a template that a launch names, and the template's id.
pub(crate) fn resolve(
    tx: &ReadTx<'_>,
    named: &LaunchTemplateSpecification,
) -> Result<(LaunchTemplate, Version)> {
    let template =
        find(tx, named.launch_template_id.as_ref(), named.launch_template_name.as_ref())?;
    let number = template.number(named.version.as_deref().unwrap_or("$Default"))?;
    let version = tx.get(&VERSIONS, (&template.id, number))?;
    let version =
        version.ok_or_else(|| Error::LaunchTemplateVersionNotFound(number.to_string()))?;
    Ok((template, version))
}

fn described(tx: &ReadTx<'_>, template: &LaunchTemplate) -> Result<ec2_api::LaunchTemplate> {
    Ok(ec2_api::LaunchTemplate {
        launch_template_id: Some(template.id.to_string()),
        launch_template_name: Some(template.name.clone()),
        create_time: Some(template.created),
        created_by: Some(template.created_by.clone()),
        default_version_number: Some(template.default_version),
        latest_version_number: Some(template.latest_version),
        tags: tags::wire_of(tx, &template.id)?,
        operator: None,
    })
}

fn require_name(name: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "-()./_".contains(c);
    if (3..=128).contains(&name.len()) && name.chars().all(allowed) {
        return Ok(());
    }
    Err(Error::LaunchTemplateNameMalformed)
}

/// Makes a launch template with its first version.
///
/// AWS: CreateLaunchTemplate.
pub(crate) async fn create_launch_template(
    ctx: Ctx,
    input: CreateLaunchTemplateInput,
) -> Result<CreateLaunchTemplateOutput> {
    refuse(&[("Operator", input.operator.is_some())])?;
    require_name(&input.launch_template_name)?;
    let wanted = tags::specified(&ctx, &input.tag_specifications, &[KIND], KIND)?;
    let settings = wire::settings_from(&ctx, input.launch_template_data.clone())?;
    let fingerprint = token::fingerprint(&(&input.launch_template_name, &settings, &wanted));
    let template = LaunchTemplate {
        id: ctx.id("lt"),
        name: input.launch_template_name.clone(),
        created: ctx.now(),
        created_by: ctx.caller.arn.clone(),
        default_version: 1,
        latest_version: 1,
        last_number: 1,
    };
    let first = Version {
        template: template.id.clone(),
        number: 1,
        description: input.version_description.clone(),
        created: ctx.now(),
        created_by: ctx.caller.arn.clone(),
        settings,
    };
    let write = |tx: &mut WriteTx<'_>| {
        if let Some(client_token) = &input.client_token {
            match token::look_up(tx, "CreateLaunchTemplate", client_token, &fingerprint)? {
                Known::New => {}
                Known::Same(id) => return described(tx, &find(tx, Some(&id), None)?),
                Known::Different => return Err(Error::IdempotentParameterMismatch),
            }
            let (id, now) = (template.id.as_str(), ctx.now());
            token::remember(tx, "CreateLaunchTemplate", client_token, &fingerprint, id, now)?;
        }
        if tx.find_one(&LAUNCH_TEMPLATES_BY_NAME, &template.name)?.is_some() {
            return Err(Error::LaunchTemplateNameExists);
        }
        tx.put(&LAUNCH_TEMPLATES, &template)?;
        tags::begin(tx, &template.id, KIND, &wanted)?;
        tx.put(&VERSIONS, &first)?;
        described(tx, &template)
    };
    let launch_template = Some(ctx.store.write(write).await?);
    Ok(CreateLaunchTemplateOutput { launch_template, warning: None })
}

/// Removes a launch template with all its versions.
///
/// AWS: DeleteLaunchTemplate.
pub(crate) async fn delete_launch_template(
    ctx: Ctx,
    input: DeleteLaunchTemplateInput,
) -> Result<DeleteLaunchTemplateOutput> {
    let write = |tx: &mut WriteTx<'_>| {
        let (id, name) = (input.launch_template_id.as_ref(), input.launch_template_name.as_ref());
        let template = find(tx, id, name)?;
        let answer = described(tx, &template)?;
        for version in tx.scan(&VERSIONS, (&template.id,))? {
            tx.delete(&VERSIONS, (&version.template, version.number))?;
        }
        tx.delete(&LAUNCH_TEMPLATES, &template.id)?;
        tags::end(tx, &template.id)?;
        Ok::<_, Error>(answer)
    };
    let launch_template = Some(ctx.store.write(write).await?);
    Ok(DeleteLaunchTemplateOutput { launch_template })
}

/// Sets which version of a template is the default.
///
/// AWS: ModifyLaunchTemplate.
pub(crate) async fn modify_launch_template(
    ctx: Ctx,
    input: ModifyLaunchTemplateInput,
) -> Result<ModifyLaunchTemplateOutput> {
    // Setting the same default again changes nothing, so the client token needs no memory.
    let write = |tx: &mut WriteTx<'_>| {
        let (id, name) = (input.launch_template_id.as_ref(), input.launch_template_name.as_ref());
        let mut template = find(tx, id, name)?;
        if let Some(version) = &input.default_version {
            let number = template.number(version)?;
            if !tx.contains(&VERSIONS, (&template.id, number))? {
                return Err(Error::LaunchTemplateVersionNotFound(version.clone()));
            }
            template.default_version = number;
            tx.put(&LAUNCH_TEMPLATES, &template)?;
        }
        described(tx, &template)
    };
    let launch_template = Some(ctx.store.write(write).await?);
    Ok(ModifyLaunchTemplateOutput { launch_template })
}

const FIELDS: &[Field<ec2_api::LaunchTemplate>] = &[
    ("launch-template-name", |t| listing::text(t.launch_template_name.as_ref())),
    ("launch-template-id", |t| listing::text(t.launch_template_id.as_ref())),
    ("create-time", |t| listing::shown(t.create_time)),
];

/// Tells the account's launch templates.
///
/// AWS: DescribeLaunchTemplates.
pub(crate) async fn describe_launch_templates(
    ctx: Ctx,
    input: DescribeLaunchTemplatesInput,
) -> Result<DescribeLaunchTemplatesOutput> {
    let (ids, names) = (&input.launch_template_ids, &input.launch_template_names);
    if !ids.is_empty() && !names.is_empty() {
        return Err(Error::InvalidParameterCombination(
            "You can specify either template IDs or names, not both.".to_owned(),
        ));
    }
    if let Some(id) = ids.iter().find(|id| ResourceId::parse("lt", id).is_none()) {
        return Err(Error::LaunchTemplateIdMalformed(id.clone()));
    }
    let read = |tx: &ReadTx<'_>| {
        let all = tx.scan(&LAUNCH_TEMPLATES, ())?;
        let all = listing::named(all, ids, |t| t.id.as_str(), Error::LaunchTemplateIdNotFound)?;
        let all =
            listing::named(all, names, |t| t.name.as_str(), Error::LaunchTemplateNameNotFound)?;
        all.iter().map(|template| described(tx, template)).collect::<Result<Vec<_>>>()
    };
    let all = ctx.store.read(read).await?;
    let selected = listing::select(all, &input.filters, FIELDS, |template| &template.tags)?;
    let asked =
        Asked { ids: &[], max_results: input.max_results, next_token: input.next_token.as_deref() };
    let key = |t: &ec2_api::LaunchTemplate| t.launch_template_id.clone().unwrap_or_default();
    let (launch_templates, next_token) = listing::page(selected, asked, key)?;
    Ok(DescribeLaunchTemplatesOutput { launch_templates, next_token })
}
