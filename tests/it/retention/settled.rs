//! `settled`: what any group still needs stays, whatever it is to the group.

use super::*;

fn queue() -> Stream {
    stream(Retention::settled())
}

#[test]
fn entries_go_once_the_group_is_done_with_them() {
    let stream = queue();
    let worker = member(&group(&stream, "g"));
    append(&stream, 30);
    assert_eq!((start(&stream), stream.trim().unwrap().entries()), (0, 0));
    for _ in 0..10 {
        take(&worker).ack().unwrap();
    }
    assert_eq!(stream.trim().unwrap().entries(), 9);
    ack_all(&worker);
    assert_eq!(stream.info().unwrap().partitions[0].segments, 7, "acks delete nothing");
    // The next roll does, and leaves what is newest.
    append(&stream, 1);
    assert_eq!((start(&stream), kept(&stream)), (30, 1));
    assert_eq!(loss(&stream.group("g").open_existing().unwrap()), [0; 4]);
    assert_eq!(stream.append(PAYLOAD).unwrap(), id(31));
}

#[test]
fn a_queue_that_is_worked_off_keeps_a_segment_or_two() {
    let stream = queue();
    let worker = member(&group(&stream, "g"));
    for _ in 0..100 {
        append(&stream, 1);
        take(&worker).ack().unwrap();
        assert!(stream.info().unwrap().partitions[0].segments <= 2);
    }
    assert!(start(&stream) >= 90);
}

#[test]
fn without_a_group_nothing_is_settled() {
    let stream = queue();
    append(&stream, 30);
    assert!(stream.trim().unwrap().partitions.is_empty());
    assert_eq!((start(&stream), stream.info().unwrap().partitions[0].held_by.clone()), (0, None));
    // One that begins at the end needs none of it.
    stream.group("late").open(Start::Latest).unwrap();
    assert_eq!(stream.trim().unwrap().entries(), 27);
}

#[test]
fn the_slowest_group_holds_the_log_and_info_names_it() {
    let stream = queue();
    let (fast, slow) = (group(&stream, "fast"), group(&stream, "slow"));
    append(&stream, 30);
    ack_all(&member(&fast));
    let worker = member(&slow);
    for n in 0..30 {
        stream.trim().unwrap();
        assert_eq!(start(&stream), (n / PER_SEGMENT * PER_SEGMENT).min(27));
        let holder = stream.info().unwrap().partitions[0].held_by.clone();
        let named = holder.map(|holder| (holder.group, holder.entry));
        assert_eq!(named, (n < 27).then(|| ("slow".to_owned(), id(n))));
        take(&worker).ack().unwrap();
    }
    slow.delete().unwrap();
    fast.delete().unwrap();
    append(&stream, 30);
    assert_eq!(start(&stream), 27, "a group that is gone holds nothing, and settles nothing");
}

#[test]
fn leased_delayed_and_parked_entries_hold_the_log() {
    let stream = queue();
    let group = group(&stream, "g");
    let worker = member(&group);
    append(&stream, 16);
    let mut deliveries = take_all(&worker).into_iter();
    let parked = deliveries.next().unwrap();
    let delayed = deliveries.nth(3).unwrap();
    let leased = deliveries.nth(3).unwrap();
    assert_eq!([parked.id(), delayed.id(), leased.id()], [id(0), id(4), id(8)]);
    let rest = [parked.reject("bad"), delayed.nack_after(HOUR / 2)];
    assert!(rest.into_iter().all(|outcome| outcome.is_ok()));
    // Those that were passed over were dropped, so they wait.
    let tokens: Vec<_> = deliveries.map(millstream::Delivery::detach).collect();
    assert!(group.ack(tokens).unwrap().is_complete());
    let held = |stream: &Stream| {
        stream.trim().unwrap();
        let holder = stream.info().unwrap().partitions[0].held_by.clone();
        (start(stream), holder.map(|holder| holder.entry.offset()))
    };
    assert_eq!(held(&stream), (0, Some(0)));
    assert_eq!(group.floors().unwrap(), [1]);
    assert_eq!(group.discard_parked(&[id(0)]).unwrap(), 1);
    assert_eq!(held(&stream), (0, Some(1)));
    group.skip(0, 1..4).unwrap();
    assert_eq!(held(&stream), (3, Some(4)));
    group.skip(0, 4..8).unwrap();
    assert_eq!(held(&stream), (6, Some(8)));
    leased.ack().unwrap();
    assert_eq!(held(&stream), (15, None));
    assert_eq!(loss(&group), [0; 4]);
}

#[test]
fn a_parked_entry_holds_the_log_whether_redriven_or_not() {
    let stream = queue();
    let group = group(&stream, "g");
    let worker = member(&group);
    append(&stream, 10);
    take(&worker).reject("bad").unwrap();
    ack_all(&worker);
    assert_eq!(group.redrive(9).unwrap(), 1);
    assert!(stream.trim().unwrap().partitions.is_empty());
    let again = take(&worker);
    assert!(stream.trim().unwrap().partitions.is_empty());
    again.ack().unwrap();
    assert_eq!(stream.trim().unwrap().entries(), 9);
}

#[test]
fn a_discarded_entry_holds_nothing() {
    let stream = queue();
    let options = stream.group("g").max_deliveries(1).on_exhausted(millstream::Exhausted::Discard);
    let worker = options.open(Start::Earliest).unwrap().join("worker").unwrap();
    append(&stream, 10);
    // What dropped handles leave is dealt with first.
    drop(take_all(&worker));
    assert_eq!(stream.trim().unwrap().entries(), 9);
}

