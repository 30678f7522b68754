//! Appending values: [`NewValue`], the verbs of a typed stream, and the buffer that a thread encodes
//! into.

use std::cell::Cell;
use std::time::{Duration, SystemTime};

use serde::Serialize;

use super::codec::Codec;
use super::handle::{TypedEntry, TypedReader, TypedStream, TypedSubscription};
use crate::entry::NewEntry;
use crate::error::{Error, Result};
use crate::id::{Appended, EntryId, Ids};
use crate::limits::BATCH_BYTES_MAX;
use crate::start::Start;
#[cfg(doc)]
use crate::stream::Stream;

/// A thread keeps no more memory than this for the next value it encodes.
const BUFFER_BYTES_MAX: usize = 1 << 20;
/// `append_each` encodes so many bytes, and a value more, before it appends them.
const RUN_BYTES: usize = 256 << 10;

thread_local! {
    /// Where a thread encodes. Taken out while in use, so that a value which appends while it is
    /// being encoded simply finds none.
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Gives the thread's buffer, empty, to a function.
#[inline]
fn with_buffer<T>(work: impl FnOnce(&mut Vec<u8>) -> Result<T>) -> Result<T> {
    let mut buffer = BUFFER.take();
    buffer.clear();
    let outcome = work(&mut buffer);
    if buffer.capacity() <= BUFFER_BYTES_MAX {
        BUFFER.set(buffer);
    }
    outcome
}

/// A value to append and, optionally, a subject, a key and headers, as [`NewEntry`] has them.
///
/// ```
/// use std::time::Duration;
/// use millstream::Stream;
/// use millstream::typed::{NewValue, TypedStream};
///
/// let stream = Stream::options().in_memory()?;
/// let temperatures: TypedStream<f64> = stream.typed();
/// let id = temperatures.append(NewValue::new(&21.5).subject("kitchen").key("sensor-7"))?;
/// temperatures.append(NewValue::new(&4.0).deliver_after(Duration::from_secs(60)))?;
/// let entry = temperatures.get(id)?.expect("it was just appended");
/// assert_eq!((entry.value()?, entry.subject()), (21.5, Some("kitchen")));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct NewValue<'a, T> {
    value: &'a T,
    /// All but the payload.
    rest: NewEntry<'a>,
}

impl<'a, T> NewValue<'a, T> {
    /// An entry of nothing but this value.
    pub fn new(value: &'a T) -> Self {
        Self { value, rest: NewEntry::default() }
    }

    /// Sets the subject: [`NewEntry::subject`].
    #[must_use]
    pub fn subject(self, subject: &'a str) -> Self {
        Self { rest: self.rest.subject(subject), ..self }
    }

    /// Sets the key: [`NewEntry::key`].
    #[must_use]
    pub fn key<K: AsRef<[u8]> + ?Sized>(self, key: &'a K) -> Self {
        Self { rest: self.rest.key(key), ..self }
    }

    /// Adds a header: [`NewEntry::header`].
    #[must_use]
    pub fn header<V: AsRef<[u8]> + ?Sized>(self, name: &'a str, value: &'a V) -> Self {
        Self { rest: self.rest.header(name, value), ..self }
    }

    /// Lets groups see it so long after it is appended: [`NewEntry::deliver_after`].
    #[must_use]
    pub fn deliver_after(self, wait: Duration) -> Self {
        Self { rest: self.rest.deliver_after(wait), ..self }
    }

    /// Lets groups see it at this time: [`NewEntry::deliver_at`].
    #[must_use]
    pub fn deliver_at(self, time: SystemTime) -> Self {
        Self { rest: self.rest.deliver_at(time), ..self }
    }
}

impl<T> Clone for NewValue<'_, T> {
    fn clone(&self) -> Self {
        Self { value: self.value, rest: self.rest.clone() }
    }
}

impl<'a, T> From<&'a T> for NewValue<'a, T> {
    fn from(value: &'a T) -> Self {
        Self::new(value)
    }
}

/// Entries whose payloads lie one after the other in a buffer.
#[derive(Default)]
struct Run<'a> {
    /// Where the payload of each ends, and all else of it.
    entries: Vec<(usize, NewEntry<'a>)>,
}

impl<'a> Run<'a> {
    /// Takes the entries out, with their payloads.
    fn entries<'b>(&'b mut self, buffer: &'b [u8]) -> impl Iterator<Item = NewEntry<'b>>
    where
        'a: 'b,
    {
        let mut start = 0;
        self.entries.drain(..).map(move |(end, rest)| {
            let payload = &buffer[start..end];
            start = end;
            NewEntry { payload, ..rest }
        })
    }
}

