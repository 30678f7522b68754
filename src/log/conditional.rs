//! Appending only if the log ends where the caller believes it does.

use super::append::Log;
use super::entry::Draft;
use super::placed::Placed;
use crate::error::Result;

impl Log {
    /// Appends a finished draft if the next offset is `end`; else says what it is instead. No other
    /// append comes between the look and the append.
    pub(crate) fn append_at(
        &self,
        end: u64,
        draft: &Draft,
        time: u64,
    ) -> Result<std::result::Result<Placed, u64>> {
        // Looked at before room is made, too: whoever comes too late changes nothing.
        let found = self.open_writer()?.end;
        if found != end {
            return Ok(Err(found));
        }
        let mut writer = self.make_room(draft.frames_bytes(), time)?;
        if writer.end != end {
            return Ok(Err(writer.end));
        }
        Ok(Ok(self.put_draft(&mut writer, draft, time)))
    }
}
