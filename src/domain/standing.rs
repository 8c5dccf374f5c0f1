//! How does one type of one agent stand, why, and what can a person do about it? One total function over what is
//! known at a moment.

use std::time::Duration;

use serde::Serialize;

use super::{RunId, SyncState, Timestamp};

/// So many failures in a row are no accident.
pub const FAILING: u32 = 3;

/// How one type of one agent stands: the worst that is true of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "standing", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum Standing {
    /// The report itself is refused: nothing will get better by itself.
    Refused {
        /// Why, for programs.
        code: String,
        since: Timestamp,
        /// So often in a row.
        in_a_row: u32,
        next_try: Option<Timestamp>,
    },
    /// The last runs failed, or its source's breaker is open.
    Failing { in_a_row: u32, code: String, since: Timestamp, next_try: Option<Timestamp> },
    /// A guard holds its last report: a person decides.
    Held { run: RunId, since: Timestamp },
    /// Its data is older than it may be.
    Late {
        /// When it became so.
        since: Timestamp,
    },
    /// No report has been applied yet.
    Never,
    /// It would be due by and by, but the queue or the timers are paused.
    Paused,
    /// Its timer is off.
    Off,
    /// Its data is as young as it is to be.
    Fresh,
}

/// What a person can do; a route of the API for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Look at the run that says why.
    ShowRun,
    /// See what a held run would change.
    ShowPlan,
    Approve,
    Reject,
    /// Ask for a run now.
    Trigger,
    /// Give a report by hand.
    Upload,
    /// Trust the source again.
    ResetBreaker,
    /// Look at the rows that did not fit.
    ShowQuarantine,
    Resume,
    /// Try an item of the outbox again.
    Retry,
    /// Say where a model's items go.
    Configure,
    /// Look at the records themselves.
    ShowRecords,
}

/// What is known of one type of one agent at `now`.
#[derive(Debug, Clone)]
pub struct Facts<'a> {
    pub now: Timestamp,
    pub state: Option<&'a SyncState>,
    /// Its open hold, and since when.
    pub hold: Option<(RunId, Timestamp)>,
    /// Until when the breaker of its source lets nothing pass, and since when it is open.
    pub breaker: Option<(Timestamp, Timestamp)>,
    /// How old its data may be.
    pub target: Duration,
    /// Is its timer on?
    pub enabled: bool,
    /// Do neither timers nor the queue run?
    pub paused: bool,
    /// When its timer fires next.
    pub next_run: Option<Timestamp>,
    /// Until when a report that was refused is not read again, if it stays the same.
    pub not_read_before: Option<Timestamp>,
}

impl Standing {
    /// The worst of what is true.
    #[must_use]
    pub fn of(facts: &Facts<'_>) -> Self {
        let Facts { now, state, hold, breaker, target, enabled, paused, next_run, not_read_before } = facts;
        let probe = breaker.map(|(until, _)| until);
        let next_try = probe.into_iter().chain(next_run.filter(|_| *enabled && !paused)).max();
        if let Some(state) = state {
            let code = || state.error_code.clone().unwrap_or_else(|| state.last_outcome.as_str().to_owned());
            let since = state.failing_since.unwrap_or(state.last_at);
            if state.refusals > 0 {
                let next_try = next_try.max(not_read_before.filter(|_| next_try.is_some()));
                return Standing::Refused { code: code(), since, in_a_row: state.refusals, next_try };
            }
            if state.failures >= FAILING || (breaker.is_some() && state.failures > 0) {
                return Standing::Failing { in_a_row: state.failures, code: code(), since, next_try };
            }
        }
        if let Some((_, since)) = *breaker {
            return Standing::Failing { in_a_row: 0, code: "breaker_open".to_owned(), since, next_try };
        }
        if let Some((run, since)) = *hold {
            return Standing::Held { run, since };
        }
        let fetched = state.and_then(|state| state.applied).map(|applied| applied.fetched_at);
        let old = fetched.map(|at| at + chrono::Duration::from_std(*target).unwrap_or(chrono::Duration::MAX));
        match old {
            // nobody expects young data of what is off
            _ if !enabled => Standing::Off,
            Some(since) if since <= *now => Standing::Late { since },
            None => Standing::Never,
            Some(_) if *paused => Standing::Paused,
            Some(_) => Standing::Fresh,
        }
    }

