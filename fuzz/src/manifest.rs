//! The target `manifest`: a manifest of other bytes or other values, with a sum that is right.

use crate::input::Input;
use crate::layout::u64_at;
use crate::probe::probe;
use crate::sample::sample;

const BODY_AT: usize = 24;

/// Does what one input says.
pub fn run(data: &[u8]) {
    let mut input = Input::new(data);
    let how = input.byte();
    let sample = sample(how & 1 == 1);
    let original = &sample.files["manifest"];
    let mut bytes = original.clone();
    match how >> 1 & 3 {
        0 => bytes.splice(BODY_AT.., input.rest().iter().copied()).for_each(drop),
        1 => {
            while !input.is_empty() {
                let at = input.below(bytes.len());
                let end = bytes.len().min(at + usize::from(input.byte() % 12));
                let with = input.byte() % 12;
                let with = input.take(usize::from(with));
                bytes.splice(at..end, with.iter().copied()).for_each(drop);
            }
        }
        _ => {
            let (identity, used) = number_at(&bytes[BODY_AT..]);
            assert_eq!(used, 9, "the samples' identity is a long number");
            bytes.truncate(BODY_AT);
            body(&mut bytes, identity, &mut input);
        }
    }
    if how & 8 == 0 {
        fix_sums(&mut bytes);
    }
    let mut files = sample.files.clone();
    files.insert("manifest".into(), bytes);
    probe(&files, Some(&sample.entries));
}

fn number_at(bytes: &[u8]) -> (u64, usize) {
    match bytes[0] {
        small @ 0..=250 => (small.into(), 1),
        _ => (u64_at(bytes, 1), 9),
    }
}

/// Makes the length and the sum right.
fn fix_sums(bytes: &mut [u8]) {
    if bytes.len() < BODY_AT {
        return;
    }
    let length = (bytes.len() - BODY_AT) as u64;
    bytes[16..24].copy_from_slice(&length.to_le_bytes());
    let sum = crc32fast::hash(&[&bytes[8..12], &bytes[16..]].concat());
    bytes[12..16].copy_from_slice(&sum.to_le_bytes());
}

fn put(out: &mut Vec<u8>, number: u64) {
    let bytes = number.to_le_bytes();
    let (mark, length) = match number {
        0..=250 => return out.push(bytes[0]),
        251..=0xffff => (251, 2),
        0x1_0000..=0xffff_ffff => (252, 4),
        _ => (253, 8),
    };
    out.push(mark);
    out.extend_from_slice(&bytes[..length]);
}

/// A body whose values are those of the sample, or the input's.
fn body(out: &mut Vec<u8>, identity: u64, input: &mut Input<'_>) {
    put(out, input.about(identity));
    put(out, input.number());
    let partitions = input.about(2);
    put(out, partitions);
    put(out, input.about(4096));
    put(out, input.about(1024));
    let durability = input.about(0);
    put(out, durability);
    if durability == 1 {
        put(out, input.number());
    }
    put(out, input.about(4));
    let groups = input.about(1 + u64::from(input.clone().byte() % 3));
    put(out, groups);
    for n in 0..groups.min(5) {
        group(out, 1 + n, partitions, input);
    }
}

fn group(out: &mut Vec<u8>, number: u64, partitions: u64, input: &mut Input<'_>) {
    let name: &[u8] = match input.byte() % 8 {
        0..=4 => b"billing",
        5 => b"",
        6 => b"a\nb",
        _ => input.bytes(),
    };
    put(out, name.len() as u64);
    out.extend_from_slice(name);
    put(out, input.about(number));
    put(out, input.number());
    let starts = input.about(partitions);
    put(out, starts);
    (0..starts.min(20_000)).for_each(|_| put(out, input.number()));
    put(out, input.about(30_000_000));
    let session = input.about(0);
    put(out, session);
    if session > 0 {
        put(out, input.number());
    }
    put(out, input.about(16));
    let backoff = input.about(0);
    put(out, backoff);
    (0..=backoff.min(2)).for_each(|_| put(out, input.number()));
    put(out, input.about(0));
    put(out, input.about(100_000));
    put(out, input.about(u64::MAX));
}
