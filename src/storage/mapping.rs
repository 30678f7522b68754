//! A run of mapped bytes, and the guard that notices a fork: the only file with `unsafe`.
//!
//! # The safety argument of the crate
//!
//! 1. No reference is ever formed over mapped bytes. They are reached by raw pointer alone, copied
//!    in from the caller's slices and out into the caller's vector, so what a peer process or a
//!    bad disk does to them cannot break an aliasing rule: the copy is merely wrong, and its
//!    checksum says so. Every bit pattern is a valid `u8`.
//! 2. Every access is checked against `limit` first, and `limit` never exceeds the mapped length.
//!    It only falls (a cut file), so a check that passed stays true for memory safety; touching
//!    bytes that were cut off is refused with a panic instead of a signal.
//! 3. A map made for reading is never stored into: `writable` is checked first.
//! 4. The map lives as long as the `Mapping`, and nothing that points into it leaves a function.
//! 5. Bytes that are published are not stored again, and readers stay inside the published ones
//!    (the rule of [`Region`](super::Region)); so the plain copies of two threads of this process
//!    never meet. Words that do change under readers are atomic.
//!
//! What is left is outside any program's reach: a file that somebody else truncates under the map
//! ends in `SIGBUS`. The directory is private and locked, and lengths are taken by `fstat`.
//!
//! Maps are not marked `MADV_DONTFORK`: a child's allocator could then be given the same addresses,
//! and dropping the map in the child would unmap them. The fork guard refuses the child instead.
#![expect(unsafe_code, reason = "copies in and out of maps by raw pointer; see the header")]

use std::fs::File;
use std::io;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use memmap2::{MmapOptions, MmapRaw};

use super::Access;

/// A mapped file or an anonymous block of zeros.
#[derive(Debug)]
pub(super) struct Mapping {
    map: MmapRaw,
    /// Where use ends: the mapped length until the file is cut.
    limit: AtomicUsize,
    writable: bool,
}

impl Mapping {
    /// Maps the first `len` bytes of `file`, which must be that long.
    pub(super) fn of_file(file: &File, len: u64, access: Access) -> io::Result<Self> {
        let len = mappable(len)?;
        let mut options = MmapOptions::new();
        options.len(len);
        let (map, writable) = match access {
            Access::Read => (options.map_raw_read_only(file)?, false),
            Access::Write => (options.map_raw(file)?, true),
            // Its owner may cut it under the map.
            Access::Look => return Err(io::ErrorKind::Unsupported.into()),
        };
        Ok(Self { map, limit: AtomicUsize::new(len), writable })
    }

    /// A block of `len` zero bytes that takes memory page by page, as it is stored into.
    pub(super) fn anonymous(len: u64) -> io::Result<Self> {
        let len = mappable(len)?;
        let map = MmapOptions::new().len(len).map_anon()?.into();
        Ok(Self { map, limit: AtomicUsize::new(len), writable: true })
    }

    /// The mapped length in bytes.
    pub(super) fn len(&self) -> u64 {
        self.map.len() as u64
    }

    /// Copies `parts` in, one behind the other, from `at` on.
    #[inline]
    pub(super) fn store(&self, at: u64, parts: &[&[u8]]) {
        let mut len = 0_usize;
        for part in parts {
            len = len.checked_add(part.len()).expect("slices in memory add up to less than usize");
        }
        assert!(self.writable, "stored into a region that was opened for reading");
        let start = self.span(at, len);
        let mut to = self.map.as_mut_ptr().wrapping_add(start);
        for part in parts {
            // SAFETY: `to .. to + part.len()` lies in `start .. start + len`, which `span` found
            // inside the live map; the map is writable (asserted above). `part` is a Rust slice and
            // so never overlaps the map, over which no reference exists (header, 1).
            unsafe { ptr::copy_nonoverlapping(part.as_ptr(), to, part.len()) };
            to = to.wrapping_add(part.len());
        }
    }

    /// Appends `len` bytes from `at` to `into`, without zeroing the room for them first.
    #[inline]
    pub(super) fn load(&self, at: u64, len: usize, into: &mut Vec<u8>) {
        let from = self.map.as_ptr().wrapping_add(self.span(at, len));
        into.reserve(len);
        let to = into.spare_capacity_mut().as_mut_ptr().cast::<u8>();
        // SAFETY: `span` found `from .. from + len` inside the live map; `reserve` made at least
        // `len` bytes of room at `to`, in a vector that cannot overlap the map.
        unsafe { ptr::copy_nonoverlapping(from, to, len) };
        let filled = into.len() + len;
        // SAFETY: `reserve` made the capacity and the copy above initialized the new `len` bytes.
        unsafe { into.set_len(filled) };
    }

