//! [`Group`]: a durable, named reader of a stream that its consumers share.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use crate::consumer::Consumer;
use crate::delivery::Settlement;
use crate::engine::{
    GroupPlan, Made, Post, Seat, StoredBackoff, StoredExhausted, Verb, delete_group, micros,
    open_group,
};
use crate::entry::wall_time;
use crate::error::{Error, Result};
use crate::id::{EntryId, Token};
use crate::ledger::{Again, Policy, Standing};
use crate::options::{lasting, named, within};
use crate::start::Start;
use crate::stream::Stream;

/// How long an entry waits before it is handed out again, after a nack or the end of its lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff(StoredBackoff);

impl Backoff {
    /// Always as long; zero for at once.
    pub fn fixed(wait: Duration) -> Self {
        Self(StoredBackoff::Fixed(micros(wait)))
    }

    /// `first` after the first attempt, then twice as long each time, up to `max`.
    pub fn exponential(first: Duration, max: Duration) -> Self {
        Self(StoredBackoff::Exponential { first: micros(first), max: micros(max) })
    }
}

/// What becomes of an entry whose last attempt failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exhausted {
    /// It is set aside, and no longer in anybody's way, until [`Group::redrive`] or
    /// [`Group::discard_parked`].
    #[default]
    Park,
    /// It is settled, and counted.
    Discard,
}

/// How to open a group. Setters take and give the options; all checks are in the finishing verb.
///
/// What is not set keeps the value it was given before, or the default. A group that is in use in
/// this process is not changed by opening it once more.
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use millstream::{Backoff, Start, Stream};
///
/// let stream = Stream::options().in_memory()?;
/// let group = stream
///     .group("billing")
///     .lease(Duration::from_secs(60))
///     .max_deliveries(5)
///     .backoff(Backoff::exponential(Duration::from_secs(1), Duration::from_secs(300)))
///     .open(Start::Earliest)?;
/// assert_eq!(group.name(), "billing");
/// # Ok::<(), millstream::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "options do nothing until `open`, `create` or `open_existing` is called"]
pub struct GroupOptions {
    stream: Stream,
    name: String,
    plan: GroupPlan,
}

impl GroupOptions {
    pub(crate) fn new(stream: Stream, name: &str) -> Self {
        Self { stream, name: name.to_owned(), plan: GroupPlan::default() }
    }

    /// How long a delivery is its consumer's alone; by default 30 seconds. Afterwards it waits for
    /// the backoff, then it is anybody's.
    pub fn lease(mut self, lease: Duration) -> Self {
        self.plan.lease = Some(lease);
        self
    }

    /// How long a consumer may be silent before it is no longer a member and what it held goes
    /// back; by default the lease, and at least 30 seconds. Every call of the consumer is a sign
    /// of life, and so are a blocked read and a lease that was extended.
    pub fn session_timeout(mut self, timeout: Duration) -> Self {
        self.plan.session_timeout = Some(timeout);
        self
    }

    /// How often an entry is handed out before it counts as exhausted: 1 to 8,000, by default 16.
    pub fn max_deliveries(mut self, attempts: u16) -> Self {
        self.plan.max_deliveries = Some(attempts);
        self
    }

