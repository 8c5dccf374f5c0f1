//! Is this report so odd that a person must look before anything is written?

use serde::{Deserialize, Serialize};

use crate::sync_type::spec::Guards;

/// What the guards look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Evidence {
    /// Rows of the report.
    pub rows: u64,
    /// Of them, rows that do not fit.
    pub quarantined: u64,
    /// Stored rows that are neither missing nor deleted.
    pub live: u64,
    /// Of them, rows that the report does not hold.
    pub newly_missing: u64,
    /// Keys of the report that are stored under this agent.
    pub known_here: u64,
    /// The most keys of the report that are stored under one other agent.
    pub known_elsewhere: u64,
}

/// One guard's reason to hold a run, with its numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// `no_rows`, `few_rows`, `many_missing`, `many_quarantined`, `other_agent`.
    pub guard: String,
    /// What was measured, in the threshold's unit.
    pub measured: f64,
    /// The threshold it passed.
    pub threshold: f64,
    /// For people.
    pub text: String,
}

/// Every reason to hold a run; none means that it may be applied.
#[must_use]
pub fn judge(evidence: Evidence, limits: &Guards) -> Vec<Verdict> {
    let Evidence { rows, quarantined, live, newly_missing, known_here, known_elsewhere } = evidence;
    let percent = |part: u64, whole: u64| part as f64 * 100.0 / whole.max(1) as f64;
    let mut verdicts = Vec::new();
    let mut hold = |guard: &str, measured: f64, threshold: f64, text: String| {
        verdicts.push(Verdict { guard: guard.to_owned(), measured, threshold, text });
    };
    let judged_by_share = live >= limits.from_rows;
    if rows == 0 && live > 0 {
        hold("no_rows", 0.0, 1.0, format!("the report has no rows, {live} are stored"));
    } else if judged_by_share && percent(rows, live) < limits.min_rows_percent {
        let text =
            format!("the report has {rows} rows, {live} are stored: a filter may be left over in the ERP's grid");
        hold("few_rows", percent(rows, live), limits.min_rows_percent, text);
    }
    if rows > 0 && judged_by_share && percent(newly_missing, live) > limits.max_missing_percent {
        let text = format!("{newly_missing} of {live} stored rows are not in the report");
        hold("many_missing", percent(newly_missing, live), limits.max_missing_percent, text);
    }
    if rows >= limits.from_rows && percent(quarantined, rows) > limits.max_quarantined_percent {
        let text = format!("{quarantined} of {rows} rows do not fit");
        hold("many_quarantined", percent(quarantined, rows), limits.max_quarantined_percent, text);
    }
    if known_elsewhere * 2 > rows && known_here * 5 < rows {
        let text = format!(
            "{known_elsewhere} of {rows} keys are stored under another agent, {known_here} under this one: \
             this may be another agent's report"
        );
        hold("other_agent", percent(known_elsewhere, rows), 50.0, text);
    }
    verdicts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guards_hold_at_their_thresholds_and_not_before() {
        let calm = Evidence { rows: 100, live: 100, known_here: 100, ..Evidence::default() };
        for (evidence, expected) in [
            (calm, vec![]),
            (Evidence { rows: 0, live: 0, ..calm }, vec![]),
            (Evidence { rows: 0, live: 1, newly_missing: 1, known_here: 0, ..calm }, vec!["no_rows"]),
            (Evidence { rows: 50, ..calm }, vec![]),
            (Evidence { rows: 49, ..calm }, vec!["few_rows"]),
            (Evidence { rows: 9, live: 19, newly_missing: 10, known_here: 9, ..calm }, vec![]),
            (Evidence { newly_missing: 20, ..calm }, vec![]),
            (Evidence { newly_missing: 21, ..calm }, vec!["many_missing"]),
            (
                Evidence { rows: 419, live: 4523, newly_missing: 4104, known_here: 419, ..calm },
                vec!["few_rows", "many_missing"],
            ),
            (Evidence { quarantined: 5, ..calm }, vec![]),
            (Evidence { quarantined: 6, ..calm }, vec!["many_quarantined"]),
            (Evidence { rows: 19, quarantined: 5, live: 0, known_here: 0, ..calm }, vec![]),
            (Evidence { live: 0, known_here: 19, known_elsewhere: 51, ..calm }, vec!["other_agent"]),
            (Evidence { live: 0, known_here: 20, known_elsewhere: 80, ..calm }, vec![]),
            (Evidence { live: 0, known_here: 0, known_elsewhere: 50, ..calm }, vec![]),
        ] {
            let guards: Vec<_> = judge(evidence, &Guards::default()).into_iter().map(|verdict| verdict.guard).collect();
            assert_eq!(guards, expected, "{evidence:?}");
        }
    }
}
