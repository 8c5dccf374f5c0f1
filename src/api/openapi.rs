//! What does the API say of itself? `OpenAPI` 3.1, from the routes themselves and the table of who may use them.

use std::{collections::HashMap, sync::LazyLock};

use actix_web::{HttpResponse, web};
use serde::Deserialize;
use serde_json::Value as Json;
use utoipa::{
    Modify, OpenApi,
    openapi::{
        self, ContentBuilder, HeaderBuilder, Ref, ResponseBuilder,
        path::{Operation, ParameterBuilder, ParameterIn},
        schema::{ObjectBuilder, Type},
        security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};

use super::{
    access::{RULES, Scope},
    problem,
};

/// The document, before what all operations have in common.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "lockstep",
        description = "Keeps a database in step with an ERP whose only export is PDF reports.\n\nErrors are \
                       `application/problem+json`. Lists answer `items` and `next`, the cursor of the next page.",
    ),
    tags(
        (name = "sync", description = "What is it doing, and how is it told to sync, stop or pause?"),
        (name = "schedule", description = "How often does each type run, and how many jobs at once?"),
        (name = "runs", description = "What happened, and what becomes of held reports?"),
        (name = "data", description = "Which records are stored, what became of them, and why?"),
        (name = "jobs", description = "What waits, what runs, what is over?"),
        (name = "documents", description = "Reports by hand, and single documents"),
        (name = "write-back", description = "What goes out"),
        (name = "agents", description = "Whose reports are fetched, and with which credentials"),
        (name = "access", description = "Who may what, and who changed what"),
        (name = "system", description = "Does it live, and what happens as it happens"),
    ),
    components(schemas(problem::Body)),
    modifiers(&InCommon),
    paths(
        super::agents::deactivate,
        super::agents::list,
        super::agents::one,
        super::agents::put,
        super::alerts::acknowledge,
        super::alerts::list,
        super::audit::list,
        super::breakers::breakers,
        super::breakers::reset,
        super::credentials::forget,
        super::credentials::list,
        super::credentials::put,
        super::data::changes,
        super::data::changes_of_run,
        super::data::history,
        super::data::list,
        super::data::one,
        super::data::why,
        super::documents::document,
        super::events::events,
        super::fetchers::complete,
        super::fetchers::dequeue,
        super::fetchers::fail,
        super::health::live,
        super::health::ready,
        super::jobs::cancel,
        super::jobs::document,
        super::jobs::list,
        super::jobs::one,
        super::jobs::purge,
        super::jobs::retry,
        super::keys::look_up,
        super::keys::remove_key,
        super::limits::limits,
        super::limits::set_limits,
        super::log::set,
        super::metrics::show,
        super::operations::ask,
        super::operations::known,
        super::outbox::add,
        super::outbox::cleanup,
        super::outbox::count,
        super::outbox::discard,
        super::outbox::list,
        super::outbox::reset_stuck,
        super::outbox::retry,
        super::outbox::retry_all,
        super::outbox::show,
        super::pause::pause,
        super::pause::resume,
        super::reports::reapply,
        super::reports::show_document,
        super::reports::show_page,
        super::reports::show_plan,
        super::runs::approve,
        super::runs::list,
        super::runs::one,
        super::runs::quarantine,
        super::runs::log,
        super::runs::reject,
        super::schedule::intervals,
        super::schedule::set_interval,
        super::schedule::set_schedule,
        super::schedule::show_schedule,
        super::schedule::start,
        super::schedule::statistics,
        super::schedule::status,
        super::schedule::stop,
        super::sync::attention,
        super::sync::status,
        super::sync::stop,
        super::sync::stop_all,
        super::sync::trigger,
        super::sync::trigger_all,
        super::system::show,
        super::tokens::create,
        super::tokens::list,
        super::tokens::revoke,
        super::headers::forget,
        super::headers::list,
        super::headers::teach,
        super::types::history,
        super::types::list,
        super::types::one,
        super::upload::upload,
    )
)]
struct Document;

/// What all operations have in common: who may use them, and how they refuse.
struct InCommon;

fn refusal(description: &str) -> openapi::Response {
    let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
    ResponseBuilder::new().description(description).content("application/problem+json", content).build()
}

impl Modify for InCommon {
    fn modify(&self, document: &mut openapi::OpenApi) {
        let scheme = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("token", scheme);
        let refusals = REFUSALS.iter().map(|(status, text)| (format!("Refused{status}"), refusal(text).into()));
        components.responses.extend(refusals);
        for (path, item) in &mut document.paths.paths {
            for (method, operation) in
                [("GET", &mut item.get), ("POST", &mut item.post), ("PUT", &mut item.put), ("DELETE", &mut item.delete)]
            {
                if let Some(operation) = operation {
                    complete(method, path, operation);
                }
            }
        }
    }
}

