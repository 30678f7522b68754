//! The bytes of one entry inside an [`Entries`](super::Kind::Entries) frame, and the encoder that
//! turns what a caller wants to append into frame bodies.
//!
//! ```text
//!  | payload u32 | fields u32 | payload bytes | field, field, ... |
//!  field:  | tag u8 | length u32 | bytes |
//! ```
//!
//! | tag | field | bytes |
//! |---|---|---|
//! | 1 | subject | UTF-8 |
//! | 2 | key | any |
//! | 3 | header | name length `u16`, name in UTF-8, value |
//! | 4 | due | when groups are to hand it out, `u64`, microseconds since 1970; stands first |
//! | 5 | unique key | any |
//! | 6 | dead letter | what it tells of its original |
//! | 7 | addressee | the number of the one group it is for, `u64` |
//!
//! A reader skips tags that it does not know. An entry that is payload alone, appended alone, needs
//! none of this: it is a [`Plain`](super::Kind::Plain) frame whose body is the payload.

use std::ops::Range;

use super::frame::{self, Kind};

/// What an entry takes in a shared frame, even an empty one. A frame of its own takes more.
pub(super) const LENGTHS_BYTES: usize = 8;
const FIELD_BYTES: usize = 5;
const SUBJECT: u8 = 1;
const KEY: u8 = 2;
const HEADER: u8 = 3;
const DUE: u8 = 4;
const UNIQUE: u8 = 5;
const LETTER: u8 = 6;
const ADDRESSEE: u8 = 7;

/// Entries of a batch share a frame until its body reaches this. Large enough that 40 bytes of
/// header are a hundredth, small enough that a reader of one entry copies and checks little else.
const SHARED_BODY_BYTES: usize = 4096;

/// What a caller gives for one entry, borrowed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fields<'a> {
    pub(crate) payload: &'a [u8],
    pub(crate) subject: Option<&'a str>,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) headers: &'a [(&'a str, &'a [u8])],
    pub(crate) letter: Option<&'a [u8]>,
    pub(crate) addressee: Option<u64>,
    /// When groups are to hand it out: microseconds since 1970.
    pub(crate) due: Option<u64>,
    /// What it is known by where nothing may be appended twice.
    pub(crate) unique: Option<&'a [u8]>,
}

impl Fields<'_> {
    /// Whether there is nothing but payload.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        let named = self.subject.is_some() || self.key.is_some() || !self.headers.is_empty();
        let told = self.letter.is_some() || self.addressee.is_some();
        !named && !told && self.due.is_none() && self.unique.is_none()
    }

    /// The length of the fields' encoding.
    #[inline]
    fn fields_bytes(&self) -> usize {
        let headers: usize = self
            .headers
            .iter()
            .map(|(name, value)| FIELD_BYTES + 2 + name.len() + value.len())
            .sum();
        self.subject.map_or(0, |subject| FIELD_BYTES + subject.len())
            + self.key.map_or(0, |key| FIELD_BYTES + key.len())
            + self.due.map_or(0, |_| FIELD_BYTES + size_of::<u64>())
            + self.unique.map_or(0, |key| FIELD_BYTES + key.len())
            + headers
            + self.letter.map_or(0, |letter| FIELD_BYTES + letter.len())
            + self.addressee.map_or(0, |_| FIELD_BYTES + size_of::<u64>())
    }

    /// The length of the whole entry's encoding.
    #[inline]
    pub(crate) fn encoded_bytes(&self) -> usize {
        LENGTHS_BYTES + self.payload.len() + self.fields_bytes()
    }

    /// The caller has bounded the entry by `entry_bytes_max`, so lengths fit.
    #[inline]
    fn encode(&self, into: &mut Vec<u8>) {
        let fields_bytes = self.fields_bytes();
        let mut lengths = [0; LENGTHS_BYTES];
        lengths[..4].copy_from_slice(&length(self.payload.len()).to_le_bytes());
        lengths[4..].copy_from_slice(&length(fields_bytes).to_le_bytes());
        into.reserve(LENGTHS_BYTES + self.payload.len() + fields_bytes);
        into.extend_from_slice(&lengths);
        into.extend_from_slice(self.payload);
        if fields_bytes > 0 {
            self.encode_fields(into);
        }
    }

    fn encode_fields(&self, into: &mut Vec<u8>) {
        if let Some(due) = self.due {
            field(DUE, size_of::<u64>(), into);
            into.extend_from_slice(&due.to_le_bytes());
        }
        if let Some(subject) = self.subject {
            field(SUBJECT, subject.len(), into);
            into.extend_from_slice(subject.as_bytes());
        }
        if let Some(key) = self.key {
            field(KEY, key.len(), into);
            into.extend_from_slice(key);
        }
        if let Some(key) = self.unique {
            field(UNIQUE, key.len(), into);
            into.extend_from_slice(key);
        }
        for (name, value) in self.headers {
            field(HEADER, 2 + name.len() + value.len(), into);
            let name_bytes = u16::try_from(name.len()).expect("header names are bounded");
            into.extend_from_slice(&name_bytes.to_le_bytes());
            into.extend_from_slice(name.as_bytes());
            into.extend_from_slice(value);
        }
        if let Some(letter) = self.letter {
            field(LETTER, letter.len(), into);
            into.extend_from_slice(letter);
        }
        if let Some(group) = self.addressee {
            field(ADDRESSEE, size_of::<u64>(), into);
            into.extend_from_slice(&group.to_le_bytes());
        }
    }
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("entries are bounded by entry_bytes_max, which fits 32 bits")
}

