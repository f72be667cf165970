//! `AWS::IAM::Policy` (inline) and `AWS::IAM::ManagedPolicy`.

use std::sync::Arc;

use async_trait::async_trait;
use base::Arn;
use iam_api::{
    CreatePolicyInput, CreatePolicyVersionInput, DeletePolicyInput, DeletePolicyVersionInput,
    GetPolicyInput, GetPolicyVersionInput, ListPolicyVersionsInput, Policy,
};
use kernel::ServiceError;
use kernel::resource::{
    Attributes, Progress, Properties, Property, ResourceCtx, ResourceHandler, ResourceType,
};

use super::claim::{Claims, unless_made, unless_missing};
use super::principal::Principal;
use super::properties::{Inline, document, required, text};
use crate::document::encoded;
use crate::policy_version::VERSIONS_MAX;

/// The longest name of a policy. AWS: CreatePolicy, `PolicyName`.
const NAME_MAX: usize = 128;

/// The type of inline policies.
pub(super) fn policy() -> ResourceType {
    ResourceType {
        name: "AWS::IAM::Policy",
        properties: const {
            &[
                Property::new("Groups"),
                Property::new("PolicyDocument").required(),
                Property::new("PolicyName").required(),
                Property::new("Roles"),
                Property::new("Users"),
            ]
        },
        attributes: &["Id"],
        handler: Arc::new(InlineHandler),
    }
}

/// The type of customer managed policies.
pub(super) fn managed_policy(claims: Claims) -> ResourceType {
    ResourceType {
        name: "AWS::IAM::ManagedPolicy",
        properties: const {
            &[
                Property::new("Description").replaces(),
                Property::new("Groups"),
                Property::new("ManagedPolicyName").replaces(),
                Property::new("Path").replaces(),
                Property::new("PolicyDocument").required(),
                Property::new("Roles"),
                Property::new("Users"),
            ]
        },
        attributes: &[
            "AttachmentCount",
            "CreateDate",
            "DefaultVersionId",
            "IsAttachable",
            "PermissionsBoundaryUsageCount",
            "PolicyArn",
            "PolicyId",
            "UpdateDate",
        ],
        handler: Arc::new(ManagedHandler { claims }),
    }
}

struct InlineHandler;

#[async_trait]
impl ResourceHandler for InlineHandler {
    async fn create(
        &self,
        ctx: &ResourceCtx,
        properties: &Properties,
    ) -> Result<String, ServiceError> {
        if Principal::listed(properties)?.is_empty() {
            let text = "At least one of [Groups,Roles,Users] must be non-empty.";
            return Err(ServiceError::new("ValidationError", text));
        }
        Ok(ctx.generated_name(NAME_MAX))
    }

    async fn settled(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        let policy = Inline {
            name: required(properties, "PolicyName")?,
            document: document(properties, "PolicyDocument")?,
        };
        for principal in Principal::listed(properties)? {
            principal.put(&ctx.client, policy.clone()).await?;
        }
        Ok(Progress::Done(Attributes::from([("Id".to_owned(), physical_id.into())])))
    }

    async fn update(
        &self,
        ctx: &ResourceCtx,
        _physical_id: &str,
        old: &Properties,
        new: &Properties,
    ) -> Result<(), ServiceError> {
        let name = required(old, "PolicyName")?;
        let renamed = name != required(new, "PolicyName")?;
        let kept = if renamed { Vec::new() } else { Principal::listed(new)? };
        for principal in Principal::listed(old)? {
            if !kept.contains(&principal) {
                principal.remove(&ctx.client, &name).await?;
            }
        }
        Ok(())
    }

    async fn delete(
        &self,
        ctx: &ResourceCtx,
        _physical_id: &str,
        properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        let name = required(properties, "PolicyName")?;
        for principal in Principal::listed(properties)? {
            principal.remove(&ctx.client, &name).await?;
        }
        Ok(Progress::Done(Attributes::new()))
    }
}

struct ManagedHandler {
    claims: Claims,
}

