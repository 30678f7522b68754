//! Order and place: dense offsets in each partition, keys that stay where they are, batches in one
//! piece, and readers that see exactly that in both directions.

use std::collections::BTreeMap;

use millstream::{Entry, EntryId, Error, NewEntry, Reader, Start, Stream};
use proptest::prelude::*;

const PARTITIONS: u32 = 3;

/// One call that appends: the keys and lengths of its entries.
#[derive(Clone, Debug)]
enum Call {
    One(Option<u8>, usize),
    Batch(Option<u8>, Vec<usize>),
    Each(Vec<(Option<u8>, usize)>),
    Reopen,
}

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let key = || proptest::option::of(0_u8..5);
    let bytes = || prop_oneof![4 => 0_usize..40, 1 => 200_usize..900];
    let call = prop_oneof![
        6 => (key(), bytes()).prop_map(|(key, bytes)| Call::One(key, bytes)),
        3 => (key(), prop::collection::vec(0_usize..300, 0..8))
            .prop_map(|(key, bytes)| Call::Batch(key, bytes)),
        2 => prop::collection::vec((key(), bytes()), 0..8).prop_map(Call::Each),
        1 => Just(Call::Reopen),
    ];
    prop::collection::vec(call, 1..60)
}

/// What each partition should hold: payloads, each with its number in front.
#[derive(Default)]
struct Model {
    partitions: BTreeMap<u32, Vec<Vec<u8>>>,
    homes: BTreeMap<u8, u32>,
    count: u32,
}

impl Model {
    fn payload(&mut self, bytes: usize) -> Vec<u8> {
        self.count += 1;
        let mut payload = self.count.to_le_bytes().to_vec();
        payload.resize(4 + bytes, u8::try_from(self.count % 251).unwrap());
        payload
    }

    fn note(&mut self, id: EntryId, key: Option<u8>, payload: Vec<u8>) {
        let partition = self.partitions.entry(id.partition()).or_default();
        assert_eq!(id.offset(), partition.len() as u64, "offsets are dense");
        partition.push(payload);
        if let Some(key) = key {
            let home = *self.homes.entry(key).or_insert(id.partition());
            assert_eq!(home, id.partition(), "a key stays in its partition");
        }
    }

    fn ids(&self) -> Vec<EntryId> {
        let ids = self.partitions.iter().flat_map(|(partition, payloads)| {
            (0..payloads.len() as u64).map(|offset| EntryId::new(*partition, offset))
        });
        ids.collect()
    }

    fn end(&self, partition: u32) -> u64 {
        self.partitions.get(&partition).map_or(0, |payloads| payloads.len() as u64)
    }

    fn holds(&self, entry: &Entry) -> bool {
        let offset = usize::try_from(entry.id().offset()).unwrap();
        self.partitions[&entry.id().partition()][offset] == entry.payload()
    }
}

fn make(stream: &Stream, model: &mut Model, call: &Call) {
    let names: Vec<[u8; 1]> = (0..5).map(|key| [key]).collect();
    let entry = |payload, key: Option<u8>| match key {
        Some(key) => NewEntry::new(payload).key(&names[usize::from(key)]),
        None => NewEntry::new(payload),
    };
    match call {
        Call::One(key, bytes) => {
            let payload = model.payload(*bytes);
            let id = stream.append(entry(&payload, *key)).unwrap();
            model.note(id, *key, payload);
        }
        Call::Batch(key, bytes) => {
            let payloads: Vec<_> = bytes.iter().map(|bytes| model.payload(*bytes)).collect();
            // The key of one entry is enough: the others follow it.
            let key_of = |place: usize| key.filter(|_| place == bytes.len() / 2);
            let entries = payloads.iter().enumerate().map(|(n, bytes)| entry(bytes, key_of(n)));
            let ids = stream.append_batch(entries).unwrap();
            assert_eq!(ids.len(), payloads.len());
            let (first, last) = (ids.first(), ids.clone().last());
            let ids: Vec<EntryId> = ids.collect();
            assert_eq!((first, last), (ids.first().copied(), ids.last().copied()));
            for (place, (id, payload)) in ids.into_iter().zip(payloads).enumerate() {
                model.note(id, key_of(place), payload);
            }
        }
        Call::Each(entries) => {
            let payloads: Vec<_> = entries.iter().map(|(_, bytes)| model.payload(*bytes)).collect();
            let given = payloads.iter().zip(entries).map(|(bytes, (key, _))| entry(bytes, *key));
            let ids = stream.append_each(given).unwrap();
            assert_eq!(ids.len(), payloads.len());
            for ((id, payload), (key, _)) in ids.into_iter().zip(payloads).zip(entries) {
                model.note(id, *key, payload);
            }
        }
        Call::Reopen => {}
    }
}

/// All that a reader gives until it gives nothing.
fn drain(reader: &Reader, max: u32) -> Vec<Entry> {
    let mut all = Vec::new();
    loop {
        let entries = reader.try_read(max).unwrap();
        if entries.is_empty() {
            return all;
        }
        assert!(entries.len() <= max as usize);
        all.extend(entries);
    }
}

/// The offsets of each partition, in the order they came.
fn by_partition(model: &Model, entries: &[Entry]) -> BTreeMap<u32, Vec<u64>> {
    let mut found: BTreeMap<u32, Vec<u64>> = BTreeMap::new();
    for entry in entries {
        assert!(model.holds(entry), "{} is not what was appended", entry.id());
        found.entry(entry.id().partition()).or_default().push(entry.id().offset());
    }
    found
}

