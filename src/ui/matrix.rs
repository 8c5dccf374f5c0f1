//! How does every agent stand, by every type? The worst first, a page of agents, filtered by agent and standing.

use std::collections::BTreeMap;

use maud::{Markup, html};
use serde::Deserialize;

use super::{
    bars::{bars, key},
    shell::Frame,
    words::{icon, link, name, of, span, standing, type_name},
};
use crate::{
    domain::{AgentId, Standing, SyncType},
    overview::Cell,
};

/// Agents of a page.
const AGENTS: usize = 25;
/// From so many types on, the table scrolls in its card.
const MANY: usize = 6;

/// What is asked of it, as the address has it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    #[serde(default)]
    pub agent: String,
    #[serde(default)]
    pub standing: String,
    #[serde(default)]
    pub by: String,
    #[serde(default)]
    pub page: usize,
}

/// One cell: its age, how it stands, and why where that is not well.
fn cell(frame: &Frame, cell: &Cell, label: Option<&str>) -> Markup {
    let (_, symbol, word) = standing(&cell.standing);
    let (symbol, word) = if cell.running.is_some() { ("running", "running") } else { (symbol, word) };
    let is_well = matches!(cell.standing, Standing::Fresh | Standing::Never | Standing::Off | Standing::Paused);
    let place = match (&cell.running, &cell.last_run) {
        (Some(running), _) => format!("/runs/{}", running.run_id),
        (None, Some(last)) if !is_well => format!("/runs/{}", last.id),
        _ => link("/runs", &[("type", cell.sync_type.as_str()), ("agent", cell.agent.as_str())]),
    };
    let share = cell.age_seconds.map_or(0.0, |age| age.max(0) as f64 / cell.target_seconds.max(1) as f64);
    let progress = cell.running.as_ref().and_then(|running| running.progress.as_ref());
    html! {
        a.cell data-type=(type_name(&cell.sync_type)) href=(frame.path(&place)) {
            span.l {
                @if let Some(label) = label {
                    span.lb { (label) }
                }
                (icon(symbol))
                b {
                    @match cell.age_seconds {
                        Some(age) => (span(age)),
                        None => "no data",
                    }
                }
                span.wd { (word) }
            }
            @match progress.filter(|progress| progress.total > 0) {
                Some(progress) => progress value=(progress.done) max=(progress.total) aria-label="how far it is" {},
                None if cell.running.is_some() => progress aria-label="under way" {},
                None => (bars(&cell.recent, share)),
            }
            @if !is_well {
                span.why { (cell.reason) }
            }
            @if cell.quarantined > 0 {
                span.st.why.s-wait { (icon("quar")) (of(cell.quarantined, "row", "rows")) " in quarantine" }
            }
        }
    }
}

fn class(one: &Cell) -> String {
    let (class, ..) = standing(&one.standing);
    let is_hot = !matches!(one.standing, Standing::Fresh | Standing::Never | Standing::Off | Standing::Paused);
    match (is_hot, &one.running) {
        (true, _) => format!("{class} hot"),
        (false, Some(_)) => "s-running".to_owned(),
        (false, None) => class.to_owned(),
    }
}

fn is_wanted(cell: &Cell, wanted: &str) -> bool {
    match wanted {
        "" => true,
        "running" => cell.running.is_some(),
        wanted => cell.standing.as_str() == wanted,
    }
}

fn chips(frame: &Frame, query: &Filter) -> Markup {
    let cells = &frame.overview.cells;
    let known = ["refused", "failing", "held", "late", "running", "never", "paused", "off", "fresh"];
    let at =
        |standing: &str| frame.path(&link("/", &[("agent", &query.agent), ("by", &query.by), ("standing", standing)]));
    html! {
        ul.chips aria-label="Filter by standing" {
            li {
                a href=(at("")) aria-current=[query.standing.is_empty().then_some("true")] {
                    "all "
                    b { (cells.len()) }
                }
            }
            @for word in known {
                @let count = cells.iter().filter(|cell| is_wanted(cell, word)).count();
                @if count > 0 || query.standing == word {
                    li {
                        a   class={ "s-" (word) }
                            href=(at(word))
                            aria-current=[(query.standing == word).then_some("true")]
                        {
                            (icon(word))
                            (word)
                            " "
                            b { (count) }
                        }
                    }
                }
            }
        }
    }
}

