//! Steering groups in a random life: what is paused hands out nothing, and altering what does not
//! concern an entry's fate changes none.

use std::time::Duration;

use super::script::Life;
use super::world::Verdict;
use crate::backoff::Backoff;

impl Life<'_> {
    pub(super) fn steer(&mut self) -> Verdict {
        let random = &mut self.world.random;
        let (what, number) = (random.below(8), random.below(20) as u64);
        let picked = random.below(self.groups.len().max(1));
        let Some((name, group)) = self.groups.iter().nth(picked) else { return Ok(()) };
        let (done, paused) = match what {
            0 => (group.pause(), Some(true)),
            1 => (group.pause_for(Duration::from_secs(1 + number)), None),
            2 => {
                let options = group.options().max_in_flight(1 + number).max_in_flight_bytes(900);
                (group.alter(options), None)
            }
            3 => {
                let backoff = Backoff::fixed(Duration::from_secs(number)).jitter(0.5);
                (group.alter(group.options().backoff(backoff)), None)
            }
            _ => (group.resume(), Some(false)),
        };
        let model = self.world.groups.get_mut(name).ok_or("a group without a model")?;
        // A call that failed may have done it all the same.
        model.paused = match (done.is_ok(), what) {
            (true, 2..=3) => model.paused,
            (true, _) => paused,
            (false, _) => None,
        };
        if done.is_ok() {
            // It took in what was dropped before.
            model.settle_soon();
        }
        done.or_else(|error| self.world.forgive("steer", &error))
    }
}
