//! The writer of a log: appending frames, rolling to the next segment, sealing the one before.
//!
//! # Invariants
//! 1. Offsets are dense; `end` is the next one.
//! 2. A call's frames stand in one segment, one behind the other, and become visible together.
//! 3. A failed call leaves the log as it was.
//! 4. The segment appended to is never one whose tail was torn.
//!
//! With [`Staging::On`] frames wait in memory until a flush writes them by the file: storing
//! through the map and flushing after each append would make the kernel write whole folios, and
//! other writers wait in page faults meanwhile.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use parking_lot::{Condvar, Mutex, MutexGuard, RwLock};

use super::active::{Active, needed_bytes};
use super::capacity::capacity_for;
use super::create::create;
use super::entry::{Draft, Piece};
use super::flush::FlushState;
use super::frame::{self, Header, Kind};
use super::header::{FRAMES_AT, Floor, Head, OPENING_FRAME_BYTES, Opening, OwnerKind};
use super::placed::Placed;
use super::segment::{Origin, Segment};
use super::settings::{Settings, Staging};
use super::view::{Breaks, View};
use super::writer::{Spare, Unsynced, Writer};
use crate::error::{Error, Result};
use crate::observe::Stopwatch;

/// So many sealed segments may wait for a flush; each keeps a descriptor.
const UNSYNCED_SEGMENTS_MAX: usize = 64;

/// One segmented log.
#[derive(Debug)]
pub(crate) struct Log {
    pub(crate) settings: Settings,
    pub(super) writer: Mutex<Writer>,
    /// All segments, oldest first. Only the last may grow.
    pub(super) segments: RwLock<Vec<Arc<Segment>>>,
    /// The offset up to which readers may read.
    pub(super) visible: AtomicU64,
    /// The offset up to which everything is synced.
    pub(super) durable: AtomicU64,
    /// The newest segment whose first frames are synced.
    pub(super) durable_sequence: AtomicU64,
    pub(super) flush: Mutex<FlushState>,
    pub(super) flushed: Condvar,
    /// A segment made ahead of its use; see [`Log::prepare_spare`].
    pub(super) spare: Mutex<Option<Spare>>,
    /// Segments that were trimmed and whose files still have to go, oldest first.
    pub(super) going: Mutex<VecDeque<Arc<Segment>>>,
    /// How many read whole files: as long as there are any, the files of trimmed segments stay.
    pub(super) pins: AtomicUsize,
    /// Sealed segments that are mapped, the longest mapped first.
    pub(super) mapped: Mutex<VecDeque<Arc<Segment>>>,
    /// What is known of it, if somebody else is its owner.
    pub(super) view: Mutex<View>,
    pub(super) breaks: Breaks,
    /// Who looks on is shown only what is durable, as the owner stages.
    pub(super) shows_durable: AtomicBool,
}

impl Log {
    /// Appends one entry that is nothing but payload.
    #[inline]
    pub(crate) fn append_one(&self, piece: &Piece<'_>, time: u64) -> Result<Placed> {
        let bytes = frame::frame_bytes(piece.body.len() as u64);
        let mut writer = self.make_room(bytes, time)?;
        let first = writer.end;
        self.put(&mut writer, piece, time, false);
        Ok(self.publish(&writer, first))
    }

    /// Appends a finished draft as a whole.
    pub(crate) fn append(&self, draft: &Draft, time: u64) -> Result<Placed> {
        let placed = self.append_below(draft, time, u64::MAX)?;
        Ok(placed.expect("no log is that long"))
    }

    /// The same, if all of it then stands before `before`.
    pub(crate) fn append_below(
        &self,
        draft: &Draft,
        time: u64,
        before: u64,
    ) -> Result<Option<Placed>> {
        let mut writer = self.make_room(draft.frames_bytes(), time)?;
        let first = writer.end;
        if before - first.min(before) < u64::from(draft.count()) {
            return Ok(None);
        }
        Ok(Some(self.put_draft(&mut writer, draft, time)))
    }

    /// Stores a finished draft; room has been made.
    pub(super) fn put_draft(&self, writer: &mut Writer, draft: &Draft, time: u64) -> Placed {
        let first = writer.end;
        self.put_all(writer, draft, time);
        if let Some(active) = &mut writer.active {
            draft.subjects().for_each(|(subject, entries)| active.subjects.add(subject, entries));
        }
        self.publish(writer, first)
    }

