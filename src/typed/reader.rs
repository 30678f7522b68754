//! Reading values without a group.

use std::time::Duration;

use super::codec::Codec;
use super::handle::{TypedEntries, TypedReader, TypedSubscription};
use crate::error::Result;
use crate::id::EntryId;
#[cfg(doc)]
use crate::reader::{Reader, Subscription};

/// The three ways to read, as both plain handles have them.
macro_rules! verbs {
    ($plain:ident) => {
        #[doc = concat!("Reads at most `max` values, and waits for the first one: [`", stringify!($plain), "::read`].")]
        ///
        /// # Errors
        #[doc = concat!("Those of [`", stringify!($plain), "::read`]. A payload that is no value is none of them.")]
        pub fn read(&self, max: u32) -> Result<TypedEntries<T, C>> {
            self.plain().read(max).map(|entries| self.about(entries))
        }

        /// Reads at most `max` values of those that are there.
        ///
        /// # Errors
        /// Those of [`read`](Self::read).
        pub fn try_read(&self, max: u32) -> Result<TypedEntries<T, C>> {
            self.plain().try_read(max).map(|entries| self.about(entries))
        }

        /// Reads at most `max` values, and waits at most `wait` for the first one.
        ///
        /// # Errors
        /// Those of [`read`](Self::read).
        pub fn read_timeout(&self, max: u32, wait: Duration) -> Result<TypedEntries<T, C>> {
            self.plain().read_timeout(max, wait).map(|entries| self.about(entries))
        }
    };
}

/// Everything else is [`Reader`]'s.
impl<T, C: Codec> TypedReader<T, C> {
    verbs!(Reader);

    /// Gives only entries whose subject matches: [`Reader::filter`].
    ///
    /// # Errors
    /// Those of [`Reader::filter`].
    pub fn filter(self, pattern: impl AsRef<str>) -> Result<Self> {
        let codec = self.codec.clone();
        Ok(self.into_plain().filter(pattern)?.typed_with(codec))
    }

    /// Ends before what is appended from now on: [`Reader::until_now`].
    #[must_use]
    pub fn until_now(self) -> Self {
        let codec = self.codec.clone();
        self.into_plain().until_now().typed_with(codec)
    }

    /// Ends before this entry: [`Reader::until`].
    ///
    /// # Errors
    /// Those of [`Reader::until`].
    pub fn until(self, end: EntryId) -> Result<Self> {
        let codec = self.codec.clone();
        Ok(self.into_plain().until(end)?.typed_with(codec))
    }

    /// Goes from the end back to the start: [`Reader::backward`].
    #[must_use]
    pub fn backward(self) -> Self {
        let codec = self.codec.clone();
        self.into_plain().backward().typed_with(codec)
    }
}

/// Everything else is [`Subscription`]'s.
impl<T, C: Codec> TypedSubscription<T, C> {
    verbs!(Subscription);
}
