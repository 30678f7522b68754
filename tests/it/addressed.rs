//! Entries that one group brought back into the log (D9): the others pass them, whatever they do.

use millstream::{
    Consumer, DeadLetter, Durability, EntryId, Exhausted, Group, NewEntry, Redriven, Retention,
    Start, Stream,
};

use crate::scene::{HOUR, id, idle, seen, take};

/// Three groups of one stream: one that gives up what it rejects, one that takes the rest, and one
/// with a filter.
struct Three {
    stream: Stream,
    groups: Vec<Group>,
    workers: Vec<Consumer>,
}

const NAMES: [&str; 3] = ["own", "other", "picky"];

impl Three {
    fn of(stream: Stream, letters: &Stream) -> Self {
        let open = |name| {
            let options = stream.group(name).session_timeout(HOUR);
            match name {
                "own" => options.on_exhausted(Exhausted::DeadLetter(letters.clone())),
                "picky" => options.filter("order.*"),
                _ => options,
            }
            .open(Start::Earliest)
            .unwrap()
        };
        let groups: Vec<Group> = NAMES.into_iter().map(open).collect();
        let workers = groups.iter().map(|group| group.join("w").unwrap()).collect();
        Self { stream, groups, workers }
    }

    /// Lag, undelivered entries and floor of each.
    fn standing(&self) -> Vec<(u64, u64, u64)> {
        let of = |group: &Group| {
            let info = group.info().unwrap();
            assert_eq!(group.lag().unwrap(), info.lag);
            (info.lag, info.undelivered, info.partitions[0].floor)
        };
        self.groups.iter().map(of).collect()
    }

    /// Reads and acks all there is for one; says which.
    fn drain(&self, index: usize) -> Vec<u64> {
        let mut all = Vec::new();
        loop {
            let batch = self.workers[index].try_read(1_000).unwrap();
            if batch.is_empty() {
                return all;
            }
            all.extend(batch.iter().map(|held| held.id().offset()));
            assert!(batch.ack_all().unwrap().is_complete());
        }
    }
}

fn order(payload: &str) -> NewEntry<'_> {
    NewEntry::new(payload).subject("order.new")
}

fn open(path: &std::path::Path, durability: Durability) -> Stream {
    Stream::options().segment_bytes(4096).durability(durability).open(path).unwrap()
}

/// The first entry is rejected and gone, all others are settled, and 101 is brought back.
fn brought_back(stream: Stream, letters: &Stream) -> Three {
    let three = Three::of(stream, letters);
    three.stream.append(order("first")).unwrap();
    take(&three.workers[0]).reject("bad").unwrap();
    for _ in 0..100 {
        three.stream.append(&[0; 200]).unwrap();
    }
    for index in 0..3 {
        three.drain(index);
    }
    assert!(three.stream.trim_before(id(90)).unwrap() > 0);
    assert_eq!(three.standing(), [(0, 0, 101); 3]);
    let letter = letters.reader(Start::Earliest).unwrap().try_read(1).unwrap();
    let letter = letter.into_iter().next().unwrap();
    assert_eq!(DeadLetter::of(&letter).unwrap().origin(), id(0));
    assert_eq!(three.groups[0].redrive_letter(&letter).unwrap(), Redriven::Appended(id(101)));
    three
}

fn in_memory() -> (Three, Stream) {
    let letters = Stream::options().in_memory().unwrap();
    let stream = Stream::options().segment_bytes(4096).in_memory().unwrap();
    (brought_back(stream, &letters), letters)
}

