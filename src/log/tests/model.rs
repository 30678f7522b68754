//! That a log reads back exactly what a naive model says, after every step, on both storages that
//! a test can look into, with and without staging.

use proptest::prelude::*;

use super::{
    ALL, Bounds, Cursor, Item, Log, Outcome, OwnerKind, Setup, Staging, append, read_all, read_from,
};
use crate::log::trim::Trimmed;
use crate::storage::simulated::Simulated;
use crate::storage::{Access, Memory, Storage};

#[derive(Clone, Debug)]
enum Step {
    /// One call.
    Append(Vec<Item>),
    Read {
        from: u64,
        entries: u32,
        bytes: u64,
        before: u64,
    },
    Get(u64),
    Since(u64),
    Flush,
    Spare(u64),
    Trim(u64),
    Reopen,
    Kill,
}

fn item() -> impl Strategy<Value = Item> {
    let payload = prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..40),
        2 => prop::collection::vec(any::<u8>(), 40..400),
        1 => prop::collection::vec(any::<u8>(), 1000..5000),
    ];
    let fields = (
        prop::option::of("[a-z]{1,5}(\\.[a-z]{1,5})?"),
        prop::option::of(prop::collection::vec(any::<u8>(), 0..10)),
        prop::collection::vec(("[a-z]{0,6}", prop::collection::vec(any::<u8>(), 0..10)), 0..3),
    );
    let plain = payload.clone().prop_map(|payload| Item { payload, ..Item::default() });
    let full = (payload, fields).prop_map(|(payload, (subject, key, headers))| Item {
        time: 0,
        payload,
        subject,
        key,
        headers,
    });
    prop_oneof![2 => plain, 1 => full]
}

/// What one call appends: it has one time.
fn call() -> impl Strategy<Value = Vec<Item>> {
    let items = prop_oneof![
        4 => prop::collection::vec(item(), 1..2),
        2 => prop::collection::vec(item(), 1..12),
        1 => prop::collection::vec(item(), 30..60),
    ];
    (items, 0_u64..100).prop_map(|(mut items, time)| {
        for item in &mut items {
            item.time = time;
        }
        items
    })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => call().prop_map(Step::Append),
        2 => (0_u64..200, 1_u32..50, 1_u64..3000, 0_u64..250).prop_map(
            |(from, entries, bytes, before)| Step::Read { from, entries, bytes, before }
        ),
        2 => (0_u64..200).prop_map(Step::Get),
        2 => (0_u64..110).prop_map(Step::Since),
        2 => Just(Step::Flush),
        1 => (0_u64..5000).prop_map(Step::Spare),
        1 => (0_u64..250).prop_map(Step::Trim),
        1 => Just(Step::Reopen),
        1 => Just(Step::Kill),
    ]
}

/// The naive log.
#[derive(Debug, Default)]
struct Model {
    /// All that was ever appended and not lost.
    items: Vec<Item>,
    durable: usize,
    /// So many of them were trimmed.
    start: usize,
}

impl Model {
    fn visible(&self, staging: Staging) -> &[Item] {
        match staging {
            Staging::Off => &self.items,
            Staging::On => &self.items[..self.durable],
        }
    }

    fn since(&self, staging: Staging, time: u64) -> u64 {
        let visible = self.visible(staging);
        visible.iter().take_while(|item| item.time < time).count().max(self.start) as u64
    }

    /// What is still there of `visible`, from `from` to before `before`.
    fn expected(&self, staging: Staging, from: u64, before: u64) -> (u64, &[Item]) {
        let visible = self.visible(staging);
        let from = usize::try_from(from).unwrap().max(self.start);
        let stop = usize::try_from(before).unwrap_or(usize::MAX).min(visible.len());
        (from as u64, visible.get(from..stop).unwrap_or_default())
    }
}

/// A storage that goes on after its process was killed.
trait Survivor: Storage + Clone + 'static {
    fn after_kill(&self) -> Self;
}

impl Survivor for Simulated {
    fn after_kill(&self) -> Self {
        self.crash_process()
    }
}

impl Survivor for Memory {
    fn after_kill(&self) -> Self {
        self.clone()
    }
}

