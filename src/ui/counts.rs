//! What became of a run's rows? In a few words, and as numbers that balance.

use maud::{Markup, html};

use super::words::{count, icon};
use crate::store::Run;

/// What became of its rows, in words; what is none is left out.
pub(super) fn did(run: &Run) -> String {
    let counts = &run.counts;
    let all = [
        (counts.inserted, "new"),
        (counts.updated, "changed"),
        (counts.refreshed, "refreshed"),
        (counts.restored, "back"),
        (counts.missing, "missing"),
        (counts.deleted, "deleted"),
        (counts.quarantined, "in quarantine"),
    ];
    let some: Vec<String> =
        all.iter().filter(|(rows, _)| *rows > 0).map(|(rows, what)| format!("{} {what}", count(*rows))).collect();
    if some.is_empty() { "nothing new".to_owned() } else { some.join(", ") }
}

/// Its counts as a card.
pub(super) fn counts(run: &Run) -> Markup {
    let counts = &run.counts;
    let all = [
        ("Added", counts.inserted),
        ("Changed", counts.updated),
        ("Refreshed", counts.refreshed),
        ("As stored", counts.unchanged),
        ("Back", counts.restored),
        ("In quarantine", counts.quarantined),
        ("Skipped", counts.skipped),
        ("Not stored", counts.not_applied),
    ];
    let sum: u64 = all.iter().map(|(_, rows)| rows).sum();
    let shown: Vec<String> = all.iter().filter(|(_, rows)| *rows > 0).map(|(_, rows)| count(*rows)).collect();
    html! {
        section.card.pad.gap data-live="counts" aria-labelledby="h-n" {
            h2 #h-n { "Counts" }
            dl.figs {
                div {
                    dt { "Read" }
                    dd { (count(counts.read)) }
                }
                @for (what, rows) in all {
                    @if rows > 0 {
                        div {
                            dt { (what) }
                            dd { (count(rows)) }
                        }
                    }
                }
                @if counts.missing > 0 {
                    div {
                        dt { "Missing" }
                        dd { (count(counts.missing)) }
                    }
                }
                @if counts.deleted > 0 {
                    div {
                        dt { "Deleted" }
                        dd { (count(counts.deleted)) }
                    }
                }
            }
            @if counts.read > 0 && run.outcome.is_some() {
                p.sum {
                    span {
                        b { (count(counts.read)) }
                    }
                    span.op { "=" }
                    span { (shown.join(" + ")) }
                    @if sum == counts.read {
                        span.st.s-fresh { (icon("done")) "balances" }
                    } @else {
                        span.st.s-bad { (icon("dead")) "does not balance" }
                    }
                }
            }
        }
    }
}
