//! The target `segment`; what it does stands in `src/segment.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| millstream_fuzz::segment::run(data));
