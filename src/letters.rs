//! [`LetterQuery`]: which dead letters a call is about; and what it found, [`Letters`], or brought
//! back, [`RedrivenLetters`].

use std::collections::BTreeSet;
use std::ops::{Bound, Range, RangeBounds};
use std::time::SystemTime;

use serde::{Serialize, Serializer};

use crate::error::{Error, Result};
use crate::id::EntryId;
use crate::letter::{DeadLetter, Redriven};
use crate::limits::LETTERS_DEFAULT;
use crate::subject::Filter;

/// Which dead letters of a group a call is about: all in order of their ids, unless it says
/// otherwise, and at most 1,000. What is asked for in several ways has to hold in each.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use millstream::LetterQuery;
///
/// let yesterday = SystemTime::now() - Duration::from_secs(24 * 3600);
/// let query = LetterQuery::new().reason_contains("timeout").since(yesterday).max(100);
/// # let _ = query;
/// ```
#[derive(Clone, Debug)]
#[must_use = "a query does nothing until it is passed to a group"]
pub struct LetterQuery {
    range: (Bound<EntryId>, Bound<EntryId>),
    ids: Option<BTreeSet<EntryId>>,
    subjects: Vec<String>,
    reasons: Vec<String>,
    attempts_over: bool,
    consumer: Option<String>,
    since: Option<SystemTime>,
    max: usize,
}

impl Default for LetterQuery {
    fn default() -> Self {
        Self {
            range: (Bound::Unbounded, Bound::Unbounded),
            ids: None,
            subjects: Vec::new(),
            reasons: Vec::new(),
            attempts_over: false,
            consumer: None,
            since: None,
            max: LETTERS_DEFAULT,
        }
    }
}

impl From<usize> for LetterQuery {
    fn from(max: usize) -> Self {
        Self::default().max(max)
    }
}

impl LetterQuery {
    /// All letters of the group, at most 1,000.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only letters with ids in this range: those that they have themselves, not those of the entries
    /// that they are of. `next..` goes on where a call before ended. Ids are ordered by partition,
    /// then by offset.
    pub fn range(mut self, ids: impl RangeBounds<EntryId>) -> Self {
        self.range = (ids.start_bound().cloned(), ids.end_bound().cloned());
        self
    }

    /// Only these letters, by their own ids. Ids of anything else are passed over.
    pub fn ids(mut self, ids: impl IntoIterator<Item = EntryId>) -> Self {
        self.ids.get_or_insert_default().extend(ids);
        self
    }

    /// Only letters whose subject, which is that of their entry, matches this pattern, or another one
    /// that is set.
    pub fn subject(mut self, pattern: &str) -> Self {
        self.subjects.push(pattern.to_owned());
        self
    }

    /// Only letters of entries that were rejected with words in which this text occurs, or another
    /// one that is set. Upper and lower case differ.
    pub fn reason_contains(mut self, text: &str) -> Self {
        self.reasons.push(text.to_owned());
        self
    }

    /// Only letters without a reason: of entries whose attempts were over, or that were rejected
    /// without a word. Together with [`reason_contains`](Self::reason_contains): these, too.
    pub fn attempts_over(mut self) -> Self {
        self.attempts_over = true;
        self
    }

    /// Only letters of entries that the consumer of this name had last.
    pub fn consumer(mut self, name: &str) -> Self {
        self.consumer = Some(name.to_owned());
        self
    }

    /// Only letters of entries that were last handed out at this time or later, by the wall clock of
    /// the group's stream. Letters that do not know when are left out.
    pub fn since(mut self, time: SystemTime) -> Self {
        self.since = Some(time);
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

    /// What the query asks for, once it is known to be sound.
    ///
    /// # Errors
    /// [`Error::InvalidName`] for a subject that is no pattern, [`Error::TooSmall`].
    pub(crate) fn choice(&self) -> Result<LetterChoice<'_>> {
        if self.max == 0 {
            return Err(Error::TooSmall { what: "the maximum of a query", min: "1" });
        }
        let filter =
            if self.subjects.is_empty() { None } else { Some(Filter::parse(&self.subjects)?) };
        Ok(LetterChoice { query: self, filter })
    }
}

