//! `millstream verify`: whether every stored byte matches its checksum.

use std::ops::ControlFlow;

use millstream::{FileReport, Recovery, VerifyReport};
use serde::Serialize;

use super::args::Dir;
use super::bar::Bar;
use super::exit::{Failure, Outcome};
use super::look;
use super::screen::{BAD, GOOD, Screen};
use super::table::Table;
use super::words::{count, counted, plain, size};

/// What the verb tells programs.
#[derive(Debug, Serialize)]
struct Report<'a> {
    sound: bool,
    #[serde(flatten)]
    found: &'a VerifyReport,
    recovery: &'a Recovery,
}

pub(crate) fn run(args: &Dir, screen: &mut Screen) -> Result<Outcome, Failure> {
    let stream = look::open(&args.dir)?;
    let bar = Bar::new();
    let found = stream.verify_with(|progress| {
        bar.show(&progress);
        ControlFlow::Continue(())
    });
    drop(bar);
    let (found, recovery) = (found?, stream.recovery());
    let sound = found.is_sound() && look::outcome(recovery) == Outcome::Done;
    if screen.is_json() {
        screen.object(&Report { sound, found: &found, recovery })?;
    } else {
        show(&found, screen)?;
        look::tell_damage(recovery, screen)?;
        let bytes = size(found.files.iter().map(|file| file.bytes).sum());
        let words = if sound {
            screen.paint(GOOD, format!("{bytes} read, all sound"))
        } else {
            screen.paint(BAD, format!("damaged; {bytes} are sound"))
        };
        screen.line(words)?;
    }
    Ok(if sound { Outcome::Done } else { Outcome::Damaged })
}

fn show(found: &VerifyReport, screen: &mut Screen) -> Result<(), Failure> {
    let mut table = Table::new()
        .text("part")
        .numbers(["segment", "from", "to", "frames", "size"])
        .text("found");
    for file in &found.files {
        table.row(row(file));
    }
    table.print(screen)?;
    screen.line("")?;
    for damage in found.damage() {
        let words = screen.paint(BAD, plain(&damage.to_string()));
        screen.line(words)?;
    }
    let damaged = found.damage().count() as u64;
    if damaged > 0 {
        screen.line(format!("{} damaged", counted(damaged, "file is", "files are")))?;
    }
    Ok(())
}

fn row(file: &FileReport) -> [String; 7] {
    [
        plain(&file.part.to_string()),
        count(file.sequence),
        count(file.first),
        count(file.end),
        count(file.frames),
        size(file.bytes),
        if file.damage.is_none() { "sound" } else { "damaged" }.to_owned(),
    ]
}
