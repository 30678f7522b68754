//! [`NewEntry`]: what goes in.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use crate::clock::wall_micros;
use crate::error::{Error, Result};
use crate::limits::{DURATION_MAX, micros};
use crate::log::Fields;
use crate::subject;

/// A key is at most this long.
pub(crate) const KEY_BYTES_MAX: usize = 4096;
/// An entry has at most this many headers.
pub(crate) const HEADERS_MAX: usize = 64;
/// A header's name is at most this long.
pub(crate) const HEADER_NAME_BYTES_MAX: usize = 255;

/// An entry to append: a payload and, optionally, a subject, a key and headers. It borrows what
/// it is given.
///
/// ```
/// use millstream::NewEntry;
///
/// let entry = NewEntry::new(b"{}").subject("order.created").key("customer-7").header("trace", "a1");
/// # let _ = entry;
/// ```
#[derive(Clone, Debug, Default)]
pub struct NewEntry<'a> {
    pub(crate) payload: &'a [u8],
    pub(crate) subject: Option<&'a str>,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) headers: Vec<(&'a str, &'a [u8])>,
    /// What a dead letter tells of its original.
    pub(crate) letter: Option<&'a [u8]>,
    /// The number of the one group that it is for.
    pub(crate) addressee: Option<u64>,
    pub(crate) delivery: Option<When>,
}

/// When groups are to hand an entry out.
#[derive(Clone, Copy, Debug)]
pub(crate) enum When {
    /// So long after it is appended.
    After(Duration),
    /// Then, in microseconds since 1970.
    At(u64),
}

impl<'a> NewEntry<'a> {
    /// An entry of nothing but `payload`, any bytes, from none to `entry_bytes_max`.
    pub fn new<P: AsRef<[u8]> + ?Sized>(payload: &'a P) -> Self {
        Self { payload: payload.as_ref(), ..Self::default() }
    }

    /// Sets the subject, a name of tokens joined by dots such as `order.created`, at most 255
    /// bytes. (The idea and the rules are those of NATS.)
    #[must_use]
    pub fn subject(mut self, subject: &'a str) -> Self {
        self.subject = Some(subject);
        self
    }

    /// Sets the key, at most 4096 bytes. Entries of one key go to one partition, in order, as long
    /// as the number of partitions does not change.
    #[must_use]
    pub fn key<K: AsRef<[u8]> + ?Sized>(mut self, key: &'a K) -> Self {
        self.key = Some(key.as_ref());
        self
    }

    /// Adds a header: a name of at most 255 bytes, and a value. At most 64 of them; names may
    /// repeat.
    #[must_use]
    pub fn header<V: AsRef<[u8]> + ?Sized>(mut self, name: &'a str, value: &'a V) -> Self {
        self.headers.push((name, value.as_ref()));
        self
    }

    /// Lets groups see the entry so long after it is appended, at most 365 days; see
    /// [`deliver_at`](Self::deliver_at).
    #[must_use]
    pub fn deliver_after(mut self, wait: Duration) -> Self {
        self.delivery = Some(When::After(wait));
        self
    }

    /// Lets groups see the entry at this time, by the wall clock of the stream. Before it, no read of a group hands it out; a group
    /// that comes by earlier goes on behind it and comes back to it. It counts as lag meanwhile.
    /// Readers, subscriptions and [`get`](crate::Stream::get) see it at once. (SQS's delay queues and
    /// `JetStream`'s scheduled messages.)
    ///
    /// ```
    /// use std::time::Duration;
    /// use millstream::{ManualClock, NewEntry, Start, Stream};
    ///
    /// let clock = ManualClock::new();
    /// let stream = Stream::options().clock(clock.clone()).in_memory()?;
    /// let worker = stream.group("mail").open(Start::Earliest)?.join("worker-1")?;
    /// stream.append(NewEntry::new("a reminder").deliver_after(Duration::from_secs(20)))?;
    /// stream.append("a welcome")?;
    /// let welcome = worker.try_read(10)?.into_iter().next().expect("it is due");
    /// assert_eq!(welcome.payload(), b"a welcome");
    /// welcome.ack()?;
    ///
    /// clock.advance(Duration::from_secs(20));
    /// let reminder = worker.try_read(10)?.into_iter().next().expect("it is due");
    /// assert_eq!((reminder.payload(), reminder.attempt()), (&b"a reminder"[..], 1));
    /// # Ok::<(), millstream::Error>(())
    /// ```
    #[must_use]
    pub fn deliver_at(mut self, time: SystemTime) -> Self {
        self.delivery = Some(When::At(wall_micros(time)));
        self
    }

