//! Entries whose attempts are over, and those that the log lost.

use millstream::{Backoff, Exhausted, GroupOptions, ManualClock, OnTrimmed, Start, Stream};

use super::lines;
use crate::scene::{LEASE, SECOND, Scene, fill, id, scene_with, take, take_all};

fn once(group: GroupOptions) -> GroupOptions {
    group.max_deliveries(1).backoff(Backoff::fixed(SECOND))
}

#[test]
fn an_entry_that_is_given_up_is_told_however_that_came() {
    type Way = fn(&Scene);
    let ways: [Way; 7] = [
        |scene| take(&scene.worker).nack().unwrap(),
        |scene| take(&scene.worker).reject("bad").unwrap(),
        |scene| {
            drop(take(&scene.worker));
            scene.group.info().unwrap();
        },
        |scene| {
            let _kept = take(&scene.worker).detach();
            scene.clock.advance(LEASE);
            scene.group.info().unwrap();
        },
        |scene| {
            let _kept = take(&scene.worker).detach();
            scene.worker.clone().leave().unwrap();
        },
        |scene| {
            let _kept = take(&scene.worker).detach();
            scene.group.remove_consumer("worker").unwrap();
        },
        |scene| {
            let token = take(&scene.worker).detach();
            assert!(scene.group.nack([token]).unwrap().is_complete());
        },
    ];
    for (number, way) in ways.into_iter().enumerate() {
        for (then, word) in [(Exhausted::Park, "parked"), (Exhausted::Discard, "discarded")] {
            let scene = scene_with(1, |group| once(group).on_exhausted(then));
            let events = scene.group.events().unwrap();
            way(&scene);
            let told: Vec<String> =
                lines(&events).into_iter().filter(|line| line.contains("after")).collect();
            assert_eq!(told, [format!("0-0 {word} after 1")], "way {number}");
        }
    }
}

#[test]
fn what_is_given_up_on_purpose_or_done_is_not_told() {
    let Scene { group, worker, .. } = scene_with(6, once);
    let events = group.events().unwrap();
    let mut held = take_all(&worker).into_iter();
    held.next().unwrap().ack().unwrap();
    held.next().unwrap().release().unwrap();
    held.next().unwrap().reject("bad").unwrap();
    assert_eq!(lines(&events), ["0-2 parked after 1"]);
    group.discard_parked(&[id(2)]).unwrap();
    group.skip(0, 1..4).unwrap();
    assert_eq!(worker.ack_through(id(4)).unwrap(), 1);
    group.reset(Start::Earliest).unwrap();
    drop(held);
    assert_eq!(lines(&events), [""; 0]);
}

#[test]
fn attempts_are_those_it_had() {
    let Scene { clock, group, worker, .. } = scene_with(1, |group| group.max_deliveries(3));
    let events = group.events().unwrap();
    for _ in 0..3 {
        take(&worker).nack().unwrap();
        clock.advance(SECOND);
    }
    assert_eq!(lines(&events), ["0-0 parked after 3"]);
    group.redrive(1).unwrap();
    take(&worker).reject("bad").unwrap();
    assert_eq!(lines(&events), ["0-0 parked after 1"]);
}

#[test]
fn a_trim_tells_each_group_what_it_lost() {
    let clock = ManualClock::new();
    let stream = Stream::options().clock(clock).segment_bytes(4096).in_memory().unwrap();
    fill(&stream, 200);
    let open = |name: &str, then| {
        let group = stream.group(name).on_trimmed(then).open(Start::Earliest).unwrap();
        let events = group.events().unwrap();
        (group, events)
    };
    let (done, quiet) = open("done", OnTrimmed::Earliest);
    let (_slow, told) = open("slow", OnTrimmed::Earliest);
    let (_passed, all) = open("passed", OnTrimmed::Latest);
    let worker = done.join("worker").unwrap();
    assert_eq!(worker.ack_through(id(199)).unwrap(), 200);
    lines(&quiet);
    let gone = stream.trim_before(id(150)).unwrap();
    assert!(gone > 0);
    assert_eq!(lines(&quiet), [""; 0]);
    assert_eq!(lines(&told), [format!("0-0 to {gone} trimmed, {gone} lost")]);
    assert_eq!(lines(&all), ["0-0 to 200 trimmed, 200 lost"]);
    // Nothing more is gone the second time.
    assert_eq!(stream.trim_before(id(150)).unwrap(), 0);
    assert_eq!(lines(&told), [""; 0]);
}