    /// How long a failed entry waits; by default 100 milliseconds, doubling up to 30 seconds.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.plan.backoff = Some(backoff.0);
        self
    }

    /// What becomes of an exhausted entry; by default [`Exhausted::Park`].
    pub fn on_exhausted(mut self, then: Exhausted) -> Self {
        self.plan.on_exhausted = Some(match then {
            Exhausted::Park => StoredExhausted::Park,
            Exhausted::Discard => StoredExhausted::Discard,
        });
        self
    }

    /// How many entries may be leased at one time in the whole group; by default 100,000. Entries
    /// that wait to be tried again do not count.
    pub fn max_in_flight(mut self, entries: u64) -> Self {
        self.plan.max_in_flight = Some(entries);
        self
    }

    /// How many entries may be leased at one time to one consumer; by default without bound.
    pub fn max_in_flight_per_consumer(mut self, entries: u64) -> Self {
        self.plan.max_in_flight_per_consumer = Some(entries);
        self
    }

    /// Opens the group, or makes it with this start if it is not there. The start of a group that
    /// is there does not change.
    ///
    /// # Errors
    /// [`Error::InvalidName`], [`Error::InvalidOption`], [`Error::StartBeyondEnd`],
    /// [`Error::NoSuchPartition`], [`Error::LimitReached`], [`Error::Corrupt`] (its journal is
    /// damaged), [`Error::Closed`], [`Error::Poisoned`], [`Error::DiskFull`], [`Error::Io`].
    #[expect(clippy::needless_pass_by_value, reason = "a start is made where it is given")]
    pub fn open(self, start: Start) -> Result<Group> {
        self.finish(Made::IfMissing, Some(&start))
    }

    /// Makes the group.
    ///
    /// # Errors
    /// [`Error::AlreadyExists`] if it is there, and those of [`open`](Self::open).
    #[expect(clippy::needless_pass_by_value, reason = "a start is made where it is given")]
    pub fn create(self, start: Start) -> Result<Group> {
        self.finish(Made::New, Some(&start))
    }

    /// Opens the group that is there.
    ///
    /// # Errors
    /// [`Error::NotFound`] if it is not, and those of [`open`](Self::open).
    pub fn open_existing(self) -> Result<Group> {
        self.finish(Made::Before, None)
    }

    fn finish(self, made: Made, start: Option<&Start>) -> Result<Group> {
        named("group", &self.name)?;
        self.check()?;
        let seat = open_group(&self.stream.handle, &self.name, made, &self.plan, start)?;
        Ok(Group { seat })
    }

    fn check(&self) -> Result<()> {
        let GroupPlan { lease, session_timeout, max_deliveries, backoff, .. } = &self.plan;
        for (option, given) in [("lease", lease), ("session_timeout", session_timeout)] {
            if let Some(given) = given {
                lasting(option, *given)?;
            }
        }
        if let Some(attempts) = max_deliveries {
            within("max_deliveries", u64::from(*attempts), 1, u64::from(Policy::DELIVERIES_MAX))?;
        }
        let waits = match backoff {
            Some(StoredBackoff::Fixed(wait)) => [*wait, *wait],
            Some(StoredBackoff::Exponential { first, max }) => [*first, *max],
            None => [0, 0],
        };
        let year = micros(crate::options::DURATION_MAX);
        waits.into_iter().try_for_each(|wait| within("backoff", wait, 0, year))?;
        let bounds = [
            ("max_in_flight", self.plan.max_in_flight),
            ("max_in_flight_per_consumer", self.plan.max_in_flight_per_consumer),
        ];
        for (option, given) in bounds {
            within(option, given.unwrap_or(1), 1, u64::MAX)?;
        }
        Ok(())
    }
}

/// A durable, named reader of a stream, shared by its consumers: each entry goes to one of them,
/// and comes again until one settles it. Groups of a stream never see each other.
///
/// A cheap clone that any thread may use. (The idea is that of Redis Streams' consumer groups,
/// Kafka's share groups and `JetStream`'s durable consumers.)
#[derive(Clone, Debug)]
pub struct Group {
    seat: Arc<Seat>,
}

impl Group {
    /// The group's name.
    pub fn name(&self) -> &str {
        &self.seat.desk.name
    }

    /// The stream that the group reads.
    pub fn stream(&self) -> Stream {
        Stream { handle: Arc::clone(&self.seat.handle) }
    }

    /// Makes a consumer of that name a member of the group. It stays one until it leaves, is
    /// dropped or removed, or is silent for longer than the session timeout.
    ///
    /// # Errors
    /// [`Error::MemberExists`] if a live member has the name, [`Error::InvalidName`],
    /// [`Error::LimitReached`] at 65,535 members, [`Error::GroupDeleted`], [`Error::Closed`],
    /// [`Error::Poisoned`], [`Error::DiskFull`].
    pub fn join(&self, name: &str) -> Result<Consumer> {
        named("consumer", name)?;
        let member = self.seat.desk.join(name)?;
        let seat = Arc::clone(&self.seat);
        Ok(Consumer::new(Arc::new(Post { seat, member, name: name.into() })))
    }

    /// Settles what these tokens hold. One bad token never costs the good ones: those that are
    /// void come back with the reason.
    ///
    /// # Errors
    /// [`Error::GroupDeleted`], [`Error::Closed`], [`Error::Poisoned`], [`Error::DiskFull`]:
    /// nothing changed.
    pub fn ack(&self, tokens: impl IntoIterator<Item = Token>) -> Result<Settlement> {
        self.settle(tokens, Verb::Ack)
    }

    /// Counts what these tokens hold as failed; they come again after the backoff.
    ///
    /// # Errors
    /// Those of [`ack`](Self::ack).
    pub fn nack(&self, tokens: impl IntoIterator<Item = Token>) -> Result<Settlement> {
        self.settle(tokens, Verb::Nack(Again::Backoff))
    }

