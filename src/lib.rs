//! Durable streams and consumer groups inside your own process.
#![allow(dead_code, reason = "assembled below")]

mod clock;
mod error;
mod hash;
mod id;
mod latch;
mod ledger;
mod log;
mod storage;
mod subject;
mod waiters;

pub use clock::{Clock, ManualClock, SystemClock};
pub use error::{Error, Lost, Result};
pub use id::{EntryId, Token};
