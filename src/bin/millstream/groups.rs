//! `millstream groups`: every group, with how far behind it is.

use millstream::{Error, GroupInfo, GroupState, Pause, Stream};
use serde::Serialize;

use super::args::Dir;
use super::exit::{Failure, Outcome};
use super::look;
use super::screen::{BAD, Screen};
use super::table::Table;
use super::words::{count, lasting, plain};

/// What the verb tells programs.
#[derive(Debug, Default, Serialize)]
struct Report {
    groups: Vec<GroupInfo>,
    /// Groups that are closed because their journals are damaged.
    damaged: Vec<Damaged>,
}

#[derive(Debug, Serialize)]
struct Damaged {
    name: String,
    damage: String,
}

pub(crate) fn run(args: &Dir, screen: &mut Screen) -> Result<Outcome, Failure> {
    let stream = look::open(&args.dir)?;
    let report = look_at(&stream)?;
    if screen.is_json() {
        screen.object(&report)?;
    } else {
        show(&report, &stream, screen)?;
    }
    let damaged = !report.damaged.is_empty();
    Ok(if damaged { Outcome::Damaged } else { look::outcome(stream.recovery()) })
}

fn look_at(stream: &Stream) -> Result<Report, Failure> {
    let mut report = Report::default();
    for name in stream.groups() {
        let info = stream.group(&name).open_existing().and_then(|group| group.info());
        match info {
            Ok(info) => report.groups.push(info),
            Err(error @ (Error::Corrupt(_) | Error::NewerFormat { .. })) => {
                report.damaged.push(Damaged { name, damage: error.to_string() });
            }
            // Its owner deleted it meanwhile.
            Err(Error::GroupDeleted | Error::NotFound { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(report)
}

fn show(report: &Report, stream: &Stream, screen: &mut Screen) -> Result<(), Failure> {
    let numbers = ["members", "lag", "leased", "waiting", "parked"];
    let mut table =
        Table::new().text("group").text("state").numbers(numbers).text("oldest pending");
    for info in &report.groups {
        table.row([
            plain(&info.name),
            state(info),
            count(info.members.len() as u64),
            count(info.lag),
            count(info.leased),
            count(info.delayed + info.due + info.exhausted),
            count(info.parked),
            info.oldest_pending_age.map_or(String::new(), |age| format!("{} ago", lasting(age))),
        ]);
    }
    if table.is_empty() && report.damaged.is_empty() {
        screen.line("no groups")?;
    } else if !table.is_empty() {
        table.print(screen)?;
    }
    for group in &report.damaged {
        let words = format!("{} is closed: {}", plain(&group.name), plain(&group.damage));
        let words = screen.paint(BAD, words);
        screen.line(words)?;
    }
    look::tell_damage(stream.recovery(), screen)
}

/// The state of a group in a word.
pub(crate) fn state(info: &GroupInfo) -> String {
    let state = match info.state {
        GroupState::Empty => "empty",
        GroupState::Stable => "stable",
        GroupState::Rebalancing => "rebalancing",
        _ => "unknown",
    };
    match info.paused {
        None => state.to_owned(),
        Some(Pause::For(time)) => format!("paused, {} left", lasting(time)),
        Some(_) => "paused".to_owned(),
    }
}
