//! What a life does to its groups as a whole: resets, trims below them, skipping what they hold, and
//! bringing back what they set aside.

use super::script::Life;
use super::sight::State;
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

    pub(super) fn redrive(&mut self) -> Verdict {
        for (name, group) in self.groups.clone() {
            let max = 1 + self.world.random.below(4);
            let parked: Vec<EntryId> = match group.parked(max) {
                Ok(parked) => parked.into_iter().map(|parked| parked.id).collect(),
                Err(error) => return self.world.forgive("parked", &error),
            };
            let redriven = group.redrive(max);
            let model = self.world.groups.get_mut(name).ok_or("a group without a model")?;
            if let Err(error) = redriven {
                // The power may have gone after it was written, while the journal was tidied up.
                for id in parked {
                    model.perhaps(id, State::Back(0));
                }
                return self.world.forgive("redrive", &error);
            }
            if redriven.is_ok_and(|count| parked.len() as u64 != count) {
                return Err(format!("not all of {} were redriven", parked.len()));
            }
            for id in parked {
                if !model.may_be_parked(id) {
                    return Err(format!("{id} was parked"));
                }
                model.set(id, State::Back(0));
            }
        }
        Ok(())
    }

    pub(super) fn skip(&mut self) -> Verdict {
        let names: Vec<&'static str> = self.groups.keys().copied().collect();
        if names.is_empty() {
            return Ok(());
        }
        let name = self.world.random.pick(&names);
        let group = &self.groups[name];
        let info = match group.info() {
            Ok(info) => info,
            Err(error) => return self.world.forgive("info", &error),
        };
        let at = &info.partitions[0];
        let end = (at.next + 1).min(at.end);
        if at.floor >= end || !self.world.random.one_in(3) {
            return Ok(());
        }
        let skipped = group.skip(0, at.floor..end);
        let model = self.world.groups.get_mut(name).ok_or("a group without a model")?;
        for offset in at.floor.max(model.first(0))..end {
            let id = EntryId::new(0, offset);
            if !model.takes(&self.world.partitions, id) {
                continue;
            }
            match &skipped {
                Ok(_) => model.set(id, State::Done),
                Err(_) => model.perhaps(id, State::Done),
            }
        }
        match skipped {
            Ok(_) => Ok(()),
            Err(error) => self.world.forgive("skip", &error),
        }
    }
}
