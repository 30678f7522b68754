//! Taking over what recovery found: the segments become the log's, and the last one is appended
//! to or sealed.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::active::Active;
use super::append::Log;
use super::header::{FRAMES_AT, Head, Opening, OwnerKind};
use super::recover::OPENING_DAMAGED;
use super::segment::{Origin, Segment};
use super::settings::Mode;
use super::subjects::{Count, Subjects};
use super::tail::{End, Found};
use crate::error::Result;
use crate::storage::Region;

impl Log {
    /// Takes over the segments up to the end.
    pub(super) fn adopt(&self, found: &[Found], end: End, time_max: u64) -> Result<()> {
        let journal = self.settings.owner.kind == OwnerKind::Journal;
        let first = if journal { end.index } else { 0 };
        *self.segments.write() =
            self.chain(&found[first..], End { index: end.index - first, ..end })?;
        let last = &found[end.index].head;
        let mut writer = self.writer();
        writer.end = end.offset;
        writer.time_max = time_max;
        writer.previous = (end.position, last.salt);
        writer.next_sequence = last.sequence + 1;
        writer.last_capacity = last.capacity.min(self.settings.segment_bytes);
        drop(writer);
        self.durable_sequence.store(last.sequence, Ordering::Release);
        self.visible.store(end.offset, Ordering::Release);
        self.durable.store(end.offset, Ordering::Release);
        if journal {
            found[..first].iter().try_for_each(|old| self.remove(old))?;
        }
        Ok(())
    }

    /// The segments up to the end, if each follows the one before.
    pub(super) fn chain(&self, found: &[Found], end: End) -> Result<Vec<Arc<Segment>>> {
        let mut segments: Vec<Arc<Segment>> = Vec::with_capacity(end.index + 1);
        for (index, here) in found.iter().enumerate().take(end.index + 1) {
            let origin = self.origin(here)?;
            let is_last = index == end.index;
            let next = found.get(index + 1).and_then(|next| next.opening);
            let stop = match next {
                Some((_, next)) if !is_last => next.previous_end,
                _ => end.position,
            };
            // Of a file that was cut, who only looks has what is left.
            let most = if self.settings.mode == Mode::Read { here.region.len() } else { u64::MAX };
            let stop = stop.min(most);
            let opening = here.opening.map_or_else(Opening::default, |(_, opening)| opening);
            let chained = segments.last().is_none_or(|before| {
                before.salt == opening.previous_salt && before.base <= origin.base
            });
            if !chained || !(FRAMES_AT..=here.region.len()).contains(&stop) {
                return Err(self.wrong(here.head.sequence, stop, "the segments do not follow"));
            }
            let region = is_last.then(|| Arc::clone(&here.region));
            segments.push(Arc::new(Segment::new(&origin, stop, region)));
        }
        Ok(segments)
    }

    /// What a segment is made of, as it was found.
    pub(super) fn origin(&self, here: &Found) -> Result<Origin> {
        let Some((base, opening)) = here.opening else {
            return Err(self.wrong(here.head.sequence, FRAMES_AT, OPENING_DAMAGED));
        };
        Ok(Origin {
            sequence: here.head.sequence,
            base,
            salt: here.head.salt,
            capacity: self.believable(&here.head, &*here.region),
            file_bytes: here.region.len(),
            time_before: opening.time_max,
            slot: here.slot,
            floor: here.floor,
        })
    }

    /// The length that a segment may be grown to again: what its header says, if the settings or
    /// the file itself would allow that too.
    fn believable(&self, head: &Head, region: &dyn Region) -> u64 {
        let most = self.settings.segment_bytes.max(region.len()).min(u64::from(u32::MAX));
        head.capacity.clamp(FRAMES_AT, most.max(FRAMES_AT))
    }

    /// Appends to the last segment from now on.
    pub(super) fn resume(
        &self,
        segment: &Arc<Segment>,
        region: &Arc<dyn Region>,
        position: u64,
        subjects: Option<Subjects>,
    ) {
        let marks = segment.marks();
        let mut active = Active::at_start(Arc::clone(segment), Arc::clone(region), position);
        active.marks = marks.len();
        active.next_mark = position;
        active.subjects = Count::going_on(subjects, segment.capacity);
        active.closed = !self.settings.reuse_torn();
        self.writer().active = Some(active);
    }

    pub(super) fn last_segment(&self) -> Arc<Segment> {
        Arc::clone(self.segments.read().last().expect("a segment was adopted"))
    }

    /// Walks a last segment without a footer for what that would say.
    pub(super) fn mark_sealed(&self, last: &Found) -> Result<()> {
        let segment = self.last_segment();
        let (marks, time_max) = self.rebuild(&segment, &*last.region)?;
        segment.set_marks(Some(marks));
        self.writer().time_max = time_max;
        Ok(())
    }
}