fn expected(
    range: impl Fn(u32) -> std::ops::Range<u64>,
    backward: bool,
) -> BTreeMap<u32, Vec<u64>> {
    let each = (0..PARTITIONS).map(|partition| {
        let mut offsets: Vec<u64> = range(partition).collect();
        if backward {
            offsets.reverse();
        }
        (partition, offsets)
    });
    each.filter(|(_, offsets)| !offsets.is_empty()).collect()
}

fn judge(stream: &Stream, model: &Model, draw: u64, max: u32) {
    let ids = model.ids();
    for id in &ids {
        let entry = stream.get(*id).unwrap().unwrap();
        assert!(entry.id() == *id && model.holds(&entry));
    }
    for partition in 0..PARTITIONS {
        let end = EntryId::new(partition, model.end(partition));
        assert!(stream.get(end).unwrap().is_none());
    }
    let place = usize::try_from(draw).unwrap_or(0) % ids.len().max(1);
    let at = ids.get(place).copied().unwrap_or(EntryId::new(0, 0));
    let from = |start| stream.reader(start).unwrap();
    let all = |partition| 0..model.end(partition);
    let after = |p: u32| if p == at.partition() { at.offset()..model.end(p) } else { all(p) };
    let before = |p: u32| if p == at.partition() { 0..at.offset() } else { all(p) };
    let forward = [
        (from(Start::Earliest), expected(all, false)),
        (from(Start::Earliest).until_now(), expected(all, false)),
        (from(Start::At(at)), expected(after, false)),
        (from(Start::Earliest).until(at).unwrap(), expected(before, false)),
        (from(Start::Latest), BTreeMap::new()),
        (from(Start::Earliest).backward(), expected(all, true)),
        (from(Start::At(at)).backward(), expected(after, true)),
        (from(Start::Earliest).until(at).unwrap().backward(), expected(before, true)),
        (from(Start::Latest).backward(), BTreeMap::new()),
    ];
    for (number, (reader, wanted)) in forward.into_iter().enumerate() {
        let found = by_partition(model, &drain(&reader, max));
        assert_eq!(found, wanted, "reader {number}, from or to {at}, by {max}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn readers_see_what_was_appended_in_both_directions(
        calls in calls(),
        draw in any::<u64>(),
        max in prop_oneof![Just(1_u32), 2_u32..9, Just(1_000_u32)],
    ) {
        let dir = tempfile::tempdir().unwrap();
        let open = || {
            let options = Stream::options().partitions(PARTITIONS).segment_bytes(4096);
            options.open(dir.path()).unwrap()
        };
        let (mut stream, mut model) = (open(), Model::default());
        for call in &calls {
            if matches!(call, Call::Reopen) {
                stream.close().unwrap();
                stream = open();
            }
            make(&stream, &mut model, call);
        }
        judge(&stream, &model, draw, max);
        stream.close().unwrap();
        judge(&open(), &model, draw, max);
    }
}

#[test]
fn a_batch_whose_keys_part_is_refused_whole() {
    let stream = Stream::options().partitions(8).in_memory().unwrap();
    let keys: Vec<String> = (0..20).map(|n| format!("key {n}")).collect();
    let entries = || keys.iter().map(|key| NewEntry::new(key).key(key));
    let refused = stream.append_batch(entries()).unwrap_err();
    let Error::BatchSpansPartitions { first, other } = refused else { panic!("{refused}") };
    assert_ne!(first, other);
    assert_eq!(stream.info().unwrap().entries(), 0);
    let ids = stream.append_each(entries()).unwrap();
    assert_eq!(ids[0].partition(), first);
    assert_eq!(stream.info().unwrap().entries(), 20);
}

#[test]
fn an_empty_batch_does_nothing() {
    let stream = Stream::options().in_memory().unwrap();
    let none: [&str; 0] = [];
    let ids = stream.append_batch(none).unwrap();
    assert_eq!((ids.len(), ids.first(), ids.clone().last()), (0, None, None));
    assert_eq!(stream.append_each(none).unwrap(), []);
    assert_eq!(stream.info().unwrap().entries(), 0);
}

#[test]
fn an_entry_keeps_all_it_was_given() {
    let dir = tempfile::tempdir().unwrap();
    let stream = Stream::open(dir.path()).unwrap();
    let (key, value) = ([0_u8, 255], vec![7_u8; 3000]);
    let full = NewEntry::new(b"\0payload\xff").subject("order.created").key(&key);
    let full = full.header("trace", "a1").header("trace", "").header("größe", &value);
    let ids = [
        stream.append(&full).unwrap(),
        stream.append("").unwrap(),
        stream.append_batch([&full]).unwrap().first().unwrap(),
    ];
    stream.close().unwrap();
    let stream = Stream::open(dir.path()).unwrap();
    for id in [ids[0], ids[2]] {
        let entry = stream.get(id).unwrap().unwrap();
        assert_eq!(entry.payload(), b"\0payload\xff");
        assert_eq!((entry.key(), entry.subject()), (Some(&key[..]), Some("order.created")));
        let headers: Vec<_> = entry.headers().collect();
        let wanted = [("trace", &b"a1"[..]), ("trace", b""), ("größe", &value)];
        assert_eq!(headers, wanted);
        assert_eq!((entry.header("trace"), entry.header("none")), (Some(&b"a1"[..]), None));
    }
    let plain = stream.get(ids[1]).unwrap().unwrap();
    assert_eq!((plain.payload(), plain.key(), plain.subject()), (&b""[..], None, None));
    assert_eq!(plain.headers().count(), 0);
}
