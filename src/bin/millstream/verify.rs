//! `millstream verify`: whether every stored byte matches its checksum.

use std::time::Duration;

use indicatif::ProgressBar;
use millstream::{Error, Recovery};
use serde::Serialize;

use super::args::Dir;
use super::exit::{Failure, Outcome};
use super::look;
use super::screen::{BAD, GOOD, Screen};
use super::words::{self, plain};

/// What the verb tells programs.
#[derive(Debug, Serialize)]
struct Report<'a> {
    sound: bool,
    bytes: u64,
    /// The first damage that was met.
    damage: Option<String>,
    recovery: &'a Recovery,
}

pub(crate) fn run(args: &Dir, screen: &mut Screen) -> Result<Outcome, Failure> {
    let stream = look::open(&args.dir)?;
    let bytes = stream.info()?.bytes;
    let spinner =
        ProgressBar::new_spinner().with_message(format!("reading {}", words::size(bytes)));
    spinner.enable_steady_tick(Duration::from_millis(100));
    let damage = match stream.verify() {
        Err(Error::Corrupt(damage)) => Some(damage.to_string()),
        verified => {
            verified?;
            None
        }
    };
    spinner.finish_and_clear();
    let recovery = stream.recovery();
    let sound = damage.is_none() && look::outcome(recovery) == Outcome::Done;
    if screen.is_json() {
        screen.object(&Report { sound, bytes, damage, recovery })?;
    } else {
        look::tell_damage(recovery, screen)?;
        let words = match damage {
            Some(damage) => screen.paint(BAD, format!("damaged: {}", plain(&damage))),
            None if sound => screen.paint(GOOD, format!("{} read, all sound", words::size(bytes))),
            None => screen.paint(BAD, "damaged; what could be read is sound"),
        };
        screen.line(words)?;
    }
    Ok(if sound { Outcome::Done } else { Outcome::Damaged })
}
