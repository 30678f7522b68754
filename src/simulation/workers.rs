//! What consumers do in a life: join, read, settle, let go, leave.

use std::collections::BTreeMap;
use std::time::Duration;

use super::modes::Earlier;
use super::script::{LEASE, Life, OWNED, outcome_of};
use super::sight::State;
use super::world::Verdict;
use crate::consumer::Consumer;
use crate::delivery::Delivery;
use crate::error::{Error, Result};
use crate::id::EntryId;
use crate::pending::PendingQuery;

/// So many deliveries are held at once.
const HELD_MAX: usize = 12;

/// A consumer and its group.
pub(super) struct Worker {
    pub(super) group: &'static str,
    pub(super) epoch: u64,
    pub(super) earlier: Earlier,
    consumer: Consumer,
}

/// A delivery and its group.
pub(super) struct Held {
    group: &'static str,
    epoch: u64,
    delivery: Delivery,
}

/// What a verb makes of an entry.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Ack,
    Nack,
    Release,
    Reject,
}

impl Life<'_> {
    pub(super) fn join(&mut self) -> Verdict {
        let names: Vec<&'static str> = self.groups.keys().copied().collect();
        if names.is_empty() {
            return self.open_group();
        }
        let group = self.world.random.pick(&names);
        let name = self.world.random.pick(&["ann", "bob", "cy"]);
        match self.groups[group].join(name) {
            Ok(consumer) => {
                let model = self.world.groups.get_mut(group).ok_or("a group without a model")?;
                let epoch = model.epoch;
                let heard = consumer.generation().map(|generation| model.heard(generation));
                let earlier = Earlier::new(&self.world.clock);
                self.workers.push(Worker { group, epoch, earlier, consumer });
                heard.unwrap_or_else(|error| self.world.forgive("generation", &error))
            }
            Err(Error::MemberExists { .. }) => Ok(()),
            Err(error) => self.world.forgive("join", &error),
        }
    }

    pub(super) fn leave(&mut self) -> Verdict {
        if self.workers.is_empty() {
            return Ok(());
        }
        let index = self.world.random.below(self.workers.len());
        let mut worker = self.workers.swap_remove(index);
        if self.world.random.coin() {
            return Ok(());
        }
        let left = worker.consumer.clone().leave();
        self.settle_earlier(&mut worker, true, left.is_ok());
        match left {
            Ok(()) | Err(Error::NotAMember { .. } | Error::GroupDeleted) => Ok(()),
            Err(error) => self.world.forgive("leave", &error),
        }
    }

    pub(super) fn read(&mut self) -> Verdict {
        if self.workers.is_empty() {
            return self.join();
        }
        let index = self.world.random.below(self.workers.len());
        let max = u32::try_from(1 + self.world.random.below(6)).expect("it is small");
        let mut worker = self.workers.swap_remove(index);
        let (group, epoch) = (worker.group, worker.epoch);
        let read = worker.consumer.try_read(max);
        self.settle_earlier(&mut worker, false, read.is_ok());
        let batch = match read {
            Ok(batch) => batch,
            Err(Error::NotAMember { .. } | Error::GroupDeleted) => return Ok(()),
            Err(error) => {
                self.workers.push(worker);
                return self.read_failed(group, &error);
            }
        };
        let lent = batch.peek();
        self.world.check_due(&lent)?;
        let live = self.world.groups.get_mut(group).filter(|model| model.epoch == epoch);
        let Some(model) = live else {
            return Err("a deleted group hands out".to_owned());
        };
        model.settle_soon();
        for (token, attempt) in &lent {
            model.delivered(*token, *attempt, &self.world.partitions)?;
        }
        self.lent(&mut worker, &lent);
        let taken = match self.world.random.below(3) {
            0 => self.world.random.below(lent.len() + 1),
            _ => lent.len(),
        };
        if group == OWNED && !lent.is_empty() {
            // Nothing happens between a read and this look.
            let own = worker.consumer.assignment();
            let own =
                own.or_else(|error| self.world.forgive("own", &error).map(|()| Vec::new()))?;
            let foreign = lent.iter().find(|(token, _)| !own.contains(&token.id().partition()));
            if let Some((token, _)) = foreign.filter(|_| !own.is_empty()) {
                return Err(format!("{} is of another member's partition", token.id()));
            }
        }
        let deliveries = batch.into_iter();
        for delivery in deliveries.take(taken) {
            self.world.check(&delivery)?;
            self.held.push(Held { group, epoch, delivery });
        }
        self.workers.push(worker);
        let model = self.world.groups.get_mut(group).ok_or("it was there")?;
        for (token, attempt) in &lent[taken..] {
            model.dropped(token.id(), *attempt, false);
        }
        while self.held.len() > HELD_MAX {
            self.forget();
        }
        Ok(())
    }

    /// Looks at who has what: no partition of the group that has them assigned is in two hands, and
    /// generations only grow.
    pub(super) fn watch(&mut self) -> Verdict {
        for (name, group) in self.groups.clone() {
            let pending = match group.pending_entries(&PendingQuery::new().max(u32::MAX)) {
                Ok(pending) => pending,
                Err(error) => return self.world.forgive("pending", &error),
            };
            let model = self.world.groups.get_mut(name).ok_or("a group without a model")?;
            model.settle_soon();
            let mut holders: BTreeMap<u32, String> = BTreeMap::new();
            for line in pending.into_iter().filter(|_| name == OWNED) {
                let Some(consumer) = line.consumer else { continue };
                let holder = holders.entry(line.id.partition()).or_insert_with(|| consumer.clone());
                if *holder != consumer {
                    return Err(format!("{} is held by {holder} and {consumer}", line.id));
                }
            }
        }
        for Worker { group, epoch, consumer, .. } in &self.workers {
            let live = self.world.groups.get_mut(group).filter(|model| model.epoch == *epoch);
            let (Some(model), Ok(generation)) = (live, consumer.generation()) else { continue };
            model.heard(generation)?;
        }
        Ok(())
    }

    /// Settles a partition up to some entry, if it is the worker's.
    pub(super) fn ack_through(&mut self) -> Verdict {
        let (durable, partitions) = (self.always(), self.world.partitions.len());
        let partition = self.world.random.below(partitions);
        let count = self.world.partitions[partition].items.len();
        let own = |worker: &&Worker| worker.group == OWNED;
        let own: Vec<&Worker> = self.workers.iter().filter(own).collect();
        if own.is_empty() || count == 0 {
            return Ok(());
        }
        let Worker { group, epoch, consumer, .. } = own[self.world.random.below(own.len())];
        let offset = self.world.random.below(count) as u64;
        let partition = u32::try_from(partition).expect("there are few");
        let settled = consumer.ack_through(EntryId::new(partition, offset));
        let live = self.world.groups.get_mut(group).filter(|model| model.epoch == *epoch);
        let model = match (live, &settled) {
            (Some(model), _) => model,
            (None, Ok(_)) => return Err("a deleted group settles".to_owned()),
            (None, Err(_)) => return Ok(()),
        };
        match settled {
            Ok(_) => {
                model.settle_soon();
                model.settled_through(partition, offset + 1, Some(durable), &self.world.partitions);
                Ok(())
            }
            Err(Error::NotAssigned { .. } | Error::Fenced { .. } | Error::NotAMember { .. }) => {
                Ok(())
            }
            Err(error) => {
                model.settled_through(partition, offset + 1, None, &self.world.partitions);
                self.world.forgive("ack through", &error)
            }
        }
    }

    fn take_held(&mut self) -> Option<Held> {
        if self.held.is_empty() {
            return None;
        }
        let index = self.world.random.below(self.held.len());
        Some(self.held.swap_remove(index))
    }

    pub(super) fn ack(&mut self) -> Verdict {
        self.resolve(Verb::Ack, "ack", Delivery::ack)
    }

    pub(super) fn nack(&mut self) -> Verdict {
        self.resolve(Verb::Nack, "nack", |delivery| delivery.nack_after(Duration::from_secs(5)))
    }

    pub(super) fn release(&mut self) -> Verdict {
        self.resolve(Verb::Release, "release", Delivery::release)
    }

    pub(super) fn reject(&mut self) -> Verdict {
        self.resolve(Verb::Reject, "reject", |held| held.reject("bad"))
    }

    fn resolve(
        &mut self,
        verb: Verb,
        doing: &str,
        call: impl FnOnce(Delivery) -> Result<()>,
    ) -> Verdict {
        let Some(Held { group, epoch, delivery }) = self.take_held() else { return Ok(()) };
        let id = delivery.id();
        let outcome = call(delivery);
        match outcome {
            Ok(()) if self.settles_on_read(group) && verb == Verb::Ack => return Ok(()),
            _ => {}
        }
        self.resolved(group, epoch, id, verb, doing, outcome)
    }

    fn resolved(
        &mut self,
        group: &'static str,
        epoch: u64,
        id: EntryId,
        verb: Verb,
        doing: &str,
        outcome: Result<()>,
    ) -> Verdict {
        let durable = self.always();
        let live = self.world.groups.get_mut(group).filter(|model| model.epoch == epoch);
        let Some(model) = live else {
            return match outcome {
                Ok(()) => Err(format!("{doing} of {id} worked on a group that was deleted")),
                Err(_) => Ok(()),
            };
        };
        let attempts = model.attempts(id);
        let state = match verb {
            Verb::Ack => State::Done,
            Verb::Reject => model.rules.end(),
            Verb::Nack if attempts >= model.rules.max_deliveries => model.rules.end(),
            Verb::Nack => State::Back(attempts),
            Verb::Release => State::Back(attempts.saturating_sub(1)),
        };
        match outcome {
            Ok(()) if verb == Verb::Ack => model.acked(id, durable),
            // After its lease ended, an entry waits as it did.
            Ok(()) if verb == Verb::Release => {
                model.set(id, state);
                model.perhaps(id, State::Back(attempts));
            }
            Ok(()) => model.set(id, state),
            Err(Error::LeaseLost { .. }) => {}
            Err(error) => {
                model.perhaps(id, state);
                return self.world.forgive(doing, &error);
            }
        }
        Ok(())
    }

    /// Drops a delivery, or leaves its token for later.
    pub(super) fn forget(&mut self) {
        let Some(Held { group, epoch, delivery }) = self.take_held() else { return };
        if self.world.random.coin() {
            self.tokens.push((group, epoch, delivery.detach()));
        } else {
            self.drop_held(Held { group, epoch, delivery });
        }
    }

    fn drop_held(&mut self, held: Held) {
        let Held { group, epoch, delivery } = held;
        let (id, attempt) = (delivery.id(), delivery.attempt());
        drop(delivery);
        let live = self.world.groups.get_mut(group).filter(|model| model.epoch == epoch);
        if let Some(model) = live {
            model.dropped(id, attempt, true);
        }
    }

    pub(super) fn forget_all(&mut self) {
        for held in std::mem::take(&mut self.held) {
            self.drop_held(held);
        }
    }

    pub(super) fn extend(&mut self) -> Verdict {
        let Some(Held { group, epoch, delivery }) = self.held.first() else { return Ok(()) };
        let live = self.world.groups.get(group).is_some_and(|model| model.epoch == *epoch);
        match delivery.extend(LEASE * 3) {
            Ok(()) if !live => Err("a lease of a deleted group was extended".to_owned()),
            Ok(()) | Err(Error::LeaseLost { .. }) => Ok(()),
            Err(_) if !live => Ok(()),
            Err(error) => self.world.forgive("extend", &error),
        }
    }

    /// Acks everything that was left as a token, in one call for each group.
    pub(super) fn ack_tokens(&mut self) -> Verdict {
        let tokens = std::mem::take(&mut self.tokens);
        for (name, group) in self.groups.clone() {
            let epoch = self.world.groups.get(name).map_or(0, |model| model.epoch);
            let of = tokens.iter().filter(|token| token.0 == name);
            // The newest token of an entry, so that the outcome for its id is the outcome for it.
            let of: BTreeMap<_, _> = of.map(|token| (token.2.id(), token)).collect();
            let outcome = group.ack(of.values().map(|token| token.2));
            for (_, from, token) in of.into_values() {
                let outcome = outcome_of(&outcome, token.id());
                self.resolved(name, *from, token.id(), Verb::Ack, "ack by token", outcome)?;
            }
            if let (Err(error), true) = (outcome, epoch > 0) {
                self.world.forgive("ack by token", &error)?;
            }
        }
        Ok(())
    }
}
