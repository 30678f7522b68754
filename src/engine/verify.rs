//! Comparing everything that is stored with its sums, file by file, past what is damaged.
//!
//! What the stream has open is looked at as far as it goes at the beginning of the call. Of what it has not
//! open, because it is damaged or the stream is open for reading only, the files alone tell.

use super::manifest::{self, Manifest};
use super::meter::{Meter, Tell};
use super::mill::Mill;
use crate::backup::{FileReport, Part, VerifyReport};
use crate::error::{Corruption, Error, Result};
use crate::log::{Checked, Log, Mode, OwnerKind, Still, Suspect};
use crate::observe::{self, Span};

/// A log that is to be looked at.
enum Work<'a> {
    Open { log: &'a Log, still: Still },
    Files(Box<Suspect>),
}

impl Work<'_> {
    fn count(&self) -> usize {
        match self {
            Self::Open { still, .. } => still.count(),
            Self::Files(files) => files.count(),
        }
    }

    fn bytes(&self) -> u64 {
        match self {
            Self::Open { still, .. } => still.bytes(),
            Self::Files(files) => (0..files.count()).map(|index| files.bytes_of(index)).sum(),
        }
    }

    fn check(
        &mut self,
        index: usize,
        step: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<Option<Checked>> {
        match self {
            Self::Open { log, still } => log.check(still, index, step),
            Self::Files(files) => files.check(index, step),
        }
    }
}

impl Mill {
    /// Compares everything with its sums, and says what is wrong.
    pub(crate) fn verify_with(&self, tell: &mut Tell<'_>) -> Result<VerifyReport> {
        let mut files = Vec::new();
        let complete = match self.each_file(tell, &mut |file| {
            files.push(file);
            Ok(())
        }) {
            Err(Error::BrokenOff) => false,
            other => other.map(|()| true)?,
        };
        Ok(VerifyReport { files, complete })
    }

    /// The same up to the first thing that is wrong.
    pub(crate) fn verify(&self) -> Result<()> {
        let mut tell = |_: crate::backup::Progress<'_>| std::ops::ControlFlow::Continue(());
        self.each_file(&mut tell, &mut |file| match file.damage {
            None => Ok(()),
            Some(damage) => Err(Error::Corrupt(Box::new(damage))),
        })
    }

    fn each_file(
        &self,
        tell: &mut Tell<'_>,
        visit: &mut dyn FnMut(FileReport) -> Result<()>,
    ) -> Result<()> {
        let _told = observe::within(&self.ground.source, Span::Verify);
        self.ground.check_open()?;
        let desks = self.desks.read().clone();
        let journals = desks.values().map(|desk| desk.as_ref().ok().map(|desk| &desk.journal));
        let journals: Vec<Option<&Log>> = journals.collect();
        let manifest = self.manifest_to_verify();
        let mut works = Vec::new();
        for partition in 0..manifest.partitions {
            let log = self.ground.logs.get(partition as usize);
            let work = self.work(log, OwnerKind::Partition, partition.into())?;
            works.push((Part::Partition(partition), work));
        }
        for group in &manifest.groups {
            let open = desks.keys().position(|name| *name == group.name);
            let log = open.and_then(|index| journals[index]);
            let work = self.work(log, OwnerKind::Journal, group.number)?;
            works.push((Part::Group(group.name.clone()), work));
        }
        let total = works.iter().map(|(_, work)| work.bytes()).sum();
        let mut forward = |progress: crate::backup::Progress<'_>| tell(progress);
        let mut meter = Meter::new(total, &mut forward);
        meter.begin(Part::Manifest)?;
        visit(self.check_manifest()?)?;
        for (part, mut work) in works {
            meter.begin(part.clone())?;
            for index in 0..work.count() {
                self.ground.check_open()?;
                if let Some(checked) = work.check(index, &mut |bytes| meter.step(bytes))? {
                    visit(report(&part, checked))?;
                }
            }
        }
        meter.end()
    }

    /// The manifest by which parts are looked for: another owner's as it is stored, if that can be read.
    fn manifest_to_verify(&self) -> Manifest {
        if self.ground.looks_on()
            && let Ok(Some(stored)) = Manifest::load(&*self.ground.storage)
        {
            return stored;
        }
        self.manifest.lock().clone()
    }

    fn work<'a>(&self, log: Option<&'a Log>, kind: OwnerKind, number: u64) -> Result<Work<'a>> {
        match log.filter(|_| self.terms.mode == Mode::Write) {
            Some(log) if kind == OwnerKind::Journal => {
                Ok(Work::Open { log, still: log.still().newest() })
            }
            Some(log) => Ok(Work::Open { log, still: log.still() }),
            None => {
                let files = Suspect::new(self.terms.settings(kind, number))?;
                Ok(Work::Files(Box::new(files)))
            }
        }
    }

    fn check_manifest(&self) -> Result<FileReport> {
        let storage = &*self.ground.storage;
        let file = storage.locate(manifest::NAME);
        let nothing =
            |what| Corruption { file: file.clone(), position: 0, first: None, end: None, what };
        let damage = match Manifest::load(storage) {
            Ok(Some(_)) => None,
            Ok(None) => Some(nothing("the manifest is missing")),
            Err(Error::Corrupt(damage)) => Some(*damage),
            Err(other) => return Err(other),
        };
        let part = Part::Manifest;
        let (sequence, first, end, bytes, frames, entries) = (0, 0, 0, 0, 0, 0);
        Ok(FileReport { part, file, sequence, first, end, bytes, frames, entries, damage })
    }
}

fn report(part: &Part, checked: Checked) -> FileReport {
    let Checked { file, sequence, first, end, bytes, frames, entries, damage } = checked;
    let (part, damage) = (part.clone(), damage.map(|damage| *damage));
    FileReport { part, file, sequence, first, end, bytes, frames, entries, damage }
}
