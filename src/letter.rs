//! [`DeadLetter`]: what a dead letter tells of the entry it was made of, and its bytes.
//!
//! A dead letter is an entry of another stream with the payload, key, subject and headers of its
//! original, and one field more:
//!
//! ```text
//! | stream u64 | salt u64 | partition u32 | offset u64 | group u64 | attempts u16 | first u64 | last u64 |
//! | group's name | consumer | reason |          each: length u16, UTF-8
//! ```
//!
//! Stream, salt, partition, offset and group number are its *origin*: equal ones are of one
//! failure of one entry, whatever happened to names. Times are microseconds since 1970, 0 if they
//! are not known; a consumer or reason that is not known is empty.

use std::time::SystemTime;

use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

use crate::clock::wall_time;
use crate::id::EntryId;
use crate::limits::{NAME_BYTES_MAX, REASON_BYTES_MAX};

const NUMBERS_BYTES: usize = 8 + 8 + 4 + 8 + 8 + 2 + 8 + 8;
/// A letter's field is at most this long.
pub(crate) const LETTER_BYTES_MAX: usize =
    NUMBERS_BYTES + 3 * 2 + 2 * NAME_BYTES_MAX + REASON_BYTES_MAX;

/// Which entry of which group a dead letter is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Origin {
    /// The stream's number.
    pub(crate) stream: u64,
    pub(crate) id: EntryId,
    /// Of the segment that holds the entry: an id that a power cut took may come again, its
    /// segment's salt does not.
    pub(crate) salt: u64,
    /// The group's number.
    pub(crate) group: u64,
}

/// What a dead letter tells of the entry that a group gave up; see
/// [`Exhausted::DeadLetter`](crate::Exhausted::DeadLetter).
///
/// ```
/// use millstream::{DeadLetter, Exhausted, Start, Stream};
///
/// let letters = Stream::options().in_memory()?;
/// let orders = Stream::options().in_memory()?;
/// orders.append("order 1001")?;
/// let billing =
///     orders.group("billing").on_exhausted(Exhausted::DeadLetter(letters.clone())).open(Start::Earliest)?;
/// for delivery in billing.join("worker-1")?.try_read(1)? {
///     delivery.reject("no such customer")?;
/// }
///
/// let entry = letters.reader(Start::Earliest)?.try_read(1)?.into_iter().next().expect("a letter");
/// let letter = DeadLetter::of(&entry).expect("it is one");
/// assert_eq!(entry.payload(), b"order 1001");
/// assert_eq!((letter.group(), letter.consumer()), ("billing", Some("worker-1")));
/// assert_eq!((letter.attempts(), letter.reason()), (1, Some("no such customer")));
/// # Ok::<(), millstream::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    pub(crate) of: Origin,
    pub(crate) group: Box<str>,
    pub(crate) consumer: Box<str>,
    pub(crate) reason: Box<str>,
    pub(crate) attempts: u16,
    pub(crate) first: u64,
    pub(crate) last: u64,
}

/// What became of an entry that was redriven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Redriven {
    /// The group gets it again, under its own id.
    Available(EntryId),
    /// Nothing: the group is not done with it.
    Open(EntryId),
    /// Its stream no longer held it, so it was appended anew, for this group alone.
    Appended(EntryId),
    /// Nothing: the younger letter of this id tells how the group gave it up again.
    Superseded(EntryId),
}

impl DeadLetter {
    /// The id that the entry has in its own stream.
    pub fn origin(&self) -> EntryId {
        self.of.id
    }

    /// The group that gave it up.
    pub fn group(&self) -> &str {
        &self.group
    }

    /// The consumer that had it last; `None` if that had gone by then.
    pub fn consumer(&self) -> Option<&str> {
        given(&self.consumer)
    }

    /// How often it was handed out.
    pub fn attempts(&self) -> u16 {
        self.attempts
    }

    /// The words with which it was rejected; `None` if its attempts were over.
    pub fn reason(&self) -> Option<&str> {
        given(&self.reason)
    }

