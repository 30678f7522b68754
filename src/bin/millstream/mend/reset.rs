//! `millstream reset`: a group goes on elsewhere.

use millstream::{EntryId, Error, GroupInfo, Start};

use crate::args::Reset;
use crate::exit::{Failure, Outcome};
use crate::look;
use crate::screen::Screen;
use crate::table::Table;
use crate::words::{count, entries, plain};

pub(crate) fn run(args: &Reset, screen: &mut Screen) -> Result<Outcome, Failure> {
    let stream = super::open(&args.group.dir, args.sure)?;
    let group = super::open_group(&stream, &args.group)?;
    let mut places = stream.offsets(&args.to.start(look::now()))?;
    if let Some(partition) = args.partition {
        let partitions = stream.partitions();
        if partition >= partitions {
            return Err(Error::NoSuchPartition { partition, partitions }.into());
        }
        places.retain(|place| place.partition() == partition);
    }
    let info = group.info()?;
    let name = plain(&args.group.name);
    if !screen.is_json() {
        screen.line(format!("{name} will go on at these places:"))?;
        table(&info, &places).print(screen)?;
        let pending = info.leased + info.delayed + info.due + info.exhausted;
        screen.line(format!("what is pending there ({} in all) is forgotten", entries(pending)))?;
    }
    super::confirm(&format!("Reset {name}?"), args.sure, screen)?;
    // Where the question was about, whatever the time is by now.
    match places.as_slice() {
        [only] if args.partition.is_some() => {
            group.reset_partition(only.partition(), Start::At(*only))?;
        }
        _ => group.reset(Start::Each(places.clone()))?,
    }
    let lag = group.lag()?;
    stream.close()?;
    if screen.is_json() {
        screen.object(&serde_json::json!({ "places": places, "lag": lag }))?;
    } else {
        screen.line(format!("reset; {} to be read", entries(lag)))?;
    }
    Ok(Outcome::Done)
}

/// Where it stands, where it will, and what that means.
fn table(info: &GroupInfo, places: &[EntryId]) -> Table {
    let mut table = Table::new().numbers(["partition", "floor", "next", "end", "to"]).text("so");
    for place in places {
        let Some(partition) = info.partitions.get(place.partition() as usize) else { continue };
        let (to, next) = (place.offset(), partition.next);
        let so = if to < next {
            format!("{} come again", entries(next - to))
        } else if to > partition.floor {
            format!("what is open of {} is given up", entries(to - partition.floor))
        } else {
            String::new()
        };
        table.row([
            place.partition().to_string(),
            count(partition.floor),
            count(next),
            count(partition.end),
            count(to),
            so,
        ]);
    }
    table
}