fn check_step<S: Survivor>(
    setup: &Setup,
    storage: &mut S,
    log: &mut Log,
    model: &mut Model,
    step: &Step,
) {
    let visible = model.visible(setup.staging).len() as u64;
    match step {
        Step::Append(items) => {
            append(log, items).unwrap();
            model.items.extend_from_slice(items);
        }
        Step::Read { from, entries, bytes, before } => {
            let bounds = Bounds { entries: *entries, bytes: *bytes, before: *before };
            check_read(log, model, setup.staging, *from, bounds);
        }
        Step::Get(offset) if *offset < visible => {
            let bounds = Bounds { entries: 1, bytes: 0, before: offset + 1 };
            check_read(log, model, setup.staging, *offset, bounds);
        }
        Step::Get(_) => {}
        Step::Since(time) => {
            assert_eq!(log.since(*time).unwrap(), model.since(setup.staging, *time));
        }
        Step::Flush => {
            log.flush_all().unwrap();
            model.durable = model.items.len();
        }
        Step::Spare(bytes) => log.prepare_spare(*bytes, 0).unwrap(),
        Step::Trim(offset) => check_trim(setup, storage, log, model, *offset),
        Step::Reopen => {
            log.close().unwrap();
            model.durable = model.items.len();
            let (opened, recovery) = setup.open(storage).unwrap();
            assert!(!recovery.unclean && recovery.torn.is_none(), "{recovery:?}");
            *log = opened;
        }
        Step::Kill => {
            *storage = storage.after_kill();
            model.items.truncate(model.visible(setup.staging).len());
            model.durable = model.items.len();
            let (opened, recovery) = setup.open(storage).unwrap();
            assert_eq!(recovery.torn, None, "a killed process tears nothing");
            *log = opened;
        }
    }
}

/// Trims, and compares what goes with what the log said of itself before.
fn check_trim<S: Survivor>(setup: &Setup, storage: &S, log: &Log, model: &mut Model, offset: u64) {
    let before = log.stored();
    let going = before.sealed.iter().filter(|segment| segment.end <= offset);
    let end = going.clone().map(|segment| segment.end).max().unwrap_or(model.start as u64);
    let trimmed = log.trim_to(offset).unwrap();
    let wanted = Trimmed {
        first: model.start as u64,
        end,
        bytes: going.clone().map(|segment| segment.bytes).sum(),
        ring: false,
    };
    assert_eq!(trimmed, wanted);
    assert_eq!(log.start(), end);
    assert_eq!(log.stored().sealed, before.sealed[going.count()..]);
    model.start = usize::try_from(end).unwrap();
    if setup.staging == Staging::On && log.visible() > model.durable as u64 {
        // The first segment that stays was not durable yet.
        assert!(end > wanted.first);
        model.durable = model.items.len();
    }
    let files = storage.list("log").map_or(0, |names| names.len());
    assert_eq!(files, log.segment_count() + usize::from(log.spare.lock().is_some()));
}

/// What the log says of its segments is true: they follow each other, their times are those of
/// their entries, and their files are as long as it says.
fn check_stored<S: Survivor>(storage: &S, log: &Log, model: &Model) {
    let stored = log.stored();
    let mut first = model.start as u64;
    for segment in &stored.sealed {
        assert_eq!(segment.first, first);
        first = segment.end;
        let up_to = &model.items[..usize::try_from(segment.end).unwrap()];
        assert_eq!(segment.newest, up_to.iter().map(|item| item.time).max().unwrap_or(0));
    }
    assert_eq!(stored.end, log.visible());
    if log.segment_count() == 0 {
        return;
    }
    let said = stored.sealed.iter().map(|segment| segment.bytes).chain([stored.last_bytes]);
    let names = storage.list("log").unwrap();
    for (said, name) in said.zip(names) {
        let file = storage.open(&format!("log/{name}"), Access::Read).unwrap();
        assert_eq!(said, file.len(), "{name}");
    }
}

/// Reads with narrow bounds, by one cursor, and compares each run.
fn check_read(log: &Log, model: &Model, staging: Staging, from: u64, bounds: Bounds) {
    let (items, error) = read_from(log, Cursor::at(from), bounds);
    assert!(error.is_none(), "{error:?}");
    let (from, expected) = model.expected(staging, from, bounds.before);
    assert_eq!(items.len(), expected.len());
    for ((offset, (found, item)), wanted) in (from..).zip(&items).zip(expected) {
        assert_eq!((*found, item), (offset, wanted));
    }
}

