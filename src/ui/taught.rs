//! Which columns of a report are not read, and what did people teach of them?

use maud::{Markup, html};

use super::{
    shell::Frame,
    words::{ago, icon, name},
};
use crate::{
    domain::Role,
    report::Drift,
    store::{Run, Taught},
    sync_type::SyncTypeSpec,
};

/// The columns that a run could not read, each with what an admin may say of it; nothing where all were read.
pub(super) fn unread(frame: &Frame, spec: Option<&SyncTypeSpec>, run: &Run) -> Markup {
    let drift = run.notes.as_ref().and_then(|notes| notes.get("drift"));
    let drift: Option<Drift> = drift.and_then(|drift| serde_json::from_value(drift.clone()).ok());
    let (Some(drift), Some(spec)) = (drift.filter(|drift| !drift.unknown.is_empty()), spec) else { return html! {} };
    html! {
        section.card aria-label="Columns that are not read" {
            header { b { "Columns that are not read" } span.cnt { (drift.unknown.len()) } }
            table.stack {
                thead {
                    tr {
                        th scope="col" { "Printed" }
                        th scope="col" { "What it may be" }
                        th scope="col" { span.vh { "Actions" } }
                    }
                }
                tbody {
                    @for header in &drift.unknown { (column(frame, spec, (&drift, run), header)) }
                }
            }
            @if !drift.absent.is_empty() {
                p.pad.m.s {
                    "Without a column: "
                    @for field in drift.absent.iter().take(40) { code { (field) } " " }
                }
            }
            @if !drift.absent.is_empty() && !frame.may_all(Role::Admin) {
                p.pad.m.s { "What a column is, an admin of all agents may say." }
            }
        }
    }
}

fn column(frame: &Frame, spec: &SyncTypeSpec, (drift, run): (&Drift, &Run), header: &str) -> Markup {
    // two fields of one column are one choice
    let mut columns = Vec::new();
    let is_first = |name: &&String| {
        let column = spec.field(name).map(|field| spec.fields[field].column);
        let is_new = column.is_some() && !columns.contains(&column);
        columns.push(column);
        is_new
    };
    let choices: Vec<&String> = drift.absent.iter().filter(is_first).collect();
    let stands_for = drift.renamed.iter().find(|renamed| renamed.to == header).map(|renamed| renamed.from.as_str());
    let guess = stands_for.and_then(|from| spec.field_of_header(from));
    html! {
        tr {
            th scope="row" { (name(header)) }
            td.m data-l="It may be" {
                @if let Some(_) = spec.field_of_header(header).filter(|_| run.spec_fingerprint == spec.fingerprint) {
                    "it is printed more or less often than its type has it: which is which cannot be told"
                } @else if let Some(field) = spec.field_of_header(header) {
                    span.st.s-fresh { (icon("done")) span { "read as " code { (field) } " since it was taught" } }
                } @else if let Some(from) = stands_for {
                    "it stands where " (name(from)) " is expected"
                } @else { "nobody knows" }
            }
            td.one {
                @if frame.may_all(Role::Admin) && spec.field_of_header(header).is_none() && !drift.absent.is_empty() {
                    form.row method="post" action=(frame.path("/act/teach")) {
                        (frame.keys())
                        input type="hidden" name="type" value=(spec.name);
                        input type="hidden" name="header" value=(header);
                        label {
                            span.vh { "Field for " (name(header)) }
                            select name="field" required translate="no" {
                                @for field in &choices { option value=(field) selected[guess == Some(field.as_str())] { (field) } }
                            }
                        }
                        button.b { "Read it so" }
                    }
                }
            }
        }
    }
}

/// What was taught for a type, as a card.
pub(super) fn taught(frame: &Frame, spec: &SyncTypeSpec, all: &Taught) -> Markup {
    let own: Vec<_> = all.headers.iter().filter(|one| one.sync_type == spec.name).collect();
    html! {
        @if !own.is_empty() {
            section.card data-live="taught" aria-labelledby="h-taught" {
                header { h2 #h-taught { "Headers that people taught" } span.cnt { (own.len()) } }
                table.stack {
                    tbody {
                        @for one in own {
                            tr {
                                th scope="row" { (name(&one.header)) }
                                td {
                                    @match all.unused.iter().find(|(id, _)| *id == one.id) {
                                        None => { "read as " code { (one.field) } }
                                        Some((_, why)) => span.st.s-wait { (icon("held")) span { "of no use any more: " (why) } },
                                    }
                                }
                                td.m { "by " (name(&one.by)) ", " (ago(one.at, frame.now())) }
                                td.one {
                                    @if frame.may_all(Role::Admin) {
                                        (frame.button("unteach", &[("type", spec.name.as_str()), ("id", &one.id.to_string())], "", &html! { "Forget it" span.vh { ": " (name(&one.header)) } }))
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}
