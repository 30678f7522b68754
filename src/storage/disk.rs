//! Disk: a stream's directory on a file system.
//!
//! 1. Everything the crate makes is private to the user: files 0600, directories 0700.
//! 2. Nothing below the root is reached through a symbolic link, and only plain files with one
//!    name are opened; the path to the root may pass through links.
//! 3. The lock is the operating system's, on a file that is never removed or renamed: it dies with
//!    the process and needs no cleaning up. `flock` and not `fcntl`, whose locks are lost when
//!    any descriptor of the file is closed.
//! 4. The root's path is made absolute at the start, so that a process that changes its directory
//!    keeps its streams.

mod file;
mod look;
mod region;
#[cfg(test)]
mod tests;

use std::fmt::Debug;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::look::LookedAt;
use self::region::DiskRegion;
use super::mapping::ForkGuard;
use super::{Access, Region, Storage};

/// The lock file in the root. It belongs to this module; `list` does not show it.
const LOCK: &str = "lock";

/// A directory on disk.
#[derive(Debug)]
pub(crate) struct Disk {
    root: PathBuf,
    fork: Arc<ForkGuard>,
}

impl Disk {
    /// Names a directory and touches nothing.
    pub(crate) fn new(root: PathBuf) -> Self {
        // Without a current directory the path is used as it is, and the first call says why not.
        let root = std::path::absolute(&root).unwrap_or(root);
        Self { root, fork: Arc::new(ForkGuard::new()) }
    }

    /// Makes a missing root, and what is missing above it, each durable before the next.
    fn make_root(&self) -> io::Result<()> {
        let mut missing = Vec::new();
        let mut above = Some(self.root.as_path());
        while let Some(dir) = above
            && !dir.try_exists()?
        {
            missing.push(dir);
            above = dir.parent();
        }
        for dir in missing.iter().rev() {
            file::create_dir(dir)?;
            file::sync_directory(parent_of(dir))?;
        }
        if missing.is_empty() && !self.root.join(LOCK).try_exists()? {
            // Whoever made the root may have been killed before it was durable: the lock file
            // comes after that. A parent that may not even be read was not ours to write to.
            match file::sync_directory(parent_of(&self.root)) {
                Err(error) if error.kind() != io::ErrorKind::PermissionDenied => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Where `dir` is, once none of its names below the root is a link.
    fn directory(&self, dir: &str) -> io::Result<PathBuf> {
        let mut path = self.root.clone();
        for name in dir.split('/').filter(|name| !name.is_empty()) {
            debug_assert!(name != "." && name != "..", "paths are made by the crate");
            path.push(name);
            if !fs::symlink_metadata(&path)?.is_dir() {
                return Err(file::not_plain(&path, "a directory"));
            }
        }
        Ok(path)
    }

    /// Where the entry `path` is, once no directory on the way is a link.
    fn entry(&self, path: &str) -> io::Result<PathBuf> {
        let (dir, name) = path.rsplit_once('/').unwrap_or(("", path));
        Ok(self.directory(dir)?.join(name))
    }
}

/// Whether something in the directory `dir` would lie in `root`, or below it. One of which nobody can
/// tell where it is, lies nowhere.
pub(crate) fn lies_in(dir: &Path, root: &Path) -> bool {
    match (fs::canonicalize(dir), fs::canonicalize(root)) {
        (Ok(dir), Ok(root)) => dir.starts_with(root),
        _ => false,
    }
}

fn parent_of(dir: &Path) -> &Path {
    match dir.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) => Path::new("."),
        None => dir,
    }
}

impl Storage for Disk {
    fn lock(&self, make: bool) -> io::Result<Box<dyn Debug + Send + Sync>> {
        if make {
            self.make_root()?;
        }
        if !fs::metadata(&self.root)?.is_dir() {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let file = file::open_lock(&self.root.join(LOCK))?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(Lock { file, fork: Arc::clone(&self.fork) })),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let path = self.directory(dir)?;
        let mut names = Vec::new();
        for entry in fs::read_dir(&path)? {
            let entry = entry?;
            let kind = entry.file_type()?;
            if !kind.is_file() && !kind.is_dir() {
                return Err(file::not_plain(&entry.path(), "a plain file or a directory"));
            }
            let Ok(name) = entry.file_name().into_string() else {
                return Err(file::not_plain(&entry.path(), "a name this crate gives"));
            };
            if !(dir.is_empty() && name == LOCK) {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        file::create_dir(&self.entry(dir)?)?;
        self.directory(dir).map(drop)
    }

    fn create(&self, path: &str, bytes: u64) -> io::Result<Arc<dyn Region>> {
        let path = self.entry(path)?;
        file::check_limit(bytes)?;
        let file = file::create(&path)?;
        match DiskRegion::allocated(path.clone(), file, bytes) {
            Ok(region) => Ok(Arc::new(region)),
            Err(error) => {
                // What failed matters more than whether the remains could be removed.
                let _ = fs::remove_file(&path);
                Err(error)
            }
        }
    }

    fn open(&self, path: &str, access: Access) -> io::Result<Arc<dyn Region>> {
        let path = self.entry(path)?;
        if access == Access::Look {
            return Ok(Arc::new(LookedAt::open(&path)?));
        }
        Ok(Arc::new(DiskRegion::open(path, access)?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.entry(from)?, self.entry(to)?)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        fs::remove_file(self.entry(path)?)
    }

    fn remove_dir(&self, dir: &str) -> io::Result<()> {
        fs::remove_dir(self.entry(dir)?)
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        file::sync_directory(&self.directory(dir)?)
    }

    fn locate(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    fn forked(&self) -> bool {
        self.fork.forked()
    }
}

/// The held lock. It is given up explicitly: a child forked meanwhile keeps the descriptor, and
/// with it the lock, alive. The child itself must not give it up, since the lock is the parent's.
#[derive(Debug)]
struct Lock {
    file: File,
    fork: Arc<ForkGuard>,
}

impl Drop for Lock {
    fn drop(&mut self) {
        if !self.fork.forked() {
            // Closing the descriptor, which follows, unlocks too unless a child holds a copy.
            let _ = self.file.unlock();
        }
    }
}
