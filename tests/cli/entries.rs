//! `tail` and `dump`: which entries are shown, and how.

use std::io::{BufRead, BufReader};
use std::process::Stdio;

use millstream::{NewEntry, Stream};

use crate::run::{Ran, command, millstream, orders, place};

/// The payloads of the lines, for streams of text.
fn payloads(ran: &Ran) -> Vec<String> {
    ran.lines().iter().map(|row| row["payload"].as_str().unwrap().to_owned()).collect()
}

fn dumped(path: &std::path::Path, rest: &[&str]) -> Vec<String> {
    payloads(&millstream("dump", path, &[&["--json"], rest].concat()).with(0))
}

#[test]
fn dump_shows_the_entries_of_a_range() {
    let (_dir, path) = place();
    let _stream = orders(&path);
    assert_eq!(dumped(&path, &[]).len(), 10);
    assert_eq!(dumped(&path, &["0-1..0-3"]).len(), 2);
    assert_eq!(dumped(&path, &["0-1..=0-3"]).len(), 3);
    assert_eq!(dumped(&path, &["0-3..1-2"]).len(), 4, "across partitions");
    assert_eq!(dumped(&path, &["1..3", "--partition", "1"]).len(), 2);
    assert_eq!(dumped(&path, &["--partition", "1"]).len(), 5);
    assert_eq!(dumped(&path, &["1-4"]).len(), 1);
    assert_eq!(
        dumped(&path, &["0-100.."]).len(),
        5,
        "what is behind the end of a partition is the next"
    );
    assert_eq!(dumped(&path, &["--max", "3"]).len(), 3);
    let paid = dumped(&path, &["--subject", "order.paid", "--subject", "nothing"]);
    assert!(paid.len() == 5 && paid.iter().all(|text| text.ends_with(['1', '3', '5', '7', '9'])));
}

#[test]
fn payloads_are_shown_as_text_hex_or_json_and_never_raw() {
    let (_dir, path) = place();
    let stream = Stream::open(&path).unwrap();
    stream.append("\u{1b}[31mred\u{9b}2J\nnext").unwrap();
    stream.append(&b"\xff\x00"[..]).unwrap();
    let json = NewEntry::new(r#"{"b":1,"a":[2.50]}"#).subject("order.created").key("k\u{7}");
    stream.append(json.header("trace", "\u{202e}7")).unwrap();
    let shown = |rest: &[&str]| {
        let ran = millstream("dump", &path, rest).with(0);
        assert!(ran.out.chars().all(|c| !c.is_control() || c == '\n'), "{}", ran.out);
        ran
    };
    let text = shown(&[]).tells("\\u{1b}[31mred\\u{9b}2J\\nnext").tells("\\xff\\0");
    text.tells("order.created  key=k\\u{7}  trace=\\u{202e}7  {\"b\":1,\"a\":[2.50]}");
    shown(&["--as", "hex"])
        .tells("00000000  1b 5b 33 31 6d 72 65 64  c2 9b 32 4a 0a 6e 65 78  |.[31mred..2J.nex|");
    shown(&["--as", "json"])
        .tells("{\n  \"b\": 1,\n  \"a\": [\n    2.50\n  ]\n}")
        .tells("\\xff\\0");
    shown(&["--cut", "4"]).tells("\\u{1b}[31 \u{2026} 13 bytes more");
    let rows = shown(&["--json"]).lines();
    assert_eq!(rows[0]["payload"], "\u{1b}[31mred\u{9b}2J\nnext");
    assert_eq!((&rows[1]["payload_hex"], &rows[1]["payload_bytes"]), (&"ff00".into(), &2.into()));
    assert_eq!(rows[2]["headers"][0]["value"], "\u{202e}7");
    assert_eq!((&rows[2]["key"], &rows[2]["subject"]), (&"k\u{7}".into(), &"order.created".into()));
    assert_eq!(shown(&["--json", "--as", "json"]).lines()[2]["payload_json"]["a"][0], 2.5);
    assert_eq!(shown(&["--json", "--as", "hex", "--cut", "1"]).lines()[1]["payload_hex"], "ff");
}

#[test]
fn tail_begins_where_it_is_told_to() {
    let (_dir, path) = place();
    let _stream = orders(&path);
    let tailed =
        |rest: &[&str]| payloads(&millstream("tail", &path, &[&["--json"], rest].concat()).with(0));
    assert_eq!(tailed(&["--from", "earliest", "--max", "10"]).len(), 10);
    assert_eq!(tailed(&["--from", "1h", "--max", "10"]).len(), 10);
    assert_eq!(tailed(&["--from", "1000y", "--max", "10"]).len(), 10);
    let last = tailed(&["--lines", "3", "--max", "3"]);
    assert_eq!(last, ["order 7", "order 8", "order 9"]);
    let paid = tailed(&["-n", "2", "--max", "2", "--subject", "order.paid"]);
    assert_eq!(paid, ["order 7", "order 9"]);
    let of_one = millstream("tail", &path, &["-n9", "--max", "5", "--partition", "1", "--json"]);
    assert!(
        of_one
            .with(0)
            .lines()
            .iter()
            .all(|row| row["id"].as_str().is_some_and(|id| id.starts_with("1-")))
    );
}

#[test]
#[cfg(unix)]
fn tail_follows_an_owner_and_ends_on_ctrl_c() {
    let (_dir, path) = place();
    let orders = orders(&path);
    let rest = ["--lines", "1", "--json"];
    let mut child = command("tail", &path, &rest).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next =
        || -> serde_json::Value { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(next()["payload"], "order 9");
    orders.stream.append("while it follows").unwrap();
    assert_eq!(next()["payload"], "while it follows");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert!(lines.next().is_none(), "nothing more is written");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
