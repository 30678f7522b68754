//! Reading values: [`Typed::value`], and [`Undecodable`] where there is none.

use std::error::Error;
use std::fmt;

use serde::de::DeserializeOwned;

use super::codec::{Codec, Reason};
use super::handle::Typed;
use crate::batch::Held;
use crate::delivery::Delivery;
use crate::entries::{Entry, View};
use crate::id::EntryId;

mod sealed {
    pub trait Sealed {}
}

/// What has one payload: [`Entry`], [`View`], [`Delivery`] and [`Held`]. Only this crate can
/// implement it.
pub trait Payload: sealed::Sealed {
    /// Where the entry stands.
    fn id(&self) -> EntryId;
    /// What was appended.
    fn payload(&self) -> &[u8];
}

macro_rules! payloads {
    ($($plain:ty),+) => {$(
        impl sealed::Sealed for $plain {}

        impl Payload for $plain {
            fn id(&self) -> EntryId {
                <$plain>::id(self)
            }

            fn payload(&self) -> &[u8] {
                <$plain>::payload(self)
            }
        }
    )+};
}

payloads!(Entry, View<'_>);

macro_rules! payloads_within {
    ($($plain:ty),+) => {$(
        impl sealed::Sealed for $plain {}

        impl Payload for $plain {
            fn id(&self) -> EntryId {
                (**self).id()
            }

            fn payload(&self) -> &[u8] {
                (**self).payload()
            }
        }
    )+};
}

payloads_within!(Delivery, Held<'_>);

impl<P: Payload, T, C: Codec> Typed<P, T, C> {
    /// Decodes the payload, anew at each call.
    ///
    /// ```
    /// # use millstream::{Start, Stream};
    /// # let stream = Stream::options().in_memory()?;
    /// let temperatures = stream.typed::<f64>();
    /// temperatures.append(&21.5)?;
    /// let entry = temperatures.reader(Start::Earliest)?.read(1)?.into_iter().next();
    /// assert_eq!(entry.expect("it was just appended").value()?, 21.5);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`Undecodable`] if it is no such value. The entry, or its lease, stays as it was.
    #[inline]
    pub fn value(&self) -> Result<T, Undecodable>
    where
        T: DeserializeOwned,
    {
        let payload = self.plain().payload();
        self.codec.decode(payload).map_err(|source| self.undecodable(source))
    }

    #[cold]
    fn undecodable(&self, source: Reason) -> Undecodable {
        let (wanted, codec) = (std::any::type_name::<T>(), self.codec.name());
        Undecodable {
            id: self.plain().id(),
            bytes: self.plain().payload().into(),
            reason: format!("it is no {wanted} in {codec}: {source}").into(),
            source,
        }
    }
}

/// A payload that is not what it should be: its bytes, and why not.
///
/// ```
/// # use millstream::{Start, Stream};
/// # let stream = Stream::options().in_memory()?;
/// stream.append(&[7])?;
/// let entry = stream.reader(Start::Earliest)?.read(1)?.into_iter().next();
/// let undecodable = entry.expect("it was just appended").typed::<bool>().value().unwrap_err();
/// assert_eq!(undecodable.bytes(), [7]);
/// assert_eq!(undecodable.reason(), "it is no bool in bincode: a truth value is 7");
/// # Ok::<(), millstream::Error>(())
/// ```
#[derive(Debug)]
pub struct Undecodable {
    id: EntryId,
    bytes: Box<[u8]>,
    reason: Box<str>,
    source: Reason,
}

impl Undecodable {
    /// Where the entry stands.
    pub fn id(&self) -> EntryId {
        self.id
    }

    /// What was appended.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The same to keep.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes.into_vec()
    }

    /// Why it could not be decoded, with the type and the codec: what
    /// [`Delivery::reject`](crate::Delivery::reject) is to keep.
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for Undecodable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} cannot be decoded: {}", self.id, self.reason)
    }
}

impl Error for Undecodable {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.source)
    }
}