    /// When it was first handed out, by the wall clock. `None` if the group had no dead-letter
    /// stream then.
    pub fn first_delivered(&self) -> Option<SystemTime> {
        (self.first > 0).then(|| wall_time(self.first))
    }

    /// When it was last handed out, likewise.
    pub fn last_delivered(&self) -> Option<SystemTime> {
        (self.last > 0).then(|| wall_time(self.last))
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(LETTER_BYTES_MAX / 4);
        let Origin { stream, id, salt, group } = self.of;
        bytes.extend_from_slice(&stream.to_le_bytes());
        bytes.extend_from_slice(&salt.to_le_bytes());
        bytes.extend_from_slice(&id.partition().to_le_bytes());
        bytes.extend_from_slice(&id.offset().to_le_bytes());
        bytes.extend_from_slice(&group.to_le_bytes());
        bytes.extend_from_slice(&self.attempts.to_le_bytes());
        bytes.extend_from_slice(&self.first.to_le_bytes());
        bytes.extend_from_slice(&self.last.to_le_bytes());
        for text in [&self.group, &self.consumer, &self.reason] {
            let length = u16::try_from(text.len()).expect("names and reasons are bounded");
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(text.as_bytes());
        }
        bytes
    }

    /// Reads it back; `None` if it cannot be one.
    pub(crate) fn decode(mut bytes: &[u8]) -> Option<Self> {
        let of = &mut bytes;
        let (stream, salt) = (number(of)?, number(of)?);
        let partition = u32::from_le_bytes(take(of)?);
        let id = EntryId::new(partition, number(of)?);
        let group = number(of)?;
        let attempts = u16::from_le_bytes(take(of)?);
        let (first, last) = (number(of)?, number(of)?);
        let [name, consumer, reason] = [text(of)?, text(of)?, text(of)?];
        let of = Origin { stream, id, salt, group };
        Some(Self { of, group: name, consumer, reason, attempts, first, last })
    }
}

/// What its methods tell, under their names.
impl Serialize for DeadLetter {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let mut fields = to.serialize_struct("DeadLetter", 7)?;
        fields.serialize_field("origin", &self.origin())?;
        fields.serialize_field("group", self.group())?;
        fields.serialize_field("consumer", &self.consumer())?;
        fields.serialize_field("attempts", &self.attempts())?;
        fields.serialize_field("reason", &self.reason())?;
        fields.serialize_field("first_delivered", &self.first_delivered())?;
        fields.serialize_field("last_delivered", &self.last_delivered())?;
        fields.end()
    }
}

fn given(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

fn number(bytes: &mut &[u8]) -> Option<u64> {
    take(bytes).map(u64::from_le_bytes)
}

fn text(bytes: &mut &[u8]) -> Option<Box<str>> {
    let length = u16::from_le_bytes(take(bytes)?);
    let (text, rest) = bytes.split_at_checked(length.into())?;
    *bytes = rest;
    std::str::from_utf8(text).ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> DeadLetter {
        DeadLetter {
            of: Origin { stream: 1 << 60, id: EntryId::new(3, 1842), salt: 9, group: 4 },
            group: "billing".into(),
            consumer: "worker-\u{e9}".into(),
            reason: "".into(),
            attempts: 16,
            first: 7,
            last: 0,
        }
    }

    #[test]
    fn letters_read_back_and_every_cut_is_refused() {
        let bytes = sample().encode();
        assert_eq!(DeadLetter::decode(&bytes), Some(sample()));
        for end in 0..bytes.len() {
            assert_eq!(DeadLetter::decode(&bytes[..end]), None, "cut at {end}");
        }
        assert_eq!((sample().reason(), sample().last_delivered()), (None, None));
    }

    #[test]
    fn the_longest_letter_is_as_long_as_it_may_be() {
        let [name, reason] = [NAME_BYTES_MAX, REASON_BYTES_MAX].map(|bytes| "x".repeat(bytes));
        let name: Box<str> = name.into();
        let letter =
            DeadLetter { group: name.clone(), consumer: name, reason: reason.into(), ..sample() };
        assert_eq!(letter.encode().len(), LETTER_BYTES_MAX);
    }
}
