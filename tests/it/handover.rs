//! How partitions go from one member to another (A4, D5, D10, D13, D16): what moves waits until who
//! had it holds nothing of it any more, or had time enough; what does not move never stops.

mod blocked;
mod cooperative;
mod eager;
mod evicted;
mod order;
mod threads;
