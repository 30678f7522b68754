//! Dead letters in bulk (D9): which are chosen, what comes back, and where to go on.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use millstream::{
    Consumer, DeadLetter, Durability, EntryId, Error, Exhausted, Group, LetterQuery, NewEntry,
    Redriven, RedrivenLetters, Retention, Start, Stream,
};

use crate::scene::{HOUR, SECOND, Scene, fill, id, idle, scene_with, seen, take, take_all};

fn in_memory() -> Stream {
    Stream::options().in_memory().unwrap()
}

/// A scene whose group dead-letters after two attempts.
fn lettering(entries: usize, letters: &Stream) -> Scene {
    let target = Exhausted::DeadLetter(letters.clone());
    scene_with(entries, |options| options.on_exhausted(target).max_deliveries(2))
}

fn reject_all(worker: &Consumer, reason: &str) {
    for held in take_all(worker) {
        held.reject(reason).unwrap();
    }
}

fn all() -> LetterQuery {
    LetterQuery::new()
}

/// The offsets of the letters that a query chooses.
fn chosen(group: &Group, letters: &Stream, query: &LetterQuery) -> Vec<u64> {
    let found = group.letters(letters, query).unwrap().found;
    found.iter().map(|row| row.id.offset()).collect()
}

/// What became of the letters, in an outcome without a failure.
fn whole(done: RedrivenLetters) -> Vec<Redriven> {
    let RedrivenLetters { redriven, failed, next, stopped, .. } = done;
    assert!(failed.is_empty() && stopped.is_none() && next.is_none(), "{failed:?} {stopped:?}");
    assert!(redriven.is_sorted_by_key(|(letter, _)| *letter));
    redriven.into_iter().map(|(_, redriven)| redriven).collect()
}

/// Six letters: of the subjects `order.new`, `order.old` and none, with the reasons `timeout 0` to
/// `timeout 2`, none, `bad` and `Timeout`, each a second later, the last two by another consumer.
fn six(letters: &Stream) -> (Scene, SystemTime) {
    let scene = lettering(0, letters);
    let other = scene.group.join("other").unwrap();
    let first = scene.stream.get(scene.stream.append("x").unwrap()).unwrap().unwrap().timestamp();
    take(&scene.worker).ack().unwrap();
    for (n, reason) in
        ["timeout 0", "timeout 1", "timeout 2", "", "bad", "Timeout"].into_iter().enumerate()
    {
        let entry = NewEntry::new("order");
        let subject = ["order.new", "order.old", ""][n % 3];
        let entry = if subject.is_empty() { entry } else { entry.subject(subject) };
        scene.stream.append(entry).unwrap();
        take(if n < 4 { &scene.worker } else { &other }).reject(reason).unwrap();
        scene.clock.advance(SECOND);
    }
    other.leave().unwrap();
    (scene, first)
}

#[test]
fn letters_are_chosen_by_what_they_tell() {
    let letters = in_memory();
    let (scene, first) = six(&letters);
    let chosen = |query: LetterQuery| chosen(&scene.group, &letters, &query);
    assert_eq!(chosen(all()), [0, 1, 2, 3, 4, 5]);
    assert_eq!(chosen(all().range(id(1)..=id(3))), [1, 2, 3]);
    assert_eq!(chosen(all().ids([id(5), id(0), id(9)])), [0, 5]);
    assert_eq!(chosen(all().subject("order.*")), [0, 1, 3, 4]);
    assert_eq!(chosen(all().subject("order.old").subject("order.new")), [0, 1, 3, 4]);
    assert_eq!(chosen(all().reason_contains("timeout")), [0, 1, 2]);
    assert_eq!(chosen(all().reason_contains("meout 1").reason_contains("bad")), [1, 4]);
    assert_eq!(chosen(all().attempts_over()), [3]);
    assert_eq!(chosen(all().attempts_over().reason_contains("bad")), [3, 4]);
    assert_eq!(chosen(all().consumer("other")), [4, 5]);
    assert_eq!(chosen(all().since(first + SECOND * 4)), [4, 5]);
    assert_eq!(chosen(all().subject("order.*").reason_contains("timeout").max(1)), [0]);
    let found = scene.group.letters(&letters, &all().consumer("other")).unwrap().found;
    assert_eq!((found[0].letter.origin(), found[0].letter.reason()), (id(5), Some("bad")));
    assert_eq!(found[0].superseded_by, None);

    let refused = scene.group.letters(&letters, &all().subject("a.>.b")).unwrap_err();
    assert!(matches!(refused, Error::InvalidName { what: "filter", .. }), "{refused}");
    let refused = scene.group.redrive_letters(&letters, &LetterQuery::from(0)).unwrap_err();
    assert!(matches!(refused, Error::TooSmall { .. }), "{refused}");

    let timeouts = all().reason_contains("timeout").subject("order.*");
    let back = whole(scene.group.redrive_letters(&letters, &timeouts).unwrap());
    assert_eq!(back, [id(1), id(2)].map(Redriven::Available));
    assert_eq!(seen(&scene.worker.try_read(9).unwrap()), [(1, 1), (2, 1)]);
}

