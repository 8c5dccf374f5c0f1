//! How did a value that is watched, a price say, change over time? As a line and as a table.

use maud::{Markup, html};
use serde_json::Value as Json;

use super::{
    chart,
    shell::Frame,
    values::shown,
    words::{clock, name, of},
};
use crate::{store::ValueChange, sync_type::SyncTypeSpec};

/// Changes of a table; the line has them all.
const CHANGES: usize = 12;

fn number(value: Option<&String>) -> Option<f64> {
    value?.parse().ok()
}

/// The values of one record, from changes that are the oldest first; nothing of one that never changed.
pub(super) fn watched(frame: &Frame, spec: &SyncTypeSpec, key: &str, changes: &[ValueChange]) -> Markup {
    let Some(history) = &spec.history else { return html! {} };
    let (Some(oldest), Some(newest)) = (changes.first(), changes.last()) else { return html! {} };
    let values: Vec<Option<f64>> = [number(oldest.old.as_ref())]
        .into_iter()
        .chain(changes.iter().map(|change| number(change.new.as_ref())))
        .collect();
    let say = |value: &Option<String>| match value {
        Some(value) => shown(Some(spec), &history.field, &Json::from(value.as_str())),
        None => "none".to_owned(),
    };
    html! {
        section.card aria-label={ (history.field) " of " (key) " over time" } {
            header {
                h2 { span.fld translate="no" { (history.field) } " of " (name(key)) ": " (name(&say(&newest.new))) }
                span.cnt { (of(changes.len() as u64, "change", "changes")) }
            }
            div.pad { (chart::line(&format!("From {} to {}", say(&oldest.old), say(&newest.new)), &values)) }
            table.stack.mini {
                tbody {
                    @for change in changes.iter().rev().take(CHANGES) {
                        tr {
                            td {
                                del { (name(&say(&change.old))) }
                                span.to { "→" }
                                ins { (name(&say(&change.new))) }
                            }
                            td.n.m { a href=(frame.path(&format!("/runs/{}", change.run_id))) { "run " (change.run_id) } }
                            td.n.m { (clock(change.at, frame.now())) }
                        }
                    }
                }
            }
        }
    }
}
