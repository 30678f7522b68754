//! What goes in comes out, and no bytes do harm.

use std::cell::Cell;
use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::Deserialize;
use serde::de::{SeqAccess, Visitor};

use super::guard::{LEVELS_MAX, SPARE_ELEMENTS};
use super::*;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Point,
    Sized(u64, i128),
    Named { name: String, tags: BTreeMap<String, Option<char>> },
    Nested(Box<Shape>),
    Many(Vec<Shape>),
}

fn bytes_of<T: Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(value, &mut bytes).unwrap();
    bytes
}

fn words<T: DeserializeOwned>(bytes: &[u8]) -> String {
    decode::<T>(bytes).err().expect("it is no value").to_string()
}

fn shape() -> impl Strategy<Value = Shape> {
    let tags = prop::collection::btree_map(".{0,5}", any::<Option<char>>(), 0..4);
    let leaf = prop_oneof![
        Just(Shape::Point),
        (any::<u64>(), any::<i128>()).prop_map(|(size, weight)| Shape::Sized(size, weight)),
        (".{0,9}", tags).prop_map(|(name, tags)| Shape::Named { name, tags }),
    ];
    leaf.prop_recursive(5, 40, 5, |inner| {
        prop_oneof![
            inner.clone().prop_map(|shape| Shape::Nested(Box::new(shape))),
            prop::collection::vec(inner, 0..5).prop_map(Shape::Many),
        ]
    })
}

proptest! {
    #[test]
    fn values_read_back(value in shape()) {
        prop_assert_eq!(decode::<Shape>(&bytes_of(&value)).unwrap(), value);
    }

    #[test]
    fn any_bytes_are_a_value_or_a_fault(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(value) = decode::<Shape>(&bytes) {
            prop_assert_eq!(decode::<Shape>(&bytes_of(&value)).unwrap(), value);
        }
        let _ = decode::<(String, Vec<Vec<u16>>, BTreeMap<u8, bool>)>(&bytes);
    }

    #[test]
    fn a_changed_byte_is_a_value_or_a_fault(value in shape(), at: prop::sample::Index, new: u8) {
        let mut bytes = bytes_of(&value);
        let at = at.index(bytes.len());
        bytes[at] = new;
        if let Ok(value) = decode::<Shape>(&bytes) {
            prop_assert_eq!(decode::<Shape>(&bytes_of(&value)).unwrap(), value);
        }
    }
}

#[test]
fn faults_are_in_words() {
    assert_eq!(words::<u64>(&[]), "the bytes end too early");
    assert_eq!(words::<u8>(&[1, 2, 3]), "2 bytes are left over");
    assert_eq!(words::<bool>(&[7]), "a truth value is 7");
    assert_eq!(words::<String>(&[1, 0xff]), "a text is not UTF-8");
    assert!(words::<Shape>(&[9]).contains("expected variant index 0 <= i < 5"));
}

#[test]
fn an_element_takes_a_byte_or_is_one_of_a_few() {
    let most = vec![(); SPARE_ELEMENTS];
    assert_eq!(decode::<Vec<()>>(&bytes_of(&most)).unwrap(), most);
    let claims = "more elements are claimed than there are bytes";
    assert_eq!(words::<Vec<()>>(&bytes_of(&u64::MAX)), claims);
    assert_eq!(words::<BTreeMap<(), bool>>(&bytes_of(&u64::MAX)), claims);
    let many: Vec<Vec<u8>> = vec![vec![0; 99]; 99];
    assert_eq!(decode::<Vec<Vec<u8>>>(&bytes_of(&many)).unwrap(), many);
    let flat = vec![[[7_u8; 1]; 1]; 99_999];
    assert_eq!(decode::<Vec<[[u8; 1]; 1]>>(&bytes_of(&flat)).unwrap(), flat);
}

#[test]
fn levels_have_a_bound_that_the_stack_survives() {
    let nested = |levels: u32| {
        let point = Shape::Point;
        (1..levels).fold(point, |inner, _| Shape::Nested(Box::new(inner)))
    };
    let deepest = nested(LEVELS_MAX);
    assert_eq!(decode::<Shape>(&bytes_of(&deepest)).unwrap(), deepest);
    let deeper = "values lie more than 128 deep in each other";
    assert_eq!(words::<Shape>(&bytes_of(&nested(LEVELS_MAX + 1))), deeper);
    assert_eq!(words::<Shape>(&vec![3; 1 << 20]), deeper);
}

thread_local! {
    static CLAIMED: Cell<usize> = const { Cell::new(0) };
}

/// A tree that notes how much room its nodes are asked to make, and makes none.
#[derive(Debug)]
struct Probe;

impl<'de> Deserialize<'de> for Probe {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Self)
    }
}

impl<'de> Visitor<'de> for Probe {
    type Value = Self;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a tree")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut nodes: A) -> Result<Self, A::Error> {
        CLAIMED.set(CLAIMED.get() + nodes.size_hint().unwrap());
        while nodes.next_element::<Self>()?.is_some() {}
        Ok(self)
    }
}

proptest! {
    #[test]
    fn no_bytes_ask_for_more_room_than_they_justify(
        bytes in prop::collection::vec(prop_oneof![0..9_u8, any::<u8>()], 0..300),
    ) {
        CLAIMED.set(0);
        let _ = decode::<Probe>(&bytes);
        prop_assert!(CLAIMED.get() <= bytes.len() + SPARE_ELEMENTS);
    }
}

#[test]
fn a_chain_of_great_claims_asks_for_no_more_room() {
    let mut bytes = Vec::new();
    for _ in 0..LEVELS_MAX {
        encode(&4000_u64, &mut bytes).unwrap();
    }
    CLAIMED.set(0);
    assert_eq!(words::<Probe>(&bytes), "more elements are claimed than there are bytes");
    assert_eq!(CLAIMED.get(), 4000);
}
