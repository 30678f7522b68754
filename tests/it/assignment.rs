//! Which member reads which partition (A1 to A3, A5): what members and partitions a group has
//! decides it, and it is to be seen by all.

mod generations;
mod names;
mod opening;
mod strategies;
