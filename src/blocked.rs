//! [`Blocked`]: why a read brought nothing; [`Unclaimed`]: why an entry was not claimed.

/// Why a batch is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub enum Blocked {
    /// Nothing is new, and nothing is due again.
    Empty,
    /// As many entries are leased as `max_in_flight` or `max_in_flight_per_consumer` allows.
    InFlight,
    /// The group is paused.
    Paused,
    /// The next new entries are not due yet, and as many as `delayed_max` allows wait for their time
    /// already, so that the read cannot go past them.
    Delayed,
    /// The consumer has no partition: there are more members than partitions.
    NoPartition,
    /// The partitions that the consumer is to get are still in the hands of who had them before.
    Rebalancing,
    /// The read returned early, because something is to be told:
    /// [`Consumer::events`](crate::Consumer::events).
    Changed,
}

/// Why an entry was not claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub enum Unclaimed {
    /// It is not pending: it was never handed out, or it is settled or set aside.
    NotPending,
    /// It was handed out, or its lease extended, too lately.
    NotIdle,
    /// As many entries are leased as `max_in_flight` or `max_in_flight_per_consumer` allows.
    InFlight,
    /// The group is paused.
    Paused,
    /// It had its last attempt, so it was exhausted instead: parked or discarded, as the group says.
    Exhausted,
    /// It does not go with the others: it is too long, or it cannot be read, or an entry is among
    /// them that has to go alone because it may have ended its process. Claim it once more.
    Later,
}

impl std::fmt::Display for Unclaimed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::NotPending => "it is not pending",
            Self::NotIdle => "it was not idle for long enough",
            Self::InFlight => "too many entries are leased",
            Self::Paused => "the group is paused",
            Self::Exhausted => "it had its last attempt",
            Self::Later => "it has to be claimed by itself",
        })
    }
}
