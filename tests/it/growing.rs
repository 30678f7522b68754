//! Partitions added later (D12, A3): durable at once, read from their first entry by everybody, and
//! nothing that was there before moves.

use std::collections::BTreeMap;
use std::path::Path;
use std::thread;

use millstream::{
    Delivery, Durability, Entries, EntryId, Error, Group, ManualClock, NewEntry, PendingQuery,
    Start, Stream,
};

use crate::crew::copied;
use crate::scene::{HOUR, SECOND, fill, id, idle, parked, take_all};

/// A stream in memory of so many partitions.
fn stream_of(partitions: u32) -> Stream {
    Stream::options().partitions(partitions).in_memory().unwrap()
}

/// A group from that start.
fn group(stream: &Stream, name: &str, start: Start) -> Group {
    stream.group(name).session_timeout(HOUR).open(start).unwrap()
}

/// Appends one entry, to that partition.
fn append_to(stream: &Stream, partition: u32) -> EntryId {
    let scratch = stream_of(stream.partitions());
    let keys = (0..).map(|n| format!("customer-{n}"));
    let key = { keys }
        .find(|key| scratch.append(NewEntry::new("e").key(key)).unwrap().partition() == partition);
    stream.append(NewEntry::new("e").key(&key.unwrap())).unwrap()
}

fn partitions_of(entries: &Entries) -> Vec<u32> {
    let mut partitions: Vec<u32> = entries.iter().map(|entry| entry.id().partition()).collect();
    partitions.sort_unstable();
    partitions
}

fn ack_all(deliveries: Vec<Delivery>) {
    for delivery in deliveries {
        delivery.ack().unwrap();
    }
}

/// What a new member of a group gets, acked.
fn drained(group: &Group) -> Vec<EntryId> {
    let worker = group.join("drain").unwrap();
    let deliveries = take_all(&worker);
    let mut ids: Vec<EntryId> = deliveries.iter().map(|delivery| delivery.id()).collect();
    ack_all(deliveries);
    ids.sort_unstable();
    ids
}

mod what_was_there_stays {
    use super::*;

    #[test]
    fn entries_keep_their_ids_and_groups_what_they_know() {
        let stream = stream_of(2);
        fill(&stream, 6);
        let group = group(&stream, "g", Start::Earliest);
        let worker = group.join("worker").unwrap();
        let mut held = take_all(&worker);
        for _ in 0..2 {
            held.pop().unwrap().ack().unwrap();
        }
        assert_eq!(stream.add_partitions(3).unwrap(), 5);
        assert_eq!(stream.partitions(), 5);
        assert_eq!(stream.info().unwrap().partitions.len(), 5);
        for partition in 0..2 {
            let entry = stream.get(EntryId::new(partition, 2)).unwrap().unwrap();
            assert_eq!(entry.payload(), format!("e{}", 4 + partition).as_bytes());
        }
        assert_eq!(group.info().unwrap().leased, 4);
        ack_all(held);
        assert_eq!(group.lag().unwrap(), 0);
        assert_eq!(group.floors().unwrap(), [3, 3, 0, 0, 0]);
    }

    #[test]
    fn entries_without_a_key_go_to_all_in_turn() {
        let stream = stream_of(1);
        stream.add_partitions(9).unwrap();
        fill(&stream, 20);
        let info = stream.info().unwrap();
        assert!(info.partitions.iter().all(|partition| partition.end == 2));
        stream.verify().unwrap();
    }

    /// Jump consistent hash: a key stays, or goes to a new partition.
    #[test]
    fn keys_stay_or_go_to_a_new_partition() {
        let stream = stream_of(6);
        let keys: Vec<String> = (0..1_000).map(|n| format!("customer-{n}")).collect();
        let place = || {
            let entries = keys.iter().map(|key| NewEntry::new("e").key(key));
            let ids = stream.append_each(entries).unwrap();
            ids.into_iter().map(EntryId::partition).collect::<Vec<u32>>()
        };
        let before = place();
        stream.add_partitions(2).unwrap();
        let after = place();
        let moved = before.iter().zip(&after).filter(|(before, after)| before != after);
        let moved: Vec<u32> = moved.map(|(_, after)| *after).collect();
        assert!(moved.iter().all(|partition| *partition >= 6));
        // A quarter of them, within five standard deviations.
        assert!((180..320).contains(&moved.len()), "{} moved", moved.len());
        assert_eq!(place(), after);
    }
}

