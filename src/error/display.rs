//! How the parts of errors are put into words.

use crate::id::EntryId;

/// An entry, or that there is none.
pub(super) fn or_none(id: Option<EntryId>) -> String {
    id.map_or_else(|| "none".to_owned(), |id| id.to_string())
}
