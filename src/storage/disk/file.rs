//! The calls on files and directories, with what each operating system needs around them.
//!
//! Each arm keeps to what its system documents. Linux and Android allocate by `fallocate`; the
//! others write zeros, which is what their file systems allocate by. `write_at` and `read_at` never
//! move a shared file position.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

use super::super::Access;

/// Opens an existing plain file, without following a link and without waiting for a peer where
/// the name is a pipe's. Gives its length too.
pub(super) fn open(path: &Path, access: Access) -> io::Result<(File, fs::Metadata)> {
    let file = open_plainly(path, access)?;
    let found = file.metadata()?;
    check_plain(path, &found)?;
    Ok((file, found))
}

/// Opens an existing plain file that somebody else owns, without asking for its times: its owner
/// would have to flush new ones.
pub(super) fn open_to_look(path: &Path) -> io::Result<File> {
    let file = open_plainly(path, Access::Look)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use rustix::fs::{AtFlags, FileType, StatxFlags};
        let wanted = StatxFlags::TYPE | StatxFlags::NLINK;
        // A kernel without the call keeps times that cost nothing to ask for.
        if let Ok(found) = rustix::fs::statx(&file, c"", AtFlags::EMPTY_PATH, wanted) {
            let plain = FileType::from_raw_mode(found.stx_mode.into()) == FileType::RegularFile;
            check(path, plain, found.stx_nlink.into())?;
            return Ok(file);
        }
    }
    check_plain(path, &file.metadata()?)?;
    Ok(file)
}

fn open_plainly(path: &Path, access: Access) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(access == Access::Write);
    match no_follow(&mut options).open(path) {
        Ok(file) => Ok(file),
        // A link, a directory or a socket fails in as many ways as there are systems.
        Err(error) => match fs::symlink_metadata(path) {
            Ok(found) if !found.is_file() => Err(not_plain(path, "a plain file")),
            _ => Err(error),
        },
    }
}

/// Makes an empty file that was not there, private to the user.
pub(super) fn create(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    private(no_follow(&mut options)).open(path)
}

/// Opens the lock file, making it if it is not there.
pub(super) fn open_lock(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    match private(no_follow(&mut options)).open(path) {
        Ok(file) => {
            check_plain(path, &file.metadata()?)?;
            Ok(file)
        }
        Err(error) => match fs::symlink_metadata(path) {
            Ok(found) if !found.is_file() => Err(not_plain(path, "a plain file")),
            _ => Err(error),
        },
    }
}

/// Makes a directory, private to the user. One that is there already is no error.
pub(super) fn create_dir(path: &Path) -> io::Result<()> {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "the mode is set on Unix"))]
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    match builder.create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// The error for something that is not `wanted`.
pub(super) fn not_plain(path: &Path, wanted: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{} is not {wanted}", path.display()))
}

/// Refuses anything but a regular file with a single name: a second name is a second way in.
fn check_plain(path: &Path, found: &fs::Metadata) -> io::Result<()> {
    #[cfg(unix)]
    let names = std::os::unix::fs::MetadataExt::nlink(found);
    #[cfg(not(unix))]
    let names = 1;
    check(path, found.is_file(), names)
}

fn check(path: &Path, is_file: bool, names: u64) -> io::Result<()> {
    if !is_file {
        return Err(not_plain(path, "a plain file"));
    }
    // None at all is a file that was removed meanwhile.
    if names > 1 {
        return Err(not_plain(path, "a file with one name"));
    }
    Ok(())
}

/// What tells two files with the same name apart, where the system says.
pub(super) fn identity(found: &fs::Metadata) -> (u64, u64) {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        (found.dev(), found.ino())
    }
    #[cfg(not(unix))]
    {
        let _ = found;
        (0, 0)
    }
}

#[cfg(unix)]
fn no_follow(options: &mut OpenOptions) -> &mut OpenOptions {
    use rustix::fs::OFlags;
    use std::os::unix::fs::OpenOptionsExt as _;
    options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
}