mod groups {
    use super::*;

    #[test]
    fn a_group_reads_new_partitions_from_their_first_entry_whatever_its_start() {
        let stream = stream_of(2);
        fill(&stream, 6);
        let starts = [
            ("earliest", Start::Earliest, 6),
            ("latest", Start::Latest, 0),
            ("at", Start::At(EntryId::new(1, 2)), 4),
            ("each", Start::Each(vec![EntryId::new(0, 3), EntryId::new(1, 3)]), 0),
        ];
        let groups = starts.map(|(name, start, old)| (group(&stream, name, start), old));
        stream.add_partitions(2).unwrap();
        for (group, old) in &groups {
            assert_eq!(group.lag().unwrap(), *old, "{group:?}");
        }
        fill(&stream, 8);
        // It starts behind what is in the new ones by then.
        let late = group(&stream, "late", Start::Latest);
        for (group, old) in &groups {
            assert_eq!(group.lag().unwrap(), old + 8, "{group:?}");
            let ids = drained(group);
            assert_eq!(ids.len() as u64, old + 8);
            let new = [EntryId::new(2, 0), EntryId::new(2, 1), EntryId::new(3, 0)];
            assert!(new.iter().all(|id| ids.contains(id)), "{ids:?}");
            assert_eq!(group.lag().unwrap(), 0);
        }
        assert!(drained(&late).is_empty());
    }

    #[test]
    fn new_partitions_are_settled_skipped_and_parked_as_others_are() {
        let stream = stream_of(1);
        let group = stream.group("g").max_deliveries(1).open(Start::Latest).unwrap();
        stream.add_partitions(1).unwrap();
        fill(&stream, 8);
        let worker = group.join("worker").unwrap();
        let mut held: Vec<_> = take_all(&worker).into_iter().map(Some).collect();
        let mut take = |id| {
            let at = held.iter().position(|held| held.as_ref().is_some_and(|held| held.id() == id));
            held[at.unwrap()].take().unwrap()
        };
        let of = |offset| EntryId::new(1, offset);
        take(of(0)).ack().unwrap();
        take(of(1)).reject("bad").unwrap();
        assert_eq!(parked(&group, 9), [of(1)]);
        let token = take(of(2)).detach();
        assert!(group.ack([token]).unwrap().is_complete());
        assert_eq!(
            group
                .pending_entries(&PendingQuery::new())
                .unwrap()
                .iter()
                .filter(|p| p.id.partition() == 1)
                .count(),
            1
        );
        assert_eq!(group.skip(1, 3..4).unwrap(), 1);
        assert_eq!(group.floors().unwrap(), [0, 4]);
        assert!(matches!(group.skip(2, 0..1), Err(Error::NoSuchPartition { partitions: 2, .. })));
    }

    #[test]
    fn a_start_may_name_a_new_partition() {
        let stream = stream_of(1);
        let at = Start::At(EntryId::new(1, 1));
        assert!(matches!(stream.reader(at.clone()), Err(Error::NoSuchPartition { .. })));
        stream.add_partitions(1).unwrap();
        fill(&stream, 4);
        assert_eq!(drained(&group(&stream, "g", at)).len(), 3);
    }
}

mod readers {
    use super::*;

    #[test]
    fn readers_and_subscriptions_see_new_partitions_from_their_first_entry() {
        let stream = stream_of(1);
        fill(&stream, 2);
        let readers = [Start::Earliest, Start::Latest].map(|start| stream.reader(start).unwrap());
        let subscription = stream.subscribe().unwrap();
        assert_eq!(readers[0].try_read(1).unwrap().len(), 1);
        stream.add_partitions(2).unwrap();
        fill(&stream, 3);
        // Made behind all of it.
        assert!(stream.subscribe().unwrap().try_read(9).unwrap().is_empty());
        assert_eq!(partitions_of(&readers[0].try_read(9).unwrap()), [0, 0, 1, 2]);
        assert_eq!(partitions_of(&readers[1].try_read(9).unwrap()), [0, 1, 2]);
        assert_eq!(partitions_of(&subscription.try_read(9).unwrap()), [0, 1, 2]);
        assert!(subscription.try_read(9).unwrap().is_empty());
    }

