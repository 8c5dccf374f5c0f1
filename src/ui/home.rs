//! How does everything stand, at a glance? What needs somebody, what runs, every agent by every type, what changed last.

use actix_web::{HttpRequest, HttpResponse, web};
use maud::{Markup, html};

use super::{
    asks::ask,
    change::change_line,
    here::Here,
    matrix::{Filter, matrix},
    runs::of_run,
    shell::Frame,
    words::{ago, count, of, whose},
};
use crate::{
    api::{Api, Problem},
    domain::{ItemStatus, Role},
    store::{ChangeQuery, RecordChange, RunTotals},
};

const ASKS: usize = 6;
const CHANGES: u64 = 12;

/// `GET /`
pub(super) async fn show(api: web::Data<Api>, request: HttpRequest, query: web::Query<Filter>) -> HttpResponse {
    Frame::answer(&api, &request, Here::Home, async |frame| body(frame, &query).await).await
}

async fn body(frame: &Frame, query: &Filter) -> Result<Markup, Problem> {
    let store = &frame.api.context.store;
    let wanted = ChangeQuery { agents: frame.caller.seen(), limit: CHANGES, ..ChangeQuery::default() };
    let changes = store.changes(wanted).await?;
    let totals = store.run_totals(frame.now() - chrono::TimeDelta::days(1)).await?;
    let seen = totals.iter().filter(|((_, agent), _)| frame.caller.sees(agent));
    let of_day = seen.fold(RunTotals::default(), |sum, (_, one)| sum.plus(one));
    let (first, rest) = frame.sentence();
    let attention = &frame.overview.attention;
    Ok(html! {
        div.head {
            div data-live="headline" {
                h1 { (first) }
                p.lead { (rest) }
            }
            @if frame.may(Role::Operator) {
                div.row {
                    ({
                        frame
                            .button(
                                "sync",
                                &[],
                                "",
                                &html! {
                                    "Sync all now"
                                },
                            )
                    })
                    @if frame.may_all(Role::Operator) && frame.known.pause.is_none() {
                        a.b href=(frame.path("/queue#pause")) { "Pause…" }
                    }
                }
            }
        }
        div.two {
            section.card data-live="attention" aria-labelledby="h-needs" {
                header {
                    h2 #h-needs { "Worst first" }
                    @if !attention.is_empty() {
                        a href=(frame.path("/needs-you")) { "All " (attention.len()) " in full" }
                    }
                }
                @if attention.is_empty() {
                    p.pad.m {
                        "Held reports, refused ones, sources that fail and changes that could not be delivered would be here."
                    }
                } @else {
                    ul.asks {
                        @for item in attention.iter().take(ASKS) { (ask(frame, item)) }
                    }
                }
            }
            div.gap {
                (running(frame))
                section.card.pad data-live="today" aria-label="Today in numbers" {
                    dl.figs {
                        div {
                            dt { "Runs within a day" }
                            dd {
                                (count(of_day.runs))
                                " "
                                small {
                                    @if of_day.failed == 0 { "none failed" } @else {
                                        (count(of_day.failed))
                                        " failed"
                                    }
                                }
                            }
                        }
                        div {
                            dt { "Changed within a day" }
                            dd {
                                (count(of_day.changed))
                                " "
                                small {
                                    @if of_day.changed == 1 { "record" } @else { "records" }
                                }
                            }
                        }
                        (undelivered(frame))
                    }
                }
            }
        }
        (matrix(frame, query))
        section.card data-live="changes" aria-labelledby="h-changed" {
            header {
                h2 #h-changed { "What changed last" }
                a href=(frame.path("/runs")) { "Runs" }
            }
            (stream(frame, &changes))
        }
    })
}

fn stream(frame: &Frame, changes: &[RecordChange]) -> Markup {
    html! {
        @if changes.is_empty() {
            p.pad.m { "Nothing yet: what a sync changes is here, field by field." }
        } @else {
            table.stack.mini {
                tbody {
                    @for change in changes { (change_line(frame, change, true)) }
                }
            }
        }
    }
}

/// What runs now, and how far it is.
pub(super) fn running(frame: &Frame) -> Markup {
    let runs = &frame.known.runs;
    html! {
        section.card data-live="running" aria-labelledby="h-now" {
            header {
                h2 #h-now { "Running now" }
                a href=(frame.path("/queue")) {
                    @if frame.waiting > 0 { (of(frame.waiting.unsigned_abs(), "more waits", "more wait")) } @else {
                        "Queue"
                    }
                }
            }
            @if runs.is_empty() {
                p.pad.m { "Nothing runs." }
            }
            ul.now {
                @for run in runs.iter().take(8) {
                    @let here = frame.known.running.iter().find(|one| one.run_id == run.id);
                    li {
                        div {
                            a href=(frame.path(&format!("/runs/{}", run.id))) { (whose(&run.sync_type, &run.agent_id)) }
                            span.m {
                                @match here.and_then(|one| one.progress.stage) {
                                    Some(stage) => (stage.as_str()),
                                    None => "under way",
                                }
                                @if let Some(here) = here.filter(|one| one.progress.total > 0) {
                                    ", "
                                    (here.progress.done)
                                    " of "
                                    (here.progress.total)
                                }
                            }
                        }
                        @match here.filter(|one| one.progress.total > 0) {
                            Some(here) => progress
                                value=(here.progress.done)
                                max=(here.progress.total)
                                aria-label={ (of_run(run)) ": " (here.progress.done) " of " (here.progress.total) } {},
                            None => progress aria-label={ (of_run(run)) ": under way" } {},
                        }
                    }
                }
            }
        }
    }
}

fn undelivered(frame: &Frame) -> Markup {
    let oldest =
        frame.known.outbox.models.iter().filter(|depth| depth.status != ItemStatus::Completed && depth.items > 0);
    let oldest = oldest.filter_map(|depth| depth.oldest).min();
    html! {
        @if frame.caller.is_for_all() {
            div {
                dt { "Oldest undelivered" }
                dd {
                    @match oldest {
                        Some(oldest) => {
                            (ago(oldest, frame.now()))
                            " "
                            small { (of(frame.undelivered, "change waits", "changes wait")) }
                        }
                        None => {
                            "none"
                            " "
                            small { "every change was delivered" }
                        }
                    }
                }
            }
        }
    }
}
