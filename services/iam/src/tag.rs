//! Tags of users, roles, instance profiles and customer managed policies.
//!
//! AWS: "Tags for AWS Identity and Access Management resources". Keys that differ only in case are
//! one key.

use base::Tags;
use iam_api::{
    ListInstanceProfileTagsInput, ListInstanceProfileTagsOutput, ListPolicyTagsInput,
    ListPolicyTagsOutput, ListRoleTagsInput, ListRoleTagsOutput, ListUserTagsInput,
    ListUserTagsOutput, Tag, TagInstanceProfileInput, TagInstanceProfileOutput, TagPolicyInput,
    TagPolicyOutput, TagRoleInput, TagRoleOutput, TagUserInput, TagUserOutput,
    UntagInstanceProfileInput, UntagInstanceProfileOutput, UntagPolicyInput, UntagPolicyOutput,
    UntagRoleInput, UntagRoleOutput, UntagUserInput, UntagUserOutput,
};
use kernel::paging::Page;
use kernel::tags::{TAGS_MAX, TagError, is_reserved};

use crate::Ctx;
use crate::access::{self, Keys};
use crate::entity::{self, Tagged};
use crate::error::{Error, Result};
use crate::listing;
use crate::policy::{self, AnyPolicy};
use crate::store::{InstanceProfile, ManagedPolicy, Role, User};

/// The tags of a request.
///
/// # Errors
///
/// [`Error::InvalidInput`] for keys that are equal but for their case and for reserved ones,
/// [`Error::LimitExceeded`] for too many.
pub(crate) fn from_request(ctx: &Ctx, tags: &[Tag]) -> Result<Tags> {
    let mut wanted = Tags::new();
    for tag in tags {
        if wanted.keys().any(|key: &String| same(key, &tag.key)) {
            return Err(Error::InvalidInput(
                "Duplicate tag keys found. Please note that Tag keys are case insensitive."
                    .to_owned(),
            ));
        }
        wanted.insert(tag.key.clone(), tag.value.clone());
    }
    check(ctx, &wanted)?;
    Ok(wanted)
}

/// Tags as answers carry them.
pub(crate) fn view(tags: &Tags) -> Vec<Tag> {
    tags.iter().map(|(key, value)| Tag { key: key.clone(), value: value.clone() }).collect()
}

fn same(one: &str, other: &str) -> bool {
    one.to_lowercase() == other.to_lowercase()
}

fn check(ctx: &Ctx, tags: &Tags) -> Result<()> {
    kernel::tags::check(tags, ctx.caller.invoked_by.as_deref()).map_err(|error| match error {
        TagError::TooMany => Error::LimitExceeded(format!(
            "The number of tags has reached the maximum limit of {TAGS_MAX}."
        )),
        TagError::Key | TagError::Value | TagError::Reserved => {
            Error::InvalidInput(error.to_string())
        }
    })
}

/// Sets tags beside those that are there.
///
/// # Errors
///
/// [`Error::LimitExceeded`].
pub(crate) fn merge(tags: &mut Tags, wanted: &Tags) -> Result<()> {
    for (key, value) in wanted {
        tags.retain(|known, _| !same(known, key));
        tags.insert(key.clone(), value.clone());
    }
    if tags.keys().filter(|key| !is_reserved(key)).count() > TAGS_MAX {
        return Err(Error::LimitExceeded(format!(
            "The number of tags has reached the maximum limit of {TAGS_MAX}."
        )));
    }
    Ok(())
}

/// Takes tags away.
pub(crate) fn cut(tags: &mut Tags, keys: &[String]) {
    tags.retain(|known, _| !keys.iter().any(|key| same(known, key)));
}

/// A page of tags.
///
/// # Errors
///
/// [`Error::Validation`] for a marker that this region did not give out.
pub(crate) fn page(tags: &Tags, marker: Option<&str>, max_items: Option<i32>) -> Result<Page<Tag>> {
    listing::page(view(tags), marker, max_items, |tag| tag.key.clone())
}

async fn tag<E: Tagged>(ctx: &Ctx, name: &str, tags: &[Tag]) -> Result<()> {
    let wanted = from_request(ctx, tags)?;
    ctx.store
        .write(|tx| {
            let mut found: E = entity::get(tx, name)?;
            merge(found.tags_mut(), &wanted)?;
            Ok(tx.put(&E::TABLE, &found)?)
        })
        .await
}

async fn untag<E: Tagged>(ctx: &Ctx, name: &str, keys: &[String]) -> Result<()> {
    ctx.store
        .write(|tx| {
            let mut found: E = entity::get(tx, name)?;
            cut(found.tags_mut(), keys);
            Ok(tx.put(&E::TABLE, &found)?)
        })
        .await
}

fn listed<E: Tagged>(found: &E, marker: Option<&str>, max_items: Option<i32>) -> Result<Page<Tag>> {
    let tags = found.tags().map(view).unwrap_or_default();
    listing::page(tags, marker, max_items, |tag| tag.key.clone())
}

/// Sets tags of a user.
///
/// AWS: TagUser.
pub(crate) async fn tag_user(ctx: Ctx, input: TagUserInput) -> Result<TagUserOutput> {
    let keys = Keys::new().sets(&input.tags);
    access::existing_with::<User>(&ctx, "TagUser", &input.user_name, keys).await?;
    tag::<User>(&ctx, &input.user_name, &input.tags).await?;
    Ok(TagUserOutput {})
}

/// Sets tags of a role.
///
/// AWS: TagRole.
pub(crate) async fn tag_role(ctx: Ctx, input: TagRoleInput) -> Result<TagRoleOutput> {
    let keys = Keys::new().sets(&input.tags);
    access::modifiable::<Role>(&ctx, "TagRole", &input.role_name, keys).await?;
    tag::<Role>(&ctx, &input.role_name, &input.tags).await?;
    Ok(TagRoleOutput {})
}

