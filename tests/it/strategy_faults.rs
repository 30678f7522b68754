//! Strategies that panic or answer with what cannot be (A1): the group stays as it was and goes on,
//! and whoever asked is told.

mod locks;
mod refused;
mod sweep;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use millstream::assign::{Assign, Assignment, CooperativeSticky, Handover, Range, Shared, View};

/// What a strategy does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Panics,
    TooFew,
    TooMany,
    NoSuchMember,
    HandoverPanics,
}

const FAULTS: [Fault; 5] =
    [Fault::Panics, Fault::TooFew, Fault::TooMany, Fault::NoSuchMember, Fault::HandoverPanics];

/// What it does otherwise.
#[derive(Clone, Copy, Debug)]
enum Way {
    Eager,
    Cooperative,
    Everyone,
}

const WAYS: [Way; 3] = [Way::Eager, Way::Cooperative, Way::Everyone];

/// Does one of them at one of its calls, the first of which is 1; at all others it does well.
#[derive(Clone, Debug)]
struct Faulty {
    fault: Fault,
    way: Way,
    /// How often it was asked.
    calls: Arc<AtomicUsize>,
    fails_at: Arc<AtomicUsize>,
}

impl Faulty {
    fn new(fault: Fault, way: Way, fails_at: usize) -> Self {
        let (calls, fails_at) = (Arc::default(), Arc::new(fails_at.into()));
        Self { fault, way, calls, fails_at }
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    fn fail_next(&self) {
        self.fails_at.store(self.calls() + 1, Ordering::SeqCst);
    }

    fn fails(&self) -> bool {
        self.calls() == self.fails_at.load(Ordering::SeqCst)
    }

    fn strategy(&self) -> &dyn Assign {
        match self.way {
            Way::Eager => &Range,
            Way::Cooperative => &CooperativeSticky,
            Way::Everyone => &Shared,
        }
    }
}

impl Assign for Faulty {
    fn name(&self) -> &'static str {
        "faulty"
    }

    fn assign(&self, view: &View) -> Assignment {
        let (members, partitions) = (view.members().len(), view.partitions() as usize);
        match self.fault {
            _ if !self.fails() => self.strategy().assign(view),
            Fault::Panics | Fault::HandoverPanics => panic!("no plan"),
            Fault::TooFew => Assignment::Owners(vec![0; partitions - 1]),
            Fault::TooMany => Assignment::Owners(vec![0; partitions + 1]),
            Fault::NoSuchMember => Assignment::Owners(vec![members; partitions]),
        }
    }

    fn handover(&self) -> Handover {
        // It is asked this first.
        self.calls.fetch_add(1, Ordering::SeqCst);
        assert!(!(self.fault == Fault::HandoverPanics && self.fails()), "no way");
        self.strategy().handover()
    }
}
