//! `docs/FORMAT.md` as data: its tables, and a reader of directories that knows nothing else.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crc32fast::Hasher;

const PAGE: &str = include_str!("../../../docs/FORMAT.md");

/// The rows of the table that follows a heading, without its title.
pub(crate) fn table(heading: &str) -> Vec<Vec<String>> {
    nth_table(heading, 0)
}

/// The rows of the `nth` table that follows a heading.
pub(crate) fn nth_table(heading: &str, nth: usize) -> Vec<Vec<String>> {
    let mut lines = PAGE.lines().skip_while(|line| {
        line.trim_start_matches('#').trim() != heading || !line.starts_with('#')
    });
    assert!(lines.next().is_some(), "the page has no {heading:?}");
    let mut tables = Vec::new();
    let mut last_was_row = false;
    for line in lines.take_while(|line| !line.starts_with('#')) {
        let is_row = line.starts_with('|');
        if is_row && !last_was_row {
            tables.push(Vec::new());
        }
        if let (true, Some(table)) = (is_row, tables.last_mut()) {
            let cells = line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned());
            table.push(cells.collect::<Vec<_>>());
        }
        last_was_row = is_row;
    }
    tables.swap_remove(nth).split_off(2)
}

/// Where the fields of a structure stand.
#[derive(Debug)]
pub(crate) struct Layout {
    fields: BTreeMap<String, (usize, usize)>,
    pub(crate) bytes: usize,
}

impl Layout {
    /// The layout under a heading. Fields follow each other without a gap.
    pub(crate) fn of(heading: &str) -> Self {
        Self::nth(heading, 0)
    }

    pub(crate) fn nth(heading: &str, nth: usize) -> Self {
        let (mut fields, mut bytes) = (BTreeMap::new(), 0);
        for row in nth_table(heading, nth) {
            let (at, length): (usize, usize) = (row[0].parse().unwrap(), row[1].parse().unwrap());
            assert_eq!(at, bytes, "{heading}: {} leaves a gap or overlaps", row[2]);
            bytes = at + length;
            fields.insert(row[2].clone(), (at, length));
        }
        Self { fields, bytes }
    }

    pub(crate) fn slice<'a>(&self, bytes: &'a [u8], field: &str) -> &'a [u8] {
        let (at, length) = self.fields[field];
        &bytes[at..at + length]
    }

    pub(crate) fn number(&self, bytes: &[u8], field: &str) -> u64 {
        let mut number = [0; 8];
        let slice = self.slice(bytes, field);
        number[..slice.len()].copy_from_slice(slice);
        u64::from_le_bytes(number)
    }

    /// What stands where a field of no length starts: the rest.
    pub(crate) fn rest<'a>(&self, bytes: &'a [u8], field: &str) -> &'a [u8] {
        assert_eq!(self.fields[field], (self.bytes, 0));
        &bytes[self.bytes..]
    }
}

/// The number that a table gives a name: `(code, name)` are its first two columns.
pub(crate) fn code(heading: &str, nth: usize, name: &str) -> u64 {
    let rows = nth_table(heading, nth);
    let row = rows.iter().find(|row| row[1] == name);
    row.unwrap_or_else(|| panic!("{heading} has no {name:?}"))[0].parse().unwrap()
}

/// One whole frame.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u64,
    pub(crate) offset: u64,
    pub(crate) time: u64,
    pub(crate) count: u64,
    pub(crate) more: bool,
    pub(crate) body: Vec<u8>,
}

/// One segment's file, read by the page.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) kind: u64,
    pub(crate) stream: u64,
    pub(crate) number: u64,
    pub(crate) sequence: u64,
    pub(crate) salt: u64,
    pub(crate) floor: (u64, u64),
    pub(crate) frames: Vec<Frame>,
    /// Where the frames end.
    pub(crate) end: usize,
    pub(crate) bytes: Vec<u8>,
}

pub(crate) fn salted(salt: u64, bytes: &[u8]) -> u64 {
    let start = u32::try_from(salt & 0xffff_ffff).unwrap() ^ u32::try_from(salt >> 32).unwrap();
    let mut hasher = Hasher::new_with_initial(start);
    hasher.update(bytes);
    hasher.finalize().into()
}

