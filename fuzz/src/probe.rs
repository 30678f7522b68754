//! Doing everything a user can do with a stream whose files were tampered with.
//!
//! What has to hold, whatever the bytes are: no panic, no error but those that tell of damage, no
//! reading without end, no entry twice or out of order. If no sum was forged, every entry that
//! comes out is the one that went in, and a stream that opened, read well and closed opens again.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use millstream::{
    Batch, Consumer, EntryId, Error, Group, ManualClock, PendingQuery, Reader, Start, Stream, View,
};

use crate::sample::{Files, Place, clock};

/// More than fits in any directory that an input can make.
const ENTRIES_MAX: usize = 100_000;
/// Of so many partitions each is looked at; a stream can have thousands, all but two of them empty.
const PARTITIONS_MAX: usize = 16;
/// How often a group is read, and how much at once.
const ROUNDS: u32 = 12;
const BATCH: u32 = 40;
const APPENDED: &[u8] = b"appended by the probe";

/// What an entry says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Content {
    payload: Vec<u8>,
    subject: Option<String>,
    key: Option<Vec<u8>>,
    headers: Vec<(String, Vec<u8>)>,
}

impl Content {
    fn of(view: &View<'_>) -> Self {
        Self {
            payload: view.payload().to_vec(),
            subject: view.subject().map(str::to_owned),
            key: view.key().map(<[u8]>::to_vec),
            headers: view.headers().map(|(n, v)| (n.to_owned(), v.to_vec())).collect(),
        }
    }
}

/// The entries that a stream may hold; `None` if sums were forged and any may.
pub(crate) type Known = Option<&'static BTreeMap<(u32, u64), Content>>;

/// The entries of a stream that is unharmed.
pub(crate) fn everything(stream: &Stream) -> BTreeMap<(u32, u64), Content> {
    let reader = stream.reader(Start::Earliest).expect("an unharmed stream can be read");
    let entries = reader.until_now().try_read(10_000).expect("an unharmed stream can be read");
    let place = |view: &View<'_>| (view.id().partition(), view.id().offset());
    entries.iter().map(|view| (place(&view), Content::of(&view))).collect()
}

/// Opens the files in each way, and does what can be done.
pub(crate) fn probe(files: &Files, known: Known) {
    let place = Place::new(files);
    let seen = opened(Stream::options().clock(clock()).open_read_only(place.path()));
    let mut onlooker = seen.and_then(Onlooker::new);
    if let Some(onlooker) = &mut onlooker {
        look(&onlooker.stream, known);
        onlooker.look(known);
    }
    let after = place.contents();
    let same = after
        .iter()
        .filter(|(name, _)| *name != "lock")
        .eq(files.iter().filter(|(name, _)| *name != "lock"));
    assert!(same, "opening for reading only changed the directory");

    let worked = work(place.path(), known);
    if let Some(mut onlooker) = onlooker {
        onlooker.look(known);
        onlooker.stream.close().expect("nothing is left to write");
    }
    let Some(well) = worked else { return };
    match Stream::options().clock(clock()).open(place.path()) {
        Ok(stream) => {
            let again = look(&stream, known);
            assert!(again || !well || known.is_none(), "what could be read no longer can");
        }
        Err(error) => {
            tells_of_damage(&error);
            assert!(!well || known.is_none(), "what was closed does not open: {error}");
        }
    }
}

/// Who looks on, before and after somebody opens the directory to work with it.
struct Onlooker {
    stream: Stream,
    tail: Reader,
    groups: Vec<Group>,
    /// The last entry of each partition that the tail saw.
    last: BTreeMap<u32, u64>,
}

impl Onlooker {
    fn new(stream: Stream) -> Option<Self> {
        let tail = allow(stream.reader(Start::Earliest))?;
        Some(Self { stream, tail, groups: Vec::new(), last: BTreeMap::new() })
    }

