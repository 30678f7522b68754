//! What is told by the facade `tracing`: every event and span of the page, and no other; to a
//! subscriber that calls the stream it is told of.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod script;

use std::collections::BTreeSet;
use std::fmt;
use std::sync::atomic::AtomicU32;
use std::sync::{Mutex, OnceLock};

use millstream::{Group, Stream};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

/// Never met by the run: no disk is filled by it. The crate's own tests show it.
const NOT_RUN: &str = "the disk is full";

#[derive(Default)]
struct Seen {
    /// Levels and texts.
    events: BTreeSet<(String, String)>,
    spans: BTreeSet<String>,
    /// Spans that are entered now, and events that were told in one.
    depth: usize,
    nested: usize,
}

#[derive(Default)]
struct Tester {
    seen: Mutex<Seen>,
    calls: OnceLock<(Stream, Group)>,
    appends: AtomicU32,
}

/// Finds an event's text.
#[derive(Default)]
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

impl Tester {
    fn call_back(&self) {
        if let Some((stream, group)) = self.calls.get() {
            script::call_back(stream, group, &self.appends);
        }
    }
}

/// The subscriber, shared with the test.
struct Shared(&'static Tester);

impl Subscriber for Shared {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "millstream"
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.0.call_back();
        self.0.seen.lock().unwrap().spans.insert(span.metadata().name().to_owned());
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        self.0.call_back();
        let mut text = Text::default();
        event.record(&mut text);
        let level = event.metadata().level().to_string().to_lowercase();
        let mut seen = self.0.seen.lock().unwrap();
        seen.nested += usize::from(seen.depth > 0);
        seen.events.insert((level, text.0));
    }

    fn enter(&self, _: &Id) {
        self.0.call_back();
        self.0.seen.lock().unwrap().depth += 1;
    }

    fn exit(&self, _: &Id) {
        self.0.call_back();
        self.0.seen.lock().unwrap().depth -= 1;
    }
}

fn run(calls_back: bool) -> &'static Tester {
    let tester: &'static Tester = Box::leak(Box::default());
    let dir = tempfile::tempdir().unwrap();
    tracing::subscriber::with_default(Shared(tester), || {
        script::run(dir.path(), |stream, group| {
            if calls_back {
                tester.calls.set((stream.clone(), group.clone())).unwrap();
            }
        });
    });
    tester
}

#[test]
fn the_page_lists_what_is_told_and_no_more() {
    let tester = run(false);
    let seen = tester.seen.lock().unwrap();
    let mut listed: BTreeSet<(String, String)> =
        script::rows("level").into_iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    assert!(listed.remove(&("warn".to_owned(), NOT_RUN.to_owned())));
    assert_eq!(listed, seen.events);
    let spans = ["bury", "close", "copy", "maintain", "open", "sync", "trim", "verify"];
    assert_eq!(seen.spans.iter().map(String::as_str).collect::<Vec<_>>(), spans);
}

#[test]
fn spans_end_and_hold_what_is_told_of_them() {
    let tester = run(false);
    let seen = tester.seen.lock().unwrap();
    assert_eq!(seen.depth, 0);
    assert!(seen.nested > 0);
}

#[test]
fn a_subscriber_may_call_the_stream_that_it_is_told_of() {
    let tester = run(true);
    assert!(tester.seen.lock().unwrap().events.len() > 10);
}