impl ManagedHandler {
    /// Puts the template's document in force, if it is not; the oldest version makes room.
    async fn revise(ctx: &ResourceCtx, arn: &str, wanted: String) -> Result<(), ServiceError> {
        let input = ListPolicyVersionsInput {
            policy_arn: arn.to_owned(),
            ..ListPolicyVersionsInput::default()
        };
        let versions = ctx.client.call(input).await?.versions;
        let default = versions.iter().find(|version| version.is_default_version == Some(true));
        if let Some(version_id) = default.and_then(|version| version.version_id.clone()) {
            let policy_arn = arn.to_owned();
            let input = GetPolicyVersionInput { policy_arn, version_id };
            let current = ctx.client.call(input).await?.policy_version;
            if current.and_then(|version| version.document) == Some(encoded(&wanted)) {
                return Ok(());
            }
        }
        if versions.len() >= VERSIONS_MAX {
            let oldest = versions.iter().rfind(|version| version.is_default_version != Some(true));
            if let Some(version_id) = oldest.and_then(|version| version.version_id.clone()) {
                let policy_arn = arn.to_owned();
                ctx.client.call(DeletePolicyVersionInput { policy_arn, version_id }).await?;
            }
        }
        let input = CreatePolicyVersionInput {
            policy_arn: arn.to_owned(),
            policy_document: wanted,
            set_as_default: Some(true),
        };
        ctx.client.call(input).await.map(|_| ())
    }
}

#[async_trait]
impl ResourceHandler for ManagedHandler {
    async fn create(
        &self,
        ctx: &ResourceCtx,
        properties: &Properties,
    ) -> Result<String, ServiceError> {
        let name =
            text(properties, "ManagedPolicyName")?.unwrap_or_else(|| ctx.generated_name(NAME_MAX));
        let path = text(properties, "Path")?;
        let place = path.as_deref().unwrap_or("/");
        let arn = Arn::new("iam", "", &ctx.account, format!("policy{place}{name}")).to_string();
        let found = ctx.client.call(GetPolicyInput { policy_arn: arn.clone() }).await;
        self.claims.claim(ctx, &arn, found).await?;
        let input = CreatePolicyInput {
            policy_name: name,
            path,
            policy_document: document(properties, "PolicyDocument")?,
            description: text(properties, "Description")?,
            tags: Vec::new(),
        };
        unless_made(ctx.client.call(input).await)?;
        Ok(arn)
    }

    async fn settled(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        for principal in Principal::listed(properties)? {
            principal.attach(&ctx.client, physical_id).await?;
        }
        self.claims.settle(ctx).await?;
        let input = GetPolicyInput { policy_arn: physical_id.to_owned() };
        let policy = ctx.client.call(input).await?.policy.unwrap_or_default();
        Ok(Progress::Done(attributes(policy)))
    }

    async fn update(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        old: &Properties,
        new: &Properties,
    ) -> Result<(), ServiceError> {
        Self::revise(ctx, physical_id, document(new, "PolicyDocument")?).await?;
        let kept = Principal::listed(new)?;
        for principal in Principal::listed(old)? {
            if !kept.contains(&principal) {
                principal.detach(&ctx.client, physical_id).await?;
            }
        }
        Ok(())
    }

    async fn delete(
        &self,
        ctx: &ResourceCtx,
        physical_id: &str,
        properties: &Properties,
    ) -> Result<Progress, ServiceError> {
        for principal in Principal::listed(properties)? {
            principal.detach(&ctx.client, physical_id).await?;
        }
        let policy_arn = physical_id.to_owned();
        let input = ListPolicyVersionsInput {
            policy_arn: policy_arn.clone(),
            ..ListPolicyVersionsInput::default()
        };
        let Some(listed) = unless_missing(ctx.client.call(input).await)? else {
            return Ok(Progress::Done(Attributes::new()));
        };
        for version in listed.versions {
            if let (Some(version_id), Some(false)) =
                (version.version_id, version.is_default_version)
            {
                let policy_arn = policy_arn.clone();
                let input = DeletePolicyVersionInput { policy_arn, version_id };
                unless_missing(ctx.client.call(input).await)?;
            }
        }
        unless_missing(ctx.client.call(DeletePolicyInput { policy_arn }).await)?;
        Ok(Progress::Done(Attributes::new()))
    }
}

fn attributes(policy: Policy) -> Attributes {
    let date = |at: Option<base::Timestamp>| at.map(|at| at.iso8601_seconds());
    Attributes::from([
        ("AttachmentCount".to_owned(), policy.attachment_count.into()),
        ("CreateDate".to_owned(), date(policy.create_date).into()),
        ("DefaultVersionId".to_owned(), policy.default_version_id.into()),
        ("IsAttachable".to_owned(), policy.is_attachable.into()),
        (
            "PermissionsBoundaryUsageCount".to_owned(),
            policy.permissions_boundary_usage_count.into(),
        ),
        ("PolicyArn".to_owned(), policy.arn.into()),
        ("PolicyId".to_owned(), policy.policy_id.into()),
        ("UpdateDate".to_owned(), date(policy.update_date).into()),
    ])
}
