//! [`Durability`]: when a call says that it is done.

use std::time::Duration;

/// When a call that changes something says that it is done.
///
/// The same level holds for appending and for settling.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Durability {
    /// When the operating system has it. Survives a crash or kill of the process, not of the
    /// machine; [`Stream::sync`](crate::Stream::sync) makes what was done so far survive that too.
    #[default]
    Os,
    /// As `Os`, and the first call on the stream (or a blocked read) that finds the oldest
    /// unsynced write older than this flushes everything. A stream that nobody calls is flushed by
    /// `sync`, [`maintain`](crate::Stream::maintain), [`close`](crate::Stream::close) or the drop of
    /// its last handle.
    Every(Duration),
    /// When it is on the disk. Threads that wait at the same time share one flush, and readers see
    /// only what is durable.
    Always,
}
