//! One entry as it was appended, and how it is made up.

use std::time::{Duration, SystemTime};

use crate::entries::Entry;
use crate::entry::NewEntry;
use crate::storage::simulated::random::Random;

/// What subjects entries have.
const SUBJECTS: [&str; 3] = ["order.created", "order.deleted", "users.created"];
/// One entry as it was appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Item {
    payload: Vec<u8>,
    key: Option<Vec<u8>>,
    subject: Option<String>,
    header: Option<Vec<u8>>,
    pub(super) time: SystemTime,
    pub(super) due: Option<SystemTime>,
    pub(super) unique: Option<Vec<u8>>,
}

/// Makes an entry of a number that is never given twice, with this key.
pub(super) type Make = fn(u64, Option<u8>, SystemTime, &mut Random) -> Item;

impl Item {
    /// An entry unlike any other, of at most some 900 bytes, that is appended at `time`.
    pub(super) fn random(
        unique: u64,
        key: Option<u8>,
        time: SystemTime,
        random: &mut Random,
    ) -> Self {
        let length = if random.one_in(12) { 700 } else { random.below(180) };
        let mut payload = format!("{unique}:").into_bytes();
        payload.extend((0..length).map(|_| random.next().to_le_bytes()[0]));
        Self {
            payload,
            key: key.map(|key| vec![b'k', key]),
            subject: random.one_in(3).then(|| random.pick(&SUBJECTS).to_owned()),
            header: random.one_in(5).then(|| unique.to_le_bytes().to_vec()),
            time,
            due: random.one_in(5).then(|| time + Duration::from_secs(random.below(40) as u64)),
            unique: None,
        }
    }

    /// An entry unlike any other, and as long as any other: stale bytes of a torn tail look whole
    /// again only where new frames end as old ones did.
    pub(super) fn uniform(unique: u64, _: Option<u8>, time: SystemTime, _: &mut Random) -> Self {
        let payload = unique.to_le_bytes().to_vec();
        Self { payload, key: None, subject: None, header: None, time, due: None, unique: None }
    }

    pub(super) fn entry(&self) -> NewEntry<'_> {
        let mut entry = NewEntry::new(&self.payload);
        if let Some(key) = &self.key {
            entry = entry.key(key);
        }
        if let Some(subject) = &self.subject {
            entry = entry.subject(subject);
        }
        if let Some(header) = &self.header {
            entry = entry.header("unique", header);
        }
        if let Some(due) = self.due {
            entry = entry.deliver_at(due);
        }
        entry
    }

    pub(super) fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// Whether groups may go past it.
    pub(super) fn is_delayed(&self) -> bool {
        self.due.is_some_and(|due| due > self.time)
    }

    pub(super) fn of(entry: &Entry) -> Self {
        Self {
            payload: entry.payload().to_vec(),
            key: entry.key().map(<[u8]>::to_vec),
            subject: entry.subject().map(str::to_owned),
            header: entry.header("unique").map(<[u8]>::to_vec),
            time: entry.timestamp(),
            due: entry.due(),
            unique: entry.unique_key().map(<[u8]>::to_vec),
        }
    }
}
