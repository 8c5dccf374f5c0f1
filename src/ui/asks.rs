//! What needs somebody, in a few words: its shape, its headline, and where one sees more of it.

use maud::{Markup, html};

use super::{
    shell::Frame,
    words::{ago, icon, type_name},
};
use crate::{
    domain::{AgentId, AttentionKind as Kind, RunId, SERVICE_ACCOUNT, SyncType},
    overview::Item,
    store::Alert,
};

/// What something is about.
#[derive(Clone, Copy)]
pub(super) struct About<'a> {
    kind: Kind,
    sync_type: Option<&'a SyncType>,
    agent: Option<&'a AgentId>,
    model: Option<&'a str>,
    run: Option<RunId>,
}

impl<'a> From<&'a Item> for About<'a> {
    fn from(item: &'a Item) -> Self {
        let (sync_type, agent, model) = (item.sync_type.as_ref(), item.agent.as_ref(), item.model.as_deref());
        Self { kind: item.kind, sync_type, agent, model, run: item.run_id }
    }
}

impl<'a> From<&'a Alert> for About<'a> {
    fn from(alert: &'a Alert) -> Self {
        let (sync_type, agent, model) = (alert.sync_type.as_ref(), alert.agent_id.as_ref(), alert.model.as_deref());
        Self { kind: alert.kind, sync_type, agent, model, run: alert.run_id }
    }
}

/// One thing that needs somebody, as a line with a link.
pub(super) fn ask(frame: &Frame, item: &Item) -> Markup {
    let (class, symbol) = look_of(item);
    html! {
        li.(class) {
            (icon(symbol))
            div {
                a href=(frame.path(&place_of(item))) { (headline(item)) }
                p { (item.text) }
            }
            @if let Some(since) = item.since { (ago(since, frame.now())) } @else {
                span {}
            }
            a.b href=(frame.path(&place_of(item))) {
                "See why"
                span.vh { ": " (headline(item)) }
            }
        }
    }
}

/// How it is shown.
pub(super) fn look_of<'a>(of: impl Into<About<'a>>) -> (&'static str, &'static str) {
    match of.into().kind {
        Kind::Refused => ("s-refused", "refused"),
        Kind::Failing | Kind::BreakerOpen => ("s-failing", "failing"),
        Kind::Held => ("s-held", "held"),
        Kind::Late => ("s-late", "late"),
        Kind::WriteBackFailed => ("s-bad", "dead"),
        Kind::WriteBackDoubtful | Kind::ModelNotConfigured => ("s-wait", "doubt"),
        Kind::Quarantine | Kind::Orphans => ("s-wait", "quar"),
        Kind::LayoutChanged => ("s-wait", "chg"),
    }
}

/// What it is about, in a few words.
pub(super) fn headline<'a>(of: impl Into<About<'a>>) -> String {
    let about = of.into();
    let what = about.sync_type.map(type_name);
    let whose = about.agent.map(ToString::to_string);
    let of = match (what, whose) {
        (Some(what), Some(whose)) if whose == SERVICE_ACCOUNT => what,
        (Some(what), Some(whose)) => format!("{what} of {whose}"),
        (Some(what), None) => what,
        (None, Some(whose)) => whose,
        (None, None) => about.model.unwrap_or("Write-back").to_owned(),
    };
    let how = match about.kind {
        Kind::Refused => "the report is refused",
        Kind::Failing => "syncs fail",
        Kind::Held => "held, please decide",
        Kind::Late => "older than they may be",
        Kind::BreakerOpen => "the source is left alone",
        Kind::WriteBackFailed => "not delivered",
        Kind::WriteBackDoubtful => "did it arrive?",
        Kind::ModelNotConfigured => "no sink takes them",
        Kind::Quarantine => "rows in quarantine",
        Kind::Orphans => "records without what they belong to",
        Kind::LayoutChanged => "the report looks otherwise",
    };
    format!("{of}: {how}")
}

/// Where one sees more of it.
pub(super) fn place_of<'a>(of: impl Into<About<'a>>) -> String {
    let about = of.into();
    match (about.kind, about.run) {
        (Kind::WriteBackFailed, _) => "/write-back?status=FAILED".to_owned(),
        (Kind::WriteBackDoubtful, _) => "/write-back?status=doubtful".to_owned(),
        (Kind::ModelNotConfigured, _) => "/write-back".to_owned(),
        (Kind::BreakerOpen, _) | (_, None) => "/needs-you".to_owned(),
        (_, Some(run)) => format!("/runs/{run}"),
    }
}
