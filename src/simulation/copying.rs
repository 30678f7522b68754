//! Copies between simulated disks: the power is cut at any effect of the copy's disk, and every call
//! of either fails in turn. There is never half a stream under the copy's name, a copy that was reported
//! as done is there whatever happens, and the stream that was copied is as before.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::clock::ManualClock;
use crate::consumer::Consumer;
use crate::delivery::Delivery;
use crate::engine::Trial;
use crate::error::{Error, Result};
use crate::options::StreamOptions;
use crate::start::Start;
use crate::storage::Storage;
use crate::storage::simulated::{FailMode, Simulated};
use crate::stream::Stream;

/// The copy's name.
const NAME: &str = "copy";
/// So many outcomes of each cut are looked at.
const OUTCOMES: u64 = 4;

fn open(disk: &Simulated) -> Result<Stream> {
    let trial = Trial { salts: Some(disk.effects()), ..Trial::default() };
    let options = StreamOptions::default().partitions(2).segment_bytes(4096);
    options.clock(ManualClock::new()).on_trial(Arc::new(disk.clone()), trial)
}

/// A stream of several segments and two groups, one of which has settled and leased some.
fn made(disk: &Simulated) -> (Stream, Consumer) {
    let stream = open(disk).unwrap();
    let group = stream.group("g").open(Start::Earliest).unwrap();
    stream.group("other").open(Start::Latest).unwrap();
    for n in 0..12_u8 {
        stream.append(&[n; 700]).unwrap();
    }
    let worker = group.join("w").unwrap();
    assert!(worker.try_read(5).unwrap().ack_all().unwrap().is_complete());
    let held = worker.try_read(2).unwrap();
    let tokens: Vec<_> = held.into_iter().map(Delivery::detach).collect();
    assert_eq!(tokens.len(), 2);
    (stream, worker)
}

/// A disk with a root, where a copy can go; with an empty directory in its place, if it is `taken`.
fn target(seed: u64, taken: bool) -> Simulated {
    let disk = Simulated::new(seed);
    drop(disk.lock(true).unwrap());
    if taken {
        disk.create_dir(NAME).unwrap();
        disk.sync_dir("").unwrap();
    }
    disk
}

fn copy(stream: &Stream, to: &Simulated) -> Result<()> {
    let to: Arc<dyn Storage> = Arc::new(to.clone());
    let copied = stream.handle.mill.copy(&to, NAME, &mut |_| ControlFlow::Continue(()));
    copied.map(|copied| assert_eq!(copied.entries(), 12))
}

/// Complains about anything under the copy's name that is not the whole stream. Says whether it is there.
fn judge(disk: &Simulated) -> std::result::Result<bool, String> {
    if disk.list(NAME).is_ok_and(|names| names.is_empty()) || disk.list(NAME).is_err() {
        return Ok(false);
    }
    let copy = Simulated::new(1);
    for (path, bytes) in disk.files() {
        if let Some(path) = path.strip_prefix("copy/") {
            copy.put(path, bytes);
        }
    }
    let before = copy.files();
    let stream = open(&copy).map_err(|error| format!("not opened: {error}"))?;
    let complain = |what: &str| Err(what.to_owned());
    if !stream.recovery().is_clean() || copy.files() != before {
        return complain("something was to be repaired");
    }
    stream.verify().map_err(|error| error.to_string())?;
    let group = stream.group("g").open_existing().map_err(|error| error.to_string())?;
    let info = group.info().map_err(|error| error.to_string())?;
    let entries = stream.info().map_err(|error| error.to_string())?.entries();
    if (entries, info.lag, info.due, info.redelivered, stream.groups().len()) != (12, 7, 2, 0, 2) {
        return complain("it holds something else");
    }
    Ok(true)
}

/// The stream takes writes and is whole.
fn assert_unharmed(stream: &Stream, at: u64) {
    stream.append("more").unwrap();
    stream.sync().unwrap();
    stream.verify().unwrap();
    let worker = stream.group("g").open_existing().unwrap().join("w2").unwrap();
    assert_eq!(worker.try_read(100).unwrap().len(), 6, "call {at}");
}

#[test]
fn a_power_cut_never_leaves_half_a_copy() {
    let (stream, _worker) = made(&Simulated::new(7));
    for taken in [false, true] {
        let effects = {
            let to = target(1, taken);
            let before = to.effects();
            copy(&stream, &to).unwrap();
            to.effects() - before
        };
        let mut there = 0;
        for at in 1..=effects + 1 {
            let to = target(at, taken);
            to.cut_at(to.effects() + at);
            let copied = copy(&stream, &to);
            assert_eq!(copied.is_ok(), at > effects, "effect {at}");
            to.cut();
            for seed in 0..OUTCOMES {
                let found = judge(&to.reboot(seed)).unwrap_or_else(|complaint| {
                    panic!("effect {at}, seed {seed}: {complaint}");
                });
                assert!(found || copied.is_err(), "effect {at}, seed {seed}: it is gone");
                there += u64::from(found);
            }
        }
        assert!(there >= OUTCOMES, "the last ones are there");
    }
}

