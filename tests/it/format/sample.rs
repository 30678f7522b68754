//! A stream with something of everything, as each version of the format is written and read.

use std::path::Path;
use std::time::{Duration, SystemTime};

use millstream::assign::{Assign, Assignment, Handover, View};
use millstream::{
    Backoff, Consumer, EntryId, Exhausted, Group, ManualClock, NewEntry, Retention, Start, Stream,
};

/// Entries that the sample stream has, by the way they were appended.
pub(crate) const SINGLE: u64 = 100;
pub(crate) const BATCHED: u64 = 30;
/// Entries that the group `billing` read.
pub(crate) const READ: u64 = 60;
/// Entries that were trimmed before the groups `billing` and `audit` were made.
pub(crate) const TRIMMED: u64 = 43;
/// Entries that the group `shipping` settled through an id.
pub(crate) const THROUGH: u64 = 4;
/// Entries that the group `audit` read; one of them is a dead letter.
pub(crate) const AUDITED: u64 = 5;
pub(crate) const REVOCATION_TIMEOUT: Duration = Duration::from_secs(45);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

pub(crate) fn clock() -> ManualClock {
    ManualClock::at(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000))
}

/// A strategy of the user's own: partitions in turn, one after the other.
#[derive(Debug)]
pub(crate) struct InTurn;

impl Assign for InTurn {
    fn name(&self) -> &'static str {
        "in-turn"
    }

    fn handover(&self) -> Handover {
        Handover::Cooperative
    }

    fn assign(&self, view: &View) -> Assignment {
        let members = view.members().len();
        Assignment::Owners((0..view.partitions() as usize).map(|p| p % members).collect())
    }
}

/// What was written, which keeps leases and memberships.
pub(crate) struct Sample {
    pub(crate) stream: Stream,
    /// The stream that takes the dead letters.
    pub(crate) letters: Stream,
    pub(crate) billing: Group,
    members: Vec<Consumer>,
    audit: Group,
}

impl Sample {
    /// Ends it in good order.
    pub(crate) fn close(self) {
        self.stream.close().unwrap();
        drop((self.members, self.audit));
        self.letters.close().unwrap();
    }
}

/// Writes the streams `orders` and `letters` into a directory.
pub(crate) fn write(dir: &Path) -> Sample {
    let clock = clock();
    let retention = Retention::keep_all().bytes(1 << 30).age(HOUR * 24 * 365).entries(1 << 20);
    let options = Stream::options().partitions(2).segment_bytes(4096).clock(clock.clone());
    let options = options.retention(retention.ignore_idle_groups_after(HOUR));
    let stream = options.create(dir.join("orders")).unwrap();
    for n in 0..SINGLE {
        let (text, key) = (format!("order {n}"), format!("customer-{}", n % 7));
        let full = NewEntry::new(&text).subject("order.created").key(&key).header("trace", &key);
        let _id = if n % 2 == 0 { stream.append(full) } else { stream.append(&text) }.unwrap();
    }
    let texts: Vec<String> = (0..BATCHED).map(|n| format!("batched {n}")).collect();
    stream.append_batch(texts.iter().map(|text| NewEntry::new(text).key("k"))).unwrap();

    let mut members = write_shipping(&stream, &clock);
    let (billing, worker) = write_billing(&stream);
    members.push(worker);
    let letters = Stream::options().segment_bytes(4096).clock(clock.clone());
    let letters = letters.create(dir.join("letters")).unwrap();
    let (audit, worker) = writeaudit(&stream, &letters);
    members.push(worker);
    members.push(write_mender(&letters));
    Sample { stream, letters, billing, members, audit }
}

/// A group whose members own partitions, and to which happens all that can happen to such.
fn write_shipping(stream: &Stream, clock: &ManualClock) -> Vec<Consumer> {
    let options = stream.group("shipping").strategy(InTurn).lease(HOUR);
    let options = options.revocation_timeout(REVOCATION_TIMEOUT);
    let group = options.create(Start::Earliest).unwrap();
    let first = group.join("packer-1").unwrap();
    assert_eq!(first.ack_through(EntryId::new(1, THROUGH - 1)).unwrap(), THROUGH);
    let held = first.try_read(200).unwrap();
    // Partition 1 goes to the second member once the first had time enough to let go of it.
    let second = group.join("packer-2").unwrap();
    clock.advance(REVOCATION_TIMEOUT);
    second.heartbeat().unwrap();
    assert_eq!(second.assignment().unwrap(), [1]);
    assert!(!held.ack_all().unwrap().is_complete(), "partition 1 was lost");
    group.reset_partition(0, Start::Earliest).unwrap();
    assert_eq!(stream.trim_before(EntryId::new(0, 53)).unwrap(), TRIMMED);
    assert_eq!(group.info().unwrap().trimmed.entries(), TRIMMED);
    vec![first, second]
}

/// A work queue with an entry in each state.
fn write_billing(stream: &Stream) -> (Group, Consumer) {
    let options = stream.group("billing").backoff(Backoff::fixed(HOUR));
    let group = options.open(Start::Earliest).unwrap();
    let worker = group.join("worker-1").unwrap();
    let batch = worker.try_read(u32::try_from(READ).unwrap()).unwrap();
    for (n, delivery) in batch.into_iter().enumerate() {
        match n {
            0 => delivery.nack().unwrap(),
            1 => delivery.reject("bad").unwrap(),
            2..10 => drop(delivery.detach()),
            _ => delivery.ack().unwrap(),
        }
    }
    (group, worker)
}

/// A group with a filter, which gave an entry to the dead letters and is paused.
fn writeaudit(stream: &Stream, letters: &Stream) -> (Group, Consumer) {
    let waits = Backoff::steps([Duration::from_secs(1), Duration::from_secs(60)]);
    let options = stream.group("audit").filter("refund.>").filter("order.*");
    let options = options.backoff(waits.jitter(0.25).seed(7)).max_in_flight_bytes(1 << 20);
    let options = options.on_exhausted(Exhausted::DeadLetter(letters.clone()));
    let group = options.open(Start::Earliest).unwrap();
    let worker = group.join("auditor").unwrap();
    let batch = worker.try_read(u32::try_from(AUDITED).unwrap()).unwrap();
    for (n, delivery) in batch.into_iter().enumerate() {
        match n {
            0 => delivery.reject("no such customer").unwrap(),
            1 => delivery.nack().unwrap(),
            _ => delivery.ack().unwrap(),
        }
    }
    assert_eq!(group.info().unwrap().dead_lettered, 1);
    group.pause_for(HOUR).unwrap();
    (group, worker)
}

/// A group that reads the dead letters, and behind them an entry with a time and a key of its own.
fn write_mender(letters: &Stream) -> Consumer {
    let later = NewEntry::new("later").key("k").deliver_after(HOUR);
    assert!(!letters.append_unique(later, "once", HOUR).unwrap().duplicate);
    let worker = letters.group("mender").open(Start::Earliest).unwrap().join("me").unwrap();
    let found = worker.try_read(10).unwrap();
    assert_eq!(found.len(), 1, "the other one waits");
    assert!(found.ack_all().unwrap().is_complete());
    worker
}
