//! What an input does to a segment's file: to its bytes, or to its frames.

use crate::input::Input;
use crate::layout::{
    self, ENTRIES, Frame, HEADER_BYTES, MORE, PLAIN, SNAPSHOT, fix_sums, footer, salt, set_floor,
};
use crate::{events, layout::is_forged};

/// So many changes to one file.
const CHANGES_MAX: usize = 12;
/// A file is made longer up to this.
const FILE_BYTES_MAX: usize = 64 << 10;

/// A segment's file that was changed.
pub(crate) struct Damaged {
    pub(crate) bytes: Vec<u8>,
    /// Whether it holds a sum that is right and was not there before.
    pub(crate) forged: bool,
}

/// Changes bytes; the sums stay as they are, or are made right afterwards.
pub(crate) fn of_bytes(original: &[u8], input: &mut Input<'_>, fixed: bool) -> Damaged {
    let mut bytes = original.to_vec();
    for _ in 0..CHANGES_MAX {
        if input.is_empty() {
            break;
        }
        change(&mut bytes, input);
    }
    if fixed {
        fix_sums(&mut bytes);
    }
    let forged = fixed || is_forged(original, &bytes);
    Damaged { bytes, forged }
}

fn change(bytes: &mut Vec<u8>, input: &mut Input<'_>) {
    let how = input.byte() % 8;
    let at = input.below(bytes.len());
    match how {
        0 | 1 => overwrite(bytes, at, input.bytes()),
        2 => bytes.truncate(at),
        3 => {
            let more = input.below(4096);
            bytes.resize((bytes.len() + more).min(FILE_BYTES_MAX), input.byte());
        }
        4 => {
            let (from, length) = (input.below(bytes.len()), input.below(512));
            let part = bytes[from..bytes.len().min(from + length)].to_vec();
            overwrite(bytes, at, &part);
        }
        5 => {
            let end = bytes.len().min(at + input.below(512));
            bytes[at.min(end)..end].fill(0);
        }
        6 => overwrite(bytes, at & !3, &input.number().to_le_bytes()[..4]),
        _ => overwrite(bytes, at & !7, &input.number().to_le_bytes()),
    }
}

fn overwrite(bytes: &mut [u8], at: usize, with: &[u8]) {
    for (byte, with) in bytes.iter_mut().skip(at).zip(with) {
        *byte = *with;
    }
}

/// Changes frames, and puts them together with sums and lengths that are right.
pub(crate) fn of_frames(original: &[u8], input: &mut Input<'_>) -> Damaged {
    let (mut frames, _) = layout::frames(original);
    let (keep_offsets, tail) = (input.byte() & 1 == 1, input.byte());
    for _ in 0..CHANGES_MAX {
        if input.is_empty() {
            break;
        }
        change_frames(&mut frames, input);
    }
    if !keep_offsets {
        let mut offset = frames.first().map_or(0, |frame| frame.offset);
        for frame in &mut frames {
            frame.offset = offset;
            offset = offset.saturating_add(u64::from(frame.count));
        }
    }
    let bytes = put_together(original, &frames, tail, input);
    Damaged { bytes, forged: true }
}

fn change_frames(frames: &mut Vec<Frame>, input: &mut Input<'_>) {
    let how = input.byte() % 12;
    let at = input.below(frames.len() + 1);
    let new = |kind, count, body| Frame { count, kind, body, ..Frame::default() };
    match how {
        0 => frames.insert(at, new(PLAIN, 1, events::record(input))),
        1 => {
            if let Some(frame) = frames.iter_mut().find(|frame| frame.kind == SNAPSHOT) {
                frame.body = events::snapshot(input);
            }
        }
        2 => frames.insert(at, new(PLAIN, 1, input.bytes().to_vec())),
        3 => {
            let (count, body) = entries(input);
            frames.insert(at, new(ENTRIES, count, body));
        }
        4 => frames.truncate(at),
        5 if at < frames.len() => {
            let copy = frames[at].clone();
            frames.push(copy);
        }
        6 if at < frames.len() => drop(frames.remove(at)),
        7 if at < frames.len() => {
            let body = &mut frames[at].body;
            let place = input.below(body.len());
            overwrite(body, place, input.bytes());
        }
        8 if at < frames.len() => {
            let length = input.below(frames[at].body.len() + 64);
            frames[at].body.resize(length, 0);
        }
        9 if at < frames.len() => frames[at].body = input.bytes().to_vec(),
        // The tail of a segment is where most is decided.
        10 => frames.push(new(PLAIN, 1, events::record(input))),
        _ if at < frames.len() => set_field(&mut frames[at], input),
        _ => {}
    }
}

