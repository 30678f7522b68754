//! What a group tells, and its members (A6): each kind, in which order, why, and how long it took.

mod entries;
mod listening;
mod members;

use millstream::{Cause, Event, Events, Fate};

/// An event, shortly.
fn line(event: &Event) -> String {
    match event {
        Event::Joined { consumer, .. } => format!("{consumer} joined"),
        Event::Left { consumer, why, .. } => format!("{consumer}: {why}"),
        Event::RebalanceBegan { cause, .. } => format!("began, {}", reason(cause)),
        Event::RebalanceEnded { cause, took, moved, .. } => {
            format!("ended after {} s, {moved} moved, {}", took.as_secs(), reason(cause))
        }
        Event::RebalanceFailed { cause, .. } => format!("failed, {}", reason(cause)),
        Event::Assigned { consumer, partitions, .. } => format!("{consumer} +{partitions:?}"),
        Event::Revoked { consumer, partitions, .. } => format!("{consumer} -{partitions:?}"),
        Event::Lost { consumer, partitions, .. } => format!("{consumer} !{partitions:?}"),
        Event::Trimmed { partition, first, end, lost } => {
            format!("{partition}-{first} to {end} trimmed, {} lost", lost.entries())
        }
        Event::Exhausted { id, attempts, fate, .. } => match fate {
            Fate::Parked => format!("{id} parked after {attempts}"),
            Fate::Discarded => format!("{id} discarded after {attempts}"),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

fn reason(cause: &Cause) -> String {
    match cause {
        Cause::Joined(name) => format!("as {name} joined"),
        Cause::Left(name) => format!("as {name} left"),
        Cause::Removed(name) => format!("as {name} was removed"),
        Cause::Expired(name) => format!("as {name} was silent"),
        Cause::PartitionsAdded => "as there are more partitions".into(),
        Cause::StrategyChanged => "as the strategy is another".into(),
        Cause::Asked => "as it was asked for".into(),
        other => panic!("{other:?}"),
    }
}

/// What came since the last look.
fn lines(events: &Events) -> Vec<String> {
    events.drain().iter().map(line).collect()
}
