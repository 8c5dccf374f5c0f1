//! Who may do what? Every route, the role that it needs, and whether tokens for some agents may use it.

use std::sync::LazyLock;

use actix_web::{dev::ResourceDef, http::Method};

use crate::domain::Role;

/// Whom a route is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// It keeps to the caller's agents by itself.
    Agents,
    /// It concerns all agents: tokens for some of them are refused.
    Whole,
}

/// What one route needs.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    pub method: &'static str,
    /// As the routes are declared.
    pub path: &'static str,
    pub role: Role,
    pub scope: Scope,
}

const fn rule(method: &'static str, path: &'static str, role: Role, scope: Scope) -> Rule {
    Rule { method, path, role, scope }
}

use Role::{Admin, Metrics, Operator, Viewer};
use Scope::{Agents, Whole};

/// All routes that need a token.
pub const RULES: &[Rule] = &[
    rule("GET", "/metrics", Metrics, Whole),
    // how it stands
    rule("GET", "/api/sync/status", Viewer, Agents),
    rule("GET", "/api/attention", Viewer, Agents),
    rule("GET", "/api/alerts", Viewer, Agents),
    rule("POST", "/api/alerts/{id}/acknowledge", Operator, Agents),
    rule("GET", "/api/sync/statistics", Viewer, Agents),
    rule("GET", "/api/sync/intervals", Viewer, Agents),
    rule("GET", "/api/sync/auto-sync/status", Viewer, Whole),
    rule("GET", "/api/why", Viewer, Agents),
    rule("GET", "/api/events", Viewer, Agents),
    // what is stored
    rule("GET", "/api/data/{type}", Viewer, Agents),
    rule("GET", "/api/data/{type}/{key:.+}", Viewer, Agents),
    rule("GET", "/api/data/{type}/{key:.+}/history", Viewer, Agents),
    rule("GET", "/api/changes", Viewer, Agents),
    // runs, and what becomes of held ones
    rule("GET", "/api/runs", Viewer, Agents),
    rule("GET", "/api/runs/{id}", Viewer, Agents),
    rule("GET", "/api/runs/{id}/quarantine", Viewer, Agents),
    rule("GET", "/api/runs/{id}/log", Viewer, Agents),
    rule("GET", "/api/runs/{id}/changes", Viewer, Agents),
    rule("GET", "/api/runs/{id}/plan", Viewer, Agents),
    rule("GET", "/api/runs/{id}/document", Viewer, Agents),
    rule("GET", "/api/runs/{id}/pages/{page}.svg", Viewer, Agents),
    rule("POST", "/api/runs/{id}/approve", Operator, Agents),
    rule("POST", "/api/runs/{id}/reject", Operator, Agents),
    rule("POST", "/api/runs/{id}/reapply", Admin, Agents),
    // work
    rule("POST", "/api/sync/trigger/{type}", Operator, Agents),
    rule("POST", "/api/sync/trigger-all", Operator, Agents),
    rule("POST", "/api/sync/stop", Operator, Whole),
    rule("POST", "/api/sync/stop/{type}", Operator, Whole),
    rule("POST", "/api/sync/pause", Operator, Whole),
    rule("POST", "/api/sync/resume", Operator, Whole),
    rule("POST", "/api/upload/{type}", Operator, Agents),
    rule("GET", "/api/operations", Viewer, Agents),
    rule("POST", "/api/operations", Operator, Agents),
    // it asks the source for a document that is not kept
    rule("GET", "/api/documents/{folder}/{agent}/{number:.+}", Operator, Agents),
    rule("GET", "/api/jobs", Viewer, Agents),
    rule("GET", "/api/jobs/{id}", Viewer, Agents),
    rule("GET", "/api/jobs/{id}/document", Viewer, Agents),
    rule("POST", "/api/jobs/{id}/cancel", Operator, Agents),
    rule("POST", "/api/jobs/{id}/retry", Operator, Agents),
    rule("POST", "/api/jobs/purge", Operator, Whole),
    rule("GET", "/api/keys/{key:.+}", Viewer, Whole),
    rule("DELETE", "/api/keys/{key:.+}", Operator, Whole),
    rule("GET", "/api/breakers", Viewer, Whole),
    rule("POST", "/api/breakers/{id}/reset", Operator, Whole),
    rule("GET", "/api/system", Viewer, Whole),
    rule("PUT", "/api/system/log", Admin, Whole),
    // what goes out
    rule("GET", "/api/queue/stats", Viewer, Whole),
    rule("GET", "/api/queue/items", Viewer, Whole),
    rule("POST", "/api/queue/items", Operator, Whole),
    rule("GET", "/api/queue/items/{id}", Viewer, Whole),
    rule("POST", "/api/queue/items/{id}/complete", Operator, Whole),
    rule("POST", "/api/queue/items/{id}/fail", Operator, Whole),
    rule("POST", "/api/queue/items/{id}/retry", Operator, Whole),
    rule("POST", "/api/queue/items/{id}/discard", Operator, Whole),
    rule("POST", "/api/queue/dequeue", Operator, Whole),
    rule("POST", "/api/queue/retry", Operator, Whole),
    rule("POST", "/api/queue/reset-stuck", Operator, Whole),
    rule("POST", "/api/queue/cleanup", Admin, Whole),
    // settings
    rule("POST", "/api/sync/intervals/{type}", Admin, Whole),
    rule("GET", "/api/sync/schedule", Viewer, Agents),
    rule("POST", "/api/sync/schedule", Admin, Whole),
    rule("POST", "/api/sync/auto-sync/start", Admin, Whole),
    rule("POST", "/api/sync/auto-sync/stop", Admin, Whole),
    rule("GET", "/api/limits", Viewer, Whole),
    rule("PUT", "/api/limits", Admin, Whole),
    rule("GET", "/api/types", Viewer, Agents),
    rule("GET", "/api/types/{type}", Viewer, Agents),
    rule("GET", "/api/types/{type}/history", Viewer, Agents),
    rule("GET", "/api/types/{type}/headers", Viewer, Agents),
    rule("POST", "/api/types/{type}/headers", Admin, Whole),
    rule("DELETE", "/api/types/{type}/headers/{id}", Admin, Whole),
    rule("GET", "/api/agents", Viewer, Agents),
    rule("GET", "/api/agents/{id}", Viewer, Agents),
    rule("PUT", "/api/agents/{id}", Admin, Whole),
    rule("DELETE", "/api/agents/{id}", Admin, Whole),
    rule("GET", "/api/credentials", Admin, Whole),
    rule("PUT", "/api/agents/{id}/credentials", Admin, Whole),
    rule("DELETE", "/api/agents/{id}/credentials", Admin, Whole),
    rule("GET", "/api/tokens", Admin, Whole),
    rule("POST", "/api/tokens", Admin, Whole),
    rule("DELETE", "/api/tokens/{id}", Admin, Whole),
    rule("GET", "/api/audit", Admin, Whole),
];

