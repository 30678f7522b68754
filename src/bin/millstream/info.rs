//! `millstream info`: what is in a stream.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use millstream::{EntryId, Recovery, Retention, Start, Stream, StreamInfo};
use serde::Serialize;

use super::args::Dir;
use super::exit::{Failure, Outcome};
use super::look;
use super::screen::{BAD, BOLD, Screen};
use super::table::Table;
use super::words::{self, count, lasting, plain, size};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// What the verb tells programs.
#[derive(Debug, Serialize)]
struct Report<'a> {
    /// As far as it is text.
    path: Cow<'a, str>,
    #[serde(flatten)]
    info: &'a StreamInfo,
    entries: u64,
    recovery: &'a Recovery,
    /// Unset if what was appended then cannot be read.
    entries_last_minute: Option<u64>,
    entries_last_hour: Option<u64>,
    oldest: Option<SystemTime>,
    newest: Option<SystemTime>,
}

pub(crate) fn run(args: &Dir, screen: &mut Screen) -> Result<Outcome, Failure> {
    let stream = look::open(&args.dir)?;
    let (info, now) = (stream.info()?, look::now());
    let (oldest, newest) = times(&stream, &info);
    let report = Report {
        path: args.dir.to_string_lossy(),
        entries: info.entries(),
        recovery: stream.recovery(),
        entries_last_minute: since(&stream, &info, now, MINUTE),
        entries_last_hour: since(&stream, &info, now, HOUR),
        oldest,
        newest,
        info: &info,
    };
    let outcome = look::outcome(report.recovery);
    if screen.is_json() {
        screen.object(&report)?;
    } else {
        show(&report, now, screen)?;
    }
    Ok(outcome)
}

/// How many entries were appended in the time before now; `None` if that cannot be told.
fn since(stream: &Stream, info: &StreamInfo, now: SystemTime, time: Duration) -> Option<u64> {
    let begun = stream.offsets(&Start::Since(now.checked_sub(time)?)).ok()?;
    let partitions = info.partitions.iter().zip(begun);
    Some(partitions.map(|(partition, begun)| partition.end.saturating_sub(begun.offset())).sum())
}

/// When the oldest and the newest entry were appended, as far as they can be read.
fn times(stream: &Stream, info: &StreamInfo) -> (Option<SystemTime>, Option<SystemTime>) {
    let stored =
        (0..).zip(&info.partitions).filter(|(_, partition)| partition.end > partition.start);
    let time = |partition, offset| {
        let entry = stream.get(EntryId::new(partition, offset)).ok()??;
        Some(entry.timestamp())
    };
    let (mut oldest, mut newest) = (None, None);
    for (number, partition) in stored {
        let (first, last) = (time(number, partition.start), time(number, partition.end - 1));
        oldest = [oldest, first].into_iter().flatten().min();
        newest = newest.max(last);
    }
    (oldest, newest)
}

fn show(report: &Report<'_>, now: SystemTime, screen: &mut Screen) -> Result<(), Failure> {
    let Report { info, .. } = report;
    let title = screen.paint(BOLD, plain(&report.path));
    screen.line(title)?;
    let segments: usize = info.partitions.iter().map(|partition| partition.segments).sum();
    let partitions = words::counted(info.partitions.len() as u64, "partition", "partitions");
    screen.line(format!("  holds      {} in {partitions}", words::entries(report.entries)))?;
    let segments = words::counted(segments as u64, "segment", "segments");
    screen.line(format!("  takes      {} in {segments}", size(info.bytes)))?;
    let rate = |number: Option<u64>, time| {
        number.map_or("unknown".to_owned(), |number| words::rate(number, time))
    };
    let minute = rate(report.entries_last_minute, MINUTE);
    let hour = rate(report.entries_last_hour, HOUR);
    screen.line(format!("  grew by    {minute} in the last minute, {hour} in the last hour"))?;
    if let (Some(oldest), Some(newest)) = (report.oldest, report.newest) {
        let (oldest, newest) = (words::ago(oldest, now), words::ago(newest, now));
        screen.line(format!("  entries    the oldest came {oldest}, the newest {newest}"))?;
    }
    screen.line(format!("  retention  {}", retention(&info.retention)))?;
    let groups: Vec<String> = info.groups.iter().map(|name| plain(name)).collect();
    let groups = if groups.is_empty() { "none".to_owned() } else { groups.join(", ") };
    screen.line(format!("  groups     {groups}"))?;
    look::tell_damage(report.recovery, screen)?;
    if report.entries_last_hour.is_none() {
        let words = screen.paint(BAD, "entries of the last hour cannot be read");
        screen.line(words)?;
    }
    screen.line("")?;
    partitions_table(info).print(screen)
}

fn partitions_table(info: &StreamInfo) -> Table {
    let numbers = ["partition", "start", "end", "unsynced", "segments", "size"];
    let mut table = Table::new().numbers(numbers).text("held by");
    for (number, partition) in info.partitions.iter().enumerate() {
        let holder = partition.held_by.as_ref();
        table.row([
            number.to_string(),
            count(partition.start),
            count(partition.end),
            count(partition.end.saturating_sub(partition.durable_end)),
            count(partition.segments as u64),
            size(partition.file_bytes),
            holder
                .map_or(String::new(), |held| format!("{} at {}", plain(&held.group), held.entry)),
        ]);
    }
    table
}

/// A retention in words. Its fields are told by its serialization alone.
pub(crate) fn retention(retention: &Retention) -> String {
    let told = serde_json::to_value(retention).unwrap_or_default();
    let number = |name: &str| told[name].as_u64();
    let time = |name: &str| {
        let time = &told[name];
        Some(Duration::new(time["secs"].as_u64()?, u32::try_from(time["nanos"].as_u64()?).ok()?))
    };
    let mut limits = Vec::new();
    limits.extend(number("bytes").map(|bytes| format!("{} a partition", size(bytes))));
    limits.extend(number("entries").map(|most| format!("{} a partition", words::entries(most))));
    limits.extend(time("age").map(|age| format!("what is younger than {}", lasting(age))));
    let limits = limits.join(", ");
    let settled = told["settled"].as_bool() == Some(true);
    let text = match (settled, limits.is_empty()) {
        (false, true) => "keeps everything".to_owned(),
        (true, true) => "keeps what groups still need".to_owned(),
        (false, false) => format!("keeps {limits}, whatever groups need"),
        (true, false) => format!("keeps what groups still need, and no more than {limits}"),
    };
    match time("ignore_idle_groups_after").filter(|_| settled) {
        Some(idle) => format!("{text}; forgets groups that are idle for {}", lasting(idle)),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retentions_are_told_in_words() {
        let rows = [
            (Retention::keep_all(), "keeps everything"),
            (Retention::settled(), "keeps what groups still need"),
            (
                Retention::keep_all().bytes(1 << 30).age(HOUR),
                "keeps 1.0 GiB a partition, what is younger than 1 h, whatever groups need",
            ),
            (
                Retention::settled().entries(10).ignore_idle_groups_after(HOUR),
                "keeps what groups still need, and no more than 10 entries a partition; \
                 forgets groups that are idle for 1 h",
            ),
        ];
        for (given, text) in rows {
            assert_eq!(retention(&given), text);
        }
    }
}