    /// Hands back what these tokens hold as if it had not been handed out: not counted, due at
    /// once.
    ///
    /// # Errors
    /// Those of [`ack`](Self::ack).
    pub fn release(&self, tokens: impl IntoIterator<Item = Token>) -> Result<Settlement> {
        self.settle(tokens, Verb::Release)
    }

    /// Makes the leases of these tokens end `lease` from now. It does not count as an attempt.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] for a lease of zero or over a year, and those of
    /// [`ack`](Self::ack).
    pub fn extend(
        &self,
        tokens: impl IntoIterator<Item = Token>,
        lease: Duration,
    ) -> Result<Settlement> {
        lasting("lease", lease)?;
        self.settle(tokens, Verb::Extend(lease))
    }

    fn settle(&self, tokens: impl IntoIterator<Item = Token>, verb: Verb) -> Result<Settlement> {
        let outcome = self.seat.desk.settle_tokens(None, tokens.into_iter(), verb)?;
        self.seat.handle.mill.flush_if_due()?;
        Ok(Settlement::new(outcome))
    }

    /// Settles all entries of a partition from `first` to before `end` as lost, whatever they are:
    /// the way past entries that cannot be read. Says how many were lost by it.
    ///
    /// # Errors
    /// [`Error::StartBeyondEnd`] if new entries before `first` would be jumped over, or the
    /// partition does not reach to `end`; [`Error::NoSuchPartition`]; those of [`ack`](Self::ack).
    pub fn skip(&self, partition: u32, offsets: std::ops::Range<u64>) -> Result<u64> {
        let logs = &self.seat.desk.ground.logs;
        let Some(log) = logs.get(partition as usize) else {
            let partitions = self.stream().partitions();
            return Err(Error::NoSuchPartition { partition, partitions });
        };
        if offsets.end > log.visible() {
            let start = EntryId::new(partition, offsets.end);
            return Err(Error::StartBeyondEnd { start, end: log.visible() });
        }
        self.seat.desk.skip(partition, offsets.start, offsets.end)
    }

    /// The entries that were set aside after their last attempt, in order, at most `max`.
    ///
    /// # Errors
    /// [`Error::GroupDeleted`], [`Error::Closed`].
    pub fn parked(&self, max: usize) -> Result<Vec<EntryId>> {
        self.seat.desk.look(|ledger, _| {
            ledger.parked(EntryId::new(0, 0)).map(|(id, _)| id).take(max).collect()
        })
    }

    /// Makes the first `max` parked entries available again, due now, as if they had never been
    /// handed out. Says how many there were.
    ///
    /// # Errors
    /// Those of [`ack`](Self::ack).
    pub fn redrive(&self, max: usize) -> Result<u64> {
        self.seat.desk.redrive(max)
    }

    /// Settles parked entries for good. Ids that are not parked are passed over; says how many
    /// were.
    ///
    /// # Errors
    /// Those of [`ack`](Self::ack).
    pub fn discard_parked(&self, ids: &[EntryId]) -> Result<u64> {
        self.seat.desk.discard_parked(ids)
    }

    /// How many entries are neither settled nor set aside: those still to be handed out, and the
    /// pending ones. Exact, and never negative.
    ///
    /// # Errors
    /// [`Error::GroupDeleted`], [`Error::Closed`].
    pub fn lag(&self) -> Result<u64> {
        let ground = &self.seat.desk.ground;
        self.seat.desk.look(|ledger, _| ledger.lag(&ground.ends()))
    }

    /// For each partition, the offset below which everything is settled or set aside.
    ///
    /// # Errors
    /// [`Error::GroupDeleted`], [`Error::Closed`].
    pub fn floors(&self) -> Result<Vec<u64>> {
        let partitions = self.stream().partitions();
        self.seat.desk.look(|ledger, _| {
            (0..partitions).map(|partition| ledger.floor(partition).unwrap_or(0)).collect()
        })
    }

