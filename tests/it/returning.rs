//! Dropping is handing back (D7): what was looked at counts as failed, the rest was never lent.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use millstream::{Consumer, Delivery, Error, Group, ManualClock, PendingQuery, Start, Stream};

use crate::scene::{SECOND, Scene, id, idle, parked, scene, seen, take, take_all};

/// What a read finds now and after the backoff.
fn found(scene: &Scene) -> [Vec<(u64, u16)>; 2] {
    let now = scene.worker.try_read(100).unwrap();
    let at_once = seen(&now);
    scene.clock.advance(SECOND);
    let later = seen(&scene.worker.try_read(100).unwrap());
    assert!(now.ack_all().unwrap().is_complete());
    [at_once, later]
}

#[test]
fn a_batch_nobody_looked_at_is_released() {
    let scene = scene(3);
    drop(scene.worker.try_read(9).unwrap());
    assert_eq!(found(&scene), [vec![(0, 1), (1, 1), (2, 1)], vec![]]);
}

#[test]
fn what_was_looked_at_by_reference_counts_and_the_rest_does_not() {
    let scene = scene(4);
    let batch = scene.worker.try_read(9).unwrap();
    assert_eq!(batch.iter().take(2).map(|held| held.id()).collect::<Vec<_>>(), [id(0), id(1)]);
    drop(batch);
    assert_eq!(found(&scene), [vec![(2, 1), (3, 1)], vec![(0, 2), (1, 2)]]);
}

#[test]
fn what_was_taken_by_value_counts_and_the_rest_does_not() {
    let scene = scene(4);
    let mut deliveries = scene.worker.try_read(9).unwrap().into_iter();
    deliveries.next().unwrap().ack().unwrap();
    drop(deliveries.next().unwrap());
    drop(deliveries);
    assert_eq!(found(&scene), [vec![(2, 1), (3, 1)], vec![(1, 2)]]);
}

#[test]
fn looking_by_reference_first_counts_what_is_not_taken_by_value() {
    let scene = scene(4);
    let batch = scene.worker.try_read(9).unwrap();
    assert_eq!(batch.iter().take(3).count(), 3);
    let mut deliveries = batch.into_iter();
    deliveries.next().unwrap().ack().unwrap();
    drop(deliveries);
    assert_eq!(found(&scene), [vec![(3, 1)], vec![(1, 2), (2, 2)]]);
}

#[test]
fn an_early_return_hands_back() {
    fn work(scene: &Scene) -> Result<(), Error> {
        for delivery in scene.worker.try_read(9)? {
            if delivery.id() == id(1) {
                return Err(Error::Closed);
            }
            delivery.ack()?;
        }
        Ok(())
    }
    let scene = scene(3);
    work(&scene).unwrap_err();
    assert_eq!(found(&scene), [vec![(2, 1)], vec![(1, 2)]]);
}

#[test]
fn a_panic_hands_back() {
    let scene = scene(3);
    let batch = scene.worker.try_read(9).unwrap();
    let ended = catch_unwind(AssertUnwindSafe(|| {
        for delivery in batch {
            assert!(delivery.id() != id(1), "this is the panic");
            delivery.ack().unwrap();
        }
    }));
    ended.unwrap_err();
    assert_eq!(found(&scene), [vec![(2, 1)], vec![(1, 2)]]);
}

#[test]
fn info_shows_at_once_what_was_dropped() {
    let Scene { group, worker, .. } = scene(2);
    let [first, second] = [take(&worker), take(&worker)];
    drop(first);
    let info = group.info().unwrap();
    assert_eq!((info.leased, info.delayed), (1, 1));
    drop(second);
    assert_eq!(
        group
            .pending_entries(&PendingQuery::new())
            .unwrap()
            .iter()
            .filter(|one| one.consumer.is_some())
            .count(),
        0
    );
}