/// A query and its subjects as a filter.
#[derive(Debug)]
pub(crate) struct LetterChoice<'a> {
    query: &'a LetterQuery,
    filter: Option<Filter>,
}

impl LetterChoice<'_> {
    /// The offsets of a partition that the query is about.
    pub(crate) fn offsets(&self, partition: u32) -> Range<u64> {
        let behind = |id: EntryId| EntryId::new(id.partition(), id.offset().saturating_add(1));
        let mut first = match self.query.range.0 {
            Bound::Included(id) => id,
            Bound::Excluded(id) => behind(id),
            Bound::Unbounded => EntryId::new(0, 0),
        };
        let mut end = match self.query.range.1 {
            Bound::Included(id) => Some(behind(id)),
            Bound::Excluded(id) => Some(id),
            Bound::Unbounded => None,
        };
        if let Some(ids) = &self.query.ids {
            let Some((least, greatest)) = ids.first().zip(ids.last()) else { return 0..0 };
            first = first.max(*least);
            end = Some(end.unwrap_or(behind(*greatest)).min(behind(*greatest)));
        }
        let in_partition =
            |id: EntryId, before: u64, after: u64| match id.partition().cmp(&partition) {
                std::cmp::Ordering::Less => before,
                std::cmp::Ordering::Equal => id.offset(),
                std::cmp::Ordering::Greater => after,
            };
        let end = end.map_or(u64::MAX, |end| in_partition(end, 0, u64::MAX));
        in_partition(first, 0, u64::MAX)..end
    }

    /// Whether it is about what stands there, if that turns out to be a letter.
    pub(crate) fn names(&self, id: EntryId) -> bool {
        self.query.ids.as_ref().is_none_or(|ids| ids.contains(&id))
    }

    /// Whether it chooses this letter.
    pub(crate) fn takes(&self, id: EntryId, subject: Option<&str>, letter: &DeadLetter) -> bool {
        let LetterQuery { reasons, attempts_over, consumer, since, .. } = self.query;
        let why = match letter.reason() {
            _ if reasons.is_empty() && !attempts_over => true,
            None => *attempts_over,
            Some(reason) => reasons.iter().any(|text| reason.contains(text)),
        };
        let who = consumer.as_deref().is_none_or(|name| letter.consumer() == Some(name));
        let when = since.is_none_or(|time| letter.last_delivered().is_some_and(|at| at >= time));
        let what = self.filter.as_ref().is_none_or(|filter| filter.matches(subject));
        self.names(id) && why && who && when && what
    }
}

/// One dead letter of a group, in the stream that took it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Letter {
    /// The letter's own id.
    pub id: EntryId,
    /// What it tells of its entry.
    pub letter: DeadLetter,
    /// A younger letter of the same entry in the same partition: the group was given the entry
    /// again, and gave it up again.
    pub superseded_by: Option<EntryId>,
}

/// Dead letters of a group, as [`Group::letters`](crate::Group::letters) found them.
#[derive(Debug, Serialize)]
#[non_exhaustive]
pub struct Letters {
    /// In order of ids.
    pub found: Vec<Letter>,
    /// What could not be read, in order of ids: whether these are letters, and whose, nobody can say.
    /// Each counts as one of those that the query asks for. Errors are serialized as text.
    #[serde(serialize_with = "as_text")]
    pub unreadable: Vec<(EntryId, Error)>,
    /// The first entry that was not looked at any more because there were enough; `None` if the
    /// whole range was looked through.
    pub next: Option<EntryId>,
}

