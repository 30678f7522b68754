//! `millstream delete-group`: a group goes for good.

use crate::args::DeleteGroup;
use crate::exit::{Failure, Outcome};
use crate::screen::Screen;
use crate::words::{count, entries, plain};

pub(crate) fn run(args: &DeleteGroup, screen: &mut Screen) -> Result<Outcome, Failure> {
    let stream = super::open(&args.group.dir, args.sure)?;
    let group = super::open_group(&stream, &args.group)?;
    let info = group.info()?;
    let name = plain(&args.group.name);
    if !screen.is_json() {
        let pending = info.leased + info.delayed + info.due + info.exhausted;
        screen.line(format!("group {name} will be deleted, with what it knows:"))?;
        screen.line(format!(
            "  {} not settled, of which {} pending",
            entries(info.lag),
            count(pending)
        ))?;
        screen.line(format!("  {} parked", entries(info.parked)))?;
        screen.line("the entries stay; a group of that name made later begins anew")?;
    }
    super::confirm(&format!("Delete {name}?"), args.sure, screen)?;
    group.delete()?;
    stream.close()?;
    if screen.is_json() {
        screen.object(&serde_json::json!({ "deleted": args.group.name, "lag": info.lag, "parked": info.parked }))?;
    } else {
        screen.line(format!("{name} is deleted"))?;
    }
    Ok(Outcome::Done)
}
