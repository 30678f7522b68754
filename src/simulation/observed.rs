//! A disk that is full is told to whoever observes the process: no test from outside can fill one.

use std::fmt;
use std::sync::{Arc, Mutex};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::engine::Made;
use crate::options::StreamOptions;
use crate::storage::simulated::Simulated;

/// Keeps levels and texts.
#[derive(Clone, Default)]
struct Listener(Arc<Mutex<Vec<(Level, String)>>>);

/// Finds an event's text.
struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.0 = format!("{value:?}");
        }
    }
}

impl Subscriber for Listener {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.is_event()
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        self.0.lock().unwrap().push((*event.metadata().level(), text.0));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[test]
fn a_full_disk_is_told() {
    let listener = Listener::default();
    let disk = Simulated::new(1);
    let stream = tracing::subscriber::with_default(listener.clone(), || {
        let options = StreamOptions::default().segment_bytes(4096);
        let stream = options.on(Arc::new(disk.clone()), Made::IfMissing).unwrap();
        disk.set_capacity(64 << 10);
        while stream.append(&[0; 900]).is_ok() {}
        stream
    });
    assert!(stream.append(&[0; 900]).unwrap_err().is_disk_full());
    let told = listener.0.lock().unwrap();
    assert!(told.contains(&(Level::WARN, "the disk is full".to_owned())), "{told:?}");
}
