//! Events and snapshots of a group, well formed by `docs/FORMAT.md` and otherwise as an input says.

use crate::input::Input;

const EVENTS_MAX: usize = 16;

fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push((number & 0x7f) as u8);
}

fn text(out: &mut Vec<u8>, input: &mut Input<'_>) {
    let name = [b'a' + input.byte() % 4; 300];
    let length = input.about(1);
    put(out, length);
    out.extend_from_slice(&name[..usize::try_from(length).unwrap_or(300).min(300)]);
}

fn run(out: &mut Vec<u8>, input: &mut Input<'_>) {
    put(out, input.about(u64::from(input.clone().byte() % 2)));
    put(out, input.number());
    put(out, input.about(1));
}

/// Some events, one behind the other.
pub(crate) fn record(input: &mut Input<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    for _ in 0..EVENTS_MAX {
        if input.is_empty() {
            break;
        }
        match input.byte() % 20 {
            0 => break,
            tag @ 1..=14 => event(&mut out, tag, input),
            // What a group says most often.
            15 | 16 => event(&mut out, 3, input),
            17 => event(&mut out, 1, input),
            18 => event(&mut out, 14, input),
            _ => event(&mut out, 5, input),
        }
    }
    out
}

fn event(out: &mut Vec<u8>, tag: u8, input: &mut Input<'_>) {
    out.push(tag);
    match tag {
        1 => {
            put(out, input.about(0));
            put(out, input.number());
            text(out, input);
        }
        2 => {
            put(out, input.about(0));
            out.push(input.byte() % 4);
            last(out, input);
        }
        3 => {
            run(out, input);
            put(out, input.number());
            put(out, input.about(0));
        }
        7 | 8 => {
            run(out, input);
            delay(out, input);
        }
        13 => {
            put(out, input.about(0));
            put(out, input.number());
            put(out, input.number());
        }
        14 => reopened(out, input),
        _ => run(out, input),
    }
}

fn delay(out: &mut Vec<u8>, input: &mut Input<'_>) {
    let delay = input.number();
    put(out, delay);
    if delay > 0 {
        put(out, input.number());
    }
}

fn last(out: &mut Vec<u8>, input: &mut Input<'_>) {
    put(out, input.about(16));
    out.push(input.byte() % 3);
}

fn reopened(out: &mut Vec<u8>, input: &mut Input<'_>) {
    out.push(input.byte() % 3);
    for _ in 0..5 {
        put(out, input.number());
    }
    last(out, input);
    let ends = input.about(2);
    put(out, ends);
    for _ in 0..ends.min(4) {
        put(out, input.number());
    }
}

/// A whole snapshot.
pub(crate) fn snapshot(input: &mut Input<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    put(&mut out, input.about(1));
    put(&mut out, input.number());
    let first = input.about(1);
    put(&mut out, first);
    let (next, join) = (input.number(), input.number());
    put(&mut out, input.about(first.saturating_add(next)));
    put(&mut out, join);
    (0..4).for_each(|_| put(&mut out, input.number()));
    let members = input.about(u64::from(input.clone().byte() % 3));
    put(&mut out, members);
    for slot in 0..members.min(3) {
        put(&mut out, input.about(slot));
        put(&mut out, input.about(slot));
        put(&mut out, input.about(1));
        text(&mut out, input);
    }
    let partitions = input.about(2);
    put(&mut out, partitions);
    for _ in 0..partitions.min(3) {
        window(&mut out, input);
    }
    let parked = input.about(u64::from(input.clone().byte() % 3));
    put(&mut out, parked);
    for n in 0..parked.min(3) {
        put(&mut out, input.about(0));
        put(&mut out, input.about(n));
        put(&mut out, input.about(1));
        put(&mut out, input.about(1));
    }
    out.extend_from_slice(input.take(usize::from(input.clone().byte() == 255)));
    out
}

fn window(out: &mut Vec<u8>, input: &mut Input<'_>) {
    put(out, input.number());
    let runs = input.about(u64::from(input.clone().byte() % 4));
    put(out, runs);
    for _ in 0..runs.min(4) {
        let state = 2 + input.byte() % 5;
        out.push(state);
        put(out, input.about(0));
        put(out, input.about(1));
        put(out, input.about(1));
        put(out, input.about(1));
        put(out, input.about(0));
        if state != 2 {
            put(out, input.number());
        }
    }
}
