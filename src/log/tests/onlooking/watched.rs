//! An owner's storage that is looked at after each of its effects, in the middle of stores too; and
//! a storage that stands for whatever disk the owner has now.

use std::fmt::{self, Debug};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::storage::simulated::Simulated;
use crate::storage::simulated::random::Random;
use crate::storage::{Access, Region, Storage};

/// The disk that the owner has now, and how many it had.
#[derive(Clone, Debug)]
pub(super) struct Turning {
    disk: Arc<Mutex<(u64, Simulated)>>,
}

/// A file on that disk. Simulated disks are copied when they turn, real files are not.
#[derive(Debug)]
struct Turned {
    turning: Turning,
    path: String,
    file: Mutex<(u64, Arc<dyn Region>)>,
}

impl Turning {
    pub(super) fn new(disk: &Simulated) -> Self {
        Self { disk: Arc::new(Mutex::new((0, disk.clone()))) }
    }

    pub(super) fn turn(&self, disk: &Simulated) {
        let mut now = self.disk.lock();
        *now = (now.0 + 1, disk.clone());
    }

    fn now(&self) -> Simulated {
        self.disk.lock().1.clone()
    }
}

impl Turned {
    fn now(&self) -> Arc<dyn Region> {
        let (turns, disk) = self.turning.disk.lock().clone();
        let mut file = self.file.lock();
        if file.0 != turns
            && let Ok(again) = disk.open(&self.path, Access::Look)
        {
            *file = (turns, again);
        }
        Arc::clone(&file.1)
    }
}

impl Region for Turned {
    fn len(&self) -> u64 {
        self.now().len()
    }

    fn store(&self, _at: u64, _parts: &[&[u8]]) {
        unreachable!("an onlooker stores nothing")
    }

    fn load(&self, at: u64, len: usize, into: &mut Vec<u8>) {
        self.now().load(at, len, into);
    }

    fn populate(&self, _at: u64, _len: u64) -> io::Result<()> {
        unreachable!("an onlooker makes no room")
    }

    fn write(&self, _at: u64, _bytes: &[u8]) -> io::Result<()> {
        unreachable!("an onlooker writes nothing")
    }

    fn read(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        self.now().read(at, into)
    }

    fn sync(&self) -> io::Result<()> {
        unreachable!("an onlooker has nothing to flush")
    }

    fn drop_cache(&self) -> io::Result<()> {
        unreachable!("an onlooker has read nothing that it doubts")
    }

    fn shrink(&self, _bytes: u64) -> io::Result<()> {
        unreachable!("an onlooker cuts nothing")
    }

    fn grow(&self, _bytes: u64) -> io::Result<Arc<dyn Region>> {
        unreachable!("an onlooker makes nothing longer")
    }
}

/// Who looks.
#[derive(Clone)]
struct Hook {
    look: Arc<dyn Fn() + Send + Sync>,
    random: Arc<Mutex<Random>>,
}

impl Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hook")
    }
}

impl Hook {
    fn after<T>(&self, outcome: T) -> T {
        // Now and then much happens between two looks.
        if !self.random.lock().one_in(4) {
            (self.look)();
        }
        outcome
    }
}

#[derive(Clone, Debug)]
pub(super) struct Watched {
    disk: Simulated,
    hook: Hook,
}

impl Watched {
    pub(super) fn new(
        disk: &Simulated,
        seed: u64,
        look: impl Fn() + Send + Sync + 'static,
    ) -> Self {
        let random = Arc::new(Mutex::new(Random::new(seed)));
        Self { disk: disk.clone(), hook: Hook { look: Arc::new(look), random } }
    }

    fn region(&self, region: Arc<dyn Region>) -> Arc<dyn Region> {
        Arc::new(Stored { region, hook: self.hook.clone() })
    }
}

