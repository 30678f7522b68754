//! What a log is told when it is opened.

use std::sync::Arc;

use super::create::Salts;
use super::header::{Head, Owner, OwnerKind};
use crate::error::Error;
use crate::latch::Latch;
use crate::observe::{self, Refusal, Signal, Source, Stopwatch, Which};
use crate::storage::{Access, Storage};
use crate::tally::Tally;

/// What a log needs to know.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) storage: Arc<dyn Storage>,
    /// The log's directory, made with its first segment.
    pub(crate) dir: String,
    pub(crate) owner: Owner,
    pub(crate) latch: Arc<Latch>,
    pub(crate) salts: Arc<Salts>,
    /// How long the first segment is; each next is twice as long, up to `segment_bytes`.
    pub(crate) first_bytes: u64,
    pub(crate) segment_bytes: u64,
    pub(crate) staging: Staging,
    pub(crate) mode: Mode,
    /// How many readers wait anywhere in the stream.
    pub(crate) waiting: Tally,
    /// As what it tells what happens.
    pub(crate) source: Source,
    #[cfg(test)]
    pub(crate) controls: Controls,
}

/// Protections that a test takes away, to see that it would notice.
#[cfg(test)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Controls {
    /// Append behind a torn tail, with the old salt, instead of starting a fresh segment.
    pub(crate) reuse_torn: bool,
    /// Take every bad frame for a torn tail, whatever was known to be synced.
    pub(crate) ignore_floor: bool,
}

/// Whether a log may be changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It is recovered and appended to.
    Write,
    /// It is left as it is, whatever state that is, and read as far as it can be believed.
    Read,
}

/// Whether frames wait in memory for the next flush.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Staging {
    /// Stored into the map at once, visible at once.
    Off,
    /// Written by the flush, visible when they are durable.
    On,
}

impl Settings {
    /// Which kind of log it is, for who is told.
    pub(super) fn which(&self) -> Which {
        match self.owner.kind {
            OwnerKind::Partition => Which::Partition,
            OwnerKind::Journal => Which::Journal,
        }
    }

    /// Notes that the disk had no room, if that is what went wrong.
    #[cold]
    pub(super) fn note_refusal(&self, error: &Error) {
        if error.is_disk_full() {
            observe::note(&self.source, || Signal::Refused(Refusal::DiskFull));
        }
    }

    /// Notes that the log goes on in a new segment.
    pub(super) fn note_roll(&self, head: &Head, watch: &Stopwatch) {
        observe::note(&self.source, || Signal::Rolled {
            which: self.which(),
            sequence: head.sequence,
            bytes: head.capacity,
            took: watch.read(),
        });
    }

    /// The path of a file in the log's directory.
    pub(crate) fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.dir)
    }

    /// How files are opened to be read.
    pub(super) fn access(&self) -> Access {
        match self.mode {
            Mode::Write => Access::Read,
            Mode::Read => Access::Look,
        }
    }

    #[cfg_attr(not(test), expect(clippy::unused_self, reason = "only tests have controls"))]
    pub(crate) fn reuse_torn(&self) -> bool {
        #[cfg(test)]
        return self.controls.reuse_torn;
        #[cfg(not(test))]
        false
    }

    #[cfg_attr(not(test), expect(clippy::unused_self, reason = "only tests have controls"))]
    pub(crate) fn ignore_floor(&self) -> bool {
        #[cfg(test)]
        return self.controls.ignore_floor;
        #[cfg(not(test))]
        false
    }
}
