//! Durable streams and consumer groups inside your own process.

mod clock;
mod consumer;
mod delivery;
mod engine;
mod entry;
mod error;
mod group;
mod hash;
mod id;
mod latch;
mod ledger;
mod log;
mod options;
mod reader;
mod start;
mod storage;
mod stream;
mod subject;
mod waiters;

pub use clock::{Clock, ManualClock, SystemClock};
pub use consumer::Consumer;
pub use delivery::{Batch, BatchIter, Blocked, Deliveries, Delivery, Held, Settlement};
pub use entry::{Entry, NewEntry};
pub use error::{Corruption, Error, Gone, Lost, Result};
pub use group::{
    Backoff, Exhausted, Group, GroupInfo, GroupOptions, GroupPartition, Member, Pending,
};
pub use id::{EntryId, Token};
pub use options::{Durability, StreamOptions};
pub use reader::{Entries, EntriesIter, Reader, Subscription, View, ViewIter};
pub use start::Start;
pub use stream::{Ids, PartitionInfo, PartitionRecovery, Recovery, Stream, StreamInfo};