impl Segment {
    pub(crate) fn read(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap();
        let header = Layout::of("Segment header");
        assert_eq!(header.slice(&bytes, "magic"), b"MILLSEG\0");
        assert_eq!(header.number(&bytes, "version"), 1);
        let sum = u64::from(crc32fast::hash(&bytes[..64]));
        assert_eq!(header.number(&bytes, "sum"), sum, "{}", path.display());
        assert!(header.slice(&bytes, "zeros").iter().all(|byte| *byte == 0));
        let salt = header.number(&bytes, "salt");
        let slot = Layout::of("Floor slot");
        let slots = ["slot_a", "slot_b"].map(|name| {
            let slice = header.slice(&bytes, name);
            assert_eq!(slice.len(), slot.bytes);
            let valid = slot.number(slice, "sum") == salted(salt, &slice[..12]);
            valid.then(|| (slot.number(slice, "offset"), slot.number(slice, "position")))
        });
        let mut segment = Self {
            kind: header.number(&bytes, "kind"),
            stream: header.number(&bytes, "stream"),
            number: header.number(&bytes, "number"),
            sequence: header.number(&bytes, "sequence"),
            salt,
            floor: slots.into_iter().flatten().max().expect("a slot is valid"),
            frames: Vec::new(),
            end: header.bytes,
            bytes,
        };
        segment.walk();
        segment
    }

    fn walk(&mut self) {
        let layout = Layout::of("Frame");
        while let Some(header) = self.bytes.get(self.end..self.end + layout.bytes) {
            let length = usize::try_from(layout.number(header, "body_bytes")).unwrap();
            let at = self.end + layout.bytes;
            let Some(body) = self.bytes.get(at..at + length) else { return };
            let body_sum = crc32fast::hash(body).to_le_bytes();
            let summed = [&header[4..], &body_sum[..]].concat();
            let flags = layout.number(header, "flags");
            if layout.number(header, "sum") != salted(self.salt, &summed) {
                return;
            }
            assert!(flags <= 1 && layout.number(header, "zeros") == 0);
            self.frames.push(Frame {
                kind: layout.number(header, "kind"),
                offset: layout.number(header, "offset"),
                time: layout.number(header, "time"),
                count: layout.number(header, "count"),
                more: flags == 1,
                body: body.to_vec(),
            });
            self.end = (at + length).next_multiple_of(8);
            assert!(self.bytes[at + length..self.end].iter().all(|byte| *byte == 0));
        }
    }

    /// Checks the footer behind the frames; gives where the file ends because of it.
    pub(crate) fn check_footer(&self) -> Option<usize> {
        let footer = Layout::of("Footer");
        let mark = Layout::nth("Footer", 1);
        let bytes = &self.bytes[self.end..];
        if bytes.len() < footer.bytes || footer.slice(bytes, "magic") != b"MARK" {
            return None;
        }
        let marks = usize::try_from(footer.number(bytes, "marks")).unwrap();
        let subjects = usize::try_from(footer.number(bytes, "subject_bytes")).unwrap();
        let length = footer.bytes + marks * mark.bytes + subjects;
        assert_eq!(footer.number(bytes, "sum"), salted(self.salt, &bytes[8..length]));
        let last = self.frames.last().expect("a segment with a footer has an opening");
        assert_eq!(footer.number(bytes, "end"), last.offset + last.count);
        for bytes in footer.rest(bytes, "list")[..marks * mark.bytes].chunks(mark.bytes) {
            let position = usize::try_from(mark.number(bytes, "position")).unwrap();
            let offset = self.frames[0].offset + mark.number(bytes, "offset");
            let frame = Layout::of("Frame").number(&self.bytes[position..], "offset");
            assert_eq!(frame, offset);
        }
        if self.kind == 1 {
            let counted = footer.number(bytes, "subjects");
            self.check_subjects(counted, &bytes[length - subjects..length]);
        }
        Some(self.end + length)
    }

