//! Looking at groups beside the owner of the stream: what is shown is what the owner says, and nothing
//! can be changed.

mod life;
mod race;

use std::path::Path;
use std::time::Duration;

use millstream::assign::{Assign, Assignment, CooperativeSticky, RoundRobin, View};
use millstream::{
    Backoff, Blocked, Durability, EntryId, Error, Exhausted, Group, GroupInfo, GroupOptions,
    GroupState, LetterQuery, ManualClock, NewEntry, Pause, PendingQuery, Redriven, Start, Stream,
};

use crate::scene::{HOUR, LEASE, SECOND, fill, id, scene_on, take, take_all};

/// The stream in a directory, to look at.
fn look_on(path: &Path, clock: &ManualClock) -> Stream {
    Stream::options().clock(clock.clone()).open_read_only(path).unwrap()
}

/// A group of a new stream, and the same group as somebody sees it who looks on.
struct Pair {
    clock: ManualClock,
    stream: Stream,
    group: Group,
    onlooker: Stream,
    seen: Group,
    directory: tempfile::TempDir,
}

fn pair(revise: impl FnOnce(GroupOptions) -> GroupOptions) -> Pair {
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let options = Stream::options().clock(clock.clone()).segment_bytes(8 << 10);
    let stream = options.open(directory.path()).unwrap();
    let group =
        stream.group("g").lease(LEASE).session_timeout(HOUR).backoff(Backoff::fixed(SECOND));
    let group = revise(group).open(Start::Earliest).unwrap();
    let onlooker = look_on(directory.path(), &clock);
    let seen = onlooker.group("g").open_existing().unwrap();
    Pair { clock, stream, group, onlooker, seen, directory }
}

/// What is told of a group, without what its owner keeps in memory only.
fn shown(info: GroupInfo) -> String {
    let mut info = info;
    info.leased_bytes = 0;
    info.blocked_reads = 0;
    info.dead_letter_failure = None;
    info.strategy_failure = None;
    for member in &mut info.members {
        member.last_seen = std::time::UNIX_EPOCH;
    }
    format!("{info:#?}")
}

/// All that a group tells.
fn picture(group: &Group) -> String {
    let rows = group.pending_entries(&PendingQuery::new().max(10_000)).unwrap();
    let row = |row: millstream::Pending| (row.id, row.state, row.consumer, row.attempts);
    let rows: Vec<_> = rows.into_iter().map(row).collect();
    let info = shown(group.info().unwrap());
    let rest = (group.lag().unwrap(), group.floors().unwrap(), group.pending().unwrap());
    format!("{info}\n{rest:#?}\n{rows:#?}\n{:#?}", group.parked(10_000).unwrap())
}

/// Where what is seen of a group is not what its owner tells: both lines.
fn differences(owner: &Group, seen: &Group) -> Vec<(String, String)> {
    let (told, shows) = (picture(owner), picture(seen));
    let (mut told, mut shows) = (told.lines(), shows.lines());
    let mut found = Vec::new();
    loop {
        match (told.next(), shows.next()) {
            (None, None) => return found,
            (told, shows) if told == shows => {}
            (told, shows) => {
                found.push([told, shows].map(|line| line.unwrap_or("").to_owned()).into());
            }
        }
    }
}

/// Fails unless who looks on is shown what the owner is.
fn assert_same(owner: &Group, seen: &Group) {
    assert_eq!(differences(owner, seen), []);
}

fn blocked(group: &Group) -> Vec<Option<Blocked>> {
    group.info().unwrap().members.iter().map(|member| member.blocked).collect()
}