/// Every agent by every type, the worst first.
pub(super) fn matrix(frame: &Frame, query: &Filter) -> Markup {
    let cells = &frame.overview.cells;
    let service = AgentId::service_account();
    let shared: Vec<&Cell> = cells.iter().filter(|cell| cell.agent == service).collect();
    let mut types: Vec<&SyncType> = Vec::new();
    let mut rows: BTreeMap<&AgentId, Vec<&Cell>> = BTreeMap::new();
    for cell in cells.iter().filter(|cell| cell.agent != service) {
        if !types.contains(&&cell.sync_type) {
            types.push(&cell.sync_type);
        }
        rows.entry(&cell.agent).or_default().push(cell);
    }
    let all = rows.len();
    let asked = query.agent.to_lowercase();
    let mut rows: Vec<(&AgentId, Vec<&Cell>)> = rows
        .into_iter()
        .filter(|(agent, row)| {
            agent.as_str().to_lowercase().contains(&asked) && row.iter().any(|cell| is_wanted(cell, &query.standing))
        })
        .collect();
    if query.by != "name" {
        rows.sort_by_key(|(_, row)| row.iter().map(|cell| cell.standing.rank()).min());
    }
    let found = rows.len();
    let from = query.page.saturating_mul(AGENTS).min(found);
    let to = (from + AGENTS).min(found);
    let at = |page: usize| {
        let page = page.to_string();
        frame.path(&link(
            "/",
            &[("agent", &query.agent), ("standing", &query.standing), ("by", &query.by), ("page", &page)],
        ))
    };
    let target =
        |name: &SyncType| cells.iter().find(|cell| cell.sync_type == *name).map_or(0, |cell| cell.target_seconds);
    html! {
        section.gap aria-labelledby="h-all" {
            div.head {
                h2 #h-all { "How every agent stands" }
                form.row method="get" action=(frame.path("/")) {
                    label.vh for="agent" { "Filter by agent" }
                    input
                        #agent
                        name="agent"
                        value=(query.agent)
                        placeholder="Filter agents"
                        size="14"
                        maxlength="100";
                    label.vh for="by" { "Order" }
                    select #by name="by" {
                        option value="" { "worst first" }
                        option value="name" selected[query.by == "name"] { "by name" }
                    }
                    @if !query.standing.is_empty() {
                        input type="hidden" name="standing" value=(query.standing);
                    }
                    button.b { "Filter" }
                }
            }
            div data-live="chips" { (chips(frame, query)) }
            div.card data-live="matrix" {
                @if !shared.is_empty() {
                    ul.shared {
                        li { "Shared by all agents" }
                        @for one in &shared {
                            li class=(class(one)) { (cell(frame, one, Some(&type_name(&one.sync_type)))) }
                        }
                    }
                }
                @if rows.is_empty() {
                    p.pad.m {
                        @if all == 0 { "There are no agents yet. An admin adds them under Agents." } @else {
                            "No agent is so."
                        }
                    }
                } @else {
                    table.grid.many[types.len() >= MANY] role="table" {
                        caption.vh { "Age of each agent’s data by type" }
                        thead role="rowgroup" {
                            tr role="row" {
                                th role="columnheader" scope="col" {
                                    "Agent"
                                    small {
                                        @if query.by == "name" { "by name" } @else { "worst first" }
                                    }
                                }
                                @for name in &types {
                                    th role="columnheader" scope="col" {
                                        (type_name(name))
                                        small {
                                            "fresh up to "
                                            (span(i64::try_from(target(name)).unwrap_or(0)))
                                        }
                                    }
                                }
                            }
                        }
                        tbody role="rowgroup" {
                            @for (agent, row) in &rows[from..to] {
                                tr role="row" {
                                    th role="rowheader" scope="row" {
                                        span { (name(agent.as_str())) }
                                    }
                                    @for name in &types {
                                        @match row.iter().find(|cell| cell.sync_type == **name) {
                                            Some(one) => td role="cell" class=(class(one)) {
                                                (cell(frame, one, None))
                                            },
                                            None => td role="cell" {},
                                        }
                                    }
                                }
                            }
                        }
                    }
                }
                @if found > to || from > 0 {
                    div.pager {
                        span {
                            (from + 1)
                            " to "
                            (to)
                            " of "
                            (of(found as u64, "agent", "agents"))
                            @if query.by != "name" && to < found { ", the rest stand no worse" }
                        }
                        @if from > 0 {
                            a.b href=(at(query.page - 1)) { "Before" }
                        }
                        @if to < found {
                            a.b href=(at(query.page + 1)) { "Next" }
                        }
                    }
                }
            }
            (key())
        }
    }
}