#[cfg(windows)]
fn no_follow(options: &mut OpenOptions) -> &mut OpenOptions {
    use std::os::windows::fs::OpenOptionsExt as _;
    const FILE_FLAG_OPEN_REPARSE_POINT: u32 = 0x0020_0000;
    options.custom_flags(FILE_FLAG_OPEN_REPARSE_POINT)
}

#[cfg(not(any(unix, windows)))]
fn no_follow(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

#[cfg(unix)]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    use std::os::unix::fs::OpenOptionsExt as _;
    options.mode(0o600)
}

#[cfg(not(unix))]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

/// Refuses a length over the process's limit for files before the system is asked: going over it
/// is a signal that ends the process.
pub(super) fn check_limit(bytes: u64) -> io::Result<()> {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit};
        if getrlimit(Resource::Fsize).current.is_some_and(|most| bytes > most) {
            return Err(rustix::io::Errno::FBIG.into());
        }
    }
    // Lengths are signed wherever files are mapped.
    if i64::try_from(bytes).is_err() {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(())
}

/// Makes the file `to` bytes long, of which those behind `from` are zero and take real space.
pub(super) fn allocate(file: &File, from: u64, to: u64) -> io::Result<()> {
    if from == to {
        return Ok(());
    }
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use rustix::fs::FallocateFlags;
        use rustix::io::{Errno, retry_on_intr};
        match retry_on_intr(|| {
            rustix::fs::fallocate(file, FallocateFlags::empty(), from, to - from)
        }) {
            Ok(()) => return Ok(()),
            // A file system without it (NFS before 4.2, some FUSE): fall through to zeros.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
            Err(error) => return Err(error.into()),
        }
    }
    write_zeros(file, from, to)
}

fn write_zeros(file: &File, from: u64, to: u64) -> io::Result<()> {
    const STEP_BYTES: usize = 64 << 10;
    let zeros = vec![0; STEP_BYTES];
    let mut at = from;
    while at < to {
        let step = usize::try_from(to - at).map_or(STEP_BYTES, |rest| rest.min(STEP_BYTES));
        write_at(file, at, &zeros[..step])?;
        at += step as u64;
    }
    Ok(())
}

#[cfg(unix)]
pub(super) fn write_at(file: &File, at: u64, bytes: &[u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::write_all_at(file, bytes, at)
}

#[cfg(unix)]
pub(super) fn read_at(file: &File, at: u64, into: &mut [u8]) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, into, at)
}

/// Reads at `at` until `into` is full or the file ends. Says how much it read.
pub(super) fn read_what_is_there(file: &File, mut at: u64, into: &mut [u8]) -> io::Result<usize> {
    let mut read = 0;
    while read < into.len() {
        #[cfg(unix)]
        let step = std::os::unix::fs::FileExt::read_at(file, &mut into[read..], at);
        #[cfg(windows)]
        let step = std::os::windows::fs::FileExt::seek_read(file, &mut into[read..], at);
        match step {
            Ok(0) => break,
            Ok(done) => {
                read += done;
                at += done as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}

#[cfg(windows)]
pub(super) fn write_at(file: &File, mut at: u64, mut bytes: &[u8]) -> io::Result<()> {
    use std::os::windows::fs::FileExt as _;
    while !bytes.is_empty() {
        match file.seek_write(bytes, at) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(done) => {
                bytes = &bytes[done..];
                at += done as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(windows)]
pub(super) fn read_at(file: &File, at: u64, into: &mut [u8]) -> io::Result<()> {
    match read_what_is_there(file, at, into)? {
        all if all == into.len() => Ok(()),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Asks the system to forget its cached pages of the file. Dirty ones stay.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn forget(file: &File) -> io::Result<()> {
    Ok(rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed)?)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(super) fn forget(_file: &File) -> io::Result<()> {
    Ok(())
}

/// Makes the names in a directory durable.
#[cfg(unix)]
pub(super) fn sync_directory(path: &Path) -> io::Result<()> {
    // Not `no_follow`: the parent of the root may be reached through a link.
    OpenOptions::new().read(true).open(path)?.sync_all()
}

/// Windows offers no such call; NTFS keeps its names in its own journal.
#[cfg(not(unix))]
pub(super) fn sync_directory(_path: &Path) -> io::Result<()> {
    Ok(())
}
