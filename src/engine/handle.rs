//! What every handle of a stream holds: as long as one is there, the stream is open.

use std::sync::Arc;

use super::mill::Mill;

/// One share in an open stream. The last one closes it.
#[derive(Debug)]
pub(crate) struct Handle {
    pub(crate) mill: Arc<Mill>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        // Whoever cares whether the last flush works calls `close`.
        let _ = self.mill.close();
    }
}
