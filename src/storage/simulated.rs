//! Simulated: a disk for tests that loses what a real one may lose, decided by a seed.
//!
//! It keeps what the process sees apart from what is durable: bytes and lengths by file
//! ([`content`]), names by directory ([`names`]). A power cut is [`Simulated::cut_at`] and then
//! [`Simulated::reboot`], which gives a new disk holding one of the outcomes permitted; a killed
//! process is [`Simulated::crash_process`], after which everything stored is still there and what
//! was not durable still is not.
//!
//! What it permits and a given file system may not: any subset of the sectors written since the last
//! sync, in any version, torn between two at eight bytes; a created file of length zero, in part, or
//! without its name; changes of unrelated names in any order. What it does not permit, and the
//! crate's documents assume of disks: loss of anything synced, and damage to bytes that were
//! not being written.
//!
//! 1. Every fallible call counts one call and one effect, every store one effect, from 1.
//! 2. At an effect that the power cut meets, a store arrives in part and a call not at all.
//! 3. While the power is off every call fails and no store does anything.

mod content;
mod names;
pub(crate) mod random;
mod state;
mod tests;

use std::fmt::Debug;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use self::state::State;
use super::{Access, Region, Storage};

/// How long an injected failure lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FailMode {
    /// That call alone.
    Once,
    /// That call and all behind it.
    Forever,
}

/// A disk in memory. Clones are handles of the same disk.
#[derive(Clone, Debug)]
pub(crate) struct Simulated {
    state: Arc<Mutex<State>>,
}

impl Simulated {
    /// An empty disk without a root directory.
    pub(crate) fn new(seed: u64) -> Self {
        Self::of(State::new(seed))
    }

    fn of(state: State) -> Self {
        Self { state: Arc::new(Mutex::new(state)) }
    }

    /// Lets the `nth` call (from 1, see [`Simulated::calls`]) fail.
    pub(crate) fn fail_call(&self, nth: u64, mode: FailMode, kind: io::ErrorKind) {
        self.state.lock().fail_call(nth, mode, kind);
    }

    /// Takes the failure of [`Simulated::fail_call`] back.
    pub(crate) fn heal(&self) {
        self.state.lock().heal();
    }

    /// Cuts the power at the `nth` effect (from 1, see [`Simulated::effects`]).
    pub(crate) fn cut_at(&self, nth: u64) {
        self.state.lock().cut_at(nth);
    }

    /// Cuts the power now.
    pub(crate) fn cut(&self) {
        self.state.lock().cut();
    }

    /// Whether the power is off.
    pub(crate) fn is_off(&self) -> bool {
        self.state.lock().is_off()
    }

    /// How many fallible calls were made so far.
    pub(crate) fn calls(&self) -> u64 {
        self.state.lock().calls()
    }

    /// How many calls and stores were made so far.
    pub(crate) fn effects(&self) -> u64 {
        self.state.lock().effects()
    }

    /// The disk after a power cut: one outcome of those permitted, chosen by `seed`, all durable.
    /// The old disk stays as it is.
    pub(crate) fn reboot(&self, seed: u64) -> Self {
        Self::of(self.state.lock().after_cut(seed))
    }

    /// The disk as the next process finds it after this one was killed.
    pub(crate) fn crash_process(&self) -> Self {
        Self::of(self.state.lock().after_kill())
    }

    /// Path and current bytes of every file, sorted by path.
    pub(crate) fn files(&self) -> Vec<(String, Vec<u8>)> {
        self.state.lock().files()
    }

    /// Puts a durable file there, with the directories above it, or replaces its bytes.
    pub(crate) fn put(&self, path: &str, bytes: Vec<u8>) {
        self.state.lock().put(path, bytes);
    }

    /// Flips one bit of a file, in the cache and on the disk.
    pub(crate) fn flip(&self, path: &str, byte: usize, bit: u32) {
        self.state.lock().flip(path, byte, bit);
    }

    /// Cuts a file to `len` bytes, in the cache and on the disk.
    pub(crate) fn cut_file(&self, path: &str, len: usize) {
        self.state.lock().cut_file(path, len);
    }

    /// How many bytes all files together may have.
    pub(crate) fn set_capacity(&self, bytes: u64) {
        self.state.lock().controls().capacity = Some(bytes);
    }

    /// Whether `sync` says yes and does nothing: a positive control.
    pub(crate) fn ignore_syncs(&self, ignore: bool) {
        self.state.lock().controls().ignore_syncs = ignore;
    }

    /// Whether `sync_dir` says yes and does nothing: a positive control.
    pub(crate) fn ignore_dir_syncs(&self, ignore: bool) {
        self.state.lock().controls().ignore_dir_syncs = ignore;
    }

