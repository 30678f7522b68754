//! Values instead of bytes (S11), and what becomes of bytes that are no value.

use std::cell::RefCell;
use std::collections::BTreeMap;

use millstream::typed::{Codec, NewValue, Reason, Typed, TypedConsumer, TypedStream};
use millstream::{DeadLetter, Entry, Error, Exhausted, NewEntry, Start, Stream, Token};
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize, Serializer};

use crate::scene::{HOUR, SECOND, Scene, id, scene, scene_with};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Order {
    customer: String,
    items: Vec<Item>,
    notes: BTreeMap<String, Option<i64>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Item {
    Book { title: String, cents: u64 },
    Voucher(u32),
    Gift,
}

/// What was an order before it had notes.
#[derive(Serialize)]
struct OldOrder {
    customer: String,
    items: Vec<Item>,
}

fn order(n: u64) -> Order {
    let book = Item::Book { title: format!("volume {n}"), cents: n * 100 };
    let notes = [("hurry".to_owned(), Some(-1)), ("wrap".to_owned(), None)].into();
    Order {
        customer: format!("customer-{n}"),
        items: vec![book, Item::Voucher(7), Item::Gift],
        notes,
    }
}

fn orders() -> TypedStream<Order> {
    Stream::options().in_memory().unwrap().typed()
}

/// All entries of a stream.
fn all(stream: &Stream) -> Vec<Entry> {
    stream.reader(Start::Earliest).unwrap().try_read(1_000).unwrap().into_iter().collect()
}

#[test]
fn a_worker_gets_the_values_that_were_appended() {
    let Scene { stream, group, worker, .. } = scene(0);
    let orders: TypedStream<Order> = stream.typed();
    let (first, second) = (order(1), order(2));
    orders.append(&first).unwrap();
    orders
        .append(NewValue::new(&second).key(&second.customer).subject("order").header("trace", "t1"))
        .unwrap();
    let worker: TypedConsumer<Order> = worker.typed();
    let batch = worker.try_read(10).unwrap();
    let seen: Vec<Order> = batch.iter().map(|held| held.value().unwrap()).collect();
    assert_eq!(seen, [first, second.clone()]);
    let mut deliveries = batch.into_iter();
    deliveries.next().unwrap().nack().unwrap();
    let delivery = deliveries.next().unwrap();
    assert_eq!((delivery.attempt(), delivery.subject()), (1, Some("order")));
    assert_eq!(delivery.key(), Some(second.customer.as_bytes()));
    assert_eq!(delivery.header("trace"), Some(&b"t1"[..]));
    delivery.ack().unwrap();
    assert_eq!(group.lag().unwrap(), 1);
}

#[test]
fn every_plain_verb_has_a_typed_one_or_is_there_as_it_is() {
    let Scene { clock, group, stream, worker } = scene(0);
    let orders: TypedStream<Order> = stream.typed();
    let seen = orders.subscribe().unwrap();
    let matching = orders.subscribe_to(["order.*"]).unwrap();
    let one = order(1);
    let last = orders.append_if_empty(0, &one).unwrap();
    assert_eq!(
        orders.append_if_last(last, NewValue::new(&one).subject("order.new")).unwrap(),
        id(1)
    );
    assert!(!orders.append_unique(&one, "k", HOUR).unwrap().duplicate);
    assert!(orders.append_unique(&one, "k", HOUR).unwrap().duplicate);
    assert_eq!(orders.append_batch([&one, &one]).unwrap().len(), 2);
    assert_eq!(orders.append_each(&[one.clone(), one.clone()]).unwrap(), [id(5), id(6)]);
    let later = NewValue::new(&one);
    orders
        .append_batch([
            later.clone().deliver_after(SECOND),
            later.deliver_at(orders.get(id(0)).unwrap().unwrap().timestamp()),
        ])
        .unwrap();
    assert_eq!((seen.try_read(99).unwrap().len(), matching.try_read(99).unwrap().len()), (9, 1));
    let reader = orders.reader(Start::Earliest).unwrap().filter("order.new").unwrap();
    let found = reader.until_now().backward().read(9).unwrap();
    assert_eq!(
        found.iter().map(|view| view.value().unwrap()).collect::<Vec<_>>(),
        vec![one.clone()]
    );
    let first = orders.reader(Start::Earliest).unwrap().until(id(1)).unwrap();
    assert_eq!(first.read_timeout(9, SECOND).unwrap().len(), 1);

    let worker: TypedConsumer<Order> = worker.typed();
    let tokens: Vec<Token> = worker.read(2).unwrap().into_iter().map(Typed::detach).collect();
    assert_eq!(tokens.len(), 2);
    let history = worker.history(9).unwrap().typed::<Order>();
    assert_eq!(history.iter().next().unwrap().value().unwrap(), one);
    assert_eq!(worker.ack_all().unwrap(), 2);
    let batch = worker.read_leased(3, SECOND, SECOND).unwrap();
    assert!(batch.ack_all().unwrap().is_complete() && batch.blocked().is_none());
    let mut left = worker.read_timeout(9, SECOND).unwrap().into_iter();
    left.next().unwrap().release().unwrap();
    left.next().unwrap().nack_after(HOUR).unwrap();
    left.next().unwrap().reject("enough").unwrap();
    drop(left);
    worker.heartbeat().unwrap();
    worker.leave().unwrap();
    clock.advance(SECOND);
    let other = group.typed::<Order>().join("other").unwrap();
    assert_eq!(other.try_read(9).unwrap().into_iter().next().unwrap().value().unwrap(), one);
    orders.close().unwrap();
}

#[test]
fn an_undecodable_payload_stops_nobody_and_can_be_rejected_with_its_reason() {
    let letters = Stream::options().in_memory().unwrap();
    let target = Exhausted::DeadLetter(letters.clone());
    let Scene { stream, group, worker, .. } = scene_with(0, |options| options.on_exhausted(target));
    let orders: TypedStream<Order> = stream.typed();
    orders.append(&order(1)).unwrap();
    stream.append(NewEntry::new(b"\xffno order").key("k7").subject("order")).unwrap();
    orders.append(&order(2)).unwrap();
    let mut done = Vec::new();
    let mut why = String::new();
    for delivery in worker.typed::<Order>().try_read(10).unwrap() {
        match delivery.value() {
            Ok(order) => {
                done.push(order);
                delivery.ack().unwrap();
            }
            Err(undecodable) => {
                assert_eq!((undecodable.id(), undecodable.bytes()), (id(1), &b"\xffno order"[..]));
                why = undecodable.reason().to_owned();
                delivery.reject(undecodable.reason()).unwrap();
            }
        }
    }
    assert_eq!((done, group.lag().unwrap()), (vec![order(1), order(2)], 0));
    let [letter] = &all(&letters)[..] else { panic!("there is one letter") };
    assert_eq!((letter.payload(), letter.key()), (&b"\xffno order"[..], Some(&b"k7"[..])));
    let told = DeadLetter::of(letter).unwrap();
    assert_eq!((told.origin(), told.reason()), (id(1), Some(&*why)));
    assert!(why.starts_with("it is no it::typed::Order in bincode: "), "{why}");
}

#[test]
fn entries_of_an_older_type_are_undecodable_and_stay() {
    let Scene { stream, worker, .. } = scene(0);
    let Order { customer, items, .. } = order(1);
    stream.typed().append(&OldOrder { customer, items }).unwrap();
    let batch = worker.typed::<Order>().try_read(1).unwrap();
    let delivery = batch.into_iter().next().unwrap();
    let undecodable = delivery.value().unwrap_err();
    assert_eq!(
        undecodable.reason(),
        "it is no it::typed::Order in bincode: the bytes end too early"
    );
    assert!(undecodable.to_string().starts_with("0-0 cannot be decoded: "));
    let plain = delivery.into_plain();
    assert_eq!(undecodable.into_bytes(), plain.payload());
    let old = plain.typed::<(String, Vec<Item>)>();
    assert_eq!(old.value().unwrap().1, order(1).items);
    old.ack().unwrap();
}

#[test]
fn a_stream_of_several_types_is_told_apart_by_subjects() {
    let Scene { stream, worker, .. } = scene(0);
    stream.typed().append(NewValue::new(&order(1)).subject("order")).unwrap();
    stream.typed().append(NewValue::new(&21.5_f64).subject("temperature")).unwrap();
    let mut found = (None, None);
    for delivery in worker.try_read(9).unwrap() {
        match delivery.subject() {
            Some("order") => found.0 = Some(delivery.typed::<Order>().value().unwrap()),
            _ => found.1 = Some(delivery.typed::<f64>().value().unwrap()),
        }
    }
    assert_eq!(found, (Some(order(1)), Some(21.5)));
}

#[test]
fn values_that_are_too_large_give_the_usual_errors() {
    let options = Stream::options().entry_bytes_max(100).segment_bytes(4096);
    let stream: TypedStream<Vec<u8>> = options.in_memory().unwrap().typed();
    let (most, large) = (vec![7; 91], vec![7; 92]);
    stream.append(&most).unwrap();
    let refused = stream.append(&large);
    assert!(matches!(refused, Err(Error::EntryTooLarge { bytes: 101, max: 100 })), "{refused:?}");
    let refused = stream.append_batch([&most; 50]);
    assert!(matches!(refused, Err(Error::BatchTooLarge { .. })), "{refused:?}");
    let endless = stream.append_batch(std::iter::repeat(&most));
    assert!(matches!(endless, Err(Error::BatchTooLarge { .. })), "{endless:?}");
    assert!(stream.append_each([&most, &large, &most]).is_err());
    assert_eq!(stream.info().unwrap().entries(), 2);
}

/// Something that has no encoding if it is 0, and appends itself to a stream while it is encoded.
struct Awkward(u8, Option<TypedStream<u8>>);

impl Serialize for Awkward {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Some(stream) = &self.1 {
            stream.append(&self.0).map_err(serde::ser::Error::custom)?;
        }
        match self.0 {
            0 => Err(serde::ser::Error::custom("it is zero")),
            some => serializer.serialize_u8(some),
        }
    }
}

