//! Images (AMIs): the public ones, which follow from recipes and are built when first launched,
//! and those that customers make of their instances.

mod attribute;
mod create;
mod describe;
pub(crate) mod public;
pub(crate) mod store;

pub(crate) use attribute::{describe_image_attribute, modify_image_attribute};
pub(crate) use create::{create_image, deregister_image, register_image};
pub(crate) use describe::describe_images;

use ::store::ReadTx;
use base::{AccountId, ResourceId};

use self::public::PublicImage;
use self::store::{IMAGES, Image, ImageState, SNAPSHOTS, Source};
use crate::Ctx;
use crate::error::{Error, Result};

/// The size of a root volume that nobody gave another.
pub(crate) const ROOT_GIB: u32 = 8;

/// What a launch needs of an image.
#[derive(Debug, Clone)]
pub(crate) struct Launchable {
    pub(crate) id: String,
    pub(crate) source: Source,
    pub(crate) root_device: String,
    pub(crate) size_gib: u32,
    pub(crate) delete_on_termination: bool,
    /// The snapshot its root volume is made of, if it has one.
    pub(crate) snapshot: Option<String>,
    /// Whether its instances must use tokens for metadata unless told otherwise.
    pub(crate) imds_v2: bool,
}

/// The image `id` as `ctx`'s account may launch it.
pub(crate) async fn launchable(ctx: &Ctx, id: &str) -> Result<Launchable> {
    let parsed = parse(id)?;
    if let Some(public) = PublicImage::named(&ctx.region, id) {
        return Ok(public.launchable(&ctx.region));
    }
    let read = |tx: &ReadTx<'_>| {
        let all = tx.scan_all(&IMAGES)?;
        let mine = all.into_iter().find(|(scope, image)| {
            image.id == parsed
                && scope.region == ctx.region
                && may_launch(image, &scope.account, &ctx.account)
        });
        let (scope, image) = mine.ok_or_else(|| Error::ImageNotFound(id.to_owned()))?;
        if image.state != ImageState::Available {
            return Err(Error::ImageUnavailable(id.to_owned()));
        }
        let snapshot = tx.scope(&scope).get(&SNAPSHOTS, &image.snapshot)?;
        let layers = snapshot.and_then(|snapshot| snapshot.completed).map(|done| done.layers);
        let layers = layers.ok_or_else(|| Error::ImageUnavailable(id.to_owned()))?;
        Ok(Launchable {
            id: id.to_owned(),
            source: Source::Layers(layers),
            root_device: image.root_device,
            size_gib: image.size_gib,
            delete_on_termination: image.delete_on_termination,
            snapshot: Some(image.snapshot.to_string()),
            imds_v2: image.imds_v2,
        })
    };
    ctx.store.store().read(read).await
}

/// The id of an image as a client wrote it.
fn parse(id: &str) -> Result<ResourceId> {
    ResourceId::parse("ami", id).ok_or_else(|| Error::ImageIdMalformed(id.to_owned()))
}

fn may_launch(image: &Image, owner: &AccountId, account: &AccountId) -> bool {
    owner == account || image.public || image.launchers.iter().any(|a| a == account.as_str())
}

/// The account's own image `id`.
fn own(tx: &ReadTx<'_>, ctx: &Ctx, id: &str) -> Result<Image> {
    let parsed = parse(id)?;
    if PublicImage::named(&ctx.region, id).is_some() {
        return Err(Error::AuthFailure(format!("Not authorized for image:{id}")));
    }
    tx.get(&IMAGES, &parsed)?.ok_or_else(|| Error::ImageNotFound(id.to_owned()))
}
