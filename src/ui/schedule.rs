//! What runs next, and when? The ticks of all timers in one order.

use actix_web::{HttpRequest, HttpResponse, web};
use chrono::TimeDelta;
use maud::{Markup, html};

use super::{
    here::Here,
    shell::Frame,
    words::{clock, icon, of, span, type_name},
};
use crate::{
    api::Api,
    domain::{Role, Timestamp},
    scheduler::TypeSchedule,
};

/// Ticks of the list.
const TICKS: usize = 30;

/// The next ticks of all timers that are on, in order.
fn ticks(types: &[TypeSchedule], minute: TimeDelta) -> Vec<(Timestamp, &TypeSchedule)> {
    let on = types.iter().filter(|timer| timer.enabled);
    let mut ticks: Vec<(Timestamp, &TypeSchedule)> = on
        .filter_map(|timer| Some((timer.next_run?, timer)))
        .flat_map(|(next, timer)| {
            let interval = minute * i32::try_from(timer.interval_minutes).unwrap_or(i32::MAX);
            (0..TICKS).map(move |later| (next + interval * i32::try_from(later).unwrap_or(i32::MAX), timer))
        })
        .collect();
    ticks.sort_by_key(|(at, _)| *at);
    ticks.truncate(TICKS);
    ticks
}

/// `GET /schedule`
pub(super) async fn show(api: web::Data<Api>, request: HttpRequest) -> HttpResponse {
    Frame::answer(&api, &request, Here::Schedule, async |frame| Ok(body(frame))).await
}

fn body(frame: &Frame) -> Markup {
    let schedule = &frame.known.schedule;
    let minute = TimeDelta::from_std(frame.known.minute).unwrap_or(TimeDelta::minutes(1));
    let ticks = if schedule.running { ticks(&schedule.types, minute) } else { Vec::new() };
    let off = schedule.types.iter().filter(|timer| !timer.enabled).count() as u64;
    html! {
        div.head {
            div data-live="headline" {
                h1 {
                    @match ticks.first() {
                        Some((at, timer)) if *at > frame.now() => {
                            (type_name(&timer.sync_type)) " run next, in " (span((*at - frame.now()).num_seconds()))
                        }
                        Some((_, timer)) => { (type_name(&timer.sync_type)) " are due" }
                        None => "Nothing runs by itself",
                    }
                }
                p.lead {
                    "Each type has a timer of its own; a tick asks for one sync of each agent. How often is set on "
                    a href=(frame.path("/types")) { "Types" }
                    "."
                    @if off > 0 { " " (of(off, "timer is", "timers are")) " off." }
                    @if !schedule.running { " Automatic syncs are off." }
                    @if frame.known.pause.is_some() { " While the service is paused, ticks pass and nothing starts." }
                }
            }
        }
        @if !ticks.is_empty() {
            div.card data-live="ticks" { (table(frame, &ticks)) }
        }
    }
}

fn table(frame: &Frame, ticks: &[(Timestamp, &TypeSchedule)]) -> Markup {
    let agents = |timer: &TypeSchedule| {
        frame.overview.cells.iter().filter(|cell| cell.sync_type == timer.sync_type).count() as u64
    };
    html! {
        table.stack {
            thead {
                tr {
                    th scope="col" { "Type" }
                    th scope="col" { "For" }
                    th.n scope="col" { "Every" }
                    th.n scope="col" { "In" }
                    th.n scope="col" { "At" }
                    th scope="col" { span.vh { "Actions" } }
                }
            }
            tbody {
                @for (place, (at, timer)) in ticks.iter().enumerate() {
                    @let is_first = !ticks[..place].iter().any(|(_, other)| other.sync_type == timer.sync_type);
                    tr {
                        th scope="row" {
                            a href=(frame.path(&format!("/types/{}", timer.sync_type))) { (type_name(&timer.sync_type)) }
                        }
                        td data-l="For" { (of(agents(timer), "report", "reports")) }
                        td.n data-l="Every" { (timer.interval_minutes) " min" }
                        td.n.m data-l="In" {
                            @if *at > frame.now() { (span((*at - frame.now()).num_seconds())) } @else {
                                span.st.s-late { (icon("late")) span { "due" } }
                            }
                        }
                        td.n data-l="At" { (clock(*at, frame.now())) }
                        td.one {
                            @if is_first && frame.may(Role::Operator) {
                                (frame.button("sync", &[("type", timer.sync_type.as_str())], "", &html! {
                                    "Sync now" span.vh { ": " (type_name(&timer.sync_type)) }
                                }))
                            }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_timers_ticks_stand_in_one_order() {
        let at = |minute: i64| Timestamp::from_timestamp(1_800_000_000 + minute * 60, 0).unwrap();
        let timer = |name: &str, interval_minutes, next, enabled| TypeSchedule {
            sync_type: name.into(),
            interval_minutes,
            enabled,
            last_tick: None,
            next_run: Some(at(next)),
        };
        let types = [timer("orders", 10, 3, true), timer("prices", 60, 5, true), timer("ddt", 5, 1, false)];
        let ticks = ticks(&types, TimeDelta::minutes(1));
        let first: Vec<_> = ticks.iter().take(4).map(|(at, timer)| (*at, timer.sync_type.as_str())).collect();
        assert_eq!(first, [(at(3), "orders"), (at(5), "prices"), (at(13), "orders"), (at(23), "orders")]);
        assert_eq!(ticks.len(), TICKS);
    }
}
