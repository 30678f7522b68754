//! The process that is killed: this program once more, working the first shift.

use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::input::Lines;
use crate::shift::{self, Shift};
use crate::{Args, Failure, Places};

/// Starts the child, waits until it has processed `enough` lines, and kills it.
pub(crate) fn run_and_kill(
    args: &Args,
    places: &Places,
    enough: usize,
    progress: &dyn Fn(u64),
) -> Result<(), Failure> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg("--child")
        .arg("--dir")
        .arg(&places.root)
        .arg("--input")
        .arg(&places.input)
        .args(["--producers", &args.producers.to_string()])
        .args(["--workers", &args.workers.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut told = BufReader::new(child.stdout.take().expect("it was asked for a pipe")).lines();
    let outcome = loop {
        let Some(line) = told.next() else { break Err("the child ended by itself".into()) };
        let done: usize = line?.parse()?;
        progress(done as u64);
        if done >= enough {
            break Ok(());
        }
    };
    // SIGKILL, on Unix: nothing in the child gets to run after it.
    child.kill()?;
    child.wait()?;
    outcome
}

/// What the child does until it is killed: it says how many lines it has processed so far.
pub(crate) fn work(args: &Args, places: &Places, lines: &Lines) -> Result<(), Failure> {
    let opened = shift::open(&places.data)?;
    let nothing = vec![0; lines.len()];
    let shift = Shift::new("first", lines, &opened, &places.record, &nothing);
    let done = AtomicUsize::new(0);
    let tell = |more: usize| {
        let done = done.fetch_add(more, Ordering::Relaxed) + more;
        // Nobody listens any more if this fails, and the end is near.
        let _ = writeln!(io::stdout(), "{done}");
    };
    tell(0);
    shift.run(args.producers, args.workers, &tell)?;
    // It ends by a kill, or if the parent is gone.
    wait_for_parent()
}

fn wait_for_parent() -> Result<(), Failure> {
    io::copy(&mut io::stdin().lock(), &mut io::sink())?;
    Ok(())
}

/// Whether the directory can be worked in: it is missing or empty.
pub(crate) fn is_free(dir: &Path) -> io::Result<bool> {
    match std::fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        found => Ok(found?.next().is_none()),
    }
}
