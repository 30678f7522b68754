//! The throughput table: what each path costs, beside a floor that is measured in the same run.
//!
//! ```text
//! cargo bench --bench throughput              # everything, about half a minute
//! cargo bench --bench throughput -- --quick   # a tenth of it
//! ```
//!
//! The floor does the least that any such log has to do for the same payloads: allocate a file,
//! make its pages ready in steps, checksum, copy (`floor.rs`). Floor and paths take turns within
//! short rounds, so a machine that is busy for a while slows both; the ratio is the median over the
//! rounds. The streams live through all rounds, as a user's would, and the rounds in which their
//! segments grow to full size do not count. Nothing here is asserted: a time is no test.
#![expect(clippy::print_stdout, reason = "the table is what this program is for")]
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the real clock")]

mod floor;
mod paths;
mod situations;

use std::error::Error;
use std::path::PathBuf;
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
    /// Rounds that do not count.
    warming: usize,
    rounds: usize,
    /// Entries of one path in one round; a multiple of [`BATCH`].
    entries: usize,
    quick: bool,
}

impl Scale {
    const FULL: Self = Self { warming: 4, rounds: 15, entries: 200_000, quick: false };
    const QUICK: Self = Self { warming: 1, rounds: 5, entries: 50_000, quick: true };
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

/// What some work took.
#[derive(Clone, Copy, Debug)]
struct Taken {
    wall: Duration,
    /// What this thread had of the processor: it leaves out waiting, and other programs.
    cpu: Duration,
}

/// How long `work` takes.
fn timed(work: impl FnOnce() -> Outcome) -> Outcome<Taken> {
    let (start, used) = (Instant::now(), cpu_time());
    work()?;
    Ok(Taken { wall: start.elapsed(), cpu: cpu_time().saturating_sub(used) })
}

fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.try_into().unwrap_or_default()
}

/// Nanoseconds for each entry of one path, by the wall and by the processor, one for each round.
#[derive(Debug, Default)]
struct Series {
    wall: Vec<f64>,
    cpu: Vec<f64>,
}

impl Series {
    fn push(&mut self, taken: Taken, entries: usize) {
        self.wall.push(per_entry(taken.wall, entries));
        self.cpu.push(per_entry(taken.cpu, entries));
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

/// Fails unless everything was settled: a measurement of refusals would mislead.
fn complete(settled: &millstream::Settlement) -> Outcome {
    if settled.is_complete() { Ok(()) } else { Err("an ack was refused".into()) }
}

fn head(title: &str) {
    println!("\n{title}");
    let units = format!("{:>8} {:>7} {:>7} {:>7} {:>7}", "ns", "M/s", "/floor", "cpu ns", "/floor");
    println!("{:<42} {units} {:>7}", "path", "aim");
}

/// One path: its medians, and how much of the floor's throughput it has.
fn line(name: &str, own: &Series, floor: Option<&Series>, aim: &str) {
    let (wall, cpu) = (median(own.wall.clone()), median(own.cpu.clone()));
    let share = |floor: &[f64], own: &[f64]| {
        let share = median(floor.iter().zip(own).map(|(floor, own)| floor / own).collect());
        format!("{share:.2}")
    };
    let by_wall = floor.map_or(String::new(), |floor| share(&floor.wall, &own.wall));
    let by_cpu = floor.map_or(String::new(), |floor| share(&floor.cpu, &own.cpu));
    let numbers = format!("{wall:>8.1} {:>7.2} {by_wall:>7} {cpu:>7.1} {by_cpu:>7}", 1e3 / wall);
    println!("{name:<42} {numbers} {aim:>7}");
}

fn main() -> Outcome {
    // Cargo and its test runner pass arguments of their own.
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [leave, how @ ..] = &args[..]
        && leave == situations::LEAVE
    {
        return situations::leave(how);
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
