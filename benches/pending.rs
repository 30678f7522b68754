//! What the pending list costs with millions of entries in it: memory for each entry, acks in any
//! order, and claiming what is idle. Run it with `cargo bench --bench pending`; a number behind
//! `--` is how many millions of entries are pending, by default 10; `memory`, `acks` or `claims`
//! measures that alone.
//!
//! Rates are by the time of a processor and by the clock: on a machine that is busy with other
//! things the first tells more.
//!
//! Memory is what the allocator was asked for while entries were handed out and their tokens
//! detached; the log itself is on disk.

#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on has failed")]
#![expect(clippy::disallowed_methods, reason = "what is measured is the machine")]
#![expect(clippy::cast_precision_loss, reason = "a measure is told in three digits")]
#![expect(unsafe_code, reason = "an allocator that counts")]
#![expect(clippy::print_stdout, reason = "the figures")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use millstream::{
    ClaimCursor, Consumer, EntryId, Group, ManualClock, PendingQuery, Start, Stream, Token,
};
use tempfile::TempDir;

const MILLION: usize = 1_000_000;
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// Counts the bytes that are in use.
struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        IN_USE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps to the contract of `alloc`, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: `block` came from `System.alloc` with this layout.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// A stream on disk with a group whose leases last an hour.
struct Scene {
    clock: ManualClock,
    group: Group,
    worker: Consumer,
    _stream: Stream,
    _dir: TempDir,
}

impl Scene {
    fn new(entries: usize) -> Self {
        let (clock, dir) = (ManualClock::new(), tempfile::tempdir().unwrap());
        let stream = Stream::options().clock(clock.clone()).open(dir.path().join("s")).unwrap();
        for _ in 0..entries / 1_000 {
            stream.append_batch([b"eight by"; 1_000]).unwrap();
        }
        let group = stream.group("g").lease(HOUR).session_timeout(HOUR).max_in_flight(u64::MAX);
        let group = group.open(Start::Earliest).unwrap();
        let worker = group.join("worker").unwrap();
        Self { clock, group, worker, _stream: stream, _dir: dir }
    }

    /// Hands out `entries` by reads of `by` at a time, and keeps their leases.
    fn hand_out(&self, entries: usize, by: u32, mut keep: impl FnMut(Token)) {
        let mut left = entries;
        while left > 0 {
            // As on a machine: time goes on between reads, in steps of the coarse clock.
            if left.is_multiple_of(5_000) {
                self.clock.advance(Duration::from_millis(4));
            }
            for delivery in self.worker.try_read(by).unwrap() {
                keep(delivery.detach());
                left -= 1;
            }
        }
    }
}

fn main() {
    let millions = std::env::args().find_map(|argument| argument.parse().ok());
    let entries = millions.unwrap_or(10) * MILLION;
    let named = |part: &str| std::env::args().any(|argument| argument == part);
    let all = !["memory", "acks", "claims"].into_iter().any(named);
    if all || named("memory") {
        for by in [100, 1] {
            memory(entries, by);
        }
    }
    if all || named("acks") {
        acks(entries);
    }
    if all || named("claims") {
        [MILLION, 4 * MILLION].into_iter().for_each(claims);
    }
}

fn memory(entries: usize, by: u32) {
    let scene = Scene::new(entries);
    let before = IN_USE.load(Ordering::Relaxed);
    let start = Instant::now();
    scene.hand_out(entries, by, drop);
    let took = start.elapsed();
    let bytes = IN_USE.load(Ordering::Relaxed) - before;
    assert_eq!(scene.group.pending().unwrap().total, entries as u64);
    println!(
        "{entries} pending by reads of {by}: {:.2} bytes and {:.0} ns for each",
        bytes as f64 / entries as f64,
        took.as_nanos() as f64 / entries as f64
    );
}

fn acks(entries: usize) {
    let scene = Scene::new(entries);
    let mut tokens = Vec::with_capacity(entries);
    scene.hand_out(entries, 100, |token| tokens.push(token));
    shuffle(&mut tokens);
    for by in [1_000, 1] {
        let some = tokens.split_off(tokens.len() - entries / 4);
        let (start, busy) = (Instant::now(), processor_time());
        for chunk in some.chunks(by) {
            assert!(scene.group.ack(chunk.iter().copied()).unwrap().is_complete());
        }
        let rate = |took: Duration| some.len() as f64 / took.as_secs_f64() / 1e6;
        println!(
            "acks in random order among {entries}, {by} in a call: {:.2} million a second of a processor, {:.2} by the clock",
            rate(processor_time().checked_sub(busy).unwrap()),
            rate(start.elapsed())
        );
    }
}

/// A thousand idle ones among many that are not: those that were handed out first; then some far
/// apart, after all others have changed hands.
fn claims(entries: usize) {
    let scene = Scene::new(entries);
    scene.hand_out(1_000, 100, drop);
    scene.clock.advance(MINUTE);
    scene.hand_out(entries - 1_000, 100, drop);
    let helper = scene.group.join("helper").unwrap();
    let nothing = step(&helper, HOUR);
    let first = step(&helper, MINUTE);
    println!("1,000 idle of {entries} in one place: {first:?}; with nothing idle: {nothing:?}");

    scene.clock.advance(MINUTE);
    let (apart, mut others) = (entries as u64 / 1_000, Vec::with_capacity(100_000));
    for offset in (0..entries as u64).filter(|offset| offset % apart != apart / 2) {
        others.push(EntryId::new(0, offset));
        if others.len() == 100_000 {
            take(&helper, &mut others);
        }
    }
    take(&helper, &mut others);
    let (first, again) = (step(&helper, MINUTE), step(&helper, MINUTE));
    println!(
        "1,000 idle of {entries} far apart, after all others were claimed: {first:?}; once more: {again:?}"
    );
    let start = Instant::now();
    let rows = scene.group.pending_entries(&PendingQuery::new().idle(HOUR)).unwrap().len();
    println!(
        "listing what was idle for an hour among {entries}: {:?}, {rows} rows",
        start.elapsed()
    );
}

fn take(helper: &Consumer, ids: &mut Vec<EntryId>) {
    let claimed = helper.claim(ids.drain(..), Duration::ZERO).unwrap();
    claimed.batch.into_iter().for_each(|delivery| _ = delivery.detach());
}

/// How long one call takes that claims at most a thousand, and how many it claims.
fn step(helper: &Consumer, min_idle: Duration) -> (Duration, usize) {
    let start = Instant::now();
    let claimed = helper.auto_claim(min_idle, ClaimCursor::START, 1_000).unwrap();
    let took = start.elapsed();
    (took, claimed.batch.into_iter().map(millstream::Delivery::detach).count())
}

/// How long this thread was at work.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

/// In an order that has nothing to do with the offsets, and is the same each time.
fn shuffle(tokens: &mut [Token]) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for place in (1..tokens.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        let other = usize::try_from(state % (place as u64 + 1)).expect("it is below a place");
        tokens.swap(place, other);
    }
}
