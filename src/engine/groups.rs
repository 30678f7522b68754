//! Making, finding and deleting a stream's groups.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::desk::Desk;
use super::handle::Handle;
use super::manifest::{
    GroupRecord, GroupSettings, Manifest, StoredAckMode, StoredBackoff, StoredExhausted,
    StoredOnTrimmed, StoredStrategy, StoredWait,
};
use super::mill::Mill;
use super::onlook;
use super::open::{Made, duration, micros, open_desk, remove_directory};
use super::policy::{built_in, policy};
use crate::assign::Assign;
use crate::error::{Error, Result};
use crate::limits::GROUPS_MAX;
use crate::observe::{self, Signal, Standing};
use crate::start::Start;
use crate::subject::Filter;

/// What all handles of one open group share.
pub(crate) struct Seat {
    pub(crate) handle: Arc<Handle>,
    pub(crate) desk: Arc<Desk>,
    /// The stream that takes the dead letters, if it was given.
    target: Mutex<Option<Arc<Handle>>>,
}

impl Seat {
    /// The seat that all handles of a group share.
    pub(super) fn of(handle: &Arc<Handle>, desk: &Arc<Desk>) -> Arc<Self> {
        let mut seat = desk.seat.lock();
        if let Some(shared) = seat.upgrade() {
            return shared;
        }
        let target = Mutex::default();
        let fresh = Arc::new(Self { handle: Arc::clone(handle), desk: Arc::clone(desk), target });
        *seat = Arc::downgrade(&fresh);
        fresh
    }

    /// The stream that takes the dead letters.
    pub(crate) fn target(&self) -> Option<Arc<Handle>> {
        self.target.lock().clone()
    }

    /// Gives exhausted entries a place to go to.
    pub(crate) fn aim(&self, target: &Arc<Handle>) {
        *self.target.lock() = Some(Arc::clone(target));
        self.desk.burial.owe();
    }
}

impl fmt::Debug for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of {:?}", self.desk.name, self.handle)
    }
}

/// What the options of a group ask for; what is unset keeps the stored value.
#[derive(Clone, Debug, Default)]
pub(crate) struct GroupPlan {
    /// Which entries the group takes; one that is there has to have the same.
    pub(crate) filter: Option<Filter>,
    pub(crate) lease: Option<Duration>,
    pub(crate) session_timeout: Option<Duration>,
    pub(crate) max_deliveries: Option<u16>,
    pub(crate) backoff: Option<StoredBackoff>,
    pub(crate) on_exhausted: Option<StoredExhausted>,
    /// The stream that takes the dead letters.
    pub(crate) target: Option<Arc<Handle>>,
    pub(crate) max_in_flight: Option<u64>,
    pub(crate) max_in_flight_per_consumer: Option<u64>,
    pub(crate) max_in_flight_bytes: Option<u64>,
    pub(crate) strategy: Option<(StoredStrategy, Arc<dyn Assign>)>,
    pub(crate) revocation_timeout: Option<Duration>,
    pub(crate) on_trimmed: Option<StoredOnTrimmed>,
    pub(crate) ack_mode: Option<StoredAckMode>,
    pub(crate) delayed_max: Option<u64>,
}

impl GroupPlan {
    pub(super) fn revise(&self, settings: &mut GroupSettings) -> Result<()> {
        settings.lease = self.lease.map_or(settings.lease, micros);
        settings.session_timeout = self.session_timeout.map(micros).or(settings.session_timeout);
        settings.max_deliveries = self.max_deliveries.unwrap_or(settings.max_deliveries);
        if let Some(backoff) = &self.backoff {
            settings.backoff = backoff.clone();
        }
        settings.on_exhausted = self.on_exhausted.unwrap_or(settings.on_exhausted);
        settings.max_in_flight = self.max_in_flight.unwrap_or(settings.max_in_flight);
        settings.max_in_flight_per_consumer =
            self.max_in_flight_per_consumer.unwrap_or(settings.max_in_flight_per_consumer);
        settings.max_in_flight_bytes =
            self.max_in_flight_bytes.unwrap_or(settings.max_in_flight_bytes);
        if let Some((stored, _)) = &self.strategy {
            settings.strategy = stored.clone();
        }
        settings.revocation_timeout =
            self.revocation_timeout.map_or(settings.revocation_timeout, micros);
        settings.on_trimmed = self.on_trimmed.unwrap_or(settings.on_trimmed);
        settings.ack_mode = self.ack_mode.unwrap_or(settings.ack_mode);
        settings.delayed_max = self.delayed_max.unwrap_or(settings.delayed_max);
        self.check_interval(settings)
    }

