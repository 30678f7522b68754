//! `millstream pending` and `millstream parked`: what a group handed out, and what it set aside.

use millstream::{ParkedQuery, PendingQuery, PendingState};
use serde::Serialize;

use super::args::{Chosen, Parked, Pending};
use super::exit::{Failure, Outcome};
use super::look;
use super::screen::{DIM, Screen};
use super::table::Table;
use super::words::{self, count, lasting, plain};

/// What `pending` tells programs.
#[derive(Debug, Serialize)]
struct PendingReport {
    summary: millstream::PendingSummary,
    entries: Vec<millstream::Pending>,
}

/// What `parked` tells programs.
#[derive(Debug, Serialize)]
struct ParkedReport {
    /// How many are parked in all.
    total: u64,
    entries: Vec<millstream::Parked>,
}

pub(crate) fn pending(args: &Pending, screen: &mut Screen) -> Result<Outcome, Failure> {
    let stream = look::open(&args.group.dir)?;
    let group = stream.group(&args.group.name).open_existing()?;
    let mut query = PendingQuery::new().range(args.range).max(args.max);
    if let Some(name) = &args.consumer {
        query = query.consumer(name);
    }
    if let Some(idle) = args.idle {
        query = query.idle(idle);
    }
    let report =
        PendingReport { summary: group.pending()?, entries: group.pending_entries(&query)? };
    if screen.is_json() {
        screen.object(&report)?;
    } else {
        show_pending(&report, args.max, screen)?;
        look::tell_damage(stream.recovery(), screen)?;
    }
    Ok(look::outcome(stream.recovery()))
}

fn show_pending(report: &PendingReport, max: u32, screen: &mut Screen) -> Result<(), Failure> {
    let summary = &report.summary;
    let (total, waiting) = (words::entries(summary.total), count(summary.waiting));
    let leased = count(summary.total - summary.waiting.min(summary.total));
    screen.line(format!("{total} pending: {leased} leased, {waiting} waiting"))?;
    let mut table = Table::new()
        .text("id")
        .text("state")
        .numbers(["due in", "attempts", "idle"])
        .text("consumer");
    for row in &report.entries {
        let (state, due) = match row.state {
            // Only an owner ends a lease.
            PendingState::Leased if row.due_in.is_zero() => ("leased", "over".to_owned()),
            PendingState::Leased => ("leased", lasting(row.due_in)),
            PendingState::Delayed => ("delayed", lasting(row.due_in)),
            PendingState::Due => ("due", String::new()),
            _ => ("exhausted", String::new()),
        };
        table.row([
            row.id.to_string(),
            state.to_owned(),
            due,
            row.attempts.to_string(),
            lasting(row.idle),
            row.consumer.as_deref().map_or(String::new(), plain),
        ]);
    }
    if !table.is_empty() {
        screen.line("")?;
        table.print(screen)?;
    }
    let last = report.entries.last().map(|row| row.id.to_string());
    tell_more(last, report.entries.len(), max as usize, screen)
}

pub(crate) fn parked(args: &Parked, screen: &mut Screen) -> Result<Outcome, Failure> {
    let stream = look::open(&args.group.dir)?;
    let group = stream.group(&args.group.name).open_existing()?;
    let report = ParkedReport {
        total: group.info()?.parked,
        entries: group.parked(chosen(&args.chosen, args.max))?,
    };
    if screen.is_json() {
        screen.object(&report)?;
    } else {
        screen.line(format!("{} parked", words::entries(report.total)))?;
        if !report.entries.is_empty() {
            screen.line("")?;
            table(&report.entries).print(screen)?;
        }
        let last = report.entries.last().map(|row| row.id.to_string());
        tell_more(last, report.entries.len(), args.max, screen)?;
        look::tell_damage(stream.recovery(), screen)?;
    }
    Ok(look::outcome(stream.recovery()))
}

/// Asks for what was chosen.
pub(crate) fn chosen(chosen: &Chosen, max: usize) -> ParkedQuery {
    let query = ParkedQuery::new().range(chosen.range).max(max);
    chosen.subject.iter().fold(query, |query, pattern| query.subject(pattern))
}

/// Parked entries as a table.
pub(crate) fn table(entries: &[millstream::Parked]) -> Table {
    let now = look::now();
    let mut table = Table::new().text("id").numbers(["attempts", "since"]).text("why");
    for row in entries {
        table.row([
            row.id.to_string(),
            row.attempts.to_string(),
            words::ago(row.since, now),
            row.reason.as_deref().map_or("its attempts were over".to_owned(), plain),
        ]);
    }
    table
}

/// Says how to see more, where there may be more.
fn tell_more(
    last: Option<String>,
    shown: usize,
    max: usize,
    screen: &mut Screen,
) -> Result<(), Failure> {
    let Some(last) = last.filter(|_| shown >= max) else { return Ok(()) };
    let words = format!("there may be more: --range '({last}..' goes on behind it");
    let words = screen.paint(DIM, words);
    screen.line(words)
}
