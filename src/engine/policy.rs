//! What a group goes by, from what is stored of it: its policy and its strategy.

use std::sync::Arc;

use super::manifest::{GroupRecord, StoredStrategy, StoredWait};
use super::open::duration;
use crate::assign::{self, Assign, CooperativeSticky, RoundRobin, Shared, Sticky};
use crate::ledger::{AckMode, Backoff, Exhausted, OnTrimmed, Policy, Wait};

/// The strategy, unless it is one of the user's.
pub(crate) fn built_in(stored: &StoredStrategy) -> Option<Arc<dyn Assign>> {
    Some(match stored {
        StoredStrategy::Shared => Arc::new(Shared),
        StoredStrategy::Range => Arc::new(assign::Range),
        StoredStrategy::RoundRobin => Arc::new(RoundRobin),
        StoredStrategy::Sticky => Arc::new(Sticky),
        StoredStrategy::CooperativeSticky => Arc::new(CooperativeSticky),
        StoredStrategy::Custom(_) => return None,
    })
}

/// What the ledger goes by.
pub(crate) fn policy(record: &GroupRecord) -> Policy {
    use super::manifest::{StoredAckMode, StoredExhausted, StoredOnTrimmed};
    let settings = &record.settings;
    let lease = duration(settings.lease);
    // By default a member may be silent as long as its lease, and at least 30 seconds.
    let session = settings.session_timeout.map(duration);
    Policy {
        lease,
        session_timeout: session.unwrap_or_else(|| lease.max(Policy::default().session_timeout)),
        max_deliveries: settings.max_deliveries,
        backoff: Backoff {
            wait: match &settings.backoff.wait {
                StoredWait::Fixed(wait) => Wait::Fixed(duration(*wait)),
                StoredWait::Exponential { first, max } => {
                    Wait::Exponential { first: duration(*first), max: duration(*max) }
                }
                StoredWait::Steps(steps) => {
                    Wait::Steps(steps.iter().copied().map(duration).collect())
                }
            },
            jitter_permille: settings.backoff.jitter_permille,
            // When it was made tells groups apart well enough.
            seed: settings.backoff.seed.unwrap_or(record.created ^ record.number),
        },
        on_exhausted: match settings.on_exhausted {
            StoredExhausted::Park => Exhausted::Park,
            StoredExhausted::Discard => Exhausted::Discard,
            StoredExhausted::DeadLetter(_) => Exhausted::DeadLetter,
        },
        max_in_flight: settings.max_in_flight,
        max_in_flight_per_consumer: settings.max_in_flight_per_consumer,
        max_in_flight_bytes: settings.max_in_flight_bytes,
        delayed_max: settings.delayed_max,
        revocation_timeout: duration(settings.revocation_timeout),
        on_trimmed: match settings.on_trimmed {
            StoredOnTrimmed::Earliest => OnTrimmed::Earliest,
            StoredOnTrimmed::Latest => OnTrimmed::Latest,
            StoredOnTrimmed::Error => OnTrimmed::Error,
        },
        ack: match settings.ack_mode {
            StoredAckMode::Explicit => AckMode::Explicit,
            StoredAckMode::OnNextRead => AckMode::OnNextRead,
            StoredAckMode::Interval(interval) => AckMode::Interval(duration(interval)),
            StoredAckMode::OnRead => AckMode::OnRead,
        },
    }
}