    /// Refuses to settle so rarely that leases end before that.
    fn check_interval(&self, settings: &GroupSettings) -> Result<()> {
        let StoredAckMode::Interval(interval) = settings.ack_mode else { return Ok(()) };
        let asked = self.ack_mode.is_some() || self.lease.is_some();
        if interval < settings.lease || !asked {
            return Ok(());
        }
        let (lease, interval) = (duration(settings.lease), duration(interval));
        let (option, given, bound) = if self.ack_mode.is_some() {
            ("ack_mode", interval, format!("an interval below the lease of {lease:?}"))
        } else {
            ("lease", lease, format!("above the interval of acks of {interval:?}"))
        };
        Err(Error::InvalidOption {
            option,
            given: format!("{given:?}").into(),
            bound: bound.into(),
        })
    }
}

impl Default for GroupSettings {
    fn default() -> Self {
        Self {
            lease: micros(Duration::from_secs(30)),
            session_timeout: None,
            max_deliveries: 16,
            backoff: StoredBackoff {
                wait: StoredWait::Exponential {
                    first: micros(Duration::from_millis(100)),
                    max: micros(Duration::from_secs(30)),
                },
                jitter_permille: 0,
                seed: None,
            },
            on_exhausted: StoredExhausted::Park,
            max_in_flight: 100_000,
            max_in_flight_per_consumer: u64::MAX,
            max_in_flight_bytes: u64::MAX,
            strategy: StoredStrategy::Shared,
            revocation_timeout: micros(Duration::from_secs(60)),
            on_trimmed: StoredOnTrimmed::Earliest,
            ack_mode: StoredAckMode::Explicit,
            delayed_max: 1_000_000,
        }
    }
}

/// Opens, makes or finds a group; `start` is for one that is made.
pub(crate) fn open_group(
    handle: &Arc<Handle>,
    name: &str,
    made: Made,
    plan: &GroupPlan,
    start: Option<&Start>,
) -> Result<Arc<Seat>> {
    let mill = &handle.mill;
    let _told = observe::afterwards();
    if mill.ground.looks_on() {
        return onlook::open_group(handle, name, made, plan);
    }
    check_target(mill, plan)?;
    // Declared before the lock, so that the end of the old strategy comes behind it.
    let mut replaced = None;
    let mut manifest = mill.manifest.lock();
    mill.ground.check_open()?;
    let found =
        mill.desks.read().get(name).map(|desk| desk.as_ref().map(Arc::clone).map_err(broken));
    let desk = match (found, start) {
        (Some(_), _) if made == Made::New => {
            return Err(Error::AlreadyExists { what: format!("the group {name:?}").into() });
        }
        (Some(desk), _) => {
            let desk = desk?;
            check_filter(desk.filter.as_ref(), plan.filter.as_ref())?;
            reconfigure(mill, &mut manifest, &desk, plan, &mut replaced)?;
            desk
        }
        (None, Some(start)) if made != Made::Before => {
            create(mill, &mut manifest, name, plan, start)?
        }
        (None, _) => return Err(Error::NotFound { what: format!("the group {name:?}").into() }),
    };
    let seat = Seat::of(handle, &desk);
    // One that is in use keeps the target it has; one that has none yet is told here.
    let aimless = plan.target.as_ref().filter(|_| seat.target.lock().is_none());
    let number = manifest.groups.iter().find(|group| group.number == desk.incarnation);
    let stored = number.map(|group| group.settings.on_exhausted);
    if let Some(target) = aimless
        && stored == Some(StoredExhausted::DeadLetter(target.mill.terms.stream))
    {
        seat.aim(target);
    }
    drop(manifest);
    drop(replaced);
    desk.bury();
    Ok(seat)
}

