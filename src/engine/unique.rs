//! Appending nothing twice: which unique keys were appended lately, and where.
//!
//! The key is a field of its entry, so that check and append are one fact on the disk. What is here is
//! an index of it in memory: read back from the logs when it is first asked, and kept up to date by
//! the appends that follow.
//!
//! # Invariants
//! 1. Every stored entry that has a unique key and is not older than `since` is in the index: where a
//!    key was appended more than once, its newest entry.
//! 2. `by_time` has the same keys as `by_key`, by the time of their entries.
//! 3. `since` is `None` until the logs were read; reading further back only moves it back, and
//!    forgetting forth.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use super::mill::{Got, Mill};
use super::parcel::Parcel;
use crate::durability::Durability;
use crate::entry::{KEY_BYTES_MAX, NewEntry};
use crate::error::{Error, Result};
use crate::id::EntryId;
use crate::limits::{BATCH_BYTES_MAX, UNIQUE_WINDOW_MAX, lasting, micros};
use crate::log::{Bounds, Cursor, Field};
use crate::observe;

/// So many entries are read at a time.
const READ_MAX: u32 = 1_024;

/// The unique keys that were appended lately.
#[derive(Debug)]
pub(crate) struct Unique {
    by_key: HashMap<Arc<[u8]>, Seen>,
    by_time: BTreeSet<(u64, Arc<[u8]>)>,
    keys_max: u64,
    /// The longest window that was asked for, in microseconds.
    window: u64,
    /// From when on all keys are here.
    since: Option<u64>,
}

/// Where and when a key was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    id: EntryId,
    time: u64,
}

impl Unique {
    pub(super) fn new(keys_max: u64) -> Self {
        Self { by_key: HashMap::new(), by_time: BTreeSet::new(), keys_max, window: 0, since: None }
    }

    /// Notes that a key was appended; what is known of it stays if it is newer.
    fn note(&mut self, key: &[u8], seen: Seen) {
        let known = self.by_key.get_key_value(key).map(|(key, known)| (Arc::clone(key), *known));
        let key = match known {
            Some((_, known)) if (known.time, known.id) >= (seen.time, seen.id) => return,
            Some((key, known)) => {
                self.by_time.remove(&(known.time, Arc::clone(&key)));
                key
            }
            None => Arc::from(key),
        };
        self.by_time.insert((seen.time, Arc::clone(&key)));
        self.by_key.insert(key, seen);
    }

    /// Forgets the keys that are older than `keep`.
    fn forget(&mut self, now: u64, keep: u64) {
        let Some(since) = self.since else { return };
        let since = since.max(oldest(now, keep));
        while let Some((time, _)) = self.by_time.first()
            && *time < since
        {
            let (_, key) = self.by_time.pop_first().expect("it was just there");
            self.by_key.remove(&key);
        }
        self.since = Some(since);
    }

    /// The entry of a key, if it was appended within the window. One whose time is yet to come was:
    /// the clock was set back since.
    fn find(&self, key: &[u8], now: u64, window: u64) -> Option<EntryId> {
        let seen = self.by_key.get(key)?;
        (seen.time >= oldest(now, window)).then_some(seen.id)
    }

    /// Makes room for one more key.
    fn make_room(&mut self, key: &[u8], now: u64) -> Result<()> {
        if self.by_key.len() as u64 >= self.keys_max {
            self.forget(now, self.window);
        }
        self.check_room(key)
    }

    /// Refuses one more key if there is no room for it.
    fn check_room(&self, key: &[u8]) -> Result<()> {
        if self.by_key.len() as u64 >= self.keys_max && !self.by_key.contains_key(key) {
            let what = "the number of unique keys within their window";
            return Err(Error::LimitReached { what, max: self.keys_max });
        }
        Ok(())
    }
}

impl Mill {
    /// Appends an entry unless one of that key was appended within the window. Says where it is, and
    /// whether it was there before.
    pub(crate) fn append_unique(
        &self,
        entry: &NewEntry<'_>,
        key: &[u8],
        window: Duration,
    ) -> Result<(EntryId, bool)> {
        let _told = observe::afterwards();
        self.ground.check_write()?;
        check(key, window)?;
        let _calls = self.hooks_afterwards();
        let mut unique = self.unique.lock();
        let now = self.ground.time.wall_micros();
        let window = micros(window);
        self.look_back(&mut unique, oldest(now, window))?;
        unique.window = unique.window.max(window);
        // A little more is kept, so that a clock that is set back a little reads nothing anew.
        let keep = unique.window + unique.window / 4;
        unique.forget(now, keep);
        if let Some(id) = unique.find(key, now, window) {
            drop(unique);
            // The first append may still be on its way to the disk.
            if self.ground.durability == Durability::Always {
                let log = self.ground.log(id.partition())?;
                if log.flush_to(id.offset() + 1)? {
                    self.ring(id.partition());
                }
            }
            return Ok((id, true));
        }
        unique.make_room(key, now)?;
        let (partition, placed) = self.place_at(entry, now, Some(key))?;
        let id = EntryId::new(partition, placed.first);
        unique.note(key, Seen { id, time: now });
        drop(unique);
        self.settle(partition, placed)?;
        Ok((id, false))
    }

    /// Makes sure that all keys that were appended at `since` or later are known.
    fn look_back(&self, unique: &mut Unique, since: u64) -> Result<()> {
        if unique.since.is_some_and(|known| known <= since) {
            return Ok(());
        }
        for (partition, log) in (0..).zip(self.ground.logs.iter()) {
            let mut cursor = Cursor::at(log.since(since)?);
            loop {
                let mut parcel = Parcel::new(&self.ground.pool);
                let bounds = Bounds { entries: READ_MAX, bytes: BATCH_BYTES_MAX, before: u64::MAX };
                match self.read(partition, &mut cursor, bounds, &mut parcel)? {
                    Got::Entries(0) => break,
                    Got::Entries(_) => unique.learn(&parcel, since)?,
                    Got::Trimmed { start } => cursor.seek(start),
                }
            }
        }
        unique.since = Some(since);
        Ok(())
    }
}

impl Unique {
    /// Notes the keys of entries that were read back.
    fn learn(&mut self, parcel: &Parcel, since: u64) -> Result<()> {
        for index in 0..parcel.len() {
            let key = parcel.fields(index).find_map(|field| match field {
                Field::Unique(key) => Some(key),
                _ => None,
            });
            let seen = Seen { id: parcel.id(index), time: parcel.time(index) };
            if let Some(key) = key.filter(|_| seen.time >= since) {
                self.check_room(key)?;
                self.note(key, seen);
            }
        }
        Ok(())
    }
}

/// The earliest time that lies within a window which ends now.
fn oldest(now: u64, window: u64) -> u64 {
    now.checked_sub(window).map_or(0, |edge| edge + 1)
}

fn check(key: &[u8], window: Duration) -> Result<()> {
    lasting("window", window)?;
    if window > UNIQUE_WINDOW_MAX {
        let bound = "at most 7 days".into();
        return Err(Error::InvalidOption {
            option: "window",
            given: format!("{window:?}").into(),
            bound,
        });
    }
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        let reason = format!("it has {} bytes; 1 to {KEY_BYTES_MAX} are allowed", key.len());
        return Err(Error::InvalidName { what: "unique key", reason: reason.into() });
    }
    Ok(())
}
