//! A work queue that is killed in mid-work and loses nothing.
//!
//! Lines of a file are appended by some threads and processed by others, in a process of its own
//! that is killed half-way. Another process carries on where it was. A record that the stream
//! knows nothing of tells at the end what was appended, processed, redelivered and lost.
//!
//! ```text
//! cargo run --release --example work_queue
//! cargo run --release --example work_queue -- --input FILE
//! cat FILE | cargo run --release --example work_queue -- -
//! ```
#![expect(clippy::print_stdout, reason = "an example talks")]

mod child;
mod input;
mod record;
mod report;
mod shift;

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use input::Lines;
use millstream::{Clock, SystemClock};
use report::Report;
use shift::Shift;

type Failure = Box<dyn Error + Send + Sync>;

/// Work through the lines of a file with a durable queue, be killed half-way, and lose nothing.
#[derive(Parser)]
struct Args {
    /// The lines to work on; `-` is the standard input. Without it, 200,000 order events.
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// The same as `--input FILE`; `-` alone is the standard input.
    #[arg(value_name = "FILE", conflicts_with = "input")]
    file: Option<PathBuf>,
    /// An empty or new directory for the stream and the record, which are kept. Without it, a
    /// temporary one.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// How many threads append.
    #[arg(long, default_value_t = 4, value_parser = threads)]
    producers: usize,
    /// How many threads process.
    #[arg(long, default_value_t = 4, value_parser = threads)]
    workers: usize,
    /// Be the process that is killed.
    #[arg(long, hide = true)]
    child: bool,
}

fn threads(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|count| (1..=64).contains(count)).ok_or("1 to 64 threads".into())
}

/// Where things are.
struct Places {
    root: PathBuf,
    data: PathBuf,
    record: PathBuf,
    input: PathBuf,
}

impl Places {
    fn new(root: &Path, input: PathBuf) -> Self {
        let root = root.to_owned();
        Self { data: root.join("data"), record: root.join("record"), input, root }
    }
}

fn main() -> ExitCode {
    let args = Args::parse();
    let outcome = if args.child { child(&args) } else { parent(&args) };
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("entries were lost");
            ExitCode::FAILURE
        }
        Err(failure) => {
            eprintln!("work_queue: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn child(args: &Args) -> Result<bool, Failure> {
    let (Some(dir), Some(input)) = (&args.dir, &args.input) else {
        return Err("--child is not for you".into());
    };
    let places = Places::new(dir, input.clone());
    let lines = Lines::of_file(&places.input)?;
    child::work(args, &places, &lines)?;
    Ok(true)
}

fn parent(args: &Args) -> Result<bool, Failure> {
    let temporary = tempfile::tempdir()?;
    let root = args.dir.as_deref().unwrap_or(temporary.path());
    if !child::is_free(root)? {
        return Err(format!("{} is not empty", root.display()).into());
    }
    fs::create_dir_all(root.join("record"))?;
    let (lines, places) = take_input(args, root)?;
    if lines.len() == 0 {
        return Err("the input has no lines".into());
    }
    println!("{} lines, {} producers, {} workers", lines.len(), args.producers, args.workers);
    let report = work(args, &places, &lines)?;
    print!("{report}");
    if args.dir.is_some() {
        println!("kept in {}", root.display());
    }
    Ok(report.is_good())
}

/// Reads the input, and leaves it where the child can read it too.
fn take_input(args: &Args, root: &Path) -> Result<(Lines, Places), Failure> {
    let lines = match args.input.as_ref().or(args.file.as_ref()) {
        Some(path) if path != Path::new("-") => {
            let lines = Lines::of_file(path)
                .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
            return Ok((lines, Places::new(root, path.clone())));
        }
        Some(_) => Lines::of_stdin()?,
        None => Lines::of_orders(),
    };
    let places = Places::new(root, root.join("input"));
    fs::write(&places.input, lines.bytes())?;
    Ok((lines, places))
}

/// Both shifts, and the kill between them.
fn work(args: &Args, places: &Places, lines: &Lines) -> Result<Report, Failure> {
    let style = ProgressStyle::with_template("{bar:40} {pos}/{len} processed {msg}")?;
    let bar = ProgressBar::new(lines.len() as u64).with_style(style);
    let start = SystemClock.monotonic();
    child::run_and_kill(args, places, lines.len() * 2 / 5, &|done| bar.set_position(done))?;
    let appended = record::count(&places.record, record::APPENDED, lines.len())?;
    let told = appended.iter().filter(|times| **times > 0).count();
    bar.suspend(|| println!("killed the first process; it had appended {told} lines"));

    let killed = SystemClock.monotonic();
    let opened = shift::open(&places.data)?;
    let reopening = SystemClock.monotonic().saturating_sub(killed);
    let (lag, recovery) = (opened.1.lag()?, opened.0.recovery());
    let torn: u64 = recovery.partitions.iter().map(|partition| partition.torn_bytes).sum();
    bar.suspend(|| println!("reopened: {lag} entries to do, {torn} bytes of torn frames cut"));

    let shift = Shift::new("second", lines, &opened, &places.record, &appended);
    shift.run(args.producers, args.workers, &|done| bar.inc(done as u64))?;
    let elapsed = SystemClock.monotonic().saturating_sub(start);
    bar.finish_and_clear();
    Report::new(lines, places, &opened, elapsed, reopening)
}
