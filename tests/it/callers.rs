//! May everyone do what their role says, and nothing else? Over every route.

use std::{collections::BTreeSet, time::Duration};

use lockstep::{
    api::{RULES, Rule, Scope},
    domain::Role,
    testing::TestApp,
};
use reqwest::Method;
use serde_json::{Value as Json, json};

use crate::fixtures::{invent, serve};

/// Every route that the sources declare, as `METHOD /path`.
fn declared() -> BTreeSet<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/api");
    let mut found = BTreeSet::from(["POST /api/upload/{type}".to_owned(), "GET /metrics".to_owned()]);
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        for line in text.lines().filter(|line| line.starts_with("#[")) {
            for method in ["get", "post", "put", "delete"] {
                if let Some(path) = line.strip_prefix(&format!("#[{method}(\"")).and_then(|rest| rest.split('"').next())
                {
                    found.insert(format!("{} /api{path}", method.to_uppercase()));
                }
            }
        }
    }
    // these need no token
    found.remove("GET /api/livez");
    found.remove("GET /api/readyz");
    found
}

#[test]
fn every_route_has_a_rule_and_every_rule_a_route() {
    let ruled: BTreeSet<String> = RULES.iter().map(|rule| format!("{} {}", rule.method, rule.path)).collect();
    assert_eq!(ruled.len(), RULES.len(), "a route has two rules");
    assert_eq!(ruled, declared());
}

/// A token of this role, made through the API.
pub async fn token(app: &TestApp, body: Json) -> String {
    let (status, made) = app.post("/api/tokens", body).await;
    assert_eq!(status, 201, "{made}");
    made["token"].as_str().unwrap().to_owned()
}

/// A path with something in place of its parts.
fn filled(rule: &Rule) -> String {
    let parts = [
        ("{type}", "customers"),
        ("{id}", "999"),
        ("{key:.+}", "k"),
        ("{page}", "1"),
        ("{folder}", "ddt"),
        ("{agent}", "a"),
        ("{number:.+}", "n"),
    ];
    parts.iter().fold(rule.path.to_owned(), |path, (part, filled)| path.replace(part, filled))
}

async fn ask(app: &TestApp, rule: &Rule, token: Option<&str>) -> (u16, String) {
    let method: Method = rule.method.parse().unwrap();
    let mut request = app.raw(method, &filled(rule));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    // wrong on purpose: what may be done is not to be done
    let answer = request.json(&json!({ "nothing": "like this" })).send().await.unwrap();
    let status = answer.status().as_u16();
    let code = if status < 400 { String::new() } else { answer.json::<Json>().await.unwrap()["code"].to_string() };
    (status, code)
}

#[actix::test]
async fn each_role_may_use_what_the_table_says() {
    let app = TestApp::builder().agents(&["a"]).start().await;
    for role in Role::ALL {
        let token = token(&app, json!({ "name": role.as_str(), "role": role.as_str() })).await;
        for rule in RULES {
            let (status, code) = ask(&app, rule, Some(&token)).await;
            let may = role.includes(rule.role);
            assert_eq!(status != 403, may, "{role}: {} {}: {status} {code}", rule.method, rule.path);
            assert_ne!(status, 401, "{role}: {} {}", rule.method, rule.path);
            assert_ne!(status, 500, "{role}: {} {}", rule.method, rule.path);
        }
    }
    let some = token(&app, json!({ "name": "annas", "role": "admin", "agents": ["a"] })).await;
    for rule in RULES {
        assert_eq!(ask(&app, rule, None).await.0, 401, "{} {}", rule.method, rule.path);
        if rule.scope == Scope::Whole {
            let refused = ask(&app, rule, Some(&some)).await;
            assert_eq!(refused, (403, "\"for_all_agents\"".to_owned()), "{} {}", rule.method, rule.path);
        }
    }
    // refused attempts at changes are in the audit, each with whoever tried
    let (_, audit) = app.get("/api/audit?action=refused&who=token:viewer&limit=500").await;
    let changes = RULES.iter().filter(|rule| rule.method != "GET" && !Role::Viewer.includes(rule.role));
    assert_eq!(audit["items"].as_array().unwrap().len(), changes.count(), "{audit}");
    assert!(audit["items"][0]["from"].is_string() && audit["items"][0]["requestId"].is_string(), "{audit}");
    app.stop().await;
}

