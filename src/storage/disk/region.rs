//! One mapped file of a [`Disk`](super::Disk).
//!
//! 1. A region opened for writing keeps its descriptor, and all regions grown out of it share that
//!    one: the kernel reports a failed writeback once for each open file, so only one may sync.
//! 2. A region opened for reading gives its descriptor up. What needs the file after that opens it
//!    again, and refuses another file that has taken the name.
//! 3. `length` is what this process made of the file. Another length at a sync means that somebody
//!    else changed it, and what is behind the map is then unknown.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use super::super::mapping::Mapping;
use super::super::{Access, Region};
use super::file;

/// A file, mapped over its whole length.
#[derive(Debug)]
pub(super) struct DiskRegion {
    path: PathBuf,
    identity: (u64, u64),
    map: Mapping,
    handle: Option<Arc<Handle>>,
}

/// The descriptor that regions for writing share.
#[derive(Debug)]
struct Handle {
    file: File,
    /// Held while the length changes: a sync that comes in between would take this process for somebody else.
    length: Mutex<Length>,
}

/// What this process made of a file's length.
#[derive(Debug)]
struct Length {
    bytes: u64,
    /// Whether it changed since the last sync, which then has to flush the inode too.
    resized: bool,
}

impl DiskRegion {
    /// Allocates `bytes` in the empty `file` and maps it.
    pub(super) fn allocated(path: PathBuf, file: File, bytes: u64) -> io::Result<Self> {
        file::allocate(&file, 0, bytes)?;
        let identity = file::identity(&file.metadata()?);
        let map = Mapping::of_file(&file, bytes, Access::Write)?;
        let handle = Handle::new(file, bytes, true);
        Ok(Self { path, identity, map, handle: Some(handle) })
    }

    /// Maps an existing file over the length it has now.
    pub(super) fn open(path: PathBuf, access: Access) -> io::Result<Self> {
        let (file, found) = file::open(&path, access)?;
        let map = Mapping::of_file(&file, found.len(), access)?;
        let handle = (access == Access::Write).then(|| Handle::new(file, found.len(), false));
        Ok(Self { path, identity: file::identity(&found), map, handle })
    }

    fn writer(&self) -> &Handle {
        self.handle.as_ref().expect("only a region opened for writing is changed")
    }

    /// Does something with the file, opened again if its descriptor was given up.
    fn with_file<T>(&self, action: impl FnOnce(&File) -> io::Result<T>) -> io::Result<T> {
        if let Some(handle) = &self.handle {
            return action(&handle.file);
        }
        let (file, found) = file::open(&self.path, Access::Read)?;
        if file::identity(&found) != self.identity {
            return Err(file::not_plain(&self.path, "the file that was mapped"));
        }
        action(&file)
    }
}

impl Handle {
    fn new(file: File, bytes: u64, resized: bool) -> Arc<Self> {
        Arc::new(Self { file, length: Mutex::new(Length { bytes, resized }) })
    }

    fn length(&self) -> u64 {
        self.length.lock().bytes
    }

    fn sync(&self) -> io::Result<()> {
        // Not by `metadata`: once a file was asked for its times, Linux has to give it a new one with
        // the next write, and the flush then has to write that too: 127 instead of 88 us.
        let mut length = self.length.lock();
        if (&self.file).seek(SeekFrom::End(0))? != length.bytes {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the file was resized by somebody else",
            ));
        }
        let resized = std::mem::take(&mut length.resized);
        drop(length);
        if resized { self.file.sync_all() } else { self.file.sync_data() }
    }
}

impl Region for DiskRegion {
    fn len(&self) -> u64 {
        self.map.len()
    }

    #[inline]
    fn store(&self, at: u64, parts: &[&[u8]]) {
        self.map.store(at, parts);
    }

    #[inline]
    fn load(&self, at: u64, len: usize, into: &mut Vec<u8>) {
        self.map.load(at, len, into);
    }

    fn populate(&self, at: u64, len: u64) -> io::Result<()> {
        self.map.populate(at, len)
    }

    fn write(&self, at: u64, bytes: &[u8]) -> io::Result<()> {
        let handle = self.writer();
        let end = at.checked_add(bytes.len() as u64);
        assert!(end.is_some_and(|end| end <= handle.length()), "wrote outside a region");
        if cfg!(any(target_os = "linux", target_os = "android")) {
            // Maps and the file share one page cache there.
            file::write_at(&handle.file, at, bytes)
        } else {
            self.map.store(at, &[bytes]);
            Ok(())
        }
    }

    fn read(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        self.with_file(|file| file::read_at(file, at, into))
    }

    fn sync(&self) -> io::Result<()> {
        // On Linux syncing the file writes what was stored through its maps as well.
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        self.map.flush()?;
        self.writer().sync()
    }

    fn drop_cache(&self) -> io::Result<()> {
        // Pages that a process maps stay in the cache whatever is advised.
        self.map.drop_pages(0)?;
        self.with_file(file::forget)
    }

    fn shrink(&self, bytes: u64) -> io::Result<()> {
        if cfg!(windows) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let handle = self.writer();
        let mut length = handle.length.lock();
        assert!(bytes <= length.bytes, "shrink makes a file no longer");
        handle.file.set_len(bytes)?;
        self.map.cut(bytes);
        *length = Length { bytes, resized: true };
        Ok(())
    }

    fn grow(&self, bytes: u64) -> io::Result<Arc<dyn Region>> {
        let handle = self.handle.as_ref().expect("only a region opened for writing grows");
        let mut length = handle.length.lock();
        let before = length.bytes;
        assert!(bytes >= before, "grow makes a file no shorter");
        file::check_limit(bytes)?;
        let grown = file::allocate(&handle.file, before, bytes)
            .and_then(|()| Mapping::of_file(&handle.file, bytes, Access::Write));
        let map = match grown {
            Ok(map) => map,
            Err(error) => {
                // A failed allocation can leave the file longer (ext4). What failed matters more
                // than whether that could be undone.
                let _ = handle.file.set_len(before);
                return Err(error);
            }
        };
        *length = Length { bytes, resized: true };
        drop(length);
        let handle = Some(Arc::clone(handle));
        Ok(Arc::new(Self { path: self.path.clone(), identity: self.identity, map, handle }))
    }
}
