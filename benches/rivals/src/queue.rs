//! [`Queue`]: what all peers have to do, and [`Level`]: what a call that returned is worth.

use std::error::Error;
use std::path::Path;

/// All payloads are this long.
pub(crate) const PAYLOAD_BYTES: usize = 128;
/// Entries in a batch, and of one take.
pub(crate) const BATCH: usize = 100;

pub(crate) type Payload = [u8; PAYLOAD_BYTES];
pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// What is left of the calls that returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// All of them, when the process is killed: they reached the kernel, and nothing is flushed.
    Kill,
    /// All of them, when the power is cut: each call flushes once.
    PowerCut,
}

/// A queue with one producer and one consumer, in a directory of its own.
pub(crate) trait Queue {
    /// Opens or makes the queue in `dir`.
    fn open(dir: &Path, level: Level) -> Outcome<Self>
    where
        Self: Sized;

    /// Adds one entry, as safe as the level says when this returns.
    fn push(&mut self, payload: &[u8]) -> Outcome;

    /// Adds entries as one transaction.
    fn push_batch(&mut self, payloads: &[Payload]) -> Outcome;

    /// Shows at most `max` of the oldest entries to `see`, then acks them: after that they never
    /// come again. Entries that were only shown do. Says how many there were.
    fn take_and_ack(&mut self, max: usize, see: &mut dyn FnMut(&[u8])) -> Outcome<usize>;
}
