//! What a group gave up to a dead-letter stream: looking at it, and bringing it back in bulk.

use super::Group;
use crate::error::Result;
use crate::letters::{LetterQuery, Letters, RedrivenLetters};
use crate::stream::Stream;

impl Group {
    /// The dead letters in a stream that are of this group: those that the query chooses, in order
    /// of their ids. Letters of other groups and of other streams, and what is no letter, are passed
    /// over. The group need not have that stream as its dead-letter stream any more.
    ///
    /// All of the range is read until there are enough, and then the rest of the partitions in
    /// which letters were found, since a younger letter of the same entry may stand there
    /// ([`Letter::superseded_by`](crate::Letter::superseded_by)). No lock is held meanwhile.
    ///
    /// ```
    /// use millstream::{Exhausted, LetterQuery, Start, Stream};
    ///
    /// let (orders, letters) = (Stream::options().in_memory()?, Stream::options().in_memory()?);
    /// orders.append_batch(["order 1001", "order 1002"])?;
    /// let options = orders.group("billing").on_exhausted(Exhausted::DeadLetter(letters.clone()));
    /// let billing = options.open(Start::Earliest)?;
    /// for delivery in billing.join("worker-1")?.try_read(9)? {
    ///     let late = delivery.payload() == b"order 1002";
    ///     delivery.reject(if late { "timeout after 5 s" } else { "no such customer" })?;
    /// }
    ///
    /// let timeouts = LetterQuery::new().reason_contains("timeout");
    /// for row in billing.letters(&letters, &timeouts)?.found {
    ///     println!("{} is of {}: {:?}", row.id, row.letter.origin(), row.letter.reason());
    /// }
    /// # assert_eq!(billing.letters(&letters, &timeouts)?.found.len(), 1);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidName`](crate::Error::InvalidName) for a subject that is no pattern,
    /// [`Error::TooSmall`](crate::Error::TooSmall) for a query of at most 0,
    /// [`Error::GroupDeleted`](crate::Error::GroupDeleted),
    /// [`Error::Closed`](crate::Error::Closed) if one of the streams is,
    /// [`Error::Io`](crate::Error::Io). An entry that is damaged is no error: it stands among
    /// those that are [`unreadable`](Letters::unreadable).
    pub fn letters(&self, stream: &Stream, query: &LetterQuery) -> Result<Letters> {
        self.seat.letters(&stream.handle.mill, query)
    }

    /// Brings the entries back that dead letters in a stream are of, as
    /// [`redrive_letter`](Self::redrive_letter) does for one: those that the query chooses, in order
    /// of the letters' ids, and only letters of this group. One that fails never costs the others. (SQS's
    /// redrive.)
    ///
    /// Letters stay in their stream, so a bound is followed by a call that goes on at
    /// [`next`](RedrivenLetters::next):
    ///
    /// ```
    /// use millstream::{EntryId, Exhausted, LetterQuery, Start, Stream};
    ///
    /// # let (orders, letters) = (Stream::options().in_memory()?, Stream::options().in_memory()?);
    /// # orders.append_batch(["order 1001", "order 1002", "order 1003"])?;
    /// # let options = orders.group("billing").on_exhausted(Exhausted::DeadLetter(letters.clone()));
    /// # let billing = options.open(Start::Earliest)?;
    /// # let worker = billing.join("worker-1")?;
    /// # for delivery in worker.try_read(9)? {
    /// #     delivery.reject("timeout")?;
    /// # }
    /// let timeouts = LetterQuery::new().reason_contains("timeout").max(2);
    /// let (mut next, mut back) = (Some(EntryId::new(0, 0)), 0);
    /// while let Some(first) = next {
    ///     let done = billing.redrive_letters(&letters, &timeouts.clone().range(first..))?;
    ///     back += done.count();
    ///     for (letter, error) in &done.failed {
    ///         eprintln!("{letter}: {error}");
    ///     }
    ///     if let Some(error) = done.stopped {
    ///         return Err(error); // what is done is done; `done.next` says where to go on
    ///     }
    ///     next = done.next;
    /// }
    /// assert_eq!(back, 3);
    /// assert_eq!(worker.try_read(9)?.len(), 3);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    ///
    /// # What happens if a letter is chosen again
    /// After a crash or an error it is safe to go on at `next`, or to start over from where `next` was
    /// stored last. Of a letter that was redriven before,
    /// - nothing becomes as long as its entry is not settled ([`Redriven::Open`](crate::Redriven::Open)),
    ///   nor if a younger letter of its entry follows it in its partition
    ///   ([`Redriven::Superseded`](crate::Redriven::Superseded)): then that one alone counts, and has to
    ///   be chosen itself;
    /// - an entry that was settled since is handed out once more, since nothing says that it was
    ///   brought back before;
    /// - an entry that its stream no longer holds is appended once more.
    ///
    /// So to bring each back once, go on at `next`, keep the range apart from what was redriven
    /// earlier, or let a group of the letters' stream remember: read them with it, redrive one by
    /// one, and ack what was redriven.
    ///
    /// Letters and originals are read without a lock, in pages; of 256 entries at a time that are
    /// stored, all become available under one lock of the group and with one record of its journal.
    ///
    /// # Errors
    /// Those of [`letters`](Self::letters) and [`ack`](Self::ack), and nothing was changed. What ends it
    /// later is told with what was done by then: [`stopped`](RedrivenLetters::stopped).
    pub fn redrive_letters(&self, stream: &Stream, query: &LetterQuery) -> Result<RedrivenLetters> {
        self.seat.redrive_letters(&stream.handle.mill, query)
    }
}
