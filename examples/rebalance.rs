//! Six partitions go from member to member, as these join, leave and fall silent. One line for each
//! phase: who owns which partition, and how many entries each of them delivered. Under
//! `CooperativeSticky` only what has to move moves; the rest never stops.
#![expect(clippy::print_stdout, reason = "an example talks")]

use std::io::IsTerminal;
use std::time::Duration;

use anstyle::{AnsiColor, Style};
use millstream::assign::CooperativeSticky;
use millstream::{
    Consumer, Error, Event, Events, Group, ManualClock, NewEntry, Result, Start, Stream,
};

const PARTITIONS: u32 = 6;
const SESSION: Duration = Duration::from_secs(10);
/// Who is who in the chart.
const COLORS: [(&str, AnsiColor); 3] =
    [("ada", AnsiColor::Green), ("bob", AnsiColor::Yellow), ("cyd", AnsiColor::Cyan)];

fn main() -> Result<()> {
    let clock = ManualClock::new();
    let stream = Stream::options().partitions(PARTITIONS).clock(clock.clone()).in_memory()?;
    let group = stream
        .group("billing")
        .strategy(CooperativeSticky)
        .session_timeout(SESSION)
        .lease(SESSION * 2)
        .open(Start::Earliest)?;
    let chart = Chart::new(&group)?;

    let ada = group.join("ada")?;
    chart.phase("ada joins", &[&ada])?;
    let bob = group.join("bob")?;
    chart.phase("bob joins", &[&ada, &bob])?;
    let cyd = group.join("cyd")?;
    chart.phase("cyd joins", &[&ada, &bob, &cyd])?;
    ada.leave()?;
    chart.phase("ada leaves", &[&bob, &cyd])?;
    let ada = group.join("ada")?;
    chart.phase("ada is back", &[&ada, &bob, &cyd])?;

    // What cyd was handed is lost to nobody: it comes again, to whoever owns its partition then.
    stream.append_each(orders())?;
    let held = cyd.try_read(100)?;
    chart.phase(&format!("cyd is silent, and holds {}", held.len()), &[&ada, &bob])?;
    clock.advance(Duration::from_secs(9));
    ada.heartbeat()?;
    bob.heartbeat()?;
    clock.advance(Duration::from_secs(1));
    chart.phase("cyd's session ends", &[&ada, &bob])?;

    assert!(cyd.try_read(1).is_err_and(|error| matches!(error, Error::NotAMember { .. })));
    assert_eq!(group.lag()?, 0);
    println!("every entry was delivered and acked");
    Ok(())
}

/// The orders of a phase. Their keys choose the partitions.
fn orders() -> impl Iterator<Item = NewEntry<'static>> {
    const KEYS: [&str; 12] =
        ["k1", "k2", "k3", "k4", "k5", "k6", "k7", "k8", "k9", "k10", "k11", "k12"];
    KEYS.iter().cycle().take(60).map(|key| NewEntry::new("order").key(*key))
}

struct Chart {
    group: Group,
    events: Events,
    colored: bool,
}

impl Chart {
    fn new(group: &Group) -> Result<Self> {
        let colored = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        print!("{:<27} ", "phase");
        (0..PARTITIONS).for_each(|partition| print!("p{partition}       "));
        println!("moved");
        Ok(Self { group: group.clone(), events: group.events()?, colored })
    }

    /// Appends some orders, lets the members work them all off, and prints a line.
    fn phase(&self, what: &str, members: &[&Consumer]) -> Result<()> {
        self.group.stream().append_each(orders())?;
        let mut delivered = [0; PARTITIONS as usize];
        for member in members {
            loop {
                let batch = member.try_read(100)?;
                if batch.is_empty() {
                    break;
                }
                batch.iter().for_each(|held| delivered[held.id().partition() as usize] += 1);
                assert!(batch.ack_all()?.is_complete());
            }
        }
        print!("{what:<27} ");
        for (partition, entries) in self.group.info()?.partitions.iter().zip(delivered) {
            let owner = partition.owner.as_deref().unwrap_or("-");
            let style = self.style(owner);
            print!("{style}{owner:>3}{style:#}{entries:>4}  ");
        }
        let moved = self.events.drain().into_iter().map(|event| match event {
            Event::RebalanceEnded { moved, .. } => moved,
            _ => 0,
        });
        println!("{:>5}", moved.sum::<u32>());
        Ok(())
    }

    fn style(&self, owner: &str) -> Style {
        let color = COLORS.iter().find(|(name, _)| self.colored && *name == owner);
        color.map_or(Style::new(), |(_, color)| color.on_default())
    }
}
