//! What becomes of entries that a group gives up (D9): set aside, or dead-lettered, and back.

use std::time::{Duration, SystemTime};

use millstream::{
    Backoff, DeadLetter, Durability, Entry, EntryId, Error, Event, Exhausted, Fate, GroupInfo,
    NewEntry, ParkedQuery, Redriven, Start, Stream,
};

use crate::child::{Helper, order, say};
use crate::scene::{
    LEASE, SECOND, Scene, fill, id, idle, parked, scene, scene_with, take, take_all,
};

fn letters() -> Stream {
    Stream::options().partitions(2).in_memory().unwrap()
}

/// A scene whose group dead-letters after two attempts.
fn lettering(entries: usize, letters: &Stream) -> Scene {
    let target = Exhausted::DeadLetter(letters.clone());
    scene_with(entries, |options| options.on_exhausted(target).max_deliveries(2))
}

/// All entries of a stream.
fn all(stream: &Stream) -> Vec<Entry> {
    stream.reader(Start::Earliest).unwrap().try_read(1_000).unwrap().into_iter().collect()
}

fn waiting(info: &GroupInfo) -> (u64, u64, bool) {
    (info.exhausted, info.dead_lettered, info.dead_letter_failure.is_some())
}

#[test]
fn a_dead_letter_keeps_its_entry_and_tells_what_happened() {
    let letters = letters();
    let Scene { clock, stream, group, worker } = lettering(0, &letters);
    let entry = NewEntry::new("order").key("k7").subject("order.created").header("trace", "t1");
    stream.append(&entry).unwrap();
    let start: SystemTime = stream.get(id(0)).unwrap().unwrap().timestamp();
    take(&worker).nack().unwrap();
    clock.advance(SECOND * 3);
    take(&worker).reject("no such customer").unwrap();

    let found = all(&letters);
    assert_eq!(found.len(), 1);
    let (entry, letter) = (&found[0], DeadLetter::of(&found[0]).unwrap());
    assert_eq!((entry.payload(), entry.key()), (&b"order"[..], Some(&b"k7"[..])));
    assert_eq!((entry.subject(), entry.header("trace")), (Some("order.created"), Some(&b"t1"[..])));
    assert_eq!((letter.origin(), letter.group()), (id(0), "g"));
    assert_eq!((letter.consumer(), letter.attempts()), (Some("worker"), 2));
    assert_eq!(letter.reason(), Some("no such customer"));
    assert_eq!(letter.first_delivered(), Some(start));
    assert_eq!(letter.last_delivered(), Some(start + SECOND * 3));
    assert_eq!(DeadLetter::of(&stream.get(id(0)).unwrap().unwrap()), None);

    let info = group.info().unwrap();
    assert_eq!(waiting(&info), (0, 1, false));
    assert_eq!((info.lag, info.partitions[0].floor), (0, 1));
    let lag = letters.info().unwrap();
    assert_eq!(lag.partitions.iter().map(|p| p.durable_end).sum::<u64>(), 1, "it was flushed");
}

#[test]
fn attempts_that_are_over_lead_to_the_dead_letters_whatever_ended_the_last() {
    let ends: [fn(&Scene); 4] = [
        |scene| take(&scene.worker).nack().unwrap(),
        |scene| drop(take(&scene.worker)),
        |scene| {
            let held = take(&scene.worker).detach();
            scene.clock.advance(LEASE);
            let _ = scene.group.info().unwrap();
            assert!(!scene.group.ack([held]).unwrap().is_complete(), "it is on its way");
        },
        |scene| {
            take(&scene.worker).detach();
            scene.group.remove_consumer("worker").unwrap();
        },
    ];
    for (n, end) in ends.into_iter().enumerate() {
        let letters = letters();
        let scene = lettering(1, &letters);
        let events = scene.group.events().unwrap();
        take(&scene.worker).nack().unwrap();
        scene.clock.advance(SECOND);
        end(&scene);
        assert_eq!(waiting(&scene.group.info().unwrap()), (0, 1, false), "way {n}");
        let letter = DeadLetter::of(&all(&letters)[0]).unwrap();
        assert_eq!((letter.attempts(), letter.reason()), (2, None), "way {n}");
        let told = events.drain().into_iter().find_map(|event| match event {
            Event::Exhausted { id, attempts, reason, fate, .. } => {
                Some((id, attempts, reason, fate))
            }
            _ => None,
        });
        assert_eq!(told, Some((id(0), 2, None, Fate::DeadLettered)), "way {n}");
    }
}

