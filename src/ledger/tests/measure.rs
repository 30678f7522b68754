//! What the hot paths cost. Run it with
//! `cargo test --release --lib measures -- --ignored --nocapture`.

use std::io::Write;
use std::time::Instant;

use super::super::hold::Holds;
use super::super::window::CHUNK;
use super::*;

const ENTRIES: u64 = 1_000_000;

#[test]
#[ignore = "it measures"]
fn measures_of_handing_out_and_acking() {
    for reads in [1, 10, 100, 1_000] {
        let mut ledger = Ledger::new(policy(), &[0]);
        let (mut events, mut lost, mut record) = (Vec::new(), Vec::new(), Vec::new());
        let member = ledger.join(Moment(0), "a", &mut events).unwrap();
        ledger.apply(&events[0]);
        let start = real_time();
        for n in 0..ENTRIES / u64::from(reads) {
            let run = Run::new(0, n * u64::from(reads), reads);
            for acks in [false, true] {
                events.clear();
                record.clear();
                if acks {
                    let claim = Claim { run, lease: n + 1 };
                    ledger.ack(&[claim], &mut events, &mut lost);
                } else {
                    ledger
                        .hand_out(
                            Now { at: Moment(n), wall: 0 },
                            member,
                            LEASE,
                            &[run],
                            &mut events,
                        )
                        .unwrap();
                }
                encode(&events, &mut record);
                for event in &events {
                    ledger.apply(event);
                }
            }
        }
        let nanos = (real_time() - start).as_nanos() / u128::from(ENTRIES);
        assert_eq!(ledger.floor(0), Some(ENTRIES));
        print(&format!("hand out, ack and encode by {reads}: {nanos} ns an entry"));
    }
}

#[test]
#[ignore = "it measures"]
fn measures_of_memory_of_pending_entries() {
    let mut ledger = Ledger::new(policy(), &[0]);
    let mut events = Vec::new();
    let member = ledger.join(Moment(0), "a", &mut events).unwrap();
    ledger.apply(&events[0]);
    for n in 0..ENTRIES {
        events.clear();
        ledger
            .hand_out(
                Now { at: Moment(n), wall: 0 },
                member,
                LEASE,
                &[Run::new(0, n, 1)],
                &mut events,
            )
            .unwrap();
        ledger.apply(&events[0]);
    }
    let bytes = memory(&ledger);
    print(&format!("{} bytes for each entry handed out alone", bytes as u64 / ENTRIES));
    assert!(bytes as u64 <= 24 * ENTRIES);
}

/// Chunks with their directory and their bounds, three words for each in a tree; and holds.
fn memory(ledger: &Ledger) -> usize {
    let windows = &ledger.entries.windows;
    let chunks: usize = windows.iter().map(|window| window.chunks.len()).sum();
    let directory: usize = windows.iter().map(|window| window.chunks.bytes()).sum();
    let holds: &Holds = &ledger.entries.index.holds;
    assert_eq!(chunks as u64, ENTRIES.div_ceil(CHUNK));
    directory + chunks * 3 * 8 + holds.bytes() + ledger.entries.index.touches.bytes()
}

#[expect(clippy::disallowed_methods, reason = "what is measured is the machine")]
fn real_time() -> Instant {
    Instant::now()
}

fn print(line: &str) {
    writeln!(std::io::stderr(), "{line}").unwrap();
}
