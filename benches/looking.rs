//! What it costs a writer that another process tails its stream, or watches it. Run it with
//! `cargo bench --bench looking`; `-- --quick` takes a fifth of the time, `-- --dir DIR` puts the
//! streams there.
//!
//! Rounds without and with an onlooker take turns on one stream, so a machine that is busy for a
//! while slows both; figures are medians over the rounds, and the ratio is the median of each pair's.
//! The onlooker is this program, started once more: it blocks in reads of 1,000, as a tail does, or
//! asks for the infos of the stream and of three groups ten times a second, as often as `watch` ever
//! does; and it says in the end how much it saw.
//!
//! Rates are by the clock and by the writer's time on a processor: with as many processors as
//! processes the first counts; where there are fewer, the onlooker takes time that it would have
//! taken from anything. A stream on a disk has a third party, the kernel's writing back: with two
//! processors, whatever keeps the second one busy slows the writer. So there is a row for a process that
//! knows nothing of the stream and only counts. In a directory in memory (`--dir /dev/shm`) nothing is
//! written back, and what is left is the cost of looking on.

#![expect(clippy::print_stdout, reason = "the figures")]
#![expect(clippy::disallowed_methods, reason = "what is measured is the machine")]
#![expect(clippy::cast_precision_loss, reason = "a measure is told in three digits")]

use std::error::Error;
use std::io::{Read, Write, stdin, stdout};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use millstream::{Durability, Retention, Start, Stream};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

const PAYLOAD: [u8; 128] = [7; 128];
/// What is kept: enough that an onlooker that is not far behind misses nothing.
const KEPT_BYTES: u64 = 256 << 20;
const TAIL: &str = "--tail";
const WATCH: &str = "--watch";
const COUNT: &str = "--count";
const GROUPS: [&str; 3] = ["audit", "billing", "exports"];
/// How long a watch waits between two looks.
const EVERY: Duration = Duration::from_millis(100);

struct Figures {
    /// Appends in a second, by the clock and by the writer's time on a processor.
    wall: f64,
    busy: f64,
}

fn main() -> Outcome {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == TAIL) {
        return tail(Path::new(&arguments[at + 1]));
    }
    if let Some(at) = arguments.iter().position(|argument| argument == WATCH) {
        return watch(Path::new(&arguments[at + 1]));
    }
    if arguments.iter().any(|argument| argument == COUNT) {
        return count();
    }
    let dir = arguments.iter().position(|argument| argument == "--dir");
    let dir = dir.and_then(|at| arguments.get(at + 1)).map(PathBuf::from);
    let dir = dir.unwrap_or_else(std::env::temp_dir);
    let share = if arguments.iter().any(|argument| argument == "--quick") { 5 } else { 1 };
    println!("appends a second, 128 bytes each    alone  looked at     ratio   by processor time");
    let rows = [
        ("tailed, os", Durability::Os, 1_000_000, TAIL),
        ("beside one that counts, os", Durability::Os, 1_000_000, COUNT),
        ("tailed, always", Durability::Always, 500, TAIL),
        ("watched, os", Durability::Os, 4_000_000, WATCH),
    ];
    for (name, durability, appends, how) in rows {
        compare(&dir, name, durability, appends / share, how)?;
    }
    Ok(())
}

