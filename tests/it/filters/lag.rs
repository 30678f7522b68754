//! The lag of groups with filters, after anything that can happen to them, against a naive count
//! of all entries.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use millstream::{
    Backoff, Consumer, EntryId, Exhausted, Group, ManualClock, NewEntry, OnTrimmed, PendingQuery,
    Start, Stream,
};
use proptest::prelude::*;

use crate::scene::HOUR;

/// What subjects the entries have; the last has none.
const SUBJECTS: [&str; 5] = ["order.paid", "order.sent", "user.created", "x", ""];

type Patterns = &'static [&'static str];
type Wanted = fn(&str) -> bool;

/// The filters, and what they come to.
const FILTERS: [(Patterns, Wanted); 4] = [
    (&["order.*"], |subject| subject.starts_with("order.")),
    (&["user.>", "x"], |subject| subject == "user.created" || subject == "x"),
    (&["nobody"], |_| false),
    (&[], |_| true),
];

#[derive(Clone, Debug)]
enum Op {
    Append(Vec<usize>),
    Read { group: usize, max: u32 },
    Ack { group: usize, picks: Vec<usize> },
    Nack { group: usize, picks: Vec<usize> },
    Reject { group: usize, picks: Vec<usize> },
    Release { group: usize, picks: Vec<usize> },
    Through { group: usize, permille: u64 },
    Skip { group: usize, count: u64 },
    Reset { group: usize, permille: u64 },
    Redrive { group: usize },
    Discard { group: usize },
    Trim { permille: u64 },
    Advance(u64),
    Look(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let group = || 0..FILTERS.len();
    let picks = || prop::collection::vec(0..20_usize, 1..8);
    prop_oneof![
        8 => prop::collection::vec(0..SUBJECTS.len(), 1..30).prop_map(Op::Append),
        8 => (group(), 1..30_u32).prop_map(|(group, max)| Op::Read { group, max }),
        5 => (group(), picks()).prop_map(|(group, picks)| Op::Ack { group, picks }),
        2 => (group(), picks()).prop_map(|(group, picks)| Op::Nack { group, picks }),
        1 => (group(), picks()).prop_map(|(group, picks)| Op::Reject { group, picks }),
        1 => (group(), picks()).prop_map(|(group, picks)| Op::Release { group, picks }),
        1 => (group(), 0..1_000_u64).prop_map(|(group, permille)| Op::Through { group, permille }),
        1 => (group(), 1..40_u64).prop_map(|(group, count)| Op::Skip { group, count }),
        1 => (group(), 0..=1_000_u64).prop_map(|(group, permille)| Op::Reset { group, permille }),
        1 => group().prop_map(|group| Op::Redrive { group }),
        1 => group().prop_map(|group| Op::Discard { group }),
        1 => (0..=1_000_u64).prop_map(|permille| Op::Trim { permille }),
        2 => (1..30_u64).prop_map(Op::Advance),
        2 => group().prop_map(Op::Look),
    ]
}

fn place(offset: u64) -> usize {
    usize::try_from(offset).unwrap()
}

/// One group, and what is known of it.
struct Side {
    group: Group,
    worker: Consumer,
    wanted: Wanted,
    held: BTreeMap<EntryId, millstream::Token>,
    /// Entries that count as done are counted once, unless the group goes back.
    went_back: bool,
}

struct World {
    clock: ManualClock,
    stream: Stream,
    /// The subjects of all that was ever appended.
    subjects: Vec<&'static str>,
    sides: Vec<Side>,
}

impl World {
    fn new(on_trimmed: OnTrimmed) -> Self {
        let clock = ManualClock::new();
        let options = Stream::options().clock(clock.clone()).segment_bytes(4_096);
        let stream = options.in_memory().unwrap();
        // Where a group stays at what was trimmed away, nobody knows any more what that was.
        let went_back = on_trimmed == OnTrimmed::Error;
        let side = |(n, (patterns, wanted)): (usize, (Patterns, Wanted))| {
            let options = stream.group(&format!("g{n}")).session_timeout(HOUR).max_deliveries(2);
            let options = options.on_trimmed(on_trimmed).lease(Duration::from_secs(20));
            let then = if n % 2 == 0 { Exhausted::Park } else { Exhausted::Discard };
            let options =
                options.on_exhausted(then).backoff(Backoff::fixed(Duration::from_secs(9)));
            let options =
                patterns.iter().fold(options, |options, pattern| options.filter(*pattern));
            let group = options.open(Start::Earliest).unwrap();
            let worker = group.join("worker").unwrap();
            Side { group, worker, wanted, held: BTreeMap::new(), went_back }
        };
        let sides = FILTERS.into_iter().enumerate().map(side).collect();
        Self { clock, sides, stream, subjects: Vec::new() }
    }

    fn end(&self) -> u64 {
        self.subjects.len() as u64
    }

    fn start(&self) -> u64 {
        self.stream.info().unwrap().partitions[0].start
    }

