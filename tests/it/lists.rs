//! Does a list that is read page by page hold everything once, while it grows?

use std::collections::HashSet;

use lockstep::{
    domain::{Claim, Clock as _, Counts, NextStep, Outcome, Reason, Value},
    store::{Agent, Finish},
    testing::TestApp,
};
use reqwest::Method;
use serde_json::{Value as Json, json};

use crate::fixtures::{invent, serve};

/// Ends a run of these types for so many agents, all at once.
async fn run(app: &TestApp, agents: usize, types: &[&str]) -> usize {
    let (store, now) = (&app.app.store, app.clock.now());
    let names: Vec<String> = (0..agents).map(|number| format!("agent-{number:04}")).collect();
    store.seed_agents(names.iter().map(|name| Agent::named(name)).collect(), now).await.unwrap();
    let mut ended = 0;
    for name in types {
        let spec = store.types().get(name).unwrap().clone();
        let asked = names.iter().map(|name| spec.job(&name.as_str().into(), Reason::Timer)).collect();
        store.enqueue(asked, None, now).await.unwrap();
        let claim = Claim { owner: "test".into(), any: agents, known: vec![spec.name.job_type()], ..Claim::default() };
        let claimed = store.claim(claim, now).await.unwrap().jobs;
        ended += claimed.len();
        let ends = claimed.into_iter().map(|job| {
            let store = store.clone();
            async move {
                let counts = Counts { read: 1, unchanged: 1, ..Counts::default() };
                let end = Finish { outcome: Some(Outcome::Unchanged), counts, ..Finish::default() };
                store.finish(&job, end, NextStep::Done, now).await.unwrap();
            }
        });
        futures_util::future::join_all(ends).await;
    }
    ended
}

#[actix::test]
async fn ten_thousand_runs_are_each_given_once_while_more_are_added() {
    // the app's own queue leaves these jobs alone
    let app = TestApp::builder()
        .setting("LOCKSTEP__QUEUE__HEARTBEAT_MS", "3600000")
        .setting("LOCKSTEP__QUEUE__LEASE_MS", "7200000")
        .start()
        .await;
    app.at_rest().await;
    let types = ["customers", "orders", "ddt", "invoices"];
    let first = run(&app, 2_500, &types).await;
    assert_eq!(first, 10_000);
    let newest = app.get("/api/runs?limit=1").await.1["items"][0]["id"].as_i64().unwrap();
    let (mut path, mut seen, mut pages) = ("/api/runs?limit=500".to_owned(), Vec::new(), 0);
    loop {
        let (status, page) = app.get(&path).await;
        assert_eq!(status, 200, "{page}");
        seen.extend(page["items"].as_array().unwrap().iter().map(|run| run["id"].as_i64().unwrap()));
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/api/runs?limit=500&cursor={next}");
        pages += 1;
        if pages % 5 == 0 {
            run(&app, 50, &["orders"]).await;
        }
    }
    let once: HashSet<i64> = seen.iter().copied().collect();
    assert_eq!((once.len(), seen.len()), (first, first), "none twice");
    assert!(seen.is_sorted_by(|one, next| one > next) && seen[0] == newest);
    app.stop().await;
}

