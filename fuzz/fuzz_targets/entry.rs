//! The target `entry`; what it does stands in `src/entry.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| millstream_fuzz::entry::run(data));
