//! The latch that a failed flush trips. After it, nobody knows what is on the disk: the kernel may
//! have dropped the pages it could not write and report success the next time. So the first
//! failure is final for every handle of the stream, until it is opened again and looks.
//!
//! 1. Once tripped, it stays so, with the first cause.
//! 2. Every write checks it before it starts.

use std::sync::{Arc, OnceLock};

use crate::error::{Error, Result};
use crate::observe::{self, Signal, Source};

/// Whether the stream still takes writes.
#[derive(Debug, Default)]
pub(crate) struct Latch {
    cause: OnceLock<Arc<str>>,
    source: Source,
}

impl Latch {
    /// A latch of that stream, not tripped.
    pub(crate) fn new(source: &Source) -> Self {
        Self { source: source.clone(), ..Self::default() }
    }

    /// Refuses if an earlier flush failed.
    #[inline]
    pub(crate) fn check(&self) -> Result<()> {
        match self.cause.get() {
            None => Ok(()),
            Some(cause) => Err(Error::Poisoned { cause: Arc::clone(cause) }),
        }
    }

    /// Refuses all further writes because of `failure`, and says so.
    pub(crate) fn trip(&self, failure: &Error) -> Error {
        let cause = self.cause.get_or_init(|| {
            let cause: Arc<str> = failure.to_string().into();
            observe::note(&self.source, || Signal::Poisoned { cause: Arc::clone(&cause) });
            cause
        });
        Error::Poisoned { cause: Arc::clone(cause) }
    }
}
