//! The manifest's and the journal's own encodings, read by what `docs/FORMAT.md` says of them.

use super::page::table;

/// Bytes that are taken from the front.
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(crate) fn byte(&mut self) -> u64 {
        u64::from(self.take(1)[0])
    }

    fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, left) = self.0.split_at(length);
        self.0 = left;
        taken
    }

    /// LEB128.
    pub(crate) fn number(&mut self) -> u64 {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte();
            number |= (byte & 0x7f) << shift;
            if byte < 0x80 {
                return number;
            }
        }
        panic!("a number of more than ten bytes");
    }

    /// As many times as a number says.
    fn each(&mut self, stored_as: &str, numbers: &mut Vec<u64>) {
        let count = self.number();
        numbers.push(count);
        (0..count).for_each(|_| numbers.extend(self.fields(stored_as)));
    }

    fn text(&mut self) -> &'a str {
        let length = usize::try_from(self.number()).unwrap();
        std::str::from_utf8(self.take(length)).unwrap()
    }

    /// A number of bincode's standard encoding.
    pub(crate) fn varint(&mut self) -> u64 {
        let length = match self.byte() {
            small @ 0..=250 => return small,
            251 => 2,
            252 => 4,
            253 => 8,
            other => panic!("{other} starts no number"),
        };
        let mut number = [0; 8];
        number[..length].copy_from_slice(self.take(length));
        u64::from_le_bytes(number)
    }

    pub(crate) fn name(&mut self) -> String {
        let length = usize::try_from(self.varint()).unwrap();
        String::from_utf8(self.take(length).to_vec()).unwrap()
    }

    /// Reads fields as the page says that they are stored.
    fn fields(&mut self, stored_as: &str) -> Vec<u64> {
        let mut numbers = Vec::new();
        for kind in stored_as.split_whitespace() {
            match kind {
                "number" => numbers.push(self.number()),
                "u8" => numbers.push(self.byte()),
                "text" => drop(self.text()),
                "run" => numbers.extend([self.number(), self.number(), self.number()]),
                "last" => numbers.extend([self.number(), self.byte()]),
                "delay" => {
                    let delay = self.number();
                    numbers.push(delay);
                    if delay > 0 {
                        numbers.push(self.number());
                    }
                }
                "list" => self.each("number", &mut numbers),
                "pairs" => self.each("number number", &mut numbers),
                "totals" => numbers.extend((0..10).map(|_| self.number())),
                "took" => {
                    if numbers.last().is_some_and(|what| what & 2 != 0) {
                        numbers.push(self.number());
                    }
                }
                other => panic!("the page does not say what {other:?} is"),
            }
        }
        numbers
    }
}

/// The events of a record: their names and fields.
pub(crate) fn events(record: &[u8]) -> Vec<(String, Vec<u64>)> {
    let rows = table("Events");
    let mut bytes = Bytes(record);
    let mut events = Vec::new();
    while !bytes.0.is_empty() {
        let tag = bytes.byte().to_string();
        let row = rows.iter().find(|row| row[0] == tag);
        let row = row.unwrap_or_else(|| panic!("the page knows no event {tag}"));
        events.push((row[1].clone(), bytes.fields(&row[2])));
    }
    events
}

/// What a snapshot says of a group.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) totals: Vec<u64>,
    pub(crate) members: Vec<String>,
    pub(crate) generation: u64,
    /// Names of former owners.
    pub(crate) former: Vec<String>,
    /// The owner of each partition, and the place of its former owner from 1 on.
    pub(crate) owners: Vec<(u64, u64)>,
    /// The cursor of each partition.
    pub(crate) cursors: Vec<u64>,
    /// The state of each run, and how many entries it has.
    pub(crate) runs: Vec<(u64, u64)>,
    pub(crate) parked: u64,
}

/// Reads a whole snapshot, to its last byte.
pub(crate) fn snapshot(bytes: &[u8]) -> Snapshot {
    let rows = table("Snapshot");
    let part = |name: &str| rows.iter().find(|row| row[0] == name).expect("the page lists it");
    let mut bytes = Bytes(bytes);
    let mut snapshot = Snapshot::default();
    assert_eq!(bytes.fields(&part("head")[1])[0], 1, "the version");
    let numbers = bytes.fields(&part("numbers")[1]);
    assert!(numbers[0] <= numbers[1], "lease numbers grow");
    snapshot.totals = bytes.fields(&part("totals")[1]);
    for _ in 0..bytes.number() {
        bytes.fields("number number number");
        snapshot.members.push(bytes.text().to_owned());
    }
    assert_eq!(part("assignment")[1], "number u8 texts");
    snapshot.generation = bytes.number();
    assert!(bytes.byte() <= 1, "open or not");
    for _ in 0..bytes.number() {
        snapshot.former.push(bytes.text().to_owned());
    }
    assert!(part("run")[1].starts_with("u8 number number number number number [number]"));
    assert!(part("partitions")[1].ends_with("each: number number number number number runs"));
    for _ in 0..bytes.number() {
        let [owner, since, former, cursor] = [(); 4].map(|()| bytes.number());
        assert!(since <= snapshot.generation);
        snapshot.owners.push((owner, former));
        snapshot.cursors.push(cursor);
        for _ in 0..bytes.number() {
            let run = bytes.fields("u8 number number number number number");
            assert!((2..=5).contains(&run[0]));
            if run[0] != 2 {
                bytes.number();
            }
            snapshot.runs.push((run[0], run[2]));
        }
    }
    snapshot.parked = bytes.number();
    for _ in 0..snapshot.parked {
        bytes.fields("number number number number");
    }
    assert!(bytes.0.is_empty(), "{} bytes follow the snapshot", bytes.0.len());
    snapshot
}
