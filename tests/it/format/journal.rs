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
    fn each(&mut self, stored_as: &str, fields: &mut Fields) {
        let count = self.number();
        fields.numbers.push(count);
        (0..count).for_each(|_| self.read(stored_as, fields));
    }

    /// The rows of a part of a snapshot: how many, then each.
    fn rows(&mut self, stored_as: &str) -> Vec<Fields> {
        let (_, each) = stored_as.split_once("number, then each: ").expect("it is a list");
        (0..self.number()).map(|_| self.fields(each)).collect()
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

    fn name(&mut self) -> String {
        let length = usize::try_from(self.varint()).unwrap();
        String::from_utf8(self.take(length).to_vec()).unwrap()
    }

    /// A value of the manifest, by its type and by what the page says of its variants.
    pub(crate) fn value(&mut self, kind: &str, meaning: &str) -> String {
        if let Some(inner) = kind.strip_prefix("option of ") {
            return match self.byte() {
                0 => "none".to_owned(),
                1 => self.value(inner, ""),
                other => panic!("{other} is no option"),
            };
        }
        match kind {
            "number" | "list" => self.varint().to_string(),
            "u8" => self.byte().to_string(),
            "text" => self.name(),
            "range" => format!("{}:{}-{}", self.varint(), self.varint(), self.varint()),
            "list of numbers" | "list of text" | "list of ranges" => {
                let inner = kind["list of ".len()..].trim_end_matches('s');
                let items: Vec<_> = (0..self.varint()).map(|_| self.value(inner, "")).collect();
                format!("[{}]", items.join(" "))
            }
            "enum" => {
                let variant = self.varint().to_string();
                let fields = variant_fields(meaning, &variant);
                let values = fields.iter().map(|kind| self.value(kind, ""));
                std::iter::once(variant).chain(values).collect::<Vec<_>>().join(" ")
            }
            other => panic!("the page does not say what {other:?} is"),
        }
    }

    fn fields(&mut self, stored_as: &str) -> Fields {
        let mut fields = Fields::default();
        self.read(stored_as, &mut fields);
        fields
    }

    /// Reads fields as the page says that they are stored.
    fn read(&mut self, stored_as: &str, fields: &mut Fields) {
        let mut byte = 0;
        let mut there = true;
        for word in stored_as.split_whitespace() {
            if let Some(when) = word.strip_prefix('[') {
                let (first, last) =
                    when.trim_end_matches(':').split_once('-').unwrap_or_else(|| {
                        let only = when.trim_end_matches(':');
                        (only, only)
                    });
                there = (first.parse().unwrap()..=last.parse().unwrap()).contains(&byte);
                continue;
            }
            let kind = word.trim_end_matches(']');
            if there {
                match kind {
                    "u8" => {
                        byte = self.byte();
                        fields.numbers.push(byte);
                    }
                    "took" if byte & 2 == 0 => {}
                    _ => self.field(kind, fields),
                }
            }
            there |= word.ends_with(']');
        }
    }

    fn field(&mut self, kind: &str, fields: &mut Fields) {
        let numbers = &mut fields.numbers;
        match kind {
            "number" | "took" => numbers.push(self.number()),
            "text" => fields.texts.push(self.text().to_owned()),
            "texts" => (0..self.number()).for_each(|_| fields.texts.push(self.text().to_owned())),
            "run" => numbers.extend([self.number(), self.number(), self.number()]),
            "last" => numbers.extend([self.number(), self.byte(), self.number()]),
            "delay" => {
                let delay = self.number();
                numbers.push(delay);
                if delay > 0 {
                    numbers.push(self.number());
                }
            }
            "list" => self.each("number", fields),
            "pairs" => self.each("number number", fields),
            "totals" => numbers.extend((0..11).map(|_| self.number())),
            other => panic!("the page does not say what {other:?} is"),
        }
    }
}

/// Fields that were read, apart.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    pub(crate) numbers: Vec<u64>,
    pub(crate) texts: Vec<String>,
}