#[test]
fn a_group_shows_what_its_owner_does_step_by_step() {
    let pair = pair(|group| group);
    assert_same(&pair.group, &pair.seen);
    fill(&pair.stream, 9);
    assert_eq!(pair.seen.lag().unwrap(), 9);
    let worker = pair.group.join("worker").unwrap();
    assert_same(&pair.group, &pair.seen);
    let mut held = take_all(&worker).into_iter();
    assert_same(&pair.group, &pair.seen);
    assert_eq!(pair.seen.pending().unwrap().consumers["worker"], 9);
    held.next().unwrap().ack().unwrap();
    held.next().unwrap().reject("bad").unwrap();
    held.next().unwrap().nack_after(HOUR).unwrap();
    held.next().unwrap().nack().unwrap();
    held.next().unwrap().release().unwrap();
    assert_same(&pair.group, &pair.seen);
    pair.clock.advance(SECOND);
    assert_same(&pair.group, &pair.seen);
    let parts = pair.seen.info().unwrap();
    assert_eq!(
        [parts.leased, parts.delayed, parts.due, parts.parked, parts.acked],
        [4, 1, 2, 1, 1]
    );
    drop((held, worker));
    assert_same(&pair.group, &pair.seen);
    assert_eq!(pair.seen.info().unwrap().members, []);
}

#[test]
fn a_lease_is_seen_as_running_from_its_hand_out_whoever_looks_when() {
    let pair = pair(|group| group);
    fill(&pair.stream, 1);
    let worker = pair.group.join("worker").unwrap();
    let held = take(&worker);
    let row = || pair.seen.pending_entries(&PendingQuery::new()).unwrap().remove(0);
    assert_eq!((row().idle, row().due_in), (Duration::ZERO, LEASE));
    pair.clock.advance(SECOND * 4);
    assert_eq!((row().idle, row().due_in), (SECOND * 4, LEASE - SECOND * 4));
    assert_eq!(pair.seen.next_deadline(), Some(LEASE - SECOND * 4));
    let late = look_on(pair.directory.path(), &pair.clock).group("g").open_existing().unwrap();
    let row = late.pending_entries(&PendingQuery::new()).unwrap().remove(0);
    assert_eq!((row.idle, row.due_in), (SECOND * 4, LEASE - SECOND * 4));
    let query = |idle| late.pending_entries(&PendingQuery::new().idle(idle)).unwrap().len();
    assert_eq!((query(SECOND * 4), query(SECOND * 5)), (1, 0));
    let member = |group: &Group| group.info().unwrap().members.remove(0).last_seen;
    assert_eq!(member(&late), millstream::Clock::wall(&pair.clock) - SECOND * 4);
    // Whether a lease is over is for the owner to say.
    pair.clock.advance(LEASE);
    assert_eq!(pair.seen.info().unwrap().leased, 1);
    assert_eq!(pair.group.info().unwrap().leased, 0);
    assert_eq!(pair.seen.info().unwrap().leased, 0);
    drop(held);
}

#[test]
fn what_is_held_since_an_earlier_segment_of_the_journal_is_seen_from_its_snapshot() {
    let pair = pair(|group| group.max_in_flight_bytes(1 << 20));
    let worker = pair.group.join("worker").unwrap();
    fill(&pair.stream, 1);
    let held = take(&worker);
    let journal = pair.directory.path().join("g1/0000000001.seg");
    assert!(journal.exists());
    for _ in 0..300 {
        fill(&pair.stream, 1);
        take(&worker).ack().unwrap();
    }
    assert!(!journal.exists(), "the journal has not rolled");
    pair.clock.advance(SECOND);
    let anew = look_on(pair.directory.path(), &pair.clock).group("g").open_existing().unwrap();
    for seen in [&pair.seen, &anew] {
        let row = seen.pending_entries(&PendingQuery::new()).unwrap().remove(0);
        assert_eq!((row.id, row.idle, row.due_in), (held.id(), SECOND, LEASE - SECOND));
        let told = pair.group.info().unwrap();
        assert_eq!(seen.info().unwrap().leased_bytes, told.leased_bytes);
        assert_same(&pair.group, seen);
    }
}

