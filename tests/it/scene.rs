//! What most tests start from: a stream, a group and a worker, on a clock that stands still.

use std::path::Path;
use std::time::Duration;

use millstream::{
    Backoff, Batch, Consumer, Delivery, EntryId, Group, GroupOptions, ManualClock, Start, Stream,
};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const LEASE: Duration = Duration::from_secs(10);
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// A stream of one partition with a group that leases for [`LEASE`], waits a second after a
/// failure and lets members be silent for an hour; and one member of it.
pub(crate) struct Scene {
    pub(crate) clock: ManualClock,
    pub(crate) stream: Stream,
    pub(crate) group: Group,
    pub(crate) worker: Consumer,
}

/// A scene in memory with `entries` entries: `e0`, `e1`, and so on.
pub(crate) fn scene(entries: usize) -> Scene {
    scene_with(entries, |options| options)
}

/// The same with other options for the group.
pub(crate) fn scene_with(
    entries: usize,
    revise: impl FnOnce(GroupOptions) -> GroupOptions,
) -> Scene {
    let clock = ManualClock::new();
    let stream = Stream::options().clock(clock.clone()).in_memory().unwrap();
    let worker = set_up(&stream, revise);
    fill(&stream, entries);
    Scene { clock, group: stream.group("g").open_existing().unwrap(), worker, stream }
}

/// The same in a directory.
pub(crate) fn scene_on(path: &Path, clock: &ManualClock, entries: usize) -> Scene {
    let stream = Stream::options().clock(clock.clone()).open(path).unwrap();
    let worker = set_up(&stream, |options| options);
    fill(&stream, entries);
    let group = stream.group("g").open_existing().unwrap();
    Scene { clock: clock.clone(), group, worker, stream }
}

fn set_up(stream: &Stream, revise: impl FnOnce(GroupOptions) -> GroupOptions) -> Consumer {
    let options = stream.group("g").lease(LEASE).session_timeout(HOUR);
    let options = revise(options.backoff(Backoff::fixed(SECOND)));
    options.open(Start::Earliest).unwrap().join("worker").unwrap()
}

/// Appends `e0`, `e1`, and so on.
pub(crate) fn fill(stream: &Stream, entries: usize) {
    for n in 0..entries {
        stream.append(&format!("e{n}")).unwrap();
    }
}

/// The next entry; there has to be one.
pub(crate) fn take(worker: &Consumer) -> Delivery {
    worker.try_read(1).unwrap().into_iter().next().expect("there is an entry to read")
}

/// All that can be read now, kept.
pub(crate) fn take_all(worker: &Consumer) -> Vec<Delivery> {
    worker.try_read(1_000).unwrap().into_iter().collect()
}

/// Whether a read finds nothing.
pub(crate) fn idle(worker: &Consumer) -> bool {
    worker.try_read(1).unwrap().is_empty()
}

/// The offsets and attempts of a batch, which takes its entries.
pub(crate) fn seen(batch: &Batch) -> Vec<(u64, u16)> {
    batch.iter().map(|held| (held.id().offset(), held.attempt())).collect()
}

/// An entry of the first partition.
pub(crate) fn id(offset: u64) -> EntryId {
    EntryId::new(0, offset)
}

/// The first parked entries of a group.
pub(crate) fn parked(group: &Group, max: usize) -> Vec<EntryId> {
    group.parked(max).unwrap().into_iter().map(|parked| parked.id).collect()
}
