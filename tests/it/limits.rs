//! Bad input (section 8): each kind has an error of its own that names what was wrong and the
//! bound, and nothing is lost by it.

use std::time::Duration;

use millstream::{
    AckMode, Backoff, Durability, EntryId, Error, GroupOptions, NewEntry, Start, Stream,
    StreamOptions,
};

use crate::scene::{HOUR, SECOND, Scene, scene, seen, take};

/// Sets one option.
type Set<Options> = fn(Options) -> Options;
/// Whether it is the right error.
type Judge = Box<dyn Fn(&Error) -> bool>;

#[test]
fn stream_options_outside_their_bounds_are_refused_and_make_nothing() {
    let year = Duration::from_secs(366 * 24 * 3600);
    let cases: [(&str, Set<StreamOptions>); 9] = [
        ("partitions", |options| options.partitions(0)),
        ("partitions", |options| options.partitions(16_385)),
        ("segment_bytes", |options| options.segment_bytes(4095)),
        ("segment_bytes", |options| options.segment_bytes((1 << 30) + 1)),
        ("segment_bytes", |options| options.segment_bytes(u64::MAX)),
        ("entry_bytes_max", |options| options.entry_bytes_max(0)),
        ("entry_bytes_max", |options| options.entry_bytes_max((16 << 20) + 1)),
        ("entry_bytes_max", |options| options.segment_bytes(4096).entry_bytes_max(1025)),
        ("durability", |options| options.durability(Durability::Every(Duration::ZERO))),
    ];
    for (wanted, set) in cases {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stream");
        for refused in [set(Stream::options()).open(&path), set(Stream::options()).in_memory()] {
            let refused = refused.unwrap_err();
            let Error::InvalidOption { option, bound, .. } = &refused else { panic!("{refused}") };
            assert_eq!(*option, wanted);
            assert!(bound.starts_with("from "), "{refused}");
        }
        assert!(!path.join("manifest").exists(), "{wanted}");
    }
    let long = Stream::options().durability(Durability::Every(year)).in_memory();
    assert!(matches!(long, Err(Error::InvalidOption { option: "durability", .. })));
    Stream::options().segment_bytes(4096).entry_bytes_max(1024).in_memory().unwrap();
}

#[test]
fn group_options_outside_their_bounds_are_refused_and_make_nothing() {
    let stream = Stream::options().in_memory().unwrap();
    let cases: [(&str, Set<GroupOptions>); 19] = [
        ("lease", |group| group.lease(Duration::ZERO)),
        ("lease", |group| group.lease(Duration::MAX)),
        ("session_timeout", |group| group.session_timeout(Duration::ZERO)),
        ("max_deliveries", |group| group.max_deliveries(0)),
        ("max_deliveries", |group| group.max_deliveries(8_001)),
        ("backoff", |group| group.backoff(Backoff::fixed(Duration::MAX))),
        ("backoff", |group| group.backoff(Backoff::exponential(SECOND, Duration::MAX))),
        ("max_in_flight", |group| group.max_in_flight(0)),
        ("max_in_flight_per_consumer", |group| group.max_in_flight_per_consumer(0)),
        ("max_in_flight_bytes", |group| group.max_in_flight_bytes(0)),
        ("delayed_max", |group| group.delayed_max((1 << 30) + 1)),
        ("revocation_timeout", |group| group.revocation_timeout(Duration::ZERO)),
        ("ack_mode", |group| group.ack_mode(AckMode::Interval(Duration::ZERO))),
        ("backoff", |group| group.backoff(Backoff::steps([SECOND, Duration::MAX]))),
        ("the number of steps of backoff", |group| group.backoff(Backoff::steps([]))),
        ("the number of steps of backoff", |group| group.backoff(Backoff::steps([SECOND; 65]))),
        ("the jitter of backoff", |group| group.backoff(Backoff::fixed(SECOND).jitter(1.01))),
        ("the jitter of backoff", |group| group.backoff(Backoff::fixed(SECOND).jitter(-0.1))),
        ("the jitter of backoff", |group| group.backoff(Backoff::fixed(SECOND).jitter(f64::NAN))),
    ];
    for (wanted, set) in cases {
        let refused = set(stream.group("g")).open(Start::Earliest).unwrap_err();
        let right = matches!(refused, Error::InvalidOption { option, .. } if option == wanted);
        assert!(right, "{wanted}: {refused}");
    }
    assert!(stream.groups().is_empty());
    let most = stream.group("g").max_deliveries(8_000).max_in_flight_bytes(u64::MAX);
    let group =
        most.backoff(Backoff::steps([SECOND; 64]).jitter(1.0)).open(Start::Earliest).unwrap();
    // Altering goes by the same bounds.
    for (wanted, set) in cases {
        let refused = group.alter(set(group.options())).unwrap_err();
        let right = matches!(refused, Error::InvalidOption { option, .. } if option == wanted);
        assert!(right, "{wanted}: {refused}");
    }
    assert_eq!(group.info().unwrap().settings.max_deliveries, 8_000);
}

