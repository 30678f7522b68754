//! The verbs that look: their tables, their objects, and how a run ends.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use millstream::{Start, Stream};

use crate::run::{command, millstream, orders, place};

#[test]
fn info_tells_what_is_in_a_stream() {
    let (_dir, path) = place();
    let _stream = orders(&path);
    let ran = millstream("info", &path, &[]).with(0);
    let ran =
        ran.tells("10 entries in 2 partitions").tells("in 2 segments").tells("keeps everything");
    ran.tells("groups     billing").tells("0.17/s in the last minute");
    let told = millstream("info", &path, &["--json"]).with(0).json();
    assert_eq!(told["entries"], 10);
    assert_eq!(told["entries_last_minute"], 10);
    assert_eq!(told["partitions"][1]["end"], 5);
    assert_eq!(told["groups"][0], "billing");
    assert_eq!(told["retention"]["settled"], false);
    assert_eq!(told["recovery"]["partitions"].as_array().map(Vec::len), Some(0));
    assert!(told["newest"]["secs_since_epoch"].is_u64());
}

#[test]
fn groups_are_listed_with_how_far_behind_they_are() {
    let (_dir, path) = place();
    let orders = orders(&path);
    orders.stream.group("audit").open(Start::Earliest).unwrap().pause().unwrap();
    let ran = millstream("groups", &path, &[]).with(0);
    let lines: Vec<&str> = ran.out.lines().collect();
    assert!(lines[1].starts_with("audit    paused"), "{}", ran.out);
    assert!(
        lines[2].starts_with("billing  stable        1    8       5        0       2"),
        "{}",
        ran.out
    );
    let told = millstream("groups", &path, &["--json"]).with(0).json();
    assert_eq!(told["groups"][1]["name"], "billing");
    assert_eq!(told["groups"][1]["lag"], 8);
    assert_eq!(told["damaged"].as_array().map(Vec::len), Some(0));
}

#[test]
fn a_group_is_shown_in_full() {
    let (_dir, path) = place();
    let _stream = orders(&path);
    let ran = millstream("group", &path, &["billing"]).with(0);
    let ran = ran.tells("billing  stable, generation").tells("strategy shared");
    let ran = ran.tells("8 entries: 3 never handed out, 5 leased, 0 delayed, 0 due again");
    let ran = ran.tells("2 parked").tells("0 acked").tells("is pending, appended");
    ran.tells("worker-1       5")
        .tells("all         entries")
        .tells("max_in_flight               100,000");
    let told = millstream("group", &path, &["billing", "--json"]).with(0).json();
    assert_eq!(told["name"], "billing");
    assert_eq!(told["leased"], 5);
    assert_eq!(told["members"][0]["name"], "worker-1");
    assert_eq!(told["settings"]["max_deliveries"], 16);
    assert_eq!(told["partitions"][0]["end"], 5);
    assert_eq!(told["why"]["members"][0]["why"], "a read would find something");
    assert!(told["next_lease_end"]["secs"].as_u64().is_some_and(|seconds| seconds <= 30));
}

#[test]
fn pending_entries_are_listed_by_range_consumer_and_idle_time() {
    let (_dir, path) = place();
    let _stream = orders(&path);
    let ran = millstream("pending", &path, &["billing"]).with(0);
    ran.tells("5 entries pending: 5 leased, 0 waiting").tells("worker-1");
    let rows = |rest: &[&str]| {
        let rest = [&["billing", "--json"], rest].concat();
        let told = millstream("pending", &path, &rest).with(0).json();
        assert_eq!(told["summary"]["total"], 5);
        told["entries"].as_array().unwrap().clone()
    };
    let all = rows(&[]);
    assert_eq!(all.len(), 5);
    assert_eq!((&all[0]["state"], &all[0]["attempts"]), (&"Leased".into(), &1.into()));
    let id = |row: &serde_json::Value| row["id"].as_str().unwrap().to_owned();
    let (first, last) = (id(&all[0]), id(&all[4]));
    assert_eq!(rows(&["--range", &format!("({first}..{last}")]).len(), 3);
    assert_eq!(rows(&["--range", &format!("{first}..={last}")]).len(), 5);
    assert_eq!(rows(&["--consumer", "worker-1", "--max", "2"]).len(), 2);
    assert_eq!(rows(&["--consumer", "nobody"]).len(), 0);
    assert_eq!(rows(&["--idle", "1h"]).len(), 0);
    let page = millstream("pending", &path, &["billing", "--max", "2"]).with(0);
    page.tells(&format!("--range '({}..'", id(&all[1])));
}

