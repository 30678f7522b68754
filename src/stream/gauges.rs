//! Gauges: how a stream and its groups stand. They are true at the moment they are set, so they are
//! set when somebody asks for them.

use super::Stream;
use crate::error::{Error, Result};
use crate::observe::{self, Signal, Standing};

impl Stream {
    /// Sets the gauges of the stream and of its groups, listed in `docs/OBSERVING.md`, to what they
    /// are now. Call it where the metrics are collected, just before: nothing else sets them,
    /// so between two calls they say how things were, and they cost nothing.
    ///
    /// Only with the feature `metrics`. Each group is looked at as by [`Group::info`](crate::Group::info);
    /// one that is closed because its journal is damaged, or deleted meanwhile, is passed over.
    ///
    /// ```
    /// let stream = millstream::Stream::options().in_memory()?;
    /// stream.append("order 1001")?;
    /// stream.observe()?; // and then render what the recorder has
    /// # Ok::<(), millstream::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::Corrupt`] if a filter's lag cannot be counted, and what a group
    /// meets that has to write down what is due first: [`Error::DiskFull`], [`Error::Io`]. The other
    /// groups' gauges are set all the same.
    pub fn observe(&self) -> Result<()> {
        let _told = observe::afterwards();
        let info = self.info()?;
        let ground = &self.mill().ground;
        let stored = || Signal::Stored { entries: info.entries(), bytes: info.bytes };
        observe::note(&ground.source, stored);
        let mut outcome = Ok(());
        for desk in self.mill().each_desk() {
            match desk.info() {
                Ok(info) => observe::note(&desk.board.source, || {
                    Signal::Standing(Standing {
                        lag: info.lag,
                        leased: info.leased,
                        delayed: info.delayed,
                        due: info.due,
                        exhausted: info.exhausted,
                        parked: info.parked,
                        members: info.members.len(),
                        oldest_pending: info.oldest_pending_age.unwrap_or_default(),
                    })
                }),
                Err(Error::GroupDeleted) => {}
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
        outcome
    }
}
