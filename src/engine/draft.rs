//! Where a thread encodes what it appends before it takes a lock.

use std::cell::Cell;

use crate::error::Result;
use crate::log::Draft;

/// A thread keeps no more memory than this for its next batch.
const DRAFT_BYTES_MAX: usize = 1 << 20;

thread_local! {
    /// Where a thread encodes its batches. Taken out while in use, so that an iterator that
    /// appends while its entries are being taken simply finds none.
    static DRAFT: Cell<Option<Box<Draft>>> = const { Cell::new(None) };
}

/// Encodes into the thread's draft.
pub(super) fn with_draft<T>(encode: impl FnOnce(&mut Draft) -> Result<T>) -> Result<T> {
    let mut draft = DRAFT.take().unwrap_or_default();
    draft.clear();
    let encoded = encode(&mut draft);
    if draft.capacity() <= DRAFT_BYTES_MAX {
        DRAFT.set(Some(draft));
    }
    encoded
}
