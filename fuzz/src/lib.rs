//! Hostile bytes for millstream: what each fuzz target does with one input.
//!
//! A body is a plain function, so that a stable compiler can run it on pseudo-random inputs too;
//! see `tests.rs`. It panics if a promise is broken, and says nothing otherwise.

pub mod entry;
pub mod journal;
pub mod manifest;
pub mod segment;

mod damage;
mod events;
mod input;
mod layout;
mod probe;
mod sample;
#[cfg(test)]
mod tests;
