//! Dead letters, seen and redriven from outside; and copies.

use std::path::Path;

use millstream::{Exhausted, NewEntry, Start, Stream};

use crate::run::{millstream, orders, place};

/// A stream whose group has given up four orders, and the stream of their letters; both closed.
fn given_up(path: &Path, letters: &Path) {
    let [stream, letters] = [path, letters].map(|path| Stream::open(path).unwrap());
    for number in 0..4 {
        let text = format!("order {number}");
        stream.append(NewEntry::new(&text).subject("order.created")).unwrap();
    }
    let options = stream.group("billing").on_exhausted(Exhausted::DeadLetter(letters.clone()));
    let billing = options.open(Start::Earliest).unwrap();
    for delivery in billing.join("worker-1").unwrap().try_read(9).unwrap() {
        let late = delivery.id().offset() % 2 == 1;
        delivery.reject(if late { "timeout after 5 s" } else { "no such customer" }).unwrap();
    }
    assert_eq!(billing.info().unwrap().dead_lettered, 4);
    stream.close().unwrap();
    letters.close().unwrap();
}

#[test]
fn letters_are_listed_with_what_they_tell() {
    let (dir, path) = place();
    let letters = dir.path().join("letters");
    given_up(&path, &letters);
    let from = letters.to_str().unwrap();
    let ran = millstream("letters", &path, &["billing", from]).with(0);
    ran.tells("4 letters").tells("worker-1").tells("timeout after 5 s");
    let found = |rest: &[&str]| {
        let rest = [&["billing", from, "--json"], rest].concat();
        let told = millstream("letters", &path, &rest).with(0).json();
        told["found"].as_array().unwrap().clone()
    };
    assert_eq!(found(&[]).len(), 4);
    assert_eq!(found(&["--reason", "timeout"]).len(), 2);
    assert_eq!(found(&["--attempts-over"]).len(), 0);
    assert_eq!(found(&["--consumer", "worker-1", "--range", "0-1..0-3"]).len(), 2);
    assert_eq!(found(&["--subject", "order.*", "--max", "3"])[0]["id"], "0-0");
    millstream("letters", &path, &["billing", from, "--max", "3"]).with(0).tells("--range '0-3..'");
}

#[test]
fn letters_are_redriven_by_reason_and_in_pages() {
    let (dir, path) = place();
    let letters = dir.path().join("letters");
    given_up(&path, &letters);
    let from = letters.to_str().unwrap();
    let redrive = |rest: &[&str]| {
        millstream("redrive", &path, &[&["billing", "--from", from, "--yes"], rest].concat())
    };
    let ran = redrive(&["--reason", "timeout"]).with(0);
    ran.tells("the entries of 2 letters will come again to billing").tells("2 entries redriven");
    let told = redrive(&["--json", "--max", "1"]).with(0).json();
    assert_eq!(told["redriven"].as_array().map(Vec::len), Some(1));
    assert_eq!(told["next"], "0-1");
    let stream = Stream::open(&path).unwrap();
    assert_eq!(stream.group("billing").open_existing().unwrap().lag().unwrap(), 3);
    stream.close().unwrap();
    millstream("redrive", &path, &["billing", "--from", from]).with(5);
}

#[test]
fn a_backup_holds_what_the_stream_held() {
    let (dir, path) = place();
    let orders = orders(&path);
    let to = dir.path().join("backup");
    let ran = millstream("backup", &path, &[to.to_str().unwrap()]).with(0);
    ran.tells("10 entries and 1 group are in");
    orders.stream.append("later").unwrap();
    let copy = Stream::open(&to).unwrap();
    assert!(copy.recovery().is_clean());
    assert_eq!(copy.info().unwrap().entries(), 10);
    assert_eq!(copy.group("billing").open_existing().unwrap().info().unwrap().parked, 2);
    copy.close().unwrap();
    let again = millstream("backup", &path, &[to.to_str().unwrap()]).with(6);
    assert!(again.err.contains("already exists"), "{again:?}");
    let json = dir.path().join("another");
    let told = millstream("backup", &path, &[json.to_str().unwrap(), "--json"]).with(0).json();
    assert_eq!((&told["partitions"][0]["end"], &told["groups"][0]), (&6.into(), &"billing".into()));
    let inside = path.join("copy");
    assert!(
        millstream("backup", &path, &[inside.to_str().unwrap()]).with(2).err.contains("outside")
    );
}