#[actix::test]
async fn a_setting_is_changed_by_those_who_know_what_it_is() {
    let app = TestApp::builder().agents(&["anna"]).start().await;
    let ask = async |method: Method, path: &str, header: Option<(&str, &str)>, body: Option<Json>| {
        let mut request = app.raw(method, path).bearer_auth(app.token());
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let tag = answer.headers().get("etag").map(|tag| tag.to_str().unwrap().to_owned());
        (answer.status().as_u16(), tag)
    };
    for (look, change, method, body, other) in [
        ("/api/limits", "/api/limits", Method::PUT, json!({ "concurrency": 4 }), json!({ "concurrency": 5 })),
        ("/api/agents/anna", "/api/agents/anna", Method::PUT, json!({ "name": "Anna" }), json!({ "name": "Anna B" })),
        (
            "/api/sync/intervals",
            "/api/sync/intervals/orders",
            Method::POST,
            json!({ "intervalMinutes": 11 }),
            json!({ "intervalMinutes": 12 }),
        ),
        (
            "/api/sync/schedule",
            "/api/sync/schedule",
            Method::POST,
            json!({ "orders": { "enabled": false } }),
            json!({ "orders": { "enabled": true } }),
        ),
    ] {
        let (status, tag) = ask(Method::GET, look, None, None).await;
        let tag = tag.unwrap_or_else(|| panic!("{look} has no tag: {status}"));
        assert_eq!(ask(Method::GET, look, Some(("If-None-Match", &tag)), None).await.0, 304, "{look}");
        assert_eq!(ask(method.clone(), change, Some(("If-Match", &tag)), Some(body)).await.0, 200, "{change}");
        let stale = ask(method.clone(), change, Some(("If-Match", &tag)), Some(other.clone())).await;
        assert_eq!(stale.0, 412, "{change}");
        assert_eq!(ask(Method::GET, look, Some(("If-None-Match", &tag)), None).await.0, 200, "{look}");
        assert_eq!(ask(method, change, Some(("If-Match", "*")), Some(other)).await.0, 200, "{change}");
    }
    let new = |header| ask(Method::PUT, "/api/agents/berta", header, Some(json!({ "name": "Berta" })));
    assert_eq!(new(Some(("If-Match", "*"))).await.0, 412, "there is none");
    assert_eq!(new(Some(("If-None-Match", "*"))).await.0, 200);
    assert_eq!(new(Some(("If-None-Match", "*"))).await.0, 412, "there is one");
    let (status, tag) = ask(Method::GET, "/api/types", None, None).await;
    assert_eq!(ask(Method::GET, "/api/types", Some(("If-None-Match", &tag.unwrap())), None).await.0, 304, "{status}");
    let (_, orders) = app.get("/api/types/orders").await;
    assert_eq!(orders["key"], "order_id", "{orders}");
    app.stop().await;
}

#[actix::test]
async fn every_wrong_field_of_a_schedule_is_named_at_once() {
    let app = TestApp::builder().agents(&["anna"]).start().await;
    let wrong = json!({ "orders": { "intervalMinutes": 1 }, "ddt": { "intervalMinutes": "x" }, "prices": {} });
    let (status, problem) = app.post("/api/sync/schedule", wrong).await;
    assert_eq!(status, 422);
    let places: Vec<&Json> = problem["errors"].as_array().unwrap().iter().map(|error| &error["pointer"]).collect();
    assert_eq!(places, ["/ddt/intervalMinutes", "/orders/intervalMinutes"], "{problem}");
    assert_eq!(problem["pointer"], "/ddt/intervalMinutes");
    app.stop().await;
}

#[actix::test]
async fn long_answers_are_compressed_for_those_who_accept_it_and_streams_are_not() {
    let app = TestApp::builder().agents(&["anna"]).start().await;
    let ask = async |path: &str, accept: &str| {
        app.raw(Method::GET, path).bearer_auth(app.token()).header("Accept-Encoding", accept).send().await.unwrap()
    };
    let plain = ask("/api/types", "identity").await;
    assert!(plain.headers().get("content-encoding").is_none());
    let plain = plain.bytes().await.unwrap();
    let packed = ask("/api/types", "gzip").await;
    assert_eq!(packed.headers()["content-encoding"], "gzip");
    let packed = packed.bytes().await.unwrap();
    assert!(packed.len() * 3 < plain.len(), "{} of {}", packed.len(), plain.len());
    for (path, kind) in [("/api/breakers", "application/json"), ("/api/events", "text/event-stream")] {
        let answer = ask(path, "gzip").await;
        assert!(answer.headers()["content-type"].to_str().unwrap().starts_with(kind));
        assert!(answer.headers().get("content-encoding").is_none(), "{path}");
    }
    app.stop().await;
}

#[actix::test]
async fn the_audit_is_a_file_too_in_which_nothing_is_a_formula() {
    let app = TestApp::builder().agents(&["anna"]).start().await;
    let name = "=HYPERLINK(\"http://evil\")";
    assert_eq!(app.request(Method::PUT, "/api/agents/anna", Some(json!({ "name": name }))).await.0, 200);
    assert_eq!(app.post("/api/tokens", json!({ "name": "=1+1", "role": "admin" })).await.0, 201);
    let (_, made) = app.post("/api/tokens", json!({ "name": "+2", "role": "admin" })).await;
    let made = made["token"].as_str().unwrap();
    let by_it = app.raw(Method::PUT, "/api/agents/anna").bearer_auth(made).json(&json!({ "name": "Anna" }));
    assert_eq!(by_it.send().await.unwrap().status(), 200);
    let file = app.raw(Method::GET, "/api/audit?format=csv").bearer_auth(app.token()).send().await.unwrap();
    assert_eq!(file.headers()["content-type"], "text/csv; charset=utf-8");
    let text = file.text().await.unwrap();
    assert_eq!(text.lines().count(), 5, "{text}");
    assert!(text.starts_with("id,at,who,from,action,target,before,after,request_id\n"), "{text}");
    let only = app.raw(Method::GET, "/api/audit?format=csv&action=agent.put").bearer_auth(app.token());
    assert_eq!(only.send().await.unwrap().text().await.unwrap().lines().count(), 3);
    assert_eq!(app.get("/api/audit?format=pdf").await.0, 400);
    app.stop().await;
}