    #[test]
    fn readers_with_an_end_keep_to_what_there_was() {
        let stream = stream_of(1);
        fill(&stream, 2);
        let open = || stream.reader(Start::Earliest).unwrap();
        let ended = [open().until_now(), open().until(id(2)).unwrap(), open().backward()];
        stream.add_partitions(1).unwrap();
        fill(&stream, 4);
        for reader in ended {
            assert_eq!(partitions_of(&reader.try_read(9).unwrap()), [0, 0]);
            assert!(reader.try_read(9).unwrap().is_empty());
        }
    }

    #[test]
    fn an_end_that_is_set_later_is_the_end_then() {
        let stream = stream_of(1);
        fill(&stream, 2);
        let open = || stream.reader(Start::At(id(1))).unwrap();
        let readers = [open(), open(), open()];
        stream.add_partitions(1).unwrap();
        fill(&stream, 4);
        let [now, until, backward] = readers;
        let until = until.until(EntryId::new(1, 1)).unwrap();
        fill(&stream, 2);
        assert_eq!(partitions_of(&until.try_read(9).unwrap()), [0, 0, 0, 1]);
        assert_eq!(partitions_of(&now.until_now().try_read(9).unwrap()), [0, 0, 0, 0, 1, 1, 1]);
        assert_eq!(partitions_of(&backward.backward().try_read(9).unwrap()), [0, 0, 0, 0, 1, 1, 1]);
    }
}

mod blocked_reads {
    use super::*;

    /// Blocks in `read`, adds a partition, and appends to it once the read is blocked again.
    fn wakes(durability: Durability, read: impl FnOnce(&Stream) -> EntryId + Send) {
        let clock = ManualClock::new();
        let options = Stream::options().durability(durability).clock(clock.clone());
        let stream = options.in_memory().unwrap();
        thread::scope(|scope| {
            let reading = scope.spawn(|| read(&stream));
            clock.wait_for_blocked(1);
            stream.add_partitions(1).unwrap();
            clock.wait_for_blocked(1);
            assert_eq!(append_to(&stream, 1), EntryId::new(1, 0));
            assert_eq!(reading.join().unwrap(), EntryId::new(1, 0));
        });
    }

    #[test]
    fn an_entry_in_a_new_partition_wakes_a_blocked_read_of_any_kind() {
        for durability in [Durability::Os, Durability::Every(SECOND), Durability::Always] {
            wakes(durability, |stream| {
                let worker = group(stream, "g", Start::Latest).join("worker").unwrap();
                worker.read(1).unwrap().iter().next().unwrap().id()
            });
            wakes(durability, |stream| {
                let reader = stream.reader(Start::Latest).unwrap();
                reader.read(1).unwrap().iter().next().unwrap().id()
            });
            wakes(durability, |stream| {
                let subscription = stream.subscribe().unwrap();
                subscription.read(1).unwrap().iter().next().unwrap().id()
            });
        }
    }

    #[test]
    fn a_read_that_is_woken_by_it_keeps_its_deadline() {
        let clock = ManualClock::new();
        let stream = Stream::options().clock(clock.clone()).in_memory().unwrap();
        let worker = group(&stream, "g", Start::Earliest).join("worker").unwrap();
        thread::scope(|scope| {
            let reading = scope.spawn(|| worker.read_timeout(1, SECOND * 5).unwrap().len());
            clock.wait_for_blocked(1);
            clock.advance(SECOND * 4);
            stream.add_partitions(1).unwrap();
            clock.wait_for_blocked(1);
            clock.advance(SECOND);
            assert_eq!(reading.join().unwrap(), 0);
        });
    }
}

mod durable {
    use super::*;