#[test]
fn a_bound_is_followed_by_a_call_that_goes_on() {
    let letters = Stream::options().partitions(3).in_memory().unwrap();
    let stream = Stream::options().partitions(3).in_memory().unwrap();
    let options = stream.group("g").on_exhausted(Exhausted::DeadLetter(letters.clone()));
    let group = options.session_timeout(HOUR).open(Start::Earliest).unwrap();
    let worker = group.join("w").unwrap();
    fill(&stream, 700);
    reject_all(&worker, "bad");
    let mut sizes = Vec::new();
    let mut next = Some(EntryId::new(0, 0));
    while let Some(first) = next {
        let done = group.redrive_letters(&letters, &all().max(300).range(first..)).unwrap();
        assert!(done.redriven.iter().all(|(letter, _)| *letter >= first));
        sizes.push(done.count());
        next = done.next;
        assert!(done.stopped.is_none() && done.failed.is_empty());
    }
    assert_eq!(sizes, [300, 300, 100]);
    assert_eq!(take_all(&worker).len(), 700);
}

#[test]
fn a_letter_that_is_chosen_again_brings_nothing_back_while_its_entry_is_open() {
    let letters = in_memory();
    let scene = lettering(2, &letters);
    reject_all(&scene.worker, "bad");
    let redrive = || whole(scene.group.redrive_letters(&letters, &all()).unwrap());
    assert_eq!(redrive(), [id(0), id(1)].map(Redriven::Available));
    let held = take(&scene.worker);
    assert_eq!(redrive(), [id(0), id(1)].map(Redriven::Open));
    held.ack().unwrap();
    // Nothing tells that it was brought back before.
    assert_eq!(redrive(), [Redriven::Available(id(0)), Redriven::Open(id(1))]);
}

#[test]
fn only_the_youngest_letter_of_an_entry_counts() {
    let letters = in_memory();
    let scene = lettering(2, &letters);
    reject_all(&scene.worker, "timeout");
    assert_eq!(whole(scene.group.redrive_letters(&letters, &all()).unwrap()).len(), 2);
    // So far behind that no read of letters brings both.
    fill(&letters, 600);
    take(&scene.worker).reject("bad data").unwrap();
    take(&scene.worker).ack().unwrap();

    let timeouts = all().reason_contains("timeout");
    let found = scene.group.letters(&letters, &timeouts).unwrap().found;
    let younger: Vec<_> = found.iter().map(|row| row.superseded_by).collect();
    assert_eq!(younger, [Some(id(602)), None]);
    // It is behind the bound and the range, too.
    for query in [timeouts.clone().max(1), timeouts.range(..id(1))] {
        let done = scene.group.redrive_letters(&letters, &query).unwrap();
        assert_eq!(done.redriven, [(id(0), Redriven::Superseded(id(602)))]);
        assert_eq!(done.count(), 0);
        assert!(idle(&scene.worker));
    }
    let done = scene.group.redrive_letters(&letters, &all().reason_contains("bad")).unwrap();
    assert_eq!(whole(done), [Redriven::Available(id(0))]);
    assert_eq!(take(&scene.worker).attempt(), 1);
}

#[test]
fn two_letters_in_different_partitions_bring_their_entry_back_once() {
    let letters = in_memory();
    let scene = lettering(0, &letters);
    for key in ["a", "b", "c", "d", "e", "f"] {
        scene.stream.append(NewEntry::new(key).key(key)).unwrap();
    }
    reject_all(&scene.worker, "bad");
    letters.add_partitions(8).unwrap();
    assert_eq!(whole(scene.group.redrive_letters(&letters, &all()).unwrap()).len(), 6);
    reject_all(&scene.worker, "bad");
    let back = whole(scene.group.redrive_letters(&letters, &all()).unwrap());
    assert_eq!(back.len(), 12);
    let open = back.iter().filter(|redriven| matches!(redriven, Redriven::Open(_))).count();
    assert!(open > 0, "none moved to another partition");
    let mut due: Vec<_> = back.iter().filter(|it| matches!(it, Redriven::Available(_))).collect();
    due.sort_unstable_by_key(|redriven| format!("{redriven:?}"));
    due.dedup();
    assert_eq!((due.len(), take_all(&scene.worker).len()), (6, 6));
}

