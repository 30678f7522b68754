//! The inspector, as its users have it: the real binary, started as a process of its own.
//!
//! The stream's owner is this process, through the library; so what is shown is shown while an owner
//! has the stream open, unless a test closes it first.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod damage;
mod ends;
mod entries;
mod letters;
mod mending;
mod run;
mod shapes;
mod states;
#[cfg(unix)]
mod watch;
