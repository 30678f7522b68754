//! `millstream redrive`: parked entries become available again, or those that dead letters are of.

use std::path::Path;

use millstream::{Group, Stream};

use crate::args::Redrive;
use crate::exit::{Failure, Outcome};
use crate::letters;
use crate::look;
use crate::pending::{chosen, table};
use crate::screen::{BAD, Screen};
use crate::words::{count, counted, entries, plain};

/// How many rows are shown before the question.
const SHOWN_MAX: usize = 10;

pub(crate) fn run(args: &Redrive, screen: &mut Screen) -> Result<Outcome, Failure> {
    let stream = super::open(&args.group.dir, args.sure)?;
    let group = super::open_group(&stream, &args.group)?;
    let outcome = match &args.from {
        Some(from) => from_letters(&group, from, args, screen)?,
        None => from_parked(&group, args, screen)?,
    };
    stream.close()?;
    Ok(outcome)
}

fn from_parked(group: &Group, args: &Redrive, screen: &mut Screen) -> Result<Outcome, Failure> {
    let query = || chosen(&args.chosen, args.max);
    let parked = group.parked(query())?;
    let (number, all) = (parked.len() as u64, group.info()?.parked);
    if !screen.is_json() {
        let (all, name) = (count(all), plain(group.name()));
        screen.line(format!("{} of {all} parked in {name} will come again", entries(number)))?;
        if number > 0 {
            table(&parked[..parked.len().min(SHOWN_MAX)]).print(screen)?;
        }
        tell_rest(parked.len(), screen)?;
    }
    let mut redriven = 0;
    if number > 0 {
        super::confirm(&format!("Redrive {}?", entries(number)), args.sure, screen)?;
        redriven = group.redrive(query())?;
    }
    if screen.is_json() {
        let parked = all.saturating_sub(redriven);
        screen.object(&serde_json::json!({ "redriven": redriven, "parked": parked }))?;
    } else {
        screen.line(format!("{} redriven", entries(redriven)))?;
    }
    Ok(Outcome::Done)
}

fn from_letters(
    group: &Group,
    from: &Path,
    args: &Redrive,
    screen: &mut Screen,
) -> Result<Outcome, Failure> {
    let letters: Stream = look::open(from)?;
    let query = letters::query(&args.chosen, &args.which, args.max);
    let found = group.letters(&letters, &query)?;
    let number = found.found.len();
    let named = counted(number as u64, "letter", "letters");
    if !screen.is_json() {
        let name = plain(group.name());
        screen.line(format!("the entries of {named} will come again to {name}"))?;
        if number > 0 {
            letters::table(&found.found[..number.min(SHOWN_MAX)]).print(screen)?;
        }
        tell_rest(number, screen)?;
    }
    if number > 0 {
        super::confirm(&format!("Redrive {named}?"), args.sure, screen)?;
    }
    let redriven = group.redrive_letters(&letters, &query)?;
    if screen.is_json() {
        screen.object(&redriven)?;
    } else {
        screen.line(format!("{} redriven", entries(redriven.count() as u64)))?;
        for (id, error) in &redriven.failed {
            let words = format!("{id} was not redriven: {}", plain(&error.to_string()));
            let words = screen.paint(BAD, words);
            screen.line(words)?;
        }
        if let Some(next) = redriven.next {
            screen.line(format!("there may be more: --range '{next}..' goes on there"))?;
        }
    }
    let damaged = redriven.failed.iter().any(|(_, error)| error.is_corrupt());
    match redriven.stopped {
        Some(error) => Err(error.into()),
        None if damaged => Ok(Outcome::Damaged),
        None => Ok(Outcome::Done),
    }
}

fn tell_rest(rows: usize, screen: &mut Screen) -> Result<(), Failure> {
    match rows.saturating_sub(SHOWN_MAX) {
        0 => Ok(()),
        rest => screen.line(format!("and {} more", count(rest as u64))),
    }
}