#[test]
fn names_outside_their_rules_are_refused() {
    let Scene { stream, group, .. } = scene(0);
    let long = "x".repeat(256);
    for name in ["", &long, "a\nb", "a\0b"] {
        let refused = stream.group(name).open(Start::Earliest).unwrap_err();
        assert!(matches!(refused, Error::InvalidName { what: "group", .. }), "{refused}");
        let refused = group.join(name).unwrap_err();
        assert!(matches!(refused, Error::InvalidName { what: "consumer", .. }), "{refused}");
    }
    group.join(&long[..255]).unwrap();
    assert_eq!(stream.groups(), ["g"]);
}

#[test]
fn entries_outside_their_bounds_are_refused_and_the_next_one_follows() {
    let stream = Stream::options().segment_bytes(1 << 16).entry_bytes_max(10_000);
    let stream = stream.in_memory().unwrap();
    let large = vec![0; 20_000];
    let mut crowded = NewEntry::new("");
    for _ in 0..65 {
        crowded = crowded.header("name", "");
    }
    let named = |what: &'static str| move |error: &Error| matches!(error, Error::InvalidName { what: found, .. } if *found == what);
    let too_large = |error: &Error| matches!(error, Error::EntryTooLarge { max: 10_000, .. });
    let cases: Vec<(NewEntry<'_>, Judge)> = vec![
        (NewEntry::new(&large), Box::new(too_large)),
        (NewEntry::new("").header("h", &large), Box::new(too_large)),
        (NewEntry::new("").key(&large[..4097]), Box::new(named("key"))),
        (NewEntry::new("").subject(""), Box::new(named("subject"))),
        (NewEntry::new("").subject("a..b"), Box::new(named("subject"))),
        (NewEntry::new("").subject("a b"), Box::new(named("subject"))),
        (NewEntry::new("").subject("a.*"), Box::new(named("subject"))),
        (NewEntry::new("").subject(">"), Box::new(named("subject"))),
        (NewEntry::new("").header("", "v"), Box::new(named("header"))),
        (crowded, Box::new(named("headers"))),
    ];
    let mut appended = 0;
    for (number, (entry, right)) in cases.iter().enumerate() {
        let refused = stream.append(entry).unwrap_err();
        assert!(right(&refused), "case {number}: {refused}");
        let refused = stream.append_batch([&NewEntry::new("good"), entry]).unwrap_err();
        assert!(right(&refused), "case {number}: {refused}");
        // One by one, those before it stay.
        let refused = stream.append_each([&NewEntry::new("good"), entry]).unwrap_err();
        assert!(right(&refused), "case {number}: {refused}");
        let id = stream.append("next").unwrap();
        assert_eq!(id, EntryId::new(0, appended + 1));
        appended += 2;
    }
    let many = stream.append_batch(std::iter::repeat_n(NewEntry::new(&large[..9_000]), 8));
    let refused = many.unwrap_err();
    assert!(matches!(refused, Error::BatchTooLarge { max, .. } if max < 1 << 16), "{refused}");
    assert_eq!(stream.info().unwrap().entries(), appended);
    stream.verify().unwrap();
}