    /// Reads on to the end or to the first damage, and looks at every group: those that were opened
    /// before, too.
    fn look(&mut self, known: Known) {
        for round in 0.. {
            assert!(round <= ENTRIES_MAX, "the tail does not end");
            let Some(entries) = allow(self.tail.try_read(50)).filter(|read| !read.is_empty())
            else {
                break;
            };
            for view in &entries {
                check(&view, known);
                let (partition, offset) = (view.id().partition(), view.id().offset());
                let last = self.last.insert(partition, offset);
                let is_new = last.is_none_or(|last| last < offset);
                assert!(is_new || known.is_none(), "{} came twice", view.id());
            }
        }
        allow(self.stream.info());
        for name in self.stream.groups() {
            self.groups.extend(allow(self.stream.group(&name).open_existing()));
        }
        for group in &self.groups {
            observe(group);
            let joined = group.join("onlooker").map(drop);
            assert!(matches!(joined, Err(Error::ReadOnly | Error::GroupDeleted)), "{joined:?}");
        }
    }
}

fn opened(result: Result<Stream, Error>) -> Option<Stream> {
    result.map_err(|error| tells_of_damage(&error)).ok()
}

/// Opens the stream to write, uses and closes it. Says whether all could be read; `None` if it did
/// not open.
fn work(path: &Path, known: Known) -> Option<bool> {
    let clock = clock();
    let stream = opened(Stream::options().clock(clock.clone()).open(path))?;
    let well = look(&stream, known);
    for name in stream.groups() {
        match stream.group(&name).open_existing() {
            Ok(group) => use_group(&group, &clock),
            Err(error) => tells_of_damage(&error),
        }
    }
    match stream.append(APPENDED) {
        Ok(id) => {
            // A segment that was made up may hold another entry of that offset.
            let entry = allow(stream.get(id)).flatten();
            let same = entry.is_some_and(|entry| entry.payload() == APPENDED);
            assert!(same || known.is_none(), "what was just appended is not there");
        }
        // The manifest may say that nothing is small enough.
        Err(Error::EntryTooLarge { .. }) => {}
        Err(error) => tells_of_damage(&error),
    }
    allow(stream.maintain());
    let made = stream.group("made by the probe").open(Start::Earliest);
    if let Some(group) = allow(made) {
        use_group(&group, &clock);
    }
    stream.close().expect("the disk is well");
    Some(well)
}

/// Reads all there is in every way. Says whether all of it could be read.
fn look(stream: &Stream, known: Known) -> bool {
    let info = stream.info().expect("the stream is open");
    let mut well = allow(stream.verify()).is_some();
    let mut told = BTreeMap::new();
    for backward in [false, true] {
        let Some(reader) = allow(stream.reader(Start::Earliest)) else { return false };
        let reader = if backward { reader.backward() } else { reader.until_now() };
        well &= read(&reader, backward, known, &mut told);
    }
    for (number, partition) in (0..).zip(info.partitions.iter().take(PARTITIONS_MAX)) {
        assert!(partition.start <= partition.end, "a partition ends before it starts");
        let (near, far) = (partition.start, partition.end);
        let offsets =
            (near..far.min(near.saturating_add(80))).chain(far.saturating_sub(80).max(near)..far);
        for offset in offsets.chain([near.wrapping_sub(1), far, u64::MAX]) {
            let found = allow(stream.get(EntryId::new(number, offset))).flatten();
            if let (Some(found), Some(told)) = (found, told.get(&(number, offset))) {
                // Marks and frames that were made up may contradict each other.
                let same = found.payload() == told || known.is_none();
                assert!(same, "a look-up differs from a read");
            }
        }
        let middle = EntryId::new(number, near + (far - near) / 2);
        if let Some(reader) = allow(stream.reader(Start::At(middle))) {
            allow(reader.try_read(3));
        }
    }
    well
}

/// Reads to the end or to the first damage, and says whether it was the end.
fn read(
    reader: &Reader,
    backward: bool,
    known: Known,
    told: &mut BTreeMap<(u32, u64), Vec<u8>>,
) -> bool {
    let mut last = BTreeMap::new();
    let mut seen = 0;
    loop {
        let Some(entries) = allow(reader.try_read(50)) else { return false };
        if entries.is_empty() {
            return true;
        }
        seen += entries.len();
        assert!(seen <= ENTRIES_MAX, "reading does not end");
        for view in &entries {
            let (partition, offset) = (view.id().partition(), view.id().offset());
            if let Some(last) = last.insert(partition, offset) {
                let next = if backward { last.checked_sub(1) } else { last.checked_add(1) };
                let said = if backward { "backward" } else { "forward" };
                assert_eq!(Some(offset), next, "{said}, entries are not one behind the other");
            }
            check(&view, known);
            if let Some(before) = told.insert((partition, offset), view.payload().to_vec()) {
                let same = before == view.payload() || known.is_none();
                assert!(same, "an entry reads in two ways");
            }
        }
    }
}

