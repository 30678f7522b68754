//! The target `segment`: a partition's segment with other bytes, or other frames.

use crate::damage;
use crate::input::Input;
use crate::probe::probe;
use crate::sample::sample;

/// Does what one input says.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let (how, which) = (input.byte(), input.byte());
    let sample = sample(how & 1 == 1);
    let partition = which & 1;
    // The first segment of one partition was trimmed.
    let prefix = format!("p{partition}/0");
    let names: Vec<&String> = sample.files.keys().filter(|n| n.starts_with(&prefix)).collect();
    let place = usize::from(which >> 1 & 1) % names.len();
    let name = names[place].clone();
    let mut files = sample.files.clone();
    let original = &sample.files[&name];
    let damaged = match how >> 1 & 3 {
        0 | 1 => damage::of_bytes(original, &mut input, false),
        2 => damage::of_bytes(original, &mut input, true),
        _ => damage::of_frames(original, &mut input),
    };
    if place + 1 < names.len() && which & 4 == 4 {
        // Then what was made of the first is the end of the log.
        files.remove(names[place + 1]);
    }
    files.insert(name, damaged.bytes);
    probe(&files, (!damaged.forged).then_some(&sample.entries));
}
