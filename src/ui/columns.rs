//! Which columns of a report are not what they were, or not what its type's file expects?

use maud::{Markup, html};
use serde_json::{Map, Value as Json};

use super::words::{icon, name};
use crate::{report::LayoutChange, sync_type::SyncTypeSpec};

/// What a run noted of its report's columns; nothing where they were what they had been.
fn change_of(notes: &Map<String, Json>) -> Option<LayoutChange> {
    serde_json::from_value(notes.get("layoutChange")?.clone()).ok()
}

/// What a column of this header becomes, by the type's file.
fn becomes(spec: Option<&SyncTypeSpec>, header: &str) -> Markup {
    let field = spec.and_then(|spec| spec.field_of_header(header));
    html! {
        @match field {
            Some(field) => { "read as " code { (field) } }
            None => "not read: its type’s file does not name it",
        }
    }
}

/// The columns that came, went or moved, as a card.
pub(super) fn changed(spec: Option<&SyncTypeSpec>, notes: &Map<String, Json>) -> Markup {
    let Some(LayoutChange { gone, added, reordered, cycle_before, cycle }) = change_of(notes) else { return html! {} };
    html! {
        section.card aria-label="Columns that changed" {
            header { b { "Its columns are not what they were" } }
            table.stack {
                tbody {
                    @for header in &gone {
                        tr {
                            th scope="row" { (name(header)) }
                            td { span.st.s-bad { (icon("gone")) span { "not printed any more" } } }
                            td.m { "was " (becomes(spec, header)) }
                        }
                    }
                    @for header in &added {
                        tr {
                            th scope="row" { (name(header)) }
                            td { span.st.s-fresh { (icon("new")) span { "not printed before" } } }
                            td.m { (becomes(spec, header)) }
                        }
                    }
                }
            }
            @if reordered { p.pad.m { "The columns that were there before stand in another order: they are read by their headers, not by their places." } }
            @if cycle != cycle_before { p.pad.m { "A row went over " (cycle_before) " pages side by side, and goes over " (cycle) " now." } }
        }
    }
}