fn compare(dir: &Path, name: &str, durability: Durability, appends: u64, how: &str) -> Outcome {
    const ROUNDS: usize = 31;
    let dir = tempfile::tempdir_in(dir)?;
    let path = dir.path().join("stream");
    let retention = Retention::keep_all().bytes(KEPT_BYTES);
    let stream = Stream::options().durability(durability).retention(retention).open(&path)?;
    for group in GROUPS.iter().filter(|_| how == WATCH) {
        stream.group(group).open(Start::Earliest)?;
    }
    // Until segments have their full size.
    append(&stream, appends)?;
    let (mut alone, mut looked_at, mut seen) = (Vec::new(), Vec::new(), 0);
    for round in 0..2 * ROUNDS {
        // First the one, then the other, then the other way round.
        if matches!(round % 4, 0 | 3) {
            alone.push(append(&stream, appends)?);
            continue;
        }
        let onlooker = start(&path, how)?;
        looked_at.push(append(&stream, appends)?);
        seen += finish(onlooker)?;
    }
    let ratios = |of: fn(&Figures) -> f64| {
        median(alone.iter().zip(&looked_at).map(|(alone, beside)| of(beside) / of(alone)))
    };
    let rate = |figures: &[Figures]| median(figures.iter().map(|figures| figures.wall));
    println!(
        "{name:<30} {:>12.0} {:>11.0} {:>9.3} {:>9.3}   ({seen} {})",
        rate(&alone),
        rate(&looked_at),
        ratios(|figures| figures.wall),
        ratios(|figures| figures.busy),
        match how {
            TAIL => format!("of {} seen", appends * ROUNDS as u64),
            WATCH => "looks".to_owned(),
            _ => "million counted".to_owned(),
        },
    );
    Ok(())
}

fn append(stream: &Stream, appends: u64) -> Outcome<Figures> {
    let (start, busy) = (Instant::now(), processor_time());
    for _ in 0..appends {
        stream.append(&PAYLOAD)?;
    }
    let (wall, busy) = (start.elapsed(), processor_time().saturating_sub(busy));
    let rate = |time: Duration| appends as f64 / time.as_secs_f64();
    Ok(Figures { wall: rate(wall), busy: rate(busy) })
}

/// The time that this process has had on processors.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Starts an onlooker, which stands at the end of the stream when this returns.
fn start(path: &Path, how: &str) -> Outcome<Child> {
    let mut onlooker = Command::new(std::env::current_exe()?)
        .arg(how)
        .arg(path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    onlooker.stdout.as_mut().ok_or("it has one")?.read_exact(&mut [0])?;
    Ok(onlooker)
}

/// Lets it come to the end. Says how much it saw.
fn finish(mut onlooker: Child) -> Outcome<u64> {
    drop(onlooker.stdin.take());
    let mut said = String::new();
    onlooker.stdout.take().ok_or("it has one")?.read_to_string(&mut said)?;
    onlooker.wait()?;
    Ok(said.trim().parse()?)
}

/// Says that it stands by, and is told when it is over: when the writer says so, or is gone.
fn stand_by() -> Outcome<Arc<AtomicBool>> {
    let over = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&over);
    std::thread::spawn(move || {
        let _ = stdin().read(&mut [0]);
        told.store(true, Ordering::Relaxed);
    });
    stdout().write_all(b"\n")?;
    stdout().flush()?;
    Ok(over)
}

fn tail(path: &Path) -> Outcome {
    let subscription = Stream::open_read_only(path)?.subscribe()?;
    let over = stand_by()?;
    let mut seen = 0;
    loop {
        let last = over.load(Ordering::Relaxed);
        let entries = subscription.read_timeout(1_000, Duration::from_millis(100))?;
        seen += entries.len();
        if last && entries.is_empty() {
            break;
        }
    }
    println!("{seen}");
    Ok(())
}

fn watch(path: &Path) -> Outcome {
    let stream = Stream::open_read_only(path)?;
    let look = || -> Outcome<()> {
        for name in stream.groups() {
            stream.group(&name).open_existing()?.info()?;
        }
        stream.info()?;
        Ok(())
    };
    look()?;
    let (over, ended) = channel::<()>();
    std::thread::spawn(move || {
        let _ = stdin().read(&mut [0]);
        drop(over);
    });
    stdout().write_all(b"\n")?;
    stdout().flush()?;
    let mut looks = 0;
    while ended.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
        look()?;
        looks += 1;
    }
    println!("{looks}");
    Ok(())
}

/// Keeps a processor busy, and touches nothing.
fn count() -> Outcome {
    let over = stand_by()?;
    let mut counted: u64 = 0;
    while !over.load(Ordering::Relaxed) {
        counted = std::hint::black_box(counted + 1);
    }
    println!("{}", counted / 1_000_000);
    Ok(())
}
