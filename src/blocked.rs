//! [`Blocked`]: why a read brought nothing.

/// Why a batch is empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub enum Blocked {
    /// Nothing is new, and nothing is due again.
    Empty,
    /// As many entries are leased as `max_in_flight` or `max_in_flight_per_consumer` allows.
    InFlight,
}
