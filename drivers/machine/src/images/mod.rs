//! Images: read-only root trees built out of distribution packages and shared by all workloads.
//!
//! An image is a list of layers, the uppermost first. A built layer's folder is named for its
//! recipe's hash and appears only when it is complete; an image's id is a hash over the recipes and
//! the versions of all packages in it. A machine's own image is a layer with what it wrote, on top
//! of the layers it was started from. The folder may be shared by all regions of a host.

mod debian;
mod recipe;

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use md5::{Digest as _, Md5};
use serde::{Deserialize, Serialize};

use crate::Volumes;
use crate::error::{Doing as _, Error, Result};

pub use debian::mmdebstrap_extract;
pub(crate) use debian::{lock, remove_tree, require, run};
pub use recipe::ImageRecipe;

use debian::{Variant, beside, bootstrap, in_own_mounts};
use recipe::{Part, hex};

/// The file that describes a complete image.
const DESCRIPTION: &str = "image.json";
const TREE: &str = "root";

/// Images on this host.
#[derive(Debug, Clone)]
pub struct Images {
    folder: PathBuf,
}

/// An image that is there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Image {
    /// The hash of its content.
    pub id: String,
    /// Its layers, the uppermost first, for [`crate::Root::layers`].
    pub layers: Vec<PathBuf>,
    /// The size of what was built or written for it.
    pub size_bytes: u64,
    /// How long that took.
    pub build_time: Duration,
}

/// What is written of an image beside its tree.
#[derive(Debug, Serialize, Deserialize)]
struct Description {
    id: String,
    below: Vec<PathBuf>,
    size_bytes: u64,
    build_ms: u64,
}

impl Images {
    /// The images in `folder`. Nothing is read or made yet.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The usual folder: `$XDG_CACHE_HOME/skyhold/images`, or in `~/.cache`.
    pub fn default_folder() -> PathBuf {
        let variable =
            |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let cache = variable("XDG_CACHE_HOME")
            .or_else(|| variable("HOME").map(|home| home.join(".cache")))
            .unwrap_or_else(|| PathBuf::from("/var/cache"));
        cache.join("skyhold/images")
    }

    /// The image of a recipe, if it was built.
    ///
    /// # Errors
    ///
    /// When its description cannot be read.
    pub fn find(&self, recipe: ImageRecipe) -> Result<Option<Image>> {
        let mut image = Image::default();
        for place in self.places(recipe) {
            let Some(part) = load(&place)? else { return Ok(None) };
            image.add(part);
        }
        image.id = join_ids(&image.id);
        Ok(Some(image))
    }

    /// The image of a recipe, built now when it is missing: a minute or so, and it needs
    /// `mmdebstrap` and a package mirror. Several callers, processes too, build once.
    ///
    /// # Errors
    ///
    /// [`Error::HostLacks`] without `mmdebstrap`, [`Error::Command`] with the end of its output.
    pub async fn ensure(&self, recipe: ImageRecipe) -> Result<Image> {
        let images = self.clone();
        let building = tokio::task::spawn_blocking(move || images.ensure_blocking(recipe));
        building.await.map_err(|error| Error::Refused(error.to_string()))?
    }