#[test]
fn the_largest_entry_and_batch_are_taken() {
    for segment_bytes in [4096, 1 << 16, 1 << 20] {
        let stream = Stream::options().segment_bytes(segment_bytes).in_memory().unwrap();
        let max = usize::try_from(segment_bytes / 4).unwrap();
        let fitting = (0..=max).rev().map(|bytes| vec![3; bytes]);
        let payload = fitting.take(64).find(|payload| stream.append(payload).is_ok());
        let payload = payload.expect("the bound is on the entry, with little beside the payload");
        let (mut most, mut ids) = (0, None);
        for count in 1.. {
            match stream.append_batch(std::iter::repeat_n(NewEntry::new(&payload), count)) {
                Ok(appended) => (most, ids) = (count, Some(appended)),
                Err(error) => {
                    assert!(matches!(error, Error::BatchTooLarge { .. }), "{error}");
                    break;
                }
            }
        }
        assert!(most >= 2, "{most} of {} bytes in {segment_bytes}", payload.len());
        for id in ids.unwrap() {
            assert_eq!(stream.get(id).unwrap().unwrap().payload(), payload);
        }
    }
}

#[test]
fn reads_of_nothing_and_leases_of_no_length_are_refused() {
    let Scene { stream, group, worker, .. } = scene(1);
    let reader = stream.reader(Start::Earliest).unwrap();
    let subscription = stream.subscribe().unwrap();
    let refused = [
        worker.try_read(0).map(drop),
        worker.read(0).map(drop),
        worker.read_timeout(0, SECOND).map(drop),
        worker.read_leased(0, SECOND, SECOND).map(drop),
        reader.try_read(0).map(drop),
        reader.read(0).map(drop),
        subscription.try_read(0).map(drop),
        subscription.read_timeout(0, SECOND).map(drop),
    ];
    for refused in refused {
        let refused = refused.unwrap_err();
        assert!(matches!(refused, Error::TooSmall { .. }), "{refused}");
    }
    let held = take(&worker);
    let token = held.token();
    for lease in [Duration::ZERO, Duration::MAX] {
        let refused = [
            worker.read_leased(1, SECOND, lease).map(drop),
            held.extend(lease),
            group.extend([token], lease).map(drop),
            worker.extend([token], lease).map(drop),
        ];
        for refused in refused {
            let refused = refused.unwrap_err();
            assert!(matches!(refused, Error::InvalidOption { option: "lease", .. }), "{refused}");
        }
    }
    held.ack().unwrap();
}

#[test]
fn ids_that_name_nothing_are_refused() {
    let Scene { stream, .. } = scene(1);
    assert!(stream.get(EntryId::new(0, u64::MAX)).unwrap().is_none());
    let nowhere = EntryId::new(1, 0);
    assert!(matches!(stream.get(nowhere), Err(Error::NoSuchPartition { .. })));
    let reader = stream.reader(Start::Earliest).unwrap();
    assert!(matches!(reader.until(nowhere), Err(Error::NoSuchPartition { .. })));
    assert!(matches!("1:2".parse::<EntryId>(), Err(Error::InvalidId { .. })));
}

fn thousands(number: u64) -> String {
    format!("{},{:03}", number / 1_000, number % 1_000)
}

