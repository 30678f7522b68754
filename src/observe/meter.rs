//! Signals as metrics.

use std::sync::OnceLock;

use metrics::{Key, Label, Level, Metadata, Recorder, with_recorder};

use super::signal::{Refusal, Signal, Standing, Turnover, Which};
use super::source::{Names, Source};

static METADATA: Metadata<'static> = Metadata::new("millstream", Level::INFO, Some("millstream"));

/// What is measured of a stream.
#[derive(Clone, Copy)]
enum OfStream {
    AppendedEntries,
    AppendedBytes,
    RefusedFull,
    RefusedDisk,
    SyncPartition,
    SyncJournal,
    RollPartition,
    RollJournal,
    TrimmedEntries,
    TrimmedBytes,
    StoredEntries,
    StoredBytes,
}

/// Their names, in the same order, and the label that tells two of one name apart.
const OF_STREAM: [(&str, Option<(&str, &str)>); 12] = [
    ("millstream_appended_entries_total", None),
    ("millstream_appended_bytes_total", None),
    ("millstream_refused_total", Some(("reason", "stream_full"))),
    ("millstream_refused_total", Some(("reason", "disk_full"))),
    ("millstream_sync_seconds", Some(("log", "partition"))),
    ("millstream_sync_seconds", Some(("log", "journal"))),
    ("millstream_segment_rolls_total", Some(("log", "partition"))),
    ("millstream_segment_rolls_total", Some(("log", "journal"))),
    ("millstream_trimmed_entries_total", None),
    ("millstream_trimmed_bytes_total", None),
    ("millstream_stored_entries", None),
    ("millstream_stored_bytes", None),
];

/// What is measured of a group.
#[derive(Clone, Copy)]
enum OfGroup {
    Delivered,
    Redelivered,
    Acked,
    Nacked,
    Released,
    Expired,
    DeadLettered,
    Parked,
    Discarded,
    Lost,
    Rebalance,
    Lag,
    Leased,
    Delayed,
    Due,
    Exhausted,
    ParkedNow,
    Members,
    OldestPending,
}

/// Their names, in the same order.
const OF_GROUP: [&str; 19] = [
    "millstream_delivered_total",
    "millstream_redelivered_total",
    "millstream_acked_total",
    "millstream_nacked_total",
    "millstream_released_total",
    "millstream_expired_leases_total",
    "millstream_dead_lettered_total",
    "millstream_parked_total",
    "millstream_discarded_total",
    "millstream_lost_total",
    "millstream_rebalance_seconds",
    "millstream_lag",
    "millstream_leased",
    "millstream_delayed",
    "millstream_due",
    "millstream_exhausted",
    "millstream_parked",
    "millstream_members",
    "millstream_oldest_pending_seconds",
];

const _: () = assert!(OfStream::StoredBytes as usize + 1 == OF_STREAM.len());
const _: () = assert!(OfGroup::OldestPending as usize + 1 == OF_GROUP.len());

/// The keys of one source, made when it is told of first: with labels, and hashed.
#[derive(Debug, Default)]
pub(super) struct Keys(OnceLock<Box<[Key]>>);

impl Names {
    fn keys(&self) -> &[Key] {
        self.keys.0.get_or_init(|| {
            let mut labels = vec![Label::new("stream", self.stream.to_string())];
            let Some(group) = &self.group else {
                let key = |(name, extra): (&'static str, Option<(_, _)>)| {
                    let extra = extra.map(|(label, value)| Label::from_static_parts(label, value));
                    Key::from_parts(name, labels.iter().cloned().chain(extra).collect::<Vec<_>>())
                };
                return OF_STREAM.into_iter().map(key).collect();
            };
            labels.push(Label::new("group", group.to_string()));
            OF_GROUP.into_iter().map(|name| Key::from_parts(name, labels.clone())).collect()
        })
    }
}

/// One source and the recorder.
struct Meter<'a> {
    keys: &'a [Key],
    recorder: &'a dyn Recorder,
}

