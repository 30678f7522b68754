//! What a copy costs: how fast it is beside `cp -r`, and how much it slows a writer.
//!
//! ```text
//! cargo bench --bench copying              # about a minute; needs 2 GiB of disk
//! cargo bench --bench copying -- --quick   # an eighth of that
//! ```
//!
//! `cp` copies what a closed stream leaves, compares no sums, and syncs nothing until `sync` does. The writer appends as
//! fast as it can at the level `Os`; it is measured with and without a thread that copies a second stream, of a fixed size,
//! again and again: copies of its own would grow with what it writes. What both share is the disk and the memory.
//! Rounds of all of them take turns, and medians are printed; nothing is asserted, as a time is no test.
#![expect(clippy::print_stdout, reason = "the table is what this program is for")]

use std::error::Error;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use millstream::{Clock, Start, Stream, SystemClock};

type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

const ROUNDS: usize = 7;
const PAYLOAD: [u8; 1_024] = [7; 1_024];
/// How long a writer is measured.
const WRITING: Duration = Duration::from_secs(2);

fn main() -> Outcome {
    // Cargo and its test runner pass arguments of their own.
    let quick = std::env::args().any(|arg| arg == "--quick" || arg == "--test");
    let entries = if quick { 64 << 10 } else { 512 << 10 };
    let dir = tempfile::tempdir()?;
    let (path, copy) = (dir.path().join("stream"), dir.path().join("copy"));
    let stream = filled(&path, entries)?;
    let bytes = stream.info()?.bytes;
    let mut seconds = [(); 4].map(|()| Vec::new());
    for _ in 0..ROUNDS {
        seconds[0].push(timed(|| Ok(stream.copy_to(&copy).map(drop)?))?);
        fs::remove_dir_all(&copy)?;
        seconds[1].push(timed(|| shell("cp", &["-r"], &[&path, &copy]))?);
        fs::remove_dir_all(&copy)?;
        seconds[2].push(timed(|| {
            shell("cp", &["-r"], &[&path, &copy])?;
            shell("sync", &["-f"], &[&copy])
        })?);
        fs::remove_dir_all(&copy)?;
        seconds[3].push(timed(|| Ok(stream.verify()?))?);
    }
    println!("{} MiB, medians of {ROUNDS}", bytes >> 20);
    let names = ["copy_to", "cp -r", "cp -r; sync -f", "verify"];
    for (name, seconds) in names.into_iter().zip(seconds) {
        println!("{name:<16} {:>6.0} MiB/s", mebibytes(bytes) / median(seconds));
    }
    writers(&stream, dir.path())
}

/// How many entries a second a writer appends, alone and beside copies.
fn writers(stream: &Stream, dir: &Path) -> Outcome {
    let mut rates = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        rates[0].push(written(dir)?);
        let (copy, stop) = (dir.join("copy"), AtomicBool::new(false));
        rates[1].push(thread::scope(|scope| -> Outcome<f64> {
            let copies = scope.spawn(|| -> Outcome {
                while !stop.load(Ordering::Relaxed) {
                    let going = |_: millstream::Progress<'_>| {
                        if stop.load(Ordering::Relaxed) {
                            ControlFlow::Break(())
                        } else {
                            ControlFlow::Continue(())
                        }
                    };
                    match stream.copy_with(&copy, going) {
                        Err(millstream::Error::BrokenOff) => {}
                        other => other.map(|_| fs::remove_dir_all(&copy))??,
                    }
                }
                Ok(())
            });
            let rate = written(dir);
            stop.store(true, Ordering::Relaxed);
            copies.join().map_err(|_| "a copy panicked")??;
            rate
        })?);
    }
    let [alone, beside] = rates.map(median);
    println!("appends of 1 KiB a second: {alone:.0} alone, {beside:.0} beside copies");
    println!("{:.0} % slower", 100.0 * (1.0 - beside / alone));
    Ok(())
}

/// The rate of one writer on a stream of its own.
fn written(dir: &Path) -> Outcome<f64> {
    let dir = tempfile::tempdir_in(dir)?;
    let stream = Stream::open(dir.path())?;
    let start = SystemClock.monotonic();
    let mut entries = 0_u32;
    let took = loop {
        for _ in 0..1_000 {
            stream.append(&PAYLOAD)?;
            entries += 1;
        }
        let took = SystemClock.monotonic().saturating_sub(start);
        if took >= WRITING || entries > 1 << 20 {
            break took;
        }
    };
    Ok(f64::from(entries) / took.as_secs_f64())
}

fn filled(path: &Path, entries: u32) -> Outcome<Stream> {
    let stream = Stream::options().partitions(4).open(path)?;
    for _ in 0..entries {
        stream.append(&PAYLOAD)?;
    }
    let worker = stream.group("g").open(Start::Earliest)?.join("w")?;
    while let batch = worker.try_read(1_000)?
        && !batch.is_empty()
    {
        assert!(batch.ack_all()?.is_complete(), "they are all its own");
    }
    stream.sync()?;
    Ok(stream)
}

fn shell(program: &str, flags: &[&str], paths: &[&Path]) -> Outcome {
    let status = Command::new(program).args(flags).args(paths).status()?;
    if status.success() { Ok(()) } else { Err(format!("{program} failed").into()) }
}

fn timed(action: impl FnOnce() -> Outcome) -> Outcome<f64> {
    let start = SystemClock.monotonic();
    action()?;
    Ok(SystemClock.monotonic().saturating_sub(start).as_secs_f64())
}

#[expect(clippy::cast_precision_loss, reason = "a figure to print")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
