//! Steering a group: moving it, skipping, pausing and draining it, giving it other settings,
//! deleting it.

use std::time::Duration;

use super::Group;
use crate::engine::delete_group;
use crate::error::{Error, Result};
use crate::id::EntryId;
use crate::limits::lasting;
use crate::options::GroupOptions;
use crate::start::Start;

impl Group {
    /// Goes on elsewhere in all partitions, back or forth. What was handed out and not settled is
    /// forgotten, with its attempts, and all tokens are void; what lies before the new position and
    /// was not settled is given up, and counted as skipped. If it is trimmed already, what is missing is
    /// counted as trimmed, told by [`Event::Trimmed`](crate::Event::Trimmed), and goes by
    /// [`GroupOptions::on_trimmed`]. Entries that are parked before the new
    /// position stay parked. When this returns, it is durable.
    ///
    /// # Errors
    /// [`Error::StartBeyondEnd`], [`Error::NoSuchPartition`], and those of [`ack`](Self::ack).
    #[expect(clippy::needless_pass_by_value, reason = "a start is made where it is given")]
    pub fn reset(&self, start: Start) -> Result<()> {
        self.seat.desk.check()?;
        self.seat.desk.ground.check_mode()?;
        let steady = self.seat.handle.mill.steady();
        let starts = self.seat.desk.ground.places(&start)?;
        let ids = (0..).zip(starts).map(|(partition, offset)| EntryId::new(partition, offset));
        let reset = self.seat.desk.reset(&ids.collect::<Vec<_>>());
        drop(steady);
        self.seat.desk.call_hooks();
        reset
    }

    /// The same for one partition; the others stay where they are.
    ///
    /// # Errors
    /// Those of [`reset`](Self::reset).
    #[expect(clippy::needless_pass_by_value, reason = "a start is made where it is given")]
    pub fn reset_partition(&self, partition: u32, start: Start) -> Result<()> {
        self.seat.desk.check()?;
        self.seat.desk.ground.check_mode()?;
        let steady = self.seat.handle.mill.steady();
        let ground = &self.seat.desk.ground;
        ground.log(partition)?;
        let offset = ground.places(&start)?[partition as usize];
        let reset = self.seat.desk.reset(&[EntryId::new(partition, offset)]);
        drop(steady);
        self.seat.desk.call_hooks();
        reset
    }

    /// Settles all entries of a partition from `first` to before `end` as lost, whatever they are:
    /// the way past entries that cannot be read. Says how many were lost by it.
    ///
    /// # Errors
    /// [`Error::StartBeyondEnd`] if new entries before `first` would be jumped over, or the
    /// partition does not reach to `end`; [`Error::NoSuchPartition`]; those of [`ack`](Self::ack).
    pub fn skip(&self, partition: u32, offsets: std::ops::Range<u64>) -> Result<u64> {
        self.seat.desk.ground.check_mode()?;
        let log = self.seat.desk.ground.log(partition)?;
        if offsets.end > log.visible() {
            let start = EntryId::new(partition, offsets.end);
            return Err(Error::StartBeyondEnd { start, end: log.visible() });
        }
        self.seat.desk.skip(partition, offsets.start, offsets.end)
    }

    /// Stops hand-outs until [`resume`](Self::resume), also when the stream is opened again: reads find
    /// nothing and say [`Blocked::Paused`](crate::Blocked::Paused). Acks and the like go on.
    ///
    /// # Errors
    /// Those of [`ack`](Self::ack).
    pub fn pause(&self) -> Result<()> {
        self.seat.desk.pause(None)
    }

    /// The same, but hand-outs go on by themselves after `wait`.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] for a wait of zero or over a year, and those of
    /// [`ack`](Self::ack).
    pub fn pause_for(&self, wait: Duration) -> Result<()> {
        lasting("the wait of a pause", wait)?;
        self.seat.desk.pause(Some(wait))
    }

    /// Lets hand-outs go on after a pause. Nothing happens if there is none.
    ///
    /// # Errors
    /// Those of [`ack`](Self::ack).
    pub fn resume(&self) -> Result<()> {
        self.seat.desk.resume()
    }

    /// Pauses the group, and waits until nothing is leased any more, at most `wait`. Gives the
    /// entries that still are, with the names of their consumers. The group stays paused, so that it can
    /// be closed or altered in peace; [`resume`](Self::resume) lets it go on. Entries whose lease
    /// ends meanwhile are not leased any more: they wait to be handed out again.
    ///
    /// # Errors
    /// Those of [`ack`](Self::ack), also while it waits.
    pub fn drain(&self, wait: Duration) -> Result<Vec<(EntryId, String)>> {
        let mill = &self.seat.handle.mill;
        let until = mill.ground.time.now().after(wait);
        self.seat.desk.drain(until, || mill.flush_if_due())
    }

    /// Options for [`alter`](Self::alter), in which nothing is set.
    pub fn options(&self) -> GroupOptions {
        GroupOptions::new(self.stream(), self.name())
    }

    /// Gives the group other settings while it is in use; what is not set stays as it is. What was
    /// decided under the old ones stays decided: a lease that runs ends when it was to end. Another
    /// [`AckMode`](crate::AckMode) counts for what is held already, too.
    ///
    /// Another strategy is asked at once; if it fails, nothing is altered.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # use millstream::{Start, Stream};
    /// # let stream = Stream::options().in_memory()?;
    /// # let group = stream.group("billing").open(Start::Earliest)?;
    /// group.alter(group.options().lease(Duration::from_secs(5)).max_deliveries(3))?;
    /// # Ok::<(), millstream::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidOption`], [`Error::StrategyFailed`], and those of [`ack`](Self::ack).
    pub fn alter(&self, options: GroupOptions) -> Result<()> {
        options.alter(&self.seat)
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