impl Meter<'_> {
    fn add(&self, key: usize, count: u64) {
        if count > 0 {
            self.recorder.register_counter(&self.keys[key], &METADATA).increment(count);
        }
    }

    fn set(&self, key: usize, value: f64) {
        self.recorder.register_gauge(&self.keys[key], &METADATA).set(value);
    }

    fn record(&self, key: usize, value: std::time::Duration) {
        let histogram = self.recorder.register_histogram(&self.keys[key], &METADATA);
        histogram.record(value.as_secs_f64());
    }
}

/// Counts a signal.
pub(super) fn count(source: &Source, signal: &Signal) {
    with_recorder(|recorder| {
        let meter = Meter { keys: source.names.keys(), recorder };
        if source.names.group.is_some() {
            count_group(&meter, signal);
        } else {
            count_stream(&meter, signal);
        }
    });
}

fn count_stream(meter: &Meter<'_>, signal: &Signal) {
    match *signal {
        Signal::Appended { entries, bytes } => {
            meter.add(OfStream::AppendedEntries as usize, entries);
            meter.add(OfStream::AppendedBytes as usize, bytes);
        }
        Signal::Refused(Refusal::StreamFull) => meter.add(OfStream::RefusedFull as usize, 1),
        Signal::Refused(Refusal::DiskFull) => meter.add(OfStream::RefusedDisk as usize, 1),
        Signal::Synced { which, took } => {
            let key = match which {
                Which::Partition => OfStream::SyncPartition,
                Which::Journal => OfStream::SyncJournal,
            };
            meter.record(key as usize, took);
        }
        Signal::Rolled { which, .. } => {
            let key = match which {
                Which::Partition => OfStream::RollPartition,
                Which::Journal => OfStream::RollJournal,
            };
            meter.add(key as usize, 1);
        }
        Signal::Trimmed { start, end, bytes, .. } => {
            meter.add(OfStream::TrimmedEntries as usize, end - start);
            meter.add(OfStream::TrimmedBytes as usize, bytes);
        }
        Signal::Stored { entries, bytes } => {
            meter.set(OfStream::StoredEntries as usize, float(entries));
            meter.set(OfStream::StoredBytes as usize, float(bytes));
        }
        _ => {}
    }
}

fn count_group(meter: &Meter<'_>, signal: &Signal) {
    match signal {
        Signal::Turnover(turnover) => count_turnover(meter, turnover),
        Signal::RebalanceEnded { took, .. } => meter.record(OfGroup::Rebalance as usize, *took),
        Signal::Standing(standing) => show_standing(meter, standing),
        _ => {}
    }
}

fn count_turnover(meter: &Meter<'_>, turnover: &Turnover) {
    for (key, count) in [
        (OfGroup::Delivered, turnover.delivered),
        (OfGroup::Redelivered, turnover.redelivered),
        (OfGroup::Acked, turnover.acked),
        (OfGroup::Nacked, turnover.nacked),
        (OfGroup::Released, turnover.released),
        (OfGroup::Expired, turnover.expired),
        (OfGroup::DeadLettered, turnover.dead_lettered),
        (OfGroup::Parked, turnover.parked),
        (OfGroup::Discarded, turnover.discarded),
        (OfGroup::Lost, turnover.lost),
    ] {
        meter.add(key as usize, count);
    }
}

fn show_standing(meter: &Meter<'_>, standing: &Standing) {
    for (key, value) in [
        (OfGroup::Lag, float(standing.lag)),
        (OfGroup::Leased, float(standing.leased)),
        (OfGroup::Delayed, float(standing.delayed)),
        (OfGroup::Due, float(standing.due)),
        (OfGroup::Exhausted, float(standing.exhausted)),
        (OfGroup::ParkedNow, float(standing.parked)),
        (OfGroup::Members, float(standing.members as u64)),
        (OfGroup::OldestPending, standing.oldest_pending.as_secs_f64()),
    ] {
        meter.set(key as usize, value);
    }
}

/// Gauges are floats; beyond 2^53 the last digits go, and nobody looks at those.
#[expect(clippy::cast_precision_loss, reason = "the facade takes nothing else")]
fn float(count: u64) -> f64 {
    count as f64
}
