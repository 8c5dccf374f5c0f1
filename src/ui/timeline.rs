//! Where does a run stand, and how long did each stage of it take?

use maud::{Markup, html};

use super::{
    shell::Frame,
    words::{clock, end_of, icon, span},
};
use crate::{
    domain::{Outcome, Stage},
    store::{Job, Run},
};

const STAGES: [Stage; 4] = [Stage::Fetch, Stage::Read, Stage::Plan, Stage::Apply];

/// Waited, fetched, read, planned, stored: as far as it came.
pub(super) fn timeline(frame: &Frame, run: &Run, job: Option<&Job>) -> Markup {
    let now = frame.now();
    let steps = steps(run);
    html! {
        section.card.pad.gap data-live="timeline" aria-labelledby="h-t" {
            h2 #h-t { "Timeline" }
            ol.line {
                @if let Some(job) = job {
                    li.s-fresh {
                        b { (icon("done")) "waited" }
                        span {
                            (took((run.started_at - job.enqueued_at).num_milliseconds()))
                            ", since "
                            (clock(job.enqueued_at, now))
                        }
                    }
                }
                @if steps.is_empty() || job.is_none() {
                    li.s-fresh {
                        b { (icon("done")) "began" }
                        span { (clock(run.started_at, now)) }
                    }
                }
                @for (stage, ms) in &steps {
                    @let is_last = steps.last().is_some_and(|(last, _)| last == stage);
                    @let (class, symbol) = if is_last { end_of(run.outcome) } else { ("s-fresh", "done") };
                    li.(class) {
                        b { (icon(symbol)) (word(*stage, is_last.then_some(run.outcome).flatten())) }
                        span {
                            (took(*ms))
                            @if *stage == Stage::Fetch { ", from " (clock(run.started_at, now)) }
                        }
                    }
                }
                @if run.outcome.is_none() { (under_way(frame, run)) }
                @if let Some(end) = run.finished_at.filter(|_| steps.is_empty()) {
                    @let (class, symbol) = end_of(run.outcome);
                    li.(class) {
                        b { (icon(symbol)) "ended" }
                        span { (clock(end, now)) ", " (took(run.duration_ms.unwrap_or_default())) " in all" }
                    }
                }
            }
            @if let Some(end) = run.finished_at.filter(|_| !steps.is_empty()) {
                p.s.m {
                    "Ended "
                    (clock(end, now))
                    ", "
                    (took(run.duration_ms.unwrap_or_default()))
                    " after its start."
                }
            }
        }
    }
}

fn under_way(frame: &Frame, run: &Run) -> Markup {
    let known = frame.known.running.iter().find(|one| one.run_id == run.id).map(|one| &one.progress);
    let now_in = known.and_then(|progress| progress.stage);
    html! {
        @for stage in STAGES.into_iter().take_while(|stage| now_in.is_some_and(|now_in| *stage != now_in)) {
            li.s-fresh {
                b { (icon("done")) (word(stage, None)) }
            }
        }
        li.s-running aria-current="step" {
            b {
                (icon("running"))
                @match now_in {
                    Some(Stage::Fetch) => "fetching",
                    Some(Stage::Read) => "reading",
                    Some(Stage::Plan) => "planning",
                    Some(Stage::Apply) => "storing",
                    None => "under way",
                }
            }
            @if let Some(progress) = known.filter(|progress| progress.total > 0) {
                progress value=(progress.done) max=(progress.total) aria-label="how far it is" {}
                span { (progress.done) " of " (progress.total) }
            }
        }
    }
}

/// What is known of how long each stage took, in their order; of runs of older versions nothing.
fn steps(run: &Run) -> Vec<(Stage, i64)> {
    let Some(times) = &run.stages else { return Vec::new() };
    STAGES.into_iter().filter_map(|stage| Some((stage, times.get(stage.as_str())?.as_i64()?))).collect()
}

/// A stage that is over; the last one of a run that did not come to its end names where it was.
fn word(stage: Stage, ended: Option<Outcome>) -> &'static str {
    let came_through = ended.is_none_or(Outcome::is_applied);
    match (stage, ended) {
        (Stage::Plan, Some(Outcome::Held)) => "held",
        (Stage::Fetch, _) if came_through => "fetched",
        (Stage::Read, _) if came_through => "read",
        (Stage::Plan, _) if came_through => "planned",
        (Stage::Apply, _) if came_through => "stored",
        (Stage::Fetch, _) => "ended in the fetch",
        (Stage::Read, _) => "ended while it was read",
        (Stage::Plan, _) => "ended in the plan",
        (Stage::Apply, _) => "ended while it was stored",
    }
}

/// `12 ms`, `2.9 s`, `3 min`
pub(super) fn took(ms: i64) -> String {
    match ms.max(0) {
        ms @ 0..=999 => format!("{ms} ms"),
        ms @ 1_000..=59_999 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        ms => span(ms / 1_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_stages_are_said_in_words() {
        assert_eq!([0, 999, 2_940, 59_999, 125_000].map(took), ["0 ms", "999 ms", "2.9 s", "59.9 s", "2 min"]);
        assert_eq!(word(Stage::Plan, Some(Outcome::Held)), "held");
        assert_eq!(word(Stage::Apply, Some(Outcome::Succeeded)), "stored");
        assert_eq!(word(Stage::Fetch, Some(Outcome::Unchanged)), "fetched");
        assert_eq!(word(Stage::Read, Some(Outcome::Failed { retryable: false })), "ended while it was read");
    }
}
