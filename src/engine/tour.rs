//! Reading without a group: a place in each partition, in memory only. What does not match its filter
//! is passed over; so is what is trimmed before a tour comes by, which is counted, matching or not.

use std::collections::VecDeque;

use super::mill::{Got, Mill};
use super::parcel::Parcel;
use crate::clock::Moment;
use crate::error::Result;
use crate::limits::BATCH_BYTES_MAX;
use crate::log::{Bounds, Cursor, Log};
use crate::subject::Filter;
use crate::waiters::Woken;

/// The longest stretch that is looked at at once on a way back, unless more is wanted.
const WINDOW_MAX: u64 = 4_096;

/// Which way a tour goes, and how far.
#[derive(Clone, Debug)]
pub(crate) enum Span {
    /// From the first offset on, for ever; partitions that are added later, from their start.
    Onward,
    /// From the first offset to before these.
    Until(Vec<u64>),
    /// From before these back to the first offset.
    Backward(Vec<u64>),
}

/// A place in each partition.
#[derive(Debug)]
pub(crate) struct Tour {
    cursors: Vec<Cursor>,
    span: Span,
    turn: usize,
    /// Which entries are wanted; `None` if all are.
    filter: Option<Filter>,
    /// How many entries were trimmed that it would have looked at.
    missed: u64,
}

impl Tour {
    /// A tour of all partitions from `starts` on. Going backward, those are where it ends. Of
    /// partitions that were added since, it is the start.
    pub(crate) fn new(starts: &[u64], span: Span) -> Self {
        let mut tour = Self {
            cursors: starts.iter().map(|start| Cursor::at(*start)).collect(),
            span,
            turn: 0,
            filter: None,
            missed: 0,
        };
        if let Span::Until(ends) | Span::Backward(ends) = &tour.span {
            tour.cursors.resize(ends.len(), Cursor::default());
        }
        tour
    }

    /// The same of what matches only.
    pub(crate) fn sifting(self, filter: Option<Filter>) -> Self {
        Self { filter, ..self }
    }

    pub(crate) fn filter(&self) -> Option<&Filter> {
        self.filter.as_ref()
    }

    /// How many entries were trimmed before they were read.
    pub(crate) fn missed(&self) -> u64 {
        self.missed
    }

    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    /// Whether waiting can bring more.
    pub(crate) fn may_wait(&self) -> bool {
        matches!(self.span, Span::Onward)
    }

    /// Reads what there is, at most `max` entries.
    pub(crate) fn read(&mut self, mill: &Mill, max: u32) -> Result<Parcel> {
        let parcel = self.read_known(mill, max)?;
        // Where nothing else is to be read, the owner of the stream may have added partitions.
        if parcel.len() == 0 && self.may_wait() && mill.ground.looks_on() {
            mill.follow_manifest()?;
            if mill.ground.logs.len() > self.cursors.len() {
                return self.read_known(mill, max);
            }
        }
        Ok(parcel)
    }

    fn read_known(&mut self, mill: &Mill, max: u32) -> Result<Parcel> {
        mill.ground.check_open()?;
        let mut parcel = Parcel::new(&mill.ground.pool);
        let (mut entries, mut bytes) = (max, BATCH_BYTES_MAX);
        if self.may_wait() {
            self.cursors.resize(mill.ground.logs.len(), Cursor::default());
        }
        let partitions = self.cursors.len();
        for step in 0..partitions {
            let partition = (self.turn + step) % partitions;
            while entries > 0 && bytes > 0 {
                let bounds = Bounds { entries, bytes, before: u64::MAX };
                let got = match self.read_one(mill, partition, bounds, &mut parcel) {
                    // What was read before it is given first; the next read meets it again.
                    Err(_) if parcel.len() > 0 => return Ok(parcel),
                    other => other?,
                };
                if got == 0 {
                    break;
                }
                entries -= got;
                bytes = BATCH_BYTES_MAX.saturating_sub(parcel.bytes());
            }
            if entries == 0 || bytes == 0 {
                self.turn = (partition + 1) % partitions;
                break;
            }
        }
        Ok(parcel)
    }

    fn read_one(
        &mut self,
        mill: &Mill,
        partition: usize,
        bounds: Bounds,
        parcel: &mut Parcel,
    ) -> Result<u32> {
        let mut looked = !self.may_wait();
        loop {
            match self.try_one(mill, partition, bounds, parcel)? {
                // Somebody else's log is looked at where it seems to end.
                Got::Entries(0) if !std::mem::replace(&mut looked, true) => {
                    if !mill.look_at(&mill.ground.logs[partition])? {
                        return Ok(0);
                    }
                }
                Got::Entries(count) => return Ok(count),
                Got::Trimmed { start } => self.pass_over(partition, start),
            }
        }
    }

    /// Goes on at `start`, or ends if that is where the span ends.
    fn pass_over(&mut self, partition: usize, start: u64) {
        let place = match &self.span {
            Span::Onward => start,
            Span::Until(ends) | Span::Backward(ends) => start.min(ends[partition]),
        };
        let cursor = &mut self.cursors[partition];
        self.missed += place.saturating_sub(cursor.offset);
        cursor.seek(place);
    }