    /// Starts a new segment that begins with the frames of `snapshot` and has room for `bytes`
    /// more, and seals the one before.
    pub(crate) fn roll_with(&self, snapshot: &Draft, bytes: u64, time: u64) -> Result<()> {
        let mut spare = self.spare.lock();
        let mut writer = self.open_writer()?;
        let needed = needed_bytes(snapshot.frames_bytes() + bytes);
        self.start_next(&mut spare, &mut writer, needed, time, Some(snapshot))?;
        let first = writer.end;
        self.publish(&writer, first);
        Ok(())
    }

    /// Whether a draft goes into the active segment without a roll.
    pub(crate) fn fits(&self, bytes: u64) -> bool {
        self.writer.lock().fits(bytes)
    }

    /// The offset up to which readers may read.
    pub(crate) fn visible(&self) -> u64 {
        self.visible.load(Ordering::Acquire)
    }

    /// Orders the caller after or before each append as a whole. A reader that has said that it
    /// waits does this before it looks once more, so that no wake-up is lost.
    pub(crate) fn order_after_appends(&self) {
        drop(self.writer.lock());
    }

    /// Does something between two appends: who orders itself after appends finds it done, or was
    /// there before.
    pub(crate) fn between_appends(&self, act: impl FnOnce()) {
        let _writer = self.writer.lock();
        act();
    }