    /// [`Self::ensure`] for threads that may block.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn ensure_blocking(&self, recipe: ImageRecipe) -> Result<Image> {
        let mut image = Image::default();
        for (part, place) in recipe.parts().iter().zip(self.places(recipe)) {
            let base = image.layers.first().cloned();
            image.add(self.ensure_part(*part, &place, base.as_deref())?);
        }
        image.id = join_ids(&image.id);
        Ok(image)
    }

    /// The folders of a recipe's parts.
    fn places(&self, recipe: ImageRecipe) -> Vec<PathBuf> {
        let mut below = String::new();
        let place = |part: &Part| {
            below = part.hash(&below);
            self.folder.join(format!("{}-{below}", part.name()))
        };
        recipe.parts().iter().map(place).collect()
    }

    fn ensure_part(&self, part: Part, place: &Path, base: Option<&Path>) -> Result<Image> {
        if let Some(image) = load(place)? {
            return Ok(image);
        }
        self.make_folder()?;
        let _lock = lock(&beside(place, "lock"))?;
        if let Some(image) = load(place)? {
            return Ok(image);
        }
        let begun = Instant::now();
        tracing::info!(part = part.name(), "building a part of an image");
        let partial = beside(place, "partial");
        remove_tree(&partial)?;
        fs::create_dir(&partial).doing(|| format!("make {}", partial.display()))?;
        let content = match (part, base) {
            (Part::Debian12, _) | (Part::Lamp, None) => self.build_base(part, &partial)?,
            (Part::Lamp, Some(base)) => self.build_layer(part, base, &partial)?,
            (Part::Files, _) => {
                write_files(part, &partial.join(TREE))?;
                String::new()
            }
        };
        let mut digest = Md5::new();
        digest.update(place.as_os_str().as_encoded_bytes());
        digest.update(&content);
        finish(&partial, place, hex(&digest.finalize()), Vec::new(), begun.elapsed())
    }

    /// Makes an image of what a machine wrote to its root volume, on top of the layers that it ran
    /// from. The volume must not be in use.
    ///
    /// # Errors
    ///
    /// [`Error::Refused`] while the volume is in use, and the system's errors.
    pub fn snapshot(&self, volumes: &Volumes, volume: &str, below: &[PathBuf]) -> Result<Image> {
        self.make_folder()?;
        let begun = Instant::now();
        let partial = self.folder.join(format!(".snapshot-{volume}.partial"));
        let _lock = lock(&self.folder.join(format!(".snapshot-{volume}.lock")))?;
        remove_tree(&partial)?;
        let tree = partial.join(TREE);
        fs::create_dir_all(&tree).doing(|| format!("make {}", tree.display()))?;
        volumes.copy_upper(volume, &tree)?;
        let mut digest = Md5::new();
        for layer in below {
            digest.update(layer.as_os_str().as_encoded_bytes());
        }
        hash_tree(&tree, &mut digest).doing(|| "read the snapshot".to_owned())?;
        let id = hex(&digest.finalize());
        let place = self.folder.join(format!("snapshot-{id}"));
        if let Some(image) = load(&place)? {
            remove_tree(&partial)?;
            return Ok(image);
        }
        finish(&partial, &place, id, below.to_vec(), begun.elapsed())
    }

    /// Deletes a machine's image; one that is not there is no error. No machine may run from it.
    ///
    /// # Errors
    ///
    /// When files cannot be deleted.
    pub fn remove_snapshot(&self, id: &str) -> Result<()> {
        let is_hash = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !is_hash {
            return Err(Error::Refused(format!("not an image's id: {id:?}")));
        }
        remove_tree(&self.folder.join(format!("snapshot-{id}")))
    }

    /// A complete Debian tree, installed.
    fn build_base(&self, part: Part, partial: &Path) -> Result<String> {
        let tree = partial.join(TREE);
        let cache = self.folder.join(".packages");
        bootstrap(Variant::Minbase, part.packages(), recipe::SUITE, &tree, &cache)?;
        let mut command = in_own_mounts(recipe::FINISH_BASE);
        command.arg(&tree);
        run(command, "finishing the image")?;
        let status = tree.join("var/lib/dpkg/status");
        fs::read_to_string(&status).doing(|| format!("read {}", status.display()))
    }

    /// Packages on top of a tree.
    fn build_layer(&self, part: Part, base: &Path, partial: &Path) -> Result<String> {
        let work = partial.join("work");
        let cache = self.folder.join(".packages");
        fs::create_dir_all(&cache).doing(|| format!("make {}", cache.display()))?;
        let _lock = lock(&cache.join("lock"))?;
        let mut command = in_own_mounts(recipe::LAYER);
        command.arg(base).arg(&work).arg(&cache).arg(part.backports().join(","));
        command.args(part.packages());
        let packages = run(command, "installing packages")?;
        fs::rename(work.join("upper"), partial.join(TREE)).doing(|| "move the layer".to_owned())?;
        remove_tree(&work)?;
        Ok(packages)
    }

    /// Others could run the set-user-id programs in a tree if they could reach it.
    fn make_folder(&self) -> Result<()> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)
            .doing(|| format!("make {}", self.folder.display()))
    }
}

