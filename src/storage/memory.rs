//! Memory: the storage of `in_memory()` streams. A tree of named blocks, gone with its last handle.
//!
//! Blocks are the same anonymous [`Mapping`]s whatever their size: they take memory page by page as
//! they are stored into, so a large segment costs what it holds. Syncing has nothing to do. Clones
//! share the tree, so a stream can be closed and opened again on it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use super::mapping::{ForkGuard, Mapping};
use super::{Access, Region, Storage};

/// A directory tree in memory.
#[derive(Clone, Debug)]
pub(crate) struct Memory {
    tree: Arc<Mutex<Tree>>,
    fork: Arc<ForkGuard>,
}

#[derive(Debug, Default)]
struct Tree {
    locked: bool,
    /// `""` is the root, here once somebody locked with `make`.
    dirs: BTreeSet<String>,
    files: BTreeMap<String, Arc<Block>>,
}

/// A file.
#[derive(Debug)]
struct Block {
    now: Mutex<Extent>,
}

/// What a region of a file maps when it is opened now.
#[derive(Clone, Debug)]
struct Extent {
    map: Arc<Mapping>,
    /// The file's length: less than the map's once it was cut.
    bytes: u64,
}

impl Memory {
    /// An empty tree, without even a root.
    pub(crate) fn new() -> Self {
        Self { tree: Arc::default(), fork: Arc::new(ForkGuard::new()) }
    }
}

