//! What is known of an effect, and what follows from it? Two enums, one total function.

use crate::domain::Outcome;

/// How far an operation's effect is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// It has not happened.
    Before,
    /// It may have happened.
    Sending,
    /// It has happened.
    Done,
}

/// How an attempt went on from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// The other side confirmed it.
    Confirmed,
    /// The other side says that it did not happen; another attempt may help.
    NotSent,
    /// The other side refuses it.
    Refused,
    /// Nobody knows: an error on the way, a time-out, a panic, a stop.
    Cut,
}

impl Effect {
    /// How an attempt ends. `repeatable`: the same effect twice does no harm.
    pub(super) fn outcome(self, turn: Turn, repeatable: bool) -> Outcome {
        match (self, turn) {
            (Effect::Done, Turn::Confirmed | Turn::NotSent | Turn::Refused | Turn::Cut)
            | (Effect::Before | Effect::Sending, Turn::Confirmed) => Outcome::Succeeded,
            (Effect::Before | Effect::Sending, Turn::NotSent) | (Effect::Before, Turn::Cut) => {
                Outcome::Failed { retryable: true }
            }
            (Effect::Before | Effect::Sending, Turn::Refused) => Outcome::Failed { retryable: false },
            (Effect::Sending, Turn::Cut) if repeatable => Outcome::Failed { retryable: true },
            (Effect::Sending, Turn::Cut) => Outcome::Doubtful,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_effect_that_may_have_happened_is_never_repeated_unless_that_is_harmless() {
        let (again, never) = (Outcome::Failed { retryable: true }, Outcome::Failed { retryable: false });
        for (effect, turn, repeatable, outcome) in [
            (Effect::Before, Turn::Cut, false, again),
            (Effect::Sending, Turn::Confirmed, false, Outcome::Succeeded),
            (Effect::Sending, Turn::NotSent, false, again),
            (Effect::Sending, Turn::Refused, false, never),
            (Effect::Sending, Turn::Cut, false, Outcome::Doubtful),
            (Effect::Sending, Turn::Cut, true, again),
            (Effect::Done, Turn::Cut, false, Outcome::Succeeded),
        ] {
            assert_eq!(effect.outcome(turn, repeatable), outcome, "{effect:?} {turn:?} {repeatable}");
        }
    }
}
