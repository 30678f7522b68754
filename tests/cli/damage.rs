//! Damaged directories: every verb reports them, and none panics.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use millstream::{Start, Stream};

use crate::run::{millstream, orders, place};

/// Every file below a directory, but for the lock.
pub(crate) fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else if !path.ends_with("lock") {
            found.insert(path.clone(), fs::read(path).unwrap());
        }
    }
    found
}

/// All verbs, with what they need.
const VERBS: [(&str, &[&str]); 12] = [
    ("info", &[]),
    ("groups", &[]),
    ("group", &["billing"]),
    ("pending", &["billing"]),
    ("parked", &["billing"]),
    ("dump", &[]),
    ("tail", &["--from", "earliest", "--max", "1"]),
    ("verify", &[]),
    ("redrive", &["billing", "--yes"]),
    ("reset", &["billing", "--to", "earliest", "--yes"]),
    ("trim", &["--before", "0-1", "--yes"]),
    ("delete-group", &["billing", "--yes"]),
];

/// A closed stream, to be damaged anew for each verb.
fn each_verb(damage: impl Fn(&Path), ended: impl Fn(&str, i32)) {
    let (_dir, path) = place();
    orders(&path).close();
    let sound = contents(&path);
    for (verb, rest) in VERBS {
        for file in contents(&path).into_keys() {
            fs::remove_file(file).unwrap();
        }
        for (file, bytes) in &sound {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, bytes).unwrap();
        }
        damage(&path);
        let ran = millstream(verb, &path, rest);
        assert!(!ran.err.contains("panicked"), "{verb}: {ran:?}");
        assert!(ran.code == 0 || ran.code == 1 || !ran.err.is_empty(), "{verb}: {ran:?}");
        ended(verb, ran.code);
    }
}

pub(crate) fn segment(path: &Path) -> PathBuf {
    let mut files = contents(path).into_keys();
    files.find(|file| file.to_string_lossy().ends_with("p0/0000000001.seg")).unwrap()
}

#[test]
fn a_missing_manifest_is_no_stream() {
    let gone = |path: &Path| fs::remove_file(path.join("manifest")).unwrap();
    each_verb(gone, |verb, code| assert_eq!(code, 3, "{verb}"));
}

#[test]
fn a_damaged_manifest_is_damage() {
    let flip = |path: &Path| {
        let file = path.join("manifest");
        let mut bytes = fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(file, bytes).unwrap();
    };
    each_verb(flip, |verb, code| assert_eq!(code, 1, "{verb}"));
}

#[test]
fn a_flipped_byte_is_damage_to_who_reads_it() {
    let flip = |path: &Path| {
        let file = segment(path);
        let mut bytes = fs::read(&file).unwrap();
        let at = bytes.windows(7).position(|bytes| bytes == b"order 4").unwrap();
        bytes[at] ^= 1;
        fs::write(file, bytes).unwrap();
    };
    each_verb(flip, |verb, code| {
        if matches!(verb, "dump" | "verify") {
            assert_eq!(code, 1, "{verb}");
        }
    });
}

#[test]
fn what_stands_around_damage_is_dumped() {
    let (_dir, path) = place();
    let stream = Stream::options().segment_bytes(4096).open(&path).unwrap();
    for number in 0..40 {
        stream.append(&format!("{number:0900}")).unwrap();
    }
    stream.close().unwrap();
    let file = path.join("p0/0000000001.seg");
    let mut bytes = fs::read(&file).unwrap();
    let at =
        bytes.windows(900).position(|bytes| bytes == format!("{:0900}", 1).as_bytes()).unwrap();
    bytes[at + 7] ^= 1;
    fs::write(file, bytes).unwrap();
    let ran = millstream("dump", &path, &["--json"]).with(1);
    let ids: Vec<String> =
        ran.lines().iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids[0], "0-0");
    assert_eq!(ids.last().map(String::as_str), Some("0-39"), "{}", ran.err);
    assert!(!ids.contains(&"0-1".to_owned()) && ran.err.contains("corrupt"), "{ran:?}");
}

#[test]
fn segments_that_were_cut_or_forged_are_reported() {
    let (_dir, path) = place();
    orders(&path).close();
    let whole = fs::read(segment(&path)).unwrap().len();
    for length in [0, 7, 128, 200, whole / 2, whole - 1] {
        let cut = |path: &Path| {
            let file = fs::OpenOptions::new().write(true).open(segment(path)).unwrap();
            file.set_len(length as u64).unwrap();
        };
        each_verb(cut, |_, _| {});
    }
    let forged = |path: &Path| fs::write(segment(path), vec![0xff; whole]).unwrap();
    each_verb(forged, |verb, code| assert_eq!(code, 1, "{verb}"));
}

#[test]
fn a_damaged_journal_closes_its_group_alone() {
    let flip = |path: &Path| {
        for (file, mut bytes) in contents(path) {
            if file.to_string_lossy().contains("/g1/") {
                bytes.iter_mut().skip(128).for_each(|byte| *byte ^= 0x55);
                fs::write(file, bytes).unwrap();
            }
        }
    };
    each_verb(flip, |verb, code| match verb {
        "groups" | "group" | "pending" | "parked" => assert_eq!(code, 1, "{verb}"),
        _ => {}
    });
    let (_dir, path) = place();
    let orders = orders(&path);
    orders.stream.group("audit").open(Start::Earliest).unwrap();
    orders.close();
    flip(&path);
    let ran = millstream("groups", &path, &[]).with(1);
    ran.tells("audit").tells("billing is closed: corrupt");
}
