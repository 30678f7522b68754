//! Yaque: a queue of plain files, made for exactly this.
//!
//! `Kill`: a send goes to the kernel at once. A commit stays in the process until the receiver's
//! place is saved, by default every 250 entries, so `save` follows each commit here. That rewrites
//! a file from empty, which ext4 makes wait for the disk; [`Unsaved`] shows what the rest takes, and
//! reads again after a kill what it had acked. `PowerCut`: it has no call that flushes, so it is not
//! measured. One sender and one receiver; the receiver's place is all that is stored, so no leases,
//! attempts or acks out of order, and no checksum of a payload. A kill while the place is rewritten
//! may leave an empty file. The space of read files is given back.

use std::path::Path;

use yaque::{Receiver, ReceiverBuilder, Sender, TryRecvError, TrySendError};

use crate::queue::{Level, Outcome, Payload, Queue};

pub(crate) struct Files {
    sender: Sender,
    receiver: Receiver,
    /// Whether the receiver's place is saved after each commit.
    saves: bool,
}

impl Queue for Files {
    fn open(dir: &Path, level: Level) -> Outcome<Self> {
        if level == Level::PowerCut {
            return Err("yaque does not flush".into());
        }
        // What a killed process leaves has to be unlocked; the receiver's place stays as saved.
        if dir.exists() {
            yaque::recovery::recover(dir)?;
        }
        let sender = Sender::open(dir)?;
        let receiver = ReceiverBuilder::new().save_every_nth(None).save_every(None).open(dir)?;
        Ok(Self { sender, receiver, saves: true })
    }

    fn push(&mut self, payload: &[u8]) -> Outcome {
        self.sender.try_send(payload).map_err(unsent)
    }

    fn push_batch(&mut self, payloads: &[Payload]) -> Outcome {
        self.sender.try_send_batch(payloads).map_err(unsent)
    }

    fn take_and_ack(&mut self, max: usize, see: &mut dyn FnMut(&[u8])) -> Outcome<usize> {
        let batch = match self.receiver.try_recv_batch_up_to(max) {
            Ok(batch) => batch,
            Err(TryRecvError::QueueEmpty) => return Ok(0),
            Err(TryRecvError::Io(error)) => return Err(error.into()),
        };
        for payload in batch.iter() {
            see(payload);
        }
        let taken = batch.len();
        batch.commit()?;
        if self.saves {
            self.receiver.save()?;
        }
        Ok(taken)
    }
}

/// The queue with commits that stay in the process.
pub(crate) struct Unsaved(Files);

impl Queue for Unsaved {
    fn open(dir: &Path, level: Level) -> Outcome<Self> {
        let files = Files::open(dir, level)?;
        Ok(Self(Files { saves: false, ..files }))
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

/// The error without what was not sent, which is borrowed.
fn unsent<T>(error: TrySendError<T>) -> Box<dyn std::error::Error + Send + Sync> {
    match error {
        TrySendError::Io(error) => error.into(),
        TrySendError::QueueFull { .. } => "the queue is full".into(),
    }
}
