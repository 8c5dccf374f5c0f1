//! What needs a person, and what can they do about it? Worst first, each with its words and its buttons.

use actix_web::{HttpRequest, HttpResponse, web};
use maud::{Markup, html};
use serde_json::Value as Json;

use super::{
    asks::{ask as line, headline, look_of, place_of},
    columns::changed,
    here::Here,
    quarantined::rows as table,
    shell::Frame,
    taught::unread,
    words::{ago, clock, icon},
};
use crate::{
    api::{Api, Problem},
    domain::{AttentionKind as Kind, Breaker, Role, standing::Action},
    overview::Item,
    report::Quarantined,
    store::Run,
};

/// Rows of a quarantine that are shown here.
const ROWS: usize = 5;
/// So many are shown in full; each asks the database for its run.
const IN_FULL: usize = 25;

/// `GET /needs-you`
pub(super) async fn show(api: web::Data<Api>, request: HttpRequest) -> HttpResponse {
    Frame::answer(&api, &request, Here::NeedsYou, async |frame| body(frame).await).await
}

/// One thing with what is needed to decide about it.
struct Shown<'a> {
    item: &'a Item,
    run: Option<Run>,
    rows: Vec<Quarantined>,
    /// Is the report there whose rows these are?
    has_report: bool,
}

async fn body(frame: &Frame) -> Result<Markup, Problem> {
    let store = &frame.api.context.store;
    let mut shown = Vec::new();
    for item in frame.overview.attention.iter().take(IN_FULL) {
        let run = match (item.kind, item.run_id) {
            (Kind::Held | Kind::Refused | Kind::Failing | Kind::Quarantine | Kind::LayoutChanged, Some(run)) => {
                store.run(run).await?
            }
            _ => None,
        };
        let rows = match (item.kind, item.run_id) {
            (Kind::Quarantine, Some(run)) => store.quarantined(run).await?,
            _ => Vec::new(),
        };
        let has_report = match &run {
            Some(run) if !rows.is_empty() => store.has_report(run).await?,
            _ => false,
        };
        shown.push(Shown { item, run, rows, has_report });
    }
    let calm_since = if shown.is_empty() { store.calm_since(frame.caller.seen()).await? } else { None };
    let (first, _) = frame.sentence();
    Ok(html! {
        div.head {
            div data-live="headline" {
                h1 { (first) }
                p.lead {
                    @if shown.is_empty() {
                        "Held reports, refused ones, rows in quarantine, sources that fail and changes that could not be delivered would be here."
                    } @else {
                        "Worst first. Nothing here is done without you; what heals by itself is on "
                        a href=(frame.path("/")) { "Home" }
                        "."
                    }
                }
            }
        }
        div.gap data-live="asks" {
            @if shown.is_empty() {
                section.card.calm {
                    (icon("calm"))
                    h2 { "Nothing waits for you" }
                    p.lead {
                        @if let Some(since) = calm_since { "Since " (clock(since, frame.now())) ", as of " } @else {
                            "As of "
                        }
                        (clock(frame.now(), frame.now()))
                        "."
                    }
                    a.b href=(frame.path("/")) { "Home" }
                }
            }
            @for (number, one) in shown.iter().enumerate() { (ask(frame, one, number)) }
            @if frame.overview.attention.len() > IN_FULL {
                section.card aria-labelledby="h-rest" {
                    header {
                        h2 #h-rest { "And " (frame.overview.attention.len() - IN_FULL) " more" }
                    }
                    ul.asks {
                        @for item in frame.overview.attention.iter().skip(IN_FULL) { (line(frame, item)) }
                    }
                }
            }
        }
    })
}

fn ask(frame: &Frame, Shown { item, run, rows, has_report }: &Shown<'_>, number: usize) -> Markup {
    let (class, symbol) = look_of(*item);
    let id = format!("ask-{number}");
    html! {
        section.card.ask.(class) aria-labelledby=(id) {
            header {
                (icon(symbol))
                div {
                    h2 #(id) { (headline(*item)) }
                }
                @if let Some(since) = item.since { (ago(since, frame.now())) }
            }
            div.in {
                p { (item.text) }
                @if let Some(error) = {
                    run.as_ref()
                        .and_then(|run| run.error.as_ref())
                        .filter(|error| !item.text.contains(error.as_str()))
                } {
                    p.m { (error) }
                }
                @if !rows.is_empty() {
                    div.card {
                        (table(frame, run.as_ref().filter(|_| *has_report).map(|run| run.id), &rows[..rows.len().min(ROWS)]))
                    }
                    @if rows.len() > ROWS {
                        p.m.s { "And " (rows.len() - ROWS) " more on the run’s page." }
                    }
                }
                @if let Some(Json::Object(notes)) = run.as_ref().and_then(|run| run.notes.as_ref()) {
                    @let spec = item.sync_type.as_ref().and_then(|name| frame.known.types.get(name.as_str()));
                    (changed(spec.map(AsRef::as_ref), notes))
                    @if let Some(run) = run { (unread(frame, spec.map(AsRef::as_ref), run)) }
                }
                div.row { (buttons(frame, item)) }
            }
        }
    }
}

fn buttons(frame: &Frame, item: &Item) -> Markup {
    let run = item.run_id.map(|run| run.to_string());
    let breaker = frame
        .known
        .breakers
        .iter()
        .find(|one| matches!(one.breaker, Breaker::Open { .. }) && item.agent.as_ref() == Some(&one.agent_id));
    let pair = item.sync_type.as_ref().zip(item.agent.as_ref());
    html! {
        @match (item.kind, &run) {
            (Kind::Held, Some(run)) => a.b.pri href=(frame.path(&format!("/runs/{run}#plan"))) {
                "See the plan and decide"
            },
            (_, Some(run)) => a.b href=(frame.path(&format!("/runs/{run}"))) { "See the run" },
            (Kind::BreakerOpen, None) => {}
            (_, None) => a.b href=(frame.path(&place_of(item))) { "See them" },
        }
        @if frame.may(Role::Operator) {
            @if let Some((name, agent)) = pair.filter(|_| item.actions.contains(&Action::Trigger)) {
                ({
                    frame
                        .button(
                            "sync",
                            &[("type", name.as_str()), ("agent", agent.as_str())],
                            "",
                            &html! {
                                "Sync it now"
                            },
                        )
                })
            }
            @if let Some(breaker) = {
                breaker
                    .filter(|_| {
                        item.actions.contains(&Action::ResetBreaker)
                            && frame.may_all(Role::Operator)
                    })
            } {
                ({
                    frame
                        .button(
                            "reset-breaker",
                            &[("id", &breaker.id.to_string())],
                            "",
                            &html! {
                                "Ask the source again"
                            },
                        )
                })
            }
        } @else {
            span.m.s { "An operator can act on it." }
        }
    }
}