#[test]
fn letters_of_others_and_what_is_no_letter_are_left_alone() {
    let letters = in_memory();
    let own = lettering(1, &letters);
    let target = || Exhausted::DeadLetter(letters.clone());
    let options = own.stream.group("other").on_exhausted(target());
    let other = options.open(Start::Earliest).unwrap();
    let others = other.join("o").unwrap();
    let foreign = lettering(1, &letters);
    letters.append("no letter").unwrap();
    for worker in [&own.worker, &others, &foreign.worker] {
        reject_all(worker, "bad");
    }
    for (group, letter) in [(&own.group, 1), (&other, 2), (&foreign.group, 3)] {
        assert_eq!(chosen(group, &letters, &all()), [letter]);
    }
    assert_eq!(whole(other.redrive_letters(&letters, &all()).unwrap()).len(), 1);
    assert!(idle(&own.worker) && idle(&foreign.worker) && !idle(&others));

    // One that is made anew under its name inherits no letters.
    own.group.delete().unwrap();
    let gone = own.group.redrive_letters(&letters, &all()).unwrap_err();
    assert!(matches!(gone, Error::GroupDeleted), "{gone}");
    let again = own.stream.group("g").open(Start::Latest).unwrap();
    assert!(whole(again.redrive_letters(&letters, &all()).unwrap()).is_empty());
}

#[test]
fn a_group_that_gives_up_otherwise_by_now_still_gets_its_letters_back() {
    let letters = in_memory();
    let scene = lettering(1, &letters);
    reject_all(&scene.worker, "bad");
    scene.group.alter(scene.group.options().on_exhausted(Exhausted::Park)).unwrap();
    assert_eq!(scene.group.redrive_letters(&letters, &all()).unwrap().count(), 1);
    take(&scene.worker).reject("bad").unwrap();
    assert_eq!(scene.group.info().unwrap().parked, 1);
    let back = whole(scene.group.redrive_letters(&letters, &all()).unwrap());
    assert_eq!(back, [Redriven::Available(id(0))]);

    letters.clone().close().unwrap();
    let closed = scene.group.redrive_letters(&letters, &all()).unwrap_err();
    assert!(closed.is_closed(), "{closed}");
}

/// Changes a byte of the only place where a text stands in a partition.
fn rot(path: &Path, text: &str) {
    let path = path.join("p0/0000000001.seg");
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(text.len()).position(|some| some == text.as_bytes()).unwrap();
    bytes[at] ^= 1;
    fs::write(&path, bytes).unwrap();
}

#[test]
fn what_cannot_be_read_does_not_cost_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let paths = ["orders", "letters"].map(|name| directory.path().join(name));
    let open = || {
        let [stream, letters] = paths.each_ref().map(|path| Stream::open(path).unwrap());
        let target = Exhausted::DeadLetter(letters.clone());
        let group = stream.group("g").on_exhausted(target).open(Start::Earliest).unwrap();
        let worker = group.join("w").unwrap();
        (stream, letters, group, worker)
    };
    let (stream, letters, group, worker) = open();
    for n in 0..6 {
        stream.append(NewEntry::new(&format!("order {n}")).key("k")).unwrap();
    }
    reject_all(&worker, "bad");
    drop((group, worker));
    stream.close().unwrap();
    letters.close().unwrap();
    rot(&paths[0], "order 1");
    rot(&paths[1], "order 3");

    let (_, letters, group, worker) = open();
    let found = group.letters(&letters, &all()).unwrap();
    assert_eq!(found.found.len(), 5);
    assert!(found.unreadable[0].1.is_corrupt());
    let done = group.redrive_letters(&letters, &all()).unwrap();
    let failed: Vec<_> = done.failed.iter().map(|(id, error)| (*id, error.is_corrupt())).collect();
    assert_eq!(failed, [(id(1), true), (id(3), true)]);
    let back: Vec<_> = done.redriven.iter().map(|(letter, _)| letter.offset()).collect();
    assert_eq!((back, done.count(), done.next), (vec![0, 2, 4, 5], 4, None));
    assert!(done.stopped.is_none());
    assert_eq!(seen(&worker.try_read(9).unwrap()), [(0, 1), (2, 1), (4, 1), (5, 1)]);

    // Damage counts for the bound, so that a call is bounded whatever it meets.
    let done = group.redrive_letters(&letters, &all().range(id(3)..).max(1)).unwrap();
    assert_eq!((done.failed.len(), done.redriven.len(), done.next), (1, 0, Some(id(4))));
    let named = group.redrive_letters(&letters, &all().ids([id(2), id(4)])).unwrap();
    assert!(named.failed.is_empty());
}

