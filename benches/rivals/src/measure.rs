//! The rounds and the tables.

use std::time::Instant;

use tempfile::TempDir;

use crate::payloads::{drain, payloads};
use crate::peers::{PEERS, Peer};
use crate::queue::{BATCH, Level, Outcome, Payload, Queue};

/// How much to measure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// Rounds that do not count.
    warming: usize,
    rounds: usize,
    /// Entries of a round that are added one by one, and in batches; multiples of [`BATCH`].
    single: usize,
    batched: usize,
}

impl Scale {
    pub(crate) const KILL: Self = Self { warming: 3, rounds: 25, single: 5_000, batched: 25_000 };
    pub(crate) const KILL_QUICK: Self = Self { warming: 1, rounds: 5, ..Self::KILL };
    pub(crate) const POWER: Self = Self { warming: 2, rounds: 25, single: 50, batched: 2_000 };
    pub(crate) const POWER_QUICK: Self = Self { warming: 1, rounds: 5, ..Self::POWER };
}

/// What is measured.
#[derive(Clone, Copy, Debug)]
enum Path {
    Push,
    PushBatch,
    TakeAndAck,
}

impl Path {
    /// In the order of a round: the last one takes what the others have added.
    const ALL: [Self; 3] = [Self::Push, Self::PushBatch, Self::TakeAndAck];

    const fn name(self) -> &'static str {
        match self {
            Self::Push => "push one by one",
            Self::PushBatch => "push batches of 100",
            Self::TakeAndAck => "take 100 + ack",
        }
    }
}

/// A peer and its queue, and how many entries a second it had on each path, one for each round.
struct Rival {
    peer: &'static Peer,
    queue: Box<dyn Queue>,
    rates: [Vec<f64>; Path::ALL.len()],
    /// Dropped after the queue.
    _dir: TempDir,
}

/// Measures everybody at one level and prints the table.
pub(crate) fn table(title: &str, level: Level, scale: Scale) -> Outcome {
    let mut rivals = Vec::new();
    for peer in PEERS.iter().filter(|peer| peer.is_measured_at(level)) {
        let dir = tempfile::tempdir()?;
        let queue = (peer.open)(&dir.path().join("queue"), level)?;
        rivals.push(Rival { peer, queue, rates: Default::default(), _dir: dir });
    }
    let mut number = 0;
    for round in 0..scale.warming + scale.rounds {
        if round == scale.warming {
            rivals.iter_mut().for_each(|rival| rival.rates = Default::default());
        }
        // Nobody always follows the same neighbour's traffic.
        let turn = round % rivals.len();
        run(&mut rivals, turn, scale, number)?;
        number += u64::try_from(scale.single + scale.batched)?;
    }
    println!("\n{title}, medians of {} rounds", scale.rounds);
    let ratio = format!("{:>16} {:>18}", "millstream/peer", "middle half");
    println!("{:<24} {:<20} {:>11} {ratio}", "peer", "path", "entries/s");
    print(&rivals);
    Ok(())
}

/// One round: path by path, everybody in turn.
fn run(rivals: &mut [Rival], turn: usize, scale: Scale, number: u64) -> Outcome {
    let entries = payloads(number, scale.single + scale.batched);
    let (single, batched) = entries.split_at(scale.single);
    for path in Path::ALL {
        for place in 0..rivals.len() {
            let index = (place + turn) % rivals.len();
            let Rival { peer, queue, rates, .. } = &mut rivals[index];
            let start = Instant::now();
            let (done, count) = match path {
                Path::Push => (push(&mut **queue, single), single.len()),
                Path::PushBatch => (push_batches(&mut **queue, batched), batched.len()),
                Path::TakeAndAck => (drain(&mut **queue, &entries), entries.len()),
            };
            let seconds = start.elapsed().as_secs_f64();
            done.map_err(|error| format!("{}, {}: {error}", peer.name, path.name()))?;
            rates[path as usize].push(f64::from(u32::try_from(count)?) / seconds);
        }
    }
    Ok(())
}

fn push(queue: &mut dyn Queue, entries: &[Payload]) -> Outcome {
    entries.iter().try_for_each(|payload| queue.push(payload))
}

fn push_batches(queue: &mut dyn Queue, entries: &[Payload]) -> Outcome {
    entries.chunks(BATCH).try_for_each(|batch| queue.push_batch(batch))
}

fn print(rivals: &[Rival]) {
    let Some((first, _)) = rivals.split_first() else { return };
    for path in Path::ALL {
        let name = path.name();
        for Rival { peer, rates, .. } in rivals {
            let own = &rates[path as usize];
            let ratios: Vec<f64> = first.rates[path as usize]
                .iter()
                .zip(own)
                .map(|(first, own)| first / own)
                .collect();
            let rate = quartile(own, 2);
            let ratio = quartile(&ratios, 2);
            let (low, high) = (quartile(&ratios, 1), quartile(&ratios, 3));
            let spread = format!("{low:.2} to {high:.2}");
            println!("{:<24} {name:<20} {rate:>11.0} {ratio:>16.2} {spread:>18}", peer.name);
        }
    }
}

/// The value that has that many quarters of the values below it.
fn quartile(values: &[f64], quarters: usize) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    let place = values.len().saturating_sub(1) * quarters / 4;
    values.get(place).copied().unwrap_or(f64::NAN)
}
