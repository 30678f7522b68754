//! The target `journal`: a group's journal with records and snapshots that nobody wrote, and sums
//! that are right.

use crate::damage;
use crate::input::Input;
use crate::probe::probe;
use crate::sample::sample;

/// Does what one input says.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let how = input.byte();
    let killed = how & 1 == 1;
    let sample = sample(killed);
    let sequence = if killed { 1 + (how >> 1 & 1) } else { 1 };
    let name = format!("g1/{sequence:010}.seg");
    let mut files = sample.files.clone();
    let original = &sample.files[&name];
    let damaged = match how >> 2 & 3 {
        0 => damage::of_bytes(original, &mut input, true),
        _ => damage::of_frames(original, &mut input),
    };
    if sequence == 1 && how & 16 == 16 {
        files.remove("g1/0000000002.seg");
    }
    files.insert(name, damaged.bytes);
    // A journal says nothing of what the entries are.
    probe(&files, Some(&sample.entries));
}