    /// Worst first, from 0.
    #[must_use]
    pub fn rank(&self) -> u8 {
        match self {
            Standing::Refused { .. } => 0,
            Standing::Failing { .. } => 1,
            Standing::Held { .. } => 2,
            Standing::Late { .. } => 3,
            Standing::Never => 4,
            Standing::Paused => 5,
            Standing::Off => 6,
            Standing::Fresh => 7,
        }
    }

    /// Must a person look? What is not worse than `never` comes right by itself, or was asked for.
    #[must_use]
    pub fn needs_attention(&self) -> bool {
        self.rank() < Standing::Never.rank()
    }

    /// Its name in answers.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Standing::Refused { .. } => "refused",
            Standing::Failing { .. } => "failing",
            Standing::Held { .. } => "held",
            Standing::Late { .. } => "late",
            Standing::Never => "never",
            Standing::Paused => "paused",
            Standing::Off => "off",
            Standing::Fresh => "fresh",
        }
    }

    /// Since when it is so, where that is known.
    #[must_use]
    pub fn since(&self) -> Option<Timestamp> {
        match self {
            Standing::Refused { since, .. }
            | Standing::Failing { since, .. }
            | Standing::Held { since, .. }
            | Standing::Late { since } => Some(*since),
            Standing::Never | Standing::Paused | Standing::Off | Standing::Fresh => None,
        }
    }

    /// Why, in a sentence; `error` is what the last failure said.
    #[must_use]
    pub fn reason(&self, error: Option<&str>) -> String {
        let said = error.map(|error| format!(": {}", error.trim_end_matches('.'))).unwrap_or_default();
        let times = |count: u32| if count == 1 { "once".to_owned() } else { format!("{count} times in a row") };
        match self {
            Standing::Refused { code, in_a_row, .. } => {
                format!(
                    "The report is refused ({code}, {}){said}. The same report will be refused again.",
                    times(*in_a_row)
                )
            }
            Standing::Failing { in_a_row: 0, .. } => {
                format!("The source does not answer; nothing is asked of it until its breaker closes{said}.")
            }
            Standing::Failing { in_a_row, code, .. } => format!("Runs fail ({code}, {}){said}.", times(*in_a_row)),
            Standing::Held { run, .. } => {
                format!("Run {run} is held by a guard: nothing of its report is stored until a person approves it.")
            }
            Standing::Late { .. } => "The data is older than it may be: no report was applied for too long.".to_owned(),
            Standing::Never => "No report has been applied yet.".to_owned(),
            Standing::Paused => "The data is young enough, but no new report is fetched while it is paused.".to_owned(),
            Standing::Off => "Its timer is off: reports come only when someone asks for them.".to_owned(),
            Standing::Fresh => "The last report was applied in time.".to_owned(),
        }
    }

    /// What a person can do, the likeliest first.
    #[must_use]
    pub fn actions(&self) -> &'static [Action] {
        match self {
            Standing::Refused { .. } => &[Action::ShowRun, Action::Upload, Action::Trigger],
            Standing::Failing { in_a_row: 0, .. } => &[Action::ResetBreaker, Action::Upload],
            Standing::Failing { .. } => &[Action::ShowRun, Action::Trigger, Action::ResetBreaker, Action::Upload],
            Standing::Held { .. } => &[Action::ShowPlan, Action::Approve, Action::Reject],
            Standing::Late { .. } | Standing::Never => &[Action::Trigger, Action::Upload],
            Standing::Paused => &[Action::Resume],
            Standing::Off => &[Action::Trigger],
            Standing::Fresh => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Outcome, Recent, sync_state::Applied};

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_timestamp(1_800_000_000 + minute * 60, 0).unwrap()
    }

    fn state(applied: Option<i64>, failures: u32, refusals: u32) -> SyncState {
        SyncState {
            sync_type: "orders".into(),
            agent: "anna".into(),
            last_run: RunId(9),
            last_outcome: if failures > 0 { Outcome::Failed { retryable: refusals == 0 } } else { Outcome::Succeeded },
            last_at: at(99),
            applied: applied.map(|minute| Applied { run: RunId(1), at: at(minute), fetched_at: at(minute) }),
            failures,
            failing_since: (failures > 0).then(|| at(90)),
            error_code: (failures > 0).then(|| "no_table".to_owned()),
            error: None,
            refusals,
            refused: None,
            quarantined: 0,
            records_run: None,
            rows: 0,
            orphans: 0,
            read_run: None,
            approved_at: None,
            layout_changed: None,
            recent: Recent::default(),
        }
    }

    /// Every cause alone and with every other: the worst is told.
    #[test]
    fn the_worst_of_all_that_is_true_is_told() {
        // each cause, by what it does to the facts; in the order from the worst to the best
        const CAUSES: [&str; 8] = ["refused", "failing", "held", "late", "never", "paused", "off", "fresh"];
        for one in 0..CAUSES.len() {
            for other in 0..CAUSES.len() {
                let has = |name: &str| CAUSES[one] == name || CAUSES[other] == name;
                if has("late") && has("never") {
                    // data that never came is not old
                    continue;
                }
                let (failures, refusals) = match (has("refused"), has("failing")) {
                    (true, _) => (3, 1),
                    (false, true) => (3, 0),
                    (false, false) => (0, 0),
                };
                let applied = if has("never") { None } else { Some(if has("late") { 10 } else { 95 }) };
                let state = state(applied, failures, refusals);
                let facts = Facts {
                    now: at(100),
                    state: Some(&state),
                    hold: has("held").then(|| (RunId(7), at(80))),
                    breaker: None,
                    target: Duration::from_secs(30 * 60),
                    enabled: !has("off"),
                    paused: has("paused"),
                    next_run: Some(at(105)),
                    not_read_before: None,
                };
                let told = Standing::of(&facts);
                // what is off is neither late nor never nor paused: nobody waits for it
                let worst = if has("off") && one.min(other) > 2 { "off" } else { CAUSES[one.min(other)] };
                assert_eq!(told.as_str(), worst, "{} with {}", CAUSES[one], CAUSES[other]);
                assert_eq!(told.needs_attention(), ["refused", "failing", "held", "late"].contains(&worst));
                assert!(!told.reason(None).is_empty());
                assert_eq!(told.actions().is_empty(), worst == "fresh");
            }
        }
    }

    #[test]
    fn ranks_are_in_the_order_from_worst_to_best() {
        let (code, since) = ("x".to_owned(), at(0));
        let all = [
            Standing::Refused { code: code.clone(), since, in_a_row: 1, next_try: None },
            Standing::Failing { in_a_row: 3, code, since, next_try: None },
            Standing::Held { run: RunId(1), since },
            Standing::Late { since },
            Standing::Never,
            Standing::Paused,
            Standing::Off,
            Standing::Fresh,
        ];
        assert!(all.windows(2).all(|pair| pair[0].rank() < pair[1].rank()));
    }

    #[test]
    fn two_failures_are_no_standing_but_an_open_breaker_is() {
        let two = state(Some(95), 2, 0);
        let facts = Facts {
            now: at(100),
            state: Some(&two),
            hold: None,
            breaker: None,
            target: Duration::from_secs(30 * 60),
            enabled: true,
            paused: false,
            next_run: Some(at(105)),
            not_read_before: None,
        };
        assert_eq!(Standing::of(&facts), Standing::Fresh);
        let open = Facts { breaker: Some((at(110), at(99))), ..facts.clone() };
        let code = "no_table".to_owned();
        let told = Standing::Failing { in_a_row: 2, code, since: at(90), next_try: Some(at(110)) };
        assert_eq!(Standing::of(&open), told, "the probe comes after the timer");
        let unknown = Facts { state: None, ..open };
        assert!(matches!(Standing::of(&unknown), Standing::Failing { in_a_row: 0, .. }));
        assert_eq!(Standing::of(&Facts { state: None, ..facts }), Standing::Never);
    }

    #[test]
    fn data_is_late_from_the_moment_on_at_which_it_is_too_old() {
        let state = state(Some(70), 0, 0);
        let facts = |now| Facts {
            now,
            state: Some(&state),
            hold: None,
            breaker: None,
            target: Duration::from_secs(30 * 60),
            enabled: true,
            paused: false,
            next_run: None,
            not_read_before: None,
        };
        assert_eq!(Standing::of(&facts(at(100) - chrono::Duration::milliseconds(1))), Standing::Fresh);
        assert_eq!(Standing::of(&facts(at(100))), Standing::Late { since: at(100) });
    }
}