#[test]
fn what_was_dropped_is_dealt_with_before_a_verb() {
    let Scene { group, worker, .. } = scene(1);
    let delivery = take(&worker);
    let token = delivery.token();
    drop(delivery);
    // The drop counted; a release that comes after it cannot take that back.
    assert!(group.release([token]).unwrap().is_complete());
    assert_eq!(group.info().unwrap().delayed, 1);
    assert_eq!(group.pending_entries(&PendingQuery::new()).unwrap()[0].attempts, 1);
}

#[test]
fn a_drop_after_the_last_attempt_sets_the_entry_aside() {
    let Scene { group, worker, clock, .. } =
        crate::scene::scene_with(1, |group| group.max_deliveries(2));
    drop(take(&worker));
    clock.advance(SECOND);
    drop(take(&worker));
    assert_eq!(parked(&group, 9), [id(0)]);
}

#[test]
fn handles_that_outlive_everything_keep_nothing_open_and_drop_quietly() {
    let dir = tempfile::tempdir().unwrap();
    let clock = millstream::ManualClock::new();
    let Scene { stream, group, worker, .. } = crate::scene::scene_on(dir.path(), &clock, 4);
    let deliveries = worker.try_read(2).unwrap();
    let batch: Vec<Delivery> = deliveries.into_iter().collect();
    let whole = worker.try_read(2).unwrap();
    let entry = batch[0].entry();
    drop((stream, group, worker));
    let again = crate::scene::scene_on(dir.path(), &clock, 0);
    assert!(again.stream.recovery().is_clean());
    assert_eq!(entry.payload(), b"e0");
    drop((batch, whole));
    assert_eq!(take_all(&again.worker).len(), 4);
    assert!(idle(&again.worker));
}

#[test]
fn what_a_clean_end_finds_dropped_keeps_its_count() {
    let dir = tempfile::tempdir().unwrap();
    let clock = millstream::ManualClock::new();
    let Scene { stream, group, worker, .. } = crate::scene::scene_on(dir.path(), &clock, 2);
    drop(take(&worker));
    drop(worker.try_read(1).unwrap());
    drop(group);
    stream.close().unwrap();
    drop(worker);
    let again = crate::scene::scene_on(dir.path(), &clock, 0);
    let batch = again.worker.try_read(9).unwrap();
    assert_eq!(seen(&batch), [(1, 1)]);
    assert!(batch.ack_all().unwrap().is_complete());
    clock.advance(SECOND);
    assert_eq!(seen(&again.worker.try_read(9).unwrap()), [(0, 2)]);
}

#[test]
fn what_nobody_looked_at_is_released_when_its_consumer_goes_first() {
    type End = fn(&Group, Consumer, &ManualClock);
    let ends: [(&str, End); 4] = [
        ("left", |_, worker, _| worker.leave().unwrap()),
        ("dropped", |_, worker, _| drop(worker)),
        ("removed", |group, _, _| group.remove_consumer("gone").unwrap()),
        ("silent", |_, _, clock| clock.advance(Duration::from_secs(31))),
    ];
    for (how, end) in ends {
        let clock = ManualClock::new();
        let stream = Stream::options().clock(clock.clone()).in_memory().unwrap();
        stream.append_batch(["a", "b", "c"]).unwrap();
        let group = stream.group("g").lease(Duration::from_secs(3600));
        let group = group.session_timeout(Duration::from_secs(30)).open(Start::Earliest).unwrap();
        let worker = group.join("gone").unwrap();
        let batch = worker.try_read(3).unwrap();
        assert_eq!(batch.iter().next().unwrap().payload(), b"a");
        let kept = worker.clone();
        if how == "dropped" {
            drop(kept);
            end(&group, worker, &clock);
        } else {
            end(&group, worker, &clock);
            drop(kept);
        }
        let again = group.join("next").unwrap().try_read(3).unwrap();
        let attempts: Vec<u16> = again.iter().map(|held| held.attempt()).collect();
        assert_eq!(attempts, [2, 1, 1], "{how}");
        drop(batch);
    }
}
