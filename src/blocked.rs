//! [`Blocked`]: why a read brought nothing.

/// Why a batch is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub enum Blocked {
    /// Nothing is new, and nothing is due again.
    Empty,
    /// As many entries are leased as `max_in_flight` or `max_in_flight_per_consumer` allows.
    InFlight,
    /// The consumer has no partition: there are more members than partitions.
    NoPartition,
    /// The partitions that the consumer is to get are still in the hands of who had them before.
    Rebalancing,
    /// The read returned early, because something is to be told:
    /// [`Consumer::events`](crate::Consumer::events).
    Changed,
}
