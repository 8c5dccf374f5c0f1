//! What became of a record in one run, in a line?

use maud::{Markup, html};

use super::{
    shell::Frame,
    values::shown,
    words::{ago, icon, name, part, type_name},
};
use crate::{domain::SERVICE_ACCOUNT, store::RecordChange};

/// Fields of a change in a line.
const FIELDS: usize = 3;

/// One change of one record, as a row; with whose it is.
pub(super) fn change_line(frame: &Frame, change: &RecordChange, with_type: bool) -> Markup {
    let place = format!("/records/{}/{}/{}", change.sync_type, part(change.agent_id.as_str()), part(&change.key));
    let spec = frame.known.types.get(change.sync_type.as_str()).map(AsRef::as_ref);
    let (class, symbol, word) = match change.action.as_str() {
        "insert" => ("s-fresh", "new", "added"),
        "missing" => ("s-bad", "gone", "missing"),
        "delete" => ("s-bad", "gone", "deleted"),
        "restore" => ("s-fresh", "new", "back"),
        _ => ("s-running", "chg", "changed"),
    };
    html! {
        tr {
            td {
                a.k href=(frame.path(&place)) { (name(&change.key)) }
                @if with_type {
                    " "
                    small.m {
                        (type_name(&change.sync_type))
                        @if change.agent_id.as_str() != SERVICE_ACCOUNT {
                            " of "
                            (name(change.agent_id.as_str()))
                        }
                    }
                }
            }
            td {
                @if change.fields.is_empty() || change.action != "update" {
                    span.st.(class) {
                        (icon(symbol))
                        span { (word) }
                    }
                } @else {
                    @for field in change.fields.iter().take(FIELDS) {
                        div {
                            span.fld translate="no" { (field.field) }
                            " "
                            @if field.old.is_null() {
                                span.m { "empty" }
                            } @else {
                                del { (name(&shown(spec, &field.field, &field.old))) }
                            }
                            span.to { "→" }
                            @if field.new.is_null() {
                                span.m { "empty" }
                            } @else {
                                ins { (name(&shown(spec, &field.field, &field.new))) }
                            }
                        }
                    }
                    @if change.fields.len() > FIELDS {
                        span.m.s { "and " (change.fields.len() - FIELDS) " fields more" }
                    }
                }
            }
            td.n.m {
                a href=(frame.path(&format!("/runs/{}", change.run_id))) { "run " (change.run_id) }
                @if let Some(page) = change.page { ", p. " (page) }
            }
            td.n.m { (ago(change.at, frame.now())) }
        }
    }
}
