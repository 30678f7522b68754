//! [`Consumer`]: one member of a group.

mod claim;

use std::sync::Arc;
use std::time::Duration;

use crate::batch::Batch;
use crate::claim::batch;
use crate::clock::Moment;
use crate::delivery::Settlement;
use crate::engine::{Post, Verb, Want};
use crate::error::Result;
use crate::events::Event;
use crate::id::{EntryId, Token};
use crate::ledger::Again;
use crate::limits::{lasting, shortened};
use crate::reader::at_least_one;

/// One named member of a group, from [`Group::join`](crate::Group::join).
///
/// A cheap clone that any thread may use; the clones are one member. It leaves the group when the
/// last of them is dropped, and what it held then goes back at once.
///
/// ```
/// use std::time::Duration;
/// use millstream::{Start, Stream};
///
/// let stream = Stream::options().in_memory()?;
/// stream.append("order 1001")?;
/// let worker = stream.group("billing").open(Start::Earliest)?.join("worker-1")?;
/// for delivery in worker.read_timeout(100, Duration::from_secs(1))? {
///     assert_eq!(delivery.attempt(), 1);
///     delivery.ack()?;
/// }
/// # Ok::<(), millstream::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Consumer {
    post: Arc<Post>,
}

impl Consumer {
    pub(crate) fn new(post: Arc<Post>) -> Self {
        Self { post }
    }

    /// The consumer's name.
    pub fn name(&self) -> &str {
        &self.post.name
    }

    /// Reads at most `max` entries, and waits for the first one if there is none. First comes what
    /// is due again, in the order in which it became due, then what is new.
    ///
    /// Under a self-advancing [`ManualClock`](crate::ManualClock), where nothing can come while
    /// this waits but by time, it gives an empty batch once nothing is due at any time.
    ///
    /// # Errors
    /// [`Error::TooSmall`](crate::Error::TooSmall) if `max` is 0,
    /// [`Error::NotAMember`](crate::Error::NotAMember) (also while it waits),
    /// [`Error::GroupDeleted`](crate::Error::GroupDeleted),
    /// [`Error::Closed`](crate::Error::Closed), [`Error::Corrupt`](crate::Error::Corrupt) (and
    /// nothing was handed out), [`Error::DiskFull`](crate::Error::DiskFull),
    /// [`Error::Poisoned`](crate::Error::Poisoned),
    /// [`Error::PositionTrimmed`](crate::Error::PositionTrimmed),
    /// [`Error::AlreadyReading`](crate::Error::AlreadyReading). Once each time, if this call found
    /// that somebody's session ended, [`Error::StrategyFailed`](crate::Error::StrategyFailed): the
    /// next read goes on.
    pub fn read(&self, max: u32) -> Result<Batch> {
        self.read_until(max, None, Moment::NEVER)
    }

    /// Reads at most `max` entries of those that are there.
    ///
    /// # Errors
    /// Those of [`read`](Self::read).
    pub fn try_read(&self, max: u32) -> Result<Batch> {
        at_least_one(max)?;
        self.post.seat.handle.mill.flush_if_due()?;
        let _reading = self.post.begin_read()?;
        let answer = self.post.seat.desk.lend(&self.post, Want { max, lease: None })?;
        Ok(batch(answer))
    }

    /// Reads at most `max` entries, and waits at most `wait` for the first one. Nothing to read is
    /// an empty batch, whose [`blocked`](Batch::blocked) says why.
    ///
    /// # Errors
    /// Those of [`read`](Self::read).
    pub fn read_timeout(&self, max: u32, wait: Duration) -> Result<Batch> {
        let until = self.post.seat.desk.ground.time.now().after(wait);
        self.read_until(max, None, until)
    }

    /// As [`read_timeout`](Self::read_timeout), with a lease of its own for what it reads.
    ///
    /// # Errors
    /// [`Error::InvalidOption`](crate::Error::InvalidOption) for a lease of zero or over a year,
    /// and those of [`read`](Self::read).
    pub fn read_leased(&self, max: u32, wait: Duration, lease: Duration) -> Result<Batch> {
        lasting("lease", lease)?;
        let until = self.post.seat.desk.ground.time.now().after(wait);
        self.read_until(max, Some(lease), until)
    }

