//! stub
/// Clock.
pub trait Clock {}
/// SystemClock.
#[derive(Debug)]
pub struct SystemClock;
/// ManualClock.
#[derive(Debug)]
pub struct ManualClock;

/// Microseconds since the clock's start: what leases, delays and sessions are measured in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Moment(pub(crate) u64);
