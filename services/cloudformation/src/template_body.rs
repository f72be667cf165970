//! Templates by themselves: of stacks and change sets, and before they become one.

use cloudformation_api::{
    Capability, GetTemplateInput, GetTemplateOutput, GetTemplateSummaryInput,
    GetTemplateSummaryOutput, ParameterConstraints, ParameterDeclaration, TemplateParameter,
    TemplateStage, ValidateTemplateInput, ValidateTemplateOutput, Warnings,
};
use kernel::Ctx;

use crate::error::{Error, Result};
use crate::template::{Template, parse, required_capabilities};
use crate::{change_set, request, stack};

/// Shows the template of a stack or a change set.
///
/// AWS: GetTemplate.
///
/// # Errors
///
/// [`Error::Validation`] or [`Error::ChangeSetNotFound`] when there is none.
pub(crate) async fn get_template(ctx: Ctx, input: GetTemplateInput) -> Result<GetTemplateOutput> {
    let body = match (&input.change_set_name, &input.stack_name) {
        (Some(name), of) => change_set::load(&ctx, name, of.as_deref()).await?.deployment.template,
        (None, Some(name)) => stack::load(&ctx, name).await?.deployment.template,
        (None, None) => {
            return Err(Error::validation("Either StackName or ChangeSetName must be specified."));
        }
    };
    // Without macros both stages are the same.
    let stages = vec![TemplateStage::Original, TemplateStage::Processed];
    Ok(GetTemplateOutput { template_body: Some(body), stages_available: stages })
}

async fn text(ctx: &Ctx, body: Option<&String>, url: Option<&String>) -> Result<String> {
    match (body, url) {
        (Some(body), None) => request::body_text(body),
        (None, Some(url)) => request::fetch(ctx, url).await,
        _ => Err(Error::validation("Either Template URL or Template Body must be specified.")),
    }
}

fn capabilities(template: &Template) -> (Vec<Capability>, Option<String>) {
    let Some((needed, types)) = required_capabilities(template) else {
        return (Vec::new(), None);
    };
    let reason = format!("The following resource(s) require capabilities: [{}]", types.join(", "));
    (needed.as_str().parse().into_iter().collect(), Some(reason))
}

/// Checks a template.
///
/// AWS: ValidateTemplate.
///
/// # Errors
///
/// [`Error::Template`] says what is wrong with it.
pub(crate) async fn validate_template(
    ctx: Ctx,
    input: ValidateTemplateInput,
) -> Result<ValidateTemplateOutput> {
    let text = text(&ctx, input.template_body.as_ref(), input.template_url.as_ref()).await?;
    let template = request::read(&text, ctx.kernel())?;
    let (capabilities, capabilities_reason) = capabilities(&template);
    let parameters = template.parameters.iter().map(|(name, declared)| TemplateParameter {
        parameter_key: Some(name.clone()),
        default_value: declared.default.clone(),
        no_echo: Some(declared.no_echo),
        description: declared.description.clone(),
    });
    Ok(ValidateTemplateOutput {
        parameters: parameters.collect(),
        description: template.description.clone(),
        capabilities,
        capabilities_reason,
        declared_transforms: Vec::new(),
    })
}

/// Says what a template needs and makes.
///
/// AWS: GetTemplateSummary.
///
/// # Errors
///
/// [`Error::Template`] says what is wrong with it.
pub(crate) async fn get_template_summary(
    ctx: Ctx,
    input: GetTemplateSummaryInput,
) -> Result<GetTemplateSummaryOutput> {
    if input.stack_set_name.is_some() || input.call_as.is_some() {
        return Err(Error::unsupported("StackSetName"));
    }
    let text = match &input.stack_name {
        Some(name) => stack::load(&ctx, name).await?.deployment.template,
        None => text(&ctx, input.template_body.as_ref(), input.template_url.as_ref()).await?,
    };
    let lenient = input
        .template_summary_config
        .and_then(|config| config.treat_unrecognized_resource_types_as_warnings)
        .unwrap_or(false);
    let tree = parse(&text)?;
    let template =
        if lenient { Template::read(&tree)? } else { request::read(&text, ctx.kernel())? };
    let unknown: Vec<String> = template
        .types()
        .into_iter()
        .filter(|kind| ctx.kernel().resource_type(kind).is_none())
        .map(str::to_owned)
        .collect();
    let (capabilities, capabilities_reason) = capabilities(&template);
    let parameters = template.parameters.iter().map(|(name, declared)| ParameterDeclaration {
        parameter_key: Some(name.clone()),
        default_value: declared.default.clone(),
        parameter_type: Some(declared.type_name.clone()),
        no_echo: Some(declared.no_echo),
        description: declared.description.clone(),
        parameter_constraints: Some(ParameterConstraints {
            allowed_values: declared.constraints.allowed_values.clone(),
        }),
    });
    Ok(GetTemplateSummaryOutput {
        parameters: parameters.collect(),
        description: template.description.clone(),
        capabilities,
        capabilities_reason,
        resource_types: template.types().into_iter().map(str::to_owned).collect(),
        version: tree.get("AWSTemplateFormatVersion").and_then(|v| v.as_str()).map(str::to_owned),
        metadata: template.metadata.as_ref().map(ToString::to_string),
        declared_transforms: Vec::new(),
        resource_identifier_summaries: Vec::new(),
        warnings: lenient.then_some(Warnings { unrecognized_resource_types: unknown }),
    })
}