#[test]
fn why_a_read_would_be_empty_is_seen() {
    let limited = |group: GroupOptions| group.strategy(RoundRobin).max_in_flight(1);
    let pair = pair(limited);
    let members = ["one", "two"].map(|name| pair.group.join(name).unwrap());
    assert_eq!(blocked(&pair.seen), [Some(Blocked::Empty), Some(Blocked::NoPartition)]);
    fill(&pair.stream, 2);
    assert_eq!(blocked(&pair.seen), [None, Some(Blocked::NoPartition)]);
    let held = take(&members[0]);
    assert_eq!(blocked(&pair.seen), [Some(Blocked::InFlight); 2]);
    pair.group.pause_for(SECOND).unwrap();
    assert_eq!(blocked(&pair.seen), [Some(Blocked::Paused); 2]);
    assert_eq!(pair.seen.info().unwrap().paused, Some(Pause::For(SECOND)));
    pair.clock.advance(SECOND);
    held.ack().unwrap();
    assert_eq!(blocked(&pair.seen), [None, Some(Blocked::NoPartition)]);
    pair.group.pause().unwrap();
    assert_eq!(pair.seen.info().unwrap().paused, Some(Pause::UntilResumed));
    assert_same(&pair.group, &pair.seen);
}

#[test]
fn a_group_that_waits_for_a_partition_is_seen_as_rebalancing() {
    let pair = pair(|group| group.strategy(CooperativeSticky).revocation_timeout(HOUR));
    fill(&pair.stream, 2);
    let first = pair.group.join("first").unwrap();
    let held = take(&first);
    assert_eq!(pair.seen.info().unwrap().state, GroupState::Stable);
    pair.stream.add_partitions(1).unwrap();
    let second = pair.group.join("second").unwrap();
    assert_same(&pair.group, &pair.seen);
    drop(first);
    assert_same(&pair.group, &pair.seen);
    let first = pair.group.join("first").unwrap();
    assert_same(&pair.group, &pair.seen);
    let third = pair.group.join("third").unwrap();
    assert_same(&pair.group, &pair.seen);
    drop((held, first, second, third));
    assert_same(&pair.group, &pair.seen);
    assert_eq!(pair.seen.info().unwrap().state, GroupState::Empty);
}

#[test]
fn a_partition_that_is_still_held_is_seen_as_on_its_way() {
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let options = Stream::options().clock(clock.clone()).partitions(2);
    let stream = options.open(directory.path()).unwrap();
    let group = stream.group("g").strategy(CooperativeSticky).lease(HOUR).revocation_timeout(HOUR);
    let group = group.open(Start::Earliest).unwrap();
    let seen = look_on(directory.path(), &clock).group("g").open_existing().unwrap();
    fill(&stream, 4);
    let first = group.join("first").unwrap();
    let held = take_all(&first);
    let second = group.join("second").unwrap();
    // As it is followed, and as it is read from the start.
    let anew = || look_on(directory.path(), &clock).group("g").open_existing().unwrap();
    for seen in [&seen, &anew()] {
        let info = seen.info().unwrap();
        assert_eq!(info.state, GroupState::Rebalancing);
        assert_eq!(info.members[1].blocked, Some(Blocked::Rebalancing));
        assert_same(&group, seen);
    }
    for held in held {
        held.ack().unwrap();
    }
    for seen in [&seen, &anew()] {
        assert_eq!(seen.info().unwrap().state, GroupState::Stable);
        assert_same(&group, seen);
    }
    drop((first, second));
}

#[test]
fn entries_that_wait_for_their_time_are_seen_to_hold_up_the_rest() {
    let pair = pair(|group| group.delayed_max(1));
    let worker = pair.group.join("worker").unwrap();
    for _ in 0..3 {
        pair.stream.append(NewEntry::new("later").deliver_after(HOUR)).unwrap();
    }
    assert!(worker.try_read(9).unwrap().is_empty());
    assert_eq!(blocked(&pair.seen), [Some(Blocked::Delayed)]);
    assert_same(&pair.group, &pair.seen);
    assert_eq!(pair.seen.info().unwrap().deferred, 1);
    pair.clock.advance(HOUR);
    assert_eq!(blocked(&pair.seen), [None]);
}

