//! `millstream group`: one group in full, and why a read of it would find nothing.

use std::ops::Bound;
use std::time::{Duration, SystemTime};

use millstream::{Blocked, Group, GroupInfo, PendingQuery, PendingState, Settings};
use serde::Serialize;

use super::args::Named;
use super::exit::{Failure, Outcome};
use super::groups::state;
use super::look;
use super::screen::{BOLD, DIM, ODD, Screen};
use super::table::Table;
use super::why::{Look, Why, blocked};
use super::words::{self, count, entries, lasting, plain, size};

/// How many pending entries are looked at to tell when the next is due.
const PENDING_SEEN_MAX: usize = 1_000_000;
/// How many at a time.
const PAGE: u32 = 10_000;

/// What the verb tells programs.
#[derive(Debug, Serialize)]
struct Report<'a> {
    #[serde(flatten)]
    info: &'a GroupInfo,
    /// When the next of those that wait is due; unset if none waits.
    next_due: Option<Duration>,
    /// When the next lease ends.
    next_lease_end: Option<Duration>,
    why: &'a Why,
}

/// What is due next, by state.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Next {
    pub(crate) due: Option<Duration>,
    pub(crate) end: Option<Duration>,
}

pub(crate) fn run(args: &Named, screen: &mut Screen) -> Result<Outcome, Failure> {
    let stream = look::open(&args.dir)?;
    let group = stream.group(&args.name).open_existing()?;
    let info = group.info()?;
    let next = if info.leased + info.delayed > 0 { next(&group)? } else { Next::default() };
    let starts: Vec<u64> = stream.info()?.partitions.iter().map(|found| found.start).collect();
    let look = Look { info: &info, starts: &starts, next_due: next.due, next_end: next.end };
    let why = look.explain();
    if screen.is_json() {
        let (next_due, next_lease_end) = (next.due, next.end);
        screen.object(&Report { info: &info, next_due, next_lease_end, why: &why })?;
    } else {
        show(&info, &why, screen)?;
        look::tell_damage(stream.recovery(), screen)?;
    }
    Ok(look::outcome(stream.recovery()))
}

/// When the next pending entries are due, page by page.
pub(crate) fn next(group: &Group) -> Result<Next, Failure> {
    let (mut next, mut seen, mut from) = (Next::default(), 0, Bound::Unbounded);
    let sooner = |known: &mut Option<Duration>, time: Duration| {
        *known = Some(known.map_or(time, |known| known.min(time)));
    };
    while seen < PENDING_SEEN_MAX {
        let query = PendingQuery::new().range((from, Bound::Unbounded)).max(PAGE);
        let rows = group.pending_entries(&query)?;
        let Some(last) = rows.last() else { break };
        (from, seen) = (Bound::Excluded(last.id), seen + rows.len());
        for row in rows {
            match row.state {
                PendingState::Leased => sooner(&mut next.end, row.due_in),
                PendingState::Delayed => sooner(&mut next.due, row.due_in),
                _ => {}
            }
        }
    }
    Ok(next)
}

fn show(info: &GroupInfo, why: &Why, screen: &mut Screen) -> Result<(), Failure> {
    let now = look::now();
    let title = screen.paint(BOLD, plain(&info.name));
    let (generation, strategy) = (count(info.generation), plain(&info.strategy));
    screen
        .line(format!("{title}  {}, generation {generation}, strategy {strategy}", state(info)))?;
    for (name, text) in numbers(info, now) {
        screen.line(format!("  {name:<9}  {text}"))?;
    }
    if !info.members.is_empty() {
        screen.line("")?;
        members(info, now).print(screen)?;
    }
    screen.line("")?;
    partitions(info).print(screen)?;
    screen.line("")?;
    let title = screen.paint(BOLD, "settings");
    screen.line(title)?;
    for (name, text) in settings(&info.settings) {
        let name = screen.paint(DIM, format!("{name:<26}"));
        screen.line(format!("  {name}  {text}"))?;
    }
    screen.line("")?;
    let title = screen.paint(BOLD, "what a read finds");
    screen.line(title)?;
    for sentence in &why.group {
        let sentence = screen.paint(ODD, sentence);
        screen.line(format!("  {sentence}"))?;
    }
    for member in &why.members {
        screen.line(format!("  {}: {}", plain(&member.name), member.why))?;
    }
    Ok(())
}