    /// Makes the pages of `at..at + len`, clipped to the map, ready to be stored into. A full disk
    /// is `StorageFull`. Where the system cannot do it (Linux before 5.14, other systems) it does
    /// nothing: real allocation at creation is then all there is.
    pub(super) fn populate(&self, at: u64, len: u64) -> io::Result<()> {
        assert!(self.writable, "populated a region that was opened for reading");
        let limit = self.limit.load(Ordering::Relaxed);
        let at = usize::try_from(at).map_or(limit, |at| at.min(limit));
        let len = usize::try_from(len).map_or(limit - at, |len| len.min(limit - at));
        if len == 0 {
            return Ok(());
        }
        self.populate_pages(at, len)
    }

    #[cfg(target_os = "linux")]
    fn populate_pages(&self, at: usize, len: usize) -> io::Result<()> {
        use memmap2::Advice;
        use rustix::io::Errno;
        loop {
            let Err(error) = self.map.advise_range(Advice::PopulateWrite, at, len) else {
                return Ok(());
            };
            match Errno::from_io_error(&error) {
                Some(Errno::INTR) => {}
                Some(Errno::INVAL) => return Ok(()),
                Some(Errno::FAULT) => {
                    return Err(io::Error::new(io::ErrorKind::StorageFull, error));
                }
                _ => return Err(error),
            }
        }
    }

    #[cfg(not(target_os = "linux"))]
    #[expect(clippy::unnecessary_wraps, reason = "the Linux arm can fail")]
    fn populate_pages(&self, _at: usize, _len: usize) -> io::Result<()> {
        Ok(())
    }

    /// Refuses everything at and behind `bytes` from now on.
    pub(super) fn cut(&self, bytes: u64) {
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        self.limit.fetch_min(bytes, Ordering::Relaxed);
    }

    /// Drops this process's pages that lie wholly at or behind `from`. A file's bytes stay in the
    /// file and its cache, which can only then let go of them; an anonymous block's are zero
    /// afterwards and their memory is free.
    #[cfg(target_os = "linux")]
    pub(super) fn drop_pages(&self, from: u64) -> io::Result<()> {
        let from = usize::try_from(from).unwrap_or(usize::MAX);
        let Some(from) = from.checked_next_multiple_of(rustix::param::page_size()) else {
            return Ok(());
        };
        if from >= self.map.len() {
            return Ok(());
        }
        let len = self.map.len() - from;
        let advice = memmap2::UncheckedAdvice::DontNeed;
        // SAFETY: the range is page-aligned and inside the map (checked above). The advice may
        // change bytes of an anonymous block, over which no reference exists (header, 1).
        unsafe { self.map.unchecked_advise_range(advice, from, len) }
    }

    /// Elsewhere the advice is not documented to do this; nothing is dropped.
    #[cfg(not(target_os = "linux"))]
    #[expect(clippy::unnecessary_wraps, reason = "the Linux arm can fail")]
    pub(super) fn drop_pages(&self, _from: u64) -> io::Result<()> {
        Ok(())
    }

    /// Hands the map's dirty pages to the file, where syncing the file does not do that itself.
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    pub(super) fn flush(&self) -> io::Result<()> {
        let len = self.limit.load(Ordering::Relaxed);
        if len == 0 { Ok(()) } else { self.map.flush_range(0, len) }
    }

    /// Where `at..at + len` begins, once it is known to lie inside the limit.
    #[inline]
    fn span(&self, at: u64, len: usize) -> usize {
        let limit = self.limit.load(Ordering::Relaxed);
        match usize::try_from(at) {
            Ok(start) if start.checked_add(len).is_some_and(|end| end <= limit) => start,
            _ => outside(at, len, limit),
        }
    }
}

#[cold]
#[inline(never)]
fn outside(at: u64, len: usize, limit: usize) -> ! {
    panic!("{len} bytes at {at} lie outside a region of {limit}")
}

/// Lengths beyond the address space cannot be mapped; on 64 bits the system says so itself.
fn mappable(len: u64) -> io::Result<usize> {
    isize::try_from(len)
        .map(isize::unsigned_abs)
        .map_err(|_| io::Error::new(io::ErrorKind::FileTooLarge, "larger than the address space"))
}

/// Remembers the process that made it. On Linux a page that a fork wipes holds a non-zero byte, so
/// asking is one load; elsewhere, and where the page is refused, it compares the process id.
#[derive(Debug)]
pub(super) struct ForkGuard {
    page: Option<MmapRaw>,
    process: u32,
}

impl ForkGuard {
    pub(super) fn new() -> Self {
        Self { page: wiped_page(), process: std::process::id() }
    }