    /// Checks how many entries the footer says there are of each subject.
    fn check_subjects(&self, counted: u64, mut bytes: &[u8]) {
        let layout = Layout::nth("Footer", 2);
        let mut expected = BTreeMap::new();
        for entry in self.frames[1..].iter().flat_map(entries) {
            if let Some(subject) = entry.subject {
                *expected.entry(subject).or_insert(0) += 1;
            }
        }
        assert_eq!(counted, expected.len() as u64, "few enough to be counted");
        let mut found = BTreeMap::new();
        while !bytes.is_empty() {
            let length = usize::try_from(layout.number(bytes, "length")).unwrap();
            let (subject, rest) = layout.rest(bytes, "subject").split_at(length);
            found.insert(subject.to_vec(), layout.number(bytes, "entries"));
            bytes = rest;
        }
        assert_eq!(found, expected);
    }
}

/// What a dead letter tells.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Letter {
    /// Partition and offset.
    pub(crate) origin: (u64, u64),
    pub(crate) attempts: u64,
    /// Of the first and the last hand-out.
    pub(crate) times: [u64; 2],
    /// Group, consumer, reason.
    pub(crate) texts: [String; 3],
}

impl Letter {
    fn read(bytes: &[u8]) -> Self {
        let layout = Layout::of("Dead letter");
        let mut left = layout.rest(bytes, "texts");
        let texts = [(); 3].map(|()| {
            let (length, rest) = left.split_first_chunk().unwrap();
            let (text, rest) = rest.split_at(u16::from_le_bytes(*length).into());
            left = rest;
            String::from_utf8(text.to_vec()).unwrap()
        });
        assert!(left.is_empty());
        let number = |field| layout.number(bytes, field);
        Self {
            origin: (number("partition"), number("offset")),
            attempts: number("attempts"),
            times: [number("first"), number("last")],
            texts,
        }
    }
}

/// One entry as the page describes it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) offset: u64,
    pub(crate) time: u64,
    pub(crate) payload: Vec<u8>,
    pub(crate) subject: Option<Vec<u8>>,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// From when on groups hand it out.
    pub(crate) due: Option<u64>,
    pub(crate) unique_key: Option<Vec<u8>>,
    pub(crate) letter: Option<Letter>,
    pub(crate) addressee: Option<u64>,
}

/// The entries of a frame.
pub(crate) fn entries(frame: &Frame) -> Vec<Stored> {
    if frame.kind == code("Frame", 1, "plain") {
        return vec![Stored {
            offset: frame.offset,
            time: frame.time,
            payload: frame.body.clone(),
            ..Stored::default()
        }];
    }
    let layout = Layout::of("Entry");
    let tag = |name| code("Entry", 1, name);
    let [subject, key, header] = ["subject", "key", "header"].map(tag);
    let [due, unique_key] = ["due", "unique key"].map(tag);
    let [letter, addressee] = ["dead letter", "addressee"].map(tag);
    let number = |value: &[u8]| u64::from_le_bytes(value.try_into().unwrap());
    let mut found = Vec::new();
    let mut left = &frame.body[..];
    while !left.is_empty() {
        let length = |field| usize::try_from(layout.number(left, field)).unwrap();
        let (payload_bytes, fields_bytes) = (length("payload_bytes"), length("fields_bytes"));
        let (payload, rest) = layout.rest(left, "payload").split_at(payload_bytes);
        let (mut fields, rest) = rest.split_at(fields_bytes);
        let (offset, time) = (frame.offset + found.len() as u64, frame.time);
        let mut entry = Stored { offset, time, payload: payload.to_vec(), ..Stored::default() };
        while let Some((tag, rest)) = fields.split_first() {
            let length = u32::from_le_bytes(rest[..4].try_into().unwrap()) as usize;
            let value = rest[4..4 + length].to_vec();
            fields = &rest[4 + length..];
            match u64::from(*tag) {
                tag if tag == subject => entry.subject = Some(value),
                tag if tag == key => entry.key = Some(value),
                tag if tag == header => {
                    let name = usize::from(u16::from_le_bytes(value[..2].try_into().unwrap()));
                    let (name, value) = value[2..].split_at(name);
                    entry.headers.push((name.to_vec(), value.to_vec()));
                }
                tag if tag == due => entry.due = Some(number(&value)),
                tag if tag == unique_key => entry.unique_key = Some(value),
                tag if tag == letter => entry.letter = Some(Letter::read(&value)),
                tag if tag == addressee => {
                    entry.addressee = Some(number(&value));
                }
                tag => panic!("the page knows no field {tag}"),
            }
        }
        found.push(entry);
        left = rest;
    }
    assert_eq!(found.len() as u64, frame.count);
    found
}
