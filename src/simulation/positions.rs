//! What a life does to the position of its groups as a whole: resets, and trims below them.

use super::script::Life;
use super::world::Verdict;
use crate::id::EntryId;
use crate::start::Start;

impl Life<'_> {
    /// Goes on elsewhere in one partition of a group, or in all. When it worked, it is durable.
    pub(super) fn reset(&mut self) -> Verdict {
        if !self.world.random.one_in(3) || !self.stir()? {
            return Ok(());
        }
        let names: Vec<&'static str> = self.groups.keys().copied().collect();
        if names.is_empty() {
            return Ok(());
        }
        let name = self.world.random.pick(&names);
        let group = &self.groups[name];
        let ends: Vec<u64> = self.world.partitions.iter().map(|p| p.items.len() as u64).collect();
        let partition = self.world.random.below(ends.len());
        let number = u32::try_from(partition).expect("there are few");
        let to = self.world.random.next() % (ends[partition] + 1);
        let starts: Vec<u64> = self.world.partitions.iter().map(|p| p.start as u64).collect();
        let (done, places) = match self.world.random.below(3) {
            0 => (group.reset(Start::Earliest), starts),
            1 => (group.reset(Start::Latest), ends.clone()),
            _ => {
                let start = Start::At(EntryId::new(number, to));
                (group.reset_partition(number, start), vec![to.max(starts[partition])])
            }
        };
        let from = if places.len() == ends.len() { 0 } else { number };
        let model = self.world.groups.get_mut(name).ok_or("a group without a model")?;
        for (partition, to) in (from..).zip(places) {
            model.reset(partition, to, ends[partition as usize], done.is_ok());
        }
        if done.is_ok() {
            model.all_synced();
        }
        done.or_else(|error| self.world.forgive("reset", &error))
    }

    /// Removes segments. A failure may have done some of it, for some of the groups.
    pub(super) fn trim(&mut self) -> Verdict {
        let partition = self.world.random.below(self.world.partitions.len());
        let count = self.world.partitions[partition].items.len();
        if !self.stir()? {
            return Ok(());
        }
        let before = self.world.random.below(count + 1);
        let number = u32::try_from(partition).expect("there are few");
        let trimmed = self.stream.trim_before(EntryId::new(number, before as u64));
        let start = self.stream.info().map(|info| info.partitions[partition].start);
        let start = start.map_or(before, |start| usize::try_from(start).expect("there are few"));
        let place = &mut self.world.partitions[partition];
        let reach = if trimmed.is_ok() { start } else { before.max(start) };
        place.start = place.start.max(reach);
        if trimmed.is_ok() {
            place.gone = place.gone.max(start);
        }
        for model in self.world.groups.values_mut() {
            model.trimmed(number, reach as u64, trimmed.is_ok());
        }
        trimmed.map(|_| ()).or_else(|error| self.world.forgive("trim", &error))
    }
}