#[actix::test]
async fn the_viewer_of_the_api_is_part_of_the_program() {
    let app = TestApp::builder().start().await;
    let get = async |path: &str| app.raw(Method::GET, path).send().await.unwrap();
    let page = get("/docs").await;
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'; script-src 'self'"), "{policy}");
    let page = page.text().await.unwrap();
    assert!(!page.contains("http://") && !page.contains("https://"), "nothing from elsewhere: {page}");
    for (file, size) in [("swagger-ui.css", 50_000), ("swagger-ui-bundle.js", 500_000), ("start.js", 100)] {
        let answer = get(&format!("/docs/{file}")).await;
        assert_eq!(answer.status(), 200, "{file}");
        assert!(answer.bytes().await.unwrap().len() > size, "{file}");
    }
    assert_eq!(get("/docs/index.html").await.status(), 404);
    app.stop().await;
}

#[actix::test]
async fn readiness_tells_its_details_to_those_who_may_know_them() {
    let app = TestApp::builder().agents(&["anna"]).start().await;
    let open = app.raw(Method::GET, "/readyz").send().await.unwrap().json::<Json>().await.unwrap();
    assert_eq!(open, json!({ "status": "ok" }));
    assert_eq!(app.raw(Method::GET, "/readyz?verbose").send().await.unwrap().status(), 401);
    let (status, told) = app.get("/readyz?verbose").await;
    assert_eq!(status, 200);
    let checks: Vec<&Json> = told["checks"].as_array().unwrap().iter().map(|check| &check["name"]).collect();
    assert_eq!(checks, ["database", "actors", "loops"], "{told}");
    assert!(told["checks"][0]["milliseconds"].is_number() && told["actors"].is_array(), "{told}");
    app.app.liveness.beat("a loop that stands still", std::time::Duration::ZERO);
    let secret = app.raw(Method::GET, "/readyz").send().await.unwrap();
    assert_eq!(secret.status(), 503);
    assert!(!secret.text().await.unwrap().contains("stands still"));
    let (status, told) = app.get("/readyz?verbose=true").await;
    assert_eq!((status.as_u16(), &told["checks"][2]["wrong"]["code"]), (503, &json!("loop_late")), "{told}");
    app.stop().await;
}

#[actix::test]
async fn all_records_of_a_type_come_as_a_file_for_a_spreadsheet() {
    let app = TestApp::builder().agents(&["anna", "ben"]).start().await;
    let types = app.app.store.types().clone();
    let mut customers = invent(&types, "customers", 620);
    let spec = types.get("customers").unwrap();
    let place = spec.fields.iter().position(|field| field.name == "name").unwrap();
    customers[3].values[place] = Value::Text("=HYPERLINK(\"x\")".to_owned());
    serve(&app, "customers", "anna", &customers);
    app.sync("customers", "anna").await;
    let get = async |query: &str| {
        let request = app.raw(Method::GET, &format!("/api/data/customers?format=csv{query}"));
        let answer = request.bearer_auth(app.token()).send().await.unwrap();
        assert_eq!(answer.headers()["content-type"], "text/csv; charset=utf-8");
        let text = answer.text().await.unwrap();
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let head: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
        let rows: Vec<Vec<String>> =
            reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect();
        (head, rows)
    };
    // more than a page of the list
    let (head, rows) = get("").await;
    assert_eq!(rows.len(), 620);
    let at = head.iter().position(|name| name == "name").unwrap();
    assert_eq!(rows.iter().filter(|row| row[at] == "'=HYPERLINK(\"x\")").count(), 1);
    assert_eq!(get("&agent=ben").await.1.len(), 0);
    assert_eq!(get("&q=HYPERLINK").await.1.len(), 1);
    app.stop().await;
}