fn field(tag: u8, bytes: usize, into: &mut Vec<u8>) {
    into.push(tag);
    into.extend_from_slice(&length(bytes).to_le_bytes());
}

/// One frame that is ready but for its offset, floor, time and salt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece<'a> {
    pub(crate) kind: Kind,
    pub(crate) count: u32,
    pub(crate) body: &'a [u8],
    pub(crate) body_sum: u32,
}

/// A batch, encoded and hashed before any lock is taken. Reused from call to call.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    bytes: Vec<u8>,
    pieces: Vec<(Kind, u32, Range<usize>, u32)>,
    open: Option<(u32, usize)>,
    count: u32,
    /// Where subjects stand, each with how many entries in a row have it.
    subjects: Vec<(Range<usize>, u32)>,
}

impl Draft {
    /// Forgets the last batch, keeping the memory.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.pieces.clear();
        self.open = None;
        self.count = 0;
        self.subjects.clear();
    }

    /// Adds one entry.
    pub(crate) fn push(&mut self, fields: &Fields<'_>) {
        let (count, start) = self.open.unwrap_or((0, self.bytes.len()));
        let at = self.bytes.len();
        fields.encode(&mut self.bytes);
        if let Some(subject) = fields.subject {
            let due_bytes = fields.due.map_or(0, |_| FIELD_BYTES + size_of::<u64>());
            let before = LENGTHS_BYTES + fields.payload.len() + due_bytes;
            self.note(at + before + FIELD_BYTES, subject);
        }
        self.count += 1;
        self.open = Some((count + 1, start));
        if self.bytes.len() - start >= SHARED_BODY_BYTES {
            self.finish();
        }
    }

    /// Notes that the subject of an entry stands at `start`.
    fn note(&mut self, start: usize, subject: &str) {
        if let Some((place, entries)) = self.subjects.last_mut()
            && self.bytes[place.clone()] == *subject.as_bytes()
        {
            *entries += 1;
            return;
        }
        self.subjects.push((start..start + subject.len(), 1));
    }

    /// The subjects in order, each with how many entries in a row have it.
    pub(super) fn subjects(&self) -> impl Iterator<Item = (&str, u32)> {
        let text = |place: &Range<usize>| {
            std::str::from_utf8(&self.bytes[place.clone()]).expect("it was copied from a subject")
        };
        self.subjects.iter().map(move |(place, entries)| (text(place), *entries))
    }

    /// Adds a frame of another kind, whole.
    pub(crate) fn push_frame(&mut self, kind: Kind, count: u32, body: &[u8]) {
        self.finish();
        let start = self.bytes.len();
        self.bytes.extend_from_slice(body);
        self.count += count;
        self.pieces.push((kind, count, start..self.bytes.len(), frame::body_sum(body)));
    }

    /// Ends the frame that is being filled. Called once more before the pieces are used.
    pub(crate) fn finish(&mut self) {
        if let Some((count, start)) = self.open.take() {
            let range = start..self.bytes.len();
            let sum = frame::body_sum(&self.bytes[range.clone()]);
            self.pieces.push((Kind::Entries, count, range, sum));
        }
    }

    /// How long the bodies are so far.
    pub(crate) fn encoded_bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// How much memory is kept.
    pub(crate) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// How many entries were added.
    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// The frames, in order.
    pub(crate) fn pieces(&self) -> impl Iterator<Item = Piece<'_>> {
        debug_assert!(self.open.is_none(), "a draft is finished before it is used");
        self.pieces.iter().map(|(kind, count, range, body_sum)| Piece {
            kind: *kind,
            count: *count,
            body: &self.bytes[range.clone()],
            body_sum: *body_sum,
        })
    }

    /// How many bytes the frames will take.
    pub(crate) fn frames_bytes(&self) -> u64 {
        self.pieces.iter().map(|(.., range, _)| frame::frame_bytes(range.len() as u64)).sum()
    }
}