    fn read_until(&self, max: u32, lease: Option<Duration>, until: Moment) -> Result<Batch> {
        at_least_one(max)?;
        let mill = &self.post.seat.handle.mill;
        mill.flush_if_due()?;
        let _reading = self.post.begin_read()?;
        let want = Want { max, lease };
        let tend = || mill.flush_if_due();
        let answer = self.post.seat.desk.lend_until(&self.post, want, until, tend)?;
        Ok(batch(answer))
    }

    /// Has `hook` called when something may be readable by this consumer, so that it need not
    /// block: an async runtime can wake a task, or one thread can look after many groups. It is
    /// called once here if something may be there already, and then after every change that may make
    /// something readable: an entry, a hand-back, a resumed group, other partitions, the end of
    /// the group. Read until nothing comes, then wait for the next call; it may come for nothing, and
    /// never fails to come. A second hook takes the place of the first.
    ///
    /// A consumer that waits for its hook gives no sign of life: see to it that it calls
    /// [`heartbeat`](Self::heartbeat) within the session timeout. A hook that owns a handle of this
    /// stream keeps it open until [`clear_ready`](Self::clear_ready), or until the stream is closed.
    ///
    /// It is called by whatever thread made the change, one call at a time and with no lock held:
    /// it may call anything, but should be short and not block; its panics are ignored. What becomes
    /// due by time needs somebody to look: [`Stream::maintain`](crate::Stream::maintain) calls the
    /// hooks of what is due by then, and says when to call it again.
    ///
    /// ```
    /// use std::sync::mpsc;
    /// use millstream::{Start, Stream};
    ///
    /// let stream = Stream::options().in_memory()?;
    /// let worker = stream.group("billing").open(Start::Earliest)?.join("worker-1")?;
    /// let (wake, woken) = mpsc::channel();
    /// worker.on_ready(move || drop(wake.send(())))?;
    ///
    /// stream.append("order 1001")?;
    /// woken.recv().expect("the hook was called");
    /// assert_eq!(worker.try_read(10)?.len(), 1);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NotAMember`](crate::Error::NotAMember), and those of [`read`](Self::read) but
    /// `Corrupt`.
    pub fn on_ready(&self, hook: impl Fn() + Send + Sync + 'static) -> Result<()> {
        self.post.seat.desk.on_ready(self.post.member, Arc::new(hook))
    }

    /// Takes the hook of [`on_ready`](Self::on_ready) away.
    pub fn clear_ready(&self) {
        self.post.seat.desk.clear_ready(self.post.member);
    }

    /// Says that the consumer is alive. Every other call of it, and of its deliveries, says so too.
    ///
    /// # Errors
    /// [`Error::NotAMember`](crate::Error::NotAMember) if its session is over already, and those of
    /// [`read`](Self::read) but `Corrupt`.
    pub fn heartbeat(&self) -> Result<()> {
        self.post.seat.desk.heartbeat(self.post.member)
    }

    /// Settles what these tokens hold. Those that are void come back with the reason.
    ///
    /// # Errors
    /// [`Error::GroupDeleted`](crate::Error::GroupDeleted),
    /// [`Error::Closed`](crate::Error::Closed), [`Error::Poisoned`](crate::Error::Poisoned),
    /// [`Error::DiskFull`](crate::Error::DiskFull): nothing changed.
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

    /// Gives up what these tokens hold, as [`Delivery::reject`](crate::Delivery::reject) does.
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