#[actix::test]
async fn a_token_is_shown_once_and_opens_nothing_once_it_is_over() {
    let app = TestApp::builder().agents(&["a"]).start().await;
    let end = lockstep::domain::Clock::now(&app.clock) + chrono::Duration::hours(1);
    let wanted = json!({ "name": "export", "role": "viewer", "agents": ["a"], "expiresAt": end });
    let (status, made) = app.post("/api/tokens", wanted).await;
    assert_eq!(status, 201, "{made}");
    let secret = made["token"].as_str().unwrap().to_owned();
    assert!(secret.starts_with("lockstep_") && secret.len() > 40, "{secret}");
    let get = async |token: &str| app.raw(Method::GET, "/api/runs").bearer_auth(token).send().await.unwrap().status();
    assert_eq!(get(&secret).await, 200);
    let (_, all) = app.get("/api/tokens").await;
    let listed = all["items"].as_array().unwrap().iter().find(|one| one["id"] == made["id"]).unwrap();
    assert_eq!((&listed["role"], &listed["agents"]), (&json!("viewer"), &json!(["a"])));
    assert!(listed["lastUsedAt"].is_string() && !all.to_string().contains(&secret), "{all}");
    app.clock.advance(Duration::from_secs(3_601));
    assert_eq!(get(&secret).await, 401, "its time is over");

    let other = token(&app, json!({ "name": "other", "role": "operator" })).await;
    assert_eq!(get(&other).await, 200);
    let id = app.get("/api/tokens").await.1["items"].as_array().unwrap().last().unwrap()["id"].clone();
    assert_eq!(app.request(Method::DELETE, &format!("/api/tokens/{id}"), None).await.0, 204);
    assert_eq!(get(&other).await, 401, "it is revoked");
    assert_eq!(app.request(Method::DELETE, &format!("/api/tokens/{id}"), None).await.0, 404);
    let (_, audit) = app.get("/api/audit?target=token:2").await;
    let actions: Vec<_> = audit["items"].as_array().unwrap().iter().map(|entry| &entry["action"]).collect();
    assert_eq!(actions, ["token.revoke", "token.create"], "{audit}");
    assert!(!audit.to_string().contains("lockstep_"), "{audit}");

    // a new token is stored nowhere, and another token's keys are not this one's
    let make = async |name: &str, by: &str| {
        let request = app.raw(Method::POST, "/api/tokens").bearer_auth(by).header("Idempotency-Key", "k");
        let answer = request.json(&json!({ "name": name, "role": "admin" })).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Json>().await.unwrap())
    };
    let (_, one) = make("one", app.token()).await;
    let (status, again) = make("one", app.token()).await;
    assert_eq!((status, &again["id"], &again["token"]), (201, &one["id"], &json!(null)));
    let (status, two) = make("two", one["token"].as_str().unwrap()).await;
    assert_eq!(status, 201, "{two}");
    assert_eq!(make("two", app.token()).await.1["code"], "key_reused");
    assert_eq!(app.post("/api/tokens", json!({ "name": "two", "role": "viewer" })).await.1["code"], "name_taken");

    for (body, code) in [
        (json!({ "name": "x", "role": "root" }), "unknown_role"),
        (json!({ "name": "", "role": "viewer" }), "bad_name"),
        (json!({ "name": "x", "role": "viewer", "agents": [] }), "no_agents"),
        (json!({ "name": "x", "role": "viewer", "agents": ["nobody"] }), "unknown_agent"),
        (json!({ "name": "x", "role": "metrics", "agents": ["a"] }), "for_all_agents"),
        (json!({ "name": "x", "role": "viewer", "expiresAt": "2020-01-01T00:00:00Z" }), "over"),
    ] {
        let (status, problem) = app.post("/api/tokens", body.clone()).await;
        assert!(status.is_client_error() && problem["code"] == code, "{body}: {problem}");
    }
    app.stop().await;
}

#[actix::test]
async fn wrong_tokens_are_slowed_and_the_right_one_passes() {
    let app = TestApp::builder().agents(&["a"]).start().await;
    let wrong = async || app.raw(Method::GET, "/api/runs").bearer_auth("wrong").send().await.unwrap();
    let mut slowed = None;
    for number in 1..=200 {
        let answer = wrong().await;
        if answer.status() == 429 {
            assert!(answer.headers()["retry-after"].to_str().unwrap().parse::<u64>().unwrap() <= 61);
            slowed = Some(number);
            break;
        }
        assert_eq!(answer.status(), 401);
    }
    assert!(slowed.is_some(), "200 wrong tokens were not slowed");
    assert_eq!(app.get("/api/runs").await.0, 200, "the right one passes");
    for scheme in ["bearer", "BEARER"] {
        let header = format!("{scheme} {}", app.token());
        let answer = app.raw(Method::GET, "/api/runs").header("Authorization", header).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{scheme}");
    }
    app.stop().await;
}