#[test]
fn bytes_in_flight_are_seen_to_block() {
    let pair = pair(|group| group.max_in_flight_bytes(100));
    pair.stream.append_each(["x"; 5]).unwrap();
    let worker = pair.group.join("worker").unwrap();
    let held = take_all(&worker);
    let told = pair.group.info().unwrap();
    let anew = look_on(pair.directory.path(), &pair.clock).group("g").open_existing().unwrap();
    for seen in [&pair.seen, &anew] {
        assert_eq!(seen.info().unwrap().leased_bytes, told.leased_bytes);
        assert_eq!(blocked(seen), [Some(Blocked::InFlight)]);
    }
    for held in held {
        held.ack().unwrap();
    }
    for seen in [&pair.seen, &anew] {
        assert_eq!(seen.info().unwrap().leased_bytes, 0);
        assert_eq!(blocked(seen), [None]);
    }
}

#[test]
fn what_was_trimmed_is_seen_as_the_owner_tells_it() {
    let pair = pair(|group| group);
    pair.stream.append_each([&[7; 500]; 60]).unwrap();
    let worker = pair.group.join("worker").unwrap();
    let held = take_all(&worker);
    assert!(pair.stream.trim_before(id(50)).unwrap() > 0);
    assert_same(&pair.group, &pair.seen);
    assert!(pair.seen.info().unwrap().trimmed.entries() > 0);
    let start = pair.onlooker.info().unwrap().partitions[0].start;
    assert!(start > 0 && pair.seen.floors().unwrap()[0] >= start);
    drop(held);
    assert_same(&pair.group, &pair.seen);
}

#[test]
fn entries_for_one_group_alone_are_seen_as_nobody_elses() {
    let directory = tempfile::tempdir().unwrap();
    let letters = Stream::open(directory.path()).unwrap();
    let seen_letters = Stream::open_read_only(directory.path()).unwrap();
    let pair = pair(|group| group.on_exhausted(Exhausted::DeadLetter(letters.clone())));
    let other = pair.stream.group("other").open(Start::Earliest).unwrap();
    pair.stream.append_each([&[7; 500]; 60]).unwrap();
    let worker = pair.group.join("worker").unwrap();
    take(&worker).reject("bad").unwrap();
    assert_same(&pair.group, &pair.seen);
    drop(worker);
    assert!(pair.stream.trim_before(id(50)).unwrap() > 0);
    let found = pair.seen.letters(&seen_letters, &LetterQuery::new()).unwrap().found;
    assert_eq!(found.len(), 1);
    let redriven = pair.seen.redrive_letters(&seen_letters, &LetterQuery::new());
    assert!(matches!(redriven, Err(Error::ReadOnly)));
    let letter = letters.reader(Start::Earliest).unwrap().try_read(1).unwrap();
    let letter = letter.into_iter().next().unwrap();
    assert!(matches!(pair.group.redrive_letter(&letter).unwrap(), Redriven::Appended(_)));
    let seen = pair.onlooker.group("other").open_existing().unwrap();
    assert_eq!(seen.lag().unwrap() + 1, pair.seen.lag().unwrap());
    assert_same(&other, &seen);
    assert_same(&pair.group, &pair.seen);
    assert!(matches!(pair.seen.redrive_letter(&letter), Err(Error::ReadOnly)));
}

#[test]
fn groups_come_and_go_and_are_altered_before_the_eyes_of_who_looks_on() {
    let pair = pair(|group| group);
    assert_eq!(pair.onlooker.groups(), ["g"]);
    let other = pair.stream.group("other").open(Start::Latest).unwrap();
    assert_eq!(pair.onlooker.groups(), ["g", "other"]);
    assert_eq!(pair.onlooker.info().unwrap().groups, ["g", "other"]);
    let seen = pair.onlooker.group("other").open_existing().unwrap();
    other.alter(other.options().lease(SECOND * 3).strategy(RoundRobin)).unwrap();
    assert_eq!(seen.info().unwrap().settings.lease, SECOND * 3);
    assert_same(&other, &seen);
    other.delete().unwrap();
    assert!(matches!(seen.info(), Err(Error::GroupDeleted)));
    assert_eq!(pair.onlooker.groups(), ["g"]);
    fill(&pair.stream, 3);
    let again = pair.stream.group("other").open(Start::Latest).unwrap();
    assert!(matches!(seen.lag(), Err(Error::GroupDeleted)));
    let seen = pair.onlooker.group("other").open_existing().unwrap();
    assert_eq!(seen.floors().unwrap(), [3]);
    assert_same(&again, &seen);
    pair.stream.add_partitions(2).unwrap();
    assert_eq!(pair.onlooker.partitions(), 3);
    assert_same(&again, &seen);
    assert_same(&pair.group, &pair.seen);
}