/// Routes that need none.
const OPEN: [(&str, &str); 3] = [("GET", "/livez"), ("GET", "/readyz"), ("GET", "/openapi.json")];

static PATHS: LazyLock<Vec<(ResourceDef, &Rule)>> =
    LazyLock::new(|| RULES.iter().map(|rule| (ResourceDef::new(rule.path), rule)).collect());

/// The rules whose paths this one fits, those without a part of any length first: `/data/orders/7/history` is the
/// history of 7.
fn fitting(path: &str) -> impl Iterator<Item = &'static Rule> {
    let mut found: Vec<&Rule> =
        PATHS.iter().filter(|(path_of, _)| path_of.is_match(path)).map(|(_, rule)| *rule).collect();
    found.sort_by_key(|rule| std::cmp::Reverse(rule.path.len()));
    found.into_iter()
}

/// What a request needs; `None` where no route is.
#[must_use]
pub(crate) fn needed(method: &Method, path: &str) -> Option<&'static Rule> {
    fitting(path).find(|rule| rule.method == method.as_str())
}

/// The methods that a path has.
#[must_use]
pub(crate) fn methods(path: &str) -> Vec<&'static str> {
    let open = OPEN.iter().filter(|(_, of)| *of == path).map(|(method, _)| *method);
    // `/jobs/purge` is no job
    let parts = |rule: &Rule| rule.path.matches('{').count();
    let fewest = fitting(path).map(parts).min();
    let fit = fitting(path).filter(|rule| Some(parts(rule)) == fewest);
    let mut methods: Vec<&str> = fit.map(|rule| rule.method).chain(open).collect();
    if methods.contains(&"GET") {
        methods.push("HEAD");
    }
    methods.sort_unstable();
    methods.dedup();
    methods
}