#[actix::test]
async fn a_token_for_some_agents_sees_and_touches_theirs_alone() {
    let app = TestApp::builder().agents(&["anna", "bert"]).start().await;
    let types = app.app.store.types().clone();
    for (number, agent) in ["anna", "bert"].into_iter().enumerate() {
        let records = invent(&types, "customers", 20 + number);
        serve(&app, "customers", agent, &records);
        app.sync("customers", agent).await;
    }
    app.idle().await;
    let annas = token(&app, json!({ "name": "annas", "role": "operator", "agents": ["anna"] })).await;
    let ask = async |method: Method, path: &str, body: Option<Json>| {
        let request = app.raw(method, path).bearer_auth(&annas);
        let answer = match body {
            Some(body) => request.json(&body),
            None => request,
        };
        let answer = answer.send().await.unwrap();
        (answer.status().as_u16(), answer.json::<Json>().await.unwrap_or_default())
    };
    let get = async |path: &str| ask(Method::GET, path, None).await;
    let names = |answer: &Json| {
        let all = answer["items"].as_array().unwrap().iter().map(|item| {
            let agent = item.get("agentId").or(item.get("agent_id")).or(item.get("id"));
            agent.and_then(Json::as_str).unwrap_or("none").to_owned()
        });
        all.collect::<BTreeSet<String>>()
    };
    let anna = BTreeSet::from(["anna".to_owned()]);
    for list in ["/api/runs", "/api/jobs", "/api/data/customers", "/api/agents", "/api/sync/statistics"] {
        let (status, answer) = get(list).await;
        assert_eq!((status, names(&answer)), (200, anna.clone()), "{list}: {answer}");
    }
    for hidden in ["/api/runs", "/api/jobs", "/api/data/customers", "/api/changes"] {
        let (status, problem) = get(&format!("{hidden}?agent=bert")).await;
        assert_eq!((status, &problem["code"]), (404, &json!("unknown_agent")), "{hidden}");
        assert!(problem["detail"].as_str().unwrap().ends_with("known are: anna"), "{problem}");
    }
    let (_, runs) = app.get("/api/runs?agent=bert").await;
    let (run, job) = (&runs["items"][0]["id"], &runs["items"][0]["jobId"]);
    for (path, status) in [
        (format!("/api/runs/{run}"), 404),
        (format!("/api/runs/{run}/plan"), 404),
        (format!("/api/runs/{run}/document"), 404),
        (format!("/api/jobs/{job}"), 404),
        ("/api/why?type=customers&agent=bert&key=1".to_owned(), 404),
        ("/api/data/customers/1?agent=bert".to_owned(), 404),
    ] {
        assert_eq!(get(&path).await.0, status, "{path}");
    }
    let (_, status) = get("/api/sync/status").await;
    assert!(!status.to_string().contains("bert"), "{status}");
    // nor how much waits for others
    app.source.hang("orders", "bert");
    app.enqueue("orders", "bert").await;
    assert_eq!(app.get("/api/sync/status").await.1["queue"]["active"], 1);
    assert_eq!(get("/api/sync/status").await.1["queue"]["active"], 0);
    assert_eq!(app.post("/api/sync/stop", json!({})).await.0, 200);
    app.idle().await;
    let post = async |path: &str, body: Json| ask(Method::POST, path, Some(body)).await;
    assert_eq!(post("/api/sync/trigger/customers", json!({ "agentId": "bert" })).await.0, 404);
    assert_eq!(post("/api/sync/trigger/customers", json!({ "agentId": "anna" })).await.0, 202);
    assert_eq!(post("/api/sync/trigger/products", json!({})).await.1["code"], "for_all_agents");
    let (status, all) = post("/api/sync/trigger-all", json!({})).await;
    assert_eq!(status, 202, "{all}");
    assert!(all["jobs"].as_array().unwrap().iter().all(|job| job["agentId"] == "anna"), "{all}");
    app.idle().await;
    app.stop().await;
}