#[test]
fn parked_entries_are_listed_with_their_reasons_escaped() {
    let (_dir, path) = place();
    let _stream = orders(&path);
    let ran = millstream("parked", &path, &["billing"]).with(0);
    let ran = ran.tells("2 entries parked").tells("no such \\u{1b}[2Jcustomer");
    assert!(!ran.out.contains('\u{1b}'), "{}", ran.out);
    let told = millstream("parked", &path, &["billing", "--json"]).with(0);
    assert!(!told.out.contains('\u{1b}'), "{}", told.out);
    let told = told.json();
    assert_eq!(told["total"], 2);
    assert_eq!(told["entries"][0]["reason"], "no such \u{1b}[2Jcustomer");
    let paid = millstream("parked", &path, &["billing", "--json", "--subject", "order.none"]);
    assert_eq!(paid.with(0).json()["entries"].as_array().map(Vec::len), Some(0));
}

#[test]
fn a_sound_stream_verifies() {
    let (_dir, path) = place();
    orders(&path).close();
    let ran = millstream("verify", &path, &[]).with(0).tells("all sound");
    ran.tells("partition 1").tells("group \"billing\"").tells("the manifest");
    let told = millstream("verify", &path, &["--json"]).with(0).json();
    assert_eq!((&told["sound"], &told["files"][1]["entries"]), (&true.into(), &5.into()));
}

#[test]
fn looking_changes_no_byte() {
    let (dir, open) = place();
    let orders = orders(&open);
    // What a directory looks like while it is open is what a kill leaves.
    let path = dir.path().join("killed");
    for (file, bytes) in crate::damage::contents(&open) {
        let copy = path.join(file.strip_prefix(&open).unwrap());
        std::fs::create_dir_all(copy.parent().unwrap()).unwrap();
        std::fs::write(copy, bytes).unwrap();
    }
    orders.close();
    let before = crate::damage::contents(&path);
    for (verb, rest) in [
        ("info", &[][..]),
        ("groups", &[]),
        ("group", &["billing"]),
        ("pending", &["billing"]),
        ("parked", &["billing"]),
        ("dump", &[]),
        ("verify", &[]),
        ("tail", &["--from", "earliest", "--max", "10"]),
    ] {
        millstream(verb, &path, rest).with(0);
        assert_eq!(crate::damage::contents(&path), before, "{verb}");
    }
}

#[test]
fn what_is_not_there_has_an_exit_code_of_its_own() {
    let (dir, path) = place();
    for verb in ["info", "groups", "verify", "dump", "tail"] {
        assert!(millstream(verb, &path, &[]).with(3).err.contains("does not exist"));
    }
    Stream::open(&path).unwrap().close().unwrap();
    assert!(millstream("group", &path, &["billing"]).with(3).err.contains("billing"));
    millstream("dump", &path, &["--partition", "7"]).with(3);
    std::fs::write(dir.path().join("other"), "x").unwrap();
    assert!(millstream("info", dir.path(), &[]).with(3).err.contains("is not a stream"));
}

#[test]
fn a_wrong_command_line_has_an_exit_code_of_its_own() {
    let (_dir, path) = place();
    orders(&path).close();
    for (verb, rest) in [
        ("look", &[][..]),
        ("pending", &["billing", "--range", "x"]),
        ("pending", &["billing", "--max", "0"]),
        ("tail", &["--from", "yesterday"]),
        ("tail", &["--subject", "a..b"]),
        ("dump", &["1..3"]),
    ] {
        assert!(!millstream(verb, &path, rest).with(2).err.is_empty(), "{verb}");
    }
}

#[test]
fn the_page_tells_the_verbs_and_exit_codes_of_the_help() {
    let (_dir, path) = place();
    let help = millstream("--help", &path, &[]).with(0).out;
    let page = include_str!("../../docs/INSPECTOR.md");
    let below = |head: &str| {
        let (_, lines) = help.split_once(head).unwrap();
        let lines = lines.lines().skip(1).take_while(|line| !line.is_empty());
        lines.map(|line| line.trim().split_once("  ").unwrap()).collect::<Vec<_>>()
    };
    let (verbs, codes) = (below("Commands:"), below("Exit codes:"));
    assert!(verbs.len() >= 13 && codes.len() == 7, "{help}");
    for (verb, _) in verbs {
        assert!(page.contains(&format!("\n| `{verb}` | ")), "{verb}");
    }
    for (code, when) in codes {
        assert!(page.contains(&format!("\n| {code} | {when} |")), "{code}");
    }
}

#[test]
fn a_reader_that_goes_is_no_failure() {
    let (_dir, path) = place();
    let stream = Stream::open(&path).unwrap();
    stream.append_batch([&[b'x'; 1000]; 2000]).unwrap();
    let mut child =
        command("dump", &path, &[]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::with_capacity(64, child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let ended = child.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), ended.stderr), (Some(0), Vec::new()));
    assert!(line.starts_with("0-0  "));
}