/// Compares an entry with what went in.
fn check(view: &View<'_>, known: Known) {
    let content = Content::of(view);
    let Some(known) = known else { return };
    let place = (view.id().partition(), view.id().offset());
    let is_known = known.get(&place) == Some(&content) || content.payload == APPENDED;
    assert!(is_known, "{} reads as {content:?}", view.id());
}

/// Does with a group what can be done with one.
fn use_group(group: &Group, clock: &ManualClock) {
    observe(group);
    let Some(worker) = allow(group.join("probe")) else { return };
    for round in 0..ROUNDS {
        match worker.try_read(BATCH) {
            Ok(batch) => settle(batch, round, group, &worker),
            Err(error) => {
                tells_of_damage(&error);
                let floors = group.floors().expect("the stream is open");
                for (partition, floor) in (0..).zip(floors).take(PARTITIONS_MAX) {
                    skip(group, partition, floor..floor.saturating_add(7));
                }
            }
        }
        clock.advance(Duration::from_secs(20));
    }
    observe(group);
    allow(group.redrive(5));
    let parked = allow(group.parked(5)).unwrap_or_default();
    let ids: Vec<_> = parked.iter().map(|row| row.id).collect();
    allow(group.discard_parked(&ids));
    let floors = group.floors().expect("the stream is open");
    for (partition, floor) in (0..).zip(floors).take(PARTITIONS_MAX) {
        skip(group, partition, 0..floor.saturating_add(3));
        skip(group, partition, floor..floor.saturating_add(1 << 20));
    }
    allow(worker.try_read(BATCH).map(drop));
    clock.advance(Duration::from_secs(3600));
    allow(worker.heartbeat());
    observe(group);
}

fn skip(group: &Group, partition: u32, offsets: Range<u64>) {
    let end = group.info().expect("the stream is open").partitions[partition as usize].end;
    allow(group.skip(partition, offsets.start.min(end)..offsets.end.min(end)));
}

fn settle(batch: Batch, round: u32, group: &Group, worker: &Consumer) {
    if round % 4 == 3 {
        let tokens: Vec<_> = batch.iter().map(|held| held.token()).collect();
        allow(worker.extend(tokens.iter().copied(), Duration::from_secs(5)));
        allow(worker.nack(tokens.iter().copied().step_by(3)));
        allow(batch.ack_all());
        allow(group.ack(tokens));
        return;
    }
    for (n, delivery) in (round..).zip(batch) {
        match n % 7 {
            0 => allow(delivery.nack()),
            1 => allow(delivery.reject("found by the fuzzer")),
            2 => allow(delivery.release()),
            3 => allow(delivery.nack_after(Duration::ZERO)),
            4 => {
                delivery.detach();
                None
            }
            5 => None,
            _ => allow(delivery.ack()),
        };
    }
}

fn observe(group: &Group) {
    if let Some(info) = allow(group.info()) {
        let ends = info.partitions.iter();
        assert!(ends.clone().all(|p| p.floor <= p.next), "a floor is above what was handed out");
    }
    allow(group.lag());
    allow(group.pending());
    allow(group.pending_entries(&PendingQuery::new().max(100)));
    allow(group.parked(100));
    group.next_deadline();
}

/// The value; or nothing, if the error tells of damage or of a lease that is over.
fn allow<T>(result: Result<T, Error>) -> Option<T> {
    result.map_err(|error| tells_of_damage(&error)).ok()
}

/// Panics for an error that damage does not explain.
pub(crate) fn tells_of_damage(error: &Error) {
    match error {
        Error::Corrupt(_)
        | Error::NewerFormat { .. }
        | Error::LimitReached { .. }
        | Error::LeaseLost { .. }
        | Error::NotAMember { .. }
        // One of the sample's groups has a strategy of its own, which nobody passes here.
        | Error::StrategyMissing { .. } => {}
        Error::Unsettled { cause, .. } => tells_of_damage(cause),
        other => panic!("damage gives {other:?}"),
    }
}