#[test]
fn what_has_no_encoding_is_an_error_and_appends_nothing_of_its_batch() {
    let stream: TypedStream<Awkward> = Stream::options().in_memory().unwrap().typed();
    let [bad, good] = [0, 3].map(|n| Awkward(n, None));
    let refused = stream.append(&bad).unwrap_err();
    let Error::Unencodable { codec: "bincode", source, .. } = &refused else { panic!("{refused}") };
    assert_eq!(source.to_string(), "it is zero");
    assert!(stream.append_batch([&good, &bad]).is_err());
    assert_eq!(stream.info().unwrap().entries(), 0);
    assert!(stream.append_each([&good, &good, &bad, &good]).is_err());
    assert_eq!(all(&stream).iter().map(Entry::payload).collect::<Vec<_>>(), [[3], [3]]);
}

#[test]
fn a_value_may_append_while_it_is_encoded() {
    let stream = Stream::options().in_memory().unwrap();
    let awkward = Awkward(5, Some(stream.typed()));
    stream.typed().append_batch([&awkward, &awkward]).unwrap();
    assert_eq!(all(&stream).iter().map(Entry::payload).collect::<Vec<_>>(), [[5]; 4]);
}

#[test]
fn many_values_are_appended_each_in_runs_that_end_anywhere() {
    let stream: TypedStream<Vec<u8>> = Stream::options().in_memory().unwrap().typed();
    let values: Vec<Vec<u8>> = (0..300_u32).map(|n| vec![7; (n as usize * 37) % 5_000]).collect();
    let ids = stream.append_each(&values).unwrap();
    assert_eq!(ids.len(), values.len());
    let read: Vec<Vec<u8>> =
        ids.iter().map(|id| stream.get(*id).unwrap().unwrap().value().unwrap()).collect();
    assert!(read == values);
    assert!(stream.append_each::<&Vec<u8>>([]).unwrap().is_empty());
}

