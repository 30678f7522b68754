//! How retention is given, stored and refused.

use super::*;

#[test]
fn it_is_stored_and_what_is_unset_keeps_it() {
    let dir = tempfile::tempdir().unwrap();
    let seen = |options: StreamOptions| {
        let stream = options.open(dir.path()).unwrap();
        stream.info().unwrap().retention
    };
    assert_eq!(seen(Stream::options()), Retention::keep_all());
    let one = Retention::keep_all().bytes(1 << 20).age(HOUR).entries(7);
    let two = Retention::settled().ignore_idle_groups_after(HOUR).entries(9);
    for retention in [one, two, Retention::settled(), Retention::keep_all()] {
        assert_eq!(seen(Stream::options().retention(retention)), retention);
        assert_eq!(seen(Stream::options()), retention);
    }
}

#[test]
fn what_it_takes_is_gone_for_every_opening() {
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let open = |retention| options(retention, &clock).open(dir.path()).unwrap();
    let stream = open(Retention::keep_all());
    let first = group(&stream, "g");
    append(&stream, 30);
    drop(first);
    stream.close().unwrap();

    let stream = open(Retention::keep_all().entries(10));
    assert_eq!(start(&stream), 0, "opening takes nothing");
    stream.maintain().unwrap();
    let start_then = start(&stream);
    assert_eq!(start_then, 18);
    let lost = loss(&stream.group("g").open_existing().unwrap());
    assert_eq!(lost, [18, 0, 0, 0]);
    stream.close().unwrap();

    let stream = open(Retention::keep_all());
    assert_eq!((start(&stream), stream.append(PAYLOAD).unwrap()), (18, id(30)));
    let group = stream.group("g").open_existing().unwrap();
    assert_eq!((loss(&group), group.lag().unwrap()), ([18, 0, 0, 0], 13));
    assert_eq!(std::fs::read_dir(dir.path().join("p0")).unwrap().count(), 5);
}

#[test]
fn bounds_of_nothing_are_refused() {
    for (retention, what) in [
        (Retention::keep_all().bytes(0), "bytes"),
        (Retention::keep_all().entries(0), "entries"),
        (Retention::settled().age(Duration::ZERO), "age"),
        (Retention::settled().age(Duration::MAX), "age"),
        (Retention::settled().ignore_idle_groups_after(Duration::ZERO), "ignore_idle"),
        (Retention::settled().ignore_idle_groups_after(HOUR * 24 * 366), "ignore_idle"),
    ] {
        match Stream::options().retention(retention).in_memory() {
            Err(Error::InvalidOption { option, .. }) => assert!(option.contains(what), "{option}"),
            other => panic!("{retention:?}: {other:?}"),
        }
    }
    let longest = Retention::keep_all().age(HOUR * 24 * 36_500).bytes(u64::MAX).entries(u64::MAX);
    Stream::options().retention(longest).in_memory().unwrap();
}

#[test]
fn a_stream_opened_for_reading_only_keeps_what_there_is() {
    let dir = tempfile::tempdir().unwrap();
    let clock = ManualClock::new();
    let stream = options(Retention::settled().entries(1), &clock).open(dir.path()).unwrap();
    let worker = member(&group(&stream, "g"));
    append(&stream, 3);
    ack_all(&worker);
    drop(worker);
    stream.close().unwrap();
    let stream = Stream::options().open_read_only(dir.path()).unwrap();
    assert!(matches!(stream.trim(), Err(Error::ReadOnly)));
    let info = stream.info().unwrap();
    assert_eq!(info.retention, Retention::settled().entries(1));
    assert_eq!(info.partitions[0].held_by, None);
}

#[test]
fn a_closed_stream_trims_nothing() {
    let stream = stream(Retention::keep_all().entries(1));
    append(&stream, 9);
    stream.clone().close().unwrap();
    assert!(stream.trim().unwrap_err().is_closed());
}