#[test]
fn a_reason_is_kept_with_what_is_parked_and_told_with_what_is_discarded() {
    let Scene { group, worker, clock, .. } = scene(3);
    let events = group.events().unwrap();
    let long = "\u{e9}".repeat(600);
    take(&worker).reject("bad").unwrap();
    take(&worker).reject(&long).unwrap();
    let token = take(&worker).detach();
    assert!(group.reject([token], "").unwrap().is_complete());
    let rows = group.parked(9).unwrap();
    let reasons: Vec<_> = rows.iter().map(|row| row.reason.as_deref()).collect();
    assert_eq!(reasons, [Some("bad"), Some(&long[..1024]), None]);
    assert!(rows.iter().all(|row| row.attempts == 1));
    let fates = events.drain().into_iter().filter_map(|event| match event {
        Event::Exhausted { reason, fate, .. } => Some((reason, fate)),
        _ => None,
    });
    assert_eq!(fates.collect::<Vec<_>>()[0], (Some("bad".to_owned()), Fate::Parked));
    let since = rows[0].since;
    clock.advance(SECOND);
    assert_eq!(group.parked(1).unwrap()[0].since, since);

    let discarding = scene_with(1, |options| options.on_exhausted(Exhausted::Discard));
    let events = discarding.group.events().unwrap();
    take(&discarding.worker).reject("worse").unwrap();
    let told = events.drain();
    let Some(Event::Exhausted { reason, fate: Fate::Discarded, .. }) = told.last() else {
        panic!("{told:?}")
    };
    assert_eq!(reason.as_deref(), Some("worse"));
}

#[test]
fn parked_entries_are_chosen_by_id_and_subject_and_bounded() {
    let Scene { stream, group, worker, .. } = scene(0);
    for n in 0..6 {
        let subject = ["order.new", "order.old", "bill"][n % 3];
        stream.append(NewEntry::new("x").subject(subject)).unwrap();
    }
    for delivery in take_all(&worker) {
        delivery.reject("").unwrap();
    }
    let chosen = |query: ParkedQuery| -> Vec<u64> {
        group.parked(query).unwrap().iter().map(|row| row.id.offset()).collect()
    };
    assert_eq!(chosen(ParkedQuery::new()), [0, 1, 2, 3, 4, 5]);
    assert_eq!(chosen(ParkedQuery::new().subject("order.*").max(3)), [0, 1, 3]);
    assert_eq!(chosen(ParkedQuery::new().subject("bill").subject("order.old")), [1, 2, 4, 5]);
    assert_eq!(chosen(ParkedQuery::new().range(id(1)..=id(3))), [1, 2, 3]);
    assert_eq!(chosen(ParkedQuery::new().ids([id(5), id(0), id(9)])), [0, 5]);
    assert_eq!(group.redrive(ParkedQuery::new().subject("bill").max(1)).unwrap(), 1);
    assert_eq!(parked(&group, 9), [0, 1, 3, 4, 5].map(id));
    let refused = group.parked(ParkedQuery::new().subject("a.>.b"));
    assert!(matches!(refused, Err(Error::InvalidName { what: "filter", .. })));
}

#[test]
fn exhausted_entries_wait_while_their_target_is_closed() {
    let letters = letters();
    let Scene { clock, stream, group, worker } = lettering(2, &letters);
    letters.close().unwrap();
    take(&worker).reject("bad").unwrap();
    let info = group.info().unwrap();
    assert_eq!(waiting(&info), (1, 0, true));
    assert_eq!((info.lag, info.partitions[0].floor), (2, 0));
    assert_eq!(group.next_deadline(), Some(SECOND));
    clock.advance(SECOND);
    assert_eq!(waiting(&group.info().unwrap()), (1, 0, true));
    take(&worker).ack().unwrap();
    assert!(idle(&worker), "it is not handed out any more");
    drop((group, worker));

    let other = self::letters();
    let options = stream.group("g").on_exhausted(Exhausted::DeadLetter(other.clone()));
    let group = options.open_existing().unwrap();
    assert_eq!(waiting(&group.info().unwrap()), (0, 1, false));
    assert_eq!(DeadLetter::of(&all(&other)[0]).unwrap().reason(), Some("bad"));
    assert_eq!(group.floors().unwrap(), [2]);
}

