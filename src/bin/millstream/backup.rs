//! `millstream backup`: a copy of a stream, while it is in use.

use std::ops::ControlFlow;

use super::args::Backup;
use super::bar::Bar;
use super::exit::{Failure, Outcome};
use super::look;
use super::screen::Screen;
use super::stop::Stop;
use super::words::{counted, entries, plain, size};

pub(crate) fn run(args: &Backup, screen: &mut Screen) -> Result<Outcome, Failure> {
    let stop = Stop::listen()?;
    let stream = look::open(&args.dir)?;
    let bar = Bar::new();
    let copied = stream.copy_with(&args.to, |progress| {
        bar.show(&progress);
        if stop.is_asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    drop(bar);
    let copied = copied?;
    if screen.is_json() {
        screen.object(&copied)?;
    } else {
        let (number, bytes) = (entries(copied.entries()), size(copied.bytes));
        let groups = counted(copied.groups.len() as u64, "group", "groups");
        let path = plain(&copied.path.display().to_string());
        screen.line(format!("{number} and {groups} are in {path}: {bytes} read and checked"))?;
    }
    Ok(look::outcome(stream.recovery()))
}