impl Storage for Watched {
    fn lock(&self, make: bool) -> io::Result<Box<dyn Debug + Send + Sync>> {
        self.disk.lock(make)
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.disk.list(dir)
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        self.hook.after(self.disk.create_dir(dir))
    }

    fn create(&self, path: &str, bytes: u64) -> io::Result<Arc<dyn Region>> {
        self.hook.after(self.disk.create(path, bytes)).map(|region| self.region(region))
    }

    fn open(&self, path: &str, access: Access) -> io::Result<Arc<dyn Region>> {
        self.disk.open(path, access).map(|region| self.region(region))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.hook.after(self.disk.rename(from, to))
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.hook.after(self.disk.remove(path))
    }

    fn remove_dir(&self, dir: &str) -> io::Result<()> {
        self.hook.after(self.disk.remove_dir(dir))
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.hook.after(self.disk.sync_dir(dir))
    }

    fn locate(&self, path: &str) -> PathBuf {
        self.disk.locate(path)
    }

    fn forked(&self) -> bool {
        false
    }
}

/// A file that the owner stores into.
#[derive(Debug)]
struct Stored {
    region: Arc<dyn Region>,
    hook: Hook,
}

impl Stored {
    /// Cuts bytes in two, as somebody who reads at the same time may find them.
    fn halves<'a>(&self, bytes: &'a [u8]) -> (&'a [u8], &'a [u8]) {
        bytes.split_at(self.hook.random.lock().below(bytes.len() + 1))
    }
}

impl Region for Stored {
    fn len(&self) -> u64 {
        self.region.len()
    }

    fn store(&self, at: u64, parts: &[&[u8]]) {
        let bytes = parts.concat();
        let (first, rest) = self.halves(&bytes);
        self.region.store(at, &[first]);
        self.hook.after(());
        self.region.store(at + first.len() as u64, &[rest]);
        self.hook.after(());
    }

    fn load(&self, at: u64, len: usize, into: &mut Vec<u8>) {
        self.region.load(at, len, into);
    }

    fn populate(&self, at: u64, len: u64) -> io::Result<()> {
        self.region.populate(at, len)
    }

    fn write(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let (first, rest) = self.halves(bytes);
        self.hook.after(self.region.write(at, first))?;
        self.hook.after(self.region.write(at + first.len() as u64, rest))
    }

    fn read(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        self.region.read(at, into)
    }

    fn sync(&self) -> io::Result<()> {
        self.hook.after(self.region.sync())
    }

    fn drop_cache(&self) -> io::Result<()> {
        self.hook.after(self.region.drop_cache())
    }

    fn shrink(&self, bytes: u64) -> io::Result<()> {
        self.hook.after(self.region.shrink(bytes))
    }

    fn grow(&self, bytes: u64) -> io::Result<Arc<dyn Region>> {
        let grown = self.hook.after(self.region.grow(bytes))?;
        Ok(Arc::new(Self { region: grown, hook: self.hook.clone() }))
    }
}

impl Storage for Turning {
    fn lock(&self, make: bool) -> io::Result<Box<dyn Debug + Send + Sync>> {
        self.now().lock(make)
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.now().list(dir)
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        self.now().create_dir(dir)
    }

    fn create(&self, path: &str, bytes: u64) -> io::Result<Arc<dyn Region>> {
        self.now().create(path, bytes)
    }

    fn open(&self, path: &str, access: Access) -> io::Result<Arc<dyn Region>> {
        let (turns, disk) = self.disk.lock().clone();
        let file = Mutex::new((turns, disk.open(path, access)?));
        Ok(Arc::new(Turned { turning: self.clone(), path: path.to_owned(), file }))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.now().rename(from, to)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.now().remove(path)
    }

    fn remove_dir(&self, dir: &str) -> io::Result<()> {
        self.now().remove_dir(dir)
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.now().sync_dir(dir)
    }

    fn locate(&self, path: &str) -> PathBuf {
        self.now().locate(path)
    }

    fn forked(&self) -> bool {
        false
    }
}