/// How operations refuse, by status.
const REFUSALS: [(&str, &str); 13] = [
    ("400", "The query, a header or the JSON makes no sense"),
    ("401", "No token, or one that is not known"),
    ("403", "The role does not open this, or the token is for other agents"),
    ("404", "There is no such thing; what there is is named"),
    ("409", "It cannot be done as things are"),
    ("408", "The body came too slowly"),
    ("412", "It is not what the sender looked at any more"),
    ("413", "The body is too large"),
    ("415", "The body is not application/json"),
    ("422", "A field does not fit: its place is `pointer`"),
    ("429", "Too many requests, or too many wrong tokens; Retry-After says when to ask again"),
    ("503", "The service cannot answer right now; Retry-After says when to ask again"),
    ("504", "The part that was asked ended before it answered"),
];

/// A path as `OpenAPI` writes it: without the patterns of its parts.
fn plain(path: &str) -> String {
    path.replace(":.+}", "}")
}

/// Of each operation what was asked and answered once, by its name.
static EXAMPLES: LazyLock<HashMap<String, Example>> = LazyLock::new(|| {
    // a test holds them against what is answered
    serde_json::from_str(include_str!("examples.json")).unwrap_or_default()
});

#[derive(Deserialize)]
struct Example {
    request: Option<Json>,
    status: Option<u16>,
    answer: Option<Json>,
}

/// Shows what is asked and answered.
fn show_example(operation: &mut Operation) {
    let Some(Example { request, status, answer }) = operation.operation_id.as_ref().and_then(|id| EXAMPLES.get(id))
    else {
        return;
    };
    let body = operation.request_body.as_mut().and_then(|body| body.content.get_mut("application/json"));
    if let (Some(request), Some(body)) = (request, body) {
        body.example = Some(request.clone());
    }
    let status = status.map(|status| status.to_string()).unwrap_or_default();
    let Some(openapi::RefOr::T(response)) = operation.responses.responses.get_mut(&status) else { return };
    if let (Some(answer), Some(content)) = (answer, response.content.get_mut("application/json")) {
        content.example = Some(answer.clone());
    }
}

fn complete(method: &str, path: &str, operation: &mut Operation) {
    show_example(operation);
    let has_query = operation.parameters.iter().flatten().any(|one| one.parameter_in == ParameterIn::Query);
    let has_path = path.contains('{');
    let has_body = operation.request_body.is_some();
    let mut refusals = vec!["503"];
    if let Some(rule) = RULES.iter().find(|rule| rule.method == method && plain(rule.path) == path) {
        operation.security = Some(vec![SecurityRequirement::new::<_, [String; 0], String>("token", [])]);
        let whom = match rule.scope {
            Scope::Agents => "a token for some agents keeps to them",
            Scope::Whole => "of a token for all agents",
        };
        let needs = format!("Needs the role `{}`; {whom}.", rule.role);
        let text = operation.description.take().filter(|text| !text.is_empty());
        operation.description = Some(text.map_or(needs.clone(), |text| format!("{text}\n\n{needs}")));
        refusals.extend(["401", "403", "429", "504"]);
    }
    if has_query || has_body || method == "POST" {
        refusals.extend(["400", "422"]);
    }
    if has_path || has_query || has_body {
        refusals.push("404");
    }
    if method != "GET" {
        refusals.extend(["409", "413"]);
    }
    if has_body {
        refusals.extend(["408", "415"]);
    }
    if method == "POST" {
        let key = ParameterBuilder::new()
            .name("Idempotency-Key")
            .parameter_in(ParameterIn::Header)
            .description(Some("The same request with the same key is answered once within a day"))
            .schema(Some(ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[!-~]([ -~]{0,198}[!-~])?$"))))
            .build();
        operation.parameters.get_or_insert_default().push(key);
    }
    for name in parts(path) {
        let is_described = operation.parameters.iter().flatten().any(|one| one.name == name);
        if !is_described {
            let kind = match name {
                "id" | "page" => ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(0)),
                _ => ObjectBuilder::new().schema_type(Type::String).min_length(Some(1)),
            };
            let part = ParameterBuilder::new().name(name).parameter_in(ParameterIn::Path).schema(Some(kind));
            operation.parameters.get_or_insert_default().push(part.required(openapi::Required::True).build());
        }
    }
    let id = || {
        let text = ObjectBuilder::new().schema_type(Type::String);
        HeaderBuilder::new().description(Some("The request's number, as the log has it")).schema(text).build()
    };
    for response in operation.responses.responses.values_mut() {
        if let openapi::RefOr::T(response) = response {
            response.headers.insert("X-Request-Id".to_owned(), id());
        }
    }
    for status in refusals {
        let known = Ref::from_response_name(format!("Refused{status}"));
        operation.responses.responses.entry(status.to_owned()).or_insert_with(|| known.into());
    }
}

/// The names of a path's parts.
fn parts(path: &str) -> impl Iterator<Item = &str> {
    path.split('{').skip(1).filter_map(|rest| rest.split('}').next())
}

static TEXT: LazyLock<String> = LazyLock::new(|| {
    let text = Document::openapi().to_pretty_json();
    // it is made of texts alone
    text.map(|text| text + "\n").unwrap_or_default()
});

/// The whole document as JSON.
#[must_use]
pub fn document() -> &'static str {
    &TEXT
}

/// `GET /openapi.json`
pub(super) async fn show() -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(document())
}

pub(super) fn routes(config: &mut web::ServiceConfig) {
    config.route("/openapi.json", web::get().to(show));
}