/// One id of several parts'.
fn join_ids(ids: &str) -> String {
    hex(&Md5::digest(ids))
}

impl Image {
    /// Puts a part on top.
    fn add(&mut self, part: Self) {
        self.id.push_str(&part.id);
        self.layers.splice(0..0, part.layers);
        self.size_bytes = self.size_bytes.saturating_add(part.size_bytes);
        self.build_time = self.build_time.saturating_add(part.build_time);
    }
}

fn write_files(part: Part, tree: &Path) -> Result<()> {
    for (path, mode, content) in part.files() {
        let path = tree.join(path);
        let write = || -> io::Result<()> {
            for folder in path.ancestors().skip(1).filter(|folder| folder.starts_with(tree)) {
                fs::create_dir_all(folder)?;
                // A layer's folders show with their own permissions, whatever the umask here.
                fs::set_permissions(folder, fs::Permissions::from_mode(0o755))?;
            }
            fs::write(&path, content)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(*mode))
        };
        write().doing(|| format!("write {}", path.display()))?;
    }
    Ok(())
}

/// Describes a built tree and puts it in its place, durably: the tree was written without care.
fn finish(
    partial: &Path,
    place: &Path,
    id: String,
    below: Vec<PathBuf>,
    took: Duration,
) -> Result<Image> {
    let size_bytes = tree_size(&partial.join(TREE)).doing(|| "measure the image".to_owned())?;
    let build_ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    let description = Description { id, below, size_bytes, build_ms };
    let text = serde_json::to_vec_pretty(&description)
        .map_err(|error| Error::Refused(error.to_string()))?;
    fs::write(partial.join(DESCRIPTION), text).doing(|| "describe the image".to_owned())?;
    let folder = fs::File::open(partial).doing(|| "open the image".to_owned())?;
    rustix::fs::syncfs(&folder).doing(|| "write the image to disk".to_owned())?;
    fs::rename(partial, place).doing(|| format!("place {}", place.display()))?;
    load(place)?.ok_or_else(|| Error::Refused("the image is not where it was put".to_owned()))
}

fn load(place: &Path) -> Result<Option<Image>> {
    let file = place.join(DESCRIPTION);
    let text = match fs::read(&file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other.doing(|| format!("read {}", file.display()))?,
    };
    let description: Description =
        serde_json::from_slice(&text).map_err(|error| Error::Refused(error.to_string()))?;
    let mut layers = vec![place.join(TREE)];
    layers.extend(description.below);
    Ok(Some(Image {
        id: description.id,
        layers,
        size_bytes: description.size_bytes,
        build_time: Duration::from_millis(description.build_ms),
    }))
}

fn tree_size(folder: &Path) -> io::Result<u64> {
    let mut sum = 0_u64;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        let own =
            if metadata.is_dir() { tree_size(&entry.path())? } else { metadata.blocks() * 512 };
        sum = sum.saturating_add(own);
    }
    Ok(sum)
}

/// Everything about a tree but its files' bytes, for which size and time stand.
fn hash_tree(folder: &Path, digest: &mut Md5) -> io::Result<()> {
    let mut entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let metadata = entry.metadata()?;
        digest.update(entry.path().as_os_str().as_encoded_bytes());
        let fields = [
            u64::from(metadata.mode()),
            metadata.size(),
            metadata.mtime().unsigned_abs(),
            metadata.mtime_nsec().unsigned_abs(),
            metadata.rdev(),
        ];
        for field in fields {
            digest.update(field.to_le_bytes());
        }
        if metadata.is_dir() {
            hash_tree(&entry.path(), digest)?;
        }
    }
    Ok(())
}