/// What became of the dead letters that [`Group::redrive_letters`](crate::Group::redrive_letters)
/// chose.
#[derive(Debug, Serialize)]
#[must_use = "it says what failed, and where to go on"]
#[non_exhaustive]
pub struct RedrivenLetters {
    /// What became of each letter, by its own id, in order.
    pub redriven: Vec<(EntryId, Redriven)>,
    /// Letters and originals that could not be read, letters that were trimmed meanwhile, and entries
    /// that are too large by now for their stream: by the letter's own id, in order. The others are
    /// not affected. Errors are serialized as text.
    #[serde(serialize_with = "as_text")]
    pub failed: Vec<(EntryId, Error)>,
    /// Where to go on: everything in the range before it is dealt with, and nothing from it on.
    /// `None` if the whole range was looked through.
    pub next: Option<EntryId>,
    /// Why it stopped at `next`, if something ended it that concerns more than one letter: a full
    /// disk or stream, a poisoned or closed stream, a deleted group. `None` if there were enough, or
    /// all were looked through.
    #[serde(serialize_with = "one_as_text")]
    pub stopped: Option<Error>,
}

impl RedrivenLetters {
    /// How many entries the group gets again: under their own ids, or appended anew.
    pub fn count(&self) -> usize {
        let back = |redriven: &Redriven| {
            matches!(redriven, Redriven::Available(_) | Redriven::Appended(_))
        };
        self.redriven.iter().filter(|(_, redriven)| back(redriven)).count()
    }

    /// Notes that nothing was done from the letter at `id` on.
    pub(crate) fn stop(&mut self, id: EntryId, why: Error) {
        self.failed.retain(|(failed, _)| *failed < id);
        (self.next, self.stopped) = (Some(id), Some(why));
    }
}

fn as_text<S: Serializer>(failed: &[(EntryId, Error)], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(failed.iter().map(|(id, error)| (id, error.to_string())))
}

#[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
fn one_as_text<S: Serializer>(stopped: &Option<Error>, to: S) -> Result<S::Ok, S::Error> {
    stopped.as_ref().map(ToString::to_string).serialize(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_of_ids_is_a_range_of_offsets_in_each_partition() {
        let id = EntryId::new;
        let offsets = |query: LetterQuery| {
            let choice = query.choice().unwrap();
            [0, 1, 2].map(|partition| choice.offsets(partition))
        };
        let (all, none) = (0..u64::MAX, true);
        let empty = |ranges: [Range<u64>; 3]| ranges.map(|range| range.is_empty());
        assert_eq!(offsets(LetterQuery::new()), [all.clone(), all.clone(), all.clone()]);
        let from = LetterQuery::new().range(id(1, 5)..);
        assert_eq!(empty(offsets(from.clone())), [none, false, false]);
        assert_eq!(offsets(from)[1..], [5..u64::MAX, all.clone()]);
        let behind = (Bound::Excluded(id(1, 5)), Bound::Included(id(1, 9)));
        let within = LetterQuery::new().range(behind);
        assert_eq!(empty(offsets(within.clone())), [none, false, none]);
        assert_eq!(offsets(within)[1], 6..10);
        assert_eq!(offsets(LetterQuery::new().range(..id(1, 5)))[..2], [all, 0..5]);
        let named = LetterQuery::new().ids([id(1, 7), id(1, 3)]).range(id(0, 0)..id(1, 6));
        assert_eq!(offsets(named)[1], 3..6);
        assert_eq!(empty(offsets(LetterQuery::new().ids([]))), [none; 3]);
        let backward = (Bound::Included(id(2, 0)), Bound::Included(id(1, 0)));
        assert_eq!(empty(offsets(LetterQuery::new().range(backward))), [none; 3]);
    }

    #[test]
    fn what_failed_behind_the_place_where_it_stopped_is_met_again() {
        let id = |offset| EntryId::new(0, offset);
        let failed = [1, 3, 5].map(|offset| (id(offset), Error::Closed)).into();
        let redriven = vec![(id(0), Redriven::Available(id(9)))];
        let mut done = RedrivenLetters { redriven, failed, next: Some(id(7)), stopped: None };
        done.stop(id(3), Error::Forked);
        let failed: Vec<_> = done.failed.iter().map(|(id, _)| id.offset()).collect();
        assert_eq!((failed, done.next, done.count()), (vec![1], Some(id(3)), 1));
        assert!(matches!(done.stopped, Some(Error::Forked)));
    }

    #[test]
    fn a_query_for_nothing_is_refused() {
        let refused = LetterQuery::from(0).choice().unwrap_err();
        assert!(matches!(refused, Error::TooSmall { .. }), "{refused}");
    }
}