    /// The entries that were handed out and are not settled, in order, at most `max`: leased ones,
    /// and those that wait to be handed out again.
    ///
    /// # Errors
    /// [`Error::GroupDeleted`], [`Error::Closed`].
    pub fn pending(&self, max: usize) -> Result<Vec<Pending>> {
        let partitions = self.stream().partitions();
        self.seat.desk.look(|ledger, now| {
            let all = (0..partitions).flat_map(|partition| ledger.pending(partition, 0));
            let line = |entry: crate::ledger::PendingEntry<'_>| {
                let (until, leased) = match entry.standing {
                    Standing::Leased(until) => (until, true),
                    Standing::Waiting(until) => (until, false),
                };
                Pending {
                    id: entry.id,
                    consumer: entry.member.filter(|_| leased).map(str::to_owned),
                    attempts: entry.attempts,
                    due_in: until.since(now.at),
                }
            };
            all.take(max).map(line).collect()
        })
    }

    /// The group as it is now.
    ///
    /// # Errors
    /// [`Error::GroupDeleted`], [`Error::Closed`].
    pub fn info(&self) -> Result<GroupInfo> {
        let desk = &self.seat.desk;
        desk.look(|ledger, now| {
            let ends = desk.ground.ends();
            let counts = ledger.counts(now.at);
            let partitions = (0..).zip(&ends).map(|(partition, end)| {
                let cursor = ledger.cursor(partition).unwrap_or(*end);
                GroupPartition {
                    floor: ledger.floor(partition).unwrap_or(cursor),
                    next: cursor,
                    end: *end,
                }
            });
            let members =
                ledger.members().map(|(_, name, leased)| Member { name: name.to_owned(), leased });
            GroupInfo {
                name: desk.name.to_string(),
                created: wall_time(desk.created),
                lag: ledger.lag(&ends),
                leased: counts.leased,
                delayed: counts.delayed,
                due: counts.due,
                parked: counts.parked,
                acked: counts.acked,
                discarded: counts.discarded,
                skipped: counts.lost,
                redelivered: counts.redelivered,
                blocked_reads: desk.waiters.len(),
                partitions: partitions.collect(),
                members: members.collect(),
            }
        })
    }

    /// Ends a consumer's membership from outside; what it held goes back at once.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such member, and those of [`ack`](Self::ack).
    pub fn remove_consumer(&self, name: &str) -> Result<()> {
        self.seat.desk.remove(name)
    }

    /// How long until something in the group is due by time: a lease or session ends, or an entry
    /// has waited long enough.
    pub fn next_deadline(&self) -> Option<Duration> {
        let now = self.seat.desk.ground.time.now();
        let next = self.seat.desk.next_moment(now);
        (next < crate::clock::Moment::NEVER).then(|| next.since(now))
    }

    /// Deletes the group for good, for every handle: blocked reads end with
    /// [`Error::GroupDeleted`]. A group of the same name that is made later inherits nothing.
    ///
    /// # Errors
    /// [`Error::GroupDeleted`] if somebody else did, [`Error::Closed`], [`Error::Poisoned`],
    /// [`Error::DiskFull`], [`Error::Io`].
    pub fn delete(&self) -> Result<()> {
        delete_group(&self.seat.handle.mill, &self.seat.desk)
    }
}

/// A group as it was at one moment.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct GroupInfo {
    /// Its name.
    pub name: String,
    /// When it was made, by the wall clock.
    pub created: SystemTime,
    /// Entries that are neither settled nor set aside.
    pub lag: u64,
    /// Of these, those in somebody's hands.
    pub leased: u64,
    /// Of these, those that wait for their backoff.
    pub delayed: u64,
    /// Of these, those that the next read hands out again.
    pub due: u64,
    /// Entries set aside after their last attempt.
    pub parked: u64,
    /// Entries acked since the group was made.
    pub acked: u64,
    /// Entries discarded since the group was made.
    pub discarded: u64,
    /// Entries skipped as lost since the group was made.
    pub skipped: u64,
    /// Hand-outs that were not an entry's first, since the group was made.
    pub redelivered: u64,
    /// Reads that are blocked now.
    pub blocked_reads: usize,
    /// One for each partition, in order.
    pub partitions: Vec<GroupPartition>,
    /// The members.
    pub members: Vec<Member>,
}

/// Where a group stands in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct GroupPartition {
    /// Everything below is settled or set aside.
    pub floor: u64,
    /// The first offset that was never handed out.
    pub next: u64,
    /// The offset that the next entry gets.
    pub end: u64,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Member {
    /// The consumer's name.
    pub name: String,
    /// How many entries it holds.
    pub leased: u64,
}

/// An entry that was handed out and is not settled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Pending {
    /// Which.
    pub id: EntryId,
    /// Who holds it; `None` if it waits to be handed out again.
    pub consumer: Option<String>,
    /// How often it was handed out.
    pub attempts: u16,
    /// How long until its lease ends, or until it can be handed out again; zero if that is over.
    pub due_in: Duration,
}