/// The documented limits name each option that has one, with the default that it really has.
#[test]
fn the_table_of_limits_is_what_holds() {
    let guide = include_str!("../../docs/LIMITS.md");
    let rows: Vec<&str> = guide.lines().filter(|line| line.starts_with("| [`")).collect();
    let row = |name: &str| {
        let start = format!("| [`{name}`]");
        *rows.iter().find(|row| row.starts_with(&start)).unwrap_or_else(|| panic!("no {name}"))
    };
    let stream = Stream::options().in_memory().unwrap();
    let settings = stream.group("g").open(Start::Earliest).unwrap().info().unwrap().settings;
    let millis = settings.backoff[0].as_millis();
    let longest = settings.backoff.last().unwrap().as_secs();
    let defaults = [
        ("partitions", stream.partitions().to_string()),
        ("lease", format!("{} s", settings.lease.as_secs())),
        ("max_deliveries", settings.max_deliveries.to_string()),
        ("backoff", format!("{millis} ms, doubling up to {longest} s")),
        ("on_exhausted", format!("[`{}`]", settings.on_exhausted)),
        ("max_in_flight", thousands(settings.max_in_flight)),
        ("max_in_flight_per_consumer", "none".to_owned()),
        ("delayed_max", settings.delayed_max.to_string().replace("000000", ",000,000")),
        ("max_in_flight_bytes", "none".to_owned()),
        ("revocation_timeout", format!("{} s", settings.revocation_timeout.as_secs())),
        ("ack_mode", format!("[`{}`]", settings.ack_mode)),
        ("on_trimmed", format!("[`{}`]", settings.on_trimmed)),
    ];
    for (name, default) in defaults {
        let found = row(name).split(" | ").nth(1).unwrap().trim();
        assert!(found.starts_with(&default), "{name}: {default} is written as {found}");
    }
    assert_eq!(settings.max_in_flight_per_consumer.or(settings.max_in_flight_bytes), None);
    assert_eq!(settings.session_timeout, settings.lease.max(Duration::from_secs(30)));
    assert!(row("session_timeout").contains("the lease, at least 30 s"));
    for option in
        ["segment_bytes", "entry_bytes_max", "durability", "retention", "strategy", "filter"]
    {
        row(option);
    }
}

#[test]
fn nothing_is_lost_by_a_refused_call() {
    let Scene { clock, stream, group, worker } = scene(3);
    let held = take(&worker);
    stream.append(NewEntry::new("").subject(" ")).unwrap_err();
    stream.group("").open(Start::Earliest).unwrap_err();
    stream.group("g").create(Start::Earliest).unwrap_err();
    group.join("worker").unwrap_err();
    worker.try_read(0).unwrap_err();
    held.extend(Duration::ZERO).unwrap_err();
    group.remove_consumer("nobody").unwrap_err();
    group.skip(0, 5..9).unwrap_err();
    held.ack().unwrap();
    let batch = worker.try_read(9).unwrap();
    assert_eq!(seen(&batch), [(1, 1), (2, 1)]);
    assert!(batch.ack_all().unwrap().is_complete());
    clock.advance(HOUR / 2);
    assert_eq!((group.lag().unwrap(), group.info().unwrap().acked), (0, 3));
}

#[test]
fn handles_print_what_they_are_and_not_what_is_behind_them() {
    let stream = Stream::options().in_memory().unwrap();
    for n in 0..1000 {
        stream.append(&format!("{n}")).unwrap();
    }
    let group = stream.group("billing").open(Start::Earliest).unwrap();
    let worker = group.join("worker-1").unwrap();
    let batch = worker.try_read(1000).unwrap();
    let reader = stream.reader(Start::Earliest).unwrap();
    let options = stream.group("billing");
    let printed = [
        format!("{stream:?}"),
        format!("{group:?}"),
        format!("{worker:?}"),
        format!("{reader:?}"),
        format!("{options:?}"),
        format!("{batch:?}"),
        format!("{:?}", batch.iter()),
        format!("{:?}", batch.into_iter()),
        format!("{:?}", reader.try_read(1000).unwrap().into_iter()),
    ];
    for text in printed {
        let start: String = text.chars().take(80).collect();
        assert!(text.len() < 500, "{start}");
    }
}