#[test]
fn an_owner_that_comes_with_another_durability_shows_what_that_promises() {
    let pair = pair(|group| group);
    let (path, clock) = (pair.directory.path(), &pair.clock);
    // What was synced lies below the floor in the header, and no more.
    fill(&pair.stream, 1);
    pair.stream.sync().unwrap();
    fill(&pair.stream, 2);
    assert_eq!(pair.seen.lag().unwrap(), 3);
    drop(pair.group);
    let held = tempfile::tempdir().unwrap();
    copy(path, held.path());
    let onlooker = look_on(held.path(), clock);
    let seen = onlooker.group("g").open_existing().unwrap();
    assert_eq!(seen.lag().unwrap(), 3);
    pair.stream.close().unwrap();
    let options = Stream::options().clock(clock.clone()).durability(Durability::Always);
    options.open(path).unwrap().close().unwrap();
    // The directory as it was, with the manifest of each level in turn.
    let manifest_of = |path: &Path| std::fs::read(path.join("manifest")).unwrap();
    for (manifest, lag) in [(manifest_of(path), 1), (manifest_of(held.path()), 3)] {
        std::fs::write(held.path().join("manifest"), manifest).unwrap();
        assert_eq!(seen.lag().unwrap(), lag);
        assert_eq!(onlooker.info().unwrap().partitions[0].end, lag);
    }
}

/// Copies a directory and those in it.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let into = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &into);
        } else {
            std::fs::copy(&path, into).unwrap();
        }
    }
}

#[test]
fn nothing_of_a_group_can_be_changed_by_who_looks_on() {
    let pair = pair(|group| group);
    fill(&pair.stream, 4);
    let worker = pair.group.join("worker").unwrap();
    let held = take(&worker);
    let (group, token) = (&pair.seen, held.token());
    let before = shown(group.info().unwrap());
    let letter = pair.stream.get(id(1)).unwrap().unwrap();
    let refused: Vec<(&str, Result<(), Error>)> = vec![
        ("join", group.join("other").map(drop)),
        ("rebalance", group.rebalance()),
        ("ack", group.ack([token]).map(drop)),
        ("ack none", group.ack([]).map(drop)),
        ("nack", group.nack([token]).map(drop)),
        ("release", group.release([token]).map(drop)),
        ("reject", group.reject([token], "bad").map(drop)),
        ("extend", group.extend([token], SECOND).map(drop)),
        ("redrive", group.redrive(9).map(drop)),
        ("discard_parked", group.discard_parked(&[id(0)]).map(drop)),
        ("ack_entries", group.ack_entries([id(0)]).map(drop)),
        ("remove_consumer", group.remove_consumer("worker")),
        ("reset", group.reset(Start::Latest)),
        ("reset beyond the end", group.reset(Start::At(id(99)))),
        ("reset_partition", group.reset_partition(0, Start::Latest)),
        ("skip", group.skip(0, 0..1).map(drop)),
        ("skip beyond the end", group.skip(0, 0..99).map(drop)),
        ("pause", group.pause()),
        ("pause_for", group.pause_for(SECOND)),
        ("resume", group.resume()),
        ("drain", group.drain(SECOND).map(drop)),
        ("alter", group.alter(group.options().lease(SECOND))),
        ("alter nothing", group.alter(group.options())),
        ("events", group.events().map(drop)),
        ("delete", group.delete()),
        ("open another", pair.onlooker.group("new").open(Start::Earliest).map(drop)),
        ("create another", pair.onlooker.group("new").create(Start::Earliest).map(drop)),
        ("open otherwise", pair.onlooker.group("g").lease(SECOND).open_existing().map(drop)),
        ("start otherwise", pair.onlooker.group("g").lease(SECOND).open(Start::Latest).map(drop)),
        ("add_partitions", pair.onlooker.add_partitions(1).map(drop)),
    ];
    for (verb, outcome) in refused {
        assert!(matches!(outcome, Err(Error::ReadOnly)), "{verb}: {outcome:?}");
    }
    assert!(matches!(group.redrive_letter(&letter), Err(Error::NotADeadLetter { .. })));
    assert_eq!(shown(group.info().unwrap()), before);
    assert_same(&pair.group, &pair.seen);
    held.ack().unwrap();
}

