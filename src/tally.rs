//! How many reads are blocked, and hooks wait, anywhere in a stream. An append asks this and not each group, so idle
//! groups cost it nothing: one load.
//!
//! The counts are relaxed. What orders them is the lock that both a publisher and a waiting read
//! take; `waiters` tells how.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A count that clones share.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally(Arc<AtomicUsize>);

impl Tally {
    /// Whether nobody waits anywhere. One load.
    #[inline]
    pub(crate) fn is_zero(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }

    /// One more who waits.
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// One less.
    pub(crate) fn subtract(&self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
