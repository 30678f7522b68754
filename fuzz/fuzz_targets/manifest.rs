//! The target `manifest`; what it does stands in `src/manifest.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| millstream_fuzz::manifest::run(data));