#[test]
fn a_group_opens_to_be_looked_at_if_nothing_of_it_is_to_be_changed() {
    let pair = pair(|group| group.filter("a.>"));
    let named = |name| pair.onlooker.group(name);
    named("g").open(Start::Latest).unwrap();
    named("g").lease(LEASE).filter("a.>").open(Start::Earliest).unwrap();
    assert!(matches!(named("g").create(Start::Latest), Err(Error::AlreadyExists { .. })));
    assert!(matches!(named("none").open_existing(), Err(Error::NotFound { .. })));
    let other = named("g").filter("b").open_existing();
    assert!(matches!(other, Err(Error::OptionsDiffer { .. })));
}

/// A strategy of the user's own.
#[derive(Debug)]
struct Nobody;

impl Assign for Nobody {
    fn name(&self) -> &'static str {
        "nobody"
    }

    fn assign(&self, view: &View) -> Assignment {
        let _ = view;
        Assignment::Everyone
    }
}

#[test]
fn a_group_with_a_strategy_of_the_users_own_is_seen_without_it() {
    let pair = pair(|group| group.strategy(Nobody));
    let worker = pair.group.join("worker").unwrap();
    fill(&pair.stream, 2);
    let held = take(&worker);
    assert_eq!(pair.seen.info().unwrap().strategy, "nobody");
    assert_same(&pair.group, &pair.seen);
    pair.onlooker.group("g").strategy(Nobody).open_existing().unwrap();
    drop(held);
}

#[test]
fn a_damaged_journal_hides_its_group_alone() {
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let scene = scene_on(directory.path(), &clock, 3);
    let _other = scene.stream.group("other").open(Start::Earliest).unwrap();
    take(&scene.worker).ack().unwrap();
    drop(scene.worker);
    drop(scene.group);
    scene.stream.close().unwrap();
    let journal = std::fs::read_dir(directory.path().join("g1")).unwrap();
    let journal = journal.map(|entry| entry.unwrap().path()).max().unwrap();
    let mut bytes = std::fs::read(&journal).unwrap();
    // The opening frame, behind the header.
    bytes[140..400].fill(0x55);
    std::fs::write(&journal, &bytes).unwrap();
    let onlooker = look_on(directory.path(), &clock);
    assert!(onlooker.group("g").open_existing().unwrap_err().is_corrupt());
    assert_eq!(onlooker.groups(), ["g", "other"]);
    assert_eq!(onlooker.info().unwrap().groups, ["g", "other"]);
    assert_eq!(onlooker.group("other").open_existing().unwrap().lag().unwrap(), 3);
    assert!(onlooker.get(EntryId::new(0, 0)).unwrap().is_some());
}

#[test]
fn the_group_of_an_owner_that_is_gone_is_seen_as_it_left_it() {
    let directory = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let scene = scene_on(directory.path(), &clock, 3);
    let seen = look_on(directory.path(), &clock).group("g").open_existing().unwrap();
    take(&scene.worker).ack().unwrap();
    let info = scene.group.info().unwrap();
    scene.stream.close().unwrap();
    let shows = seen.info().unwrap();
    assert_eq!((shows.acked, shows.lag, shows.members.len()), (1, info.lag, 1));
    // The next owner ends all memberships, with the first thing that it journals.
    let stream = Stream::options().clock(clock.clone()).open(directory.path()).unwrap();
    let group = stream.group("g").open_existing().unwrap();
    let worker = group.join("next").unwrap();
    assert_same(&group, &seen);
    assert_eq!(seen.info().unwrap().members.len(), 1);
    drop(worker);
}