/// Refuses to bury a stream's entries in itself.
pub(super) fn check_target(mill: &Mill, plan: &GroupPlan) -> Result<()> {
    let stream = mill.terms.stream;
    match &plan.target {
        Some(target) if target.mill.terms.stream == stream => Err(Error::InvalidOption {
            option: "on_exhausted",
            given: "a dead-letter stream that is the group's own".into(),
            bound: "another stream".into(),
        }),
        _ => Ok(()),
    }
}

/// Refuses another filter than the one that the group has; none at all keeps it.
pub(super) fn check_filter(stored: Option<&Filter>, given: Option<&Filter>) -> Result<()> {
    if given.is_none() || given == stored {
        return Ok(());
    }
    let show = |filter: Option<&Filter>| match filter {
        None => "none".into(),
        Some(filter) => filter.to_string().into(),
    };
    Err(Error::OptionsDiffer { option: "filter", stored: show(stored), given: show(given) })
}

/// The error of a group that could not be opened, once more; `open_desks` lets no others through.
pub(super) fn broken(error: &Arc<Error>) -> Error {
    match &**error {
        Error::Corrupt(corruption) => Error::Corrupt(corruption.clone()),
        Error::NewerFormat { path, found, supported } => {
            Error::NewerFormat { path: path.clone(), found: *found, supported: *supported }
        }
        _ => unreachable!("no other error is kept"),
    }
}

/// Gives a group that nobody uses the settings that the code asks for now. What was its strategy is
/// `replaced`.
fn reconfigure(
    mill: &Mill,
    manifest: &mut Manifest,
    desk: &Desk,
    plan: &GroupPlan,
    replaced: &mut Option<Arc<dyn Assign>>,
) -> Result<()> {
    if desk.seat.lock().strong_count() > 0 {
        return Ok(());
    }
    let mut changed = manifest.clone();
    let record = changed.groups.iter_mut().find(|group| group.number == desk.incarnation);
    let Some(record) = record else { return Err(Error::GroupDeleted) };
    plan.revise(&mut record.settings)?;
    let (policy, stored) = (policy(record), record.settings.strategy.clone());
    let strategy = strategy_of(plan, desk, &stored)?;
    if changed != *manifest {
        // Who could not leave when its last handle was dropped goes under the old settings.
        desk.amend(|_, _, _| Ok(()))?;
        changed.save(&*mill.ground.storage, &mill.ground.latch)?;
        *manifest = changed;
    }
    *replaced = desk.set_policy(policy, Some((strategy, stored.name())));
    desk.pass_trimmed()
}

/// The strategy that was passed, else the one that is stored or still known.
fn strategy_of(plan: &GroupPlan, desk: &Desk, stored: &StoredStrategy) -> Result<Arc<dyn Assign>> {
    if let Some((_, given)) = &plan.strategy {
        return Ok(Arc::clone(given));
    }
    let known = built_in(stored).or_else(|| desk.strategy());
    known.ok_or_else(|| Error::StrategyMissing { strategy: stored.name().into() })
}

