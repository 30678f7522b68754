//! Buffers that reads copy into, kept for the next read.
//!
//! 1. At most [`BUFFERS_MAX`] buffers wait, none longer than [`BUFFER_BYTES_MAX`].
//! 2. A buffer comes back when the last entry that lies in it is dropped, from whatever thread.

use parking_lot::Mutex;

use crate::log;

/// So many buffers are kept.
const BUFFERS_MAX: usize = 16;
/// A buffer that grew beyond this is given back to the allocator.
const BUFFER_BYTES_MAX: usize = 1 << 20;

/// The buffers of one stream.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    runs: Mutex<Vec<log::Run>>,
}

impl Pool {
    /// An empty buffer.
    pub(crate) fn take(&self) -> log::Run {
        self.runs.lock().pop().unwrap_or_default()
    }

    /// Keeps a buffer for the next read, unless there are enough.
    pub(crate) fn give(&self, run: log::Run) {
        if run.bytes.capacity() <= BUFFER_BYTES_MAX {
            let mut runs = self.runs.lock();
            if runs.len() < BUFFERS_MAX {
                runs.push(run);
            }
        }
    }
}