fn check<S: Survivor>(setup: &Setup, mut storage: S, steps: &[Step]) {
    drop(storage.lock(true).unwrap());
    let (mut log, recovery) = setup.open(&storage).unwrap();
    assert_eq!(recovery, crate::log::recover::Recovery::default());
    let mut model = Model::default();
    for step in steps {
        check_step(setup, &mut storage, &mut log, &mut model, step);
        assert_eq!(log.end(), model.items.len() as u64, "after {step:?}");
        assert_eq!(log.visible(), model.visible(setup.staging).len() as u64, "after {step:?}");
        assert!(log.durable() >= model.durable as u64, "after {step:?}");
        assert_eq!(log.start(), model.start as u64, "after {step:?}");
        let left = &model.visible(setup.staging)[model.start..];
        assert!(read_all(&log).unwrap() == left, "after {step:?}");
        check_stored(&storage, &log, &model);
        log.verify().unwrap();
    }
}

fn setups() -> impl Strategy<Value = Setup> {
    prop_oneof![Just(Staging::Off), Just(Staging::On)]
        .prop_map(|staging| Setup::new(OwnerKind::Partition, staging, 1))
}

/// A fifth of what `PROPTEST_CASES` says: each case reads the whole log after each of its steps.
fn cases() -> ProptestConfig {
    let usual = ProptestConfig::default();
    ProptestConfig { cases: usual.cases / 5, ..usual }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn on_a_simulated_disk_the_log_reads_back_what_the_model_says(
        setup in setups(),
        steps in prop::collection::vec(step(), 1..40),
    ) {
        check(&setup, Simulated::new(1), &steps);
    }

    #[test]
    fn in_memory_the_log_reads_back_what_the_model_says(
        setup in setups(),
        steps in prop::collection::vec(step(), 1..40),
    ) {
        check(&setup, Memory::new(), &steps);
    }
}

#[test]
fn the_time_of_a_roll_is_not_that_of_an_entry() {
    let disk = super::new_disk(1);
    let (log, _) = Setup::new(OwnerKind::Partition, Staging::Off, 1).open(&disk).unwrap();
    for (roll, entry) in [(90, 10), (90, 20), (90, 60), (90, 30)] {
        log.roll_with(&super::Draft::default(), 0, roll).unwrap();
        append(&log, &[Item { time: entry, ..Item::default() }]).unwrap();
    }
    assert_eq!([5, 15, 50, 80].map(|time| log.since(time).unwrap()), [0, 1, 2, 4]);
}

#[test]
fn what_is_left_of_a_footer_is_no_torn_tail() {
    let disk = super::new_disk(1);
    let setup = Setup::new(OwnerKind::Partition, Staging::Off, 1);
    // Each opening sets a mark of its own, so the footer grows.
    for _ in 0..2 {
        let (log, _) = setup.open(&disk).unwrap();
        append(&log, &[Item { time: 5, ..Item::default() }]).unwrap();
        log.close().unwrap();
    }
    let (log, _) = setup.open(&disk).unwrap();
    // An empty entry is shorter than the footer in whose place it comes.
    append(&log, &[Item::default()]).unwrap();
    let (log, recovery) = setup.open(&disk.crash_process()).unwrap();
    assert_eq!((recovery.unclean, recovery.torn, log.end()), (true, None, 3));
}

#[test]
fn a_cursor_goes_on_across_closing_and_regrowing() {
    let disk = super::new_disk(1);
    let setup = Setup::new(OwnerKind::Partition, Staging::Off, 1);
    let (log, _) = setup.open(&disk).unwrap();
    let one = Item { payload: vec![1; 100], ..Item::default() };
    let mut cursor = Cursor::at(0);
    let mut run = super::Run::default();
    let mut open = log;
    for end in 1..4 {
        append(&open, std::slice::from_ref(&one)).unwrap();
        assert_eq!(open.read(&mut cursor, ALL, &mut run).unwrap(), Outcome::Copied);
        assert_eq!((run.count, cursor.offset), (1, end));
        open.close().unwrap();
        assert!(append(&open, std::slice::from_ref(&one)).unwrap_err().is_closed());
        open = setup.open(&disk).unwrap().0;
    }
    assert_eq!(disk.list("log").unwrap().len(), 1);
}
