//! What have the runs of one type and agent come to so far?

use std::time::Duration;

use super::{AgentId, Outcome, Reason, Recent, RunId, Stage, SyncType, Timestamp};

/// What the runs of one type and agent have come to so far; it is stored with the end of each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyncState {
    pub sync_type: SyncType,
    pub agent: AgentId,
    /// The last run that has ended.
    pub last_run: RunId,
    pub last_outcome: Outcome,
    pub last_at: Timestamp,
    /// The last run that applied its report, wherever that came from.
    pub applied: Option<Applied>,
    /// Failures since a report of the source was last applied; stops, skips and holds are none.
    pub failures: u32,
    /// When the first of them ended.
    pub failing_since: Option<Timestamp>,
    /// The code and the words of the last of them.
    pub error_code: Option<String>,
    pub error: Option<String>,
    /// How many of the last failures refused the report itself, all with this code: no other attempt will change that.
    pub refusals: u32,
    /// The last run that refused it, and when.
    pub refused: Option<(RunId, Timestamp)>,
    /// The last run that read a report and applied it: what is stored is from there.
    pub records_run: Option<RunId>,
    /// Rows of that report in quarantine: they stay until a later one is read whole.
    pub quarantined: u64,
    /// Rows of the report that was last read and applied, and the records without a known parent after it.
    pub rows: u64,
    pub orphans: u64,
    /// The last run that read a report, however it ended.
    pub read_run: Option<RunId>,
    /// When a person's approval was last carried out.
    pub approved_at: Option<Timestamp>,
    /// When a report was last laid out otherwise than the one before it, and the run that read it.
    pub layout_changed: Option<(RunId, Timestamp)>,
    /// How the last runs ended, uploads and approvals too.
    pub recent: Recent,
}

/// A run that applied its report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    pub run: RunId,
    /// When it ended.
    pub at: Timestamp,
    /// When its report was fetched: the age of the data counts from here.
    pub fetched_at: Timestamp,
}

/// A run that has ended, as far as it matters for what comes after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    pub sync_type: SyncType,
    pub agent: AgentId,
    pub run: RunId,
    pub reason: Reason,
    pub outcome: Outcome,
    pub stage: Option<Stage>,
    pub error_code: Option<String>,
    pub error: Option<String>,
    pub started_at: Timestamp,
    pub at: Timestamp,
    /// When its report was looked at, if it was.
    pub fetched_at: Option<Timestamp>,
    /// Rows that its report holds; none if it was not read.
    pub rows: u64,
    /// Records that it added, changed, brought back or deleted.
    pub changed: u64,
    pub quarantined: u64,
    pub orphans: u64,
    /// Was a report read?
    pub was_read: bool,
    /// Was it laid out otherwise than the one before?
    pub layout_changed: bool,
}

impl Ended {
    /// Does it say something of the source? A report that a person gave does not.
    #[must_use]
    pub fn is_of_source(&self) -> bool {
        !self.reason.has_document()
    }

    /// Was the report itself refused, so that the same one will be refused again?
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        self.outcome == Outcome::Failed { retryable: false } && self.stage == Some(Stage::Read)
    }
}

/// A report that is refused again and again is read anew at least so often: the reader may have become better.
const REREAD: Duration = Duration::from_secs(2 * 3_600);

impl SyncState {
    /// Until when the report that was refused last is not read again, if it is still the same: one interval after the
    /// first refusal, and twice as long after each other with the same code.
    #[must_use]
    pub fn not_read_before(&self, interval: Duration) -> Option<Timestamp> {
        let (_, at) = self.refused?;
        let doubled = interval.saturating_mul(2_u32.saturating_pow(self.refusals.saturating_sub(1).min(16)));
        Some(at + doubled.min(REREAD.max(interval)))
    }

    /// The state after `ended`, which came after all that `before` knows of.
    #[must_use]
    pub fn after(before: Option<Self>, ended: Ended) -> Self {
        let (is_refusal, is_of_source) = (ended.is_refusal(), ended.is_of_source());
        let new = || Self {
            sync_type: ended.sync_type.clone(),
            agent: ended.agent.clone(),
            last_run: ended.run,
            last_outcome: ended.outcome,
            last_at: ended.at,
            applied: None,
            failures: 0,
            failing_since: None,
            error_code: None,
            error: None,
            refusals: 0,
            refused: None,
            quarantined: 0,
            records_run: None,
            rows: 0,
            orphans: 0,
            read_run: None,
            approved_at: None,
            layout_changed: None,
            recent: Recent::default(),
        };
        let mut state = before.unwrap_or_else(new);
        (state.last_run, state.last_outcome, state.last_at) = (ended.run, ended.outcome, ended.at);
        state.recent.push(ended.outcome);
        if ended.outcome.is_applied() {
            let fetched_at = ended.fetched_at.unwrap_or(ended.started_at);
            state.applied = Some(Applied { run: ended.run, at: ended.at, fetched_at });
            if ended.rows > 0 {
                state.quarantined = ended.quarantined;
                state.records_run = Some(ended.run);
                (state.rows, state.orphans) = (ended.rows, ended.orphans);
            }
        }
        if ended.was_read {
            state.read_run = Some(ended.run);
        }
        if ended.reason == Reason::Approval {
            state.approved_at = Some(ended.at);
        }
        if ended.layout_changed {
            state.layout_changed = Some((ended.run, ended.at));
        }
        if !is_of_source {
            return state;
        }
        if ended.outcome.is_applied() || ended.outcome == Outcome::Held {
            // a report that a guard holds has come and was read
            state.failures = 0;
            state.failing_since = None;
            state.error_code = None;
            state.error = None;
            state.refusals = 0;
            state.refused = None;
        } else if ended.outcome.is_failure() {
            let is_same = is_refusal && state.refusals > 0 && state.error_code == ended.error_code;
            state.refusals = if is_same { state.refusals.saturating_add(1) } else { u32::from(is_refusal) };
            state.refused = is_refusal.then_some((ended.run, ended.at));
            state.failures = state.failures.saturating_add(1);
            state.failing_since = state.failing_since.or(Some(ended.at));
            state.error_code = ended.error_code;
            state.error = ended.error;
        }
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_timestamp(1_800_000_000 + minute * 60, 0).unwrap()
    }