/// The group in numbers, by what they are about.
fn numbers(info: &GroupInfo, now: SystemTime) -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    let lag = format!(
        "{}: {} never handed out, {} leased, {} delayed, {} due again",
        entries(info.lag),
        count(info.undelivered),
        count(info.leased),
        count(info.delayed),
        count(info.due),
    );
    rows.push(("lag", lag));
    if let Some(oldest) = info.oldest_pending {
        let age = info.oldest_pending_age;
        let age = age.map_or(String::new(), |age| format!(", appended {} ago", lasting(age)));
        rows.push(("oldest", format!("{oldest} is pending{age}")));
    }
    rows.push(("set aside", format!("{} parked", count(info.parked))));
    let done = [
        (info.acked, "acked"),
        (info.discarded, "discarded"),
        (info.dead_lettered, "dead-lettered"),
        (info.skipped, "skipped"),
        (info.trimmed.entries(), "lost to retention"),
        (info.redelivered, "redelivered"),
    ];
    let done = done.into_iter().filter(|(number, what)| *number > 0 || *what == "acked");
    let done: Vec<String> =
        done.map(|(number, what)| format!("{} {what}", count(number))).collect();
    rows.push(("so far", done.join(", ")));
    if !info.filter.is_empty() {
        let patterns: Vec<String> = info.filter.iter().map(|pattern| plain(pattern)).collect();
        rows.push(("filter", patterns.join(", ")));
    }
    let rebalances = words::counted(info.rebalances, "rebalance", "rebalances");
    let made = format!("{}; {rebalances} since", words::ago(info.created, now));
    rows.push(("made", made));
    rows
}

fn members(info: &GroupInfo, now: SystemTime) -> Table {
    let mut table =
        Table::new().text("member").numbers(["leased", "seen"]).text("partitions").text("finds");
    for member in &info.members {
        let shared = info.partitions.iter().all(|partition| partition.owner.is_none());
        let reads = match member.partitions.len() {
            0 => "none".to_owned(),
            all if shared && all == info.partitions.len() => "all".to_owned(),
            _ => runs(&member.partitions),
        };
        table.row([
            plain(&member.name),
            count(member.leased),
            words::ago(member.last_seen, now),
            reads,
            in_a_word(blocked(info, member)).to_owned(),
        ]);
    }
    table
}

/// What a read of a member finds; the sentences say more.
pub(crate) fn in_a_word(blocked: Option<Blocked>) -> &'static str {
    match blocked {
        None => "entries",
        Some(Blocked::Empty | Blocked::Changed) => "nothing",
        Some(Blocked::InFlight) => "in-flight limit",
        Some(Blocked::Paused) => "pause",
        Some(Blocked::Delayed) => "delayed_max",
        Some(Blocked::NoPartition) => "no partition",
        Some(Blocked::Rebalancing) => "rebalance",
        Some(_) => "unknown",
    }
}

/// Sorted numbers, neighbours as ranges: `0-3, 7`.
pub(crate) fn runs(numbers: &[u32]) -> String {
    let runs = numbers.chunk_by(|one, next| one + 1 == *next);
    let runs = runs.map(|run| match run {
        [only] => only.to_string(),
        _ => format!("{}-{}", run[0], run[run.len() - 1]),
    });
    runs.collect::<Vec<_>>().join(", ")
}

fn partitions(info: &GroupInfo) -> Table {
    let mut table =
        Table::new().numbers(["partition", "floor", "next", "end", "lag"]).text("owner");
    for (number, partition) in info.partitions.iter().enumerate() {
        table.row([
            number.to_string(),
            count(partition.floor),
            count(partition.next),
            count(partition.end),
            count(partition.lag),
            partition.owner.as_deref().map_or(String::new(), plain),
        ]);
    }
    table
}

fn settings(settings: &Settings) -> Vec<(&'static str, String)> {
    let bound = |max: Option<u64>| max.map_or("none".to_owned(), count);
    let backoff = match settings.backoff.as_slice() {
        [first, second, .., last] => {
            format!("{}, {} \u{2026} {}", lasting(*first), lasting(*second), lasting(*last))
        }
        few => few.iter().map(|wait| lasting(*wait)).collect::<Vec<_>>().join(", "),
    };
    vec![
        ("lease", lasting(settings.lease)),
        ("session_timeout", lasting(settings.session_timeout)),
        ("revocation_timeout", lasting(settings.revocation_timeout)),
        ("max_deliveries", settings.max_deliveries.to_string()),
        ("backoff", format!("{backoff} (jitter {})", settings.jitter)),
        ("on_exhausted", settings.on_exhausted.clone()),
        ("on_trimmed", settings.on_trimmed.clone()),
        ("ack_mode", settings.ack_mode.clone()),
        ("max_in_flight", count(settings.max_in_flight)),
        ("max_in_flight_per_consumer", bound(settings.max_in_flight_per_consumer)),
        ("max_in_flight_bytes", settings.max_in_flight_bytes.map_or("none".to_owned(), size)),
        ("delayed_max", count(settings.delayed_max)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbouring_partitions_are_one_range() {
        let rows: [(&[u32], &str); 4] =
            [(&[], ""), (&[4], "4"), (&[0, 1, 2, 3], "0-3"), (&[0, 1, 5, 7, 8], "0-1, 5, 7-8")];
        for (numbers, text) in rows {
            assert_eq!(runs(numbers), text);
        }
    }
}
