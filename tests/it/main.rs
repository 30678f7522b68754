//! The promises of the public surface, one module for each.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod child;
mod delivery;
mod directory;
mod kill;
mod main_job;
mod returning;
mod scene;
