//! The greatest flow through a small network, by Dinic's algorithm (1970).
//!
//! Arcs are made in pairs: beside arc `a` lies `a ^ 1`, its reverse, whose room is the flow that
//! can be taken back. A round finds the levels of all nodes by a breadth-first search, and then
//! fills paths that go down one level with each arc, until there is none. No arc is looked at
//! twice in a round, except on a path.
//!
//! Invariants
//! 1. The rooms of an arc and its reverse add up to the room the arc was made with.
//! 2. What flows into a node flows out of it, source and sink apart.
//!
//! The networks here have rooms of one nearly everywhere, so with E arcs there are at most about
//! √E rounds, and each takes time in proportion to E.

/// Of a list of arcs: its end. Of a node: not reached.
const NONE: usize = usize::MAX;

#[derive(Debug)]
pub(super) struct Flow {
    /// For each node its first arc, and for each arc the next one of the same node.
    first: Vec<usize>,
    next: Vec<usize>,
    to: Vec<usize>,
    room: Vec<usize>,
}

impl Flow {
    pub(super) fn new(nodes: usize) -> Self {
        Self { first: vec![NONE; nodes], next: Vec::new(), to: Vec::new(), room: Vec::new() }
    }

    /// Adds an arc. Of one node's arcs the last one is tried first.
    pub(super) fn arc(&mut self, from: usize, to: usize, room: usize) -> usize {
        let arc = self.to.len();
        for (from, to, room) in [(from, to, room), (to, from, 0)] {
            self.next.push(self.first[from]);
            self.first[from] = self.to.len();
            self.to.push(to);
            self.room.push(room);
        }
        arc
    }

    pub(super) fn is_full(&self, arc: usize) -> bool {
        self.room[arc] == 0
    }

    /// Sends as much from source to sink as there is room for.
    pub(super) fn run(&mut self, source: usize, sink: usize) {
        while let Some(levels) = self.levels(source, sink) {
            self.fill(source, sink, &levels);
        }
    }

    /// How many arcs with room lead from the source to each node. None if the sink is out of reach.
    fn levels(&self, source: usize, sink: usize) -> Option<Vec<usize>> {
        let mut levels = vec![NONE; self.first.len()];
        levels[source] = 0;
        let (mut reached, mut seen) = (vec![source], 0);
        while let Some(&node) = reached.get(seen) {
            seen += 1;
            let mut arc = self.first[node];
            while arc != NONE {
                let to = self.to[arc];
                if self.room[arc] > 0 && levels[to] == NONE {
                    levels[to] = levels[node] + 1;
                    reached.push(to);
                }
                arc = self.next[arc];
            }
        }
        (levels[sink] != NONE).then_some(levels)
    }

    /// Fills paths along the levels until none is left. `at` is the arc with which each node goes
    /// on; those before it lead nowhere any more.
    fn fill(&mut self, source: usize, sink: usize, levels: &[usize]) {
        let mut at = self.first.clone();
        let (mut path, mut node) = (Vec::new(), source);
        loop {
            let arc = at[node];
            if node == sink {
                for arc in path.drain(..) {
                    self.room[arc] -= 1;
                    self.room[arc ^ 1] += 1;
                }
                node = source;
            } else if arc == NONE {
                let Some(back) = path.pop() else { return };
                node = self.to[back ^ 1];
                at[node] = self.next[back];
            } else if self.room[arc] > 0 && levels[self.to[arc]] == levels[node] + 1 {
                path.push(arc);
                node = self.to[arc];
            } else {
                at[node] = self.next[arc];
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flow_that_went_the_wrong_way_is_taken_back() {
        // 0 is the source, 3 the sink. The arc 1 -> 2 is tried first and has to be given up.
        let mut flow = Flow::new(4);
        let arcs = [(0, 2), (0, 1), (1, 3), (2, 3), (1, 2)];
        let arcs = arcs.map(|(from, to)| flow.arc(from, to, 1));
        flow.run(0, 3);
        assert_eq!(arcs.map(|arc| flow.is_full(arc)), [true, true, true, true, false]);
    }

    #[test]
    fn room_bounds_what_flows() {
        let mut flow = Flow::new(3);
        let wide = flow.arc(0, 1, 3);
        let narrow = flow.arc(1, 2, 2);
        flow.run(0, 2);
        assert!(!flow.is_full(wide) && flow.is_full(narrow));
    }

    #[test]
    fn a_sink_out_of_reach_ends_it() {
        let mut flow = Flow::new(3);
        let arc = flow.arc(0, 1, 1);
        flow.run(0, 2);
        assert!(!flow.is_full(arc));
    }
}
