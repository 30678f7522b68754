//! Making, opening and deleting: where groups and readers begin (D12), and what is kept.

use millstream::{EntryId, Error, GroupOptions, PendingQuery, Start, Stream};

use crate::scene::{HOUR, SECOND, Scene, fill, id, idle, parked, scene, seen, take, take_all};

/// Two partitions of three entries each.
fn two_partitions() -> Stream {
    let stream = Stream::options().partitions(2).in_memory().unwrap();
    fill(&stream, 6);
    stream
}

#[test]
fn groups_and_readers_start_where_they_were_told() {
    let stream = two_partitions();
    let at = |partition, offset| EntryId::new(partition, offset);
    for (start, floors) in [
        (Start::Earliest, [0, 0]),
        (Start::Latest, [3, 3]),
        (Start::At(at(1, 2)), [0, 2]),
        (Start::At(at(0, 3)), [3, 0]),
        (Start::Each(vec![at(1, 1), at(0, 2)]), [2, 1]),
        (Start::Each(vec![]), [0, 0]),
    ] {
        let group = stream.group("g").create(start.clone()).unwrap();
        assert_eq!(group.floors().unwrap(), floors, "{start:?}");
        assert_eq!(group.lag().unwrap(), 6 - floors[0] - floors[1]);
        let worker = group.join("worker").unwrap();
        let mut first = [3, 3];
        for held in &worker.try_read(9).unwrap() {
            let slot = &mut first[held.id().partition() as usize];
            *slot = held.id().offset().min(*slot);
        }
        assert_eq!(first, floors, "{start:?}");
        let reader = stream.reader(start).unwrap();
        let mut first = [3, 3];
        for entry in &reader.try_read(9).unwrap() {
            let slot = &mut first[entry.id().partition() as usize];
            *slot = entry.id().offset().min(*slot);
        }
        assert_eq!(first, floors);
        group.delete().unwrap();
    }
}

#[test]
fn a_start_beyond_the_end_is_refused() {
    let stream = two_partitions();
    let beyond = EntryId::new(1, 4);
    for start in [Start::At(beyond), Start::Each(vec![EntryId::new(0, 0), beyond])] {
        let refused = stream.group("g").open(start.clone()).unwrap_err();
        let right = matches!(refused, Error::StartBeyondEnd { start, end: 3 } if start == beyond);
        assert!(right, "{refused}");
        let refused = stream.reader(start).unwrap_err();
        assert!(matches!(refused, Error::StartBeyondEnd { .. }), "{refused}");
    }
    for start in [Start::At(EntryId::new(2, 0)), Start::At(EntryId::new(u32::MAX, u64::MAX))] {
        let refused = stream.group("g").open(start).unwrap_err();
        assert!(matches!(refused, Error::NoSuchPartition { partitions: 2, .. }), "{refused}");
    }
    assert!(stream.groups().is_empty());
}

#[test]
fn latest_is_where_the_group_was_made_and_not_where_it_was_opened() {
    let dir = tempfile::tempdir().unwrap();
    let stream = Stream::open(dir.path()).unwrap();
    fill(&stream, 2);
    drop(stream.group("g").open(Start::Latest).unwrap());
    fill(&stream, 2);
    stream.close().unwrap();
    let stream = Stream::open(dir.path()).unwrap();
    let worker = stream.group("g").open(Start::Latest).unwrap().join("worker").unwrap();
    assert_eq!(seen(&worker.try_read(9).unwrap()), [(2, 1), (3, 1)]);
}

#[test]
fn groups_are_opened_made_and_found() {
    let stream = two_partitions();
    let refused = stream.group("g").open_existing().unwrap_err();
    assert!(matches!(refused, Error::NotFound { .. }), "{refused}");
    stream.group("g").open(Start::Earliest).unwrap();
    stream.group("g").open(Start::Earliest).unwrap();
    let refused = stream.group("g").create(Start::Earliest).unwrap_err();
    assert!(matches!(refused, Error::AlreadyExists { .. }), "{refused}");
    stream.group("a").create(Start::Latest).unwrap();
    assert_eq!(stream.groups(), ["a", "g"]);
    assert_eq!(stream.group("a").open_existing().unwrap().name(), "a");
}

#[test]
fn a_group_made_again_inherits_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let clock = millstream::ManualClock::new();
    let Scene { stream, group, worker, .. } = crate::scene::scene_on(dir.path(), &clock, 4);
    take(&worker).ack().unwrap();
    take(&worker).reject("bad").unwrap();
    take(&worker).nack_after(HOUR).unwrap();
    let held = take(&worker);
    group.delete().unwrap();
    assert!(stream.groups().is_empty());
    assert!(matches!(group.lag(), Err(Error::GroupDeleted)));
    assert!(matches!(group.delete(), Err(Error::GroupDeleted)));
    assert!(matches!(group.join("late"), Err(Error::GroupDeleted)));
    assert!(matches!(worker.try_read(1), Err(Error::GroupDeleted)));
    assert!(matches!(worker.heartbeat(), Err(Error::GroupDeleted)));
    held.ack().unwrap_err();
    let fresh = stream.group("g").create(Start::Earliest).unwrap();
    let next = fresh.join("worker").unwrap();
    let batch = next.try_read(9).unwrap();
    assert_eq!(seen(&batch), [(0, 1), (1, 1), (2, 1), (3, 1)]);
    assert!(batch.ack_all().unwrap().is_complete());
    let info = fresh.info().unwrap();
    assert_eq!((info.acked, info.parked, info.delayed), (4, 0, 0));
    fresh.delete().unwrap();
    drop((group, worker, fresh, next));
    stream.close().unwrap();
    let stream = Stream::open(dir.path()).unwrap();
    assert!(stream.groups().is_empty());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3, "lock, manifest, partition");
}

