//! redb: a table from a number to a payload, a transaction for each call.
//!
//! `PowerCut` is `Durability::Immediate`. `Kill` is the same over a file whose flush does nothing:
//! redb has no level of its own for it, since under `Durability::None` a commit stays in the process
//! until the next `Immediate` one. That level is measured as [`Unpersisted`] and survives neither.
//! The ack deletes a range of keys. No leases or attempts. Freed pages are used again.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;

use redb::backends::FileBackend;
use redb::{
    Database, Durability, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition,
    WriteTransaction,
};

use crate::queue::{Level, Outcome, Payload, Queue};

const QUEUE: TableDefinition<u64, &[u8]> = TableDefinition::new("queue");

pub(crate) struct Table {
    database: Database,
    durability: Durability,
    /// The key of the next entry.
    next: u64,
}

impl Queue for Table {
    fn open(dir: &Path, level: Level) -> Outcome<Self> {
        std::fs::create_dir_all(dir)?;
        let path = dir.join("queue.redb");
        let database = match level {
            Level::PowerCut => Database::create(path)?,
            Level::Kill => {
                let mut options = OpenOptions::new();
                let file =
                    options.read(true).write(true).create(true).truncate(false).open(path)?;
                Database::builder().create_with_backend(Unflushed(FileBackend::new(file)?))?
            }
        };
        Self::new(database)
    }

    fn push(&mut self, payload: &[u8]) -> Outcome {
        self.insert(std::iter::once(payload))
    }

    fn push_batch(&mut self, payloads: &[Payload]) -> Outcome {
        self.insert(payloads.iter().map(Payload::as_slice))
    }

    fn take_and_ack(&mut self, max: usize, see: &mut dyn FnMut(&[u8])) -> Outcome<usize> {
        let mut keys: Option<(u64, u64)> = None;
        let mut taken = 0;
        for entry in self.database.begin_read()?.open_table(QUEUE)?.range::<u64>(..)?.take(max) {
            let (key, payload) = entry?;
            see(payload.value());
            keys = Some((keys.map_or(key.value(), |(first, _)| first), key.value()));
            taken += 1;
        }
        if let Some((first, last)) = keys {
            let transaction = self.begin()?;
            transaction.open_table(QUEUE)?.retain_in(first..=last, |_, _| false)?;
            transaction.commit()?;
        }
        Ok(taken)
    }
}

impl Table {
    fn new(database: Database) -> Outcome<Self> {
        let transaction = database.begin_write()?;
        let last = transaction.open_table(QUEUE)?.last()?.map(|(key, _)| key.value());
        transaction.commit()?;
        let next = last.map_or(0, |key| key + 1);
        Ok(Self { database, durability: Durability::Immediate, next })
    }

    fn insert<'a>(&mut self, payloads: impl Iterator<Item = &'a [u8]>) -> Outcome {
        let transaction = self.begin()?;
        {
            let mut table = transaction.open_table(QUEUE)?;
            for payload in payloads {
                table.insert(self.next, payload)?;
                self.next += 1;
            }
        }
        transaction.commit()?;
        Ok(())
    }

    fn begin(&self) -> Outcome<WriteTransaction> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(self.durability)?;
        Ok(transaction)
    }
}

/// The table with commits that stay in the process.
pub(crate) struct Unpersisted(Table);

impl Queue for Unpersisted {
    fn open(dir: &Path, level: Level) -> Outcome<Self> {
        let table = Table::open(dir, level)?;
        Ok(Self(Table { durability: Durability::None, ..table }))
    }

    fn push(&mut self, payload: &[u8]) -> Outcome {
        self.0.push(payload)
    }

    fn push_batch(&mut self, payloads: &[Payload]) -> Outcome {
        self.0.push_batch(payloads)
    }

    fn take_and_ack(&mut self, max: usize, see: &mut dyn FnMut(&[u8])) -> Outcome<usize> {
        self.0.take_and_ack(max, see)
    }
}

/// A file that is written and never flushed.
#[derive(Debug)]
struct Unflushed(FileBackend);

impl StorageBackend for Unflushed {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.0.close()
    }
}
