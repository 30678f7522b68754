//! Millstream: a stream of one partition and a group with one worker.
//!
//! `Kill` is `Durability::Os`, `PowerCut` is `Durability::Always`: one flush for an append, a batch
//! or an ack of a hundred. Unlike the peers here it leases each entry to one of any number of
//! workers, counts attempts in a way that survives the kill, and takes acks in any order. It does
//! not give the space of acked entries back.

use std::path::Path;
use std::time::Duration;

use millstream::{Consumer, Durability, Start, Stream};

use crate::queue::{Level, Outcome, Payload, Queue};

pub(crate) struct Mill {
    stream: Stream,
    worker: Consumer,
}

impl Queue for Mill {
    fn open(dir: &Path, level: Level) -> Outcome<Self> {
        let durability = match level {
            Level::Kill => Durability::Os,
            Level::PowerCut => Durability::Always,
        };
        let stream = Stream::options().durability(durability).open(dir)?;
        // The worker says nothing while the others have their turns, which may take long.
        let group = stream.group("rivals").session_timeout(Duration::from_secs(3600));
        let worker = group.open(Start::Earliest)?.join("worker")?;
        Ok(Self { stream, worker })
    }

    fn push(&mut self, payload: &[u8]) -> Outcome {
        self.stream.append(payload)?;
        Ok(())
    }

    fn push_batch(&mut self, payloads: &[Payload]) -> Outcome {
        self.stream.append_batch(payloads)?;
        Ok(())
    }

    fn take_and_ack(&mut self, max: usize, see: &mut dyn FnMut(&[u8])) -> Outcome<usize> {
        let batch = self.worker.try_read(u32::try_from(max)?)?;
        for held in &batch {
            see(held.payload());
        }
        if !batch.is_empty() && !batch.ack_all()?.is_complete() {
            return Err("an ack was refused".into());
        }
        Ok(batch.len())
    }
}
