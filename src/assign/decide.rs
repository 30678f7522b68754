//! Asks a strategy and checks what it says, so that nothing but a possible assignment goes on.
//!
//! A strategy may be a user's code: it may panic, here or in the drop of what it panicked with, and
//! its answer may be for other members. Each of these is an error of the call that asked, and the
//! group has not changed yet. Where panics abort, a panic aborts.
//!
//! What a strategy keeps for itself it answers for: one that panicked is asked again later.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::strategy::{Assign, Assignment, Handover};
use super::view::View;
use crate::error::{Error, Result};

/// The most characters of a strategy's own words that go into an error.
const WORDS_MAX: usize = 500;

/// The target of the strategy, for members and partitions that are there. Without members it is
/// not asked, and no partition has an owner.
///
/// # Errors
/// [`Error::StrategyFailed`] if it panics or names what is not there.
pub(crate) fn decide(strategy: &dyn Assign, view: &View) -> Result<Assignment> {
    if view.members().is_empty() {
        return Ok(Assignment::Owners(Vec::new()));
    }
    let decision = guarded(|| strategy.assign(view)).and_then(|assignment| {
        check(&assignment, view)?;
        Ok(assignment)
    });
    decision.map_err(|reason| failed(strategy, reason))
}

/// How the strategy wants to get to its target.
///
/// # Errors
/// [`Error::StrategyFailed`] if it panics.
pub(crate) fn handover_of(strategy: &dyn Assign) -> Result<Handover> {
    guarded(|| strategy.handover()).map_err(|reason| failed(strategy, reason))
}

/// The strategy's name, shortened to a bound.
///
/// # Errors
/// [`Error::StrategyFailed`] if it panics.
pub(crate) fn name_of(strategy: &dyn Assign) -> Result<Box<str>> {
    let name = guarded(|| shortened(strategy.name()));
    name.map_err(|reason| Error::StrategyFailed { strategy: "?".into(), reason: reason.into() })
}

fn failed(strategy: &dyn Assign, reason: String) -> Error {
    let strategy = name_of(strategy).unwrap_or_else(|_| "?".into());
    Error::StrategyFailed { strategy, reason: reason.into() }
}

/// The reason why it cannot be, if it cannot.
fn check(assignment: &Assignment, view: &View) -> Result<(), String> {
    let Assignment::Owners(owners) = assignment else { return Ok(()) };
    let (named, partitions) = (owners.len(), view.partitions() as usize);
    if named != partitions {
        return Err(format!("it named {named} owners for {partitions} partitions"));
    }
    let members = view.members().len();
    match owners.iter().enumerate().find(|(_, owner)| **owner >= members) {
        None => Ok(()),
        Some((partition, owner)) => Err(format!(
            "it gave partition {partition} to member {owner}; there are {members}, numbered from 0"
        )),
    }
}

/// What the strategy's code returns, or what it said when it panicked. Nothing that could be half
/// changed goes in: the view is only read, and the answer does not come out.
fn guarded<T>(code: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(code)).map_err(|payload| {
        let words = payload.downcast_ref::<&str>().copied();
        let words = words.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        let reason = words.map(|words| format!("it panicked: {}", shortened(words)));
        dispose(payload);
        reason.unwrap_or_else(|| "it panicked".into())
    })
}

/// Drops what a panic carried. That is a user's type too, and its drop may panic with another one,
/// and so on; the documentation of `catch_unwind` warns of it. The second is leaked.
fn dispose(payload: Box<dyn Any + Send>) {
    if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        #[expect(clippy::mem_forget, reason = "its drop could panic again, without an end")]
        std::mem::forget(second);
    }
}

fn shortened(words: &str) -> Box<str> {
    words.chars().take(WORDS_MAX).collect::<String>().into()
}

#[cfg(test)]
mod tests {
    use std::panic::panic_any;

    use super::super::{Range, Shared};
    use super::*;