    /// Whether the process that asks is not the one that made the guard.
    #[inline]
    pub(super) fn forked(&self) -> bool {
        let Some(page) = &self.page else {
            return std::process::id() != self.process;
        };
        // SAFETY: `wiped_page` mapped this byte, and nothing stores into it after it returned.
        // Volatile, since a fork changes it unseen.
        let mark = unsafe { page.as_ptr().read_volatile() };
        mark == 0
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn wiped_page() -> Option<MmapRaw> {
    use rustix::mm::{Advice, madvise};
    let page = MmapRaw::from(MmapOptions::new().len(1).map_anon().ok()?);
    // SAFETY: the range is the map above, private and anonymous, which the advice asks for; it
    // changes nothing in this process.
    let advised = unsafe { madvise(page.as_mut_ptr().cast(), page.len(), Advice::LinuxWipeOnFork) };
    advised.ok()?;
    // SAFETY: the map above has this one writable byte, known to nobody else yet.
    unsafe { page.as_mut_ptr().write_volatile(1) };
    Some(page)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn wiped_page() -> Option<MmapRaw> {
    None
}

/// Runs `check` in a forked child and gives back its answer.
#[cfg(all(test, unix))]
pub(super) fn in_forked_child(mut check: impl FnMut() -> bool + Send + Sync + 'static) -> bool {
    use std::os::unix::process::CommandExt as _;
    const YES: i32 = 71;
    const NO: i32 = 72;
    let mut command = std::process::Command::new("true");
    // SAFETY: the closures given here read memory and make plain system calls between fork and
    // exec; they take no lock that another thread of the test could have held at the fork.
    unsafe {
        command.pre_exec(move || Err(io::Error::from_raw_os_error(if check() { YES } else { NO })));
    }
    match command.spawn().map_err(|error| error.raw_os_error()) {
        Err(Some(YES)) => true,
        Err(Some(NO)) => false,
        other => panic!("the child did not answer: {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block() -> Mapping {
        Mapping::anonymous(4096).unwrap()
    }

    fn panics(action: impl FnOnce()) -> bool {
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(action)).is_err()
    }

    #[test]
    fn what_is_stored_is_loaded_behind_what_the_vector_held() {
        let block = block();
        block.store(5, &[b"ab", b"", b"cde"]);
        let mut bytes = vec![1];
        block.load(4, 7, &mut bytes);
        assert_eq!(bytes, b"\x01\0abcde\0");
    }

    #[test]
    fn the_last_byte_is_inside_and_the_next_is_not() {
        let block = block();
        block.store(4095, &[b"x"]);
        block.load(4096, 0, &mut Vec::new());
        assert!(panics(|| block.store(4095, &[b"x", b"y"])));
        assert!(panics(|| block.store(u64::MAX, &[b"x"])));
        assert!(panics(|| block.load(4096, 1, &mut Vec::new())));
        assert!(panics(|| block.load(1, usize::MAX, &mut Vec::new())));
        assert!(panics(|| block.load(4097, 0, &mut Vec::new())));
    }

    #[test]
    fn what_was_cut_is_refused_and_the_rest_is_not() {
        let block = block();
        block.cut(100);
        block.cut(200);
        block.store(99, &[b"x"]);
        assert!(panics(|| block.store(100, &[b"x"])));
        assert_eq!(block.len(), 4096);
        block.populate(0, u64::MAX).unwrap();
    }

    #[test]
    fn an_empty_block_holds_nothing() {
        let empty = Mapping::anonymous(0).unwrap();
        empty.load(0, 0, &mut Vec::new());
        empty.populate(0, 1).unwrap();
        assert!(panics(|| empty.load(0, 1, &mut Vec::new())));
    }

    #[test]
    fn a_length_beyond_the_address_space_is_an_error() {
        assert!(Mapping::anonymous(u64::MAX).is_err());
        assert!(Mapping::anonymous(1 << 60).is_err());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn dropped_pages_of_a_block_are_zero_and_the_page_before_is_kept() {
        let page = rustix::param::page_size() as u64;
        let block = Mapping::anonymous(2 * page).unwrap();
        block.store(page - 1, &[b"xy"]);
        block.drop_pages(1).unwrap();
        let mut bytes = Vec::new();
        block.load(page - 1, 2, &mut bytes);
        assert_eq!(bytes, b"x\0");
    }

    #[cfg(unix)]
    #[test]
    fn a_forked_child_is_noticed_with_and_without_the_page() {
        for page in [true, false] {
            let mut guard = ForkGuard::new();
            if !page {
                guard.page = None;
            }
            let guard = std::sync::Arc::new(guard);
            let child = std::sync::Arc::clone(&guard);
            assert!(!guard.forked());
            assert!(in_forked_child(move || child.forked()));
            assert!(!guard.forked());
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_guard_uses_the_wiped_page_here() {
        assert!(ForkGuard::new().page.is_some());
    }
}