#[test]
fn a_group_that_is_opened_without_its_target_lets_exhausted_entries_wait() {
    let (letters, directory) = (letters(), tempfile::tempdir().unwrap());
    let open = || Stream::open(directory.path()).unwrap();
    let target = || Exhausted::DeadLetter(letters.clone());
    {
        let stream = open();
        fill(&stream, 3);
        drop(stream.group("g").on_exhausted(target()).open(Start::Earliest).unwrap());
    }
    {
        let stream = open();
        let group = stream.group("g").open_existing().unwrap();
        take(&group.join("w").unwrap()).reject("first").unwrap();
        assert_eq!(waiting(&group.info().unwrap()), (1, 0, true));
        // It is in use, and is told where to all the same.
        let same = stream.group("g").on_exhausted(target()).open_existing().unwrap();
        assert_eq!(waiting(&same.info().unwrap()), (0, 1, false));
    }
    {
        let group = open().group("g").open_existing().unwrap();
        take(&group.join("w").unwrap()).reject("second").unwrap();
    }
    let group = open().group("g").on_exhausted(target()).open_existing().unwrap();
    let info = group.info().unwrap();
    assert_eq!((waiting(&info), info.partitions[0].floor), ((0, 2, false), 2));
    let reasons = all(&letters)
        .iter()
        .map(|e| DeadLetter::of(e).unwrap().reason().map(str::to_owned))
        .collect::<Vec<_>>();
    assert_eq!(reasons, [Some("first".to_owned()), Some("second".into())]);
}

#[test]
fn a_stream_does_not_take_its_own_dead_letters() {
    let Scene { stream, .. } = scene(0);
    let options = stream.group("other").on_exhausted(Exhausted::DeadLetter(stream.clone()));
    let refused = options.open(Start::Earliest).unwrap_err();
    assert!(matches!(refused, Error::InvalidOption { option: "on_exhausted", .. }), "{refused}");
    assert_eq!(stream.groups(), ["g"]);
}

#[test]
fn two_streams_that_take_each_others_letters_do_not_keep_each_other_open() {
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let open = || directories.each_ref().map(|directory| Stream::open(directory.path()).unwrap());
    {
        let [a, b] = open();
        let group = |from: &Stream, to: &Stream| {
            let options = from.group("g").on_exhausted(Exhausted::DeadLetter(to.clone()));
            options.max_deliveries(1).open(Start::Earliest).unwrap()
        };
        let groups = [group(&a, &b), group(&b, &a)];
        a.append("ping").unwrap();
        let workers = [groups[0].join("w").unwrap(), groups[1].join("w").unwrap()];
        for turn in 0..6 {
            take(&workers[turn % 2]).nack().unwrap();
        }
        assert_eq!([all(&a).len(), all(&b).len()], [4, 3]);
        drop((a, b));
        drop(workers);
        assert!(Stream::open(directories[0].path()).is_err(), "groups keep both open");
        drop(groups);
    }
    let [a, b] = open();
    assert!(a.recovery().is_clean() && b.recovery().is_clean());
}

#[test]
fn a_letter_that_is_redriven_brings_its_entry_back_to_its_group_alone() {
    let letters = letters();
    let Scene { stream, group, worker, .. } = lettering(2, &letters);
    let other = stream.group("other").open(Start::Earliest).unwrap().join("o").unwrap();
    other.try_read(9).unwrap().ack_all().unwrap().is_complete();
    let rejected = take(&worker);
    let token = rejected.token();
    rejected.reject("bad").unwrap();
    take(&worker).ack().unwrap();

    let letter = &all(&letters)[0];
    assert_eq!(group.redrive_letter(letter).unwrap(), Redriven::Available(id(0)));
    assert_eq!(group.redrive_letter(letter).unwrap(), Redriven::Open(id(0)));
    assert!(!group.ack([token]).unwrap().is_complete(), "old tokens stay void");
    assert_eq!((group.lag().unwrap(), group.floors().unwrap()), (1, vec![0]));
    let back = take(&worker);
    assert_eq!((back.id(), back.attempt()), (id(0), 1));
    back.reject("again").unwrap();
    assert_eq!(all(&letters).len(), 2, "a second failure has a letter of its own");
    assert!(idle(&worker) && idle(&other));

    let refusals = [
        group.redrive_letter(&stream.get(id(0)).unwrap().unwrap()),
        stream.group("other").open_existing().unwrap().redrive_letter(letter),
        lettering(1, &letters).group.redrive_letter(letter),
    ];
    for refused in refusals {
        assert!(matches!(refused, Err(Error::NotADeadLetter { .. })), "{refused:?}");
    }
}

