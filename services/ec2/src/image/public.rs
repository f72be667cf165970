//! The public images. They are the same in every account and are kept nowhere: id and name follow
//! from the recipe.

use aws_lc_rs::digest;
use base::Region;
use machine::ImageRecipe;

use super::store::Source;
use super::{Launchable, ROOT_GIB};

/// Debian's account, as on AWS.
///
/// Debian wiki: "Amazon EC2 Image/Bookworm".
const DEBIAN: &str = "136693071363";
/// The account that Skyhold's own images belong to.
const SKYHOLD: &str = "100000000001";

/// A public image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PublicImage {
    pub(crate) recipe: ImageRecipe,
}

impl PublicImage {
    /// All of them.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        ImageRecipe::ALL.into_iter().map(|recipe| Self { recipe })
    }

    /// The one whose id is `id`.
    pub(crate) fn named(region: &Region, id: &str) -> Option<Self> {
        Self::all().find(|image| image.id(region) == id)
    }

    /// Its id in `region`, the same for ever.
    pub(crate) fn id(self, region: &Region) -> String {
        let text = format!("{region} {}", self.name());
        let hash = digest::digest(&digest::SHA256, text.as_bytes());
        let digits: String =
            hash.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        format!("ami-0{digits}")
    }

    /// Its owner's account.
    pub(crate) fn owner(self) -> &'static str {
        match self.recipe {
            ImageRecipe::Debian12 => DEBIAN,
            ImageRecipe::Debian12Lamp => SKYHOLD,
        }
    }

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self.recipe {
            ImageRecipe::Debian12 => "debian-12-amd64-20261101-2287",
            ImageRecipe::Debian12Lamp => "skyhold-lamp-debian-12-amd64-20261101-1",
        }
    }

    /// When it was published.
    pub(crate) fn created(self) -> &'static str {
        "2026-11-01T00:00:00.000Z"
    }

    /// What it is.
    pub(crate) fn description(self) -> &'static str {
        match self.recipe {
            ImageRecipe::Debian12 => "Debian 12 (20261101-2287)",
            ImageRecipe::Debian12Lamp => {
                "Debian 12 with Apache, PHP, the MariaDB client and the AWS CLI"
            }
        }
    }

    /// The parameter of Systems Manager that names it.
    pub(crate) fn parameter(self) -> &'static str {
        match self.recipe {
            ImageRecipe::Debian12 => "/aws/service/debian/release/12/latest/amd64",
            ImageRecipe::Debian12Lamp => "/aws/service/skyhold/lamp/latest/amd64",
        }
    }

    /// The device that its root volume is attached as.
    pub(crate) const ROOT_DEVICE: &str = "/dev/xvda";

    /// What a launch needs of it.
    pub(crate) fn launchable(self, region: &Region) -> Launchable {
        Launchable {
            id: self.id(region),
            source: Source::Recipe(self.recipe.name().to_owned()),
            root_device: Self::ROOT_DEVICE.to_owned(),
            size_gib: ROOT_GIB,
            delete_on_termination: true,
            snapshot: None,
            imds_v2: true,
        }
    }
}

/// The recipe called `name`.
pub(crate) fn recipe(name: &str) -> Option<ImageRecipe> {
    ImageRecipe::ALL.into_iter().find(|recipe| recipe.name() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_images_have_ids_of_their_own_in_each_region() {
        let (seoul, ohio) = (Region::new("ap-northeast-2"), Region::new("us-east-2"));
        let ids: std::collections::BTreeSet<_> =
            PublicImage::all().flat_map(|image| [image.id(&seoul), image.id(&ohio)]).collect();
        assert_eq!(ids.len(), 4);
        for image in PublicImage::all() {
            assert_eq!(PublicImage::named(&seoul, &image.id(&seoul)), Some(image));
            assert!(base::ResourceId::parse("ami", &image.id(&ohio)).is_some());
        }
    }
}
