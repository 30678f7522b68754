//! What happens between two openings: entries come, are worked off, and go.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{GROUPS, Verdict, World};
use crate::backoff::Backoff;
use crate::consumer::Consumer;
use crate::delivery::Delivery;
use crate::error::{Error, Result};
use crate::group::Group;
use crate::id::EntryId;
use crate::loss::Loss;
use crate::pending::PendingQuery;
use crate::start::Start;
use crate::stream::Stream;

/// One opening of a world.
pub(super) struct Life<'w> {
    pub(super) world: &'w mut World,
    pub(super) stream: Stream,
    pub(super) groups: Vec<Group>,
    pub(super) workers: Vec<Consumer>,
}

/// What a group shows of itself.
struct Sight {
    next: Vec<u64>,
    /// Whether each is in somebody's hands.
    pending: BTreeMap<EntryId, bool>,
    parked: BTreeSet<EntryId>,
    trimmed: Loss,
}

impl Sight {
    fn of(group: &Group) -> Result<Self> {
        let info = group.info()?;
        let pending = group.pending_entries(&PendingQuery::default().max(u32::MAX))?;
        Ok(Self {
            next: info.partitions.iter().map(|partition| partition.next).collect(),
            pending: pending.iter().map(|entry| (entry.id, entry.consumer.is_some())).collect(),
            parked: group.parked(usize::MAX)?.into_iter().map(|parked| parked.id).collect(),
            trimmed: info.trimmed,
        })
    }

    /// What the group counts as lost once the partitions start there.
    fn after(&self, starts: &[u64]) -> Loss {
        let gone = |id: &EntryId| id.offset() < starts[id.partition() as usize];
        let held = |leased| self.pending.iter().filter(|(id, l)| gone(id) && **l == leased).count();
        let mut lost = self.trimmed;
        lost.add(Loss {
            unread: starts.iter().zip(&self.next).map(|(s, next)| s.saturating_sub(*next)).sum(),
            pending: held(true) as u64,
            delayed: held(false) as u64,
            parked: self.parked.iter().filter(|id| gone(id)).count() as u64,
        });
        lost
    }
}

/// Opens the groups, or makes them.
pub(super) fn groups(stream: &Stream) -> Result<Vec<Group>> {
    let open = |name| {
        let options = stream.group(name).lease(Duration::from_secs(10));
        let options = options.session_timeout(Duration::from_secs(7_200)).max_deliveries(3);
        options.backoff(Backoff::fixed(Duration::from_secs(2))).open(Start::Earliest)
    };
    GROUPS.into_iter().map(open).collect()
}

impl<'w> Life<'w> {
    pub(super) fn new(world: &'w mut World, stream: Stream, groups: Vec<Group>) -> Result<Self> {
        let workers = groups.iter().map(|group| group.join("worker")).collect::<Result<_>>()?;
        Ok(Self { world, stream, groups, workers })
    }

    /// Does one thing, and notes what is certain afterwards.
    pub(super) fn step(&mut self) -> Verdict {
        match self.world.random.below(20) {
            0..=7 => self.watched(Self::append),
            8..=12 => self.read(),
            13 => self.watched(|life| life.forgiven("trim", life.stream.trim())),
            14 => {
                self.world.clock.advance(Duration::from_secs(15));
                self.watched(|life| life.forgiven("maintain", life.stream.maintain()))
            }
            15 => self.sync(),
            16..=17 => self.discard(),
            18 => {
                let group = self.world.random.pick(&[0, 1]);
                self.forgiven("redrive", self.groups[group].redrive(2))
            }
            _ => {
                self.world.clock.advance(Duration::from_secs(3));
                Ok(())
            }
        }?;
        if let (Ok(info), false) = (self.stream.info(), self.world.disk.is_off()) {
            for (p, at) in info.partitions.iter().enumerate() {
                self.world.starts[p] = at.start;
                let durable = usize::try_from(at.durable_end).expect("there are few");
                self.world.durable[p] = self.world.durable[p].max(durable);
            }
        }
        Ok(())
    }

    fn forgiven<T>(&self, doing: &str, outcome: Result<T>) -> Verdict {
        outcome.map_or_else(|error| self.world.forgive(doing, &error), |_| Ok(()))
    }

    /// Does what may trim, and compares what groups count with what they showed before.
    fn watched(&mut self, act: impl FnOnce(&mut Self) -> Verdict) -> Verdict {
        let see = |groups: &[Group]| groups.iter().map(Sight::of).collect::<Result<Vec<Sight>>>();
        let before = see(&self.groups);
        act(self)?;
        let (Ok(before), Ok(after), Ok(info)) = (before, see(&self.groups), self.stream.info())
        else {
            return Ok(());
        };
        if self.world.tolerant || self.world.disk.is_off() {
            return Ok(());
        }
        let starts: Vec<u64> = info.partitions.iter().map(|partition| partition.start).collect();
        for (name, (before, after)) in GROUPS.iter().zip(before.iter().zip(&after)) {
            let wanted = before.after(&starts);
            if after.trimmed != wanted {
                return Err(format!("{name} counts {:?}, not {wanted:?}", after.trimmed));
            }
        }
        Ok(())
    }

    fn append(&mut self) -> Verdict {
        self.world.unique += 1;
        let mut payload = self.world.unique.to_le_bytes().to_vec();
        payload.resize(600 + self.world.random.below(350), 7);
        match self.stream.append(&payload) {
            Ok(id) => {
                let items = &mut self.world.items[id.partition() as usize];
                if id.offset() != items.len() as u64 {
                    return Err(format!("{id} was appended behind {} entries", items.len()));
                }
                items.push(payload);
                Ok(())
            }
            Err(error) => {
                self.world.doubts.push(payload);
                self.world.forgive("append", &error)
            }
        }
    }

    fn read(&mut self) -> Verdict {
        let group = self.world.random.pick(&[0, 1]);
        let max = u32::try_from(1 + self.world.random.below(6)).expect("it is small");
        let batch = match self.workers[group].try_read(max) {
            Ok(batch) => batch,
            Err(error) => return self.world.forgive("read", &error),
        };
        for delivery in batch {
            let verb = self.world.random.below(12);
            if verb <= 6 {
                self.world.done.insert((group, delivery.id()));
            }
            let outcome = match verb {
                0..=6 => delivery.ack(),
                7 => delivery.reject("bad"),
                8 => delivery.nack(),
                9 => delivery.release(),
                10 => {
                    let _kept = Delivery::detach(delivery);
                    Ok(())
                }
                _ => Ok(()),
            };
            self.forgiven("settle", outcome.map_err(root))?;
        }
        Ok(())
    }

    fn sync(&mut self) -> Verdict {
        let synced = self.stream.sync();
        if synced.is_ok() {
            self.world.durable = self.world.items.iter().map(Vec::len).collect();
        }
        self.forgiven("sync", synced)
    }

    fn discard(&mut self) -> Verdict {
        let group = self.world.random.pick(&[0, 1]);
        let parked: Vec<EntryId> = match self.groups[group].parked(3) {
            Ok(parked) => parked.into_iter().map(|parked| parked.id).collect(),
            Err(error) => return self.world.forgive("parked", &error),
        };
        self.world.done.extend(parked.iter().map(|id| (group, *id)));
        self.forgiven("discard", self.groups[group].discard_parked(&parked))
    }
}

fn root(error: Error) -> Error {
    match error {
        Error::Unsettled { cause, .. } => *cause,
        other => other,
    }
}
