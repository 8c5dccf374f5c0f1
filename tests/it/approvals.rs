//! Is what a person approves what was seen?

use lockstep::domain::{Clock, JobId};
use serde_json::json;

use crate::{
    fixtures::{objects, serve},
    holds::app_with,
};

#[actix::test]
async fn a_plan_is_seen_before_it_is_approved_and_approved_by_its_digest() {
    let (app, records) = app_with(60).await;
    let types = app.app.store.types().clone();
    let customers = types.get("customers").unwrap();
    let mut few = records[..20].to_vec();
    few[0].values[customers.field("name").unwrap()] = lockstep::domain::Value::Text("Altro".into());
    serve(&app, "customers", "a", &few);
    let held = app.sync("customers", "a").await;
    let path = format!("/api/runs/{}/plan", held.id);
    let (_, plan) = app.get(&path).await;
    assert_eq!((&plan["totals"]["update"], &plan["totals"]["missing"]), (&json!(1), &json!(40)), "{plan}");
    assert_eq!((&plan["digest"], &plan["isWhatWasHeld"]), (&json!(held.plan_digest), &json!(true)));
    let (name, key) = (customers.field("name").unwrap(), records[0].text(customers.key));
    let field = json!([{ "field": "name", "old": records[0].values[name].to_json(), "new": "Altro" }]);
    let line = json!({ "action": "update", "key": key, "page": 1, "row": 1, "fields": field });
    assert_eq!(plan["items"][0], line);
    let (update, missing) = (&plan["items"][0], &plan["items"][1]);
    assert_eq!((&missing["action"], &missing["page"]), (&json!("missing"), &json!(null)), "{missing}");

    // and on its page
    let pages = format!("/api/runs/{}/pages", held.id);
    let drawn = app.raw(reqwest::Method::GET, &format!("{pages}/1.svg?row={}", update["row"])).bearer_auth(app.token());
    let drawn = drawn.send().await.unwrap();
    assert_eq!((drawn.status().as_u16(), &drawn.headers()["content-type"]), (200, &"image/svg+xml".parse().unwrap()));
    assert_eq!(drawn.headers()["content-security-policy"], "default-src 'none'; sandbox");
    let svg = drawn.text().await.unwrap();
    assert!(svg.contains(">Altro</text>") && svg.matches("#ffb3ab").count() > 3 && svg.contains("#b71c1c"), "{svg}");
    for (page, code, said) in [
        ("99.svg", "unknown_page", "has the pages 1 to "),
        ("0.svg", "unknown_page", "has the pages 1 to "),
        ("1.svg?row=0", "unknown_row", "page 1 of the report"),
        ("1.svg?row=99", "unknown_row", "has the rows 1 to 21, not 99"),
    ] {
        let (status, problem) = app.get(&format!("{pages}/{page}")).await;
        assert_eq!((status.as_u16(), &problem["code"]), (404, &json!(code)), "{page}");
        assert!(problem["detail"].as_str().unwrap().contains(said), "{problem}");
    }
    // every record once, page by page
    let (mut keys, mut cursor) = (Vec::new(), String::new());
    loop {
        let (_, page) = app.get(&format!("{path}?limit=7{cursor}")).await;
        keys.extend(page["items"].as_array().unwrap().iter().map(|line| line["key"].to_string()));
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(keys.len(), 41);
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 41);

    let approve_path = format!("/api/runs/{}/approve", held.id);
    let (status, problem) = app.post(&approve_path, json!({})).await;
    assert_eq!((status.as_u16(), &problem["code"]), (422, &json!("digest_needed")));
    assert!(problem["detail"].as_str().unwrap().contains(&path), "{problem}");
    let (status, problem) = app.post(&approve_path, json!({ "digest": "0000" })).await;
    assert_eq!((status.as_u16(), &problem["code"]), (409, &json!("another_plan")), "{problem}");

    // the same report again holds the place of the first: what was looked at is still what will happen
    let again = app.sync("customers", "a").await;
    assert_eq!(again.plan_digest, held.plan_digest);
    assert_eq!(app.get(&format!("/api/runs/{}", held.id)).await.1["hold"], "superseded");
    // another one does not
    serve(&app, "customers", "a", &few[..19]);
    let newer = app.sync("customers", "a").await;
    let (status, problem) = app.post(&approve_path, json!({ "digest": plan["digest"] })).await;
    assert_eq!((status.as_u16(), &problem["code"]), (409, &json!("hold_changed")));
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("19 rows (20 before)") && detail.contains(&format!("runs/{}/plan", newer.id)), "{detail}");
    serve(&app, "customers", "a", &few);
    let last = app.sync("customers", "a").await;
    let (status, answer) = app.post(&approve_path, json!({ "digest": plan["digest"] })).await;
    assert_eq!(status, 202, "{answer}");
    app.ended(JobId(answer["jobId"].as_i64().unwrap())).await;
    assert_eq!(app.get(&format!("/api/runs/{}", last.id)).await.1["hold"], "applied");
    app.stop().await;
}

#[actix::test]
async fn an_older_report_is_shown_and_applied_again_through_the_guards() {
    let (app, records) = app_with(60).await;
    let first = app.get("/api/runs?type=customers").await.1["items"][0]["id"].clone();
    let types = app.app.store.types().clone();
    let name = types.get("customers").unwrap().field("name").unwrap();
    let mut changed = records.clone();
    changed[5].values[name] = lockstep::domain::Value::Text("Altro".into());
    serve(&app, "customers", "a", &changed);
    app.sync("customers", "a").await;

    let shown = app.raw(reqwest::Method::GET, &format!("/api/runs/{first}/document")).bearer_auth(app.token());
    let shown = shown.send().await.unwrap();
    assert_eq!(shown.headers()["content-type"], "application/pdf");
    assert!(shown.bytes().await.unwrap().starts_with(b"%PDF-"));
    let (status, answer) = app.post(&format!("/api/runs/{first}/reapply"), json!({})).await;
    assert_eq!(status, 202, "{answer}");
    assert_eq!(answer["plan"]["totals"]["update"], 1);
    let run = app.ended(JobId(answer["jobId"].as_i64().unwrap())).await;
    assert_eq!((run.reason.as_str(), run.counts.updated), ("replay", 1));
    assert_eq!(app.records("customers", "a").await, objects(types.get("customers").unwrap(), &records));

    // what is not kept is gone, and the answer says what is there
    let keep = app.app.store.clean_kept(Clock::now(&app.clock) + chrono::Duration::days(1)).await.unwrap();
    assert!(keep > 0);
    let (_, runs) = app.get("/api/runs?type=customers").await;
    let second = &runs["items"][1]["id"];
    let (status, problem) = app.get(&format!("/api/runs/{second}/document")).await;
    assert_eq!((status.as_u16(), &problem["code"]), (410, &json!("not_kept")), "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("kept are those of the runs"), "{problem}");
    assert_eq!(app.get("/api/runs/999/plan").await.0, 404);
    app.stop().await;
}
