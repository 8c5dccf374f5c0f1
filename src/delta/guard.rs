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
    /// Rows that became missing or were deleted within the last day, and since a person last approved a run.
    pub gone_lately: u64,
    /// Keys of the report that are new, but for their spelling.
    pub similar: u64,
    /// Keys of the report that are stored under this agent.
    pub known_here: u64,
    /// The most keys of the report that are stored under one other agent.
    pub known_elsewhere: u64,
}

/// One guard's reason to hold a run, with its numbers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// `no_rows`, `few_rows`, `many_missing`, `many_missing_lately`, `many_quarantined`, `similar_keys`,
    /// `other_agent`.
    pub guard: String,
    /// What was measured, in the threshold's unit.
    pub measured: f64,
    /// The threshold it passed.
    pub threshold: f64,
    /// For people.
    pub text: String,
}

/// So many rows are some: fewer say nothing, however large their share.
const SOME: u64 = 3;
/// More than this share (percent) of the stored rows is too much to lose at any size.
const HALF: f64 = 50.0;

fn percent(part: u64, whole: u64) -> f64 {
    part as f64 * 100.0 / whole.max(1) as f64
}

/// The threshold (percent) that so many missing rows of `live` ones pass, if they pass any.
fn passed(missing: u64, live: u64, limits: &Guards) -> Option<f64> {
    let finer = limits.max_missing_percent;
    let coarser = finer.max(HALF);
    if live >= limits.from_rows && percent(missing, live) > finer {
        return Some(finer);
    }
    (missing >= SOME && percent(missing, live) > coarser).then_some(coarser)
}

/// Every reason to hold a run; none means that it may be applied.
#[must_use]
pub fn judge(evidence: Evidence, limits: &Guards) -> Vec<Verdict> {
    let Evidence { rows, quarantined, live, newly_missing, gone_lately, similar, known_here, known_elsewhere } =
        evidence;
    let mut verdicts = Vec::new();
    let mut hold = |guard: &str, measured: f64, threshold: f64, text: String| {
        verdicts.push(Verdict { guard: guard.to_owned(), measured, threshold, text });
    };
    if rows == 0 && live > 0 {
        hold("no_rows", 0.0, 1.0, format!("the report has no rows, {live} are stored"));
    } else if live >= limits.from_rows && percent(rows, live) < limits.min_rows_percent {
        let text =
            format!("the report has {rows} rows, {live} are stored: a filter may be left over in the ERP's grid");
        hold("few_rows", percent(rows, live), limits.min_rows_percent, text);
    }
    let (gone, before) = (newly_missing + gone_lately, live + gone_lately);
    if rows == 0 {
        // said above
    } else if let Some(threshold) = passed(newly_missing, live, limits) {
        let text = format!("{newly_missing} of {live} stored rows are not in the report");
        hold("many_missing", percent(newly_missing, live), threshold, text);
    } else if let Some(threshold) = passed(gone, before, limits).filter(|_| newly_missing > 0) {
        let text = format!(
            "{newly_missing} of {live} stored rows are not in the report, and {gone_lately} went within the last day: \
             {gone} of {before} together"
        );
        hold("many_missing_lately", percent(gone, before), threshold, text);
    }
    if rows >= limits.from_rows && percent(quarantined, rows) > limits.max_quarantined_percent {
        let text = format!("{quarantined} of {rows} rows do not fit");
        hold("many_quarantined", percent(quarantined, rows), limits.max_quarantined_percent, text);
    }
    if similar >= SOME && percent(similar, rows) > limits.max_similar_percent {
        let text = format!(
            "{similar} of {rows} keys are stored in another spelling (capitals, blanks): the ERP may print them \
             differently now, and each would become a second record"
        );
        hold("similar_keys", percent(similar, rows), limits.max_similar_percent, text);
    }
    if known_elsewhere * 2 > rows && known_here * 5 < rows {
        let text = format!(
            "{known_elsewhere} of {rows} keys are stored under another agent, {known_here} under this one: \
             this may be another agent's report"
        );
        hold("other_agent", percent(known_elsewhere, rows), HALF, text);
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
            (Evidence { rows: 9, live: 19, newly_missing: 10, known_here: 9, ..calm }, vec!["many_missing"]),
            (Evidence { rows: 10, live: 19, newly_missing: 9, known_here: 10, ..calm }, vec![]),
            (Evidence { rows: 1, live: 3, newly_missing: 2, known_here: 1, ..calm }, vec![]),
            (Evidence { rows: 1, live: 4, newly_missing: 3, known_here: 1, ..calm }, vec!["many_missing"]),
            (Evidence { newly_missing: 20, ..calm }, vec![]),
            (Evidence { newly_missing: 21, ..calm }, vec!["many_missing"]),
            (
                Evidence { rows: 419, live: 4523, newly_missing: 4104, known_here: 419, ..calm },
                vec!["few_rows", "many_missing"],
            ),
            (Evidence { live: 83, rows: 69, newly_missing: 14, known_here: 69, ..calm }, vec![]),
            (
                Evidence { live: 83, rows: 69, newly_missing: 14, gone_lately: 17, known_here: 69, ..calm },
                vec!["many_missing_lately"],
            ),
            (Evidence { live: 70, rows: 70, gone_lately: 30, known_here: 70, ..calm }, vec![]),
            (
                Evidence { live: 4, rows: 3, newly_missing: 1, gone_lately: 4, known_here: 3, ..calm },
                vec!["many_missing_lately"],
            ),
            (Evidence { similar: 5, ..calm }, vec![]),
            (Evidence { similar: 6, ..calm }, vec!["similar_keys"]),
            (Evidence { rows: 10, live: 10, known_here: 10, similar: 2, ..calm }, vec![]),
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
    /// Every stored size from 0 to 50 against every report of 0 to 50 of its rows.
    #[test]
    fn no_size_is_too_small_to_be_guarded() {
        for live in 0..=50_u64 {
            for rows in 0..=50_u64 {
                let known_here = rows.min(live);
                let newly_missing = live - known_here;
                let evidence = Evidence { rows, live, newly_missing, known_here, ..Evidence::default() };
                let held = !judge(evidence, &Guards::default()).is_empty();
                let loses_half = newly_missing >= 3 && newly_missing * 2 > live;
                let loses_a_fifth = live >= 20 && newly_missing * 5 > live;
                let is_empty = rows == 0 && live > 0;
                assert_eq!(held, loses_half || loses_a_fifth || is_empty, "{rows} rows, {live} stored");
            }
        }
    }
}