    fn step(&mut self, op: &Op) {
        let (end, start) = (self.end(), self.start());
        match op {
            Op::Append(which) => {
                let subjects = which.iter().map(|which| SUBJECTS[*which]);
                self.subjects.extend(subjects.clone());
                let entry = |subject: &'static str| {
                    let entry = NewEntry::new(&[9; 60]);
                    if subject.is_empty() { entry } else { entry.subject(subject) }
                };
                if which.len() % 2 == 0 {
                    self.stream.append_batch(subjects.map(entry)).unwrap();
                } else {
                    self.stream.append_each(subjects.map(entry)).unwrap();
                }
            }
            Op::Read { group, max } => self.read(*group, *max),
            Op::Ack { group, picks } => {
                let tokens = self.picked(*group, picks);
                let _ = self.sides[*group].group.ack(tokens).unwrap();
            }
            Op::Nack { group, picks } => {
                let tokens = self.picked(*group, picks);
                let _ = self.sides[*group].group.nack(tokens).unwrap();
            }
            Op::Reject { group, picks } => {
                // The last attempt is all that parks by token.
                for _ in 0..2 {
                    let tokens = self.picked(*group, picks);
                    let _ = self.sides[*group].group.nack(tokens).unwrap();
                }
            }
            Op::Release { group, picks } => {
                let tokens = self.picked(*group, picks);
                let _ = self.sides[*group].group.release(tokens).unwrap();
            }
            Op::Through { group, permille } if start < end => {
                let id = EntryId::new(0, start + (end - start - 1) * permille / 1_000);
                self.sides[*group].worker.ack_through(id).unwrap();
            }
            Op::Skip { group, count } => {
                let side = &self.sides[*group];
                let floor = side.group.floors().unwrap()[0];
                side.group.skip(0, floor..(floor + count).min(end)).unwrap();
            }
            Op::Reset { group, permille } => {
                let side = &mut self.sides[*group];
                let to = EntryId::new(0, start + (end - start) * permille / 1_000);
                side.went_back |= to.offset() < side.group.info().unwrap().partitions[0].next;
                side.group.reset(Start::At(to)).unwrap();
            }
            Op::Redrive { group } => {
                self.sides[*group].group.redrive(3).unwrap();
            }
            Op::Discard { group } => {
                let group = &self.sides[*group].group;
                let parked: Vec<EntryId> =
                    group.parked(2).unwrap().iter().map(|parked| parked.id).collect();
                group.discard_parked(&parked).unwrap();
            }
            Op::Trim { permille } => {
                self.stream.trim_before(EntryId::new(0, end * permille / 1_000)).unwrap();
            }
            Op::Advance(seconds) => self.clock.advance(Duration::from_secs(*seconds)),
            Op::Look(group) => self.compare(*group),
            Op::Through { .. } => {}
        }
    }

    fn read(&mut self, group: usize, max: u32) {
        let side = &mut self.sides[group];
        // Where the position was trimmed away, the policy may be to say so.
        let Ok(batch) = side.worker.try_read(max) else { return };
        for delivery in batch {
            let subject = self.subjects[place(delivery.id().offset())];
            assert!((side.wanted)(subject), "{} has the subject {subject}", delivery.id());
            assert_eq!(delivery.subject().unwrap_or(""), subject);
            side.held.insert(delivery.id(), delivery.detach());
        }
    }

    fn picked(&self, group: usize, picks: &[usize]) -> Vec<millstream::Token> {
        let held: Vec<_> = self.sides[group].held.values().rev().collect();
        let picked: BTreeSet<usize> = picks.iter().copied().collect();
        picked.into_iter().filter_map(|pick| held.get(pick).map(|token| **token)).collect()
    }

    /// Compares what a group says with a count of all entries.
    fn compare(&self, group: usize) {
        let Side { group, wanted, went_back, .. } = &self.sides[group];
        let info = group.info().unwrap();
        let at = &info.partitions[0];
        let own = |from: u64, to: u64| {
            let subjects = &self.subjects[place(from)..place(to.max(from))];
            subjects.iter().filter(|subject| wanted(subject)).count() as u64
        };
        let pending = group.pending_entries(&PendingQuery::new().max(100_000)).unwrap();
        let undelivered = own(at.next.max(self.start()), self.end());
        assert_eq!(info.undelivered, undelivered);
        assert_eq!(info.lag, pending.len() as u64 + undelivered);
        assert_eq!(info.lag, info.leased + info.delayed + info.due + info.undelivered);
        assert_eq!(info.lag, group.lag().unwrap());
        assert!(pending.iter().all(|entry| wanted(self.subjects[place(entry.id.offset())])));
        let first = pending.first().map_or(at.next, |entry| entry.id.offset());
        assert_eq!(at.floor, first, "the floor is where the first pending entry is");
        // Each entry of the group's is owed, set aside, or counted as something: never two of these.
        if !went_back && at.next >= self.start() {
            let done = info.acked + info.discarded + info.skipped + info.trimmed.entries();
            let all = own(0, self.end());
            assert_eq!(done + info.parked + info.lag, all, "{info:#?}");
        }
    }
}

proptest! {
    #[test]
    fn lag_is_a_count_of_what_matches(
        on_trimmed in prop::sample::select(vec![
            OnTrimmed::Earliest,
            OnTrimmed::Latest,
            OnTrimmed::Error,
        ]),
        ops in prop::collection::vec(op(), 1..120),
    ) {
        let mut world = World::new(on_trimmed);
        for op in &ops {
            world.step(op);
        }
        for group in 0..FILTERS.len() {
            world.compare(group);
            // Whatever was done, the rest is given, and then nothing is owed.
            let side = &world.sides[group];
            side.group.reset(Start::At(EntryId::new(0, world.end()))).unwrap();
            assert_eq!(side.group.lag().unwrap(), 0);
        }
    }
}