/// Sets tags of an instance profile.
///
/// AWS: TagInstanceProfile.
pub(crate) async fn tag_instance_profile(
    ctx: Ctx,
    input: TagInstanceProfileInput,
) -> Result<TagInstanceProfileOutput> {
    let name = &input.instance_profile_name;
    let keys = Keys::new().sets(&input.tags);
    access::existing_with::<InstanceProfile>(&ctx, "TagInstanceProfile", name, keys).await?;
    tag::<InstanceProfile>(&ctx, name, &input.tags).await?;
    Ok(TagInstanceProfileOutput {})
}

/// Sets tags of a customer managed policy.
///
/// AWS: TagPolicy.
pub(crate) async fn tag_policy(ctx: Ctx, input: TagPolicyInput) -> Result<TagPolicyOutput> {
    let keys = Keys::new().sets(&input.tags);
    let policy = policy::own(&ctx, "TagPolicy", &input.policy_arn, keys).await?;
    tag::<ManagedPolicy>(&ctx, &policy.name, &input.tags).await?;
    Ok(TagPolicyOutput {})
}

/// Removes tags of a user.
///
/// AWS: UntagUser.
pub(crate) async fn untag_user(ctx: Ctx, input: UntagUserInput) -> Result<UntagUserOutput> {
    let keys = Keys::new().names(input.tag_keys.clone());
    access::existing_with::<User>(&ctx, "UntagUser", &input.user_name, keys).await?;
    untag::<User>(&ctx, &input.user_name, &input.tag_keys).await?;
    Ok(UntagUserOutput {})
}

/// Removes tags of a role.
///
/// AWS: UntagRole.
pub(crate) async fn untag_role(ctx: Ctx, input: UntagRoleInput) -> Result<UntagRoleOutput> {
    let keys = Keys::new().names(input.tag_keys.clone());
    access::modifiable::<Role>(&ctx, "UntagRole", &input.role_name, keys).await?;
    untag::<Role>(&ctx, &input.role_name, &input.tag_keys).await?;
    Ok(UntagRoleOutput {})
}

/// Removes tags of an instance profile.
///
/// AWS: UntagInstanceProfile.
pub(crate) async fn untag_instance_profile(
    ctx: Ctx,
    input: UntagInstanceProfileInput,
) -> Result<UntagInstanceProfileOutput> {
    let name = &input.instance_profile_name;
    let keys = Keys::new().names(input.tag_keys.clone());
    access::existing_with::<InstanceProfile>(&ctx, "UntagInstanceProfile", name, keys).await?;
    untag::<InstanceProfile>(&ctx, name, &input.tag_keys).await?;
    Ok(UntagInstanceProfileOutput {})
}

/// Removes tags of a customer managed policy.
///
/// AWS: UntagPolicy.
pub(crate) async fn untag_policy(ctx: Ctx, input: UntagPolicyInput) -> Result<UntagPolicyOutput> {
    let keys = Keys::new().names(input.tag_keys.clone());
    let policy = policy::own(&ctx, "UntagPolicy", &input.policy_arn, keys).await?;
    untag::<ManagedPolicy>(&ctx, &policy.name, &input.tag_keys).await?;
    Ok(UntagPolicyOutput {})
}

/// The tags of a user.
///
/// AWS: ListUserTags.
pub(crate) async fn list_user_tags(
    ctx: Ctx,
    input: ListUserTagsInput,
) -> Result<ListUserTagsOutput> {
    let user: User = access::existing(&ctx, "ListUserTags", &input.user_name).await?;
    let page = listed(&user, input.marker.as_deref(), input.max_items)?;
    Ok(ListUserTagsOutput {
        tags: page.items,
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
    })
}

/// The tags of a role.
///
/// AWS: ListRoleTags.
pub(crate) async fn list_role_tags(
    ctx: Ctx,
    input: ListRoleTagsInput,
) -> Result<ListRoleTagsOutput> {
    let role: Role = access::existing(&ctx, "ListRoleTags", &input.role_name).await?;
    let page = listed(&role, input.marker.as_deref(), input.max_items)?;
    Ok(ListRoleTagsOutput {
        tags: page.items,
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
    })
}

/// The tags of an instance profile.
///
/// AWS: ListInstanceProfileTags.
pub(crate) async fn list_instance_profile_tags(
    ctx: Ctx,
    input: ListInstanceProfileTagsInput,
) -> Result<ListInstanceProfileTagsOutput> {
    let name = &input.instance_profile_name;
    let profile: InstanceProfile = access::existing(&ctx, "ListInstanceProfileTags", name).await?;
    let page = listed(&profile, input.marker.as_deref(), input.max_items)?;
    Ok(ListInstanceProfileTagsOutput {
        tags: page.items,
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
    })
}

/// The tags of a managed policy; AWS's own have none.
///
/// AWS: ListPolicyTags.
pub(crate) async fn list_policy_tags(
    ctx: Ctx,
    input: ListPolicyTagsInput,
) -> Result<ListPolicyTagsOutput> {
    let page = match policy::any(&ctx, "ListPolicyTags", &input.policy_arn).await? {
        AnyPolicy::Aws(_) => Page { items: Vec::new(), next: None },
        AnyPolicy::Own(policy) => listed(&policy, input.marker.as_deref(), input.max_items)?,
    };
    Ok(ListPolicyTagsOutput {
        tags: page.items,
        is_truncated: Some(page.next.is_some()),
        marker: page.next,
    })
}
