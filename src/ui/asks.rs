//! What needs somebody, in a few words: its shape, its headline, and where one sees more of it.

use maud::{Markup, html};

use super::{
    shell::Frame,
    words::{ago, icon, type_name},
};
use crate::{
    domain::SERVICE_ACCOUNT,
    overview::{Item, Kind},
};

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
pub(super) fn look_of(item: &Item) -> (&'static str, &'static str) {
    match item.kind {
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
pub(super) fn headline(item: &Item) -> String {
    let what = item.sync_type.as_ref().map(type_name);
    let whose = item.agent.as_ref().map(ToString::to_string);
    let of = match (what, whose) {
        (Some(what), Some(whose)) if whose == SERVICE_ACCOUNT => what,
        (Some(what), Some(whose)) => format!("{what} of {whose}"),
        (Some(what), None) => what,
        (None, Some(whose)) => whose,
        (None, None) => item.model.clone().unwrap_or_else(|| "Write-back".to_owned()),
    };
    let how = match item.kind {
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
pub(super) fn place_of(item: &Item) -> String {
    match (item.kind, item.run_id) {
        (Kind::WriteBackFailed, _) => "/write-back?status=FAILED".to_owned(),
        (Kind::WriteBackDoubtful, _) => "/write-back?status=doubtful".to_owned(),
        (Kind::ModelNotConfigured, _) => "/write-back".to_owned(),
        (Kind::BreakerOpen, _) | (_, None) => "/needs-you".to_owned(),
        (_, Some(run)) => format!("/runs/{run}"),
    }
}
