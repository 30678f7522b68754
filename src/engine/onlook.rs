//! A stream that was opened for reading only, beside an owner that goes on changing it: following its
//! manifest, and opening groups to look at.
//!
//! # Invariants
//! 1. `manifest_bytes` are those that `manifest` was read from last; they change together, under
//!    `manifest`.
//! 2. A group's desk is made when somebody first asks for that group. One that the manifest no longer
//!    has ends, whatever has its name by then.
//!
//! The manifest is replaced by renaming, so whatever is there is whole. It is small, and compared byte
//! for byte: who looks sees every change that was there before the look.

use std::sync::Arc;

use super::desk::Desk;
use super::groups::{GroupPlan, Seat, check_filter};
use super::handle::Handle;
use super::journal::{Journal, Opened};
use super::manifest::{self, GroupRecord, Manifest, StoredDurability};
use super::mill::Mill;
use super::open::{Made, missing, open_logs};
use super::policy::{built_in, policy};
use super::retain::Keeper;
use crate::error::{Corruption, Error, Result};
use crate::ledger::Ledger;
use crate::log::{Log, OwnerKind};
use crate::retention::Retention;

impl Mill {
    /// Follows the owner's partitions, and then its manifest, if it is another's stream.
    pub(crate) fn follow_partitions(&self) -> Result<()> {
        if self.ground.looks_on() {
            self.ground.check_open()?;
            self.ground.look()?;
            self.follow_manifest()?;
        }
        Ok(())
    }

    /// Takes over what the owner changed in the manifest: groups, partitions, settings.
    pub(crate) fn follow_manifest(&self) -> Result<()> {
        if !self.ground.looks_on() {
            return Ok(());
        }
        let mut manifest = self.manifest.lock();
        self.ground.check_open()?;
        let storage = &*self.ground.storage;
        let bytes = Manifest::read(storage)?.ok_or_else(|| missing(storage))?;
        let mut known = self.manifest_bytes.lock();
        if *known == bytes {
            return Ok(());
        }
        let found = Manifest::decode(&bytes, storage)?;
        if found.stream != manifest.stream {
            let reason = "another stream has taken its place";
            return Err(Error::NotAStream { path: storage.locate("").into(), reason });
        }
        self.grow_to(found.partitions)?;
        // The owner may have come again with another durability.
        let durable_only = found.durability == StoredDurability::Always;
        self.ground.logs.iter().for_each(|log| log.show_durable(durable_only));
        self.ground.addressed.publish(&found.addressed);
        self.follow_groups(&found.groups);
        *manifest = found;
        *known = bytes;
        Ok(())
    }

    /// Opens the logs of partitions that were added.
    fn grow_to(&self, partitions: u32) -> Result<()> {
        let before = self.ground.partitions();
        if partitions < before {
            let (file, what) =
                (self.ground.storage.locate(manifest::NAME), "partitions are missing");
            let corruption = Corruption { file, position: 0, first: None, end: None, what };
            return Err(Error::Corrupt(Box::new(corruption)));
        }
        if partitions > before {
            let (logs, _) = open_logs(&self.terms, before..partitions)?;
            self.ground.logs.extend(logs);
        }
        Ok(())
    }

    /// Ends the groups that are gone, and gives the others the settings that they have now.
    fn follow_groups(&self, records: &[GroupRecord]) {
        self.desks.write().retain(|_, desk| {
            let Ok(desk) = desk else { return false };
            let record = records.iter().find(|record| record.number == desk.incarnation);
            match record {
                Some(record) => desk.adopt_settings(record),
                None => desk.delete(),
            }
            record.is_some()
        });
    }

    /// What the manifest says of a group.
    pub(super) fn record_of(&self, number: u64) -> Option<GroupRecord> {
        let manifest = self.manifest.lock();
        manifest.groups.iter().find(|record| record.number == number).cloned()
    }

    /// The names of the groups, in order.
    pub(crate) fn group_names(&self) -> Vec<String> {
        if !self.ground.looks_on() {
            return self.desks.read().keys().cloned().collect();
        }
        let manifest = self.manifest.lock();
        let mut names: Vec<String> = manifest.groups.iter().map(|it| it.name.clone()).collect();
        names.sort_unstable();
        names
    }

    /// The stream's retention.
    pub(crate) fn retention(&self) -> Retention {
        if self.ground.looks_on() {
            return Keeper::new(&self.manifest.lock().retention).retention;
        }
        self.keeper.retention
    }

    /// The desk of a group to look at. The manifest is locked by the caller.
    fn onlooking_desk(&self, record: &GroupRecord) -> Result<Arc<Desk>> {
        let mut desks = self.desks.write();
        if let Some(Ok(desk)) = desks.get(&record.name) {
            return Ok(Arc::clone(desk));
        }
        let opened = Opened {
            log: Log::open(self.terms.settings(OwnerKind::Journal, record.number))?.0,
            ledger: Ledger::new(policy(record), &record.starts),
            journal: Journal::default(),
            marked: true,
        };
        let strategy = built_in(&record.settings.strategy);
        let desk = Arc::new(Desk::new(record, Arc::clone(&self.ground), opened, strategy));
        desks.insert(record.name.clone(), Ok(Arc::clone(&desk)));
        Ok(desk)
    }
}

/// Opens a group to look at, if it is there and nothing of it is to be changed.
pub(super) fn open_group(
    handle: &Arc<Handle>,
    name: &str,
    made: Made,
    plan: &GroupPlan,
) -> Result<Arc<Seat>> {
    let mill = &handle.mill;
    mill.follow_manifest()?;
    let manifest = mill.manifest.lock();
    mill.ground.check_open()?;
    let what = || format!("the group {name:?}").into();
    let record = match (manifest.groups.iter().find(|record| record.name == name), made) {
        (Some(_), Made::New) => return Err(Error::AlreadyExists { what: what() }),
        (Some(record), _) => record,
        (None, Made::Before) => return Err(Error::NotFound { what: what() }),
        (None, _) => return Err(Error::ReadOnly),
    };
    check_filter(record.filter().as_ref(), plan.filter.as_ref())?;
    let mut settings = record.settings.clone();
    plan.revise(&mut settings)?;
    if settings != record.settings {
        return Err(Error::ReadOnly);
    }
    let desk = mill.onlooking_desk(record)?;
    drop(manifest);
    desk.follow(mill)?;
    Ok(Seat::of(handle, &desk))
}

impl Desk {
    /// Goes by the settings that the group has now. It has no strategy to ask.
    fn adopt_settings(&self, record: &GroupRecord) {
        drop(self.set_policy(policy(record), None));
        self.lock().strategy_name = record.settings.strategy.name().into();
    }
}