#[actix::test]
async fn what_people_change_is_noted_with_who_asked_and_what_was_there_before() {
    let app = TestApp::builder().agents(&["a"]).start().await;
    let records = invent(&app.app.store.types().clone(), "customers", 40);
    serve(&app, "customers", "a", &records);
    app.sync("customers", "a").await;
    serve(&app, "customers", "a", &records[..5]);
    let held = app.sync("customers", "a").await;
    let (_, start) = app.get("/api/audit?limit=1").await;
    let before = start["items"][0]["id"].as_i64().unwrap_or(0);
    let boss = token(&app, json!({ "name": "boss", "role": "admin" })).await;
    let ask = async |method: Method, path: &str, body: Json| {
        let request = app.raw(method, path).bearer_auth(&boss).header("X-Request-Id", "r-1");
        let answer = request.json(&body).send().await.unwrap();
        let status = answer.status();
        assert!(status.is_success(), "{path}: {status} {}", answer.text().await.unwrap());
        answer.json::<Json>().await.unwrap_or_default()
    };
    use Method as M;
    ask(M::PUT, "/api/agents/b", json!({ "name": "Bert" })).await;
    ask(M::PUT, "/api/agents/b", json!({ "name": "Berta", "active": false })).await;
    ask(M::DELETE, "/api/agents/b", json!({})).await;
    ask(M::POST, "/api/sync/intervals/orders", json!({ "intervalMinutes": 25 })).await;
    ask(M::PUT, "/api/limits", json!({ "types": { "orders": 3 } })).await;
    ask(M::POST, "/api/sync/pause", json!({ "reason": "stocktaking" })).await;
    ask(M::POST, "/api/sync/resume", json!({})).await;
    ask(M::POST, &format!("/api/runs/{}/reject", held.id), json!({})).await;
    let job = ask(M::POST, "/api/sync/trigger/customers", json!({ "agentId": "a" })).await["jobId"].clone();
    app.idle().await;
    ask(M::POST, "/api/sync/stop", json!({})).await;
    assert_eq!(app.get(&format!("/api/jobs/{job}")).await.1["requestedBy"], "token:boss");

    let (_, audit) = app.get("/api/audit?who=token:boss&limit=100").await;
    let entries: Vec<&Json> = audit["items"].as_array().unwrap().iter().rev().collect();
    let told: Vec<(&str, &str)> =
        entries.iter().map(|one| (one["action"].as_str().unwrap(), one["target"].as_str().unwrap())).collect();
    let (run, job) = (format!("run:{}", held.id), format!("job:{job}"));
    assert_eq!(
        told,
        [
            ("agent.put", "agent:b"),
            ("agent.put", "agent:b"),
            ("agent.deactivate", "agent:b"),
            ("schedule.set", "type:orders"),
            ("limits.set", "limits"),
            ("sync.pause", "sync"),
            ("sync.resume", "sync"),
            ("run.reject", &run),
            ("job.enqueue", &job),
            ("jobs.stop", "class:sync"),
        ]
    );
    assert!(entries.iter().all(|one| one["requestId"] == "r-1" && one["from"] == "127.0.0.1"), "{audit}");
    assert_eq!((&entries[0]["before"], &entries[0]["after"]["name"]), (&json!(null), &json!("Bert")));
    assert_eq!((&entries[1]["before"]["name"], &entries[1]["after"]["active"]), (&json!("Bert"), &json!(false)));
    assert_eq!(entries[3]["after"], json!({ "intervalMinutes": 25, "enabled": true }));
    assert_eq!((&entries[4]["before"], &entries[4]["after"]), (&json!({}), &json!({ "orders": 3 })));
    assert_eq!((&entries[5]["before"], &entries[5]["after"]["by"]), (&json!(null), &json!("token:boss")));
    assert_eq!((&entries[6]["before"]["reason"], &entries[6]["after"]), (&json!("stocktaking"), &json!(null)));
    // what a timer or a flow asks for is not, and what is sent without a name is noted as that
    app.queue.send(lockstep::queue::SetPause(None)).await.unwrap().unwrap();
    let (_, last) = app.get("/api/audit?limit=1").await;
    assert_eq!(
        (&last["items"][0]["who"], &last["items"][0]["action"]),
        (&json!("actor message"), &json!("sync.resume"))
    );
    let all = app.get("/api/audit?limit=500").await.1;
    let others = all["items"].as_array().unwrap().iter().filter(|one| one["id"].as_i64().unwrap() > before);
    assert_eq!(others.count(), told.len() + 2, "with the token's own: {all}");
    app.stop().await;
}
