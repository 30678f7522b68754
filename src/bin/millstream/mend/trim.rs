//! `millstream trim`: old segments go.

use millstream::{EntryId, Error, Retention, Stream};

use crate::args::Trim;
use crate::exit::{Failure, Outcome};
use crate::info::retention;
use crate::screen::{ODD, Screen};
use crate::table::Table;
use crate::words::{count, entries, plain, size};

pub(crate) fn run(args: &Trim, screen: &mut Screen) -> Result<Outcome, Failure> {
    let stream = super::open(&args.dir, args.sure)?;
    match args.before {
        Some(id) => before(&stream, id, args, screen)?,
        None => retained(&stream, args, screen)?,
    }
    stream.close()?;
    Ok(Outcome::Done)
}

/// Removes what lies before an entry.
fn before(stream: &Stream, id: EntryId, args: &Trim, screen: &mut Screen) -> Result<(), Failure> {
    let (partition, partitions) = (id.partition(), stream.partitions());
    let info = stream.info()?;
    let Some(stored) = info.partitions.get(partition as usize) else {
        return Err(Error::NoSuchPartition { partition, partitions }.into());
    };
    let most = id.offset().min(stored.end).saturating_sub(stored.start);
    if !screen.is_json() {
        screen.line(format!(
            "whole segments of partition {partition} before {id} will go: at most {} of {}",
            entries(most),
            count(stored.end - stored.start)
        ))?;
        tell_losers(stream, id, screen)?;
    }
    super::confirm("Remove them for good?", args.sure, screen)?;
    let gone = stream.trim_before(id)?;
    if screen.is_json() {
        return screen.object(&serde_json::json!({ "entries": gone }));
    }
    screen.line(format!("{} removed", entries(gone)))
}

/// Says which groups are not done with what lies before an entry.
fn tell_losers(stream: &Stream, id: EntryId, screen: &mut Screen) -> Result<(), Failure> {
    for name in stream.groups() {
        let Ok(floors) = stream.group(&name).open_existing().and_then(|group| group.floors())
        else {
            let words = format!("group {} cannot be asked what it still needs", plain(&name));
            let words = screen.paint(ODD, words);
            screen.line(words)?;
            continue;
        };
        let floor = floors.get(id.partition() as usize).copied().unwrap_or(0);
        if floor < id.offset() {
            let (name, partition) = (plain(&name), id.partition());
            let words =
                format!("group {name} is done only up to {partition}-{floor}: it may lose entries");
            let words = screen.paint(ODD, words);
            screen.line(words)?;
        }
    }
    Ok(())
}

/// Removes what the stream's retention lets go.
fn retained(stream: &Stream, args: &Trim, screen: &mut Screen) -> Result<(), Failure> {
    let info = stream.info()?;
    let keeps_all = info.retention == Retention::keep_all();
    if !screen.is_json() {
        screen.line(format!("the stream {}", retention(&info.retention)))?;
        let stored = format!("{} in {}", entries(info.entries()), size(info.bytes));
        screen.line(if keeps_all {
            format!("nothing of {stored} will go; --before ID says what may")
        } else {
            format!("segments beyond that will go, of {stored}")
        })?;
    }
    if !keeps_all {
        super::confirm("Remove them for good?", args.sure, screen)?;
    }
    let trimmed = stream.trim()?;
    if screen.is_json() {
        return screen.object(&trimmed);
    }
    screen.line(format!(
        "{} removed, {} given back",
        entries(trimmed.entries()),
        size(trimmed.bytes())
    ))?;
    let mut table =
        Table::new().numbers(["partition", "from", "to", "size"]).text("groups that lost");
    for gone in &trimmed.partitions {
        let lost =
            gone.lost.iter().map(|(name, loss)| format!("{} {}", plain(name), loss.entries()));
        table.row([
            gone.partition.to_string(),
            count(gone.start),
            count(gone.end),
            size(gone.bytes),
            lost.collect::<Vec<_>>().join(", "),
        ]);
    }
    if table.is_empty() { Ok(()) } else { table.print(screen) }
}
