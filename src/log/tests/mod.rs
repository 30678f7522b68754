//! The log put to the proof, with tiny segments so that it rolls all the time.
//!
//! | file | what it shows |
//! |---|---|
//! | `model` | that it reads back exactly what a naive model says |
//! | `counts` | that entries are counted by their subjects as they are read |
//! | `cuts` | what a power cut may take, and what it may not |
//! | `journals` | the same for journals and their snapshots |
//! | `faults` | every storage call failing |
//! | `onlooking` | what somebody else sees of it meanwhile |
//! | `trims` | what a trim takes, what it leaves, and who reads on meanwhile |
//! | `rot` | every byte flipped, every length cut |

mod counts;
mod cuts;
mod faults;
mod journals;
mod model;
mod onlooking;
mod rot;
mod trims;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::settings::Controls;
use super::{
    Bounds, Cursor, Draft, Field, Fields, Log, Outcome, Owner, OwnerKind, Piece, Run, Salts,
    Settings, Slot, Staging, fields,
};
use crate::error::{Error, Result};
use crate::latch::Latch;
use crate::storage::Storage;
use crate::storage::simulated::Simulated;
use crate::storage::simulated::random::Random;
use crate::tally::Tally;

/// One entry, as a test wants it and as it comes back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Item {
    time: u64,
    payload: Vec<u8>,
    subject: Option<String>,
    key: Option<Vec<u8>>,
    headers: Vec<(String, Vec<u8>)>,
}

impl Item {
    fn with_fields<T>(&self, action: impl FnOnce(&Fields<'_>) -> T) -> T {
        let headers: Vec<(&str, &[u8])> =
            self.headers.iter().map(|(name, value)| (name.as_str(), value.as_slice())).collect();
        action(&Fields {
            payload: &self.payload,
            subject: self.subject.as_deref(),
            key: self.key.as_deref(),
            headers: &headers,
            ..Fields::default()
        })
    }

    /// An entry whose payload is like no other's: it begins with `unique`.
    fn random(unique: u64, fixed: bool, random: &mut Random) -> Self {
        let mut payload = unique.to_le_bytes().to_vec();
        if !fixed {
            let more = random.below(200);
            payload.extend((0..more).map(|at| u8::try_from(at).unwrap()));
        }
        let mut item = Self { time: random.next() % 1000, payload, ..Self::default() };
        if !fixed && random.one_in(3) {
            item.subject = Some("order.created".into());
            item.headers = vec![("trace".into(), b"abc".to_vec()); random.below(3)];
            item.key = random.coin().then(|| b"customer-7".to_vec());
        }
        item
    }
}

/// The least that a segment can have; larger batches have larger ones.
const SEGMENT_BYTES: u64 = 4096;

/// What a test opens again and again.
#[derive(Clone, Debug)]
struct Setup {
    kind: OwnerKind,
    staging: Staging,
    /// Shared by all openings, so that no salt comes twice.
    salts: Arc<Salts>,
    controls: Controls,
}

impl Setup {
    fn new(kind: OwnerKind, staging: Staging, seed: u64) -> Self {
        Self {
            kind,
            staging,
            salts: Arc::new(Salts::Seeded(AtomicU64::new(seed))),
            controls: Controls::default(),
        }
    }

    /// The same with a random staging.
    fn random(kind: OwnerKind, random: &mut Random) -> Self {
        let staging = random.pick(&[Staging::Off, Staging::On]);
        Self::new(kind, staging, random.next())
    }

    fn settings<S: Storage + Clone + 'static>(&self, storage: &S) -> Settings {
        Settings {
            storage: Arc::new(storage.clone()),
            dir: "log".into(),
            owner: Owner { kind: self.kind, stream: 7, number: 0 },
            latch: Arc::<Latch>::default(),
            salts: Arc::clone(&self.salts),
            first_bytes: SEGMENT_BYTES,
            segment_bytes: SEGMENT_BYTES,
            staging: self.staging,
            mode: super::Mode::Write,
            waiting: Tally::default(),
            source: crate::observe::Source::default(),
            controls: self.controls,
        }
    }

    fn open<S: Storage + Clone + 'static>(
        &self,
        storage: &S,
    ) -> Result<(Log, super::recover::Recovery)> {
        Log::open(self.settings(storage))
    }
}

/// A disk with a root.
fn new_disk(seed: u64) -> Simulated {
    let disk = Simulated::new(seed);
    drop(disk.lock(true).unwrap());
    disk
}

/// Appends `items` in one call, all with the time of the first.
fn append(log: &Log, items: &[Item]) -> Result<()> {
    let time = items[0].time;
    if let [item] = items {
        let appended = item.with_fields(|fields| {
            Piece::plain(fields).map(|piece| log.append_one(&piece, time).map(drop))
        });
        if let Some(appended) = appended {
            return appended;
        }
    }
    let mut draft = Draft::default();
    for item in items {
        item.with_fields(|fields| draft.push(fields));
    }
    draft.finish();
    log.append(&draft, time).map(drop)
}

/// Checks a run and takes it apart. Gives what stands before a bad frame, too.
fn take(log: &Log, run: &Run, into: &mut Vec<(u64, Item)>) -> Result<()> {
    let mut slots = Vec::new();
    let opened = run.open(|slot| slots.push(slot));
    into.extend(slots.iter().map(|slot| (slot.offset, item(run, slot))));
    opened.map_err(|bad| log.rot(run.sequence, bad.position, bad.offset))
}

fn item(run: &Run, slot: &Slot) -> Item {
    let bytes = |range: &std::ops::Range<u32>| &run.bytes[range.start as usize..range.end as usize];
    let payload = bytes(&slot.payload).to_vec();
    let mut item = Item { time: slot.time, payload, ..Item::default() };
    for field in fields(bytes(&slot.fields)) {
        match field {
            Field::Subject(subject) => item.subject = Some(subject.into()),
            Field::Key(key) => item.key = Some(key.to_vec()),
            Field::Header(name, value) => item.headers.push((name.into(), value.to_vec())),
            Field::Letter(_) | Field::Addressee(_) => panic!("no item has these"),
            Field::Unique(_) => {}
        }
    }
    item
}

/// Reads from `cursor` on, run by run, until nothing more comes; what was trimmed is passed over. The
/// entries found before an error come with it.
fn read_from(log: &Log, mut cursor: Cursor, bounds: Bounds) -> (Vec<(u64, Item)>, Option<Error>) {
    let mut items = Vec::new();
    let mut run = Run::default();
    loop {
        match log.read(&mut cursor, bounds, &mut run) {
            Ok(Outcome::Copied) => {}
            Ok(Outcome::Trimmed { start }) => {
                assert!(cursor.offset < start && start <= log.start());
                cursor.seek(start);
                continue;
            }
            Err(error) => return (items, Some(error)),
        }
        if let Err(error) = take(log, &run, &mut items) {
            return (items, Some(error));
        }
        if run.count == 0 {
            return (items, None);
        }
    }
}

const ALL: Bounds = Bounds { entries: 1000, bytes: 1 << 20, before: u64::MAX };

/// All entries, from the start on.
fn read_all(log: &Log) -> Result<Vec<Item>> {
    let (items, error) = read_from(log, Cursor::at(0), ALL);
    if let Some(error) = error {
        return Err(error);
    }
    for (expected, (offset, _)) in (log.start()..).zip(&items) {
        assert_eq!(*offset, expected, "offsets are dense");
    }
    Ok(items.into_iter().map(|(_, item)| item).collect())
}
