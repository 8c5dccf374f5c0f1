//! How often does each type run, and how does it stand? Its interval is changed in place.

use actix_web::{HttpRequest, HttpResponse, web};
use maud::{Markup, html};

use super::{
    here::Here,
    shell::Frame,
    words::{clock, count, icon, standing, type_name},
};
use crate::{
    api::{Api, Problem},
    domain::{Role, clock::INTERVAL_MINUTES},
    store::RunTotals,
    sync_type::{Scope, SyncTypeSpec},
};

/// `GET /types`
pub(super) async fn show(api: web::Data<Api>, request: HttpRequest) -> HttpResponse {
    Frame::answer(&api, &request, Here::Types, async |frame| body(frame).await).await
}

async fn body(frame: &Frame) -> Result<Markup, Problem> {
    let totals = frame.api.context.store.run_totals(frame.now() - chrono::TimeDelta::days(7)).await?;
    let of_type = |spec: &SyncTypeSpec| {
        let own = totals.iter().filter(|((name, agent), _)| *name == spec.name && frame.caller.sees(agent));
        own.fold(RunTotals::default(), |sum, (_, one)| sum.plus(one))
    };
    Ok(html! {
        div.head {
            div {
                h1 { "Types" }
                p.lead {
                    "A type is one report of the ERP, and what becomes of it. Where its columns come from is in its file."
                }
            }
            @if frame.may_all(Role::Admin) {
                div.row {
                    @if frame.known.schedule.running {
                        ({
                            frame
                                .sure(
                                    "auto-sync",
                                    &[("on", "false")],
                                    "Turn automatic syncs off",
                                    &html! {
                                        "No timer starts a sync any more until somebody turns them on again. What was asked for by hand still runs."
                                    },
                                )
                        })
                    } @else {
                        ({
                            frame
                                .button(
                                    "auto-sync",
                                    &[("on", "true")],
                                    "pri",
                                    &html! {
                                        "Turn automatic syncs on"
                                    },
                                )
                        })
                    }
                }
            }
        }
        div.card data-live="types" {
            table.stack.types {
                thead {
                    tr {
                        th scope="col" { "Type" }
                        th scope="col" { "Stands" }
                        th scope="col" { "Every" }
                        th.n scope="col" { "Next" }
                        th.n scope="col" { "Runs in a week" }
                        th.n.no scope="col" { "Usual" }
                        th scope="col" {
                            span.vh { "Actions" }
                        }
                    }
                }
                tbody {
                    @for spec in frame.known.types.iter() { (line(frame, spec, &of_type(spec))) }
                }
            }
        }
    })
}

fn line(frame: &Frame, spec: &SyncTypeSpec, week: &RunTotals) -> Markup {
    let timer = frame.known.schedule.types.iter().find(|timer| timer.sync_type == spec.name);
    let worst = frame.overview.worst_by_type().get(&spec.name).map(|worst| standing(worst));
    let (least, most) = INTERVAL_MINUTES.into_inner();
    let name = spec.name.as_str();
    let is_on = timer.is_none_or(|timer| timer.enabled);
    let next = timer.and_then(|timer| timer.next_run).filter(|_| frame.known.schedule.running);
    html! {
        tr {
            th scope="row" {
                a href=(frame.path(&format!("/types/{name}"))) { (type_name(&spec.name)) }
                small.m {
                    @if spec.scope == Scope::Shared { "shared by all agents" } @else {
                        "one report for each agent"
                    }
                }
            }
            td data-l="Stands" {
                @match worst {
                    Some((class, symbol, word)) => span.st.(class) {
                        (icon(symbol))
                        span { (word) }
                    },
                    None => span.m { "no agent" },
                }
            }
            td data-l="Every" {
                @if frame.may_all(Role::Admin) {
                    form.edit method="post" action=(frame.path("/act/interval")) {
                        (frame.keys())
                        input type="hidden" name="type" value=(name);
                        label {
                            span.vh { "Minutes between two runs of " (type_name(&spec.name)) }
                            input
                                type="number"
                                name="minutes"
                                min=(least)
                                max=(most)
                                required
                                value=({
                                    timer
                                        .map_or(
                                            spec.interval_minutes,
                                            |timer| timer.interval_minutes,
                                        )
                                });
                            " min"
                        }
                        button.b {
                            "Set"
                            span.vh { " the interval of " (type_name(&spec.name)) }
                        }
                    }
                } @else {
                    @match timer {
                        Some(timer) => { (timer.interval_minutes) " min" }
                        None => "no timer",
                    }
                }
            }
            td.n data-l="Next" {
                @if !is_on {
                    span.st.s-off {
                        (icon("off"))
                        span { "off" }
                    }
                } @else {
                    @match next {
                        Some(next) => (clock(next, frame.now())),
                        None => span.m { "none" },
                    }
                }
            }
            td.n data-l="Runs" {
                (count(week.runs))
                @if week.failed > 0 {
                    " "
                    small.m { (count(week.failed)) " failed" }
                }
            }
            td.n.no data-l="Usual" {
                @match week.average_ms() {
                    Some(ms) => { (ms) " ms" }
                    None => span.m { "not known" },
                }
            }
            td {
                div.row.acts {
                    @if frame.may(Role::Operator) {
                        ({
                            frame
                                .button(
                                    "sync",
                                    &[("type", name)],
                                    "",
                                    &html! {
                                        "Sync now" span.vh { ": "(type_name(& spec.name)) }
                                    },
                                )
                        })
                    }
                    @if frame.may_all(Role::Operator) {
                        ({
                            frame
                                .button(
                                    "stop",
                                    &[("type", name)],
                                    "",
                                    &html! {
                                        "Stop" span.vh { " "(type_name(& spec.name)) }
                                    },
                                )
                        })
                    }
                    @if frame.may_all(Role::Admin) {
                        ({
                            frame
                                .button(
                                    "enable",
                                    &[
                                        ("type", name),
                                        ("on", if is_on { "false" } else { "true" }),
                                    ],
                                    "",
                                    &html! {
                                        @ if is_on { "Turn off" } @ else { "Turn on" } span.vh {
                                        " "(type_name(& spec.name)) }
                                    },
                                )
                        })
                    }
                }
            }
        }
    }
}
