//! The verbs that change something: they ask, and they need the stream for themselves.

use std::path::Path;

use millstream::assign::{Assign, Assignment, View};
use millstream::{EntryId, Retention, Start, Stream};

use crate::damage::contents;
use crate::run::{millstream, orders, place};

fn info(path: &Path) -> millstream::GroupInfo {
    let stream = Stream::open(path).unwrap();
    let info = stream.group("billing").open_existing().unwrap().info().unwrap();
    stream.close().unwrap();
    info
}

#[test]
fn nothing_is_done_where_nobody_can_be_asked() {
    let (_dir, path) = place();
    orders(&path).close();
    let before = contents(&path);
    for (verb, rest) in [
        ("redrive", &["billing"][..]),
        ("reset", &["billing", "--to", "earliest"]),
        ("trim", &[]),
        ("trim", &["--before", "0-3"]),
        ("delete-group", &["billing"]),
    ] {
        let ran = millstream(verb, &path, rest).with(5);
        assert!(ran.err.contains("--yes"), "{ran:?}");
        assert_eq!(contents(&path), before, "{verb}");
    }
}

#[test]
fn a_stream_that_somebody_has_open_is_not_mended() {
    let (_dir, path) = place();
    let _stream = orders(&path);
    let ran = millstream("redrive", &path, &["billing", "--yes"]).with(4);
    assert!(ran.err.contains("a stream has one owner at a time"), "{ran:?}");
}

#[test]
fn redrive_brings_parked_entries_back() {
    let (_dir, path) = place();
    orders(&path).close();
    millstream("redrive", &path, &["billing", "--yes", "--subject", "none"])
        .with(0)
        .tells("0 entries redriven");
    let ran = millstream("redrive", &path, &["billing", "--yes", "--max", "1"]).with(0);
    ran.tells("1 entry of 2 parked in billing will come again").tells("1 entry redriven");
    assert_eq!(info(&path).parked, 1);
    let told = millstream("redrive", &path, &["billing", "--yes", "--json"]).with(0).json();
    assert_eq!((&told["redriven"], &told["parked"]), (&1.into(), &0.into()));
    assert_eq!(info(&path).lag, 10);
}

#[test]
fn reset_moves_a_group() {
    let (_dir, path) = place();
    orders(&path).close();
    let ran = millstream("reset", &path, &["billing", "--to", "latest", "--yes"]).with(0);
    ran.tells("billing will go on at these places:")
        .tells("is given up")
        .tells("0 entries to be read");
    assert_eq!(info(&path).lag, 0);
    let rest = ["billing", "--to", "1-2", "--partition", "1", "--yes", "--json"];
    let told = millstream("reset", &path, &rest).with(0).json();
    assert_eq!((&told["lag"], &told["places"][0]), (&3.into(), &"1-2".into()));
    millstream("reset", &path, &["billing", "--to", "1h", "--yes"])
        .with(0)
        .tells("10 entries to be read");
    millstream("reset", &path, &["billing", "--to", "0-99", "--yes"]).with(3);
}

#[test]
fn trim_removes_what_may_go() {
    let (_dir, path) = place();
    Stream::options().segment_bytes(4096).open(&path).unwrap().close().unwrap();
    let ran = millstream("trim", &path, &["--yes"]).with(0).tells("keeps everything");
    drop(ran.tells("nothing of 0 entries in 0 B will go").tells("0 entries removed"));
    let stream = Stream::options().retention(Retention::settled()).open(&path).unwrap();
    let billing = stream.group("billing").open(Start::Earliest).unwrap();
    stream.append_each([&[7; 900]; 40]).unwrap();
    let ran = |rest: &[&str]| millstream("trim", &path, &[rest, &["--yes"]].concat());
    drop(billing);
    stream.close().unwrap();
    ran(&[]).with(0).tells("keeps what groups still need").tells("0 entries removed");
    let some = ran(&["--before", "0-20"]).with(0);
    some.tells("at most 20 entries of 40").tells("group billing is done only up to 0-0");
    let lost = info(&path).trimmed.entries();
    assert!(lost > 0 && lost <= 20, "{lost}");
    millstream("reset", &path, &["billing", "--to", "latest", "--yes"]).with(0);
    let told = ran(&["--json"]).with(0).json();
    assert!(told["partitions"][0]["end"].as_u64().is_some_and(|end| end > 20), "{told}");
    assert_eq!(ran(&["--before", "0-40", "--json"]).with(0).json()["entries"], 0);
    ran(&["--before", "7-0"]).with(3);
}

#[test]
fn a_deleted_group_is_gone() {
    let (_dir, path) = place();
    orders(&path).close();
    let ran = millstream("delete-group", &path, &["billing", "--yes"]).with(0);
    ran.tells("8 entries not settled").tells("2 entries parked").tells("billing is deleted");
    assert!(Stream::open(&path).unwrap().groups().is_empty());
    millstream("delete-group", &path, &["billing", "--yes"]).with(3);
}

/// A strategy that only this program has.
#[derive(Debug)]
struct Own;

impl Assign for Own {
    fn name(&self) -> &'static str {
        "own"
    }

    fn assign(&self, view: &View) -> Assignment {
        Assignment::Owners(vec![0; view.partitions() as usize])
    }
}

#[test]
fn a_group_with_a_strategy_of_the_users_own_is_mended_and_keeps_it() {
    let (_dir, path) = place();
    let stream = Stream::open(&path).unwrap();
    stream.append_batch(["a", "b", "c"]).unwrap();
    let group = stream.group("billing").strategy(Own).open(Start::Latest).unwrap();
    drop(group);
    stream.close().unwrap();
    millstream("reset", &path, &["billing", "--to", "0-1", "--yes"]).with(0);
    millstream("group", &path, &["billing"]).with(0).tells("strategy own");
    let stream = Stream::open(&path).unwrap();
    let worker = stream.group("billing").strategy(Own).open_existing().unwrap().join("w").unwrap();
    let first = worker.try_read(9).unwrap().into_iter().next().unwrap().id();
    assert_eq!((first, worker.assignment().unwrap()), (EntryId::new(0, 1), vec![0]));
}
