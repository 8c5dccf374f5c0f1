//! Which rows did not fit, where are they printed, and why not?

use maud::{Markup, html};

use super::{
    printed::{line, page_of},
    shell::Frame,
    words::name,
};
use crate::{domain::RunId, report::Quarantined};

/// Lines that are shown at once: each is drawn from the report anew.
const PICTURES: usize = 4;

/// These rows as a table; with a run whose report is known, each leads to the picture of its line.
pub(super) fn rows(frame: &Frame, run: Option<RunId>, rows: &[Quarantined]) -> Markup {
    html! {
        table.stack {
            thead {
                tr {
                    th scope="col" { "Where" }
                    th scope="col" { "Column" }
                    th scope="col" { "Printed" }
                    th scope="col" { "Why not" }
                }
            }
            tbody {
                @for (at, row) in rows.iter().enumerate() {
                    @let place = format!("page {}, row {}", row.page, row.row);
                    @let picture = run.map(|run| page_of(frame, run, row.page, row.row));
                    tr {
                        td.sh data-l="Where" {
                            @if let Some(picture) = picture {
                                a href=(picture) { (place) }
                            } @else { (place) }
                            @if let Some(key) = &row.key {
                                " "
                                span.k { (name(key)) }
                            }
                        }
                        td data-l="Column" { (name(&row.column)) }
                        td data-l="Printed" {
                            code { (name(&row.text)) }
                        }
                        td data-l="Why" { (row.why) }
                    }
                    @if let Some(run) = run.filter(|_| at < PICTURES) {
                        tr {
                            td colspan="4" { (line(frame, run, row.page, row.row)) }
                        }
                    }
                }
            }
        }
    }
}