    /// Makes the leases of these tokens end `lease` from now.
    ///
    /// # Errors
    /// [`Error::InvalidOption`](crate::Error::InvalidOption) for a lease of zero or over a year,
    /// and those of [`ack`](Self::ack).
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
        let member = Some(self.post.member);
        let outcome = self.post.seat.desk.settle_tokens(member, tokens.into_iter(), verb)?;
        self.post.seat.handle.mill.flush_if_due()?;
        Ok(Settlement::new(outcome))
    }

    /// The partitions that the consumer reads, in order: its own, or all of them under
    /// [`Shared`](crate::assign::Shared).
    ///
    /// # Errors
    /// [`Error::NotAMember`](crate::Error::NotAMember), [`Error::GroupDeleted`](crate::Error::GroupDeleted),
    /// [`Error::Closed`](crate::Error::Closed).
    pub fn assignment(&self) -> Result<Vec<u32>> {
        let (partitions, generation) = self.post.seat.desk.assignment_of(self.post.member)?;
        self.post.learn(generation);
        Ok(partitions)
    }

    /// The group's generation: a number that grows at every change of the assignment.
    ///
    /// # Errors
    /// Those of [`assignment`](Self::assignment).
    pub fn generation(&self) -> Result<u64> {
        let (_, generation) = self.post.seat.desk.assignment_of(self.post.member)?;
        self.post.learn(generation);
        Ok(generation)
    }

    /// What happened to this consumer since the last call: partitions that it was given
    /// ([`Event::Assigned`](crate::Event::Assigned)), that it has to let go of
    /// ([`Revoked`](crate::Event::Revoked)) or lost ([`Lost`](crate::Event::Lost)), and its end.
    ///
    /// A blocked read returns early, with an empty batch, once for what is new here. At most 256
    /// events wait; if there are more, the newest are left out. [`assignment`](Self::assignment)
    /// tells what holds now. (Kafka's rebalance listener tells the same, as callbacks.)
    pub fn events(&self) -> Vec<Event> {
        let events = self.post.notices.drain();
        for event in &events {
            if let Event::Assigned { generation, .. } = event {
                self.post.learn(*generation);
            }
        }
        events
    }

    /// How many of this consumer's events were left out, because nobody took them.
    pub fn missed_events(&self) -> u64 {
        self.post.notices.missed()
    }

    /// Settles everything of one partition up to `id`, `id` included, that no other consumer holds:
    /// what was handed out, what waits to be handed out again, and what was never handed out. Says
    /// how many entries that are. (Kafka's commit of an offset.)
    ///
    /// # Errors
    /// [`Error::NotAssigned`](crate::Error::NotAssigned) if the partition is another consumer's,
    /// [`Error::Fenced`](crate::Error::Fenced) if it was taken and given back since this consumer
    /// last looked, [`Error::StartBeyondEnd`](crate::Error::StartBeyondEnd) if there is no such
    /// entry yet, [`Error::NoSuchPartition`](crate::Error::NoSuchPartition),
    /// [`Error::NotAMember`](crate::Error::NotAMember), and those of [`ack`](Self::ack).
    pub fn ack_through(&self, id: EntryId) -> Result<u64> {
        let Post { seat, member, .. } = &*self.post;
        let settled = seat.desk.settle_through(*member, self.post.seen(), id)?;
        seat.handle.mill.flush_if_due()?;
        Ok(settled)
    }

    /// Settles everything that this consumer holds now, whichever read it is from. Says how many
    /// entries that are.
    ///
    /// # Errors
    /// [`Error::NotAMember`](crate::Error::NotAMember), and those of [`ack`](Self::ack).
    pub fn ack_all(&self) -> Result<u64> {
        let settled = self.post.seat.desk.settle_held(self.post.member)?;
        self.post.seat.handle.mill.flush_if_due()?;
        Ok(settled)
    }

    /// Leaves the group, for all clones. What the consumer held goes back at once: what it looked
    /// at keeps its count, the rest is as if it had not been handed out.
    ///
    /// # Errors
    /// [`Error::NotAMember`](crate::Error::NotAMember) if it is none any more, and those of
    /// [`ack`](Self::ack); [`Error::StrategyFailed`](crate::Error::StrategyFailed) if the group's
    /// strategy did not say who is to have its partitions: it has left all the same.
    pub fn leave(self) -> Result<()> {
        self.post.seat.desk.leave(self.post.member)
    }
}