    fn try_one(
        &mut self,
        mill: &Mill,
        partition: usize,
        bounds: Bounds,
        parcel: &mut Parcel,
    ) -> Result<Got> {
        let number = u32::try_from(partition).expect("bounded by PARTITIONS_MAX");
        let (cursor, filter) = (&mut self.cursors[partition], self.filter.as_ref());
        let bounds = match &self.span {
            Span::Until(ends) => Bounds { before: ends[partition], ..bounds },
            _ => bounds,
        };
        match (&mut self.span, filter) {
            (Span::Backward(ends), _) => {
                let back = Back { mill, partition: number, filter, max: bounds.entries };
                back.read(cursor.offset, &mut ends[partition], parcel)
            }
            (_, None) => mill.read(number, cursor, bounds, parcel),
            (_, Some(filter)) => mill.sift_on(number, cursor, filter, bounds, parcel),
        }
    }
}

impl Mill {
    /// Calls `read` until it brings something or `until` has come, and waits for appends between.
    /// Nothing is locked meanwhile.
    pub(crate) fn follow(
        &self,
        until: Moment,
        mut read: impl FnMut() -> Result<Parcel>,
    ) -> Result<Parcel> {
        let time = &self.ground.time;
        let waiting = self.ground.audience.enter(0);
        loop {
            // Behind this, whoever publishes sees that somebody waits.
            self.ground.logs.iter().for_each(Log::order_after_appends);
            let began = time.now();
            let parcel = read()?;
            if parcel.len() > 0 {
                waiting.served();
                return Ok(parcel);
            }
            let wake = until.min(self.ground.next_look(began));
            if time.now() >= until
                || waiting.park(time, wake, self.ground.flush_moment()) == Woken::Idle
            {
                return Ok(parcel);
            }
            self.flush_if_due()?;
        }
    }
}

/// A way back through a partition.
struct Back<'a> {
    mill: &'a Mill,
    partition: u32,
    filter: Option<&'a Filter>,
    /// How many entries are wanted.
    max: u32,
}

impl Back<'_> {
    /// Reads what is wanted of the entries before `*end`, the last one first, and moves `*end` down to
    /// the last one it looked at, but not below `start`.
    fn read(&self, start: u64, end: &mut u64, parcel: &mut Parcel) -> Result<Got> {
        let mut window = u64::from(self.max);
        loop {
            let first = start.max(end.saturating_sub(window));
            let got = self.read_from(first, end, parcel)?;
            if got != Got::Entries(0) || *end <= start || self.filter.is_none() {
                return Ok(got);
            }
            self.mill.ground.check_open()?;
            window = (window * 2).clamp(u64::from(self.max), WINDOW_MAX.max(self.max.into()));
        }
    }

    /// Reads the entries from `first` to before `*end`. They are found by reading forward; where they
    /// are more than a read may bring, the first ones are left for the next. If some of them were
    /// trimmed, nothing is read.
    fn read_from(&self, first: u64, end: &mut u64, parcel: &mut Parcel) -> Result<Got> {
        let mut cursor = Cursor::at(first);
        let mut pieces = VecDeque::new();
        let (mut entries, mut bytes) = (0, 0);
        while cursor.offset < *end {
            let wanted = u32::try_from(*end - cursor.offset).unwrap_or(u32::MAX);
            let bounds = Bounds { entries: wanted, bytes: BATCH_BYTES_MAX, before: *end };
            let offset = cursor.offset;
            let mut piece = Parcel::new(&self.mill.ground.pool);
            let got = match self.read_piece(&mut cursor, bounds, &mut piece)? {
                Got::Entries(_) if cursor.offset == offset => break,
                Got::Entries(got) => got,
                trimmed @ Got::Trimmed { .. } => return Ok(trimmed),
            };
            (entries, bytes) = (entries + got, bytes + piece.bytes());
            piece.reverse();
            pieces.push_back((offset, got, piece));
            while bytes > BATCH_BYTES_MAX && pieces.len() > 1 {
                let (_, dropped, piece) = pieces.pop_front().expect("there is more than one");
                (entries, bytes) = (entries - dropped, bytes - piece.bytes());
            }
        }
        *end = pieces.front().map_or(first, |(offset, ..)| *offset);
        // With a filter, a window may hold more than is wanted.
        while entries > self.max {
            let (_, got, piece) = pieces.front_mut().expect("the entries are in pieces");
            let dropped = (entries - self.max).min(*got);
            piece.forget_last(dropped as usize);
            (entries, *got) = (entries - dropped, *got - dropped);
            if let Some(last) = piece.len().checked_sub(1) {
                *end = piece.id(last).offset();
            } else {
                pieces.pop_front();
                *end = pieces.front().map_or(*end, |(offset, ..)| *offset);
            }
        }
        pieces.into_iter().rev().for_each(|(.., piece)| parcel.append(piece));
        Ok(Got::Entries(entries))
    }

    fn read_piece(&self, cursor: &mut Cursor, bounds: Bounds, piece: &mut Parcel) -> Result<Got> {
        match self.filter {
            None => self.mill.read(self.partition, cursor, bounds, piece),
            Some(filter) => {
                self.mill.sift(self.partition, cursor, filter, bounds.entries, bounds, piece)
            }
        }
    }
}
