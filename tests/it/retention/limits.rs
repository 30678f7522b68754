//! Limits alone: by bytes, age and number; what groups and readers lose by them.

use super::*;

#[test]
fn by_default_everything_stays() {
    for retention in [Retention::keep_all(), Retention::default()] {
        let stream = stream(retention);
        append(&stream, 30);
        assert!(stream.trim().unwrap().partitions.is_empty());
        assert_eq!(stream.maintain().unwrap(), None);
        assert_eq!((start(&stream), kept(&stream)), (0, 30));
    }
}

#[test]
fn so_many_entries_stay_and_not_a_segment_more() {
    for most in [1, 3, 4, 10, 25] {
        let stream = stream(Retention::keep_all().entries(most));
        for n in 1..=40 {
            append(&stream, 1);
            let kept = kept(&stream);
            assert!(kept >= most.min(n), "{kept} of {n} left, not {most}");
            assert!(kept < most + 2 * PER_SEGMENT, "{kept} of {n} left, not {most}");
        }
        stream.trim().unwrap();
        assert!(kept(&stream) < most + PER_SEGMENT);
    }
}

#[test]
fn files_take_no_more_than_the_bytes_that_are_allowed() {
    for most in [1, 5_000, 12_000, 50_000] {
        let stream = stream(Retention::keep_all().bytes(most));
        let mut greatest = 0;
        for _ in 0..80 {
            append(&stream, 1);
            let info = stream.info().unwrap();
            assert_eq!(info.bytes, info.partitions[0].file_bytes);
            let alone = info.partitions[0].segments == 1;
            assert!(info.bytes <= most || alone, "{} bytes of {most}", info.bytes);
            greatest = greatest.max(info.bytes);
        }
        assert!(greatest + 4_096 > most, "no more went than has to: {greatest} of {most}");
    }
}

#[test]
fn old_entries_go_with_the_next_roll_or_when_somebody_looks() {
    let clock = ManualClock::new();
    let stream = options(Retention::keep_all().age(SECOND * 60), &clock).in_memory().unwrap();
    append(&stream, 4);
    clock.advance(SECOND * 10);
    append(&stream, 3);
    assert_eq!(start(&stream), 0);
    // The first segment is too old in 50 seconds, and not a microsecond before.
    let micro = Duration::from_micros(1);
    assert_eq!(stream.next_deadline(), Some(SECOND * 50 + micro));
    clock.advance(SECOND * 50);
    assert_eq!(stream.maintain().unwrap(), Some(micro));
    assert_eq!(start(&stream), 0);
    clock.advance(micro);
    assert_eq!(stream.next_deadline(), Some(Duration::ZERO));
    // The second one was filled ten seconds later.
    assert_eq!(stream.maintain().unwrap(), Some(SECOND * 10));
    assert_eq!(start(&stream), 3);
    clock.advance(SECOND * 10);
    assert_eq!(stream.trim().unwrap().entries(), 3);
    assert_eq!(stream.next_deadline(), None, "the newest segment stays");
    append(&stream, 2);
    clock.advance(HOUR);
    append(&stream, 1);
    assert_eq!(start(&stream), 9, "a roll sees what is old");
    assert_eq!(stream.append(PAYLOAD).unwrap(), id(10), "ids never go back");
}

#[test]
fn any_limit_is_enough() {
    let clock = ManualClock::new();
    let retention = Retention::keep_all().entries(20).bytes(1 << 20).age(SECOND * 60);
    let stream = options(retention, &clock).in_memory().unwrap();
    append(&stream, 40);
    assert!((20..26).contains(&kept(&stream)));
    clock.advance(HOUR);
    stream.trim().unwrap();
    assert!(kept(&stream) <= PER_SEGMENT);
}

#[test]
fn a_roll_in_one_partition_takes_what_is_old_in_the_others() {
    let clock = ManualClock::new();
    let options = options(Retention::keep_all().age(SECOND * 60), &clock).partitions(3);
    let stream = options.in_memory().unwrap();
    append(&stream, 21);
    clock.advance(HOUR);
    let key = millstream::NewEntry::new(PAYLOAD).key("one partition's");
    let mut rolls = None;
    for _ in 0..4 {
        rolls = Some(stream.append(key.clone()).unwrap().partition());
    }
    let starts: Vec<u64> = stream.info().unwrap().partitions.iter().map(|p| p.start).collect();
    let wanted =
        |p: u32| if Some(p) == rolls { starts[p as usize] >= 6 } else { starts[p as usize] == 6 };
    assert!((0..3).all(wanted), "{starts:?}");
}

#[test]
fn the_clock_may_jump_and_nothing_new_goes_for_it() {
    let clock = ManualClock::new();
    let stream = options(Retention::keep_all().age(SECOND * 60), &clock).in_memory().unwrap();
    append(&stream, 10);
    clock.set_wall(std::time::UNIX_EPOCH);
    append(&stream, 10);
    stream.maintain().unwrap();
    assert_eq!(start(&stream), 0);
}

