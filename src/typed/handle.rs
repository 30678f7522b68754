//! [`Typed`]: a plain handle that knows what its payloads are, and the ways to get one.
//!
//! One wrapper for all handles, since what they add is the same: the type and the codec go from a
//! stream to what is read of it, and one iterator serves whatever yields entries.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;

use super::codec::{Bincode, Codec};
use crate::batch::{Batch, Held};
use crate::consumer::Consumer;
use crate::delivery::Delivery;
use crate::entries::{Entries, Entry, View};
use crate::group::Group;
use crate::history::History;
use crate::reader::{Reader, Subscription};
use crate::stream::Stream;

/// A plain handle `P` whose payloads are values of type `T`, encoded by `C`. Derefs to the plain
/// one. See [the module](super) for what can be done with it, and the aliases for its names.
pub struct Typed<P, T, C = Bincode> {
    plain: P,
    pub(super) codec: C,
    /// It makes and takes values, and holds none: threads may share it whatever `T` is.
    value: PhantomData<fn(T) -> T>,
}

/// A [`Stream`] of values.
pub type TypedStream<T, C = Bincode> = Typed<Stream, T, C>;
/// A [`Group`] whose consumers read values.
pub type TypedGroup<T, C = Bincode> = Typed<Group, T, C>;
/// A [`Consumer`] that reads values.
pub type TypedConsumer<T, C = Bincode> = Typed<Consumer, T, C>;
/// A [`Delivery`] of a value.
pub type TypedDelivery<T, C = Bincode> = Typed<Delivery, T, C>;
/// A [`Batch`] of values.
pub type TypedBatch<T, C = Bincode> = Typed<Batch, T, C>;
/// A value that a batch holds: [`Held`].
pub type TypedHeld<'a, T, C = Bincode> = Typed<Held<'a>, T, C>;
/// A [`History`] of values.
pub type TypedHistory<T, C = Bincode> = Typed<History, T, C>;
/// A [`Reader`] of values.
pub type TypedReader<T, C = Bincode> = Typed<Reader, T, C>;
/// A [`Subscription`] to values.
pub type TypedSubscription<T, C = Bincode> = Typed<Subscription, T, C>;
/// What one read of a reader or subscription returned: [`Entries`].
pub type TypedEntries<T, C = Bincode> = Typed<Entries, T, C>;
/// An [`Entry`] that is a value.
pub type TypedEntry<T, C = Bincode> = Typed<Entry, T, C>;
/// A value of a read, looked at where it lies: [`View`].
pub type TypedView<'a, T, C = Bincode> = Typed<View<'a>, T, C>;

impl<P, T, C> Typed<P, T, C> {
    pub(super) fn new(plain: P, codec: C) -> Self {
        Self { plain, codec, value: PhantomData }
    }

    /// The plain handle.
    pub fn plain(&self) -> &P {
        &self.plain
    }

    /// The plain handle, and nothing else.
    pub fn into_plain(self) -> P {
        self.plain
    }

    /// The same knowledge of payloads about another handle.
    pub(super) fn about<Q>(&self, plain: Q) -> Typed<Q, T, C>
    where
        C: Clone,
    {
        Typed::new(plain, self.codec.clone())
    }

    /// Looks at each value.
    pub fn iter<'a>(&'a self) -> Values<<&'a P as IntoIterator>::IntoIter, T, C>
    where
        &'a P: IntoIterator,
        C: Clone,
    {
        Values { plain: self.plain.into_iter(), codec: self.codec.clone(), value: PhantomData }
    }
}

impl<P, T, C> Deref for Typed<P, T, C> {
    type Target = P;

    #[inline]
    fn deref(&self) -> &P {
        &self.plain
    }
}

impl<P: Clone, T, C: Clone> Clone for Typed<P, T, C> {
    fn clone(&self) -> Self {
        self.about(self.plain.clone())
    }
}

impl<P: Copy, T, C: Copy> Copy for Typed<P, T, C> {}

impl<P: fmt::Debug, T, C> fmt::Debug for Typed<P, T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Typed").field(&self.plain).finish()
    }
}

impl<P: IntoIterator, T, C: Clone> IntoIterator for Typed<P, T, C> {
    type Item = Typed<P::Item, T, C>;
    type IntoIter = Values<P::IntoIter, T, C>;

    fn into_iter(self) -> Values<P::IntoIter, T, C> {
        Values { plain: self.plain.into_iter(), codec: self.codec, value: PhantomData }
    }
}

impl<'a, P, T, C: Clone> IntoIterator for &'a Typed<P, T, C>
where
    &'a P: IntoIterator,
{
    type Item = Typed<<&'a P as IntoIterator>::Item, T, C>;
    type IntoIter = Values<<&'a P as IntoIterator>::IntoIter, T, C>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Yields what a plain iterator does, typed.
#[must_use = "iterators do nothing unless they are asked"]
pub struct Values<I, T, C = Bincode> {
    plain: I,
    codec: C,
    value: PhantomData<fn(T) -> T>,
}

impl<I: Iterator, T, C: Clone> Iterator for Values<I, T, C> {
    type Item = Typed<I::Item, T, C>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let plain = self.plain.next()?;
        Some(Typed::new(plain, self.codec.clone()))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.plain.size_hint()
    }
}

impl<I: ExactSizeIterator, T, C: Clone> ExactSizeIterator for Values<I, T, C> {}

impl<I: fmt::Debug, T, C> fmt::Debug for Values<I, T, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Values").field(&self.plain).finish()
    }
}

/// The way from plain handles to typed ones.
macro_rules! typed {
    ([$($receiver:tt)+] $handle:expr => $plain:ty) => {
        impl $plain {
            /// The same with payloads that are values of type `T`, in [`Bincode`]. See the module
            /// [`typed`](crate::typed).
            pub fn typed<T>($($receiver)+) -> Typed<Self, T> {
                Typed::new($handle, Bincode)
            }

            /// The same with payloads that are values of type `T`, encoded by `codec`.
            pub fn typed_with<T, C: Codec>($($receiver)+, codec: C) -> Typed<Self, T, C> {
                Typed::new($handle, codec)
            }
        }
    };
}

typed!([&self] self.clone() => Stream);
typed!([&self] self.clone() => Group);
typed!([&self] self.clone() => Consumer);
typed!([self] self => Batch);
typed!([self] self => Delivery);
typed!([self] self => History);
typed!([self] self => Reader);
typed!([self] self => Subscription);
typed!([self] self => Entries);
typed!([self] self => Entry);

const _: () = {
    const fn sent<T: Send>() {}
    const fn shared<T: Send + Sync>() {}
    type Neither = *const ();
    sent::<TypedBatch<Neither>>();
    shared::<TypedStream<Neither>>();
    shared::<TypedGroup<Neither>>();
    shared::<TypedConsumer<Neither>>();
    shared::<TypedDelivery<Neither>>();
    shared::<TypedReader<Neither>>();
    shared::<TypedSubscription<Neither>>();
    shared::<TypedEntry<Neither>>();
};