#[test]
fn what_is_brought_back_is_for_its_group_alone() {
    let letters = Stream::options().in_memory().unwrap();
    for durability in [Durability::Os, Durability::Always] {
        let directory = tempfile::tempdir().unwrap();
        let three = brought_back(open(directory.path(), durability), &letters);
        assert_eq!(three.standing(), [(1, 1, 101), (0, 0, 101), (0, 0, 101)]);
        three.stream.append(order("next")).unwrap();
        three.stream.append("last").unwrap();
        let expected = [(3, 3, 101), (2, 2, 101), (1, 1, 101)];
        assert_eq!(three.standing(), expected);
        let Three { stream, groups, workers } = three;
        drop((groups, workers));
        stream.close().unwrap();

        let three = Three::of(open(directory.path(), durability), &letters);
        assert_eq!(three.standing(), expected);
        let reader = three.stream.reader(Start::At(id(101))).unwrap();
        let mut read = reader.try_read(9).unwrap().into_iter();
        assert_eq!(read.next().unwrap().payload(), b"first", "whoever is no group sees it");
        assert_eq!(three.drain(0), [101, 102, 103]);
        assert_eq!(seen(&three.workers[1].try_read(1).unwrap()), [(102, 1)]);
        assert_eq!(three.standing()[1], (2, 1, 102));
        assert_eq!(three.drain(2), [102]);
        three.workers[1].try_read(9).unwrap().ack_all().unwrap().is_complete();
        three.drain(1);
        assert_eq!(three.standing(), [(0, 0, 104); 3]);
        letters.trim().unwrap();
    }
}

#[test]
fn the_others_pass_it_also_if_nothing_follows() {
    let (three, _letters) = in_memory();
    assert!(idle(&three.workers[1]) && idle(&three.workers[2]));
    assert_eq!(three.standing(), [(1, 1, 101), (0, 0, 102), (0, 0, 102)]);
    let back = take(&three.workers[0]);
    assert_eq!((back.id(), back.attempt()), (id(101), 1));
    assert_eq!(three.standing()[0], (1, 0, 101));
    back.ack().unwrap();
    assert_eq!(three.standing(), [(0, 0, 102); 3]);
}

#[test]
fn it_counts_for_nobody_else_whatever_moves_the_position() {
    for way in 0..4 {
        let (three, _letters) = in_memory();
        for _ in 0..40 {
            three.stream.append(&[0; 200]).unwrap();
        }
        let (group, worker) = (&three.groups[1], &three.workers[1]);
        match way {
            0 => {
                take(worker).release().unwrap();
                assert_eq!(worker.ack_through(id(105)).unwrap(), 4);
            }
            1 => assert_eq!(worker.ack_through(id(105)).unwrap(), 4),
            2 => assert_eq!(group.skip(0, 101..106).unwrap(), 4),
            _ => {
                group.reset(Start::At(id(106))).unwrap();
                assert_eq!(group.info().unwrap().skipped, 4);
            }
        }
        assert_eq!(three.standing()[1], (36, 36, 106), "way {way}");
        group.reset(Start::At(id(100))).unwrap();
        assert_eq!(three.standing()[1], (41, 41, 100), "way {way}");
        assert_eq!(three.drain(1).len(), 41);
    }
}

#[test]
fn it_is_not_lost_to_the_others_by_a_trim() {
    let (three, _letters) = in_memory();
    for _ in 0..100 {
        three.stream.append(&[0; 200]).unwrap();
    }
    let gone = three.stream.trim_before(id(190)).unwrap();
    assert!(gone > 20);
    let start = three.stream.info().unwrap().partitions[0].start;
    let unread: Vec<u64> =
        three.groups.iter().map(|group| group.info().unwrap().trimmed.unread).collect();
    assert_eq!(unread, [start - 101, start - 102, 0]);
    assert_eq!(
        three.standing().iter().map(|it| it.0).collect::<Vec<_>>(),
        [202 - start, 202 - start, 0]
    );
    assert_eq!(three.drain(1), (start..202).collect::<Vec<_>>());
}