fn set_field(frame: &mut Frame, input: &mut Input<'_>) {
    let (which, number) = (input.byte() % 6, input.number());
    let low = number.to_le_bytes();
    match which {
        0 => frame.offset = number,
        1 => frame.floor = number,
        2 => frame.time = number,
        3 => frame.count = layout::u32_at(&low, 0),
        4 => frame.kind = low[0],
        _ => frame.flags = low[0] & MORE,
    }
}

/// A row of entries, most of them well made, and how many it says there are.
fn entries(input: &mut Input<'_>) -> (u32, Vec<u8>) {
    let (mut body, mut count) = (Vec::new(), 0_u64);
    let length = |input: &mut Input<'_>, bytes: usize| {
        let [a, b, c, d, ..] = input.about(bytes as u64).to_le_bytes();
        [a, b, c, d]
    };
    while count < 8 && !input.is_empty() && !input.byte().is_multiple_of(8) {
        let payload = input.bytes();
        let mut fields = Vec::new();
        for _ in 0..input.byte() % 4 {
            let (tag, value) = (input.byte() % 5, input.bytes());
            fields.push(tag);
            fields.extend_from_slice(&length(input, value.len()));
            fields.extend_from_slice(value);
        }
        body.extend_from_slice(&length(input, payload.len()));
        body.extend_from_slice(&length(input, fields.len()));
        body.extend_from_slice(payload);
        body.extend_from_slice(&fields);
        count += 1;
    }
    (layout::u32_at(&input.about(count).to_le_bytes(), 0), body)
}

/// A segment of these frames. Its tail is as a kill, a repair or closing leaves it.
fn put_together(original: &[u8], frames: &[Frame], tail: u8, input: &mut Input<'_>) -> Vec<u8> {
    let mut bytes = original[..HEADER_BYTES].to_vec();
    let salt = salt(&bytes);
    let mut places = Vec::new();
    for frame in frames {
        places.push(bytes.len());
        bytes.extend_from_slice(&frame.encode(salt));
    }
    let end = frames.last().map_or(0, |frame| frame.offset.saturating_add(u64::from(frame.count)));
    let position = u32::try_from(bytes.len()).expect("inputs are short");
    match tail % 6 {
        // Nothing was synced.
        0 => set_floor(&mut bytes, 0, 128),
        // Cut by a repair.
        1 => set_floor(&mut bytes, end, position),
        // Closed, with marks that are right or not.
        2 | 3 => {
            set_floor(&mut bytes, end, position);
            let first = frames.first().map_or(0, |frame| frame.offset);
            let marks: Vec<_> = (frames.iter().zip(&places).skip(1).step_by(3))
                .map(|(frame, place)| {
                    let offset = input.about(frame.offset.saturating_sub(first)).to_le_bytes();
                    let place = input.about(*place as u64).to_le_bytes();
                    (layout::u32_at(&offset, 0), layout::u32_at(&place, 0), input.about(0))
                })
                .collect();
            let end = input.about(end);
            bytes.extend_from_slice(&footer(salt, end, input.about(0), &marks));
        }
        4 => {
            let (offset, [a, b, c, d, ..]) =
                (input.about(end), input.about(position.into()).to_le_bytes());
            set_floor(&mut bytes, offset, u32::from_le_bytes([a, b, c, d]));
        }
        _ => {}
    }
    if matches!(tail % 6, 0 | 4 | 5) {
        bytes.resize(bytes.len().max(4096), 0);
    }
    bytes
}
