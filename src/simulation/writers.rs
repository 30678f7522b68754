//! Appends under conditions in a life: once for each unique key, and behind a known entry.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use super::item::Item;
use super::script::Life;
use super::world::{Partition, Verdict, World};
use crate::clock::Clock;
use crate::error::Error;
use crate::id::{EntryId, Token};

/// No unique key is appended twice within this time.
const WINDOW: Duration = Duration::from_secs(30);
/// So many unique keys there are.
const KEYS: usize = 4;

impl World {
    /// The entry of a unique key that counts now, if there is one.
    pub(super) fn newest(&self, key: &[u8]) -> Option<EntryId> {
        let now = self.clock.wall();
        let counts = |item: &Item| item.unique.as_deref() == Some(key) && item.time + WINDOW > now;
        // Where the first was trimmed, an opening may have let in another, maybe at the same time.
        let counting = self.items().filter(|(_, item)| counts(item));
        let newest = counting.max_by_key(|(id, item)| (item.time, !self.may_be_gone(*id)));
        newest.map(|(id, _)| id)
    }

    /// All that was appended.
    fn items(&self) -> impl Iterator<Item = (EntryId, &Item)> {
        (0..).zip(&self.partitions).flat_map(|(number, partition)| {
            let items = (0..).zip(&partition.items);
            items.map(move |(offset, item)| (EntryId::new(number, offset), item))
        })
    }

    /// Whether an entry may be trimmed.
    fn may_be_gone(&self, id: EntryId) -> bool {
        id.offset() < self.partitions[id.partition() as usize].start as u64
    }

    /// Refuses what was handed out before it was due.
    pub(super) fn check_due(&self, lent: &[(Token, u16)]) -> Verdict {
        let now = self.clock.wall();
        for (id, item) in self.items() {
            let early = item.due.is_some_and(|due| due > now);
            if early && lent.iter().any(|(token, _)| token.id() == id) {
                return Err(format!("{id} was handed out before it was due"));
            }
        }
        Ok(())
    }

    /// No unique key is stored twice within its window.
    pub(super) fn judge_keys(&self) -> Verdict {
        let mut times: BTreeMap<&[u8], Vec<SystemTime>> = BTreeMap::new();
        for (_, item) in self.items().filter(|(id, _)| !self.may_be_gone(*id)) {
            if let Some(key) = &item.unique {
                times.entry(key).or_default().push(item.time);
            }
        }
        for (key, mut times) in times {
            times.sort_unstable();
            if times.windows(2).any(|pair| pair[0] + WINDOW > pair[1]) {
                return Err(format!("{key:?} was stored twice within its window"));
            }
        }
        Ok(())
    }
}

impl Life<'_> {
    /// Appends under a unique key. What the disk holds says whether it is one too many.
    pub(super) fn append_unique(&mut self) -> Verdict {
        let key = self.key();
        let mut item = self.world.item(key);
        let unique = vec![b'u', u8::try_from(self.world.random.below(KEYS)).expect("it is small")];
        item.unique = Some(unique.clone());
        let expected = self.world.newest(&unique);
        let appended = match self.stream.append_unique(item.entry(), &unique, WINDOW) {
            Ok(appended) => appended,
            Err(error) => return self.doubt(&error, vec![item]),
        };
        let id = appended.id;
        match expected {
            Some(first) if appended.duplicate && id == first => self.check_durable(id),
            // An opening finds only what is stored.
            Some(first) if !appended.duplicate && self.world.may_be_gone(first) => {
                self.appended(id.partition(), id.offset(), vec![item])
            }
            None if !appended.duplicate => self.appended(id.partition(), id.offset(), vec![item]),
            _ => Err(format!("{unique:?} is {appended:?}, and was at {expected:?}")),
        }
    }

    /// What is given for a duplicate is as durable as what is appended.
    fn check_durable(&self, id: EntryId) -> Verdict {
        if !self.always() || self.world.disk.is_off() {
            return Ok(());
        }
        let info = self.stream.info().map_err(|error| error.to_string())?;
        let durable = info.partitions[id.partition() as usize].durable_end > id.offset();
        if durable { Ok(()) } else { Err(format!("{id} is a duplicate of what is not durable")) }
    }

    /// Appends behind the last entry, or one that is not.
    pub(super) fn append_behind(&mut self) -> Verdict {
        let item = self.world.item(None);
        let number = self.world.random.below(self.world.partitions.len());
        let count = self.world.partitions[number].items.len() as u64;
        let partition = u32::try_from(number).expect("there are few");
        let last = match count {
            0 => None,
            count => Some(EntryId::new(partition, count - 1)),
        };
        let stale = self.world.random.one_in(4);
        let known = match last {
            Some(last) if stale => {
                (last.offset() > 0).then(|| EntryId::new(partition, last.offset() - 1))
            }
            None if stale => Some(EntryId::new(partition, 0)),
            other => other,
        };
        let appended = match known {
            Some(known) => self.stream.append_if_last(known, item.entry()),
            None => self.stream.append_if_empty(partition, item.entry()),
        };
        match appended {
            Ok(_) if stale => Err(format!("appended behind {known:?}, and {last:?} is the last")),
            Ok(id) => self.appended(id.partition(), id.offset(), vec![item]),
            Err(Error::Conflict { expected, last: found })
                if stale && (expected, found) == (known, last) =>
            {
                Ok(())
            }
            Err(error) => self.doubt(&error, vec![item]),
        }
    }
}

/// Whether a read may go past an entry.
pub(super) fn is_delayed(partitions: &[Partition], id: EntryId) -> bool {
    let offset = usize::try_from(id.offset()).expect("there are few entries");
    let item = partitions[id.partition() as usize].items.get(offset);
    item.is_some_and(Item::is_delayed)
}
