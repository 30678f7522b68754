//! What is counted by the facade `metrics`: every name of the page, with its labels and kind, and no
//! other; from a recorder that does all that it should not.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod script;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex, OnceLock};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit, with_local_recorder,
};
use millstream::{Group, Start, Stream};

/// What one metric came to: its kind, and the sum of counts, the last gauge, or how many values.
#[derive(Clone, Debug, Default, PartialEq)]
struct Seen {
    kind: &'static str,
    value: f64,
}

/// The metrics by name and labels.
type All = BTreeMap<(String, Vec<(String, String)>), Seen>;

#[derive(Default)]
struct Tester {
    seen: Arc<Mutex<All>>,
    /// What is called from within, as a recorder may do.
    calls: OnceLock<(Stream, Group)>,
    appends: AtomicU32,
    panics: bool,
}

struct Cell {
    key: Key,
    seen: Arc<Mutex<All>>,
}

impl Cell {
    fn note(&self, kind: &'static str, change: impl FnOnce(f64) -> f64) {
        let labels = self.key.labels();
        let labels = labels.map(|label| (label.key().to_owned(), label.value().to_owned()));
        let id = (self.key.name().to_owned(), labels.collect());
        let mut seen = self.seen.lock().unwrap();
        let seen = seen.entry(id).or_default();
        *seen = Seen { kind, value: change(seen.value) };
    }
}

#[expect(clippy::cast_precision_loss, reason = "small counts")]
impl CounterFn for Cell {
    fn increment(&self, value: u64) {
        self.note("counter", |sum| sum + value as f64);
    }

    fn absolute(&self, _: u64) {
        unreachable!("nothing counts by itself");
    }
}

impl GaugeFn for Cell {
    fn increment(&self, _: f64) {
        unreachable!("gauges are set");
    }

    fn decrement(&self, _: f64) {
        unreachable!("gauges are set");
    }

    fn set(&self, value: f64) {
        self.note("gauge", |_| value);
    }
}

impl HistogramFn for Cell {
    fn record(&self, _: f64) {
        self.note("histogram", |count| count + 1.0);
    }
}

impl Tester {
    fn cell(&self, key: &Key) -> Arc<Cell> {
        if let Some((stream, group)) = self.calls.get() {
            script::call_back(stream, group, &self.appends);
        }
        assert!(!self.panics, "a recorder's own");
        Arc::new(Cell { key: key.clone(), seen: Arc::clone(&self.seen) })
    }

    fn seen(&self) -> All {
        self.seen.lock().unwrap().clone()
    }

    /// The value of a metric whose labels have this one.
    fn value(&self, name: &str, label: (&str, &str)) -> String {
        let label = (label.0.to_owned(), label.1.to_owned());
        let seen = self.seen();
        let found = seen.iter().find(|((key, labels), _)| key == name && labels.contains(&label));
        found.map_or(0.0, |(_, seen)| seen.value).to_string()
    }
}

impl Recorder for Tester {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        self.cell(key).into()
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        self.cell(key).into()
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        self.cell(key).into()
    }
}

#[test]
fn the_page_lists_what_is_counted_and_no_more() {
    let dir = tempfile::tempdir().unwrap();
    let tester = Tester::default();
    with_local_recorder(&tester, || script::run(dir.path(), |_, _| {}));
    let listed: BTreeSet<[String; 3]> = script::rows("name")
        .into_iter()
        .map(|row| [row[0].clone(), row[1].clone(), row[2].replace('`', "")])
        .collect();
    let emitted: BTreeSet<[String; 3]> = tester
        .seen()
        .into_iter()
        .map(|((name, labels), seen)| {
            let labels: Vec<String> = labels.into_iter().map(|(label, _)| label).collect();
            [name, seen.kind.to_owned(), labels.join(", ")]
        })
        .collect();
    assert!(listed.len() > 20, "{listed:?}");
    assert_eq!(listed, emitted);
}

#[test]
fn a_recorder_may_call_the_stream_that_it_is_told_of() {
    let dir = tempfile::tempdir().unwrap();
    let tester = Tester::default();
    with_local_recorder(&tester, || {
        script::run(dir.path(), |stream, group| {
            tester.calls.set((stream.clone(), group.clone())).unwrap();
        });
    });
    assert!(tester.appends.into_inner() > 1_000);
}

#[test]
fn a_recorder_that_panics_keeps_no_call_from_its_work() {
    let tester = Tester { panics: true, ..Tester::default() };
    with_local_recorder(&tester, || {
        let stream = Stream::options().in_memory().unwrap();
        let worker = stream.group("g").open(Start::Earliest).unwrap().join("w").unwrap();
        stream.append("a").unwrap();
        for delivery in worker.try_read(1).unwrap() {
            delivery.ack().unwrap();
        }
        assert_eq!(stream.info().unwrap().entries(), 1);
    });
}

#[test]
fn a_recorder_that_comes_later_counts_from_then_on() {
    let stream = Stream::options().in_memory().unwrap();
    stream.append("before").unwrap();
    let tester = Tester::default();
    with_local_recorder(&tester, || stream.append_batch(["a", "b"]).unwrap());
    assert_eq!(tester.value("millstream_appended_entries_total", ("stream", "memory")), "2");
}

#[test]
fn counters_agree_with_info_and_gauges_are_what_it_says() {
    let tester = Tester::default();
    with_local_recorder(&tester, || {
        let stream = Stream::options().in_memory().unwrap();
        let group = stream.group("billing").open(Start::Earliest).unwrap();
        let worker = group.join("worker").unwrap();
        stream.append_each(["a"; 10]).unwrap();
        let _kept = worker.try_read(6).unwrap().ack_all().unwrap();
        drop(worker.try_read(3).unwrap());
        let held = worker.try_read(2).unwrap();
        stream.observe().unwrap();
        let info = group.info().unwrap();
        let value = |name: &str| tester.value(name, ("group", "billing"));
        let expected = [info.acked, info.lag, info.leased, info.redelivered];
        let counted = [
            value("millstream_acked_total"),
            value("millstream_lag"),
            value("millstream_leased"),
            value("millstream_redelivered_total"),
        ];
        assert_eq!(counted, expected.map(|count| count.to_string()));
        assert_eq!(value("millstream_delivered_total"), "11");
        assert_eq!(value("millstream_released_total"), "3");
        drop(held);
        group.delete().unwrap();
        assert_eq!(value("millstream_lag"), "0");
    });
}
