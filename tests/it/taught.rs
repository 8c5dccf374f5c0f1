//! Can a person say what a renamed column is, and is it read so from the next run on?

use lockstep::{
    domain::{Outcome, Record},
    sync_type::{SyncTypeSpec, SyncTypes},
    testing::TestApp,
};
use reqwest::Method;
use serde_json::{Value as Json, json};

use crate::{
    callers::token,
    fixtures::{invent, print, serve},
};

const NEW: &str = "CODICE DEL CLIENTE NUOVO";

/// The type's report, where the column of its key is headed otherwise.
pub fn renamed(types: &SyncTypes, records: &[Record]) -> Vec<u8> {
    let mut spec: SyncTypeSpec = (**types.get("customers").unwrap()).clone();
    let column = spec.fields[spec.key].column;
    spec.columns[column].headers = vec![NEW.to_owned()];
    print(&spec, records)
}

#[actix::test]
async fn a_renamed_column_is_taught_by_a_person_and_read_from_the_next_run_on() {
    let app = TestApp::builder().agents(&["a"]).start().await;
    let types = app.app.store.types().clone();
    let records = invent(&types, "customers", 30);
    serve(&app, "customers", "a", &records);
    app.sync("customers", "a").await;
    app.source.set("customers", "a", renamed(&types, &records));
    let refused = app.sync("customers", "a").await;
    assert_eq!(refused.error_code.as_deref(), Some("required_column_missing"), "{refused:?}");
    let drift = &refused.notes.as_ref().unwrap()["drift"];
    assert_eq!((&drift["unknown"], &drift["renamed"][0]["to"]), (&json!([NEW]), &json!(NEW)), "{drift}");
    assert!(drift["absent"].as_array().unwrap().contains(&json!("customer_profile")), "{drift}");

    // who may not is told so
    let path = "/api/types/customers/headers";
    let body = json!({ "header": NEW, "field": "customer_profile" });
    for asked in
        [json!({ "name": "eye", "role": "operator" }), json!({ "name": "one", "role": "admin", "agents": ["a"] })]
    {
        let other = token(&app, asked).await;
        let url = format!("http://{}{path}", app.app.addr);
        let answer =
            lockstep::http::client().build().unwrap().post(url).bearer_auth(other).json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 403);
    }
    for (wrong, code) in [
        (json!({ "header": NEW, "field": "colour" }), "unknown_field_name"),
        (json!({ "header": " ", "field": "name" }), "no_header"),
        (json!({ "header": "x".repeat(201), "field": "name" }), "no_header"),
        (json!({ "header": NEW, "field": "name", "more": 1 }), "bad_body"),
    ] {
        let (status, problem) = app.post(path, wrong).await;
        assert_eq!((status.as_u16(), &problem["code"]), (422, &json!(code)), "{problem}");
    }
    let (status, taught) = app.post(path, body.clone()).await;
    assert_eq!((status.as_u16(), &taught["by"]), (201, &json!("admin")), "{taught}");
    let (status, again) = app.post(path, body).await;
    assert_eq!((status.as_u16(), &again["code"]), (409, &json!("known_header")), "{again}");
    let (_, shown) = app.get("/api/types/customers").await;
    let headers = |shown: &Json| shown["fields"].to_string().contains(NEW);
    assert!(headers(&shown), "{shown}");

    let read = app.sync("customers", "a").await;
    assert!(read.outcome.is_some_and(Outcome::is_applied), "{read:?}");
    assert_eq!((read.counts.read, read.counts.missing, read.counts.inserted), (30, 0, 0), "{read:?}");
    let same = app.sync("customers", "a").await;
    assert_eq!((same.outcome, same.counts.read), (Some(Outcome::Unchanged), 0), "the same bytes by the same file");
    let (_, audit) = app.get("/api/audit?action=header.teach").await;
    assert_eq!((&audit["items"][0]["who"], &audit["items"][0]["after"]["header"]), (&json!("admin"), &json!(NEW)));

    let id = taught["id"].as_i64().unwrap();
    assert_eq!(app.request(Method::DELETE, &format!("/api/types/orders/headers/{id}"), None).await.0, 404);
    assert_eq!(app.request(Method::DELETE, &format!("{path}/{id}"), None).await.0, 204);
    assert_eq!(app.sync("customers", "a").await.error_code.as_deref(), Some("required_column_missing"));
    assert_eq!(app.records("customers", "a").await.len(), 30, "what is stored stays");
    app.stop().await;
}

#[actix::test]
async fn a_refused_report_that_a_timer_asks_for_is_read_anew_once_its_column_is_taught() {
    let app = TestApp::builder().agents(&["a"]).start().await;
    let types = app.app.store.types().clone();
    let records = invent(&types, "customers", 30);
    app.source.set("customers", "a", renamed(&types, &records));
    let by_timer = async || {
        use lockstep::{domain::Reason, queue::Enqueue};
        let ask = Enqueue::new(
            types.get("customers").unwrap().name.job_type(),
            lockstep::domain::AgentId::from("a"),
            Reason::Timer,
        );
        let job = app.app.queue.send(ask).await.unwrap().unwrap().job().unwrap();
        app.ended(job).await
    };
    for _ in 0..3 {
        by_timer().await;
    }
    assert_eq!(by_timer().await.outcome, Some(Outcome::Skipped), "the same report is not read again and again");
    app.app.store.teach((&"customers".into(), NEW, "customer_profile"), "root", chrono::Utc::now()).await.unwrap();
    let read = by_timer().await;
    assert_eq!((read.outcome, read.counts.inserted), (Some(Outcome::Succeeded), 30), "{read:?}");
    app.stop().await;
}
