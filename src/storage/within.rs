//! Within: one directory of a storage as a storage of its own, so that a stream can be made inside a
//! directory that holds other things, and be given its name when it is whole.
//!
//! It has no lock: whoever made the directory is alone in it as long as nobody else knows its name.

use std::fmt::Debug;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::{Access, Region, Storage};

/// What lies below `dir` of another storage.
#[derive(Debug)]
pub(crate) struct Within {
    storage: Arc<dyn Storage>,
    dir: String,
}

impl Within {
    pub(crate) fn new(storage: Arc<dyn Storage>, dir: String) -> Self {
        Self { storage, dir }
    }

    fn path(&self, path: &str) -> String {
        if path.is_empty() { self.dir.clone() } else { format!("{}/{path}", self.dir) }
    }
}

impl Storage for Within {
    fn lock(&self, _make: bool) -> io::Result<Box<dyn Debug + Send + Sync>> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.storage.list(&self.path(dir))
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        self.storage.create_dir(&self.path(dir))
    }

    fn create(&self, path: &str, bytes: u64) -> io::Result<Arc<dyn Region>> {
        self.storage.create(&self.path(path), bytes)
    }

    fn open(&self, path: &str, access: Access) -> io::Result<Arc<dyn Region>> {
        self.storage.open(&self.path(path), access)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.storage.rename(&self.path(from), &self.path(to))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.storage.remove(&self.path(path))
    }

    fn remove_dir(&self, dir: &str) -> io::Result<()> {
        self.storage.remove_dir(&self.path(dir))
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.storage.sync_dir(&self.path(dir))
    }

    fn locate(&self, path: &str) -> PathBuf {
        self.storage.locate(&self.path(path))
    }

    fn forked(&self) -> bool {
        self.storage.forked()
    }
}
