//! The throughput table: what each path costs, beside a floor that is measured in the same run.
//!
//! ```text
//! cargo bench --bench throughput              # everything, about two minutes
//! cargo bench --bench throughput -- --quick   # a tenth of it
//! ```
//!
//! The floor does the least that any such log has to do for the same payloads: allocate a file,
//! make its pages ready in steps, checksum, copy (`floor.rs`). Floor and paths take turns within a
//! round, so a machine that is busy for a while slows both; the ratio is the median over the
//! rounds. Nothing here is asserted: a time is a measurement and no test.
#![expect(clippy::print_stdout, reason = "the table is what this program is for")]
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the real clock")]

mod floor;
mod paths;
mod situations;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// All payloads are this long.
const PAYLOAD_BYTES: usize = 128;
/// Entries in a batch, and of one read.
const BATCH: usize = 100;

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// How much to measure.
#[derive(Clone, Copy, Debug)]
struct Scale {
    rounds: usize,
    /// Entries of one path in one round; a multiple of [`BATCH`].
    entries: usize,
    quick: bool,
}

impl Scale {
    const FULL: Self = Self { rounds: 15, entries: 400_000, quick: false };
    const QUICK: Self = Self { rounds: 5, entries: 100_000, quick: true };
}

/// A directory for one measurement, removed afterwards, with nothing left to be written.
struct Place {
    dir: TempDir,
}

impl Place {
    fn new() -> Outcome<Self> {
        Ok(Self { dir: tempfile::tempdir()? })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

/// Times of one path, one for each round.
#[derive(Debug, Default)]
struct Series {
    nanos: Vec<f64>,
}

impl Series {
    fn push(&mut self, taken: Duration, entries: usize) {
        self.nanos.push(per_entry(taken, entries));
    }

    fn median(&self) -> f64 {
        median(self.nanos.clone())
    }

    /// How much of the floor's throughput this is: the median over the rounds.
    fn share_of(&self, floor: &Self) -> f64 {
        median(floor.nanos.iter().zip(&self.nanos).map(|(floor, own)| floor / own).collect())
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Nanoseconds for each entry.
fn per_entry(taken: Duration, entries: usize) -> f64 {
    let entries = u32::try_from(entries).expect("a round has far fewer entries");
    taken.as_secs_f64() * 1e9 / f64::from(entries)
}

/// How long `work` takes.
fn timed(work: impl FnOnce() -> Outcome) -> Outcome<Duration> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed())
}

/// Fails unless everything was settled: a measurement of refusals would mislead.
fn complete(settled: &millstream::Settlement) -> Outcome {
    if settled.is_complete() { Ok(()) } else { Err("an ack was refused".into()) }
}

fn line(name: &str, nanos: f64, share: Option<f64>, aim: &str) {
    let share = share.map_or(String::new(), |share| format!("{share:.2}"));
    println!("{name:<44} {nanos:>9.1} {:>9.2} {share:>7} {aim:>9}", 1e3 / nanos);
}

fn head(title: &str) {
    println!("\n{title}");
    println!("{:<44} {:>9} {:>9} {:>7} {:>9}", "path", "ns/entry", "M/s", "/floor", "aim");
}

fn main() -> Outcome {
    // Cargo and its test runner pass arguments of their own.
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [leave, path] = &args[..]
        && leave == situations::LEAVE
    {
        return situations::leave(Path::new(path));
    }
    let quick = args.iter().any(|arg| arg == "--quick" || arg == "--test");
    let scale = if quick { Scale::QUICK } else { Scale::FULL };
    println!(
        "{PAYLOAD_BYTES}-byte payloads, {} entries a round, {} rounds, medians, one thread",
        scale.entries, scale.rounds
    );
    paths::table(scale, paths::Medium::Disk)?;
    paths::table(scale, paths::Medium::Memory)?;
    situations::table(scale)
}
