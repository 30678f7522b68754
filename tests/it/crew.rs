//! Groups of several partitions, and who of their members reads what.

use std::path::Path;

use millstream::assign::{CooperativeSticky, Range, RoundRobin, Shared, Sticky};
use millstream::{
    Backoff, Consumer, Delivery, EntryId, Event, Group, GroupOptions, ManualClock, Start, Stream,
};

use crate::scene::{HOUR, SECOND, fill};

/// Sets a group's strategy.
pub(crate) type Choose = fn(GroupOptions) -> GroupOptions;

/// The strategies that give each partition to one member.
pub(crate) const PARTITIONED: [(&str, Choose); 4] = [
    ("range", |group| group.strategy(Range)),
    ("round-robin", |group| group.strategy(RoundRobin)),
    ("sticky", |group| group.strategy(Sticky)),
    ("cooperative-sticky", |group| group.strategy(CooperativeSticky)),
];

/// All that are built in.
pub(crate) const STRATEGIES: [(&str, Choose); 5] = [
    ("shared", |group| group.strategy(Shared)),
    PARTITIONED[0],
    PARTITIONED[1],
    PARTITIONED[2],
    PARTITIONED[3],
];

/// A stream of several partitions in memory with a group whose leases last an hour, and who waits
/// a second after a failure; and as many entries in each partition.
pub(crate) struct Crew {
    pub(crate) clock: ManualClock,
    pub(crate) stream: Stream,
    pub(crate) group: Group,
}

pub(crate) fn crew(
    partitions: u32,
    each: usize,
    revise: impl FnOnce(GroupOptions) -> GroupOptions,
) -> Crew {
    let clock = ManualClock::new();
    let options = Stream::options().clock(clock.clone()).partitions(partitions);
    let stream = options.in_memory().unwrap();
    let group = revise(patient(&stream)).open(Start::Earliest).unwrap();
    fill(&stream, each * partitions as usize);
    Crew { clock, stream, group }
}

/// The same in a directory, or what is there of it already.
pub(crate) fn crew_on(
    path: &Path,
    partitions: u32,
    revise: impl FnOnce(GroupOptions) -> GroupOptions,
) -> Crew {
    let clock = ManualClock::new();
    let options = Stream::options().clock(clock.clone()).partitions(partitions);
    let stream = options.open(path).unwrap();
    let group = revise(patient(&stream)).open(Start::Earliest).unwrap();
    Crew { clock, stream, group }
}

fn patient(stream: &Stream) -> GroupOptions {
    let options = stream.group("g").lease(HOUR).session_timeout(HOUR * 2);
    options.revocation_timeout(HOUR).backoff(Backoff::fixed(SECOND))
}

impl Crew {
    pub(crate) fn join(&self, name: &str) -> Consumer {
        self.group.join(name).unwrap()
    }

    /// Members of the names `w00`, `w01`, and so on.
    pub(crate) fn join_all(&self, count: usize) -> Vec<Consumer> {
        (0..count).map(|n| self.join(&format!("w{n:02}"))).collect()
    }
}

/// Who owns each partition; `-` for nobody.
pub(crate) fn owners(group: &Group) -> Vec<String> {
    let partitions = group.info().unwrap().partitions.into_iter();
    partitions.map(|partition| partition.owner.unwrap_or_else(|| "-".into())).collect()
}

/// The partitions that a member reads.
pub(crate) fn owned(member: &Consumer) -> Vec<u32> {
    member.assignment().unwrap()
}

/// Each partition has one owner, and all members have as many, or one more or less.
#[track_caller]
pub(crate) fn check_balanced(group: &Group) {
    let info = group.info().unwrap();
    let mut all: Vec<u32> = info.members.iter().flat_map(|m| m.partitions.clone()).collect();
    all.sort_unstable();
    let partitions = u32::try_from(info.partitions.len()).unwrap();
    assert_eq!(all, (0..partitions).collect::<Vec<_>>(), "{:?}", info.members);
    let sizes = || info.members.iter().map(|member| member.partitions.len());
    let (least, most) = (sizes().min().unwrap(), sizes().max().unwrap());
    assert!(most - least <= 1, "{:?}", info.members);
    for member in &info.members {
        for partition in &member.partitions {
            let owner = info.partitions[*partition as usize].owner.as_deref();
            assert_eq!(owner, Some(&*member.name));
        }
    }
}

/// Reads and acks all that a member can have now.
pub(crate) fn drain(member: &Consumer) -> Vec<EntryId> {
    let batch = member.try_read(1_000).unwrap();
    let mut ids: Vec<EntryId> = batch.iter().map(|held| held.id()).collect();
    assert!(batch.ack_all().unwrap().is_complete());
    ids.sort_unstable();
    ids
}

/// Reads one entry of each partition that a member owns, and keeps them.
pub(crate) fn hold_one_of_each(member: &Consumer) -> Vec<Delivery> {
    let mut kept: Vec<Delivery> = Vec::new();
    for delivery in member.try_read(1_000).unwrap() {
        let partition = delivery.id().partition();
        if kept.iter().any(|kept| kept.id().partition() == partition) {
            delivery.release().unwrap();
        } else {
            kept.push(delivery);
        }
    }
    kept
}

/// What happened to a member, shortly: `+[0, 1]` given, `-[0]` to let go of, `![0]` lost, and how
/// it went.
pub(crate) fn notices(member: &Consumer) -> Vec<String> {
    let line = |event: Event| match event {
        Event::Assigned { partitions, .. } => format!("+{partitions:?}"),
        Event::Revoked { partitions, .. } => format!("-{partitions:?}"),
        Event::Lost { partitions, .. } => format!("!{partitions:?}"),
        Event::Left { why, .. } => why.to_string(),
        other => panic!("{other:?}"),
    };
    member.events().into_iter().map(line).collect()
}

/// A directory as another process finds it after a kill: copied while the stream is open.
pub(crate) fn copied(from: &Path) -> tempfile::TempDir {
    let to = tempfile::tempdir().unwrap();
    copy(from, to.path());
    to
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}