    /// What is stored of an entry that is appended at `now`, microseconds since 1970.
    pub(crate) fn fields(&self, now: u64) -> Fields<'_> {
        let Self { payload, subject, key, headers, letter, addressee, delivery } = self;
        let (letter, addressee) = (*letter, *addressee);
        let due = delivery.map(|when| match when {
            When::After(wait) => now.saturating_add(micros(wait)),
            When::At(time) => time,
        });
        let unique = None;
        Fields { payload, subject: *subject, key: *key, headers, letter, addressee, due, unique }
    }

    /// Checks the entry against its bounds.
    #[inline]
    pub(crate) fn check(&self, bytes_max: u64) -> Result<()> {
        self.check_unique(bytes_max, None)
    }

    /// The same with the key that makes it unique.
    #[inline]
    pub(crate) fn check_unique(&self, bytes_max: u64, unique: Option<&[u8]>) -> Result<()> {
        let fields = Fields { unique, ..self.fields(0) };
        let bytes = fields.encoded_bytes() as u64;
        if bytes > bytes_max {
            return Err(Error::EntryTooLarge { bytes, max: bytes_max });
        }
        if fields.is_plain() { Ok(()) } else { self.check_fields() }
    }

    fn check_fields(&self) -> Result<()> {
        if let Some(subject) = self.subject {
            subject::validate(subject)?;
        }
        let refused =
            |what, reason: Cow<'_, str>| Err(Error::InvalidName { what, reason: reason.into() });
        if self.key.is_some_and(|key| key.len() > KEY_BYTES_MAX) {
            return refused("key", format!("it is over {KEY_BYTES_MAX} bytes long").into());
        }
        if self.headers.len() > HEADERS_MAX {
            return refused("headers", format!("there are more than {HEADERS_MAX}").into());
        }
        for (name, _) in &self.headers {
            if name.is_empty() || name.len() > HEADER_NAME_BYTES_MAX {
                let reason = format!("a name has 1 to {HEADER_NAME_BYTES_MAX} bytes");
                return refused("header", reason.into());
            }
        }
        match self.delivery {
            Some(When::After(wait)) if wait > DURATION_MAX => Err(Error::InvalidOption {
                option: "deliver_after",
                given: format!("{wait:?}").into(),
                bound: "at most 365 days".into(),
            }),
            _ => Ok(()),
        }
    }
}

macro_rules! from_payload {
    ($($payload:ty),*) => {$(
        impl<'a> From<&'a $payload> for NewEntry<'a> {
            fn from(payload: &'a $payload) -> Self {
                Self::new(payload)
            }
        }
    )*};
}

from_payload!([u8], str, String, Vec<u8>);

impl<'a, const N: usize> From<&'a [u8; N]> for NewEntry<'a> {
    fn from(payload: &'a [u8; N]) -> Self {
        Self::new(payload)
    }
}

impl<'a> From<&NewEntry<'a>> for NewEntry<'a> {
    fn from(entry: &NewEntry<'a>) -> Self {
        entry.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_outside_their_bounds_are_refused() {
        let long = "x".repeat(5000);
        let mut many = NewEntry::new("");
        for _ in 0..=HEADERS_MAX {
            many = many.header("a", "");
        }
        for (entry, what) in [
            (NewEntry::new("").key(&long), "key"),
            (NewEntry::new("").header("", "v"), "header"),
            (NewEntry::new("").header(&long[..256], "v"), "header"),
            (NewEntry::new("").subject("a..b"), "subject"),
            (many, "headers"),
        ] {
            let refused = entry.check(1 << 20);
            assert!(
                matches!(refused, Err(Error::InvalidName { what: w, .. }) if w == what),
                "{what}"
            );
        }
        let large = NewEntry::new(&long).check(4999);
        assert!(matches!(large, Err(Error::EntryTooLarge { max: 4999, .. })));
        assert!(
            NewEntry::new(&long).subject("a.b").key("k").header("h", "").check(1 << 20).is_ok()
        );
    }
}
