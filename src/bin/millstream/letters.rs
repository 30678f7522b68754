//! `millstream letters`: the dead letters of a group, in the stream that took them.

use millstream::{Letter, LetterQuery, Letters};

use super::args::{Chosen, Letters as Args, Which};
use super::exit::{Failure, Outcome};
use super::look;
use super::screen::{BAD, DIM, Screen};
use super::table::Table;
use super::words::{self, plain};

pub(crate) fn run(args: &Args, screen: &mut Screen) -> Result<Outcome, Failure> {
    let stream = look::open(&args.group.dir)?;
    let letters = look::open(&args.from)?;
    let group = stream.group(&args.group.name).open_existing()?;
    let found = group.letters(&letters, &query(&args.chosen, &args.which, args.max))?;
    let damaged = !found.unreadable.is_empty();
    if screen.is_json() {
        screen.object(&found)?;
    } else {
        show(&found, screen)?;
        look::tell_damage(letters.recovery(), screen)?;
    }
    Ok(if damaged { Outcome::Damaged } else { look::outcome(letters.recovery()) })
}

/// Asks for what was chosen.
pub(crate) fn query(chosen: &Chosen, which: &Which, max: usize) -> LetterQuery {
    let mut query = LetterQuery::new().range(chosen.range).max(max);
    for pattern in &chosen.subject {
        query = query.subject(pattern);
    }
    for reason in &which.reason {
        query = query.reason_contains(reason);
    }
    if which.attempts_over {
        query = query.attempts_over();
    }
    match &which.consumer {
        Some(name) => query.consumer(name),
        None => query,
    }
}

fn show(found: &Letters, screen: &mut Screen) -> Result<(), Failure> {
    screen.line(words::counted(found.found.len() as u64, "letter", "letters"))?;
    if !found.found.is_empty() {
        screen.line("")?;
        table(&found.found).print(screen)?;
    }
    for (id, error) in &found.unreadable {
        let words =
            screen.paint(BAD, format!("{id} cannot be read: {}", plain(&error.to_string())));
        screen.line(words)?;
    }
    if let Some(next) = found.next {
        let words =
            screen.paint(DIM, format!("there may be more: --range '{next}..' goes on there"));
        screen.line(words)?;
    }
    Ok(())
}

/// Letters as a table.
pub(crate) fn table(letters: &[Letter]) -> Table {
    let now = look::now();
    let mut table = Table::new()
        .text("letter")
        .text("of")
        .numbers(["attempts", "last"])
        .text("consumer")
        .text("why");
    for Letter { id, letter, superseded_by, .. } in letters {
        let why = letter.reason().map_or("its attempts were over".to_owned(), plain);
        let why = match superseded_by {
            Some(younger) => format!("{why} (again in {younger})"),
            None => why,
        };
        table.row([
            id.to_string(),
            letter.origin().to_string(),
            letter.attempts().to_string(),
            letter.last_delivered().map_or(String::new(), |time| words::ago(time, now)),
            letter.consumer().map_or(String::new(), plain),
            why,
        ]);
    }
    table
}
