//! The target `journal`; what it does stands in `src/journal.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| millstream_fuzz::journal::run(data));