/// The verbs are those of [`Stream`], with values.
impl<T, C: Codec> TypedStream<T, C> {
    /// Appends one value, or a [`NewValue`], as [`Stream::append`] does.
    ///
    /// # Errors
    /// [`Error::Unencodable`] if the codec has no encoding for it, and those of
    /// [`Stream::append`]: nothing was appended.
    pub fn append<'a>(&self, value: impl Into<NewValue<'a, T>>) -> Result<EntryId>
    where
        T: Serialize + 'a,
    {
        self.encoded(value.into(), |entry| self.plain().append(entry))
    }

    /// Appends values as a whole, as [`Stream::append_batch`] does.
    ///
    /// ```
    /// # let stream = millstream::Stream::options().in_memory()?;
    /// let temperatures = stream.typed::<f64>();
    /// assert_eq!(temperatures.append_batch(&[21.5, 4.0])?.len(), 2);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Unencodable`], and those of [`Stream::append_batch`]: nothing was appended.
    pub fn append_batch<'a, V: Into<NewValue<'a, T>>>(
        &self,
        values: impl IntoIterator<Item = V>,
    ) -> Result<Ids>
    where
        T: Serialize + 'a,
    {
        with_buffer(|buffer| {
            let mut run = Run::default();
            for value in values {
                self.push(value.into(), &mut run, buffer)?;
                if (buffer.len() + run.entries.len()) as u64 > BATCH_BYTES_MAX {
                    // It is too large already, and is going to be refused as that.
                    break;
                }
            }
            self.plain().append_batch(run.entries(buffer))
        })
    }

    /// Appends values one by one, each to its own partition, as [`Stream::append_each`] does, but
    /// with a flush for every 256 KiB.
    ///
    /// # Errors
    /// [`Error::Unencodable`], and those of [`Stream::append_each`]: the values before are
    /// appended.
    pub fn append_each<'a, V: Into<NewValue<'a, T>>>(
        &self,
        values: impl IntoIterator<Item = V>,
    ) -> Result<Vec<EntryId>>
    where
        T: Serialize + 'a,
    {
        with_buffer(|buffer| {
            let (mut run, mut ids) = (Run::default(), Vec::new());
            let mut values = values.into_iter();
            loop {
                let mut next = Ok(false);
                while buffer.len() + run.entries.len() < RUN_BYTES {
                    let Some(value) = values.next() else { break };
                    next = self.push(value.into(), &mut run, buffer).map(|()| true);
                    if next.is_err() {
                        break;
                    }
                }
                ids.append(&mut self.plain().append_each(run.entries(buffer))?);
                buffer.clear();
                if !next? {
                    return Ok(ids);
                }
            }
        })
    }

    /// Appends a value unless one was appended under the same unique key within `window` before, as
    /// [`Stream::append_unique`] does.
    ///
    /// # Errors
    /// [`Error::Unencodable`], and those of [`Stream::append_unique`]: nothing was appended.
    pub fn append_unique<'a>(
        &self,
        value: impl Into<NewValue<'a, T>>,
        key: impl AsRef<[u8]>,
        window: Duration,
    ) -> Result<Appended>
    where
        T: Serialize + 'a,
    {
        self.encoded(value.into(), |entry| self.plain().append_unique(entry, key, window))
    }

    /// Appends a value only behind `last`, as [`Stream::append_if_last`] does.
    ///
    /// # Errors
    /// [`Error::Unencodable`], and those of [`Stream::append_if_last`]: nothing was appended.
    pub fn append_if_last<'a>(
        &self,
        last: EntryId,
        value: impl Into<NewValue<'a, T>>,
    ) -> Result<EntryId>
    where
        T: Serialize + 'a,
    {
        self.encoded(value.into(), |entry| self.plain().append_if_last(last, entry))
    }

    /// Appends a value to a partition only if nothing was ever appended to it.
    ///
    /// # Errors
    /// Those of [`append_if_last`](Self::append_if_last).
    pub fn append_if_empty<'a>(
        &self,
        partition: u32,
        value: impl Into<NewValue<'a, T>>,
    ) -> Result<EntryId>
    where
        T: Serialize + 'a,
    {
        self.encoded(value.into(), |entry| self.plain().append_if_empty(partition, entry))
    }

    /// The value of that id: [`Stream::get`].
    ///
    /// # Errors
    /// Those of [`Stream::get`].
    pub fn get(&self, id: EntryId) -> Result<Option<TypedEntry<T, C>>> {
        Ok(self.plain().get(id)?.map(|entry| self.about(entry)))
    }

    /// A reader of values: [`Stream::reader`].
    ///
    /// # Errors
    /// Those of [`Stream::reader`].
    pub fn reader(&self, start: Start) -> Result<TypedReader<T, C>> {
        self.plain().reader(start).map(|reader| self.about(reader))
    }

    /// Subscribes to values: [`Stream::subscribe`].
    ///
    /// # Errors
    /// Those of [`Stream::subscribe`].
    pub fn subscribe(&self) -> Result<TypedSubscription<T, C>> {
        self.plain().subscribe().map(|subscription| self.about(subscription))
    }

    /// Subscribes to values whose subject matches: [`Stream::subscribe_to`].
    ///
    /// # Errors
    /// Those of [`Stream::subscribe_to`].
    pub fn subscribe_to(
        &self,
        patterns: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<TypedSubscription<T, C>> {
        self.plain().subscribe_to(patterns).map(|subscription| self.about(subscription))
    }

    /// Closes the stream: [`Stream::close`].
    ///
    /// # Errors
    /// Those of [`Stream::close`].
    pub fn close(self) -> Result<()> {
        self.into_plain().close()
    }

    /// Encodes a value and gives it to `append`.
    #[inline]
    fn encoded<A>(
        &self,
        value: NewValue<'_, T>,
        append: impl FnOnce(NewEntry<'_>) -> Result<A>,
    ) -> Result<A>
    where
        T: Serialize,
    {
        with_buffer(|buffer| {
            self.encode(value.value, buffer)?;
            append(NewEntry { payload: buffer, ..value.rest })
        })
    }

    /// Encodes a value behind those of a run.
    fn push<'a>(
        &self,
        value: NewValue<'a, T>,
        run: &mut Run<'a>,
        buffer: &mut Vec<u8>,
    ) -> Result<()>
    where
        T: Serialize,
    {
        self.encode(value.value, buffer)?;
        run.entries.push((buffer.len(), value.rest));
        Ok(())
    }

    #[inline]
    fn encode(&self, value: &T, buffer: &mut Vec<u8>) -> Result<()>
    where
        T: Serialize,
    {
        self.codec.encode(value, buffer).map_err(|source| {
            let (value, codec) = (std::any::type_name::<T>(), self.codec.name());
            Error::Unencodable { value, codec, source }
        })
    }
}