    fn run(number: i64, outcome: Outcome) -> Ended {
        Ended {
            sync_type: "orders".into(),
            agent: "anna".into(),
            run: RunId(number),
            reason: Reason::Timer,
            outcome,
            stage: Some(Stage::Read),
            error_code: outcome.is_failure().then(|| "no_table".to_owned()),
            error: None,
            started_at: at(number),
            at: at(number + 1),
            fetched_at: None,
            rows: 10,
            changed: 0,
            quarantined: 0,
            orphans: 0,
            was_read: true,
            layout_changed: false,
        }
    }

    fn states(ends: impl IntoIterator<Item = Ended>) -> SyncState {
        ends.into_iter().fold(None, |before, ended| Some(SyncState::after(before, ended))).unwrap()
    }

    const REFUSED: Outcome = Outcome::Failed { retryable: false };
    const AWAY: Outcome = Outcome::Failed { retryable: true };

    #[test]
    fn failures_count_since_the_last_report_that_came() {
        for (outcomes, failures, refusals, since) in [
            (vec![Outcome::Succeeded], 0, 0, None),
            (vec![AWAY, AWAY], 2, 0, Some(2)),
            (vec![AWAY, Outcome::Stopped, Outcome::Skipped, AWAY], 2, 0, Some(2)),
            (vec![AWAY, Outcome::Unchanged, AWAY], 1, 0, Some(4)),
            (vec![AWAY, Outcome::Held], 0, 0, None),
            (vec![REFUSED, REFUSED], 2, 2, Some(2)),
            (vec![REFUSED, AWAY], 2, 0, Some(2)),
            (vec![AWAY, REFUSED, REFUSED], 3, 2, Some(2)),
            (vec![Outcome::Lost, Outcome::TimedOut, Outcome::Panicked], 3, 0, Some(2)),
        ] {
            let state = states((1..).zip(&outcomes).map(|(number, outcome)| run(number, *outcome)));
            let told = (state.failures, state.refusals, state.failing_since);
            assert_eq!(told, (failures, refusals, since.map(at)), "{outcomes:?}");
        }
    }

    #[test]
    fn a_refusal_with_another_code_begins_anew() {
        let other = Ended { error_code: Some("wrong_type".into()), ..run(2, REFUSED) };
        assert_eq!(states([run(1, REFUSED), other]).refusals, 1);
        let later = Ended { stage: Some(Stage::Apply), ..run(3, REFUSED) };
        assert_eq!(states([run(1, REFUSED), later]).refusals, 0, "that was not the report");
    }

    #[test]
    fn a_report_that_is_refused_again_is_read_more_seldom_and_at_least_every_two_hours() {
        let quarter = Duration::from_secs(15 * 60);
        for (times, minutes) in [(1, 15), (2, 30), (3, 60), (4, 120), (5, 120), (40, 120)] {
            let state = states((1..=times).map(|number| run(number, REFUSED)));
            assert_eq!(state.not_read_before(quarter), Some(at(times + 1 + minutes)), "{times}");
        }
        let daily = Duration::from_secs(86_400);
        assert_eq!(
            states([run(1, REFUSED)]).not_read_before(daily),
            Some(at(2 + 1_440)),
            "never sooner than it is due"
        );
        assert_eq!(states([run(1, REFUSED), run(2, Outcome::Unchanged)]).not_read_before(quarter), None);
    }

    #[test]
    fn what_a_person_gives_makes_the_data_young_and_says_nothing_of_the_source() {
        let given = |number, outcome| Ended { reason: Reason::Upload, ..run(number, outcome) };
        let state = states([run(1, AWAY), given(5, Outcome::Succeeded), given(7, REFUSED)]);
        assert_eq!((state.failures, state.refusals), (1, 0));
        assert_eq!(state.applied.unwrap().run, RunId(5));
        assert_eq!(state.last_run, RunId(7));
    }

    #[test]
    fn rows_stay_in_quarantine_until_a_report_is_read_whole() {
        let with_two = Ended { quarantined: 2, ..run(1, Outcome::SucceededWithQuarantine) };
        let same_bytes = Ended { rows: 0, ..run(3, Outcome::Unchanged) };
        let state = states([with_two.clone(), run(2, AWAY), same_bytes.clone()]);
        assert_eq!((state.quarantined, state.records_run), (2, Some(RunId(1))));
        let state = states([with_two, same_bytes, run(4, Outcome::Succeeded)]);
        assert_eq!((state.quarantined, state.records_run), (0, Some(RunId(4))));
    }

    #[test]
    fn the_age_of_data_counts_from_the_fetch() {
        let late = Ended { fetched_at: Some(at(2)), at: at(9), ..run(1, Outcome::Succeeded) };
        assert_eq!(states([late]).applied.unwrap().fetched_at, at(2));
        assert_eq!(states([run(1, Outcome::Unchanged), run(3, AWAY)]).applied.unwrap().fetched_at, at(1));
    }
}
