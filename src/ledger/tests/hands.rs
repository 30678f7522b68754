//! The naive model of an assignment: for each partition, whose it is, and what a strategy wants.
//! Members are known by their join numbers. Nothing is indexed, and every step looks at everything.

use super::super::Roster;

/// Whose a partition is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Nobody,
    Of(u64),
    /// It was taken from that member, or from everybody.
    Leaving(Option<u64>),
}

/// A target on the way: a member for each partition, and whether all has to be free at once.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    pub(super) owners: Vec<Option<u64>>,
    pub(super) eager: bool,
}

/// Who has what.
#[derive(Debug, Default)]
pub(super) struct Hands {
    pub(super) open: bool,
    pub(super) places: Vec<Place>,
    /// When who holds leases in a leaving partition is evicted.
    pub(super) until: Vec<u64>,
    /// In which generation each partition was given.
    pub(super) since: Vec<u64>,
    /// The name of who had each partition when it went.
    pub(super) before: Vec<Option<&'static str>>,
    pub(super) wish: Option<Wish>,
}

impl Hands {
    pub(super) fn grow(&mut self, partitions: usize) {
        self.places.resize(partitions, Place::Nobody);
        self.until.resize(partitions, 0);
        self.since.resize(partitions, 0);
        self.before.resize(partitions, None);
    }

    pub(super) fn place(&self, partition: u32) -> Place {
        self.places[partition as usize]
    }

    pub(super) fn may_read(&self, join: u64, partition: u32) -> bool {
        self.open || self.place(partition) == Place::Of(join)
    }

    /// Everybody reads everything; `name` tells who a member is.
    pub(super) fn open_all(&mut self, name: impl Fn(u64) -> Option<&'static str>) {
        self.free_all(name);
        self.open = true;
    }

    /// Nobody has anything any more.
    pub(super) fn close_all(&mut self, name: impl Fn(u64) -> Option<&'static str>) {
        self.free_all(name);
        self.open = false;
        self.since.fill(0);
    }

    fn free_all(&mut self, name: impl Fn(u64) -> Option<&'static str>) {
        for (place, before) in self.places.iter_mut().zip(&mut self.before) {
            if let Place::Of(join) | Place::Leaving(Some(join)) = *place
                && let Some(name) = name(join)
            {
                *before = Some(name);
            }
            *place = Place::Nobody;
        }
        self.wish = None;
    }

    /// A strategy wants something else.
    pub(super) fn want(&mut self, wish: Wish, until: u64) {
        for (p, place) in self.places.iter_mut().enumerate() {
            let from = match *place {
                _ if self.open => None,
                Place::Of(join) if wish.eager || wish.owners[p] != Some(join) => Some(join),
                _ => continue,
            };
            *place = Place::Leaving(from);
            self.until[p] = until;
        }
        self.open = false;
        self.wish = Some(wish);
    }

    /// A member goes.
    pub(super) fn depart(&mut self, join: u64, name: &'static str) {
        for before in self.before.iter_mut().filter(|before| **before == Some(name)) {
            *before = None;
        }
        for (place, before) in self.places.iter_mut().zip(&mut self.before) {
            if *place == Place::Of(join) || *place == Place::Leaving(Some(join)) {
                (*place, *before) = (Place::Nobody, Some(name));
            }
        }
        for to in self.wish.iter_mut().flat_map(|wish| &mut wish.owners) {
            *to = to.filter(|to| *to != join);
        }
    }

    /// The partitions whose time to be let go of is over, although somebody still holds leases.
    pub(super) fn overdue(&self, now: u64, busy: impl Fn(u32) -> bool) -> Vec<u32> {
        let all = (0..).zip(&self.places).zip(&self.until);
        let over = all.filter(|((partition, place), until)| {
            matches!(place, Place::Leaving(_)) && **until <= now && busy(*partition)
        });
        over.map(|((partition, _), _)| partition).collect()
    }

    /// Gives what can be given now. Says what, and what of it goes to somebody new.
    pub(super) fn give(&mut self, busy: impl Fn(u32) -> bool) -> (Vec<(u32, u64)>, Vec<u32>) {
        let Some(wish) = &self.wish else { return Default::default() };
        let (mut given, mut moved, mut stuck) = (Vec::new(), Vec::new(), false);
        for (partition, place) in (0..).zip(&self.places) {
            let busy = matches!(place, Place::Leaving(_)) && busy(partition);
            match (place, wish.owners.get(partition as usize).copied().flatten()) {
                (Place::Of(_), _) => {}
                (place, Some(to)) => {
                    let back = *place == Place::Leaving(Some(to));
                    if busy && (wish.eager || !back) {
                        stuck = true;
                        continue;
                    }
                    given.push((partition, to));
                    moved.extend((!back).then_some(partition));
                }
                (_, None) => stuck |= busy,
            }
        }
        if stuck && wish.eager {
            return Default::default();
        }
        if !stuck {
            self.wish = None;
        }
        for (partition, to) in &given {
            self.places[*partition as usize] = Place::Of(*to);
        }
        (given, moved)
    }

    /// What a strategy has to be shown, given the members by name.
    pub(super) fn roster(&self, members: &[(&'static str, u64, u16)]) -> Roster {
        let of = |join: u64| members.iter().position(|member| member.1 == join);
        let called = |name| members.iter().position(|member| member.0 == name);
        let owners = self.places.iter().map(|place| match place {
            Place::Of(join) | Place::Leaving(Some(join)) => of(*join),
            _ => None,
        });
        Roster {
            names: members.iter().map(|member| member.0.into()).collect(),
            slots: members.iter().map(|member| member.2).collect(),
            owners: owners.collect(),
            before: self.before.iter().map(|name| called((*name)?)).collect(),
        }
    }
}
