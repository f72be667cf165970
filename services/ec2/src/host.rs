//! What instances are made of on this host: images, root volumes and memory.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use machine::{Image, ImageRecipe, Images, Volumes};

/// Images, volumes and memory of the host that instances run on. Everything here blocks elsewhere.
#[async_trait]
pub trait Host: Send + Sync + 'static {
    /// The image of a recipe, built now when it is missing.
    async fn image(&self, recipe: ImageRecipe) -> machine::Result<Image>;

    /// The image of a recipe, if it was built.
    async fn built_image(&self, recipe: ImageRecipe) -> machine::Result<Option<Image>>;

    /// Makes an image of what was written to `volume`, which must not be in use, on top of the
    /// layers `below`.
    async fn snapshot(&self, volume: &str, below: Vec<PathBuf>) -> machine::Result<Image>;

    /// Deletes the image of a snapshot; one that is not there is no error.
    async fn remove_snapshot(&self, id: &str) -> machine::Result<()>;

    /// Makes an empty volume, or returns the one that exists.
    async fn create_volume(&self, id: &str, size_bytes: u64) -> machine::Result<PathBuf>;

    /// Makes a volume with the content of another, which must not be in use.
    async fn copy_volume(&self, from: &str, id: &str) -> machine::Result<PathBuf>;

    /// Deletes a volume; one that does not exist is no error.
    async fn delete_volume(&self, id: &str) -> machine::Result<()>;

    /// The ids of all volumes.
    async fn volumes(&self) -> machine::Result<Vec<String>>;

    /// The host's memory, in bytes: no instance type may have more.
    fn memory_bytes(&self) -> u64;

    /// The certificate, as PEM, of the authority that the region's endpoints are certified by.
    /// Instances trust it; a host without one has endpoints without TLS.
    fn authority(&self) -> &str {
        ""
    }
}

/// The host that this process runs on.
pub struct LocalHost {
    folders: Folders,
    authority: String,
    memory_bytes: u64,
}

/// Where a host keeps what instances are made of.
#[derive(Clone)]
pub struct Folders {
    /// Images that are built of packages, which regions may share.
    pub public: Arc<Images>,
    /// Images that customers made, which are the region's own.
    pub own: Arc<Images>,
    /// Root volumes.
    pub volumes: Arc<Volumes>,
}

impl LocalHost {
    /// The host with these folders. Instances trust the certificates of `authority`, which is PEM.
    pub fn new(folders: Folders, authority: String) -> Self {
        Self { folders, authority, memory_bytes: memory_bytes().unwrap_or(u64::MAX) }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Folders) -> machine::Result<T> + Send + 'static,
    ) -> machine::Result<T> {
        let folders = self.folders.clone();
        let running = tokio::task::spawn_blocking(move || work(&folders));
        running.await.map_err(|error| machine::Error::Refused(error.to_string()))?
    }
}

/// What the kernel calls `MemTotal`.
fn memory_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    kib.checked_mul(1024)
}

#[async_trait]
impl Host for LocalHost {
    async fn image(&self, recipe: ImageRecipe) -> machine::Result<Image> {
        self.folders.public.ensure(recipe).await
    }

    async fn built_image(&self, recipe: ImageRecipe) -> machine::Result<Option<Image>> {
        self.blocking(move |folders| folders.public.find(recipe)).await
    }

    async fn snapshot(&self, volume: &str, below: Vec<PathBuf>) -> machine::Result<Image> {
        let volume = volume.to_owned();
        let work = move |folders: &Folders| folders.own.snapshot(&folders.volumes, &volume, &below);
        self.blocking(work).await
    }

    async fn remove_snapshot(&self, id: &str) -> machine::Result<()> {
        let id = id.to_owned();
        self.blocking(move |folders| folders.own.remove_snapshot(&id)).await
    }

    async fn create_volume(&self, id: &str, size_bytes: u64) -> machine::Result<PathBuf> {
        let id = id.to_owned();
        self.blocking(move |folders| folders.volumes.create(&id, size_bytes)).await
    }

    async fn copy_volume(&self, from: &str, id: &str) -> machine::Result<PathBuf> {
        let (from, id) = (from.to_owned(), id.to_owned());
        self.blocking(move |folders| folders.volumes.copy(&from, &id)).await
    }

    async fn delete_volume(&self, id: &str) -> machine::Result<()> {
        let id = id.to_owned();
        self.blocking(move |folders| folders.volumes.delete(&id)).await
    }

    async fn volumes(&self) -> machine::Result<Vec<String>> {
        self.blocking(|folders| folders.volumes.list()).await
    }

    fn memory_bytes(&self) -> u64 {
        self.memory_bytes
    }

    fn authority(&self) -> &str {
        &self.authority
    }
}