impl Tree {
    fn check_parent(&self, path: &str) -> io::Result<()> {
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        if self.dirs.contains(parent) { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn file(&self, path: &str) -> io::Result<&Arc<Block>> {
        if self.dirs.contains(path) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a directory, not a file"));
        }
        self.files.get(path).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn rename_dir(&mut self, from: &str, to: &str) -> io::Result<()> {
        if self.files.contains_key(to) {
            return Err(io::ErrorKind::NotADirectory.into());
        }
        let renamed = |path: String| match path.strip_prefix(from) {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("{to}{rest}"),
            _ => path,
        };
        self.dirs = std::mem::take(&mut self.dirs).into_iter().map(renamed).collect();
        let files = std::mem::take(&mut self.files).into_iter();
        self.files = files.map(|(path, file)| (renamed(path), file)).collect();
        Ok(())
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        if !self.dirs.contains(dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let inside = |path: &String| {
            let rest =
                if dir.is_empty() { path } else { path.strip_prefix(dir)?.strip_prefix('/')? };
            (!rest.is_empty() && !rest.contains('/')).then(|| rest.to_owned())
        };
        let mut names: Vec<_> =
            self.dirs.iter().chain(self.files.keys()).filter_map(inside).collect();
        names.sort_unstable();
        Ok(names)
    }
}

impl Storage for Memory {
    fn lock(&self, make: bool) -> io::Result<Box<dyn std::fmt::Debug + Send + Sync>> {
        let mut tree = self.tree.lock();
        if make {
            tree.dirs.insert(String::new());
        } else if !tree.dirs.contains("") {
            return Err(io::ErrorKind::NotFound.into());
        }
        if tree.locked {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        tree.locked = true;
        Ok(Box::new(Lock { tree: Arc::clone(&self.tree) }))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.tree.lock().list(dir)
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        let mut tree = self.tree.lock();
        tree.check_parent(dir)?;
        if tree.files.contains_key(dir) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        tree.dirs.insert(dir.to_owned());
        Ok(())
    }

    fn create(&self, path: &str, bytes: u64) -> io::Result<Arc<dyn Region>> {
        let mut tree = self.tree.lock();
        tree.check_parent(path)?;
        if tree.dirs.contains(path) || tree.files.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let map = Arc::new(allocate(bytes)?);
        let now = Mutex::new(Extent { map: Arc::clone(&map), bytes });
        let file = Arc::new(Block { now });
        tree.files.insert(path.to_owned(), Arc::clone(&file));
        Ok(Arc::new(BlockRegion { file, map, len: bytes, access: Access::Write }))
    }

    fn open(&self, path: &str, access: Access) -> io::Result<Arc<dyn Region>> {
        let file = Arc::clone(self.tree.lock().file(path)?);
        let Extent { map, bytes: len } = file.now.lock().clone();
        Ok(Arc::new(BlockRegion { file, map, len, access }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut tree = self.tree.lock();
        tree.check_parent(to)?;
        if tree.dirs.contains(to) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        if tree.dirs.contains(from) {
            return tree.rename_dir(from, to);
        }
        let file = Arc::clone(tree.file(from)?);
        tree.files.remove(from);
        tree.files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let mut tree = self.tree.lock();
        tree.file(path)?;
        tree.files.remove(path);
        Ok(())
    }

    fn remove_dir(&self, dir: &str) -> io::Result<()> {
        let mut tree = self.tree.lock();
        if !tree.list(dir)?.is_empty() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        tree.dirs.remove(dir);
        Ok(())
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        let here = self.tree.lock().dirs.contains(dir);
        if here { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn locate(&self, path: &str) -> PathBuf {
        PathBuf::from("memory:").join(path)
    }

    fn forked(&self) -> bool {
        self.fork.forked()
    }
}

/// Too little memory is to a stream in memory what a full disk is to one on disk.
fn allocate(bytes: u64) -> io::Result<Mapping> {
    Mapping::anonymous(bytes).map_err(|error| io::Error::new(io::ErrorKind::StorageFull, error))
}

#[derive(Debug)]
struct Lock {
    tree: Arc<Mutex<Tree>>,
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.tree.lock().locked = false;
    }
}

/// A block as one opener sees it.
#[derive(Debug)]
struct BlockRegion {
    file: Arc<Block>,
    map: Arc<Mapping>,
    len: u64,
    access: Access,
}

impl BlockRegion {
    fn check_writable(&self) {
        assert!(self.access == Access::Write, "changed a region that was opened for reading");
    }

    /// Copies what the file has now, and zeros for the rest.
    fn look(&self, at: u64, len: usize, into: &mut Vec<u8>) {
        let end = into.len() + len;
        let now = self.file.now.lock();
        let there = usize::try_from(now.bytes.saturating_sub(at)).map_or(len, |all| all.min(len));
        if there > 0 {
            now.map.load(at, there, into);
        }
        into.resize(end, 0);
    }
}

impl Region for BlockRegion {
    fn len(&self) -> u64 {
        if self.access == Access::Look { self.file.now.lock().bytes } else { self.len }
    }

    fn store(&self, at: u64, parts: &[&[u8]]) {
        self.check_writable();
        self.map.store(at, parts);
    }

    fn load(&self, at: u64, len: usize, into: &mut Vec<u8>) {
        match self.access {
            Access::Look => self.look(at, len, into),
            Access::Read | Access::Write => self.map.load(at, len, into),
        }
    }

    fn populate(&self, at: u64, len: u64) -> io::Result<()> {
        self.check_writable();
        self.map.populate(at, len)
    }

    fn write(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.store(at, &[bytes]);
        Ok(())
    }

    fn read(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        let mut bytes = Vec::new();
        self.load(at, into.len(), &mut bytes);
        into.copy_from_slice(&bytes);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn drop_cache(&self) -> io::Result<()> {
        Ok(())
    }

    fn shrink(&self, bytes: u64) -> io::Result<()> {
        self.check_writable();
        let mut now = self.file.now.lock();
        assert!(bytes <= now.bytes, "shrink makes a file no longer");
        self.map.cut(bytes);
        now.bytes = bytes;
        self.map.drop_pages(bytes)
    }

    fn grow(&self, bytes: u64) -> io::Result<Arc<dyn Region>> {
        self.check_writable();
        let mut now = self.file.now.lock();
        assert!(bytes >= now.bytes, "grow makes a file no shorter");
        let map = Arc::new(allocate(bytes)?);
        let mut old = Vec::new();
        let used = usize::try_from(now.bytes).expect("it is mapped");
        now.map.load(0, used, &mut old);
        map.store(0, &[&old]);
        *now = Extent { map: Arc::clone(&map), bytes };
        let file = Arc::clone(&self.file);
        Ok(Arc::new(BlockRegion { file, map, len: bytes, access: Access::Write }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clones_share_the_tree() {
        let memory = Memory::new();
        let lock = memory.lock(true).unwrap();
        memory.create("a", 16).unwrap().store(0, &[b"kept"]);
        drop(lock);
        let again = memory.clone();
        let _lock = again.lock(false).unwrap();
        let mut bytes = Vec::new();
        again.open("a", Access::Read).unwrap().load(0, 4, &mut bytes);
        assert_eq!(bytes, b"kept");
    }

    #[test]
    fn a_large_block_costs_only_what_it_holds() {
        let memory = Memory::new();
        let _lock = memory.lock(true).unwrap();
        let regions: Vec<_> =
            (0..64).map(|i| memory.create(&i.to_string(), 1 << 30).unwrap()).collect();
        regions[63].store(1 << 29, &[b"x"]);
        assert_eq!(regions[63].len(), 1 << 30);
    }
}
