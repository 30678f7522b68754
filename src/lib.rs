//! Durable streams and consumer groups inside your own process.
//!
//! What Redis Streams, Kafka and NATS `JetStream` give over a network, without the server: entries are
//! appended to a directory of memory-mapped segments, and groups of consumers work them off with
//! leases, acks and retries. It survives a killed process and, as far as you ask for it, a power
//! cut. There is no server, no thread and no runtime.
//!
//! # Quick start
//!
//! ```
//! use std::time::Duration;
//! use millstream::{NewEntry, Start, Stream};
//!
//! # fn charge(_order: &[u8]) -> std::io::Result<()> { Ok(()) }
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("orders");
//! let stream = Stream::open(&path)?; // makes it if it is not there, or recovers it
//! stream.append("order 1001")?;
//! stream.append(NewEntry::new("{}").subject("order.created").key("customer-7"))?;
//!
//! let billing = stream.group("billing").lease(Duration::from_secs(60)).open(Start::Earliest)?;
//! let worker = billing.join("worker-1")?;
//! for delivery in worker.read_timeout(100, Duration::from_secs(1))? {
//!     charge(delivery.payload())?; // on an early return or a panic the entry comes again
//!     delivery.ack()?;
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Concepts
//!
//! | word | meaning |
//! |---|---|
//! | [`Stream`] | one directory, or one block of memory; has partitions and groups |
//! | partition | one ordered, append-only log of entries, with dense offsets from 0 |
//! | [`Entry`] | payload and time; a subject, a key and headers if it was given them |
//! | [`EntryId`] | partition and offset, such as `3-1842` |
//! | key | chooses the partition: entries of one key keep their order |
//! | [`Group`] | a durable, named reader of the stream; groups never see each other |
//! | [`Consumer`] | one member of a group; each entry goes to one of them |
//! | [`Delivery`] | one entry leased to one consumer, with its attempt: 1, 2, and so on |
//! | lease | until when a delivery is that consumer's alone |
//! | settled | acked, discarded or dead-lettered: never delivered again to that group |
//! | dead letter | what an exhausted entry becomes in another stream: [`Exhausted::DeadLetter`], [`DeadLetter`] |
//! | filter | the subjects that a group, reader or subscription takes; it passes all others |
//! | parked | set aside after the last attempt, until [`Group::redrive`] or [`Group::discard_parked`] |
//! | floor | for each partition, the offset below which a group has settled or set aside everything |
//! | [strategy](assign) | decides which consumer of a group reads which partition; by default all read all |
//! | claim | a consumer takes over what another holds, or held: [`Consumer::claim`], [`Consumer::auto_claim`] |
//! | [`Retention`] | how long a stream keeps its entries: for ever, so long, or until every group is done |
//! | generation | a number that grows whenever a group's assignment changes |
//! | [`Reader`], [`Subscription`] | reading without a group: a place in memory, nothing to ack |
//!
//! Whatever reads has three verbs: `read` waits, `try_read` does not, `read_timeout` waits that
//! long. Nothing to read is an empty batch and no error.
//!
//! A delivery is resolved by [`ack`](Delivery::ack), [`nack`](Delivery::nack) (it comes again after
//! the backoff), [`release`](Delivery::release) (as if it had not been handed out) or
//! [`reject`](Delivery::reject) (its attempts are over). One that is dropped counts as nacked; what
//! nobody looked at in a dropped [`Batch`] counts as released. [`Delivery::detach`] keeps the lease
//! without the handle, as a [`Token`] that any thread can settle:
//!
//! ```
//! # use millstream::{Start, Stream};
//! # let stream = Stream::options().in_memory()?;
//! # stream.append_batch(["a", "b", "c"])?;
//! let group = stream.group("billing").open(Start::Earliest)?;
//! let worker = group.join("worker-1")?;
//! let tokens: Vec<_> = worker.try_read(100)?.into_iter().map(|delivery| delivery.detach()).collect();
//! let settled = std::thread::scope(|scope| scope.spawn(|| group.ack(tokens)).join());
//! assert!(settled.expect("it does not panic")?.is_complete());
//! # Ok::<(), millstream::Error>(())
//! ```
//!
//! ## Partitions and consumers
//!
//! By default every consumer reads every partition. With a [strategy](assign) each partition has one
//! owner, so entries of one key are worked off one after the other, and a consumer may keep what it
//! knows of them. When a member joins, leaves or falls silent, or a partition is added, the strategy
//! says who is to own what, and the group gets there in rounds: under [`CooperativeSticky`] only
//! what has to move is interrupted.
//!
//! ```
//! use millstream::assign::CooperativeSticky;
//! # use millstream::{Start, Stream};
//! # let stream = Stream::options().partitions(4).in_memory()?;
//! let group = stream.group("billing").strategy(CooperativeSticky).open(Start::Earliest)?;
//! let first = group.join("worker-1")?;
//! assert_eq!(first.assignment()?, [0, 1, 2, 3]);
//! let second = group.join("worker-2")?; // two partitions move, before this returns
//! assert_eq!(first.assignment()?.len() + second.assignment()?.len(), 4);
//! second.leave()?;
//! assert_eq!(first.assignment()?, [0, 1, 2, 3]);
//! # Ok::<(), millstream::Error>(())
//! ```
//!
//! A partition in which the old owner holds leases waits for them: until they are settled, end, or
//! the [`revocation_timeout`](GroupOptions::revocation_timeout) voids them.
//! [`Consumer::events`] and [`Group::events`] tell of it all, and never call back.
//!
//! ## What fails, and what is left out
//!
//! An entry that fails comes again after its group's [`Backoff`], as often as
//! [`max_deliveries`](GroupOptions::max_deliveries) says. [`Exhausted`] says what happens then: it is
//! parked ([`Group::parked`], [`Group::redrive`]), discarded, or given to a dead-letter stream, where
//! [`DeadLetter`] tells by whom, how often, when and why, and [`Group::redrive_letters`] brings back
//! what a [`LetterQuery`] chooses. A group with a
//! [`filter`](GroupOptions::filter) settles what does not match as it comes by: that is no lag and
//! takes no room. What one member holds for too long can be listed ([`Group::pending_entries`]) and
//! claimed.
//!
//! ## Acks and positions
//!
//! [`AckMode`] says what counts as an ack: a verdict on each delivery, the consumer's next read, or
//! the read itself. [`Consumer::ack_through`] settles a partition up to an entry, and
//! [`Consumer::ack_all`] whatever the consumer holds. [`Group::pause`] stops hand-outs,
//! [`Group::drain`] waits for what is out, and [`Group::alter`] changes the options of a group that is
//! in use. [`Group::reset`] goes on elsewhere, back or
//! forth. [`Stream::trim_before`] removes the oldest entries, and tells the groups first.
//!
//! [`CooperativeSticky`]: assign::CooperativeSticky
//!
//! # Guarantees
//!
//! **Order.** Within a partition the first deliveries of a group are in the order of appending.
//! A retry comes when it is due, so later entries overtake it; so does an entry that came with
//! [a time of its own](NewEntry::deliver_at). Between partitions there is no order.
//! Where a strategy gives partitions to consumers, no entry of a partition goes to its new owner while
//! the old one holds a live lease in it. By default, several consumers work on one partition at
//! a time.
//!
//! **Durability.** When a call returns, what it appended or settled is
//!
//! | [`Durability`] | survives the process | survives the machine |
//! |---|---|---|
//! | [`Os`](Durability::Os), the default | yes | after the next [`Stream::sync`] or [`Stream::close`] |
//! | [`Every(d)`](Durability::Every) | yes | after the next call that finds `d` gone by, too |
//! | [`Always`](Durability::Always) | yes | yes |
//!
//! Hand-outs, nacks, releases and leases are written but not waited for. Making and deleting
//! a group is on the disk at every level. A batch is visible, and survives, as a whole or not at all.
//!
//! **At least once.** An entry leaves a group by an ack, by the group's policy after its last
//! attempt ([`Exhausted`]), because somebody said so ([`Group::skip`], [`Group::reset`],
//! [`Stream::trim_before`]), or by a limit of the [`Retention`], each counted in [`GroupInfo`]. What
//! breaks it: acking before the work is done, which [`AckMode::OnRead`] does.
//! What it does not promise is exactly once: a worker that dies between its work and its ack leaves
//! an entry that comes again, with a higher [`attempt`](Delivery::attempt).
//!
//! **Dead letters come once.** Where a letter is about to go is on the disk before it is appended, and
//! the letter is on the disk before its entry is settled, whatever the durability of either stream. Who
//! opens the group after a crash in between looks for the letter before another is written, and only
//! a trim of the letters' stream in between could hide it. As long
//! as the letters' stream is not passed, closed, full or poisoned, entries wait
//! ([`GroupInfo::exhausted`]) and say why.
//!
//! **Nothing goes that you did not say may go.** By default a stream keeps everything.
//! [`Retention::settled`] makes it a queue: what every group is done with goes, whole segments, oldest
//! first. Limits make it a log that forgets, and both together a queue that refuses appends
//! ([`Error::StreamFull`]) rather than lose one. What groups know is flushed before a file goes, what
//! a group loses is counted by kind and told ([`GroupInfo::trimmed`]). Ids never go back.
//!
//! **Attempts** are counted when an entry is handed out, and the count survives a kill. Of the
//! entries that were leased when the process died, one before its last attempt is handed out alone
//! afterwards, so that what kills its process every time is exhausted alone.
//!
#![doc = include_str!("../docs/LIMITS.md")]
//!
//! # Crash and recovery
//!
//! After [`Stream::close`], or the drop of the last handle, opening looks at headers and footers
//! only. After any other end it flushes what is there, looks for the end of each log, and says in
//! [`Stream::recovery`] what it cut. It tells two things apart:
//!
//! - a *torn tail*, which was never synced, is cut, and nothing is ever appended behind it;
//! - *rot*, bytes that were synced and no longer match, is [`Error::Corrupt`] each time it is met.
//!   Nothing is cut or deleted; [`Group::skip`] is the way past it. Rot in one group's journal
//!   closes that group and not the stream. [`StreamOptions::open_read_only`] opens what can still
//!   be believed, and changes nothing.
//!
//! Opening ends all leases and memberships, since the process that had them is gone: their entries
//! are due at once, with their counts. Entries that wait for their backoff go on waiting. Which name
//! owned which partition is remembered, and strategies give a name that comes back its own again
//! where balance allows.
//!
//! A flush that fails is final: what is on the disk is unknown, all writes give [`Error::Poisoned`],
//! and only opening again finds out. A full disk is [`Error::DiskFull`], and nothing changed.
//!
//! # Backup
//!
//! [`Stream::copy_to`] copies a stream while it is in use, as it was at one moment, and compares every checksum on
//! the way; opening the copy finds nothing to repair. [`Stream::verify_with`] looks at every file and reports
//! what is damaged. Both tell their [`Progress`] and can be broken off.
//!
//! # Threads
//!
//! They are yours: the crate starts none. Every handle is `Send`, and all but [`Batch`] are `Sync`;
//! streams, groups and consumers are cheap clones. What is due by time (the end of a lease, a flush under
//! `Every`) happens in the next call of anybody, or in a blocked read. A stream that nobody calls can be
//! given to [`Stream::maintain`], which says when to call again. Who must not block, an async task for
//! instance, is told by [`Consumer::on_ready`] when to read. Handles do not survive a `fork`.
//!
//! Dropping a handle never fails, panics or waits for a disk, except the last one of a stream, which
//! flushes.
//!
//! # What programs can read
//!
//! What streams and groups tell implements serde's `Serialize` and, but for dead letters and what has
//! errors in it, `Deserialize`: infos, pending and parked entries, events, reports, ids, tokens. Fields
//! and variants have the names of this documentation. These and their units are promised; new ones
//! may come. An [`EntryId`] is its text (`"3-1842"`) in formats for people; a `Duration` is
//! `{"secs": 30, "nanos": 0}`, a `SystemTime` `{"secs_since_epoch": 0, "nanos_since_epoch": 0}`.
//!
//! # Feature flags, none of which is on by default
//!
//! - `typed` adds the module of that name: streams and groups of values, encoded by bincode or a codec of
//!   one's own, where a payload that is no value says so and stops nobody. `json` adds JSON as a codec.
//! - `cli` builds the binary `millstream`, which looks into a stream's directory from outside and mends it:
//!   `cargo install millstream --features cli`, then `millstream --help`; `docs/INSPECTOR.md` has its verbs and
//!   exit codes. It changes nothing of the library.
//! - `metrics` and `tracing` tell the facades of those names what happens, where no lock is held. The page
//!   `observing` lists all names; the example `observed` shows both.
//!
//! # Trusting the files
//!
//! Segments are memory-mapped. No reference into a map exists anywhere: bytes are copied out by raw
//! pointer and their checksum is compared in the copy, whenever they are read. Any bytes in any file give
//! a typed error at worst. What no program can guard against is somebody who cuts a mapped file
//! short (`SIGBUS`); files are private to the user and the directory is locked against other streams.
//! What is assumed of the disk stands in `docs/FORMAT.md`.
//!
//! # How it is tested
//!
//! Tests are named after the facts they show. The ledger of who holds what is run against a naive model; the
//! log, and the whole stream, on a simulated disk that loses at a power cut any of what was not synced, and on
//! one where the n-th call fails, for all n, against an oracle. Real processes are killed. Every byte of
//! small streams is flipped, and every length cut; fuzz targets forge the sums as well.
//! A directory of each released version is opened by the tests. Time is a [`ManualClock`], which
//! is there for your tests too; no test sleeps.
//!
//! # Minimum Rust version
//!
//! 1.89.
//!
//! # What it is not
//!
//! Not a server; not for several processes at a time; no deleting of single entries, no compaction
//! by key, no priorities, no strict order across a retry. A stream cannot take its own dead letters,
//! and only what is redriven by [`Group::redrive_letter`] or [`Group::redrive_letters`] finds its way
//! back from there.

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(doc)]
#[doc = include_str!("../docs/OBSERVING.md")]
pub mod observing {}