impl<'a> Piece<'a> {
    /// The frame of a journal's record.
    pub(crate) fn record(body: &'a [u8]) -> Self {
        Self { kind: Kind::Plain, count: 1, body, body_sum: frame::body_sum(body) }
    }

    /// The frame of one entry that is payload alone: nothing is copied before it is stored.
    pub(crate) fn plain(fields: &Fields<'a>) -> Option<Self> {
        fields.is_plain().then(|| Self::record(fields.payload))
    }
}

/// Where the parts of one decoded entry stand in the buffer that holds its frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    pub(crate) payload: Range<u32>,
    pub(crate) fields: Range<u32>,
}

/// Splits the entry at the start of `bytes`, which stands at `base` of its buffer. Gives where the
/// parts are, and the entry's length; `None` if the lengths do not fit.
pub(crate) fn split(bytes: &[u8], base: u32) -> Option<(Layout, u32)> {
    if bytes.len() < LENGTHS_BYTES {
        return None;
    }
    let payload = frame::u32_at(bytes, 0);
    let fields = frame::u32_at(bytes, 4);
    let whole = u32::try_from(LENGTHS_BYTES).ok()?.checked_add(payload)?.checked_add(fields)?;
    if bytes.len() < usize::try_from(whole).ok()? {
        return None;
    }
    let start = base.checked_add(u32::try_from(LENGTHS_BYTES).ok()?)?;
    let middle = start.checked_add(payload)?;
    Some((Layout { payload: start..middle, fields: middle..middle.checked_add(fields)? }, whole))
}

