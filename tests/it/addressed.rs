//! Entries that one group brought back into the log (D9): the others pass them, whatever they do.

use millstream::{
    Consumer, DeadLetter, Durability, Entry, EntryId, Exhausted, Group, NewEntry, Reader, Redriven,
    Retention, Start, Stream,
};

use crate::scene::{HOUR, id, idle, take};

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
    for durability in [Durability::Os, Durability::Always] {
        let letters = Stream::options().in_memory().unwrap();
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
        let reader = three.stream.reader(Start::At(id(101))).unwrap().try_read(9).unwrap();
        assert_eq!(
            reader.into_iter().next().unwrap().payload(),
            b"first",
            "whoever is no group sees it"
        );
        assert_eq!(three.drain(0), [101, 102, 103]);
        let held = take(&three.workers[1]);
        assert_eq!((held.id(), held.attempt()), (id(102), 1));
        assert_eq!(three.standing()[1], (2, 1, 102));
        held.ack().unwrap();
        assert_eq!((three.drain(1), three.drain(2)), (vec![103], vec![102]));
        assert_eq!(three.standing(), [(0, 0, 104); 3]);
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

/// What has to be.
#[derive(Default)]
struct Truth {
    /// For which groups each entry is, from the start.
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

/// A life of the three groups, and what has to be.
struct Life {
    seed: u64,
    random: Random,
    directory: tempfile::TempDir,
    letters: Stream,
    given_up: Reader,
    /// Letters that were not redriven yet.
    ready: Vec<Entry>,
    three: Three,
    truth: Truth,
}

impl Life {
    fn new(seed: u64) -> Self {
        let letters = Stream::options().in_memory().unwrap();
        let directory = tempfile::tempdir().unwrap();
        Self {
            seed,
            random: Random(seed),
            given_up: letters.reader(Start::Earliest).unwrap(),
            ready: Vec::new(),
            three: Three::of(open(directory.path(), Durability::Os), &letters),
            truth: Truth::default(),
            directory,
            letters,
        }
    }

    fn step(self) -> Self {
        let mut life = self;
        match life.random.below(8) {
            0 | 1 => life.append(),
            2 => life.reject(),
            3 if !life.ready.is_empty() => life.redrive(),
            4 => {
                // Only what all have read goes: the letters alone remember it.
                let least = life.truth.next.iter().min().copied().unwrap_or(0);
                life.three.stream.trim_before(id(least as u64)).unwrap();
            }
            5 => return life.reopen(),
            _ => life.read(),
        }
        life
    }

    fn append(&mut self) {
        let batches = if self.random.below(6) == 0 { 120 } else { 1 };
        for _ in 0..batches {
            let count = 1 + self.random.below(80);
            let own: Vec<bool> = (0..count).map(|_| self.random.below(2) == 0).collect();
            let entries = own.iter().map(|own| if *own { order("x") } else { "x".into() });
            self.three.stream.append_batch(entries).unwrap();
            self.truth.own.extend(own.into_iter().map(|own| [true, true, own]));
        }
    }

    fn reject(&mut self) {
        if let Some(held) = self.three.workers[0].try_read(1).unwrap().into_iter().next() {
            self.truth.next[0] = place(held.id()) + 1;
            held.reject("bad").unwrap();
            self.ready.extend(self.given_up.try_read(9).unwrap());
        }
    }

    fn redrive(&mut self) {
        let index = self.random.below(self.ready.len() as u64);
        let letter = self.ready.swap_remove(usize::try_from(index).unwrap());
        match self.three.groups[0].redrive_letter(&letter).unwrap() {
            Redriven::Appended(at) => {
                assert_eq!(at, id(self.truth.own.len() as u64));
                self.truth.own.push([true, false, false]);
            }
            Redriven::Available(at) => {
                let again = take(&self.three.workers[0]);
                assert_eq!(again.id(), at);
                again.ack().unwrap();
            }
            other => panic!("{other:?}"),
        }
    }

    fn reopen(self) -> Self {
        let Three { stream, groups, workers } = self.three;
        drop((groups, workers));
        stream.close().unwrap();
        let stream = open(self.directory.path(), Durability::Os);
        Self { three: Three::of(stream, &self.letters), ..self }
    }

    fn read(&mut self) {
        let index = usize::try_from(self.random.below(3)).unwrap();
        let max = 1 + u32::try_from(self.random.below(2_000)).unwrap();
        let batch = self.three.workers[index].try_read(max).unwrap();
        let Truth { own, next } = &mut self.truth;
        let wanted = (next[index]..own.len()).filter(|offset| own[*offset][index]);
        let got: Vec<usize> = batch.iter().map(|held| place(held.id())).collect();
        assert_eq!(got, wanted.take(got.len()).collect::<Vec<_>>(), "seed {}", self.seed);
        if let Some(last) = got.last() {
            next[index] = last + 1;
        }
        assert!(batch.ack_all().unwrap().is_complete());
    }

    fn check(&self) {
        for (index, (lag, undelivered, _)) in self.three.standing().into_iter().enumerate() {
            let rest = &self.truth.own[self.truth.next[index]..];
            let expected = rest.iter().filter(|own| own[index]).count() as u64;
            assert_eq!([lag, undelivered], [expected; 2], "{}, seed {}", NAMES[index], self.seed);
        }
    }
}

fn place(id: EntryId) -> usize {
    usize::try_from(id.offset()).unwrap()
}

#[test]
fn whatever_happens_each_is_given_its_own_and_counts_it() {
    for seed in 0..4 {
        let mut life = Life::new(seed);
        for _ in 0..80 {
            life = life.step();
            life.check();
        }
        for index in 0..3 {
            life.three.drain(index);
        }
        assert_eq!(life.three.standing(), [(0, 0, life.truth.own.len() as u64); 3], "seed {seed}");
    }
}
