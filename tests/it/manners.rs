//! Does every answer carry what it should, and does the API describe itself as it is?

use std::{collections::BTreeSet, time::Duration};

use lockstep::{api::RULES, testing::TestApp};
use reqwest::Method;
use serde_json::{Value as Json, json};

use crate::{
    callers::token,
    fixtures::{invent, serve},
};

#[test]
fn every_rule_is_described_and_the_description_is_the_one_in_the_repository() {
    let described: Json = serde_json::from_str(lockstep::api::document()).unwrap();
    let mut operations = BTreeSet::new();
    for (path, item) in described["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            assert!(operation["summary"].as_str().is_some_and(|text| text.ends_with('.')), "{method} {path}");
            operations.insert(format!("{} {path}", method.to_uppercase()));
        }
    }
    let ruled = RULES.iter().map(|rule| format!("{} {}", rule.method, rule.path.replace(":.+}", "}")));
    let open = ["GET /livez", "GET /readyz"].map(str::to_owned);
    assert_eq!(operations, ruled.chain(open).collect());
    let stored = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json")).unwrap_or_default();
    assert!(stored == lockstep::api::document(), "print it anew: cargo run -- openapi > openapi.json");
}

#[actix::test]
async fn the_system_tells_what_it_runs_on_and_how_large_it_has_become() {
    let app = TestApp::builder().agents(&["a"]).start().await;
    serve(&app, "customers", "a", &invent(&app.app.store.types().clone(), "customers", 30));
    app.sync("customers", "a").await;
    app.clock.advance(Duration::from_secs(90));
    let (status, system) = app.get("/api/system").await;
    assert_eq!((status.as_u16(), &system["version"]), (200, &json!(env!("CARGO_PKG_VERSION"))));
    assert!(system["uptimeSeconds"].as_u64() >= Some(90), "{system}");
    let database = &system["database"];
    assert!(
        database["bytes"].as_u64() > Some(100_000) && database["keptReportsBytes"].as_u64() > Some(500),
        "{database}"
    );
    assert_eq!((&database["pendingMigrations"], &database["trouble"]), (&json!(0), &json!(null)));
    assert!(system["actors"].as_array().unwrap().iter().all(|actor| actor["isUp"] == true), "{system}");
    let kind = system["coordination"]["kind"].as_str().unwrap();
    assert!(["memory", "redis"].contains(&kind), "{system}");
    app.stop().await;
}

#[actix::test]
async fn every_answer_has_the_requests_number_and_every_path_its_methods() {
    let app = TestApp::builder().agents(&["a"]).start().await;
    let ask = async |method: Method, path: &str| {
        app.raw(method, path).bearer_auth(app.token()).header("X-Request-Id", "abc-1").send().await.unwrap()
    };
    for path in ["/api/runs", "/api/runs/9", "/api/nowhere", "/livez", "/", "/nowhere"] {
        let answer = ask(Method::GET, path).await;
        assert_eq!(answer.headers()["x-request-id"], "abc-1", "{path}");
        if answer.status().is_client_error() && path != "/" {
            assert_eq!(answer.headers()["content-type"], "application/problem+json", "{path}");
            assert_eq!(answer.json::<Json>().await.unwrap()["instance"], "abc-1", "{path}");
        }
    }
    let own = app.raw(Method::GET, "/api/runs").bearer_auth(app.token()).header("X-Request-Id", "a\tb").send().await;
    assert_eq!(own.unwrap().headers()["x-request-id"].len(), 36, "what is no number is not taken over");
    let whole = ask(Method::GET, "/api/agents").await;
    let head = ask(Method::HEAD, "/api/agents").await;
    assert_eq!(head.status(), 200);
    assert_eq!(head.headers()["content-length"], whole.headers()["content-length"]);
    assert_eq!(ask(Method::HEAD, "/api/events").await.status(), 200);
    assert_eq!(head.headers()["cache-control"], "no-store");
    for (path, said) in [
        ("/api/runs?outcome=hold", "held"),
        ("/api/runs?type=nothing", "orders, customers"),
        ("/api/runs?agent=nobody", "known are: a"),
        ("/api/runs?agentId=nobody", "known are: a"),
        ("/api/jobs?state=going", "waiting"),
        ("/api/jobs?status=waiting", "expected one of `state`"),
        ("/api/runs?limit=0", "1 to 500"),
        ("/api/audit?limit=501", "1 to 500"),
    ] {
        let answer = ask(Method::GET, path).await;
        assert!(answer.status().is_client_error(), "{path}");
        let problem = answer.json::<Json>().await.unwrap();
        assert!(problem["detail"].as_str().unwrap().contains(said), "{path}: {problem}");
    }
    let wrong = app.raw(Method::POST, "/api/sync/pause").bearer_auth(app.token());
    let wrong = wrong.header("Content-Type", "text/plain").body("{\"reason\": \"x\"}").send().await.unwrap();
    assert_eq!(wrong.status(), 415);
    let first = ask(Method::POST, "/api/tokens").await;
    assert_eq!(first.status(), 400, "no body is no JSON");
    for name in ["one", "two", "three"] {
        token(&app, json!({ "name": name, "role": "viewer" })).await;
    }
    let page = ask(Method::GET, "/api/audit?action=token.create&limit=2").await;
    let link = page.headers()["link"].to_str().unwrap().to_owned();
    let next = link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"next\"").unwrap().to_owned();
    assert!(next.starts_with("/api/audit?action=token.create&limit=2&cursor="), "{link}");
    let next = ask(Method::GET, &next).await;
    assert!(next.headers().get("link").is_none());
    assert_eq!(next.json::<Json>().await.unwrap()["items"].as_array().unwrap().len(), 1);
    for (method, path, allow) in [
        (Method::DELETE, "/api/runs", "GET, HEAD"),
        (Method::GET, "/api/sync/pause", "POST"),
        (Method::PATCH, "/api/jobs/purge", "POST"),
        (Method::POST, "/api/agents/a", "DELETE, GET, HEAD, PUT"),
        (Method::PUT, "/api/data/orders/a/b/history", "GET, HEAD"),
        (Method::POST, "/livez", "GET, HEAD"),
    ] {
        let answer = ask(method, path).await;
        assert_eq!(answer.status(), 405, "{path}");
        assert_eq!(answer.headers()["allow"], allow, "{path}");
    }
    app.stop().await;
}