#[test]
fn partitions_are_fixed_when_the_stream_is_made() {
    let dir = tempfile::tempdir().unwrap();
    drop(Stream::options().partitions(3).open(dir.path()).unwrap());
    let refused = Stream::options().partitions(4).open(dir.path()).unwrap_err();
    let Error::OptionsDiffer { option: "partitions", stored, given } = refused else {
        panic!("{refused}")
    };
    assert_eq!((&*stored, &*given), ("3", "4"));
    assert_eq!(Stream::open(dir.path()).unwrap().partitions(), 3);
    assert_eq!(Stream::options().partitions(3).open(dir.path()).unwrap().partitions(), 3);
}

#[test]
fn what_is_not_set_keeps_its_value() {
    let dir = tempfile::tempdir().unwrap();
    let large = "x".repeat(200);
    let too_large = |stream: &Stream| stream.append(&large).is_err();
    assert!(too_large(&Stream::options().entry_bytes_max(100).open(dir.path()).unwrap()));
    assert!(too_large(&Stream::open(dir.path()).unwrap()));
    assert!(!too_large(&Stream::options().entry_bytes_max(300).open(dir.path()).unwrap()));
    assert!(!too_large(&Stream::open(dir.path()).unwrap()));
}

/// Whether an entry is set aside after its first failure.
fn gives_up_at_once(options: GroupOptions) -> bool {
    let group = options.open(Start::Latest).unwrap();
    group.stream().append("next").unwrap();
    let worker = group.join("worker").unwrap();
    take(&worker).nack().unwrap();
    let parked = parked(&group, 9);
    assert_eq!(group.discard_parked(&parked).unwrap(), parked.len() as u64);
    let gave_up = !parked.is_empty();
    if !gave_up {
        assert_eq!(group.skip(0, 0..group.info().unwrap().partitions[0].end).unwrap(), 1);
    }
    gave_up
}

#[test]
fn a_groups_options_are_kept_and_taken_from_the_code_where_it_sets_them() {
    let dir = tempfile::tempdir().unwrap();
    let open = || Stream::open(dir.path()).unwrap();
    assert!(gives_up_at_once(open().group("g").max_deliveries(1)));
    assert!(gives_up_at_once(open().group("g")));
    assert!(!gives_up_at_once(open().group("g").max_deliveries(2)));
    assert!(!gives_up_at_once(open().group("g")));
    // The same without closing in between.
    let stream = open();
    assert!(gives_up_at_once(stream.group("g").max_deliveries(1)));
    assert!(gives_up_at_once(stream.group("g")));
}

#[test]
fn a_group_in_use_is_not_reconfigured() {
    let stream = Stream::options().in_memory().unwrap();
    let used = stream.group("g").max_deliveries(1).open(Start::Latest).unwrap();
    assert!(gives_up_at_once(stream.group("g").max_deliveries(2)));
    let member = used.join("somebody").unwrap();
    drop(used);
    assert!(gives_up_at_once(stream.group("g").max_deliveries(2)));
    drop(member);
    assert!(!gives_up_at_once(stream.group("g").max_deliveries(2)));
}

#[test]
fn skipping_settles_as_lost_and_never_jumps_over_new_entries() {
    let Scene { group, worker, .. } = scene(6);
    take(&worker).ack().unwrap();
    take(&worker).reject("bad").unwrap();
    let held = take(&worker);
    assert!(matches!(group.skip(0, 4..6), Err(Error::StartBeyondEnd { .. })));
    assert!(matches!(group.skip(0, 0..7), Err(Error::StartBeyondEnd { .. })));
    assert!(matches!(group.skip(1, 0..1), Err(Error::NoSuchPartition { .. })));
    assert_eq!(group.skip(0, 0..4).unwrap(), 3, "one parked, one leased, one new");
    held.ack().unwrap_err();
    let info = group.info().unwrap();
    assert_eq!((info.skipped, info.lag, info.parked, info.acked), (3, 2, 0, 1));
    assert_eq!(seen(&worker.try_read(9).unwrap()), [(4, 1), (5, 1)]);
}

#[test]
fn floors_move_past_everything_that_is_settled_or_set_aside() {
    let Scene { clock, group, worker, .. } = scene(5);
    let mut held = take_all(&worker);
    held.pop().unwrap().ack().unwrap();
    assert_eq!(group.floors().unwrap(), [0]);
    held.remove(0).ack().unwrap();
    assert_eq!(group.floors().unwrap(), [1]);
    held.remove(0).reject("bad").unwrap();
    assert_eq!(group.floors().unwrap(), [2]);
    held.remove(1).ack().unwrap();
    assert_eq!(
        group
            .pending_entries(&PendingQuery::new())
            .unwrap()
            .iter()
            .map(|p| p.id)
            .collect::<Vec<_>>(),
        [id(2)]
    );
    held.remove(0).nack().unwrap();
    assert_eq!(group.floors().unwrap(), [2]);
    clock.advance(SECOND);
    take(&worker).ack().unwrap();
    assert_eq!((group.floors().unwrap(), group.lag().unwrap()), (vec![5], 0));
    assert!(idle(&worker));
}

#[test]
fn offsets_are_told_as_the_owner_moves_them() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stream");
    let owner = Stream::open(&path).unwrap();
    let seen = Stream::options().open_read_only(&path).unwrap();
    for number in 0..3 {
        assert_eq!(seen.offsets(&Start::Latest).unwrap(), [EntryId::new(0, number)]);
        owner.append("x").unwrap();
    }
}
