//! Onlooker: a storage that somebody else owns, seen without taking part.
//!
//! # Invariants
//! 1. Nothing passes that could change a byte, a name or a length, or take a lock: it is refused
//!    with `ReadOnlyFilesystem` before it gets to the storage. So whatever is built on an onlooker
//!    cannot write, whether or not it means to.
//! 2. Files are opened with [`Access::Look`] and never mapped: the owner cuts a file when it seals
//!    or closes it, and touching a page behind the end would be a signal.
//! 3. At most [`DESCRIPTORS_MAX`] files are open at once. The one that was opened longest ago is
//!    given up, and opened again by its name when it is read again. By then the name may belong to
//!    another file, or to none; what is read then does not match the sums of the one that was meant.

use std::collections::VecDeque;
use std::fmt::Debug;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::{Access, Region, Storage};

/// So many files of one stream are open at once.
const DESCRIPTORS_MAX: usize = 64;

/// Another owner's storage.
#[derive(Debug)]
pub(crate) struct Onlooker {
    storage: Arc<dyn Storage>,
    open: Arc<Open>,
}

/// The files that have a descriptor, the longest opened first.
#[derive(Debug, Default)]
struct Open {
    files: Mutex<VecDeque<Weak<Glance>>>,
}

/// A file that is looked at.
#[derive(Debug)]
struct Glance {
    storage: Arc<dyn Storage>,
    path: String,
    open: Arc<Open>,
    me: Weak<Self>,
    /// `None` while the descriptor is given up.
    file: Mutex<Option<Arc<dyn Region>>>,
}

impl Onlooker {
    pub(crate) fn new(storage: Arc<dyn Storage>) -> Self {
        Self { storage, open: Arc::default() }
    }
}

fn refused<T>() -> io::Result<T> {
    Err(io::ErrorKind::ReadOnlyFilesystem.into())
}

impl Storage for Onlooker {
    /// Takes nothing, and so never keeps an owner out.
    fn lock(&self, _make: bool) -> io::Result<Box<dyn Debug + Send + Sync>> {
        self.storage.list("").map(|_| -> Box<dyn Debug + Send + Sync> { Box::new(()) })
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.storage.list(dir)
    }

    fn create_dir(&self, _dir: &str) -> io::Result<()> {
        refused()
    }

    fn create(&self, _path: &str, _bytes: u64) -> io::Result<Arc<dyn Region>> {
        refused()
    }

    fn open(&self, path: &str, _access: Access) -> io::Result<Arc<dyn Region>> {
        let file = self.storage.open(path, Access::Look)?;
        let glance = Arc::new_cyclic(|me| Glance {
            storage: Arc::clone(&self.storage),
            path: path.to_owned(),
            open: Arc::clone(&self.open),
            me: Weak::clone(me),
            file: Mutex::new(Some(file)),
        });
        self.open.note(&glance.me);
        Ok(glance)
    }

    fn rename(&self, _from: &str, _to: &str) -> io::Result<()> {
        refused()
    }

    fn remove(&self, _path: &str) -> io::Result<()> {
        refused()
    }

    fn remove_dir(&self, _dir: &str) -> io::Result<()> {
        refused()
    }

    fn sync_dir(&self, _dir: &str) -> io::Result<()> {
        refused()
    }

    fn locate(&self, path: &str) -> PathBuf {
        self.storage.locate(path)
    }

    fn forked(&self) -> bool {
        self.storage.forked()
    }
}

impl Open {
    /// Counts a descriptor in, and gives the oldest up if there are too many.
    fn note(&self, opened: &Weak<Glance>) {
        let oldest = {
            let mut files = self.files.lock();
            files.push_back(Weak::clone(opened));
            if files.len() > DESCRIPTORS_MAX { files.pop_front() } else { None }
        };
        if let Some(oldest) = oldest.and_then(|oldest| oldest.upgrade()) {
            *oldest.file.lock() = None;
        }
    }
}

impl Glance {
    /// The open file, opened again if its descriptor was given up.
    fn file(&self) -> io::Result<Arc<dyn Region>> {
        if let Some(file) = &*self.file.lock() {
            return Ok(Arc::clone(file));
        }
        let opened = self.storage.open(&self.path, Access::Look)?;
        let replaced = self.file.lock().replace(Arc::clone(&opened));
        // Somebody who was faster has counted it in.
        if replaced.is_none() {
            self.open.note(&self.me);
        }
        Ok(opened)
    }
}

