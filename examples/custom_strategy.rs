//! A strategy of one's own: partition 0, say that of the largest customer, is for one member as
//! long as that is there; all else is left to `CooperativeSticky`.
#![expect(clippy::print_stdout, reason = "an example talks")]

use millstream::assign::{Assign, Assignment, CooperativeSticky, Handover, View};
use millstream::{Result, Start, Stream};

#[derive(Debug)]
struct Pinned {
    to: &'static str,
}

impl Assign for Pinned {
    fn name(&self) -> &'static str {
        "pinned"
    }

    fn handover(&self) -> Handover {
        Handover::Cooperative
    }

    /// Members are sorted by name, and an answer speaks of them by their place.
    fn assign(&self, view: &View) -> Assignment {
        let pin = view.members().iter().position(|member| member.name() == self.to);
        match (CooperativeSticky.assign(view), pin) {
            (Assignment::Owners(mut owners), Some(pin)) => {
                // Whoever had it gets another one in return: all stay balanced.
                let other = owners.iter().rposition(|owner| *owner == pin);
                owners.swap(0, other.unwrap_or(0));
                owners[0] = pin;
                Assignment::Owners(owners)
            }
            (as_it_is, _) => as_it_is,
        }
    }
}

fn main() -> Result<()> {
    the_strategy_alone();
    in_a_group()?;
    println!("both hold");
    Ok(())
}

/// It is a pure function: no stream is needed to try it.
fn the_strategy_alone() {
    let pinned = Pinned { to: "big" };
    let without = View::new(4).member("a", [0, 1], []).member("b", [2, 3], []);
    assert_eq!(pinned.assign(&without), Assignment::Owners(vec![0, 0, 1, 1]));
    let joins = View::new(4).member("a", [0, 1], []).member("b", [2, 3], []).member("big", [], []);
    assert_eq!(pinned.assign(&joins), Assignment::Owners(vec![2, 0, 1, 0]));
    let stays = View::new(4).member("a", [1, 3], []).member("b", [2], []).member("big", [0], []);
    assert_eq!(pinned.assign(&stays), Assignment::Owners(vec![2, 0, 1, 0]));
}

fn in_a_group() -> Result<()> {
    let stream = Stream::options().partitions(4).in_memory()?;
    let group = stream.group("billing").strategy(Pinned { to: "big" }).open(Start::Earliest)?;
    let a = group.join("a")?;
    assert_eq!(a.assignment()?, [0, 1, 2, 3]);
    let big = group.join("big")?;
    assert!(big.assignment()?.contains(&0) && !a.assignment()?.contains(&0));
    big.leave()?;
    assert_eq!(a.assignment()?, [0, 1, 2, 3]);
    Ok(())
}
