//! SQLite: a table that is inserted into at the end and deleted from at the front.
//!
//! Both levels are in WAL mode with prepared statements. `Kill` is `synchronous = OFF`: a commit is
//! written and never flushed. `PowerCut` is `synchronous = FULL`: every commit flushes the WAL. The
//! ack deletes a range of ids, which is kind to it: acks out of order would be one delete each. No
//! leases or attempts; both would be columns, and an update with every read. Freed pages are used
//! again.

use std::path::Path;

use rusqlite::Connection;

use crate::queue::{Level, Outcome, Payload, Queue};

const INSERT: &str = "INSERT INTO queue (payload) VALUES (?1)";
const OLDEST: &str = "SELECT id, payload FROM queue ORDER BY id LIMIT ?1";
const DELETE: &str = "DELETE FROM queue WHERE id BETWEEN ?1 AND ?2";

pub(crate) struct Table {
    connection: Connection,
}

impl Queue for Table {
    fn open(dir: &Path, level: Level) -> Outcome<Self> {
        std::fs::create_dir_all(dir)?;
        let connection = Connection::open(dir.join("queue.sqlite"))?;
        let synchronous = match level {
            Level::Kill => "OFF",
            Level::PowerCut => "FULL",
        };
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", synchronous)?;
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS queue (id INTEGER PRIMARY KEY, payload BLOB NOT NULL)",
        )?;
        Ok(Self { connection })
    }

    fn push(&mut self, payload: &[u8]) -> Outcome {
        self.connection.prepare_cached(INSERT)?.execute([payload])?;
        Ok(())
    }

    fn push_batch(&mut self, payloads: &[Payload]) -> Outcome {
        let transaction = self.connection.transaction()?;
        {
            let mut insert = transaction.prepare_cached(INSERT)?;
            for payload in payloads {
                insert.execute([payload.as_slice()])?;
            }
        }
        transaction.commit()?;
        Ok(())
    }

    fn take_and_ack(&mut self, max: usize, see: &mut dyn FnMut(&[u8])) -> Outcome<usize> {
        let mut ids: Option<(i64, i64)> = None;
        let mut taken = 0;
        {
            let mut oldest = self.connection.prepare_cached(OLDEST)?;
            let mut rows = oldest.query([i64::try_from(max)?])?;
            while let Some(row) = rows.next()? {
                let id: i64 = row.get(0)?;
                see(row.get_ref(1)?.as_blob()?);
                ids = Some((ids.map_or(id, |(first, _)| first), id));
                taken += 1;
            }
        }
        if let Some(ids) = ids {
            self.connection.prepare_cached(DELETE)?.execute(ids)?;
        }
        Ok(taken)
    }
}
