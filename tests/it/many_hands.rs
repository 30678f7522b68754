//! Partitions that go from thread to thread while all of them work: nobody ever reads a partition
//! that another still holds, nothing is skipped, and each entry is settled once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use millstream::assign::CooperativeSticky;
use millstream::{Batch, Consumer, Delivery, EntryId, Error, Group, Start, Stream};

use crate::scene::HOUR;

const PARTITIONS: u32 = 8;
const PRODUCERS: usize = 2;
/// What each producer appends.
const EACH: usize = 1_500;
/// The names that each thread goes by. One of a single name blocks for as long as it takes; the
/// others look in turn.
const NAMES: [&[&str]; 4] = [&["a", "b"], &["c", "d"], &["e"], &["f"]];
/// Nothing takes that long.
const HANG: Duration = Duration::from_secs(120);

/// Numbers from a seed (`SplitMix64`).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ((mixed ^ (mixed >> 27)) >> 11) % bound
    }
}

/// What all threads know of each partition.
#[derive(Default)]
struct Floor {
    /// Who holds entries of it: a number above 0.
    holder: AtomicU64,
    /// The first offset that nobody has seen.
    next: AtomicU64,
}

/// Holds partitions for as long as entries of them are in hand.
struct Hold<'a> {
    floors: &'a [Floor],
    partitions: BTreeSet<u32>,
}

impl<'a> Hold<'a> {
    fn of(floors: &'a [Floor], who: u64, batch: &Batch) -> Self {
        let partitions: BTreeSet<u32> = batch.iter().map(|held| held.id().partition()).collect();
        for partition in &partitions {
            let before = floors[*partition as usize].holder.swap(who, Ordering::SeqCst);
            assert_eq!(before, 0, "partition {partition} is in two hands");
        }
        for held in batch {
            let (id, floor) = (held.id(), &floors[held.id().partition() as usize]);
            let next = floor.next.load(Ordering::SeqCst);
            assert!(id.offset() <= next, "{id} came before {next}");
            floor.next.store(next.max(id.offset() + 1), Ordering::SeqCst);
        }
        Self { floors, partitions }
    }

    /// Lets go, just before the entries are.
    fn end(self) {
        for partition in &self.partitions {
            self.floors[*partition as usize].holder.store(0, Ordering::SeqCst);
        }
    }
}

/// One thread's part.
struct Worker<'a> {
    group: &'a Group,
    floors: &'a [Floor],
    settled: &'a Mutex<BTreeMap<EntryId, u32>>,
    random: Random,
    done: Sender<usize>,
}

impl Worker<'_> {
    /// Joins under its names, works, leaves, and joins again, until the stream is closed.
    fn work(&mut self, first: u64, names: &[&str]) -> Result<(), Error> {
        loop {
            let join = |name: &&str| self.group.join(name);
            let consumers = names.iter().map(join).collect::<Result<Vec<_>, _>>()?;
            let rounds = 1 + self.random.below(20);
            for _ in 0..rounds {
                for (who, consumer) in (first..).zip(&consumers) {
                    let batch = if names.len() == 1 {
                        consumer.read(7)?
                    } else {
                        consumer.read_timeout(7, Duration::from_millis(1))?
                    };
                    self.settle(who, batch)?;
                }
            }
            for (who, consumer) in (first..).zip(consumers) {
                self.go(who, consumer)?;
            }
        }
    }

    /// Settles a batch, or some of it; the rest comes again.
    fn settle(&mut self, who: u64, batch: Batch) -> Result<(), Error> {
        let hold = Hold::of(self.floors, who, &batch);
        let way = self.random.below(6);
        if way == 0 {
            hold.end();
            drop(batch);
            return Ok(());
        }
        thread::yield_now();
        let mut deliveries: Vec<Delivery> = batch.into_iter().collect();
        let back =
            deliveries.split_off(deliveries.len() - deliveries.len().min(usize::from(way == 1)));
        let ids: Vec<EntryId> = deliveries.iter().map(|delivery| delivery.id()).collect();
        let tokens: Vec<_> = deliveries.into_iter().map(Delivery::detach).collect();
        hold.end();
        back.into_iter().try_for_each(|delivery| delivery.nack_after(Duration::ZERO))?;
        assert!(self.group.ack(tokens)?.is_complete());
        let mut settled = self.settled.lock().unwrap();
        for id in &ids {
            *settled.entry(*id).or_default() += 1;
        }
        self.done.send(ids.len()).unwrap();
        Ok(())
    }

    /// Leaves, at times with entries in hand, which it can settle no longer.
    fn go(&mut self, who: u64, consumer: Consumer) -> Result<(), Error> {
        if self.random.below(2) == 0 {
            drop(consumer);
            return Ok(());
        }
        let batch = consumer.try_read(7)?;
        let hold = Hold::of(self.floors, who, &batch);
        let deliveries: Vec<Delivery> = batch.into_iter().collect();
        hold.end();
        consumer.leave()?;
        for delivery in deliveries {
            let lost = delivery.ack().unwrap_err();
            assert!(lost.is_closed() || matches!(lost, Error::LeaseLost { .. }), "{lost}");
        }
        Ok(())
    }
}

#[test]
fn members_that_come_and_go_never_share_a_partition_and_settle_each_entry_once() {
    let stream = Stream::options().partitions(PARTITIONS).in_memory().unwrap();
    let options = stream.group("g").strategy(CooperativeSticky).lease(HOUR).max_deliveries(1_000);
    let group = options.open(Start::Earliest).unwrap();
    let floors: Vec<Floor> = (0..PARTITIONS).map(|_| Floor::default()).collect();
    let settled = Mutex::new(BTreeMap::new());
    let (done, count) = channel();
    let left = thread::scope(|scope| {
        for producer in 0..PRODUCERS {
            let stream = &stream;
            scope.spawn(move || {
                for number in 0..EACH {
                    stream.append(&format!("{producer}.{number}")).unwrap();
                }
            });
        }
        let mut first = 1;
        for (seed, names) in (0..).zip(NAMES) {
            let (group, floors, settled, done) = (&group, &floors[..], &settled, done.clone());
            scope.spawn(move || {
                let mut worker = Worker { group, floors, settled, random: Random(seed), done };
                let end = worker.work(first, names).unwrap_err();
                assert!(end.is_closed(), "{end}");
            });
            first += names.len() as u64;
        }
        drop(done);
        let mut left = PRODUCERS * EACH;
        while left > 0
            && let Ok(more) = count.recv_timeout(HANG)
        {
            left -= more;
        }
        // Whoever is blocked ends by this, whatever went wrong.
        let seen = group.info().map(|info| (info.acked, info.generation, info.rebalances));
        stream.clone().close().unwrap();
        (left, seen.unwrap())
    });
    let (left, (acked, generation, rebalances)) = left;
    assert_eq!((left, acked), (0, (PRODUCERS * EACH) as u64));
    assert!(generation > 20 && rebalances > 20, "{generation} {rebalances}");
    let settled = settled.into_inner().unwrap();
    assert_eq!(settled.len(), PRODUCERS * EACH);
    assert!(settled.values().all(|count| *count == 1));
}
