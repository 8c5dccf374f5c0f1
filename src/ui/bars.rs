//! How did the last runs end, and how old is the data? A bar each over a line, in one small drawing.

use std::fmt::Write as _;

use maud::{Markup, html};

use crate::domain::{RECENT, Recent, RecentRun};

/// A bar and the gap after it.
const STEP: usize = 4;
const WIDTH: usize = RECENT * STEP;

/// In words, for those who do not see it.
fn words(recent: &Recent) -> String {
    let runs = recent.runs();
    let counted = [
        (RecentRun::Failed, "failed"),
        (RecentRun::Held, "held"),
        (RecentRun::Stopped, "stopped"),
        (RecentRun::Changed, "changed something"),
    ];
    let said: Vec<String> = counted
        .into_iter()
        .map(|(kind, word)| (runs.iter().filter(|run| **run == kind).count(), word))
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    match (runs.len(), said.is_empty()) {
        (0, _) => "No runs yet".to_owned(),
        (count, true) => format!("Last {count} runs: nothing new"),
        (count, false) => format!("Last {count} runs: {}", said.join(", ")),
    }
}

/// The bars of one kind, the newest run at the right.
fn path(recent: &Recent, kind: RecentRun, top: usize) -> String {
    let runs = recent.runs();
    let first = RECENT.saturating_sub(runs.len());
    let mut path = String::new();
    for (place, _) in runs.iter().enumerate().filter(|(_, run)| **run == kind) {
        write!(path, "M{}.5 11V{top}", (first + place) * STEP + 1).ok();
    }
    path
}

/// The drawing: a share of 1 is as old as the data may be.
pub(super) fn bars(recent: &Recent, share: f64) -> Markup {
    let length = (share.clamp(0.0, 1.0) * WIDTH as f64).round();
    let known = recent.runs().len().min(RECENT) * STEP;
    html! {
        svg.spark
            viewBox={ "0 0 " (WIDTH) " 15" }
            preserveAspectRatio="none"
            role="img"
            aria-label={ (words(recent)) ". Age: " ((share * 100.0).round()) " % of what is allowed" }
        {
            @if known > 0 { path d={ "M" (WIDTH - known) " 10h" (known) } {} }
            @for (class, kind, top) in [("g", RecentRun::Changed, 5), ("h", RecentRun::Held, 2), ("x", RecentRun::Failed, 0)] {
                @let path = path(recent, kind, top);
                @if !path.is_empty() { path class=(class) d=(path) {} }
            }
            path.tr d={ "M0 14h" (WIDTH) } {}
            path.ag d={ "M0 14h" (length) } {}
        }
    }
}

/// What the bars mean.
pub(super) fn key() -> Markup {
    let kinds = [
        ("", "M0 10h20", "a run, nothing new"),
        ("g", "M1.5 11V5M5.5 11V5M9.5 11V5", "changed something"),
        ("h", "M1.5 11V2M5.5 11V2", "held"),
        ("x", "M1.5 11V0M5.5 11V0", "failed"),
    ];
    html! {
        p.key {
            @for (class, path, word) in kinds {
                span {
                    svg.spark viewBox="0 0 20 12" aria-hidden="true" {
                        path class=[(!class.is_empty()).then_some(class)] d=(path) {}
                    }
                    (word)
                }
            }
            span.s-fresh {
                svg.spark viewBox="0 0 20 12" aria-hidden="true" {
                    path.tr d="M0 10h20" {}
                    path.ag d="M0 10h12" {}
                }
                "age against its target"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_run_is_at_the_right() {
        let drawn = bars(&Recent::read("ucf"), 0.5).into_string();
        assert!(drawn.contains("M113.5 11V5") && drawn.contains("M117.5 11V0"), "{drawn}");
        assert!(drawn.contains("M108 10h12") && drawn.contains("M0 14h60"), "{drawn}");
        assert!(drawn.contains("Last 3 runs: 1 failed, 1 changed something. Age: 50 % of what is allowed"), "{drawn}");
        assert!(bars(&Recent::default(), 9.0).into_string().contains("No runs yet. Age: 900 %"));
    }
}