impl Drop for Glance {
    fn drop(&mut self) {
        self.open.files.lock().retain(|file| file.strong_count() > 0);
    }
}

impl Region for Glance {
    /// A file that cannot be asked has no bytes.
    fn len(&self) -> u64 {
        self.file().map_or(0, |file| file.len())
    }

    fn store(&self, _at: u64, _parts: &[&[u8]]) {
        panic!("stored into a file that is only looked at");
    }

    fn load(&self, at: u64, len: usize, into: &mut Vec<u8>) {
        match self.file() {
            Ok(file) => file.load(at, len, into),
            Err(_) => into.resize(into.len() + len, 0),
        }
    }

    fn populate(&self, _at: u64, _len: u64) -> io::Result<()> {
        refused()
    }

    fn write(&self, _at: u64, _bytes: &[u8]) -> io::Result<()> {
        refused()
    }

    fn read(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        self.file()?.read(at, into)
    }

    fn sync(&self) -> io::Result<()> {
        refused()
    }

    fn drop_cache(&self) -> io::Result<()> {
        refused()
    }

    fn shrink(&self, _bytes: u64) -> io::Result<()> {
        refused()
    }

    fn grow(&self, _bytes: u64) -> io::Result<Arc<dyn Region>> {
        refused()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::simulated::Simulated;

    fn kind<T>(result: io::Result<T>) -> io::ErrorKind {
        result.err().expect("it is refused").kind()
    }

    fn loaded(region: &dyn Region, at: u64, len: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        region.load(at, len, &mut bytes);
        bytes
    }

    #[test]
    fn an_onlooker_takes_no_lock_and_changes_nothing() {
        let disk = Simulated::new(1);
        let onlooker = Onlooker::new(Arc::new(disk.clone()));
        assert_eq!(kind(onlooker.lock(true)), io::ErrorKind::NotFound);
        let owner = disk.lock(true).unwrap();
        let _looking = onlooker.lock(true).unwrap();
        drop(owner);
        let _owner = disk.lock(false).unwrap();
        disk.create("a", 8).unwrap().store(0, &[b"as it is"]);
        let (files, effects) = (disk.files(), disk.effects());
        let read_only = io::ErrorKind::ReadOnlyFilesystem;
        assert_eq!(kind(onlooker.create("b", 8)), read_only);
        assert_eq!(kind(onlooker.create_dir("d")), read_only);
        assert_eq!(kind(onlooker.rename("a", "b")), read_only);
        assert_eq!(kind(onlooker.remove("a")), read_only);
        assert_eq!(kind(onlooker.remove_dir("d")), read_only);
        assert_eq!(kind(onlooker.sync_dir("")), read_only);
        assert_eq!(disk.effects(), effects);
        let region = onlooker.open("a", Access::Write).unwrap();
        assert_eq!(kind(region.write(0, b"x")), read_only);
        assert_eq!(kind(region.populate(0, 1)), read_only);
        assert_eq!(kind(region.sync()), read_only);
        assert_eq!(kind(region.drop_cache()), read_only);
        assert_eq!(kind(region.shrink(1)), read_only);
        assert_eq!(kind(region.grow(9)), read_only);
        assert_eq!((disk.files(), disk.effects()), (files, effects + 1));
    }

    #[test]
    fn only_so_many_files_are_open_at_once() {
        let disk = Simulated::new(1);
        let _owner = disk.lock(true).unwrap();
        let onlooker = Onlooker::new(Arc::new(disk.clone()));
        let names: Vec<String> = (0..DESCRIPTORS_MAX + 3).map(|n| format!("{n:03}")).collect();
        let regions: Vec<_> = names
            .iter()
            .map(|name| {
                disk.create(name, 3).unwrap().store(0, &[name.as_bytes()]);
                onlooker.open(name, Access::Read).unwrap()
            })
            .collect();
        let open = || onlooker.open.files.lock().len();
        for _ in 0..2 {
            for (name, region) in names.iter().zip(&regions) {
                assert_eq!(loaded(&**region, 0, 3), name.as_bytes());
                assert_eq!(open(), DESCRIPTORS_MAX);
            }
        }
        // The first was given up by the last round; its name is gone.
        disk.remove("000").unwrap();
        assert_eq!((regions[0].len(), loaded(&*regions[0], 0, 3)), (0, vec![0; 3]));
        assert_eq!(kind(regions[0].read(0, &mut [0])), io::ErrorKind::NotFound);
        drop(regions);
        assert_eq!(open(), 0);
    }
}