    fn open(path: &Path) -> Stream {
        Stream::options().clock(ManualClock::new()).open(path).unwrap()
    }

    #[test]
    fn the_number_and_what_groups_did_there_survive() {
        let dir = tempfile::tempdir().unwrap();
        let stream = open(dir.path());
        let group = group(&stream, "g", Start::Earliest);
        fill(&stream, 3);
        let worker = group.join("worker").unwrap();
        ack_all(take_all(&worker));
        stream.add_partitions(2).unwrap();
        assert_eq!(open(copied(dir.path()).path()).partitions(), 3);
        let new = append_to(&stream, 2);
        let held = take_all(&worker);
        for delivery in held {
            if delivery.id() == new {
                delivery.ack().unwrap();
            } else {
                let _token = delivery.detach();
            }
        }
        for closed in [false, true] {
            if closed {
                stream.clone().close().unwrap();
            }
            let copy = copied(dir.path());
            let at = open(copy.path());
            assert_eq!(at.recovery().is_clean(), closed);
            let group = at.group("g").open_existing().unwrap();
            assert_eq!(group.floors().unwrap(), [3, 0, 1]);
            assert_eq!(at.get(new).unwrap().unwrap().payload(), b"e");
            drained(&group);
            assert_eq!(group.lag().unwrap(), 0);
            at.add_partitions(1).unwrap();
            append_to(&at, 3);
            assert!(drained(&group).contains(&EntryId::new(3, 0)));
        }
    }

    #[test]
    fn an_opening_has_to_name_the_new_number() {
        let dir = tempfile::tempdir().unwrap();
        let options = || Stream::options().clock(ManualClock::new());
        let stream = options().partitions(2).open(dir.path()).unwrap();
        stream.add_partitions(2).unwrap();
        stream.close().unwrap();
        let refused = options().partitions(2).open(dir.path()).unwrap_err();
        let right = matches!(&refused, Error::OptionsDiffer { option: "partitions", stored, given }
            if &**stored == "4" && &**given == "2");
        assert!(right, "{refused}");
        assert_eq!(options().partitions(4).open(dir.path()).unwrap().partitions(), 4);
        assert_eq!(options().open(dir.path()).unwrap().partitions(), 4);
        assert_eq!(options().open_read_only(dir.path()).unwrap().partitions(), 4);
    }

    #[test]
    fn partitions_without_entries_have_no_files() {
        let dir = tempfile::tempdir().unwrap();
        let stream = open(dir.path());
        group(&stream, "g", Start::Earliest);
        stream.add_partitions(1_000).unwrap();
        let mut names: Vec<_> = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort_unstable();
        assert_eq!(names, ["lock", "manifest"]);
    }

    #[test]
    fn a_stream_of_an_earlier_version_grows() {
        for how in ["closed", "killed"] {
            let data = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("tests/data/v1")
                .join(how)
                .join("orders");
            let dir = copied(&data);
            let stream = open(dir.path());
            let before = stream.info().unwrap().entries();
            let lag = stream.group("billing").open_existing().unwrap().lag().unwrap();
            assert_eq!(stream.add_partitions(2).unwrap(), 4);
            append_to(&stream, 3);
            stream.close().unwrap();
            let stream = open(dir.path());
            assert_eq!(stream.info().unwrap().entries(), before + 1);
            let group = stream.group("billing").open_existing().unwrap();
            assert_eq!(group.lag().unwrap(), lag + 1);
            stream.verify().unwrap();
        }
    }
}

mod refused {
    use super::*;

