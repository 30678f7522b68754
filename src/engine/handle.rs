//! What every handle of a stream holds: as long as one is there, the stream is open.

use std::fmt;
use std::sync::Arc;

use super::mill::Mill;

/// One share in an open stream. The last one closes it.
pub(crate) struct Handle {
    pub(crate) mill: Arc<Mill>,
}

impl fmt::Debug for Handle {
    /// Where the stream is: what is behind it would fill pages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.mill.ground.storage.locate("").display())
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // Whoever cares whether the last flush works calls `close`.
        let _ = self.mill.close();
    }
}