pub mod assign;
mod backoff;
mod backup;
mod batch;
mod binary;
mod blocked;
mod claim;
mod clock;
mod consumer;
mod delivery;
mod durability;
mod engine;
mod entries;
mod entry;
mod error;
mod events;
mod group;
mod hash;
mod history;
mod id;
mod info;
mod latch;
mod ledger;
mod letter;
mod letters;
mod limits;
mod log;
mod loss;
mod observe;
mod options;
mod parked;
mod pending;
mod policy;
mod reader;
mod recovery;
mod retention;
#[cfg(test)]
mod simulation;
mod start;
mod storage;
mod stream;
mod subject;
mod tally;
#[cfg(feature = "typed")]
pub mod typed;
mod waiters;

pub use backoff::Backoff;
pub use backup::{Copied, CopiedPartition, FileReport, Part, Progress, VerifyReport};
pub use batch::{Batch, BatchIter, Deliveries, Held};
pub use blocked::{Blocked, Unclaimed};
pub use claim::{AutoClaimed, ClaimCursor, Claimed};
pub use clock::{Clock, ManualClock, SystemClock};
pub use consumer::Consumer;
pub use delivery::{Delivery, Settlement};
pub use durability::Durability;
pub use entries::{Entries, EntriesIter, Entry, View, ViewIter};
pub use entry::NewEntry;
pub use error::{Corruption, Error, Gone, Lost, Result};
pub use events::{Cause, Event, Events, Fate};
pub use group::Group;
pub use history::{History, HistoryIter};
pub use id::{Appended, EntryId, Ids, Token};
pub use info::{
    GroupInfo, GroupPartition, GroupState, Holder, Member, PartitionInfo, Pause, Pending,
    PendingState, PendingSummary, Settings, StreamInfo, Trimmed, TrimmedPartition,
};
pub use letter::{DeadLetter, Redriven};
pub use letters::{Letter, LetterQuery, Letters, RedrivenLetters};
pub use loss::Loss;
pub use options::{GroupOptions, StreamOptions};
pub use parked::{Parked, ParkedQuery};
pub use pending::PendingQuery;
pub use policy::{AckMode, Exhausted, OnTrimmed};
pub use reader::{Reader, Subscription};
pub use recovery::{PartitionRecovery, Recovery};
pub use retention::Retention;
pub use start::Start;
pub use stream::Stream;

const _: () = {
    const fn sent<T: Send>() {}
    const fn shared<T: Send + Sync>() {}
    sent::<Batch>();
    sent::<Claimed>();
    sent::<AutoClaimed>();
    shared::<ClaimCursor>();
    shared::<History>();
    shared::<PendingQuery>();
    shared::<LetterQuery>();
    shared::<Letters>();
    shared::<RedrivenLetters>();
    shared::<Stream>();
    shared::<StreamOptions>();
    shared::<Group>();
    shared::<GroupOptions>();
    shared::<Consumer>();
    shared::<Delivery>();
    shared::<Deliveries>();
    shared::<Entry>();
    shared::<Entries>();
    shared::<Reader>();
    shared::<Subscription>();
    shared::<Error>();
    shared::<Event>();
    shared::<Events>();
};
