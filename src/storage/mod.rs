//! The storage seam: every effect the crate has on the world goes through [`Storage`] and
//! [`Region`].
//!
//! | implementation | what it is |
//! |---|---|
//! | [`Disk`] | a directory; files are allocated for real and mapped |
//! | [`Memory`] | blocks of memory; `in_memory()` runs the same code on it |
//! | [`Onlooker`] | any of the others, owned by somebody else: lists and reads, and refuses the rest |
//! | `Within` | one directory of any of these |
//! | `Simulated` | tests only: keeps what is durable apart from what is only written |
//!
//! # Rules every implementation keeps
//!
//! 1. Paths are relative, `/`-separated, made by the crate and never by a user.
//! 2. Nothing is durable until it is synced: bytes, sizes and allocation of a file by
//!    [`Region::sync`], names by [`Storage::sync_dir`] of the directory that holds them.
//! 3. A failed `create` or growing `resize` leaves nothing behind.
//! 4. A region is read only inside the bytes its owner has published. Bytes that another thread
//!    is storing at that moment may be read torn, so readers copy first and check the copy.
//!    With [`Access::Look`] nothing is published: whatever is read may be torn, or not there yet.

#[cfg(test)]
mod contract;
mod disk;
mod mapping;
mod memory;
mod onlooker;
#[cfg(test)]
pub(crate) mod simulated;
mod within;

pub(crate) use disk::{Disk, lies_in};
pub(crate) use memory::Memory;
pub(crate) use onlooker::Onlooker;
pub(crate) use within::Within;

use std::fmt::Debug;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

/// A directory tree that holds one stream.
pub(crate) trait Storage: Debug + Send + Sync {
    /// Makes sure that the root directory is there (durably) and takes the lock on its lock file.
    /// `make` says whether a missing root is made. A held lock is `ErrorKind::WouldBlock`, a
    /// missing root `NotFound`. The guard gives the lock up when it is dropped.
    fn lock(&self, make: bool) -> io::Result<Box<dyn Debug + Send + Sync>>;

    /// Names of the files and directories in `dir` (`""` is the root), sorted, without the lock
    /// file. A missing `dir` is `NotFound`; a symbolic link or special file in it is `InvalidData`.
    fn list(&self, dir: &str) -> io::Result<Vec<String>>;

    /// Makes a directory (private to the user). One that is there already is no error.
    fn create_dir(&self, dir: &str) -> io::Result<()>;

    /// Makes a file (it must not exist, private to the user) of `bytes` zero bytes, allocated for
    /// real, and maps it for writing. Not durable until `sync` and `sync_dir`.
    fn create(&self, path: &str, bytes: u64) -> io::Result<Arc<dyn Region>>;

    /// Maps all of an existing regular file: `NotFound`, or `InvalidData` for anything that is
    /// not a plain file with one name. An empty file gives an empty region.
    fn open(&self, path: &str, access: Access) -> io::Result<Arc<dyn Region>>;

    /// Gives a file another name in its directory, replacing the file that had that name; or a
    /// directory, whose new name must be free.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file. Regions of it stay readable.
    fn remove(&self, path: &str) -> io::Result<()>;

    /// Removes an empty directory.
    fn remove_dir(&self, dir: &str) -> io::Result<()>;

    /// Makes the names in `dir` durable (`""` is the root).
    fn sync_dir(&self, dir: &str) -> io::Result<()>;

    /// Where `path` is, for messages.
    fn locate(&self, path: &str) -> PathBuf;

    /// Whether this process is not the one that opened the storage (a forked child).
    fn forked(&self) -> bool;
}

/// How a file is to be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Only read. The descriptor may be given up once the file is mapped.
    Read,
    /// Read, stored into, written, resized and synced.
    Write,
    /// Only read, while somebody else may write to the file, grow it and cut it. It is not mapped:
    /// each `load`, `read` and `len` asks the file. Bytes that are not there are read as zeros.
    Look,
}

/// One mapped file. Positions and lengths are in bytes; what lies outside `0..len` is our own bug
/// and panics, but for a file that is only looked at, which may have been longer a moment ago.
pub(crate) trait Region: Debug + Send + Sync {
    /// The mapped length.
    fn len(&self) -> u64;

    /// Copies `parts`, one behind the other, into the map at `at`. Survives the process at once,
    /// the machine only after `sync`.
    fn store(&self, at: u64, parts: &[&[u8]]);

    /// Appends `len` bytes from `at` of the map to `into`.
    fn load(&self, at: u64, len: usize, into: &mut Vec<u8>);

    /// Makes the pages of `at..at + len` (clipped to the region) ready to be stored into, so that
    /// a full disk is an error here and not a signal later.
    fn populate(&self, at: u64, len: u64) -> io::Result<()>;

    /// Writes `bytes` at `at` by the file and not by the map; visible through the map when it
    /// returns.
    fn write(&self, at: u64, bytes: &[u8]) -> io::Result<()>;

    /// Reads exactly `into.len()` bytes at `at` by the file and not by the map, so that a bad
    /// disk is an error and not a signal.
    fn read(&self, at: u64, into: &mut [u8]) -> io::Result<()>;

    /// Makes the file's bytes, size and allocation durable.
    fn sync(&self) -> io::Result<()>;

    /// Asks the system to forget its cached copy of what is already durable, so that the next
    /// `read` comes from the disk.
    fn drop_cache(&self) -> io::Result<()>;

    /// Cuts the file to `bytes` and gives the rest of the space back. The map keeps its length,
    /// but nothing at or behind `bytes` may be touched through it any more. `Unsupported` where a
    /// mapped file cannot be cut.
    fn shrink(&self, bytes: u64) -> io::Result<()>;

    /// Makes the file `bytes` long (the new part zero, allocated for real) and maps it anew. The
    /// old region stays valid for what it showed. Fails without a change.
    fn grow(&self, bytes: u64) -> io::Result<Arc<dyn Region>>;
}
