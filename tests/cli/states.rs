//! `group` says in plain words why a read would find nothing, whatever the reason.

use std::path::Path;
use std::time::Duration;

use millstream::assign::{CooperativeSticky, RoundRobin};
use millstream::{
    Backoff, Clock, Consumer, Exhausted, Group, GroupOptions, ManualClock, NewEntry, OnTrimmed,
    Start, Stream, SystemClock,
};

use crate::run::{millstream, place};

const HOUR: Duration = Duration::from_secs(3600);

/// A group of a stream with so many entries in as many partitions.
fn group(path: &Path, partitions: u32, revise: impl FnOnce(GroupOptions) -> GroupOptions) -> Group {
    let stream = Stream::options().partitions(partitions).segment_bytes(4096).open(path).unwrap();
    stream.append_each(["a", "b", "c"]).unwrap();
    revise(stream.group("g").lease(HOUR)).open(Start::Earliest).unwrap()
}

/// Takes entries, and keeps their leases.
fn take(worker: &Consumer, max: u32) {
    let batch = worker.try_read(max).unwrap();
    assert!(batch.into_iter().map(millstream::Delivery::detach).count() > 0);
}

/// Requires that the verb says this of the group, and of the last member.
fn told(path: &Path, of_group: &str, of_member: &str) {
    let ran = millstream("group", path, &["g"]).with(0);
    let ran = ran.tells(of_group).tells(of_member);
    drop(ran);
    let why = &millstream("group", path, &["g", "--json"]).with(0).json()["why"];
    let sentences = why["group"].as_array().unwrap();
    assert!(sentences.iter().any(|told| told.as_str().unwrap().contains(of_group)), "{why}");
    let members = why["members"].as_array().unwrap();
    if let Some(last) = members.last() {
        assert!(last["why"].as_str().unwrap().contains(of_member), "{why}");
    }
}

#[test]
fn a_group_without_members() {
    let (_dir, path) = place();
    let _group = group(&path, 1, |options| options);
    told(&path, "nobody reads it: it has no members", "");
}

#[test]
fn a_pause() {
    let (_dir, path) = place();
    let group = group(&path, 1, |options| options);
    let _worker = group.join("worker").unwrap();
    group.pause().unwrap();
    told(&path, "it is paused until somebody resumes it", "it is paused until");
    group.pause_for(HOUR).unwrap();
    told(&path, "it is paused, and goes on by itself in ", "goes on by itself in ");
}

#[test]
fn entries_that_all_wait_for_their_time() {
    let (_dir, path) = place();
    let group = group(&path, 1, |options| options.backoff(Backoff::fixed(HOUR)));
    let worker = group.join("worker").unwrap();
    for delivery in worker.try_read(3).unwrap() {
        delivery.nack().unwrap();
    }
    let words = "all that is left waits for its time: 3 delayed (the next is due in ";
    told(&path, words, words);
}

#[test]
fn entries_that_are_all_in_somebodys_hands() {
    let (_dir, path) = place();
    let group = group(&path, 1, |options| options);
    let [one, _two] = ["a", "b"].map(|name| group.join(name).unwrap());
    take(&one, 3);
    let words = "all that is left is in somebody's hands: 3 leased (the next lease ends in";
    told(&path, words, words);
}

#[test]
fn entries_whose_owner_was_last_active_long_ago() {
    let (_dir, path) = place();
    let ago = SystemClock.wall() - HOUR * 2;
    let options = Stream::options().clock(ManualClock::at(ago));
    let stream = options.open(&path).unwrap();
    stream.append_batch(["a", "b", "c"]).unwrap();
    let group = stream.group("g").lease(HOUR).open(Start::Earliest).unwrap();
    let worker = group.join("worker").unwrap();
    take(&worker, 3);
    let words = "3 leased (the lease is over; the next call of an owner takes it back)";
    told(&path, words, words);
    millstream("group", &path, &["g"]).with(0).tells("worker       3  2 h ago");
    let rows = |idle: &str| {
        let told = millstream("pending", &path, &["g", "--idle", idle, "--json"]).with(0).json();
        told["entries"].as_array().unwrap().clone()
    };
    assert!(rows("3h").is_empty());
    let rows = rows("119m");
    assert_eq!((rows.len(), &rows[0]["due_in"]["secs"]), (3, &0.into()));
    assert!(rows[0]["idle"]["secs"].as_u64().unwrap() >= 7200, "{rows:?}");
    let ran = millstream("pending", &path, &["g"]).with(0);
    ran.tells("0-2  leased    over         1   2 h  worker");
}