    /// Locks the writer, unless the log is closed or poisoned.
    #[inline]
    pub(super) fn open_writer(&self) -> Result<MutexGuard<'_, Writer>> {
        self.settings.latch.check()?;
        let writer = self.writer.lock();
        if writer.closed { Err(Error::Closed) } else { Ok(writer) }
    }

    /// The first offset that is still stored.
    pub(crate) fn start(&self) -> u64 {
        self.segments.read().first().map_or_else(|| self.visible(), |segment| segment.base)
    }

    fn put_all(&self, writer: &mut Writer, draft: &Draft, time: u64) {
        let mut pieces = draft.pieces().peekable();
        while let Some(piece) = pieces.next() {
            self.put(writer, &piece, time, pieces.peek().is_some());
        }
    }

    /// Stores one frame; room has been made.
    #[inline]
    fn put(&self, writer: &mut Writer, piece: &Piece<'_>, time: u64, more: bool) {
        let Writer { active: Some(active), end, time_max, .. } = writer else {
            unreachable!("room was made in an active segment");
        };
        active.mark(*end, *time_max);
        let header = Header {
            sum: 0,
            body_bytes: u32::try_from(piece.body.len()).expect("bodies are bounded below 4 GiB"),
            offset: *end,
            floor: self.durable.load(Ordering::Relaxed),
            time,
            count: piece.count,
            kind: piece.kind,
            more,
        };
        active.store(self.settings.staging, &header, piece);
        *end += u64::from(piece.count);
        if piece.count > 0 {
            *time_max = (*time_max).max(time);
        }
    }

    /// Lets readers see what was stored, unless it has to be durable first.
    #[inline]
    fn publish(&self, writer: &Writer, first: u64) -> Placed {
        let mut ring = false;
        if self.settings.staging == Staging::Off {
            if let Some(active) = &writer.active {
                active.segment.publish(active.position);
            }
            self.visible.store(writer.end, Ordering::Release);
            // A reader says that it waits, then looks under this lock: one of the two is seen.
            ring = !self.settings.waiting.is_zero();
        }
        let flush = writer.unsynced.len() >= UNSYNCED_SEGMENTS_MAX;
        let rolled = writer.active.as_ref().is_some_and(|active| active.segment.base == first);
        Placed { first, end: writer.end, ring, flush, rolled }
    }

    /// Locks the writer once `bytes` of frames go into its active segment.
    #[inline]
    pub(super) fn make_room(&self, bytes: u64, time: u64) -> Result<MutexGuard<'_, Writer>> {
        let mut writer = self.open_writer()?;
        if !writer.fits(bytes) {
            drop(writer);
            writer = self.roll(bytes, time)?;
        }
        let active = writer.active.as_mut().expect("room was made in an active segment");
        if !active.is_ready(bytes) {
            if active.closed || !active.fits(bytes, active.region.len()) {
                active
                    .regrow(&self.settings)
                    .inspect_err(|error| self.settings.note_refusal(error))?;
            }
            let populated = active.populate(bytes, &self.settings);
            populated.inspect_err(|error| self.settings.note_refusal(error))?;
        }
        Ok(writer)
    }

    /// Starts a segment that takes `bytes` of frames, unless somebody else just did.
    #[cold]
    fn roll(&self, bytes: u64, time: u64) -> Result<MutexGuard<'_, Writer>> {
        let mut spare = self.spare.lock();
        let mut writer = self.open_writer()?;
        if !writer.fits(bytes) {
            let first = self.segments.read().is_empty();
            assert!(
                first || self.settings.owner.kind == OwnerKind::Partition,
                "a journal's later segments begin with a snapshot; see `roll_with`"
            );
            self.start_next(&mut spare, &mut writer, needed_bytes(bytes), time, None)?;
        }
        Ok(writer)
    }

    /// Goes on in a new segment of at least `needed` bytes: the spare, or one that is made now.
    /// The spare is locked before the writer, here as wherever one is made, so that the number a
    /// spare was made for is still the next.
    fn start_next(
        &self,
        spare: &mut Option<Spare>,
        writer: &mut Writer,
        needed: u64,
        time: u64,
        snapshot: Option<&Draft>,
    ) -> Result<()> {
        let watch = Stopwatch::start();
        let made = match spare.take_if(|spare| spare.head.capacity >= needed) {
            Some(made) => made,
            // One that is too short stays until there is a longer one, which takes its place.
            None => self.make_segment(writer, needed, time)?,
        };
        *spare = None;
        let outcome = self.open_next(writer, &made, time, snapshot);
        if outcome.is_err() {
            // It is durable and empty, so the next roll can have it.
            *spare = Some(made);
        } else {
            self.settings.note_roll(&made.head, &watch);
        }
        outcome
    }

    /// Seals the active segment and goes on in the one that was made for it.
    fn open_next(
        &self,
        writer: &mut Writer,
        Spare { head, region }: &Spare,
        time: u64,
        snapshot: Option<&Draft>,
    ) -> Result<()> {
        let origin = Origin {
            sequence: head.sequence,
            base: writer.end,
            salt: head.salt,
            capacity: head.capacity,
            file_bytes: head.capacity,
            time_before: writer.time_max,
            slot: 0,
            floor: Floor::default(),
        };
        let segment = Arc::new(Segment::new(&origin, FRAMES_AT, Some(Arc::clone(region))));
        let mut active = Active::at_start(Arc::clone(&segment), Arc::clone(region), FRAMES_AT);
        // The only step that can still fail comes before the first change.
        let snapshot_bytes = snapshot.map_or(0, Draft::frames_bytes);
        active.populate(OPENING_FRAME_BYTES + snapshot_bytes, &self.settings)?;
        writer.next_sequence = head.sequence + 1;
        writer.last_capacity = head.capacity;
        let (previous_end, previous_salt) = self.seal(writer);
        let opening = Opening { previous_end, previous_salt, time_max: writer.time_max }.encode();
        let piece = Piece {
            kind: Kind::Opening,
            count: 0,
            body: &opening,
            body_sum: frame::body_sum(&opening),
        };
        writer.active = Some(active);
        self.put(writer, &piece, time, snapshot_bytes > 0);
        if let Some(snapshot) = snapshot {
            self.put_all(writer, snapshot, time);
        }
        self.segments.write().push(segment);
        Ok(())
    }

    pub(super) fn make_segment(&self, writer: &Writer, needed: u64, time: u64) -> Result<Spare> {
        let settings = &self.settings;
        let doubled = (writer.last_capacity * 2).max(settings.first_bytes);
        let capacity = capacity_for(doubled.min(settings.segment_bytes), needed)?;
        let head = Head {
            owner: settings.owner,
            sequence: writer.next_sequence,
            salt: settings.salts.next(),
            capacity,
            created: time,
        };
        let region = create(settings, &head).inspect_err(|error| settings.note_refusal(error))?;
        Ok(Spare { head, region })
    }

    /// Ends the active segment behind its last frame. Gives what the next opening refers to.
    fn seal(&self, writer: &mut Writer) -> (u64, u64) {
        let Some(mut active) = writer.active.take() else {
            return writer.previous;
        };
        let end = active.position;
        let footer = active.footer(writer.end, writer.time_max);
        let staged_at = end - active.staged.len() as u64;
        let room = active.region.len() >= end + footer.len() as u64;
        let file_end = if room { end + footer.len() as u64 } else { end };
        if room && self.settings.staging == Staging::On {
            active.staged.extend_from_slice(&footer);
        } else if room {
            active.region.store(end, &[&footer]);
        }
        // Space that is not given back now is merely wasted until the segment goes.
        if active.region.shrink(file_end).is_ok() {
            active.segment.set_file_bytes(file_end);
        }
        let Active { segment, region, staged, .. } = active;
        writer.previous = (end, segment.salt);
        writer.unsynced.push(Unsynced { segment, region, end, staged, staged_at });
        writer.previous
    }

    /// Locks the writer, for the other files of this log.
    pub(super) fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock()
    }
}