#[test]
fn without_syncs_the_oracle_finds_half_a_copy() {
    let (stream, _worker) = made(&Simulated::new(7));
    let controls: [fn(&Simulated); 2] =
        [|disk| disk.ignore_syncs(true), |disk| disk.ignore_dir_syncs(true)];
    for control in controls {
        let to = target(3, false);
        control(&to);
        copy(&stream, &to).unwrap();
        to.cut();
        let noticed = (0..50).any(|seed| judge(&to.reboot(seed)) != Ok(true));
        assert!(noticed);
    }
}

/// Every call of a copy fails, on the one disk or the other.
fn each_call_fails(of_source: bool, mode: FailMode, kind: io::ErrorKind) {
    let calls = {
        let (from, to) = (Simulated::new(7), target(1, false));
        let (stream, _worker) = made(&from);
        let disk = if of_source { &from } else { &to };
        let before = disk.calls();
        copy(&stream, &to).unwrap();
        disk.calls() - before
    };
    assert!(calls > 10);
    for nth in 1..=calls {
        let (from, to) = (Simulated::new(7), target(nth, false));
        let (stream, _worker) = made(&from);
        let disk = if of_source { &from } else { &to };
        disk.fail_call(disk.calls() + nth, mode, kind);
        let copied = copy(&stream, &to);
        disk.heal();
        match &copied {
            Ok(()) => assert_eq!(judge(&to), Ok(true), "call {nth}"),
            Err(Error::Io { .. }) => {}
            Err(Error::DiskFull { .. }) => assert_eq!(kind, io::ErrorKind::StorageFull),
            Err(other) => panic!("call {nth}: {other}"),
        }
        if copied.is_err() {
            // Nobody can take a whole copy back whose disk does nothing any more.
            let stays = !of_source && mode == FailMode::Forever;
            let left = judge(&to).unwrap_or_else(|complaint| panic!("call {nth}: {complaint}"));
            assert!(stays || !left, "call {nth}");
            if !stays {
                assert_eq!(to.list("").unwrap(), [""; 0], "call {nth}: it is removed");
            }
        }
        assert_unharmed(&stream, nth);
    }
}

#[test]
fn any_call_of_the_copys_disk_may_fail() {
    for mode in [FailMode::Once, FailMode::Forever] {
        each_call_fails(false, mode, io::ErrorKind::Other);
        each_call_fails(false, mode, io::ErrorKind::StorageFull);
    }
}

#[test]
fn any_call_of_the_streams_disk_may_fail() {
    each_call_fails(true, FailMode::Once, io::ErrorKind::Other);
    each_call_fails(true, FailMode::Forever, io::ErrorKind::Other);
}

#[test]
fn a_full_disk_is_told_and_what_was_made_is_removed() {
    let (stream, _worker) = made(&Simulated::new(7));
    let bytes: usize = {
        let to = target(1, false);
        copy(&stream, &to).unwrap();
        to.files().iter().map(|(_, bytes)| bytes.len()).sum()
    };
    for share in 0..8 {
        let to = target(1, false);
        to.set_capacity(bytes as u64 * share / 8);
        let full = copy(&stream, &to).unwrap_err();
        assert!(full.is_disk_full(), "{full}");
        assert_eq!(to.files().len(), 0);
    }
    assert_unharmed(&stream, 0);
}

#[test]
fn what_a_killed_process_leaves_can_be_copied_by_who_only_reads() {
    let disk = Simulated::new(7);
    let (stream, worker) = made(&disk);
    let killed = disk.crash_process();
    drop((stream, worker));
    let before = killed.files();
    let only = StreamOptions::default().on(Arc::new(killed.clone()), crate::engine::Made::ReadOnly);
    let only = only.unwrap();
    let to = target(1, false);
    copy(&only, &to).unwrap();
    assert_eq!(judge(&to), Ok(true));
    assert_eq!(killed.files(), before, "nothing is changed");
}

#[test]
fn two_copies_of_a_stream_at_rest_are_the_same() {
    let files = || {
        let (from, to) = (Simulated::new(7), target(1, false));
        copy(&made(&from).0, &to).unwrap();
        to.files()
    };
    assert_eq!(files(), files());
}