/// Counts what it decodes.
#[derive(Clone)]
struct Counting;

thread_local! {
    static DECODED: RefCell<u32> = const { RefCell::new(0) };
}

impl Codec for Counting {
    fn name(&self) -> &'static str {
        "a count"
    }

    fn encode<T: Serialize>(&self, _: &T, bytes: &mut Vec<u8>) -> Result<(), Reason> {
        bytes.push(b'x');
        Ok(())
    }

    fn decode<T: DeserializeOwned>(&self, _: &[u8]) -> Result<T, Reason> {
        DECODED.with_borrow_mut(|decoded| *decoded += 1);
        Err("it only counts".into())
    }
}

#[test]
fn nothing_is_decoded_before_it_is_asked_for() {
    let Scene { stream, worker, .. } = scene(0);
    stream.typed_with(Counting).append_batch(&[1_u8, 2, 3]).unwrap();
    let worker = worker.typed_with::<u8, _>(Counting);
    let batch = worker.try_read(9).unwrap();
    assert_eq!(DECODED.with_borrow(|decoded| *decoded), 0);
    let first = batch.iter().next().unwrap();
    assert_eq!(first.value().unwrap_err().reason(), "it is no u8 in a count: it only counts");
    assert!(first.value().is_err());
    assert!(batch.ack_all().unwrap().is_complete());
    assert_eq!(DECODED.with_borrow(|decoded| *decoded), 2);
}

