//! What becomes of an actor that ends or does not answer? Rules without a clock of their own.

use std::{
    collections::VecDeque,
    fmt,
    time::{Duration, Instant},
};

use serde::Serialize;

/// When an actor is started anew, and when that makes no sense any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Before the first restart; doubled with each that follows within `within`, ...
    pub first_pause: Duration,
    /// ... up to this.
    pub longest_pause: Duration,
    /// So many restarts ...
    pub most: usize,
    /// ... within so long: the next end is the last.
    pub within: Duration,
    /// How often it is asked whether its thread turns.
    pub ping: Duration,
    /// A thread that has not turned for so long is frozen.
    pub frozen: Duration,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            first_pause: Duration::from_millis(100),
            longest_pause: Duration::from_secs(5),
            most: 5,
            within: Duration::from_mins(1),
            ping: Duration::from_secs(1),
            frozen: Duration::from_secs(20),
        }
    }
}

/// What happened to an actor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ChildEvent {
    /// It ended, whatever the cause.
    Ended,
    /// The pause before its restart is over.
    PauseOver,
    /// Its thread has turned.
    Turned,
    /// A moment has passed.
    Tick,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Nothing.
    Nothing,
    /// Wait so long.
    Pause(Duration),
    /// Start it.
    Start,
    /// The process cannot go on.
    GiveUp(GaveUp),
}

/// Why the process cannot go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GaveUp {
    /// An actor ends again and again.
    RestartsSpent,
    /// An actor's thread does not turn, and cannot be ended from outside.
    Frozen,
}

impl fmt::Display for GaveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            GaveUp::RestartsSpent => "it ends again and again",
            GaveUp::Frozen => "its thread is frozen",
        })
    }
}

/// An actor's restarts, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Restarts {
    /// The actor.
    pub name: String,
    /// Does it live now?
    pub is_up: bool,
    /// How often it was started anew since the process began.
    pub restarts: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Up,
    Pausing,
    GivenUp,
}

/// One actor, as its supervisor knows it.
#[derive(Debug)]
pub(crate) struct ChildState {
    state: State,
    recent: VecDeque<Instant>,
    restarts: u64,
    ticked: Instant,
    /// For how long its thread has not turned, as far as this process could tell.
    stood: Duration,
}

impl ChildState {
    /// One that has just been started.
    #[must_use]
    pub(crate) fn up(now: Instant) -> Self {
        Self { state: State::Up, recent: VecDeque::new(), restarts: 0, ticked: now, stood: Duration::ZERO }
    }

    /// Does it live?
    #[must_use]
    pub(crate) fn is_up(&self) -> bool {
        self.state == State::Up
    }

    /// How often it was started anew.
    #[must_use]
    pub(crate) fn restarts(&self) -> u64 {
        self.restarts
    }

    /// What is to be done.
    pub(crate) fn on(&mut self, event: ChildEvent, policy: &Policy, now: Instant) -> Decision {
        if self.state == State::GivenUp {
            // it was said
            return Decision::Nothing;
        }
        match (self.state, event) {
            (_, ChildEvent::Turned) => {
                self.stood = Duration::ZERO;
                Decision::Nothing
            }
            (_, ChildEvent::Tick) => {
                // who could not look for longer (the whole process was stopped) cannot tell who stood still meanwhile
                let since = now.duration_since(std::mem::replace(&mut self.ticked, now));
                self.stood += since.min(policy.ping * 2);
                if self.stood >= policy.frozen { self.give_up(GaveUp::Frozen) } else { Decision::Nothing }
            }
            (State::Up, ChildEvent::Ended) => {
                self.recent.retain(|restart| now.duration_since(*restart) < policy.within);
                if self.recent.len() >= policy.most {
                    return self.give_up(GaveUp::RestartsSpent);
                }
                self.state = State::Pausing;
                let doublings = u32::try_from(self.recent.len()).unwrap_or(u32::MAX).min(16);
                Decision::Pause((policy.first_pause * 2_u32.pow(doublings)).min(policy.longest_pause))
            }
            (State::Pausing, ChildEvent::PauseOver) => {
                (self.state, self.restarts) = (State::Up, self.restarts + 1);
                self.recent.push_back(now);
                Decision::Start
            }
            (State::GivenUp, _) | (State::Up, ChildEvent::PauseOver) | (State::Pausing, ChildEvent::Ended) => {
                Decision::Nothing
            }
        }
    }