/// A field of a stored entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field<'a> {
    Subject(&'a str),
    Key(&'a [u8]),
    Header(&'a str, &'a [u8]),
    Letter(&'a [u8]),
    Addressee(u64),
    Unique(&'a [u8]),
}

/// When an entry with these fields is to be handed out. That field stands first, so that whoever
/// hands entries out need not look at the others.
#[inline]
pub(crate) fn due(fields: &[u8]) -> Option<u64> {
    if *fields.first()? != DUE {
        return None;
    }
    let value = fields.get(FIELD_BYTES..)?.first_chunk()?;
    (frame::u32_at(fields, 1) == 8).then(|| u64::from_le_bytes(*value))
}

/// The known fields in `bytes`, in order. Ends early at bytes that make no sense; the frame's sum
/// has been checked by then, so only another writer could have put them there.
pub(crate) fn fields(mut bytes: &[u8]) -> impl Iterator<Item = Field<'_>> {
    std::iter::from_fn(move || {
        while bytes.len() >= FIELD_BYTES {
            let tag = bytes[0];
            let length = usize::try_from(frame::u32_at(bytes, 1)).ok()?;
            let value = bytes.get(FIELD_BYTES..FIELD_BYTES.checked_add(length)?)?;
            bytes = &bytes[FIELD_BYTES + length..];
            match tag {
                SUBJECT => return std::str::from_utf8(value).ok().map(Field::Subject),
                KEY => return Some(Field::Key(value)),
                UNIQUE => return Some(Field::Unique(value)),
                HEADER => {
                    let (name_bytes, rest) = value.split_first_chunk()?;
                    let (name, value) =
                        rest.split_at_checked(u16::from_le_bytes(*name_bytes).into())?;
                    return std::str::from_utf8(name).ok().map(|name| Field::Header(name, value));
                }
                LETTER => return Some(Field::Letter(value)),
                ADDRESSEE => {
                    return value.try_into().ok().map(u64::from_le_bytes).map(Field::Addressee);
                }
                _ => {}
            }
        }
        None
    })
}

/// The subject among the fields in `bytes`.
pub(crate) fn subject(bytes: &[u8]) -> Option<&str> {
    fields(bytes).find_map(|field| match field {
        Field::Subject(subject) => Some(subject),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_read_back_what_they_write() {
        let headers: [(&str, &[u8]); 2] = [("trace", b"abc"), ("", b"")];
        let wanted = Fields {
            payload: b"pay",
            subject: Some("a.b"),
            key: Some(b"k"),
            headers: &headers,
            letter: Some(b"l"),
            addressee: Some(9),
            due: Some(77),
            unique: Some(b"u"),
        };
        let mut draft = Draft::default();
        draft.push(&wanted);
        draft.finish();
        let piece = draft.pieces().next().unwrap();
        assert_eq!(piece.body.len(), wanted.encoded_bytes());
        let (layout, whole) = split(piece.body, 0).unwrap();
        assert_eq!(whole as usize, piece.body.len());
        assert_eq!(&piece.body[layout.payload.start as usize..layout.payload.end as usize], b"pay");
        let stored = &piece.body[layout.fields.start as usize..layout.fields.end as usize];
        let expected = [
            Field::Subject("a.b"),
            Field::Key(b"k"),
            Field::Unique(b"u"),
            Field::Header("trace", b"abc"),
            Field::Header("", b""),
            Field::Letter(b"l"),
            Field::Addressee(9),
        ];
        assert_eq!(fields(stored).collect::<Vec<_>>(), expected);
        assert_eq!(due(stored), Some(77));
    }

    #[test]
    fn a_batch_is_cut_into_frames_of_shared_size() {
        let mut draft = Draft::default();
        for _ in 0..100 {
            draft.push(&Fields { payload: &[7; 128], ..Fields::default() });
        }
        draft.finish();
        let counts: Vec<u32> = draft.pieces().map(|piece| piece.count).collect();
        assert_eq!(counts, [31, 31, 31, 7]);
        assert_eq!(draft.count(), 100);
    }

    #[test]
    fn unknown_fields_are_skipped_and_nonsense_ends_the_list() {
        let mut bytes = Vec::new();
        field(9, 2, &mut bytes);
        bytes.extend_from_slice(b"xx");
        field(KEY, 1, &mut bytes);
        bytes.push(b'k');
        bytes.extend_from_slice(&[SUBJECT, 255, 255, 255, 255]);
        assert_eq!(fields(&bytes).collect::<Vec<_>>(), [Field::Key(b"k")]);
        for end in 0..bytes.len() {
            fields(&bytes[..end]).for_each(drop);
            assert_eq!(due(&bytes[..end]), None);
            split(&bytes[..end], 0);
        }
    }
    #[test]
    fn only_a_due_time_of_the_right_length_that_stands_first_counts() {
        let mut bytes = Vec::new();
        field(DUE, 8, &mut bytes);
        bytes.extend_from_slice(&9_u64.to_le_bytes());
        assert_eq!(due(&bytes), Some(9));
        for end in 0..bytes.len() {
            assert_eq!(due(&bytes[..end]), None, "{end} bytes");
        }
        let mut behind = Vec::new();
        field(KEY, 0, &mut behind);
        behind.extend_from_slice(&bytes);
        bytes[1] = 7;
        assert_eq!((due(&behind), due(&bytes)), (None, None));
    }
}
