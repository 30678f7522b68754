//! No entry of a partition goes to a new owner while the old one holds a live lease in it (D13),
//! and within a partition first hand-outs are in order, whatever members do.

use std::collections::BTreeMap;

use millstream::{Consumer, Delivery, EntryId};

use crate::crew::{Choose, Crew, PARTITIONED, crew};
use crate::scene::fill;

/// A small generator, so that what fails can be had again.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        usize::try_from(self.0 >> 33).unwrap() % end
    }
}

/// What members hold, by name, and what was read for the first time.
struct Watch {
    crew: Crew,
    members: Vec<(Consumer, Vec<Delivery>)>,
    next: BTreeMap<u32, u64>,
    named: usize,
}

impl Watch {
    fn read(&mut self, at: usize, max: u32) {
        let read: Vec<Delivery> = self.members[at].0.try_read(max).unwrap().into_iter().collect();
        for delivery in read {
            let id: EntryId = delivery.id();
            for (place, (other, held)) in self.members.iter().enumerate() {
                let shared = held.iter().find(|held| held.id().partition() == id.partition());
                if let Some(held) = shared.filter(|_| place != at) {
                    panic!("{id} came while {other:?} held {}", held.id());
                }
            }
            if delivery.attempt() == 1 {
                let next = self.next.entry(id.partition()).or_default();
                // A release takes the attempt back, so what was released comes as the first again.
                assert!(id.offset() <= *next, "{id} came before {next}");
                *next = (*next).max(id.offset() + 1);
            }
            self.members[at].1.push(delivery);
        }
    }

    fn step(&mut self, dice: &mut Dice) {
        let at = dice.below(self.members.len());
        match dice.below(12) {
            0 if self.members.len() < 6 => {
                self.named += 1;
                let member = self.crew.join(&format!("n{}", self.named));
                self.members.push((member, Vec::new()));
            }
            1 if self.members.len() > 1 => {
                let (member, held) = self.members.swap_remove(at);
                if dice.below(2) == 0 {
                    member.leave().unwrap();
                } else {
                    self.crew.group.remove_consumer(member.name()).unwrap();
                }
                for held in held {
                    drop(held.ack().unwrap_err());
                }
            }
            2..=5 => {
                let max = u32::try_from(1 + dice.below(5)).unwrap();
                self.read(at, max);
            }
            6 => fill(&self.crew.stream, 7),
            _ => {
                let held = &mut self.members[at].1;
                if held.is_empty() {
                    return;
                }
                let one = held.swap_remove(dice.below(held.len()));
                match dice.below(4) {
                    0 => one.release().unwrap(),
                    1 => drop(one),
                    _ => one.ack().unwrap(),
                }
            }
        }
    }
}

fn play(choose: Choose, seed: u64) {
    let mut dice = Dice(seed);
    let crew = crew(5, 3, |group| choose(group).max_deliveries(8_000));
    let members = vec![(crew.join("first"), Vec::new())];
    let mut watch = Watch { crew, members, next: BTreeMap::new(), named: 0 };
    for _ in 0..300 {
        watch.step(&mut dice);
    }
    // All comes to its end.
    for _ in 0..200 {
        watch.crew.clock.advance(crate::scene::SECOND);
        for at in 0..watch.members.len() {
            watch.read(at, 1_000);
            let held: Vec<Delivery> = watch.members[at].1.drain(..).collect();
            for held in held {
                held.ack().unwrap();
            }
        }
        if watch.crew.group.lag().unwrap() == 0 {
            return;
        }
    }
    panic!("{} entries are left", watch.crew.group.lag().unwrap());
}

#[test]
fn a_new_owner_gets_nothing_while_the_old_one_holds_anything() {
    for (name, choose) in PARTITIONED {
        for seed in 0..40 {
            eprintln!("{name}, seed {seed}");
            play(choose, seed);
        }
    }
}
