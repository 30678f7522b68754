//! [`Parked`]: an entry that a group set aside; and [`ParkedQuery`], which chooses among them.

use std::collections::BTreeSet;
use std::ops::{Bound, RangeBounds};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::id::EntryId;
use crate::limits::PARKED_DEFAULT;
use crate::subject::Filter;

/// An entry that was set aside after its last attempt, or because it was rejected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Parked {
    /// Which.
    pub id: EntryId,
    /// How often it was handed out.
    pub attempts: u16,
    /// The words with which it was rejected; `None` if its attempts were over.
    pub reason: Option<String>,
    /// Since when it is set aside, by the wall clock.
    pub since: SystemTime,
}

/// Which parked entries a call is about: all in order of their ids, unless it says otherwise, and
/// at most 1,000. A number stands for a query of at most so many.
///
/// ```
/// use millstream::{EntryId, ParkedQuery};
///
/// let query = ParkedQuery::new().range(EntryId::new(0, 0)..EntryId::new(1, 0)).subject("order.*").max(10);
/// # let _ = query;
/// ```
#[derive(Clone, Debug)]
#[must_use = "a query does nothing until it is passed to a group"]
pub struct ParkedQuery {
    range: (Bound<EntryId>, Bound<EntryId>),
    ids: Option<BTreeSet<EntryId>>,
    subjects: Vec<String>,
    max: usize,
}

impl Default for ParkedQuery {
    fn default() -> Self {
        let range = (Bound::Unbounded, Bound::Unbounded);
        Self { range, ids: None, subjects: Vec::new(), max: PARKED_DEFAULT }
    }
}

impl From<usize> for ParkedQuery {
    fn from(max: usize) -> Self {
        Self::default().max(max)
    }
}

impl ParkedQuery {
    /// All parked entries, at most 1,000.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only those with ids in this range.
    pub fn range(mut self, ids: impl RangeBounds<EntryId>) -> Self {
        self.range = (ids.start_bound().cloned(), ids.end_bound().cloned());
        self
    }

    /// Only these. Ids that are not parked are passed over.
    pub fn ids(mut self, ids: impl IntoIterator<Item = EntryId>) -> Self {
        self.ids.get_or_insert_default().extend(ids);
        self
    }

    /// Only entries whose subject matches this pattern, or another one that is set.
    pub fn subject(mut self, pattern: &str) -> Self {
        self.subjects.push(pattern.to_owned());
        self
    }

    /// At most so many.
    pub fn max(mut self, max: usize) -> Self {
        self.max = max;
        self
    }

    pub(crate) fn limit(&self) -> usize {
        self.max
    }

    pub(crate) fn takes(&self, id: EntryId) -> bool {
        let named = self.ids.as_ref().is_none_or(|ids| ids.contains(&id));
        named && self.range.contains(&id)
    }

    /// The first id that can match.
    pub(crate) fn first(&self) -> EntryId {
        match self.range.0 {
            Bound::Included(id) | Bound::Excluded(id) => id,
            Bound::Unbounded => EntryId::new(0, 0),
        }
    }

    pub(crate) fn filter(&self) -> Result<Option<Filter>> {
        if self.subjects.is_empty() { Ok(None) } else { Filter::parse(&self.subjects).map(Some) }
    }
}