    #[test]
    fn none_and_too_many() {
        let options = Stream::options().partitions(16_000).segment_bytes(4096);
        let stream = options.in_memory().unwrap();
        assert!(matches!(stream.add_partitions(0), Err(Error::TooSmall { min: "1", .. })));
        for count in [385, u32::MAX] {
            let refused = stream.add_partitions(count).unwrap_err();
            assert!(matches!(refused, Error::LimitReached { max: 16_384, .. }), "{refused}");
        }
        assert_eq!(stream.partitions(), 16_000);
        assert_eq!(stream.add_partitions(384).unwrap(), 16_384);
        assert!(matches!(stream.add_partitions(1), Err(Error::LimitReached { .. })));
        // One of 43 goes to a new one.
        let keys: Vec<String> = (0..400).map(|n| format!("customer-{n}")).collect();
        let entries = keys.iter().map(|key| NewEntry::new(key).key(key));
        for (id, key) in stream.append_each(entries).unwrap().into_iter().zip(&keys) {
            assert_eq!(stream.get(id).unwrap().unwrap().payload(), key.as_bytes());
        }
        assert!(stream.info().unwrap().partitions[16_000..].iter().any(|added| added.end > 0));
    }

    #[test]
    fn on_a_stream_that_is_closed_or_may_only_be_read() {
        let dir = tempfile::tempdir().unwrap();
        let stream = Stream::open(dir.path()).unwrap();
        stream.clone().close().unwrap();
        assert!(stream.add_partitions(1).unwrap_err().is_closed());
        let stream = Stream::options().open_read_only(dir.path()).unwrap();
        assert!(matches!(stream.add_partitions(1), Err(Error::ReadOnly)));
        assert_eq!(stream.partitions(), 1);
    }
}

mod while_in_use {
    use super::*;

    /// Writers, a group and a subscription at work while partitions are added: every entry comes
    /// to each of them, once.
    #[test]
    fn nothing_is_missed_and_nothing_comes_twice() {
        const WRITERS: u64 = 2;
        const ENTRIES: u64 = 1_500;
        let stream = stream_of(1);
        let group = group(&stream, "g", Start::Latest);
        let subscription = stream.subscribe().unwrap();
        let (worked, subscribed) = thread::scope(|scope| {
            for writer in 0..WRITERS {
                let stream = &stream;
                scope.spawn(move || {
                    for n in 0..ENTRIES {
                        let payload = (writer * ENTRIES + n).to_le_bytes();
                        if n % 3 == 0 {
                            // Equal keys stay together however many partitions there are.
                            let entry = || NewEntry::new(&payload).key("k");
                            stream.append_batch([entry()]).unwrap();
                        } else {
                            stream.append(&payload).unwrap();
                        }
                    }
                });
            }
            let work = scope.spawn(|| {
                let worker = group.join("worker").unwrap();
                let mut seen = BTreeMap::new();
                while (seen.len() as u64) < WRITERS * ENTRIES {
                    let batch = worker.read_timeout(50, SECOND * 60).unwrap();
                    assert!(!batch.is_empty(), "{} came", seen.len());
                    for delivery in batch {
                        let number = u64::from_le_bytes(delivery.payload().try_into().unwrap());
                        assert_eq!(seen.insert(number, delivery.id()), None);
                        delivery.ack().unwrap();
                    }
                }
                seen
            });
            let follow = scope.spawn(|| {
                let mut seen = BTreeMap::new();
                while (seen.len() as u64) < WRITERS * ENTRIES {
                    let entries = subscription.read_timeout(50, SECOND * 60).unwrap();
                    assert!(!entries.is_empty(), "{} came", seen.len());
                    for entry in entries {
                        let number = u64::from_le_bytes(entry.payload().try_into().unwrap());
                        assert_eq!(seen.insert(number, entry.id()), None);
                    }
                }
                seen
            });
            for (step, count) in (1..).zip([1, 2, 70, 1, 150]) {
                while stream.info().unwrap().entries() < step * WRITERS * ENTRIES / 6 {
                    thread::yield_now();
                }
                let before = stream.partitions();
                assert_eq!(stream.add_partitions(count).unwrap(), before + count);
            }
            (work.join().unwrap(), follow.join().unwrap())
        });
        assert_eq!(worked, subscribed);
        assert_eq!((group.lag().unwrap(), stream.partitions()), (0, 225));
        assert!(idle(&group.join("idle").unwrap()));
    }

    #[test]
    fn several_threads_may_add_some() {
        let stream = stream_of(1);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..5 {
                        stream.add_partitions(3).unwrap();
                    }
                });
            }
        });
        assert_eq!(stream.partitions(), 61);
    }
}
