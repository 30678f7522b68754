//! Signals as events of `tracing`, and spans.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tracing::level_filters::LevelFilter;
use tracing::{debug, debug_span, error, info, trace, warn};

use super::Span;
use super::signal::{Refusal, Signal, Turnover};
use super::source::Source;

/// A span that was entered.
pub(super) type Entered = tracing::span::EnteredSpan;

/// Whether any subscriber wants to know of single calls. One load, and none of the subscriber's code.
#[inline]
pub(super) fn looks_closely() -> bool {
    LevelFilter::current() >= LevelFilter::DEBUG
}

/// Enters a span, unless the subscriber panics. The caller holds no lock.
pub(super) fn enter(source: &Source, span: Span) -> Option<Entered> {
    catch_unwind(AssertUnwindSafe(|| make(source, span).entered())).ok()
}

/// Ends a span, likewise.
pub(super) fn exit(span: Entered) {
    let _ = catch_unwind(AssertUnwindSafe(|| drop(span)));
}

fn make(source: &Source, span: Span) -> tracing::Span {
    let stream = &*source.names.stream;
    match span {
        Span::Open => debug_span!(target: "millstream", "open", stream),
        Span::Close => debug_span!(target: "millstream", "close", stream),
        Span::Sync => debug_span!(target: "millstream", "sync", stream),
        Span::Maintain => debug_span!(target: "millstream", "maintain", stream),
        Span::Trim => debug_span!(target: "millstream", "trim", stream),
        Span::Copy => debug_span!(target: "millstream", "copy", stream),
        Span::Verify => debug_span!(target: "millstream", "verify", stream),
        Span::Bury => {
            let group = source.names.group.as_deref();
            debug_span!(target: "millstream", "bury", stream, group)
        }
    }
}

/// Reports a signal.
pub(super) fn report(source: &Source, signal: &Signal) {
    let stream = &*source.names.stream;
    match source.names.group.as_deref() {
        Some(group) => report_group(stream, group, signal),
        None => report_stream(stream, signal),
    }
}

fn report_stream(stream: &str, signal: &Signal) {
    match signal {
        Signal::Appended { entries, bytes } => {
            trace!(target: "millstream", stream, entries, bytes, "appended");
        }
        Signal::Refused(Refusal::StreamFull) => {
            debug!(target: "millstream", stream, "append refused");
        }
        Signal::Refused(Refusal::DiskFull) => {
            warn!(target: "millstream", stream, "the disk is full");
        }
        Signal::Full { partitions } => {
            warn!(target: "millstream", stream, partitions, "the stream is full");
        }
        Signal::Synced { which, took } => {
            debug!(target: "millstream", stream, log = ?which, ?took, "synced");
        }
        Signal::Rolled { which, sequence, bytes, took } => {
            debug!(target: "millstream", stream, log = ?which, sequence, bytes, ?took, "new segment");
        }
        Signal::Snapshot { bytes } => debug!(target: "millstream", stream, bytes, "snapshot"),
        Signal::Opened { partitions, groups, unclean } => {
            info!(target: "millstream", stream, partitions, groups, unclean, "opened");
        }
        Signal::Closed => info!(target: "millstream", stream, "closed"),
        Signal::Torn { log, end, bytes, segments } => {
            warn!(target: "millstream", stream, log, end, bytes, segments, "torn tail cut");
        }
        Signal::Rot { what } => error!(target: "millstream", stream, what, "rot"),
        Signal::Poisoned { cause } => {
            error!(target: "millstream", stream, cause = &**cause, "poisoned");
        }
        Signal::Trimmed { partition, start, end, bytes } => {
            info!(target: "millstream", stream, partition, start, end, bytes, "trimmed");
        }
        _ => {}
    }
}

fn report_group(stream: &str, group: &str, signal: &Signal) {
    match signal {
        Signal::Turnover(turnover) => report_turnover(stream, group, turnover),
        Signal::Joined { consumer, generation } => {
            info!(target: "millstream", stream, group, consumer, generation, "joined");
        }
        Signal::Left { consumer, generation, expired: true, .. } => {
            warn!(target: "millstream", stream, group, consumer, generation, "session expired");
        }
        Signal::Left { consumer, generation, why, .. } => {
            info!(target: "millstream", stream, group, consumer, generation, why, "left");
        }
        Signal::RebalanceBegan { generation, cause } => {
            info!(target: "millstream", stream, group, generation, cause, "rebalance began");
        }
        Signal::RebalanceEnded { generation, took, moved } => {
            info!(target: "millstream", stream, group, generation, ?took, moved, "rebalance ended");
        }
        Signal::RebalanceFailed { reason } => {
            warn!(target: "millstream", stream, group, reason, "strategy failed");
        }
        Signal::Exhausted { partition, first, count, attempts, fate } => {
            warn!(
                target: "millstream", stream, group, partition, first, count, attempts, fate,
                "exhausted"
            );
        }
        Signal::Lost { partition, first, end, entries } => {
            warn!(
                target: "millstream", stream, group, partition, first, end, entries,
                "lost to retention"
            );
        }
        Signal::LettersWait { why } => {
            warn!(target: "millstream", stream, group, why, "dead letters wait");
        }
        _ => {}
    }
}

fn report_turnover(stream: &str, group: &str, turnover: &Turnover) {
    if turnover.expired > 0 {
        debug!(target: "millstream", stream, group, entries = turnover.expired, "leases expired");
    }
    trace!(
        target: "millstream", stream, group,
        delivered = turnover.delivered,
        redelivered = turnover.redelivered,
        acked = turnover.acked,
        nacked = turnover.nacked,
        released = turnover.released,
        "turnover"
    );
}