#[test]
fn what_a_group_loses_is_counted_by_kind_and_told() {
    let stream = stream(Retention::keep_all().entries(1));
    let group = group(&stream, "g");
    let worker = member(&group);
    // A segment and one more: nothing goes as yet.
    append(&stream, 3);
    let events = group.events().unwrap();
    let (acked, held, nacked) = (take(&worker), take(&worker), take(&worker));
    acked.ack().unwrap();
    let held = held.detach();
    nacked.nack_after(HOUR).unwrap();
    append(&stream, 1);
    assert_eq!(loss(&group), [0, 1, 1, 0]);
    let wanted = Loss::default();
    assert!(wanted.is_empty());
    let told: Vec<Event> = events.drain();
    let [Event::Trimmed { partition: 0, first: 1, end: 3, lost }] = &told[..] else {
        panic!("{told:?}")
    };
    assert_eq!((by_kind(*lost), lost.entries()), ([0, 1, 1, 0], 2));
    let refused = group.ack([held]).unwrap();
    assert_eq!(refused.refused, [(id(1), millstream::Lost::Trimmed)]);

    // A parked one and two that nobody ever saw.
    take(&worker).reject("bad").unwrap();
    append(&stream, 3);
    assert_eq!(loss(&group), [2, 1, 1, 1]);
    assert!(group.parked(9).unwrap().is_empty());
    let info = group.info().unwrap();
    assert_eq!((info.lag, info.leased, info.delayed, info.parked), (1, 0, 0, 0));
    assert_eq!((info.acked, info.skipped, info.discarded), (1, 0, 0));
    assert_eq!(take(&worker).id(), id(6), "the group goes on with what is left");
    assert!(group.floors().unwrap()[0] >= 6, "the floor moves on");
}

#[test]
fn groups_are_told_apart_in_the_report() {
    let stream = stream(Retention::keep_all().entries(1 << 40));
    let (done, behind) = (group(&stream, "done"), group(&stream, "behind"));
    append(&stream, 10);
    ack_all(&member(&done));
    let trimmed = stream.trim().unwrap();
    assert!(trimmed.partitions.is_empty());
    assert_eq!(stream.trim_before(id(7)).unwrap(), 6);
    assert_eq!((loss(&done), loss(&behind)), ([0; 4], [6, 0, 0, 0]));
}

#[test]
fn a_trim_says_what_went() {
    let clock = ManualClock::new();
    let stream = options(Retention::keep_all().age(SECOND), &clock).in_memory().unwrap();
    let (done, behind) = (group(&stream, "done"), group(&stream, "behind"));
    append(&stream, 10);
    ack_all(&member(&done));
    clock.advance(HOUR / 2);
    let before = stream.info().unwrap().bytes;
    let trimmed = stream.trim().unwrap();
    let [one] = &trimmed.partitions[..] else { panic!("{trimmed:?}") };
    assert_eq!((one.partition, one.start, one.end), (0, 0, 9));
    let lost: Vec<_> = one.lost.iter().map(|(name, loss)| (&**name, by_kind(*loss))).collect();
    assert_eq!(lost, [("behind", [9, 0, 0, 0])]);
    assert_eq!(before - one.bytes, stream.info().unwrap().bytes);
    assert_eq!((trimmed.entries(), trimmed.bytes()), (9, one.bytes));
    assert_eq!(loss(&behind), [9, 0, 0, 0]);
    assert!(stream.trim().unwrap().partitions.is_empty());
}

#[test]
fn readers_and_subscriptions_count_what_they_missed() {
    let stream = stream(Retention::keep_all().entries(3));
    let subscription = stream.subscribe().unwrap();
    let reader = stream.reader(Start::Earliest).unwrap();
    append(&stream, 2);
    assert_eq!(reader.try_read(1).unwrap().len(), 1);
    append(&stream, 18);
    let (start, kept) = (start(&stream), kept(&stream));
    assert_eq!(subscription.try_read(100).unwrap().len() as u64, kept);
    assert_eq!(reader.try_read(100).unwrap().len() as u64, kept);
    assert_eq!((subscription.missed(), reader.missed()), (start, start - 1));
}

#[test]
fn a_read_in_the_middle_goes_on_where_the_log_does() {
    let stream = stream(Retention::keep_all().entries(4));
    let group = group(&stream, "g");
    let worker = member(&group);
    append(&stream, 4);
    let batch = worker.try_read(2).unwrap();
    append(&stream, 30);
    // What was read is there to the end; it just cannot be acked any more.
    let payloads: Vec<usize> = batch.iter().map(|held| held.payload().len()).collect();
    assert_eq!(payloads, [950, 950]);
    assert_eq!(batch.ack_all().unwrap().refused.len(), 2);
    let ids: Vec<EntryId> = take_all(&worker).iter().map(|delivery| delivery.id()).collect();
    assert_eq!(ids[0], id(start(&stream)));
    assert_eq!(ids.len() as u64, kept(&stream));
    let [unread, pending, ..] = loss(&group);
    assert_eq!((unread + pending, pending), (start(&stream), 2));
}

#[test]
fn an_endless_append_each_is_trimmed_on_the_way() {
    let stream = stream(Retention::keep_all().entries(3));
    let mut most = 0;
    let entries = (0..60).map(|_| {
        most = most.max(kept(&stream));
        PAYLOAD
    });
    assert_eq!(stream.append_each(entries).unwrap().len(), 60);
    assert!(most < 3 + 2 * PER_SEGMENT, "{most}");
}

#[test]
fn added_partitions_are_kept_as_long() {
    let stream = stream(Retention::keep_all().entries(3));
    append(&stream, 9);
    stream.add_partitions(2).unwrap();
    append(&stream, 60);
    for partition in stream.info().unwrap().partitions {
        assert!(partition.start > 0 && partition.end - partition.start < 9, "{partition:?}");
    }
}
