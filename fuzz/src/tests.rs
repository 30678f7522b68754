//! The bodies on inputs that need no fuzzer: pseudo-random ones, and those that found something.
//!
//! `MILLSTREAM_FUZZ` is how many inputs each body gets, `MILLSTREAM_FUZZ_SEED` what they are made
//! from. A failure prints the seed and the input.

use std::fs;
use std::path::Path;

use crate::{entry, journal, manifest, segment};

const INPUTS: u64 = 300;
const SEED: u64 = 1;

/// Prints what was being tried if the try does not end well.
struct Trial<'a> {
    what: &'a str,
    input: &'a [u8],
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let hex: Vec<String> = self.input.iter().map(|byte| format!("{byte:02x}")).collect();
            eprintln!("{}, input {}", self.what, hex.concat());
        }
    }
}

/// `SplitMix64`.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |given| given.parse().expect("a number"))
}

fn random(target: &str, body: fn(&[u8])) {
    let (count, seed) = (setting("MILLSTREAM_FUZZ", INPUTS), setting("MILLSTREAM_FUZZ_SEED", SEED));
    for n in 0..count {
        let mut state = seed.wrapping_mul(1 << 32) ^ n;
        let length = next(&mut state) % 160;
        let input: Vec<u8> = (0..length).map(|_| next(&mut state).to_le_bytes()[7]).collect();
        let what = format!("{target}, seed {seed}, number {n}");
        let _trial = Trial { what: &what, input: &input };
        body(&input);
    }
}

/// Runs the inputs that found something once.
fn found(target: &str, body: fn(&[u8])) {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("found").join(target);
    for file in fs::read_dir(dir).into_iter().flatten() {
        let path = file.expect("the directory can be listed").path();
        let input = fs::read(&path).expect("the file can be read");
        let what = path.display().to_string();
        let _trial = Trial { what: &what, input: &input };
        body(&input);
    }
}

#[test]
fn no_segment_does_more_than_give_an_error() {
    found("segment", segment::run);
    random("segment", segment::run);
}

#[test]
fn no_journal_does_more_than_close_its_group() {
    found("journal", journal::run);
    random("journal", journal::run);
}

#[test]
fn no_manifest_does_more_than_give_an_error() {
    found("manifest", manifest::run);
    random("manifest", manifest::run);
}

#[test]
fn an_entry_is_refused_or_reads_back() {
    found("entry", entry::run);
    random("entry", entry::run);
}

#[test]
fn untouched_samples_give_no_error_at_all() {
    for killed in [false, true] {
        let sample = crate::sample::sample(killed);
        assert_eq!(sample.entries.len(), if killed { 88 } else { 87 });
        crate::probe::probe(&sample.files, Some(&sample.entries));
        for (name, bytes) in sample.files.iter().filter(|(name, _)| name.contains("/0000")) {
            let mut fixed = bytes.clone();
            crate::layout::fix_sums(&mut fixed);
            assert!(fixed == *bytes, "{name}: sums that are right stay as they are");
            assert!(!crate::layout::is_forged(bytes, bytes));
            let (frames, end) = crate::layout::frames(bytes);
            let salt = crate::layout::salt(bytes);
            let encoded: Vec<u8> = frames.iter().flat_map(|frame| frame.encode(salt)).collect();
            assert!(encoded == bytes[crate::layout::HEADER_BYTES..end], "{name}");
        }
    }
}
