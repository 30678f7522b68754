//! Copying a stream while it is in use, and comparing what is stored with its checksums.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use super::Stream;
use crate::backup::{Copied, Progress, VerifyReport};
use crate::error::{Error, Result};
use crate::storage::{Disk, Storage, lies_in};

impl Stream {
    /// Copies the stream into a directory, while it is in use: nobody waits for it. The copy is the stream as it was
    /// at one moment of this call. Every partition is there up to the last entry it had then, and every group knows
    /// what it knew.
    ///
    /// - The directory must not exist, or be empty; the one that it goes into has to be there. It is made under
    ///   another name beside it (`NAME.copying-` and a number) and renamed when it is whole and on the disk:
    ///   whatever happens, there is never half a stream under its name.
    /// - Every frame is compared with its checksum on the way. A damaged stream is not copied.
    /// - Opening the copy is like opening the stream after a clean end: leases and memberships have ended, attempts
    ///   are kept, and so are delays.
    /// - While it is made, files that retention lets go stay on the disk.
    /// - A stream in memory can be copied to a directory, too.
    /// - So can one that is [open for reading only](Stream::open_read_only), while its owner goes on. Under
    ///   [`Always`](crate::Durability::Always) the copy has what is durable. What the owner trims before it is read is not in
    ///   the copy; a group that had a need of it counts it as trimmed. The progress may begin anew, if the owner changes
    ///   groups or partitions at that moment.
    ///
    /// The copy *is* the stream, kept elsewhere: it has the same number, so dead letters find their originals in it.
    /// Use both at a time only to look at one. If both bury dead letters in one stream, a letter that one of them
    /// has written can keep the other from writing its own; and neither takes the other's. Tokens and generations that the stream gave after that moment
    /// mean nothing to the copy.
    ///
    /// ```
    /// use millstream::{Start, Stream};
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let (path, backup) = (dir.path().join("orders"), dir.path().join("orders-backup"));
    /// let stream = Stream::open(&path)?;
    /// stream.append("order 1001")?;
    /// let copied = stream.copy_to(&backup)?;
    /// assert_eq!(copied.entries(), 1);
    ///
    /// stream.append("order 1002")?; // not in the copy
    /// let restored = Stream::open(&backup)?;
    /// assert!(restored.recovery().is_clean());
    /// assert_eq!(restored.info()?.entries(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// In all cases what was made is removed, and the stream is as before.
    /// [`Error::AlreadyExists`]; [`Error::InvalidOption`] if the directory lies in the stream's own, or its name is not
    /// Unicode; [`Error::Corrupt`]; [`Error::DiskFull`] and [`Error::Io`], with the path that tells which side it was;
    /// [`Error::Closed`]; [`Error::Forked`]; of a stream that is open for reading only also [`Error::LimitReached`], if its owner
    /// changes groups or partitions faster than it can be looked at.
    pub fn copy_to(&self, path: impl AsRef<Path>) -> Result<Copied> {
        self.copy_with(path, |_| ControlFlow::Continue(()))
    }

    /// The same, and tells `progress` about every MiB how far it is. What that answers may break it off.
    ///
    /// ```
    /// use std::ops::ControlFlow;
    ///
    /// # let dir = tempfile::tempdir()?;
    /// # let backup = dir.path().join("orders-backup");
    /// # let stream = millstream::Stream::options().in_memory()?;
    /// let copied = stream.copy_with(&backup, |progress| {
    ///     println!("{}: {} of {} bytes", progress.part, progress.done_bytes, progress.total_bytes);
    ///     ControlFlow::Continue(())
    /// })?;
    /// assert_eq!(copied.path, backup);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::BrokenOff`], and those of [`copy_to`](Self::copy_to).
    pub fn copy_with(
        &self,
        path: impl AsRef<Path>,
        mut progress: impl FnMut(Progress<'_>) -> ControlFlow<()>,
    ) -> Result<Copied> {
        let path = path.as_ref();
        let refused = |bound: &str| Error::InvalidOption {
            option: "the directory of a copy",
            given: path.display().to_string().into(),
            bound: bound.into(),
        };
        let path = std::path::absolute(path).map_err(|error| Error::Io {
            doing: "locate",
            path: path.into(),
            source: error,
        })?;
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(refused("one that can be made"));
        };
        let name = name.to_str().ok_or_else(|| refused("of a name in Unicode"))?;
        if lies_in(parent, &self.mill().ground.storage.locate("")) {
            return Err(refused("outside the stream's own directory"));
        }
        let parent: Arc<dyn Storage> = Arc::new(Disk::new(parent.to_owned()));
        self.mill().copy(&parent, name, &mut progress)
    }

    /// Reads every frame of every partition and of every group's journal, and the manifest, from the disk, and
    /// compares them with their checksums. [`verify_with`](Self::verify_with) goes on after damage.
    ///
    /// # Errors
    /// [`Error::Corrupt`] for the first one that does not match, [`Error::Io`] if the disk cannot be read,
    /// [`Error::Closed`], [`Error::Forked`].
    pub fn verify(&self) -> Result<()> {
        self.mill().verify()
    }

    /// The same, past what is damaged: says for each file what was found in it. `progress` is told about every MiB how
    /// far it is, and may break it off; then the report says so. Nothing is written, and the stream may be in use,
    /// or [open for reading only](Stream::open_read_only) beside its owner: what is being written is not taken for damage, and
    /// files that are trimmed meanwhile are left out.
    ///
    /// ```
    /// use std::ops::ControlFlow;
    ///
    /// # let stream = millstream::Stream::options().in_memory()?;
    /// stream.append("order 1001")?;
    /// let report = stream.verify_with(|_| ControlFlow::Continue(()))?;
    /// assert!(report.is_sound() && report.complete);
    /// for damage in report.damage() {
    ///     println!("{damage}");
    /// }
    /// # Ok::<(), millstream::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Io`] if a file cannot be opened or the disk cannot be read, [`Error::Closed`], [`Error::Forked`].
    pub fn verify_with(
        &self,
        mut progress: impl FnMut(Progress<'_>) -> ControlFlow<()>,
    ) -> Result<VerifyReport> {
        self.mill().verify_with(&mut progress)
    }
}
