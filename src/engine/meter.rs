//! Telling how far a long call is. The one who is told is a user's code: it is called where no lock
//! is held, and may break the call off.

use std::ops::ControlFlow;

use crate::backup::{Part, Progress};
use crate::error::{Error, Result};

/// What a caller is told, and answers.
pub(crate) type Tell<'a> = dyn FnMut(Progress<'_>) -> ControlFlow<()> + 'a;

/// It is told about every so many bytes, and whenever another part begins.
const STEP_BYTES: u64 = 1 << 20;

/// How far a call is.
pub(super) struct Meter<'a> {
    pub(super) done_bytes: u64,
    total_bytes: u64,
    told_bytes: u64,
    part: Part,
    tell: &'a mut Tell<'a>,
}

impl<'a> Meter<'a> {
    pub(super) fn new(total_bytes: u64, tell: &'a mut Tell<'a>) -> Self {
        Self { done_bytes: 0, total_bytes, told_bytes: 0, part: Part::Manifest, tell }
    }

    /// Goes on with another part.
    pub(super) fn begin(&mut self, part: Part) -> Result<()> {
        self.part = part;
        self.tell()
    }

    /// Notes that so many bytes more are done.
    pub(super) fn step(&mut self, bytes: u64) -> Result<()> {
        self.done_bytes += bytes;
        if self.done_bytes - self.told_bytes < STEP_BYTES { Ok(()) } else { self.tell() }
    }

    /// Says that everything is done.
    pub(super) fn end(&mut self) -> Result<()> {
        self.total_bytes = self.done_bytes;
        self.tell()
    }

    fn tell(&mut self) -> Result<()> {
        self.told_bytes = self.done_bytes;
        let Self { done_bytes, total_bytes, ref part, .. } = *self;
        // What is appended to a file meanwhile may be looked at, too.
        let total_bytes = total_bytes.max(done_bytes);
        match (self.tell)(Progress { done_bytes, total_bytes, part }) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Error::BrokenOff),
        }
    }
}