fn create(
    mill: &Mill,
    manifest: &mut Manifest,
    name: &str,
    plan: &GroupPlan,
    start: &Start,
) -> Result<Arc<Desk>> {
    mill.ground.check_write()?;
    if manifest.groups.len() >= GROUPS_MAX {
        return Err(Error::LimitReached { what: "the number of groups", max: GROUPS_MAX as u64 });
    }
    let mut settings = GroupSettings::default();
    plan.revise(&mut settings)?;
    let record = GroupRecord {
        name: name.to_owned(),
        number: manifest.next_group,
        created: mill.ground.time.wall_micros(),
        // What is trimmed already goes by the group's policy when its desk is opened.
        starts: mill.ground.places(start)?,
        filter: plan.filter.iter().flat_map(Filter::patterns).map(ToString::to_string).collect(),
        settings,
    };
    // Before it is written down: nothing that fails later may leave a group that nobody knows.
    let desk = open_desk(&mill.terms, &mill.ground, &record)?;
    if let Some((_, given)) = &plan.strategy {
        // A group that is new had none of the user's.
        let strategy = (Arc::clone(given), record.settings.strategy.name());
        drop(desk.set_policy(policy(&record), Some(strategy)));
    }
    let mut changed = manifest.clone();
    changed.next_group += 1;
    changed.groups.push(record.clone());
    changed.save(&*mill.ground.storage, &mill.ground.latch)?;
    *manifest = changed;
    mill.desks.write().insert(record.name, Ok(Arc::clone(&desk)));
    Ok(desk)
}

/// Deletes a group for good: its handles end, and one of that name made later inherits nothing.
pub(crate) fn delete_group(mill: &Mill, desk: &Desk) -> Result<()> {
    let _told = observe::afterwards();
    let mut manifest = mill.manifest.lock();
    desk.check_write()?;
    let mut changed = manifest.clone();
    changed.groups.retain(|group| group.number != desk.incarnation);
    if changed.groups.len() == manifest.groups.len() {
        return Err(Error::GroupDeleted);
    }
    changed.save(&*mill.ground.storage, &mill.ground.latch)?;
    *manifest = changed;
    mill.desks.write().remove(&*desk.name);
    desk.delete();
    drop(manifest);
    // Gauges of a group that is gone would stand for ever.
    observe::note(&desk.board.source, || Signal::Standing(Standing::default()));
    desk.ready.end();
    // What cannot be removed now, the next opening removes.
    let _ = remove_directory(&*mill.ground.storage, &format!("g{}", desk.incarnation));
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Weak};

    use parking_lot::Mutex;

    use crate::assign::{Assign, Assignment, View};
    use crate::clock::{ManualClock, time_of};
    use crate::engine::{GroupPlan, Handle, Made, Mill, Plan, StoredStrategy, Trial, open_group};
    use crate::start::Start;
    use crate::storage::Memory;

    /// Notes at its end whether the stream's lock was free.
    #[derive(Debug)]
    struct Ending {
        handle: Weak<Handle>,
        was_free: Arc<Mutex<Vec<bool>>>,
    }

    impl Assign for Ending {
        fn name(&self) -> &'static str {
            "ending"
        }

        fn assign(&self, _: &View) -> Assignment {
            Assignment::Everyone
        }
    }

    impl Drop for Ending {
        fn drop(&mut self) {
            if let Some(handle) = self.handle.upgrade() {
                self.was_free.lock().push(handle.mill.manifest.try_lock().is_some());
            }
        }
    }

    #[test]
    fn a_strategy_that_is_replaced_ends_with_no_lock_held() {
        let options = Plan {
            partitions: None,
            segment_bytes: None,
            entry_bytes_max: None,
            durability: None,
            retention: None,
            unique_max: None,
            time: time_of(&ManualClock::new()),
            trial: Trial::default(),
        };
        let mill = Mill::open(Arc::new(Memory::new()), Made::New, options).unwrap();
        let handle = Arc::new(Handle { mill });
        let was_free = Arc::default();
        let opened_with_another = || {
            let strategy =
                Ending { handle: Arc::downgrade(&handle), was_free: Arc::clone(&was_free) };
            let stored = StoredStrategy::custom(&strategy).unwrap();
            let plan =
                GroupPlan { strategy: Some((stored, Arc::new(strategy))), ..GroupPlan::default() };
            let seat = open_group(&handle, "g", Made::IfMissing, &plan, Some(&Start::Earliest));
            drop(seat.unwrap());
        };
        opened_with_another();
        assert!(was_free.lock().is_empty());
        opened_with_another();
        assert_eq!(*was_free.lock(), [true]);
    }
}