#[test]
fn the_limits_of_what_may_be_in_flight() {
    let (_dir, path) = place();
    let group = group(&path, 1, |options| options.max_in_flight(2));
    let worker = group.join("worker").unwrap();
    take(&worker, 3);
    let new = "1 entry was never handed out";
    told(&path, new, "2 entries leased, and max_in_flight is 2");
    let options = || group.options().max_in_flight(10);
    group.alter(options().max_in_flight_per_consumer(2)).unwrap();
    told(&path, new, "it has 2 entries leased, and max_in_flight_per_consumer is 2");
}

#[test]
fn the_limit_of_bytes_in_flight() {
    let (_dir, path) = place();
    let group = group(&path, 1, |options| options.max_in_flight_bytes(1));
    let worker = group.join("worker").unwrap();
    take(&worker, 1);
    told(&path, "2 entries were never handed out", "B leased, and max_in_flight_bytes is 1 B");
}

#[test]
fn new_entries_that_are_not_due_behind_a_full_heap() {
    let (_dir, path) = place();
    let group = group(&path, 1, |options| options.delayed_max(1));
    let worker = group.join("worker").unwrap();
    take(&worker, 3);
    let later = || NewEntry::new("later").deliver_after(HOUR);
    group.stream().append_batch([later(), later()]).unwrap();
    assert!(worker.try_read(3).unwrap().is_empty());
    told(&path, "1 entry was never handed out", "as many as delayed_max (1) allows wait already");
}

#[test]
fn entries_of_which_none_is_for_the_group() {
    let (_dir, path) = place();
    let group = group(&path, 1, |options| options.filter("order.*"));
    let _worker = group.join("worker").unwrap();
    let words = "nothing is there: it is done with every entry that is for it";
    told(&path, words, words);
    millstream("group", &path, &["g"]).with(0).tells("all         nothing");
}

#[test]
fn a_rebalance() {
    let (_dir, path) = place();
    let group = group(&path, 2, |options| options.strategy(CooperativeSticky));
    let one = group.join("a").unwrap();
    take(&one, 9);
    let _two = group.join("b").unwrap();
    told(
        &path,
        "it is rebalancing: ",
        "the partitions it is to get are still in the hands of others",
    );
}

#[test]
fn a_member_without_a_partition() {
    let (_dir, path) = place();
    let group = group(&path, 1, |options| options.strategy(RoundRobin));
    let _members = ["a", "b"].map(|name| group.join(name).unwrap());
    told(
        &path,
        "3 entries were never handed out",
        "it has no partition: 2 members share 1 partition",
    );
}

#[test]
fn a_position_that_was_trimmed() {
    let (_dir, path) = place();
    let group = group(&path, 1, |options| options.on_trimmed(OnTrimmed::Error));
    let _worker = group.join("worker").unwrap();
    let stream = group.stream();
    let last = stream.append_each([&[7; 900]; 20]).unwrap().pop().unwrap();
    assert!(stream.trim_before(last).unwrap() > 0);
    told(&path, "partition 0 was trimmed: the group was to go on at 0-0", "");
}

#[test]
fn letters_that_cannot_be_written() {
    let (_dir, path) = place();
    let letters = Stream::options().in_memory().unwrap();
    let to = Exhausted::DeadLetter(letters.clone());
    let group = group(&path, 1, |options| options.on_exhausted(to));
    let worker = group.join("worker").unwrap();
    letters.close().unwrap();
    for delivery in worker.try_read(3).unwrap() {
        delivery.reject("bad").unwrap();
    }
    told(&path, "3 entries had the last attempt and wait until their dead letters are safe", "");
}

#[test]
fn nothing_at_all() {
    let (_dir, path) = place();
    let group = group(&path, 1, |options| options);
    let worker = group.join("worker").unwrap();
    for delivery in worker.try_read(9).unwrap() {
        delivery.ack().unwrap();
    }
    let words = "nothing is there: it is done with every entry";
    told(&path, words, words);
}
