//! Which entries a group takes: [`GroupOptions::filter`].

use super::GroupOptions;
#[cfg(doc)]
use crate::error::Error;
use crate::error::Result;
use crate::subject::Filter;

impl GroupOptions {
    /// Takes only entries whose subject matches; called several times, those that match any of the
    /// patterns. Without a filter a group takes everything, with one never an entry without a
    /// subject.
    ///
    /// A pattern is compared token by token. `*` matches exactly one token, whatever it is, and `>` one
    /// or more up to the end; inside a longer token both are plain characters. (The rules are those of
    /// NATS.)
    ///
    /// What does not match is passed: it takes no room, is not counted as lag, and holds up neither
    /// the group's floor nor retention. The filter belongs to the group for good: opening it with
    /// another one is [`Error::OptionsDiffer`]; opening it without keeps the one it has.
    ///
    /// ```
    /// use millstream::{NewEntry, Start, Stream};
    ///
    /// let stream = Stream::options().in_memory()?;
    /// let billing = stream.group("billing").filter("order.*").filter("refund.>").open(Start::Earliest)?;
    /// for subject in ["order.paid", "order.paid.late", "refund.eu.full", "user.created"] {
    ///     stream.append(NewEntry::new(subject).subject(subject))?;
    /// }
    /// stream.append("without a subject")?;
    /// assert_eq!(billing.lag()?, 2);
    ///
    /// let worker = billing.join("worker-1")?;
    /// let seen: Vec<_> = worker.try_read(10)?.iter().map(|held| held.subject().map(str::to_owned)).collect();
    /// assert_eq!(seen, [Some("order.paid".to_owned()), Some("refund.eu.full".to_owned())]);
    /// # Ok::<(), millstream::Error>(())
    /// ```
    pub fn filter(mut self, pattern: impl Into<String>) -> Self {
        self.patterns.push(pattern.into());
        self
    }

    /// What the patterns come to; `None` without any.
    pub(super) fn parsed_filter(&self) -> Result<Option<Filter>> {
        if self.patterns.is_empty() { Ok(None) } else { Filter::parse(&self.patterns).map(Some) }
    }
}
