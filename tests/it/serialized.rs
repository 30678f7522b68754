//! What is serializable keeps its names, and reads back.

use std::fmt::Debug;
use std::fs;
use std::ops::ControlFlow;

use millstream::assign::RoundRobin;
use millstream::{
    Appended, Blocked, Cause, ClaimCursor, Copied, CopiedPartition, Corruption, DeadLetter,
    EntryId, Event, Exhausted, Fate, FileReport, Gone, GroupInfo, GroupPartition, GroupState,
    Holder, Letter, LetterQuery, Letters, Loss, Lost, ManualClock, Member, Parked, Part,
    PartitionInfo, PartitionRecovery, Pause, Pending, PendingQuery, PendingState, PendingSummary,
    Progress, Recovery, Redriven, RedrivenLetters, Retention, Settings, Settlement, Start, Stream,
    StreamInfo, Token, Trimmed, TrimmedPartition, Unclaimed, VerifyReport,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, from_value, json, to_value};

use crate::scene::{LEASE, SECOND, Scene, fill, id, scene, take, take_all};

/// What a program can write down and read again.
const _: () = {
    const fn told<T: Serialize + DeserializeOwned + Send + Sync>() {}
    const fn shown<T: Serialize>() {}
    told::<(EntryId, Token, ClaimCursor, Appended)>();
    told::<(StreamInfo, PartitionInfo, Holder, Retention, Trimmed, TrimmedPartition, Loss)>();
    told::<(GroupInfo, GroupPartition, GroupState, Settings, Pause, Member, Blocked)>();
    told::<(Pending, PendingState, PendingSummary, Parked, Unclaimed, Redriven)>();
    told::<(Event, Cause, Fate, Gone, Lost, Settlement, Recovery, PartitionRecovery)>();
    told::<(Copied, CopiedPartition, Part)>();
    shown::<(DeadLetter, Letter, Letters, RedrivenLetters)>();
    shown::<(VerifyReport, FileReport, Corruption, Progress<'_>)>();
};

/// A value that was written down with the promised names reads back, and has no others.
#[track_caller]
fn promised<T: Serialize + DeserializeOwned>(stored: &Value) {
    let name = std::any::type_name::<T>();
    match from_value::<T>(stored.clone()) {
        Ok(value) => assert_eq!(to_value(value).unwrap(), *stored, "{name}"),
        Err(error) => panic!("{name}: {error}: {stored}"),
    }
}

/// A value that the crate made comes back the same.
#[track_caller]
fn comes_back<T: Serialize + DeserializeOwned>(value: &T) -> Value {
    let stored = to_value(value).unwrap();
    promised::<T>(&stored);
    stored
}

fn secs(secs: u64) -> Value {
    json!({"secs": secs, "nanos": 0})
}

fn since_epoch() -> Value {
    json!({"secs_since_epoch": 1_700_000_000, "nanos_since_epoch": 5_000})
}

fn loss() -> Value {
    json!({"unread": 1, "pending": 2, "delayed": 3, "parked": 4})
}

#[test]
fn names_of_ids_and_tokens_are_kept() {
    promised::<EntryId>(&json!("3-1842"));
    promised::<Token>(&json!({"incarnation": 7, "id": "3-1842", "lease": 9}));
    promised::<ClaimCursor>(&json!({"place": {"incarnation": 7, "id": "3-1842"}}));
    promised::<ClaimCursor>(&json!({"place": null}));
    promised::<Appended>(&json!({"id": "0-1", "duplicate": true}));
    for text in ["3", "3-", "-1", "a-b", "3-1842-1"] {
        let refused = from_value::<EntryId>(json!(text)).unwrap_err();
        assert!(refused.to_string().contains("is not an entry id"), "{refused}");
    }
}

#[test]
fn names_of_what_streams_tell_are_kept() {
    let holder = json!({"group": "billing", "entry": "0-1"});
    let retention = json!({
        "settled": true, "bytes": 1, "age": secs(2), "entries": null,
        "ignore_idle_groups_after": secs(3),
    });
    let partition = json!({
        "start": 1, "end": 9, "durable_end": 8, "segments": 2, "bytes": 77, "file_bytes": 99,
        "held_by": holder,
    });
    promised::<StreamInfo>(&json!({
        "partitions": [partition], "groups": ["billing"], "retention": retention, "bytes": 99,
    }));
    promised::<Trimmed>(&json!({
        "partitions": [
            {"partition": 0, "start": 1, "end": 2, "bytes": 3, "lost": [["billing", loss()]]},
        ],
    }));
    promised::<Recovery>(&json!({
        "partitions": [
            {"partition": 0, "end": 1, "torn_bytes": 2, "dropped_segments": 3, "damage": "rot"},
        ],
    }));
}

#[test]
fn names_of_what_groups_tell_are_kept() {
    let settings = json!({
        "lease": secs(30), "session_timeout": secs(30), "revocation_timeout": secs(60),
        "max_deliveries": 16, "backoff": [secs(1), secs(2)], "jitter": 0.25,
        "on_exhausted": "Park", "on_trimmed": "Earliest", "ack_mode": "Explicit",
        "max_in_flight": 1000, "max_in_flight_per_consumer": null, "max_in_flight_bytes": null,
        "delayed_max": 1000,
    });
    let member = json!({
        "name": "worker-1", "partitions": [0, 2], "last_seen": since_epoch(), "leased": 3,
        "blocked": "InFlight",
    });
    let partition = json!({"floor": 1, "next": 2, "end": 3, "lag": 2, "owner": "worker-1"});
    promised::<GroupInfo>(&json!({
        "name": "billing", "created": since_epoch(), "state": "Stable", "strategy": "shared",
        "strategy_failure": null, "generation": 3, "rebalances": 2, "rebalancing": secs(1),
        "paused": {"For": secs(5)}, "filter": ["order.*"], "lag": 9, "undelivered": 5, "leased": 1,
        "leased_bytes": 7, "delayed": 1, "due": 1, "deferred": 0, "exhausted": 1,
        "dead_letter_failure": null, "parked": 2, "dead_lettered": 3, "acked": 4, "discarded": 5,
        "skipped": 6, "trimmed": loss(), "redelivered": 7, "oldest_pending": "0-4",
        "oldest_pending_age": secs(8), "settings": settings, "blocked_reads": 0,
        "partitions": [partition], "members": [member],
    }));
    promised::<Pending>(&json!({
        "id": "0-1", "state": "Leased", "consumer": "worker-1", "idle": secs(1), "attempts": 2,
        "due_in": secs(3),
    }));
    promised::<PendingSummary>(&json!({
        "total": 3, "first": "0-1", "last": "0-9", "consumers": {"worker-1": 2}, "waiting": 1,
    }));
    promised::<Parked>(&json!({
        "id": "0-1", "attempts": 2, "reason": "no such customer", "since": since_epoch(),
    }));
    promised::<Settlement>(&json!({"refused": [["0-1", "Taken"]]}));
}

#[test]
fn names_of_events_are_kept() {
    for event in [
        json!({"Joined": {"consumer": "a", "generation": 1}}),
        json!({"Left": {"consumer": "a", "why": "Expired", "generation": 1}}),
        json!({"RebalanceBegan": {"generation": 1, "cause": {"Joined": "a"}}}),
        json!({"RebalanceEnded":
            {"generation": 1, "cause": {"Left": "a"}, "took": secs(1), "moved": 2}}),
        json!({"RebalanceFailed": {"cause": {"Removed": "a"}, "reason": "it panicked"}}),
        json!({"Assigned": {"consumer": "a", "generation": 1, "partitions": [0]}}),
        json!({"Revoked": {"consumer": "a", "generation": 1, "partitions": [0]}}),
        json!({"Lost": {"consumer": "a", "generation": 1, "partitions": [0]}}),
        json!({"Trimmed": {"partition": 0, "first": 1, "end": 2, "lost": loss()}}),
        json!({"AckedById": {"partition": 0, "first": 1, "end": 2}}),
        json!({"Exhausted": {"id": "0-1", "attempts": 2, "reason": null, "fate": "Parked"}}),
    ] {
        promised::<Event>(&event);
    }
    for cause in ["PartitionsAdded", "StrategyChanged", "Asked"] {
        promised::<Cause>(&json!(cause));
    }
    promised::<Cause>(&json!({"Expired": "a"}));
}

#[test]
fn names_of_plain_choices_are_kept() {
    fn all<T: Serialize + DeserializeOwned + Debug>(names: &[&str]) {
        for name in names {
            promised::<T>(&json!(name));
        }
    }
    all::<GroupState>(&["Empty", "Stable", "Rebalancing"]);
    all::<PendingState>(&["Leased", "Delayed", "Due", "Exhausted"]);
    all::<Fate>(&["Parked", "Discarded", "DeadLettered"]);
    all::<Gone>(&["Left", "Removed", "Expired"]);
    all::<Lost>(&["Taken", "Settled", "Released", "Revoked", "Left", "Reset", "Trimmed"]);
    all::<Pause>(&["UntilResumed"]);
    all::<Unclaimed>(&["NotPending", "NotIdle", "InFlight", "Paused", "Exhausted", "Later"]);
    let blocked = ["Empty", "InFlight", "Paused", "Delayed", "NoPartition", "Rebalancing"];
    all::<Blocked>(&blocked);
    all::<Blocked>(&["Changed"]);
    for redriven in ["Available", "Open", "Appended", "Superseded"] {
        promised::<Redriven>(&json!({redriven: "0-1"}));
    }
}

#[test]
fn what_a_group_in_use_tells_reads_back() {
    let Scene { clock, stream, group, worker } = scene(9);
    let events = group.events().unwrap();
    let other = group.join("other").unwrap();
    let mut held = take_all(&worker).into_iter();
    held.next().unwrap().reject("bad").unwrap();
    held.next().unwrap().nack_after(LEASE).unwrap();
    held.next().unwrap().nack().unwrap();
    let token = held.next().unwrap().detach();
    clock.advance(SECOND);
    group.pause_for(SECOND).unwrap();
    let info = comes_back(&group.info().unwrap());
    assert_eq!(info["settings"]["lease"], secs(10));
    assert_eq!((&info["lag"], &info["paused"]["For"]), (&json!(8), &secs(1)));
    assert_eq!(comes_back(&token)["id"], json!("0-3"));
    let summary = comes_back(&group.pending().unwrap());
    assert_eq!(summary["consumers"], json!({"worker": 6}));
    let pending = comes_back(&group.pending_entries(&PendingQuery::new()).unwrap());
    assert_eq!(pending.as_array().unwrap().len(), 8);
    assert_eq!(comes_back(&group.parked(9).unwrap())[0]["reason"], json!("bad"));
    assert!(group.ack([token]).unwrap().is_complete());
    let late = comes_back(&group.ack([token]).unwrap());
    assert_eq!(late["refused"], json!([["0-3", "Settled"]]));
    other.leave().unwrap();
    assert!(!comes_back(&events.drain()).as_array().unwrap().is_empty());
    assert_eq!(comes_back(stream.recovery()), json!({"partitions": []}));
    drop(held);
}

#[test]
fn what_a_stream_in_use_tells_reads_back() {
    let options = Stream::options().segment_bytes(4096).clock(ManualClock::new());
    let stream = options.retention(Retention::settled().age(LEASE)).in_memory().unwrap();
    let group = stream.group("g").strategy(RoundRobin).open(Start::Earliest).unwrap();
    fill(&stream, 300);
    let info = comes_back(&stream.info().unwrap());
    let holder = json!({"group": "g", "entry": "0-0"});
    assert_eq!(info["partitions"][0]["held_by"], holder);
    assert_eq!(group.join("worker").unwrap().ack_through(id(299)).unwrap(), 300);
    let trimmed = comes_back(&stream.trim().unwrap());
    assert!(trimmed["partitions"][0]["bytes"].as_u64().unwrap() > 0);
}

#[test]
fn a_dead_letter_is_told_by_the_names_of_its_methods() {
    let letters = Stream::options().in_memory().unwrap();
    let orders = Stream::options().clock(ManualClock::new()).in_memory().unwrap();
    let target = Exhausted::DeadLetter(letters.clone());
    let group = orders.group("billing").on_exhausted(target).open(Start::Earliest).unwrap();
    fill(&orders, 1);
    take(&group.join("worker-1").unwrap()).reject("no such customer").unwrap();
    let entry = letters.get(id(0)).unwrap().unwrap();
    let letter = DeadLetter::of(&entry).unwrap();
    let delivered = to_value(letter.first_delivered().unwrap()).unwrap();
    let told = json!({
        "origin": "0-0", "group": "billing", "consumer": "worker-1", "attempts": 1,
        "reason": "no such customer", "first_delivered": delivered, "last_delivered": delivered,
    });
    assert_eq!(to_value(&letter).unwrap(), told);
    let found = group.letters(&letters, &LetterQuery::new()).unwrap();
    let row = json!({"id": "0-0", "letter": told, "superseded_by": null});
    assert_eq!(to_value(found).unwrap(), json!({"found": [row], "unreadable": [], "next": null}));
    let redriven = group.redrive_letters(&letters, &LetterQuery::new()).unwrap();
    assert_eq!(
        to_value(redriven).unwrap(),
        json!({
            "redriven": [["0-0", {"Available": "0-0"}]], "failed": [], "next": null, "stopped": null,
        })
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_path_that_is_no_text_is_told_all_the_same() {
    use std::os::unix::ffi::OsStrExt;

    let dir = tempfile::tempdir().unwrap();
    let parent = dir.path().join(std::ffi::OsStr::from_bytes(b"caf\xe9"));
    fs::create_dir(&parent).unwrap();
    let stream = Stream::open(parent.join("orders")).unwrap();
    fill(&stream, 1);
    let copied = stream.copy_to(parent.join("copy")).unwrap();
    let told = to_value(copied).unwrap()["path"].as_str().unwrap().to_owned();
    assert!(told.ends_with("caf\u{fffd}/copy"), "{told}");
    let report = stream.verify_with(|_| ControlFlow::Continue(())).unwrap();
    assert!(report.is_sound() && to_value(report).is_ok());
}

#[test]
fn names_of_what_copies_and_verifying_tell_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("orders");
    let stream = Stream::open(&path).unwrap();
    stream.group("billing").open(Start::Earliest).unwrap();
    fill(&stream, 2);
    let copy = dir.path().join("copy");
    let mut parts = Vec::new();
    let copied = stream.copy_with(&copy, |progress| {
        parts.push(to_value(progress).unwrap());
        ControlFlow::Continue(())
    });
    let copied = comes_back(&copied.unwrap());
    assert_eq!(copied["path"], json!(copy));
    assert_eq!(copied["partitions"], json!([{"start": 0, "end": 2, "segments": 1}]));
    assert_eq!(copied["groups"], json!(["billing"]));
    let total = copied["bytes"].as_u64().unwrap();
    let names =
        json!({"done_bytes": total, "total_bytes": total, "part": parts.last().unwrap()["part"]});
    assert_eq!(parts.last(), Some(&names));
    for part in [json!("Manifest"), json!({"Partition": 1}), json!({"Group": "billing"})] {
        promised::<Part>(&part);
    }

    stream.close().unwrap();
    let file = path.join("p0/0000000001.seg");
    let mut bytes = fs::read(&file).unwrap();
    let frame = bytes.windows(2).position(|bytes| bytes == b"e1").unwrap();
    bytes[frame] ^= 1;
    fs::write(&file, bytes).unwrap();
    let damaged = Stream::open_read_only(&path).unwrap();
    let report = to_value(damaged.verify_with(|_| ControlFlow::Continue(())).unwrap()).unwrap();
    assert_eq!(report["complete"], true);
    let of_entries =
        report["files"].as_array().unwrap().iter().find(|file| file["part"] != "Manifest");
    let mut of_entries = of_entries.unwrap().clone();
    let position = of_entries["damage"]["position"].take();
    let what = of_entries["damage"]["what"].take();
    assert!(position.as_u64().is_some() && what.as_str().is_some(), "{report}");
    let damage = json!({"file": file, "position": null, "first": 1, "end": null, "what": null});
    let sound = of_entries["bytes"].take();
    assert!(sound.as_u64().is_some());
    assert_eq!(
        of_entries,
        json!({
            "part": {"Partition": 0}, "file": file, "sequence": 1, "first": 0, "end": 1,
            "bytes": null, "frames": 2, "entries": 1, "damage": damage,
        })
    );
}
