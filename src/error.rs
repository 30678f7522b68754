//! The one error type, and why a lease can be lost.

mod corruption;
mod lost;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use corruption::Corruption;
pub(crate) use corruption::path_as_text;
pub use lost::{Gone, Lost};

use crate::id::{EntryId, Token};

mod display;

use display::or_none;

/// What a call of this crate gives back.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a call could not be done. Each variant says what happened and what the caller can do.
///
/// "Nothing to read" and "time is up" are not errors: such a read gives an empty batch.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system refused a call. `source` says why; the stream is unchanged unless the
    /// next calls say [`Error::Poisoned`].
    #[error("{doing} {}: {source}", path.display())]
    Io {
        /// What was being done, such as "create".
        doing: &'static str,
        /// The file or directory.
        path: Box<Path>,
        /// What the operating system said.
        source: io::Error,
    },
    /// There is no room for what the call has to write. Nothing changed. Make room; call again.
    #[error("disk full: no room for {bytes} bytes at {}", path.display())]
    DiskFull {
        /// The file that could not be allocated.
        path: Box<Path>,
        /// How much was wanted.
        bytes: u64,
    },
    /// Bytes that were known to be safe on disk no longer match their checksum, or a file is not
    /// what it should be. Nothing is cut or deleted: restore the file from a copy, read around it,
    /// or settle the range with `Group::skip`.
    #[error("corrupt: {0}")]
    Corrupt(Box<Corruption>),
    /// A flush failed earlier, so what is on disk is unknown. All writes are refused until the
    /// directory is opened again, which finds out.
    #[error("poisoned by an earlier failure ({cause}); open the stream again")]
    Poisoned {
        /// The failure.
        cause: Arc<str>,
    },
    /// Somebody else, in this process or another, has the stream open.
    #[error("{} is open elsewhere", path.display())]
    Locked {
        /// The stream's directory.
        path: Box<Path>,
    },
    /// The stream was opened by `open_read_only`, which changes nothing.
    #[error("the stream is open for reading only")]
    ReadOnly,
    /// The handle was carried over a `fork`. Open the stream in the child after the parent closed it.
    #[error("the stream was opened by another process; handles do not survive a fork")]
    Forked,
    /// The stream was closed.
    #[error("the stream is closed")]
    Closed,
    /// The caller's own progress hook broke the copy off. What was made of it was removed.
    #[error("broken off by the caller")]
    BrokenOff,
    /// `create` found something where the stream or group should go.
    #[error("{what} already exists")]
    AlreadyExists {
        /// What is there already.
        what: Box<str>,
    },
    /// `open_existing` found nothing.
    #[error("{what} does not exist")]
    NotFound {
        /// What is missing.
        what: Box<str>,
    },
    /// The directory holds something that is not a stream, or holds a link or special file where a
    /// stream has plain ones. Nothing was touched.
    #[error("{} is not a stream: {reason}", path.display())]
    NotAStream {
        /// The offending path.
        path: Box<Path>,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A newer version of the crate wrote this. Use that version.
    #[error("{} has format {found}; this version reads up to {supported}", path.display())]
    NewerFormat {
        /// The file.
        path: Box<Path>,
        /// The format it states.
        found: u32,
        /// The newest format this version reads.
        supported: u32,
    },
    /// An option that is fixed at creation was given another value.
    #[error("{option} was fixed at creation as {stored}, not {given}")]
    OptionsDiffer {
        /// The option.
        option: &'static str,
        /// The value it has.
        stored: Box<str>,
        /// The value that was asked for.
        given: Box<str>,
    },
    /// An option lies outside its bounds. Nothing was opened.
    #[error("{option} is {given}; it must be {bound}")]
    InvalidOption {
        /// The option.
        option: &'static str,
        /// What was given.
        given: Box<str>,
        /// What is allowed.
        bound: Box<str>,
    },
    /// A name, subject, key, header or filter breaks its rule.
    #[error("{what} refused: {reason}")]
    InvalidName {
        /// What kind of name.
        what: &'static str,
        /// The rule it breaks.
        reason: Box<str>,
    },
    /// The text is not an entry id.
    #[error("{text:?} is not an entry id such as 3-1842")]
    InvalidId {
        /// The text.
        text: Box<str>,
    },
    /// The entry is larger than the stream takes. Raise `entry_bytes_max`, or split it.
    #[error("an entry of {bytes} bytes is over entry_bytes_max, {max}")]
    EntryTooLarge {
        /// Payload, key, subject and headers together.
        bytes: u64,
        /// The stream's bound.
        max: u64,
    },
    /// The codec of a typed stream has no encoding for the value. Nothing was appended.
    #[cfg(feature = "typed")]
    #[error("a {value} cannot be encoded in {codec}: {source}")]
    Unencodable {
        /// The value's type.
        value: &'static str,
        /// What the codec calls itself.
        codec: &'static str,
        /// What the codec said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The batch is larger than one segment can take whole. Split it.
    #[error("a batch of {bytes} bytes is over the bound of {max}")]
    BatchTooLarge {
        /// The batch, encoded.
        bytes: u64,
        /// The stream's bound.
        max: u64,
    },
    /// The keys of a batch choose different partitions, so it cannot be whole. Use `append_each`.
    #[error("the keys of the batch choose partitions {first} and {other}")]
    BatchSpansPartitions {
        /// The partition of the first keyed entry.
        first: u32,
        /// The partition of a later one.
        other: u32,
    },
    /// The partition does not end with the entry that the caller believes to be its last: somebody
    /// else appended. Nothing was appended. Read on to the end, and decide again.
    #[error("the last entry was to be {}, and is {}", or_none(*expected), or_none(*last))]
    Conflict {
        /// What the caller believes; `None` if nothing was to be there.
        expected: Option<EntryId>,
        /// What it is; `None` if nothing was ever appended.
        last: Option<EntryId>,
    },
    /// The key of the entry chooses another partition than the one it was to go to.
    #[error("the key chooses partition {chosen}, and the entry was to go to {named}")]
    KeyElsewhere {
        /// The partition that was named.
        named: u32,
        /// The one that the key chooses.
        chosen: u32,
    },
    /// There is no such partition.
    #[error("partition {partition} of {partitions} does not exist")]
    NoSuchPartition {
        /// The one that was named.
        partition: u32,
        /// How many there are.
        partitions: u32,
    },
    /// A start lies beyond the end of its partition.
    #[error("{start} is beyond the end of its partition, {end}")]
    StartBeyondEnd {
        /// The start.
        start: EntryId,
        /// The offset the next entry will get.
        end: u64,
    },
    /// A read of zero entries, or a wait or lease of no length.
    #[error("{what} must be at least {min}")]
    TooSmall {
        /// What was too small.
        what: &'static str,
        /// The least that is allowed.
        min: &'static str,
    },
    /// A bound of the stream or group is reached; the call changed nothing.
    #[error("{what} is at its bound of {max}")]
    LimitReached {
        /// What is full.
        what: &'static str,
        /// The bound.
        max: u64,
    },
    /// Retention is to keep what groups still need *and* stay within a bound, and groups are too far
    /// behind for both. Nothing was appended. Append again once they have settled more:
    /// `PartitionInfo::held_by` names who has to.
    #[error("the stream is full: {what} are at the bound of {bound}, and groups still need them")]
    StreamFull {
        /// What is bounded, such as "the bytes of a partition".
        what: &'static str,
        /// The bound.
        bound: Box<str>,
    },
    /// The group was deleted.
    #[error("the group was deleted")]
    GroupDeleted,
    /// This consumer is no longer a member: it left, was removed, or its session ended. Join again.
    #[error("the consumer is no longer a member: {why}")]
    NotAMember {
        /// How it went.
        why: Gone,
    },
    /// The partition is not this consumer's. `Consumer::assignment` says which are.
    #[error("partition {partition} is not assigned to the consumer in generation {generation}")]
    NotAssigned {
        /// The partition that was named.
        partition: u32,
        /// The group's generation.
        generation: u64,
    },
    /// The partition was taken from the consumer and given back since it last looked, so what it
    /// knows of it is out of date. Look at `Consumer::assignment`, and decide again.
    #[error("the assignment changed: generation {generation}, the consumer knew {seen}")]
    Fenced {
        /// The generation that the consumer knew of.
        seen: u64,
        /// The group's generation.
        generation: u64,
    },
    /// Another read of this consumer is going on, and its ack mode allows only one at a time.
    #[error("another read of the consumer is going on, and its ack mode allows one at a time")]
    AlreadyReading,
    /// Retention took entries that the group was still to read, and its `on_trimmed` says that
    /// this is an error. `Group::reset` says where it goes on.
    #[error("the group was to go on at {next}, but its partition now starts at {start}")]
    PositionTrimmed {
        /// What it would have read next.
        next: EntryId,
        /// The first offset that is left.
        start: u64,
    },
    /// The group was opened without the strategy that it is used with. Pass it to
    /// `GroupOptions::strategy`.
    #[error("the group uses the strategy {strategy:?}, which has to be passed when it is opened")]
    StrategyMissing {
        /// What the strategy calls itself.
        strategy: Box<str>,
    },
    /// A live member has that name already.
    #[error("a member named {name:?} is in the group")]
    MemberExists {
        /// The name.
        name: Box<str>,
    },
    /// A strategy panicked, or answered with what cannot be. The group was left as it was: no
    /// partition went from one member to another. A member that was to join did not; one that went
    /// is gone, and what it had is nobody's until the strategy is asked again. Correct the strategy,
    /// or open the group with another one.
    #[error("strategy {strategy:?} failed: {reason}; the group was left as it was")]
    StrategyFailed {
        /// Its name; `?` if asking for the name failed.
        strategy: Box<str>,
        /// What it did, with the words of the panic if it had any.
        reason: Box<str>,
    },
    /// An entry was to be redriven that is no dead letter of this group.
    #[error("{id} cannot be redriven: {why}")]
    NotADeadLetter {
        /// The entry.
        id: EntryId,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The lease is no longer the caller's. The entry is in other hands, or done.
    #[error("the lease on {id} is lost: {why}")]
    LeaseLost {
        /// The entry.
        id: EntryId,
        /// How it was lost.
        why: Lost,
    },
    /// The cursor is of another group, or one of that name since deleted. Use `ClaimCursor::START`.
    #[error("the cursor is of another group")]
    ForeignCursor,
    /// A delivery could not be resolved; its lease stands as it was. Settle it later by its token.
    #[error("{} was not settled: {cause}", token.id())]
    Unsettled {
        /// The lease, still valid.
        token: Token,
        /// What went wrong.
        #[source]
        cause: Box<Error>,
    },
}

impl Error {
    /// Whether the disk has no room. The call can be made again once there is some.
    pub fn is_disk_full(&self) -> bool {
        matches!(self.root(), Self::DiskFull { .. })
    }

    /// Whether the stream keeps what groups still need, and takes no more until they settle it.
    pub fn is_stream_full(&self) -> bool {
        matches!(self.root(), Self::StreamFull { .. })
    }

    /// Whether stored bytes are wrong.
    pub fn is_corrupt(&self) -> bool {
        matches!(self.root(), Self::Corrupt(_))
    }

    /// Whether the stream takes no more writes until it is opened again.
    pub fn is_poisoned(&self) -> bool {
        matches!(self.root(), Self::Poisoned { .. })
    }

    /// Whether somebody else appended first.
    pub fn is_conflict(&self) -> bool {
        matches!(self.root(), Self::Conflict { .. })
    }

    /// Whether the caller no longer holds the lease.
    pub fn is_lease_lost(&self) -> bool {
        matches!(self.root(), Self::LeaseLost { .. })
    }

    /// Whether the stream was closed.
    pub fn is_closed(&self) -> bool {
        matches!(self.root(), Self::Closed)
    }

    /// The lease that still stands after a verb of a delivery failed.
    pub fn token(&self) -> Option<Token> {
        match self {
            Self::Unsettled { token, .. } => Some(*token),
            _ => None,
        }
    }

    fn root(&self) -> &Self {
        match self {
            Self::Unsettled { cause, .. } => cause.root(),
            other => other,
        }
    }

    /// Gives an I/O error its place, and a full disk its own variant.
    pub(crate) fn io(doing: &'static str, path: PathBuf, bytes: u64, source: io::Error) -> Self {
        let path = path.into_boxed_path();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::DiskFull { path, bytes }
            }
            _ => Self::Io { doing, path, source },
        }
    }
}

const _: () = assert!(size_of::<Error>() <= 64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_has_its_own_variant() {
        let full = io::Error::from(io::ErrorKind::StorageFull);
        assert!(Error::io("allocate", "x".into(), 7, full).is_disk_full());
        let other = io::Error::from(io::ErrorKind::PermissionDenied);
        assert!(matches!(
            Error::io("allocate", "x".into(), 7, other),
            Error::Io { doing: "allocate", .. }
        ));
    }
}