    /// Whether the storage says that it is used by a forked child.
    pub(crate) fn set_forked(&self, forked: bool) {
        self.state.lock().controls().forked = forked;
    }

    fn region(&self, file: usize, len: usize, access: Access) -> Arc<dyn Region> {
        Arc::new(Extent { state: Arc::clone(&self.state), file, len, access })
    }
}

impl Storage for Simulated {
    fn lock(&self, make: bool) -> io::Result<Box<dyn Debug + Send + Sync>> {
        self.state.lock().lock(make)?;
        Ok(Box::new(Lock { state: Arc::clone(&self.state) }))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.state.lock().list(dir)
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        self.state.lock().create_dir(dir)
    }

    fn create(&self, path: &str, bytes: u64) -> io::Result<Arc<dyn Region>> {
        let (file, len) = self.state.lock().create(path, bytes)?;
        Ok(self.region(file, len, Access::Write))
    }

    fn open(&self, path: &str, access: Access) -> io::Result<Arc<dyn Region>> {
        let (file, len) = self.state.lock().open(path)?;
        Ok(self.region(file, len, access))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.state.lock().rename(from, to)
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        self.state.lock().remove(path)
    }

    fn remove_dir(&self, dir: &str) -> io::Result<()> {
        self.state.lock().remove_dir(dir)
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.state.lock().sync_dir(dir)
    }

    fn locate(&self, path: &str) -> PathBuf {
        PathBuf::from("simulated:").join(path)
    }

    fn forked(&self) -> bool {
        self.state.lock().controls().forked
    }
}

#[derive(Debug)]
struct Lock {
    state: Arc<Mutex<State>>,
}

impl Drop for Lock {
    fn drop(&mut self) {
        self.state.lock().unlock();
    }
}

/// A file as one opener maps it.
#[derive(Debug)]
struct Extent {
    state: Arc<Mutex<State>>,
    file: usize,
    len: usize,
    access: Access,
}

impl Extent {
    /// Checks a range as the real map does and gives its start.
    fn span(&self, at: u64, len: usize) -> usize {
        match usize::try_from(at) {
            Ok(at) if at.checked_add(len).is_some_and(|end| end <= self.len) => at,
            _ => panic!("{len} bytes at {at} lie outside a region of {}", self.len),
        }
    }

    fn check_writable(&self) {
        assert!(self.access == Access::Write, "changed a region that was opened for reading");
    }

    /// Copies what the file has now; the rest stays as it is.
    fn look(&self, state: &State, at: u64, into: &mut [u8]) {
        let bytes = state.bytes(self.file);
        let there = usize::try_from(at).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
        let count = there.len().min(into.len());
        into[..count].copy_from_slice(&there[..count]);
    }
}

impl Region for Extent {
    fn len(&self) -> u64 {
        match self.access {
            Access::Look => self.state.lock().bytes(self.file).len() as u64,
            Access::Read | Access::Write => self.len as u64,
        }
    }

    fn store(&self, at: u64, parts: &[&[u8]]) {
        self.check_writable();
        let at = self.span(at, parts.iter().map(|part| part.len()).sum());
        self.state.lock().store(self.file, at, parts);
    }

    fn load(&self, at: u64, len: usize, into: &mut Vec<u8>) {
        if self.access == Access::Look {
            let start = into.len();
            into.resize(start + len, 0);
            return self.look(&self.state.lock(), at, &mut into[start..]);
        }
        let at = self.span(at, len);
        let state = self.state.lock();
        into.extend_from_slice(&state.bytes(self.file)[at..at + len]);
    }

    fn populate(&self, _at: u64, _len: u64) -> io::Result<()> {
        self.check_writable();
        self.state.lock().populate()
    }

    fn write(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.check_writable();
        let at = self.span(at, bytes.len());
        self.state.lock().write(self.file, at, bytes)
    }

    fn read(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        if self.access == Access::Look {
            let mut state = self.state.lock();
            state.read()?;
            into.fill(0);
            self.look(&state, at, into);
            return Ok(());
        }
        let at = self.span(at, into.len());
        let mut state = self.state.lock();
        state.read()?;
        let bytes = state.bytes(self.file).get(at..at + into.len());
        into.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        self.check_writable();
        self.state.lock().sync(self.file)
    }

    fn drop_cache(&self) -> io::Result<()> {
        self.state.lock().drop_cache(self.file)
    }

    fn shrink(&self, bytes: u64) -> io::Result<()> {
        self.check_writable();
        self.state.lock().shrink(self.file, bytes)
    }

    fn grow(&self, bytes: u64) -> io::Result<Arc<dyn Region>> {
        self.check_writable();
        let len = self.state.lock().grow(self.file, bytes)?;
        let state = Arc::clone(&self.state);
        Ok(Arc::new(Self { state, file: self.file, len, access: Access::Write }))
    }
}
