//! The verbs that change something, and what they have in common: the stream is opened as its owner
//! does, what is about to happen is told, and somebody has to say yes.
//!
//! 1. Where nobody can be asked and `--yes` is not given, nothing is opened.
//! 2. The lock is held from before the telling until after the doing, so what is told is what happens.
//!
//! Opening as an owner repairs and ends leases, as any other opening does, also where the answer is
//! no. Opening for a look first and once more after the answer was left: what was told could be out of
//! date by then.

pub(crate) mod delete;
pub(crate) mod redrive;
pub(crate) mod reset;
mod stand_in;
pub(crate) mod trim;

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::Path;

use millstream::{Error, Group, Stream};
use stand_in::StandIn;

use super::args::{Named, Sure};
use super::exit::Failure;
use super::screen::Screen;

/// Opens a stream as its owner, if it can be confirmed what is done with it.
pub(super) fn open(dir: &Path, sure: Sure) -> Result<Stream, Failure> {
    if !sure.yes && !io::stdin().is_terminal() {
        return Err(Failure::Refused(
            "nobody can be asked, as the input is no terminal; --yes does it without asking"
                .to_owned(),
        ));
    }
    Ok(Stream::options().open_existing(dir)?)
}

/// Opens a group as it is, whatever its strategy.
pub(super) fn open_group(stream: &Stream, named: &Named) -> Result<Group, Failure> {
    let options = || stream.group(&named.name);
    match options().open_existing() {
        Err(Error::StrategyMissing { strategy }) => {
            Ok(options().strategy(StandIn::new(&strategy)).open_existing()?)
        }
        opened => Ok(opened?),
    }
}

/// Asks whether what was told is to be done, unless that is sure.
pub(super) fn confirm(question: &str, sure: Sure, screen: &mut Screen) -> Result<(), Failure> {
    if sure.yes {
        return Ok(());
    }
    screen.flush()?;
    ask(question, &mut io::stdin().lock(), &mut io::stderr())
}

fn ask(question: &str, input: &mut impl BufRead, prompt: &mut impl Write) -> Result<(), Failure> {
    write!(prompt, "{question} [y/N] ")?;
    prompt.flush()?;
    let mut answer = String::new();
    input.read_line(&mut answer)?;
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Failure::Refused("it was not done".to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_yes_is_a_yes() {
        let answer = |text: &str| {
            let mut prompt = Vec::new();
            let asked = ask("Go?", &mut text.as_bytes(), &mut prompt);
            assert_eq!(prompt, b"Go? [y/N] ");
            asked.is_ok()
        };
        for yes in ["y\n", "Y\n", "yes\n", "yes", " YES \n"] {
            assert!(answer(yes), "{yes:?}");
        }
        for no in ["", "\n", "n\n", "no\n", "ye\n", "yes please\n"] {
            assert!(!answer(no), "{no:?}");
        }
    }
}