/// What the fields of an enum's variant are: `0 none, 1 one (number), 2 two (text, number: why)`.
fn variant_fields(meaning: &str, variant: &str) -> Vec<String> {
    let mut depth = 0;
    let variants = meaning.split(|letter| {
        depth += match letter {
            '(' => 1,
            ')' => -1,
            _ => 0,
        };
        depth == 0 && matches!(letter, ',' | ';')
    });
    let wanted = format!("{variant} ");
    let found = variants.map(str::trim).find(|text| text.starts_with(&wanted));
    let found = found.unwrap_or_else(|| panic!("the page knows no {variant} in {meaning:?}"));
    let Some((_, inner)) = found.split_once('(') else { return Vec::new() };
    let kinds =
        inner.trim_end_matches(')').split(',').map(|field| field.split(':').next().unwrap());
    let known = ["number", "text", "list of numbers"];
    kinds.map(str::trim).filter(|kind| known.contains(kind)).map(str::to_owned).collect()
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
        events.push((row[1].clone(), bytes.fields(&row[2]).numbers));
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
    /// The numbers of each parked entry, and the reason.
    pub(crate) parked: Vec<(Vec<u64>, String)>,
    /// How coarse hand-out times are; then lease numbers and times in turn.
    pub(crate) leases: Vec<u64>,
    pub(crate) failed: Vec<Fields>,
    pub(crate) exhausted: Vec<Fields>,
    pub(crate) pause: Vec<u64>,
}

/// Reads a whole snapshot, to its last byte.
pub(crate) fn snapshot(bytes: &[u8]) -> Snapshot {
    let rows = table("Snapshot");
    let part = |name: &str| rows.iter().find(|row| row[0] == name).expect("the page lists it");
    let mut bytes = Bytes(bytes);
    let mut snapshot = Snapshot::default();
    assert_eq!(bytes.fields(&part("head")[1]).numbers[0], 1, "the version");
    let numbers = bytes.fields(&part("numbers")[1]).numbers;
    assert!(numbers[0] <= numbers[1], "lease numbers grow");
    snapshot.totals = bytes.fields(&part("totals")[1]).numbers;
    let members = bytes.rows(&part("members")[1]);
    snapshot.members = members.into_iter().flat_map(|member| member.texts).collect();
    let assignment = bytes.fields(&part("assignment")[1]);
    snapshot.generation = assignment.numbers[0];
    assert!(assignment.numbers[1] <= 1, "open or not");
    snapshot.former = assignment.texts;
    let partition = part("partitions")[1].strip_prefix("number, then each: ").unwrap();
    let partition = partition.strip_suffix(" runs").unwrap();
    for _ in 0..bytes.number() {
        let [owner, since, former, cursor, runs] = bytes.fields(partition).numbers[..] else {
            panic!("a partition is another thing than the page says");
        };
        assert!(since <= snapshot.generation);
        snapshot.owners.push((owner, former));
        snapshot.cursors.push(cursor);
        for _ in 0..runs {
            let run = bytes.fields(&part("run")[1]).numbers;
            assert!((2..=6).contains(&run[0]));
            snapshot.runs.push((run[0], run[2]));
        }
    }
    let parked = bytes.rows(&part("parked")[1]).into_iter();
    snapshot.parked = parked.map(|mut row| (row.numbers, row.texts.remove(0))).collect();
    let (grain, leases) = part("leases")[1].split_once(' ').expect("a number, then a list");
    snapshot.leases = bytes.fields(grain).numbers;
    let leases = bytes.rows(leases).into_iter();
    snapshot.leases.extend(leases.flat_map(|lease| lease.numbers));
    snapshot.failed = bytes.rows(&part("failed")[1]);
    snapshot.exhausted = bytes.rows(&part("exhausted")[1]);
    snapshot.pause = bytes.fields(&part("pause")[1]).numbers;
    assert!(bytes.0.is_empty(), "{} bytes follow the snapshot", bytes.0.len());
    snapshot
}