#[test]
fn it_holds_the_log_for_its_own_group_alone() {
    let letters = Stream::options().in_memory().unwrap();
    let options = Stream::options().segment_bytes(4096).retention(Retention::settled());
    let three = brought_back(options.in_memory().unwrap(), &letters);
    for _ in 0..60 {
        three.stream.append(&[0; 200]).unwrap();
    }
    three.stream.trim().unwrap();
    // Nobody reads them; each goes on as far as it needs nothing.
    let floors: Vec<u64> = three.standing().iter().map(|it| it.2).collect();
    assert_eq!(floors, [101, 102, 162]);
}

/// As the others would tell it.
#[derive(Default)]
struct Truth {
    /// For whom each entry is, from the start.
    own: Vec<[bool; 3]>,
    /// Where each group reads on.
    next: [usize; 3],
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (self.0 >> 33) % bound
    }
}

fn random_life(seed: u64) {
    let mut random = Random(seed);
    let letters = Stream::options().in_memory().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let mut three = Three::of(open(directory.path(), Durability::Os), &letters);
    let mut truth = Truth::default();
    let given_up = letters.reader(Start::Earliest).unwrap();
    let mut ready = Vec::new();
    for step in 0..150 {
        match random.below(8) {
            0 | 1 => {
                let count = if random.below(4) == 0 { 5_000 } else { 1 + random.below(30) };
                for _ in 0..count {
                    let matches = random.below(2) == 0;
                    let entry = if matches { order("x") } else { NewEntry::new("x") };
                    three.stream.append(entry).unwrap();
                    truth.own.push([true, true, matches]);
                }
            }
            2 => {
                if let Some(held) = three.workers[0].try_read(1).unwrap().into_iter().next() {
                    truth.next[0] = held.id().offset() as usize + 1;
                    held.reject("bad").unwrap();
                    ready.extend(given_up.try_read(9).unwrap());
                }
            }
            3 if !ready.is_empty() => {
                let letter = ready.swap_remove(random.below(ready.len() as u64) as usize);
                match three.groups[0].redrive_letter(&letter).unwrap() {
                    Redriven::Appended(at) => {
                        assert_eq!(at, id(truth.own.len() as u64));
                        truth.own.push([true, false, false]);
                    }
                    Redriven::Available(at) => {
                        let again = take(&three.workers[0]);
                        assert_eq!(again.id(), at);
                        again.ack().unwrap();
                    }
                    other => panic!("{other:?}"),
                }
            }
            4 => {
                // Only what all have read goes, so that the letters alone remember it.
                let least = truth.next.iter().min().copied().unwrap_or(0);
                three.stream.trim_before(EntryId::new(0, least as u64)).unwrap();
            }
            5 => {
                let Three { stream, groups, workers } = three;
                drop((groups, workers));
                stream.close().unwrap();
                three = Three::of(open(directory.path(), Durability::Os), &letters);
            }
            _ => {
                let index = random.below(3) as usize;
                let max = 1 + random.below(2_000) as u32;
                let batch = three.workers[index].try_read(max).unwrap();
                let wanted = (truth.next[index]..truth.own.len())
                    .filter(|offset| truth.own[*offset][index])
                    .map(|offset| offset as u64);
                let got: Vec<u64> = batch.iter().map(|held| held.id().offset()).collect();
                assert_eq!(got, wanted.take(got.len()).collect::<Vec<_>>(), "step {step}");
                if let Some(last) = got.last() {
                    truth.next[index] = *last as usize + 1;
                }
                assert!(batch.ack_all().unwrap().is_complete());
            }
        }
        let standing = three.standing();
        for index in 0..3 {
            let rest = &truth.own[truth.next[index]..];
            let lag = rest.iter().filter(|own| own[index]).count() as u64;
            assert_eq!((standing[index].0, standing[index].1), (lag, lag), "{index}, step {step}");
        }
    }
    for index in 0..3 {
        three.drain(index);
    }
    assert_eq!(three.standing(), [(0, 0, truth.own.len() as u64); 3]);
}

#[test]
fn whatever_happens_each_is_given_its_own_and_counts_it() {
    for seed in 0..12 {
        println!("seed {seed}");
        random_life(seed);
    }
}