#[test]
fn a_letter_whose_entry_was_trimmed_is_appended_anew() {
    let (letters, directory) = (letters(), tempfile::tempdir().unwrap());
    let stream = Stream::options().segment_bytes(4096).open(directory.path()).unwrap();
    let options = stream.group("g").on_exhausted(Exhausted::DeadLetter(letters.clone()));
    let group = options.open(Start::Earliest).unwrap();
    let worker = group.join("w").unwrap();
    stream.append(NewEntry::new("order").key("k").header("h", "v")).unwrap();
    take(&worker).reject("bad").unwrap();
    for _ in 0..100 {
        stream.append(&[0; 200]).unwrap();
    }
    worker.try_read(200).unwrap().ack_all().unwrap().is_complete();
    assert!(stream.trim_before(id(90)).unwrap() > 0);
    let redriven = group.redrive_letter(&all(&letters)[0]).unwrap();
    assert_eq!(redriven, Redriven::Appended(id(101)));
    let back = take(&worker);
    assert_eq!((back.id(), back.payload(), back.key()), (id(101), &b"order"[..], Some(&b"k"[..])));
    assert_eq!((back.header("h"), DeadLetter::of(&back)), (Some(&b"v"[..]), None));
}

#[test]
fn letters_of_a_process_that_was_killed_are_there_once() {
    for durability in [Durability::Os, Durability::Always] {
        let directory = tempfile::tempdir().unwrap();
        let [orders, letters] = ["orders", "letters"].map(|name| directory.path().join(name));
        let stream = Stream::options().durability(durability).open(&orders).unwrap();
        for n in 0..10 {
            stream.append(if n == 4 { "deadly" } else { "harmless" }).unwrap();
        }
        let target = Stream::open(&letters).unwrap();
        let options = stream.group("g").max_deliveries(3).backoff(Backoff::fixed(Duration::ZERO));
        let options = options.on_exhausted(Exhausted::DeadLetter(target.clone()));
        drop(options.open(Start::Earliest).unwrap());
        drop((stream, target));
        let (mut deaths, mut attempts) = (0, Vec::new());
        loop {
            let mut victim = Helper::start("letters::victim", directory.path(), "");
            while let Some(line) = victim.hear() {
                attempts.push(line);
            }
            if victim.finish().success() {
                break;
            }
            deaths += 1;
            assert!(deaths <= 3, "the entry kills on: {attempts:?}");
        }
        assert_eq!((deaths, attempts), (3, vec!["1".to_owned(), "2".into(), "3".into()]));
        let (stream, target) = (Stream::open(&orders).unwrap(), Stream::open(&letters).unwrap());
        let info = stream.group("g").open_existing().unwrap().info().unwrap();
        assert_eq!((waiting(&info), info.acked, info.lag), ((0, 1, false), 9, 0));
        let found = all(&target);
        let letter = DeadLetter::of(&found[0]).unwrap();
        assert_eq!((found.len(), letter.origin()), (1, EntryId::new(0, 4)));
        assert_eq!((letter.attempts(), letter.consumer()), (3, Some("victim")));
        assert!(letter.first_delivered().unwrap() <= letter.last_delivered().unwrap());
    }
}

#[test]
#[ignore = "a process that the test above starts"]
fn victim() {
    let Some(order) = order() else { return };
    let [orders, letters] =
        ["orders", "letters"].map(|name| Stream::open(order.directory.join(name)).unwrap());
    let options = orders.group("g").on_exhausted(Exhausted::DeadLetter(letters));
    let worker = options.open_existing().unwrap().join("victim").unwrap();
    loop {
        let batch = worker.try_read(100).unwrap();
        if batch.is_empty() {
            return;
        }
        for delivery in batch {
            if delivery.payload() == b"deadly" {
                say(&delivery.attempt().to_string());
                std::process::abort();
            }
            delivery.ack().unwrap();
        }
    }
}
