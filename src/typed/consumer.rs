//! Reading values in a group, and resolving them.

use std::time::Duration;

use super::codec::Codec;
use super::handle::{TypedBatch, TypedConsumer, TypedDelivery, TypedGroup};
use crate::error::Result;
use crate::id::Token;
#[cfg(doc)]
use crate::{batch::Batch, claim::Claimed, consumer::Consumer, delivery::Delivery, group::Group};

/// Everything else is [`Group`]'s.
impl<T, C: Codec> TypedGroup<T, C> {
    /// Makes a consumer of values a member of the group: [`Group::join`].
    ///
    /// # Errors
    /// Those of [`Group::join`].
    pub fn join(&self, name: &str) -> Result<TypedConsumer<T, C>> {
        self.plain().join(name).map(|consumer| self.about(consumer))
    }
}

/// Everything else is [`Consumer`]'s. What it claims is plain; [`Batch::typed`] makes it typed:
/// `worker.claim(ids, idle)?.batch.typed::<Order>()`.
impl<T, C: Codec> TypedConsumer<T, C> {
    /// Reads at most `max` values, and waits for the first one: [`Consumer::read`].
    ///
    /// # Errors
    /// Those of [`Consumer::read`]. A payload that is no value is none of them.
    pub fn read(&self, max: u32) -> Result<TypedBatch<T, C>> {
        self.plain().read(max).map(|batch| self.about(batch))
    }

    /// Reads at most `max` values of those that are there: [`Consumer::try_read`].
    ///
    /// # Errors
    /// Those of [`Consumer::read`].
    pub fn try_read(&self, max: u32) -> Result<TypedBatch<T, C>> {
        self.plain().try_read(max).map(|batch| self.about(batch))
    }

    /// Reads at most `max` values, and waits at most `wait` for the first one:
    /// [`Consumer::read_timeout`].
    ///
    /// # Errors
    /// Those of [`Consumer::read`].
    pub fn read_timeout(&self, max: u32, wait: Duration) -> Result<TypedBatch<T, C>> {
        self.plain().read_timeout(max, wait).map(|batch| self.about(batch))
    }

    /// The same with a lease of its own: [`Consumer::read_leased`].
    ///
    /// # Errors
    /// Those of [`Consumer::read_leased`].
    pub fn read_leased(
        &self,
        max: u32,
        wait: Duration,
        lease: Duration,
    ) -> Result<TypedBatch<T, C>> {
        self.plain().read_leased(max, wait, lease).map(|batch| self.about(batch))
    }

    /// Leaves the group: [`Consumer::leave`].
    ///
    /// # Errors
    /// Those of [`Consumer::leave`].
    pub fn leave(self) -> Result<()> {
        self.into_plain().leave()
    }
}

/// Everything else is [`Delivery`]'s.
impl<T, C> TypedDelivery<T, C> {
    /// Settles the entry: [`Delivery::ack`].
    ///
    /// # Errors
    /// Those of [`Delivery::ack`].
    pub fn ack(self) -> Result<()> {
        self.into_plain().ack()
    }

    /// Counts the attempt as failed: [`Delivery::nack`].
    ///
    /// # Errors
    /// Those of [`Delivery::ack`].
    pub fn nack(self) -> Result<()> {
        self.into_plain().nack()
    }

    /// The same, and the entry comes again after `wait`: [`Delivery::nack_after`].
    ///
    /// # Errors
    /// Those of [`Delivery::ack`].
    pub fn nack_after(self, wait: Duration) -> Result<()> {
        self.into_plain().nack_after(wait)
    }

    /// Hands the entry back as if it had not been handed out: [`Delivery::release`].
    ///
    /// # Errors
    /// Those of [`Delivery::ack`].
    pub fn release(self) -> Result<()> {
        self.into_plain().release()
    }

    /// Gives the entry up, with the words that say why: [`Delivery::reject`]. Those of
    /// [`Undecodable::reason`](super::Undecodable::reason) are made for it.
    ///
    /// # Errors
    /// Those of [`Delivery::ack`].
    pub fn reject(self, reason: &str) -> Result<()> {
        self.into_plain().reject(reason)
    }

    /// Ends the handle and keeps the lease: [`Delivery::detach`].
    pub fn detach(self) -> Token {
        self.into_plain().detach()
    }
}
