//! [`Group`]: a durable, named reader of a stream that its consumers share.

mod letters;
mod steer;

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Moment;
use crate::consumer::Consumer;
use crate::delivery::Settlement;
use crate::engine::{Post, Seat, Verb};
use crate::entries::Entry;
use crate::error::{Error, Result};
use crate::events::{Cause, Events};
use crate::id::{EntryId, Token};
use crate::info::{GroupInfo, Pending, PendingSummary};
use crate::ledger::Again;
use crate::letter::{DeadLetter, Redriven};
use crate::limits::{lasting, named, shortened};
use crate::parked::{Parked, ParkedQuery};
use crate::pending::PendingQuery;
use crate::reader::at_least_one;
use crate::stream::Stream;

/// A durable, named reader of a stream, shared by its consumers: each entry goes to one of them,
/// and comes again until one settles it. Groups of a stream never see each other.
///
/// In a stream that was opened by [`open_read_only`](crate::StreamOptions::open_read_only) it is there
/// to be looked at: each call shows what the owner of the stream, in whatever process, has written
/// by then. All that would change anything gives [`Error::ReadOnly`], and so does
/// [`events`](Self::events), as nobody there would be told. Whether a lease is over is for the owner to
/// say: one whose time is up stays leased, due in nothing, until an owner takes it back.
///
/// ```
/// use millstream::{Error, Start, Stream};
///
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("orders");
/// let stream = Stream::open(&path)?;
/// let billing = stream.group("billing").open(Start::Earliest)?;
///
/// // In another process, or here:
/// let onlooker = Stream::options().open_read_only(&path)?;
/// let seen = onlooker.group("billing").open_existing()?;
/// stream.append("order 1001")?;
/// let worker = billing.join("worker-1")?;
/// let batch = worker.try_read(9)?;
/// assert_eq!((seen.lag()?, seen.pending()?.consumers["worker-1"]), (1, 1));
/// assert!(matches!(seen.join("worker-2"), Err(Error::ReadOnly)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// A cheap clone that any thread may use. (The idea is that of Redis Streams' consumer groups,
/// Kafka's share groups and `JetStream`'s durable consumers.)
#[derive(Clone, Debug)]
pub struct Group {
    pub(crate) seat: Arc<Seat>,
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
    /// [`Error::MemberExists`] if a live member has the name, [`Error::StrategyFailed`] (and nobody
    /// joined, and nothing moved), [`Error::InvalidName`],
    /// [`Error::LimitReached`] at 65,535 members, [`Error::GroupDeleted`], [`Error::Closed`],
    /// [`Error::Poisoned`], [`Error::DiskFull`].
    pub fn join(&self, name: &str) -> Result<Consumer> {
        named("consumer", name)?;
        let joined = self.seat.desk.join(name)?;
        Ok(Consumer::new(Arc::new(Post::new(Arc::clone(&self.seat), name, joined))))
    }

    /// Asks the group's strategy again who is to own which partition, for a strategy whose answer
    /// depends on more than members and partitions, or that failed before. If it fails when a member
    /// went, the partitions of that member have no reader until the next join or leave, or until this
    /// is called.
    ///
    /// # Errors
    /// [`Error::StrategyFailed`], and those of [`ack`](Self::ack).
    pub fn rebalance(&self) -> Result<()> {
        self.seat.desk.rebalance(Cause::Asked)
    }