#[test]
fn a_group_that_goes_back_finds_what_is_left_and_holds_it() {
    let stream = queue();
    let group = group(&stream, "g");
    let worker = member(&group);
    append(&stream, 30);
    for _ in 0..20 {
        take(&worker).ack().unwrap();
    }
    assert_eq!(stream.trim().unwrap().entries(), 18);
    group.reset(Start::Earliest).unwrap();
    ack_all(&member(&stream.group("other").open(Start::Latest).unwrap()));
    assert!(stream.trim().unwrap().partitions.is_empty());
    assert_eq!(take(&worker).id(), id(18));
    assert_eq!(loss(&group), [0; 4]);
}

#[test]
fn idle_groups_hold_nothing_once_they_are_to_be_ignored() {
    let clock = ManualClock::new();
    let retention = Retention::settled().ignore_idle_groups_after(SECOND * 60);
    let stream = options(retention, &clock).in_memory().unwrap();
    let (live, idle) = (group(&stream, "live"), group(&stream, "idle"));
    let worker = member(&live);
    append(&stream, 10);
    ack_all(&worker);
    clock.advance(SECOND * 59);
    assert!(stream.trim().unwrap().partitions.is_empty());
    let holder = stream.info().unwrap().partitions[0].held_by.clone().unwrap();
    assert_eq!((&*holder.group, holder.entry), ("idle", id(0)));
    // A sign of life begins the time anew, whoever gives it.
    let other = member(&idle);
    assert!(take(&other).release().is_ok());
    drop(other);
    clock.advance(SECOND * 59);
    assert!(stream.trim().unwrap().partitions.is_empty());
    assert_eq!(stream.next_deadline().unwrap(), SECOND, "then it counts as idle");
    clock.advance(SECOND);
    let trimmed = stream.trim().unwrap();
    let lost = &trimmed.partitions[0].lost;
    assert_eq!((&*lost[0].0, by_kind(lost[0].1), lost.len()), ("idle", [8, 0, 1, 0], 1));
    assert_eq!((loss(&idle), loss(&live)), ([8, 0, 1, 0], [0; 4]));
    // It comes back, goes on with what is left, and holds the log again.
    let back = member(&idle);
    append(&stream, 10);
    ack_all(&worker);
    assert!(stream.trim().unwrap().partitions.is_empty());
    assert_eq!((start(&stream), take(&back).id()), (9, id(9)));
}

#[test]
fn a_blocked_read_is_a_sign_of_life() {
    let clock = ManualClock::new();
    let retention = Retention::settled().ignore_idle_groups_after(SECOND * 60);
    let stream = options(retention, &clock).in_memory().unwrap();
    let group = group(&stream, "g");
    let worker = member(&group);
    append(&stream, 10);
    let held = take_all(&worker);
    std::thread::scope(|scope| {
        let blocked = scope.spawn(|| worker.read_timeout(1, HOUR / 2).unwrap().len());
        clock.wait_for_blocked(1);
        clock.advance(SECOND * 20);
        clock.wait_for_blocked(1);
        clock.advance(SECOND * 600);
        assert!(stream.trim().unwrap().partitions.is_empty());
        drop(held);
        clock.advance(HOUR);
        blocked.join().unwrap()
    });
    assert_eq!(loss(&group), [0; 4]);
}

#[test]
fn a_group_that_is_closed_by_rot_holds_everything() {
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let open = || options(Retention::settled(), &clock).open(dir.path()).unwrap();
    let stream = open();
    let (sound, rotten) = (group(&stream, "sound"), group(&stream, "rotten"));
    append(&stream, 10);
    for group in [&sound, &rotten] {
        ack_all(&member(group));
    }
    stream.close().unwrap();
    let journal = dir.path().join("g2/0000000001.seg");
    let mut bytes = std::fs::read(&journal).unwrap();
    bytes[300] ^= 1;
    std::fs::write(&journal, &bytes).unwrap();

    let stream = open();
    assert!(stream.group("rotten").open_existing().unwrap_err().is_corrupt());
    append(&stream, 10);
    assert!(stream.trim().unwrap().partitions.is_empty());
    let holder = stream.info().unwrap().partitions[0].held_by.clone().unwrap();
    assert_eq!((&*holder.group, holder.entry), ("rotten", id(0)));
}

#[test]
fn many_groups_at_many_places_never_lose_an_entry() {
    let stream = queue();
    let groups: Vec<Group> = (0..5).map(|n| group(&stream, &format!("g{n}"))).collect();
    let workers: Vec<Consumer> = groups.iter().map(member).collect();
    let mut next = [0; 5];
    for round in 0..200_u64 {
        append(&stream, 1);
        // Each at a pace of its own.
        let at = usize::try_from(round * 7 % 5).unwrap();
        for delivery in workers[at].try_read(u32::try_from(1 + round % 9).unwrap()).unwrap() {
            assert_eq!(delivery.id(), id(next[at]));
            next[at] += 1;
            delivery.ack().unwrap();
        }
        assert!(start(&stream) <= next.into_iter().min().unwrap());
    }
    assert!(start(&stream) > 100);
    assert!(groups.iter().all(|group| loss(group) == [0; 4]));
}
