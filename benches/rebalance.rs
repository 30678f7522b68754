//! What a rebalance costs: one member more and one less, in a group of many.
//!
//! ```text
//! cargo bench --bench rebalance              # about half a minute
//! cargo bench --bench rebalance -- --quick   # the small group alone
//! ```
//!
//! `alone` is the strategy's answer for a member that joins, without a group. The other columns
//! are calls of the public API, which return when every partition is with its owner. They wait for
//! nothing, so the thread's own time is what they take, and other programs do not blur it.
//! Medians; nothing is asserted, as a time is no test. From the small group to the large one, n log n
//! is 13 times as much.
#![expect(clippy::print_stdout, reason = "the table is what this program is for")]

use std::error::Error;
use std::hint::black_box;
use std::time::Duration;

use millstream::assign::{Assign, Assignment, CooperativeSticky, Range, Sticky, View};
use millstream::{GroupState, Start, Stream};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// A group's size, and how often each call is timed.
#[derive(Clone, Copy)]
struct Size {
    partitions: u32,
    members: u32,
    repeats: u32,
}

const SMALL: Size = Size { partitions: 1_000, members: 100, repeats: 101 };
const LARGE: Size = Size { partitions: 10_000, members: 1_000, repeats: 21 };

fn main() -> Outcome {
    // Cargo and its test runner pass arguments of their own.
    let quick = std::env::args().any(|arg| arg == "--quick" || arg == "--test");
    println!("milliseconds of one thread, medians {:>22} {:>19}", "in memory", "on disk");
    println!(
        "{:<18} {:>10} {:>8} {:>9} {:>9} {:>9} {:>9} {:>9}",
        "strategy", "partitions", "members", "alone", "join", "leave", "join", "leave"
    );
    for size in if quick { &[SMALL][..] } else { &[SMALL, LARGE] } {
        row(Range, *size)?;
        row(Sticky, *size)?;
        row(CooperativeSticky, *size)?;
    }
    Ok(())
}

fn row<S: Assign + Copy + 'static>(strategy: S, size: Size) -> Outcome {
    let dir = tempfile::tempdir()?;
    let options = || Stream::options().partitions(size.partitions);
    let memory = changes(strategy, &options().in_memory()?, size)?;
    let disk = changes(strategy, &options().create(dir.path().join("stream"))?, size)?;
    print!("{:<18} {:>10} {:>8}", strategy.name(), size.partitions, size.members);
    for time in [alone(&strategy, size), memory.0, memory.1, disk.0, disk.1] {
        print!(" {:>9.2}", time.as_secs_f64() * 1e3);
    }
    println!();
    Ok(())
}

/// What a join and a leave take in a group of that size.
fn changes<S: Assign + 'static>(
    strategy: S,
    stream: &Stream,
    size: Size,
) -> Outcome<(Duration, Duration)> {
    let group = stream.group("g").strategy(strategy).open(Start::Earliest)?;
    let crew: Result<Vec<_>, _> = (0..size.members).map(|n| group.join(&name(n))).collect();
    let (mut joins, mut leaves) = (Vec::new(), Vec::new());
    for n in 0..size.repeats {
        // In turn among the first and the last by name: `Range` moves nearly all for a first one.
        let newcomer = format!("{}+", name(n * 37 % size.members));
        let start = cpu_time();
        let worker = group.join(&newcomer)?;
        joins.push(cpu_time().saturating_sub(start));
        assert_eq!(group.info()?.state, GroupState::Stable, "nothing is left to do");
        let start = cpu_time();
        worker.leave()?;
        leaves.push(cpu_time().saturating_sub(start));
        assert_eq!(group.info()?.state, GroupState::Stable, "nothing is left to do");
    }
    drop(crew?);
    Ok((median(joins), median(leaves)))
}

/// What the strategy takes to decide on a newcomer.
fn alone(strategy: &impl Assign, size: Size) -> Duration {
    let run = size.partitions / size.members;
    let old = (0..size.members).fold(View::new(size.partitions), |view, n| {
        view.member(&name(n), n * run..(n + 1) * run, [])
    });
    let view = old.member("newcomer", [], (0..size.partitions).step_by(7));
    let answer = || {
        let start = cpu_time();
        assert_ne!(strategy.assign(black_box(&view)), Assignment::Everyone);
        cpu_time().saturating_sub(start)
    };
    median((0..size.repeats).map(|_| answer()).collect())
}

/// What this thread had of the processor.
fn cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.try_into().unwrap_or_default()
}

fn name(n: u32) -> String {
    format!("worker-{n:05}")
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}