proptest! {
    #[test]
    fn any_payload_is_a_value_or_undecodable(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let stream = Stream::options().in_memory().unwrap();
        let at = stream.append(&bytes).unwrap();
        match stream.get(at).unwrap().unwrap().typed::<Order>().value() {
            Ok(order) => {
                let again = stream.typed().append(&order).unwrap();
                let entry = stream.typed::<Order>().get(again).unwrap().unwrap();
                prop_assert_eq!(entry.value().unwrap(), order);
            }
            Err(undecodable) => prop_assert_eq!(undecodable.bytes(), &bytes[..]),
        }
    }
}

#[test]
fn a_typed_handle_is_its_plain_one_beside() {
    let orders = orders();
    orders.append(&order(1)).unwrap();
    let entry = orders.get(id(0)).unwrap().unwrap();
    let again: Typed<Entry, Order> = entry.clone();
    assert_eq!((again.id(), again.plain().id()), (entry.id(), id(0)));
    assert_eq!(format!("{:?}", orders.clone().into_plain()), format!("{:?}", orders.plain()));
}

#[cfg(feature = "json")]
mod json {
    use millstream::typed::Json;

    use super::*;

    #[test]
    fn json_is_what_others_can_read_and_takes_older_types() {
        let Scene { stream, worker, .. } = scene(0);
        let orders = stream.typed_with::<Order, _>(Json);
        orders.append(&order(1)).unwrap();
        stream.append(r#"{"customer": "c", "items": ["Gift"], "notes": {}, "more": 1}"#).unwrap();
        stream.append(r#"{"customer": "c"}"#).unwrap();
        stream.append(&"[".repeat(1 << 16)).unwrap();
        let read = worker.typed_with::<Order, _>(Json).try_read(9).unwrap();
        let values: Vec<_> = read.iter().map(|held| held.value()).collect();
        assert_eq!(values[0].as_ref().unwrap(), &order(1));
        assert_eq!(values[1].as_ref().unwrap().items, [Item::Gift]);
        let reasons: Vec<_> =
            values[2..].iter().map(|value| value.as_ref().unwrap_err().reason()).collect();
        assert_eq!(
            reasons[0],
            "it is no it::typed::Order in JSON: missing field `items` at line 1 column 17"
        );
        assert!(reasons[1].starts_with("it is no it::typed::Order in JSON: "));
        let stored: serde_json::Value =
            serde_json::from_slice(orders.get(id(0)).unwrap().unwrap().payload()).unwrap();
        assert_eq!(stored["notes"]["hurry"], serde_json::json!(-1));
    }
}
