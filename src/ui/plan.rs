//! What would approving a held run do? Its numbers, record by record and field by field, and the decision.

use maud::{Markup, html};

use super::{
    shell::Frame,
    values::shown,
    words::{count, icon, name, of, part},
};
use crate::{
    api::{Planned, Problem},
    delta::ChangeKind,
    domain::Role,
    store::Run,
};

/// Lines of a plan on a page.
const LINES: usize = 50;

/// What approving would do, and the decision.
pub(super) async fn plan(frame: &Frame, run: &Run, planned: &Planned, from: usize) -> Result<Markup, Problem> {
    let Planned { plan, verdicts } = planned;
    let Some(spec) = frame.known.types.get(run.sync_type.as_str()) else { return Ok(html! {}) };
    let stored = frame.api.context.store.replaced(spec, &run.agent_id, plan.replaced_at(from, LINES)).await?;
    let lines = plan.lines(spec, (from, LINES), |key| stored.get(key));
    let kind = |kind| plan.changes.iter().filter(|change| change.kind == kind).count() as u64;
    let (added, changed) =
        (kind(ChangeKind::Insert), kind(ChangeKind::Update) + kind(ChangeKind::Refresh) + kind(ChangeKind::Restore));
    let (missing, deleted, same) = (plan.missing.len() as u64, plan.deleted.len() as u64, plan.unchanged);
    let all = (added + changed + same + missing + deleted).max(1);
    let (digest, size) = (plan.digest(), plan.size());
    let is_what_was_held = run.plan_digest.as_ref() == Some(&digest);
    let short: String = digest.as_str().chars().take(8).collect();
    let id = run.id.to_string();
    let what = format!("{added} added, {changed} changed, {missing} missing, {deleted} deleted");
    Ok(html! {
        section #plan.card aria-labelledby="h-p" {
            header {
                h2 #h-p { "The plan: what approving would do" }
                a href=(frame.path(&format!("/api/runs/{id}/plan?limit=500"))) { "As JSON" }
            }
            div.pad.gap {
                @for verdict in verdicts {
                    p.banner.s-held {
                        span { (icon("held")) " " (verdict.text) }
                    }
                }
                p.sum {
                    span {
                        b { (count(added)) " added" }
                    }
                    span.op { "+" }
                    span {
                        b { (count(changed)) " changed" }
                    }
                    span.op { "+" }
                    span {
                        b { (count(same)) " as stored" }
                    }
                    span.op { "· and" }
                    span {
                        b { (count(missing)) " not in the report" }
                    }
                    @if deleted > 0 {
                        span.op { "·" }
                        span {
                            b { (count(deleted)) " to be deleted" }
                        }
                    }
                }
                svg.part viewBox={ "0 0 " (all) " 10" } preserveAspectRatio="none" role="img" aria-label=(what) {
                    rect.a width=(added) height="10" {}
                    rect.u x=(added) width=(changed) height="10" {}
                    rect.e x=(added + changed) width=(same) height="10" {}
                    rect.o x=(added + changed + same) width=(missing + deleted) height="10" {}
                }
                @if !is_what_was_held {
                    p.m {
                        (icon("chg"))
                        " The stored records are not what they were when it was held: this is what it would do now."
                    }
                }
                @if frame.may(Role::Operator) && frame.caller.touches(&run.agent_id) {
                    div.row {
                        ({
                            frame
                                .sure(
                                    "approve",
                                    &[("run", &id), ("digest", digest.as_str())],
                                    &format!("Approve plan {short}"),
                                    &html! {
                                        (what)
                                        ". What is missing is kept, and deleted when the next report lacks it too. If the stored records change before, nothing is done and you are asked again."
                                    },
                                )
                        })
                        ({
                            frame
                                .sure(
                                    "reject",
                                    &[("run", &id)],
                                    "Reject it",
                                    &html! {
                                        "Nothing is written. The next report is judged anew."
                                    },
                                )
                        })
                    }
                } @else {
                    p.m { "An operator decides about it." }
                }
            }
            @for line in &lines {
                @let (class, symbol, word) = match line.action {
                    "insert" => ("s-fresh", "new", "is added"),
                    "missing" | "delete" => ("s-refused", "gone", "is gone"),
                    _ => ("s-running", "chg", "changes"),
                };
                details.rec id={ "rec-" (line.key) } {
                    summary {
                        svg.i.chev aria-hidden="true" {
                            use href="#chev" {}
                        }
                        span.st.(class) {
                            (icon(symbol))
                            span.vh { (word) }
                        }
                        span.k { (name(&line.key)) }
                        span.m.s {
                            @if !line.fields.is_empty() { (of(line.fields.len() as u64, "field", "fields")) }
                            @if let (Some(page), Some(row)) = (line.page, line.row) {
                                " · page "
                                (page)
                                ", row "
                                (row)
                            }
                        }
                    }
                    table.diff.stack {
                        thead {
                            tr {
                                th scope="col" { "Field" }
                                th scope="col" { "Stored now" }
                                th scope="col" { "In the report" }
                            }
                        }
                        tbody {
                            @for field in &line.fields {
                                tr {
                                    th.fld scope="row" translate="no" { (field.field) }
                                    td data-l="Now" {
                                        @if field.old.is_null() {
                                            span.m { "empty" }
                                        } @else {
                                            del { (name(&shown(Some(spec), &field.field, &field.old))) }
                                        }
                                    }
                                    td data-l="Report" {
                                        @if field.new.is_null() {
                                            span.m { "empty" }
                                        } @else {
                                            ins { (name(&shown(Some(spec), &field.field, &field.new))) }
                                        }
                                    }
                                }
                            }
                        }
                    }
                    p.s {
                        @if let Some(page) = line.page {
                            a   href=({
                                    frame
                                        .path(
                                            &format!(
                                                "/api/runs/{id}/pages/{page}.svg?row={}",
                                                line.row.unwrap_or(1),
                                            ),
                                        )
                                })
                            { "See the printed line" }
                            " · "
                        }
                        a   href=({
                                frame
                                    .path(
                                        &format!(
                                            "/records/{}/{}/{}",
                                            run.sync_type,
                                            part(run.agent_id.as_str()),
                                            part(&line.key),
                                        ),
                                    )
                            })
                        { "the stored record" }
                    }
                }
            }
            @if size > LINES {
                div.pager {
                    span { (from + 1) " to " (from + lines.len()) " of " (size) }
                    @if from > 0 {
                        a.b href={ "?from=" (from.saturating_sub(LINES)) "#plan" } { "Before" }
                    }
                    @if from + lines.len() < size {
                        a.b href={ "?from=" (from + LINES) "#plan" } { "Next" }
                    }
                }
            }
        }
    })
}
