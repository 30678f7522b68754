//! The promises of the public surface, one module for each.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::unchecked_time_subtraction, reason = "the times of tests are written beside it")]

mod ack_modes;
mod addressed;
mod assignment;
mod backup;
mod child;
mod claiming;
mod clocks;
mod crew;
mod delayed;
mod delivery;
mod directory;
mod filters;
mod format;
mod group_events;
mod growing;
mod handover;
mod infos;
mod kill;
mod kill_timed;
mod letters;
mod letters_bulk;
mod limits;
mod main_job;
mod many_hands;
mod membership;
mod onlooker;
mod onlooking_groups;
mod ordering;
mod positions;
mod readme;
mod ready;
mod ready_locks;
mod retention;
mod returning;
mod salvage;
mod scene;
mod serialized;
mod starts;
mod steering;
mod strategy_faults;
mod threads;
#[cfg(feature = "typed")]
mod typed;
mod unique;
mod waiting;