    fn give_up(&mut self, why: GaveUp) -> Decision {
        self.state = State::GivenUp;
        Decision::GiveUp(why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ends it and lets the pause pass; answers the pause.
    fn fall(child: &mut ChildState, now: &mut Instant) -> Decision {
        let policy = Policy::default();
        let decision = child.on(ChildEvent::Ended, &policy, *now);
        if let Decision::Pause(pause) = decision {
            assert_eq!(child.on(ChildEvent::Ended, &policy, *now), Decision::Nothing, "it is down already");
            *now += pause;
            assert_eq!(child.on(ChildEvent::PauseOver, &policy, *now), Decision::Start);
        }
        decision
    }

    #[test]
    fn pauses_double_and_the_sixth_end_within_a_minute_is_the_last() {
        let (mut child, mut now) = (ChildState::up(Instant::now()), Instant::now());
        for milliseconds in [100, 200, 400, 800, 1_600] {
            assert_eq!(fall(&mut child, &mut now), Decision::Pause(Duration::from_millis(milliseconds)));
        }
        assert_eq!((child.is_up(), child.restarts()), (true, 5));
        assert_eq!(fall(&mut child, &mut now), Decision::GiveUp(GaveUp::RestartsSpent));
        assert!(!child.is_up());
        assert_eq!(fall(&mut child, &mut now), Decision::Nothing, "it was said");
    }

    #[test]
    fn who_ends_now_and_then_is_started_for_ever() {
        let (mut child, mut now) = (ChildState::up(Instant::now()), Instant::now());
        for _ in 0..100 {
            assert_eq!(fall(&mut child, &mut now), Decision::Pause(Duration::from_millis(100)));
            now += Duration::from_secs(61);
        }
        assert_eq!(child.restarts(), 100);
    }

    #[test]
    fn a_pause_is_five_seconds_at_most() {
        let policy = Policy { most: 100, within: Duration::from_hours(9), ..Policy::default() };
        let (mut child, now) = (ChildState::up(Instant::now()), Instant::now());
        let pauses = std::iter::repeat_with(|| {
            let decision = child.on(ChildEvent::Ended, &policy, now);
            child.on(ChildEvent::PauseOver, &policy, now);
            decision
        });
        assert_eq!(pauses.take(60).last(), Some(Decision::Pause(Duration::from_secs(5))));
    }

    #[test]
    fn a_thread_that_does_not_turn_is_frozen_after_twenty_seconds() {
        let (policy, now) = (Policy::default(), Instant::now());
        let mut child = ChildState::up(now);
        let mut tick = |seconds, has_turned: bool| {
            let at = now + Duration::from_secs(seconds);
            if has_turned {
                child.on(ChildEvent::Turned, &policy, at);
            }
            child.on(ChildEvent::Tick, &policy, at)
        };
        for second in 1..=19 {
            assert_eq!(tick(second, false), Decision::Nothing);
        }
        for second in 20..=38 {
            assert_eq!(tick(second, second == 20), Decision::Nothing, "{second}");
        }
        // the whole process was stopped for an hour: nobody could turn
        assert_eq!(tick(3_638, true), Decision::Nothing);
        let frozen: Vec<Decision> = (3_639..=3_660).map(|second| tick(second, false)).collect();
        assert_eq!(frozen.iter().position(|one| *one == Decision::GiveUp(GaveUp::Frozen)), Some(17));
    }
}
