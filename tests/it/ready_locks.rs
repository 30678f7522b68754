//! No hook of a consumer is called while a lock of the stream is held: one that takes that lock
//! itself would block its own thread for ever.

use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use millstream::{
    Backoff, Consumer, Durability, EntryId, Error, Exhausted, Group, ManualClock, Redriven,
    Retention, Start, Stream,
};

use crate::scene::{HOUR, LEASE, SECOND, id, take};

/// Longer than any of this takes, on any machine.
const HANG: Duration = Duration::from_secs(60);

/// Does it on a thread of its own, which nobody waits for if it never ends.
fn assert_ends(act: impl FnOnce() + Send + 'static) {
    let (done, over) = mpsc::channel();
    let act = move || {
        act();
        let _ = done.send(());
    };
    drop(thread::Builder::new().spawn(act).unwrap());
    over.recv_timeout(HANG).expect("it blocks for ever, or it failed");
}

/// A stream of small segments with a group of one member.
fn scene(durability: Durability, retention: Retention) -> (ManualClock, Stream, Consumer) {
    let clock = ManualClock::new();
    let options = Stream::options().clock(clock.clone()).durability(durability);
    let stream = options.segment_bytes(4096).retention(retention).in_memory().unwrap();
    let group = stream.group("g").lease(LEASE).session_timeout(HOUR);
    let group = group.backoff(Backoff::fixed(SECOND)).open(Start::Earliest).unwrap();
    let worker = group.join("worker").unwrap();
    (clock, stream, worker)
}

/// Gives a consumer a hook that does this, and tells of each call that came to its end.
fn hook(worker: &Consumer, act: impl Fn() + Send + Sync + 'static) -> mpsc::Receiver<()> {
    let (said, heard) = mpsc::channel();
    let hook = move || {
        act();
        let _ = said.send(());
    };
    worker.on_ready(hook).unwrap();
    heard
}

/// An append finds its partition full, so it looks for what may go, and by that finds out that an
/// entry is due again.
#[test]
fn a_unique_append_that_makes_room_calls_no_hook_under_its_lock() {
    for makes_room in [false, true] {
        assert_ends(move || {
            let retention = Retention::settled().entries(20);
            let (clock, stream, worker) = scene(Durability::Os, retention);
            let full = (0..1_000).find_map(|_| stream.append(&[7; 200]).err()).unwrap();
            assert!(matches!(full, Error::StreamFull { .. }), "{full}");
            let mut held: Vec<_> = worker.try_read(1_000).unwrap().into_iter().collect();
            held.pop().unwrap().nack().unwrap();
            if makes_room {
                held.drain(..).for_each(|held| held.ack().unwrap());
            }
            let (of, within) = (stream.clone(), worker.clone());
            let heard = hook(&worker, move || {
                // Else it would be called for what is due again and again.
                assert!(within.try_read(9).unwrap().ack_all().unwrap().is_complete());
                drop(of.append_unique("hook", "its own", HOUR));
            });
            assert!(heard.try_recv().is_err(), "nothing was due");
            clock.advance(SECOND);
            let appended = stream.append_unique("entry", "another", HOUR);
            assert_eq!(appended.is_ok(), makes_room, "{appended:?}");
            assert!(heard.try_recv().is_ok(), "what is due is told");
            assert_eq!(stream.append_unique("entry", "its own", HOUR).is_ok(), makes_room);
        });
    }
}

/// Nothing goes before what stays is durable, so a trim may flush, and what that makes visible is told
/// to hooks.
#[test]
fn a_trim_that_flushes_calls_no_hook_under_its_lock() {
    assert_ends(|| {
        let (_clock, stream, worker) = scene(Durability::Always, Retention::keep_all().bytes(8192));
        let of = stream.clone();
        let heard = hook(&worker, move || drop(of.group("another").open(Start::Earliest).unwrap()));
        drop(stream.append_each([&[7; 200][..]; 200]).unwrap());
        assert!(heard.try_recv().is_ok());
        assert!(stream.info().unwrap().partitions[0].start > 0, "something was trimmed");
    });
}

fn letters_of(worker: &Consumer, letters: &Stream) -> millstream::Entry {
    take(worker).reject("bad").unwrap();
    letters.get(id(0)).unwrap().unwrap()
}

fn burying(stream: &Stream, letters: &Stream) -> Group {
    let options = stream.group("burying").on_exhausted(Exhausted::DeadLetter(letters.clone()));
    options.open(Start::Earliest).unwrap()
}

#[test]
fn redriving_a_letter_calls_no_hook_under_its_lock() {
    assert_ends(|| {
        let (_clock, stream, _other) = scene(Durability::Os, Retention::keep_all());
        let letters = Stream::options().in_memory().unwrap();
        let group = burying(&stream, &letters);
        let worker = group.join("worker").unwrap();
        stream.append("entry").unwrap();
        let letter = letters_of(&worker, &letters);
        let of = stream.clone();
        let heard = hook(&worker, move || drop(of.group("another").open(Start::Earliest).unwrap()));
        assert!(heard.try_recv().is_err(), "there was nothing");
        assert_eq!(group.redrive_letter(&letter).unwrap(), Redriven::Available(EntryId::new(0, 0)));
        assert!(heard.try_recv().is_ok());
    });
}