/// A hundred rejected entries, of which the first are trimmed.
fn trimmed(stream: Stream, letters: &Stream) -> (Stream, Group, Consumer, usize) {
    let options = stream.group("g").on_exhausted(Exhausted::DeadLetter(letters.clone()));
    let group = options.session_timeout(HOUR).open(Start::Earliest).unwrap();
    let worker = group.join("w").unwrap();
    for n in 0..100 {
        stream.append(NewEntry::new(&format!("{n:200}")).header("n", b"v")).unwrap();
    }
    reject_all(&worker, "bad");
    let gone = usize::try_from(stream.trim_before(id(50)).unwrap()).unwrap();
    assert!(gone > 0 && gone < 50);
    (stream, group, worker, gone)
}

#[test]
fn entries_that_were_trimmed_are_appended_anew_and_the_rest_comes_under_its_own_id() {
    for durability in [Durability::Os, Durability::Always] {
        let (letters, directory) = (in_memory(), tempfile::tempdir().unwrap());
        let options = Stream::options().segment_bytes(4096).durability(durability);
        let stream = options.open(directory.path()).unwrap();
        let (stream, group, worker, gone) = trimmed(stream, &letters);
        let back = whole(group.redrive_letters(&letters, &all()).unwrap());
        let anew = (100..100 + gone as u64).map(|offset| Redriven::Appended(id(offset)));
        let own = (gone as u64..100).map(|offset| Redriven::Available(id(offset)));
        assert_eq!(back, anew.chain(own).collect::<Vec<_>>());
        let held = take_all(&worker);
        assert_eq!(held.len(), 100);
        let mut payloads: Vec<_> = held.iter().map(|held| held.payload().to_vec()).collect();
        payloads.sort_unstable();
        payloads.dedup();
        assert_eq!(payloads.len(), 100);
        assert!(
            held.iter().all(|held| held.header("n").is_some() && DeadLetter::of(held).is_none())
        );
        drop(held);
        drop((group, worker));
        stream.close().unwrap();
    }
}

#[test]
fn what_ends_the_call_in_the_middle_says_where_to_go_on() {
    let letters = in_memory();
    let retention = Retention::settled().entries(120);
    let options = Stream::options().segment_bytes(4096).retention(retention);
    let (stream, group, worker, gone) = trimmed(options.in_memory().unwrap(), &letters);
    let keeper = stream.group("keeper").open(Start::Earliest).unwrap();
    while stream.append(&[0; 200]).is_ok() {}

    let ahead = gone as u64 - 2;
    let done = group.redrive_letters(&letters, &all().range(id(ahead)..)).unwrap();
    assert!(done.stopped.is_some_and(|error| error.is_stream_full()));
    assert_eq!((done.redriven.len(), done.failed.len(), done.next), (0, 0, Some(id(ahead))));

    // What is stored needs no room, and is done before it stops.
    let first = gone as u64;
    let stored = group.redrive_letters(&letters, &all().range(id(first)..)).unwrap();
    assert_eq!((stored.count(), stored.next), (100 - gone, None));

    keeper.delete().unwrap();
    let held = take_all(&worker);
    for held in held {
        held.ack().unwrap();
    }
    stream.trim().unwrap();
    let rest = all().range(id(ahead)..id(first));
    assert_eq!(group.redrive_letters(&letters, &rest).unwrap().count(), 2);
    assert_eq!(take_all(&worker).len(), 2);
}

#[test]
fn a_hook_may_use_the_stream_when_letters_come_back() {
    let letters = in_memory();
    let scene = lettering(1, &letters);
    reject_all(&scene.worker, "bad");
    let stream = scene.stream.clone();
    let hook = move || drop(stream.group("made by a hook").open(Start::Earliest));
    scene.worker.on_ready(hook).unwrap();
    let letter = letters.get(id(0)).unwrap().unwrap();
    assert_eq!(scene.group.redrive_letter(&letter).unwrap(), Redriven::Available(id(0)));
    assert_eq!(scene.stream.groups(), ["g", "made by a hook"]);
    take(&scene.worker).ack().unwrap();
    assert_eq!(scene.group.redrive_letters(&letters, &all()).unwrap().count(), 1);
}