    /// What happens in the group from now on, in a receiver of its own.
    ///
    /// # Errors
    /// [`Error::GroupDeleted`], [`Error::Closed`]; [`Error::ReadOnly`] in a stream opened for reading
    /// only.
    pub fn events(&self) -> Result<Events> {
        self.seat.desk.check()?;
        self.seat.desk.ground.check_mode()?;
        Ok(self.seat.desk.board.subscribe())
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

    /// Gives up what these tokens hold, whatever attempts it has left, for a reason of which the
    /// first 1,024 bytes are kept: it is parked, discarded or dead-lettered as the group says.
    ///
    /// # Errors
    /// Those of [`ack`](Self::ack).
    pub fn reject(
        &self,
        tokens: impl IntoIterator<Item = Token>,
        reason: &str,
    ) -> Result<Settlement> {
        self.settle(tokens, Verb::Nack(Again::Never(shortened(reason))))
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

    fn settle(
        &self,
        tokens: impl IntoIterator<Item = Token>,
        verb: Verb<'_>,
    ) -> Result<Settlement> {
        let outcome = self.seat.desk.settle_tokens(None, tokens.into_iter(), verb)?;
        self.seat.handle.mill.flush_if_due()?;
        Ok(Settlement::new(outcome))
    }

    /// The entries that were set aside, in order: those that the query chooses, or the first so
    /// many of all.
    ///
    /// # Errors
    /// [`Error::InvalidName`] for a subject that is no pattern, [`Error::GroupDeleted`],
    /// [`Error::Closed`].
    pub fn parked(&self, query: impl Into<ParkedQuery>) -> Result<Vec<Parked>> {
        self.seat.parked(&query.into())
    }

    /// Makes parked entries available again, due now, as if they had never been handed out: those
    /// that the query chooses, or the first so many of all. Says how many there were. (SQS's
    /// redrive.)
    ///
    /// # Errors
    /// [`Error::InvalidName`] for a subject that is no pattern, and those of [`ack`](Self::ack).
    pub fn redrive(&self, query: impl Into<ParkedQuery>) -> Result<u64> {
        self.seat.redrive(&query.into())
    }

    /// Brings the entry back that a dead letter of this group is of, for this group alone, with no
    /// attempts: under its own id if the stream still holds it, else it is appended anew, and
    /// all other groups pass it by. What becomes of the dead letter is the caller's to say:
    /// read the dead letters with a group of their own, and ack what was redriven. Redriving the
    /// same letter again does nothing as long as the entry under its own id is not settled.
    /// [`redrive_letters`](Self::redrive_letters) does it for many.
    ///
    /// ```
    /// use millstream::{Exhausted, Redriven, Start, Stream};
    ///
    /// let (orders, letters) = (Stream::options().in_memory()?, Stream::options().in_memory()?);
    /// let id = orders.append("order 1001")?;
    /// let options = orders.group("billing").on_exhausted(Exhausted::DeadLetter(letters.clone()));
    /// let billing = options.open(Start::Earliest)?;
    /// let worker = billing.join("worker-1")?;
    /// for delivery in worker.try_read(1)? {
    ///     delivery.reject("no such customer")?;
    /// }
    ///
    /// let mender = letters.group("mender").open(Start::Earliest)?.join("me")?;
    /// for letter in mender.try_read(100)? {
    ///     assert_eq!(billing.redrive_letter(&letter)?, Redriven::Available(id));
    ///     letter.ack()?;
    /// }
    /// assert_eq!(worker.try_read(1)?.iter().next().expect("it is back").attempt(), 1);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NotADeadLetter`] if the entry is none, or one of another group or stream;
    /// [`Error::Corrupt`] if the original cannot be read; those of [`ack`](Self::ack) and
    /// [`Stream::append`].
    pub fn redrive_letter(&self, letter: &Entry) -> Result<Redriven> {
        let told = DeadLetter::of(letter)
            .ok_or(Error::NotADeadLetter { id: letter.id(), why: "it tells of no original" })?;
        self.seat.redrive_letter(&told, letter.id(), || letter.parcel.draft(letter.index))
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
        self.seat.desk_now()?.lag()
    }

    /// For each partition, the offset below which everything is settled or set aside.
    ///
    /// # Errors
    /// [`Error::GroupDeleted`], [`Error::Closed`].
    pub fn floors(&self) -> Result<Vec<u64>> {
        let desk = self.seat.desk_now()?;
        let partitions = desk.ground.partitions();
        desk.look(|ledger, _| {
            (0..partitions).map(|partition| ledger.floor(partition).unwrap_or(0)).collect()
        })
    }

    /// What was handed out and is not settled, in numbers. (Redis Streams' XPENDING without a range.)
    ///
    /// # Errors
    /// [`Error::GroupDeleted`], [`Error::Closed`].
    pub fn pending(&self) -> Result<PendingSummary> {
        self.seat.desk_now()?.pending_summary()
    }

    /// The entries that were handed out and are not settled, in order of ids: leased ones, and
    /// those that wait to be handed out again. With them those that a read came by before they were
    /// due: these have no attempts and are never idle. (XPENDING with a range.)
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use millstream::{PendingQuery, Start, Stream};
    /// # let stream = Stream::options().in_memory()?;
    /// # stream.append_batch(["a", "b", "c"])?;
    /// # let group = stream.group("billing").open(Start::Earliest)?;
    /// # let worker = group.join("worker-1")?;
    /// # let batch = worker.try_read(9)?;
    /// assert_eq!(group.pending()?.total, 3);
    /// let stuck = PendingQuery::new().consumer("worker-1").idle(Duration::from_secs(60)).max(100);
    /// for row in group.pending_entries(&stuck)? {
    ///     println!("{} attempt {}, idle for {:?}", row.id, row.attempts, row.idle);
    /// }
    /// # Ok::<(), millstream::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::TooSmall`] for a query of at most 0, [`Error::GroupDeleted`], [`Error::Closed`].
    pub fn pending_entries(&self, query: &PendingQuery) -> Result<Vec<Pending>> {
        at_least_one(query.max)?;
        self.seat.desk_now()?.pending_entries(&query.sought())
    }

    /// Settles entries by their ids, whoever holds them: an administrator's act, of which every
    /// receiver of the group's events is told ([`Event::AckedById`](crate::Event::AckedById)). Who
    /// held them finds its leases lost, as settled. Ids that are not pending are passed over; says
    /// how many were. (XACK. Consumers ack by delivery or token, which counts only as long as the
    /// lease is theirs.)
    ///
    /// # Errors
    /// Those of [`ack`](Self::ack).
    pub fn ack_entries(&self, ids: impl IntoIterator<Item = EntryId>) -> Result<u64> {
        self.seat.desk.ack_ids(&ids.into_iter().collect::<Vec<_>>())
    }

    /// The group as it is now.
    ///
    /// # Errors
    /// [`Error::GroupDeleted`], [`Error::Closed`].
    pub fn info(&self) -> Result<GroupInfo> {
        self.seat.desk_now()?.info()
    }

    /// Ends a consumer's membership from outside; what it held goes back at once.
    ///
    /// # Errors
    /// [`Error::NotFound`] if there is no such member, and those of [`ack`](Self::ack);
    /// [`Error::StrategyFailed`] if the group's strategy did not say who is to have its partitions:
    /// it is removed all the same.
    pub fn remove_consumer(&self, name: &str) -> Result<()> {
        self.seat.desk.remove(name)
    }

    /// How long until something in the group is due by time: a lease or session ends, or an entry
    /// has waited long enough. A new entry that comes with a time of its own counts once a read has
    /// come by it.
    pub fn next_deadline(&self) -> Option<Duration> {
        // What cannot be followed now is told by the next call that can fail.
        let desk = self.seat.desk_now().unwrap_or(&self.seat.desk);
        let now = desk.ground.time.now();
        let next = desk.next_moment(now).min(desk.next_burial());
        (next < Moment::NEVER).then(|| next.since(now))
    }
}