    /// A strategy with the given behaviour.
    #[derive(Debug)]
    struct Odd(fn() -> Assignment);

    impl Assign for Odd {
        fn name(&self) -> &'static str {
            "odd"
        }

        fn assign(&self, _view: &View) -> Assignment {
            self.0()
        }
    }

    /// Panics again when it is dropped, twice over.
    struct Thorn(u32);

    impl Drop for Thorn {
        fn drop(&mut self) {
            if self.0 > 0 {
                panic_any(Thorn(self.0 - 1));
            }
        }
    }

    fn view() -> View {
        View::new(3).member("a", [], []).member("b", [], [])
    }

    fn reason(code: fn() -> Assignment) -> String {
        match decide(&Odd(code), &view()) {
            Err(Error::StrategyFailed { strategy, reason }) if &*strategy == "odd" => reason.into(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_can_be_is_passed_on() {
        assert_eq!(decide(&Shared, &view()).unwrap(), Assignment::Everyone);
        assert_eq!(decide(&Range, &view()).unwrap(), Assignment::Owners(vec![0, 0, 1]));
        let last = || Assignment::Owners(vec![1, 1, 1]);
        assert_eq!(decide(&Odd(last), &view()).unwrap(), last());
    }

    #[test]
    fn what_cannot_be_is_refused_with_the_reason() {
        let few = reason(|| Assignment::Owners(vec![0, 1]));
        assert_eq!(few, "it named 2 owners for 3 partitions");
        let many = reason(|| Assignment::Owners(vec![0; 4]));
        assert_eq!(many, "it named 4 owners for 3 partitions");
        let stranger = reason(|| Assignment::Owners(vec![0, 2, 1]));
        assert_eq!(stranger, "it gave partition 1 to member 2; there are 2, numbered from 0");
    }

    #[test]
    fn a_panic_is_refused_with_its_words() {
        assert_eq!(reason(|| panic!("no plan")), "it panicked: no plan");
        assert_eq!(reason(|| panic!("no plan for {}", 7)), "it panicked: no plan for 7");
        assert_eq!(reason(|| panic_any(7)), "it panicked");
        assert_eq!(reason(|| panic_any("ü".repeat(10_000))).chars().count(), 13 + WORDS_MAX);
    }

    #[test]
    fn a_panic_in_the_drop_of_a_panic_goes_no_further() {
        for code in [|| panic_any(Thorn(0)), || panic_any(Thorn(2))] {
            // A thorn must not reach the test's own thread, where its drop would panic again.
            let caught = catch_unwind(|| reason(code)).map_err(std::mem::forget);
            assert_eq!(caught.as_deref(), Ok("it panicked"));
        }
    }

    #[test]
    fn a_strategy_is_not_asked_without_members() {
        let asked = Odd(|| panic!("it was asked"));
        assert_eq!(decide(&asked, &View::new(3)).unwrap(), Assignment::Owners(vec![]));
    }

    #[test]
    fn name_and_handover_may_panic_too() {
        #[derive(Debug)]
        struct Mute;

        impl Assign for Mute {
            fn name(&self) -> &str {
                panic!("no name")
            }

            fn assign(&self, _view: &View) -> Assignment {
                panic!("no plan")
            }

            fn handover(&self) -> Handover {
                panic!("no way")
            }
        }

        let table = [
            (decide(&Mute, &view()).map(drop), "it panicked: no plan"),
            (handover_of(&Mute).map(drop), "it panicked: no way"),
            (name_of(&Mute).map(drop), "it panicked: no name"),
        ];
        for (given, words) in table {
            let error = given.unwrap_err();
            assert!(matches!(&error, Error::StrategyFailed { reason, .. } if **reason == *words));
            assert!(error.to_string().contains("left as it was"), "{error}");
        }
        assert_eq!(&*name_of(&Shared).unwrap(), "shared");
        assert_eq!(handover_of(&Shared).unwrap(), Handover::Eager);
    }
}
