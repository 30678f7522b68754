//! fjall: a log-structured tree from a number to a payload.
//!
//! `Kill` is its default: every write goes from its journal to the kernel (`PersistMode::Buffer`).
//! `PowerCut` is `PersistMode::SyncData` for each call. The ack removes each entry, in one batch. A
//! tree reads over what was removed, so the consumer remembers where the oldest entry is; only
//! opening looks for it. No leases or attempts. Compaction gives space back, in threads of its own.

use std::path::Path;

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use crate::queue::{Level, Outcome, Payload, Queue};

pub(crate) struct Tree {
    database: Database,
    queue: Keyspace,
    mode: PersistMode,
    /// The key of the oldest entry, or of the next one if there is none.
    oldest: u64,
    /// The key of the next entry.
    next: u64,
}

impl Queue for Tree {
    fn open(dir: &Path, level: Level) -> Outcome<Self> {
        let mode = match level {
            Level::Kill => PersistMode::Buffer,
            Level::PowerCut => PersistMode::SyncData,
        };
        let database = Database::builder(dir).open()?;
        let queue = database.keyspace("queue", KeyspaceCreateOptions::default)?;
        let next = match queue.last_key_value() {
            Some(last) => number(&last.key()?)? + 1,
            None => 0,
        };
        let oldest = match queue.first_key_value() {
            Some(first) => number(&first.key()?)?,
            None => next,
        };
        Ok(Self { database, queue, mode, oldest, next })
    }

    fn push(&mut self, payload: &[u8]) -> Outcome {
        self.queue.insert(self.next.to_be_bytes(), payload)?;
        self.next += 1;
        // An insert has given the journal to the kernel already.
        if self.mode != PersistMode::Buffer {
            self.database.persist(self.mode)?;
        }
        Ok(())
    }

    fn push_batch(&mut self, payloads: &[Payload]) -> Outcome {
        let mut batch = self.database.batch().durability(Some(self.mode));
        for payload in payloads {
            batch.insert(&self.queue, self.next.to_be_bytes(), payload.as_slice());
            self.next += 1;
        }
        batch.commit()?;
        Ok(())
    }

    fn take_and_ack(&mut self, max: usize, see: &mut dyn FnMut(&[u8])) -> Outcome<usize> {
        let mut acks = self.database.batch().durability(Some(self.mode));
        for entry in self.queue.range(self.oldest.to_be_bytes()..).take(max) {
            let (key, payload) = entry.into_inner()?;
            see(&payload);
            self.oldest = number(&key)? + 1;
            acks.remove(&self.queue, key);
        }
        let taken = acks.len();
        acks.commit()?;
        Ok(taken)
    }
}

/// The number that a key is. Big-endian, so keys are in the order of their numbers.
fn number(key: &[u8]) -> Outcome<u64> {
    Ok(u64::from_be_bytes(key.try_into()?))
}
