//! What comes out: [`Entry`], [`View`], and the [`Entries`] of one read.

use std::fmt;
use std::sync::Arc;

use crate::engine::Parcel;
use crate::letter::DeadLetter;

/// What both [`Entry`] and [`View`](crate::View) tell of an entry.
macro_rules! accessors {
    () => {
        /// Where the entry stands.
        #[inline]
        pub fn id(&self) -> $crate::id::EntryId {
            self.parcel.id(self.index)
        }

        /// What was appended.
        #[inline]
        pub fn payload(&self) -> &[u8] {
            self.parcel.payload(self.index)
        }

        /// The key that chose the partition, if there was one.
        pub fn key(&self) -> Option<&[u8]> {
            self.parcel.fields(self.index).find_map(|field| match field {
                $crate::log::Field::Key(key) => Some(key),
                _ => None,
            })
        }

        /// The subject, if there was one.
        pub fn subject(&self) -> Option<&str> {
            self.parcel.fields(self.index).find_map(|field| match field {
                $crate::log::Field::Subject(subject) => Some(subject),
                _ => None,
            })
        }

        /// The headers, in the order they were given.
        pub fn headers(&self) -> impl Iterator<Item = (&str, &[u8])> {
            self.parcel.fields(self.index).filter_map(|field| match field {
                $crate::log::Field::Header(name, value) => Some((name, value)),
                _ => None,
            })
        }

        /// The value of the first header of that name.
        pub fn header(&self, name: &str) -> Option<&[u8]> {
            self.headers().find_map(|(found, value)| (found == name).then_some(value))
        }

        /// When groups are to hand it out, if it was to wait for that:
        /// [`NewEntry::deliver_at`](crate::NewEntry::deliver_at).
        pub fn due(&self) -> Option<std::time::SystemTime> {
            self.parcel.due(self.index).map($crate::clock::wall_time)
        }

        /// The key under which it was appended, if it was by
        /// [`Stream::append_unique`](crate::Stream::append_unique).
        pub fn unique_key(&self) -> Option<&[u8]> {
            self.parcel.fields(self.index).find_map(|field| match field {
                $crate::log::Field::Unique(key) => Some(key),
                _ => None,
            })
        }

        /// When it was appended, by the wall clock of the stream. Clocks jump: order is told by
        /// ids.
        pub fn timestamp(&self) -> std::time::SystemTime {
            $crate::clock::wall_time(self.parcel.time(self.index))
        }
    };
}
/// A stored entry, as readers, subscriptions and `get` return it. A cheap clone that owns its
/// bytes together with the other entries of the same read.
#[derive(Clone)]
pub struct Entry {
    pub(crate) parcel: Arc<Parcel>,
    pub(crate) index: usize,
}

impl Entry {
    accessors!();
}

impl DeadLetter {
    /// What an entry tells as a dead letter; `None` if it is none.
    pub fn of(entry: &Entry) -> Option<Self> {
        entry.parcel.letter(entry.index)
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("id", &self.id().to_string())
            .field("subject", &self.subject())
            .field("payload", &String::from_utf8_lossy(self.payload()))
            .finish_non_exhaustive()
    }
}

/// What a read of a [`Reader`](crate::Reader) or [`Subscription`](crate::Subscription) returns. By value it yields [`Entry`], by
/// reference [`View`], which costs nothing.
#[derive(Clone)]
pub struct Entries {
    parcel: Arc<Parcel>,
}

impl Entries {
    pub(crate) fn new(parcel: Parcel) -> Self {
        Self { parcel: Arc::new(parcel) }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.parcel.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Looks at each entry.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = View<'_>> {
        (0..self.len()).map(|index| View { parcel: &self.parcel, index })
    }
}

impl fmt::Debug for Entries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entries").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl IntoIterator for Entries {
    type Item = Entry;
    type IntoIter = EntriesIter;

    fn into_iter(self) -> EntriesIter {
        EntriesIter { next: 0, end: self.len(), parcel: self.parcel }
    }
}

impl<'a> IntoIterator for &'a Entries {
    type Item = View<'a>;
    type IntoIter = ViewIter<'a>;

    fn into_iter(self) -> ViewIter<'a> {
        ViewIter { parcel: &self.parcel, next: 0, end: self.len() }
    }
}

/// Yields the entries of a read.
#[derive(Debug)]
pub struct EntriesIter {
    parcel: Arc<Parcel>,
    next: usize,
    end: usize,
}

impl Iterator for EntriesIter {
    type Item = Entry;

    #[inline]
    fn next(&mut self) -> Option<Entry> {
        let index = (self.next < self.end).then_some(self.next)?;
        self.next += 1;
        Some(Entry { parcel: Arc::clone(&self.parcel), index })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.end - self.next, Some(self.end - self.next))
    }
}

impl ExactSizeIterator for EntriesIter {}

/// Yields views of the entries of a read.
#[derive(Debug)]
pub struct ViewIter<'a> {
    parcel: &'a Parcel,
    next: usize,
    end: usize,
}

impl<'a> Iterator for ViewIter<'a> {
    type Item = View<'a>;

    #[inline]
    fn next(&mut self) -> Option<View<'a>> {
        let index = (self.next < self.end).then_some(self.next)?;
        self.next += 1;
        Some(View { parcel: self.parcel, index })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.end - self.next, Some(self.end - self.next))
    }
}

impl ExactSizeIterator for ViewIter<'_> {}

/// One entry of a read, looked at where it lies.
#[derive(Clone, Copy)]
pub struct View<'a> {
    pub(crate) parcel: &'a Parcel,
    pub(crate) index: usize,
}

impl View<'_> {
    accessors!();
}

impl fmt::Debug for View<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").field("id", &self.id().to_string()).finish_non_exhaustive()
    }
}
