//! Is what needs a person told once when it begins and once when it is over, over all processes and restarts?

use std::sync::{Arc, Mutex};

use lockstep::{
    alert::LookForTrouble,
    domain::AttentionKind,
    event::Event,
    store::{AlertQuery, NewAlert},
    testing::TestApp,
};
use reqwest::Method;
use serde_json::{Value as Json, json};

use crate::{
    callers::token,
    fixtures::{invent, serve},
    taught::renamed,
};

async fn items(app: &TestApp, query: &str) -> Vec<Json> {
    app.get(&format!("/api/alerts{query}")).await.1["items"].as_array().unwrap().clone()
}

#[actix::test]
async fn what_is_refused_is_told_once_and_once_when_it_is_over() {
    let told: Arc<Mutex<Vec<Json>>> = Arc::default();
    let ears = told.clone();
    let app = TestApp::builder()
        .agents(&["anna", "ben"])
        .observe(move |event| {
            if matches!(event, Event::AlertBegan { .. } | Event::AlertEnded { .. }) {
                ears.lock().unwrap().push(json!(event));
            }
        })
        .start()
        .await;
    let types = app.app.store.types().clone();
    app.source.set("customers", "anna", renamed(&types, &invent(&types, "customers", 20)));
    serve(&app, "customers", "ben", &invent(&types, "customers", 20));
    app.sync("customers", "anna").await;
    app.sync("customers", "ben").await;
    let open = app.app.alerts.send(LookForTrouble).await.unwrap().unwrap();
    // another process sees the same, and so does this one later
    app.app.alerts.send(LookForTrouble).await.unwrap().unwrap();
    let lasting = items(&app, "?open=true").await;
    assert_eq!(lasting.len(), open, "{lasting:?}");
    let refused: Vec<&Json> =
        lasting.iter().filter(|one| one["agentId"] == "anna" && one["type"] == "customers").collect();
    assert_eq!(refused.len(), 1, "{lasting:?}");
    assert_eq!((&refused[0]["kind"], &refused[0]["severity"]), (&json!("refused"), &json!("problem")), "{refused:?}");
    assert!(lasting.iter().all(|one| one["agentId"] != "ben" || one["type"] != "customers"), "{lasting:?}");
    let id = refused[0]["id"].clone();

    // somebody sees to it
    let (status, seen) = app.post(&format!("/api/alerts/{id}/acknowledge"), json!({ "minutes": 60 })).await;
    assert_eq!((status.as_u16(), &seen["acknowledgedBy"]), (200, &json!("admin")), "{seen}");
    assert!(seen["acknowledgedUntil"].is_string());

    serve(&app, "customers", "anna", &invent(&types, "customers", 20));
    app.sync("customers", "anna").await;
    app.app.alerts.send(LookForTrouble).await.unwrap().unwrap();
    let over = items(&app, "?open=false&kind=refused").await;
    assert_eq!((over.len(), &over[0]["id"]), (1, &id), "{over:?}");
    assert!(over[0]["overAt"].is_string());
    let (status, wrong) = app.post(&format!("/api/alerts/{id}/acknowledge"), json!({})).await;
    assert_eq!((status.as_u16(), &wrong["code"]), (409, &json!("alert_over")));
    let told = told.lock().unwrap().clone();
    let of_it: Vec<&str> =
        told.iter().filter(|one| one["alert"] == id).map(|one| one["event"].as_str().unwrap()).collect();
    assert_eq!(of_it, ["alertBegan", "alertEnded"], "{told:?}");
}

#[actix::test]
async fn of_several_processes_one_begins_it_and_none_after_another_saw_its_end() {
    let app = TestApp::builder().start().await;
    let store = &app.app.store;
    let now = chrono::Utc::now();
    let new = || NewAlert {
        subject: "held/orders/anna/".to_owned(),
        kind: AttentionKind::Held,
        sync_type: Some("orders".into()),
        agent: Some("anna".into()),
        model: None,
        run: None,
        text: "held".to_owned(),
    };
    let looks = (0..8).map(|_| store.follow_alerts(vec![new()], Vec::new(), now));
    let begun: usize =
        futures_util::future::join_all(looks).await.into_iter().map(|one| one.unwrap().begun.len()).sum();
    assert_eq!(begun, 1);
    let [alert] = &store.open_alerts().await.unwrap()[..] else { panic!("one is open") };
    let later = now + chrono::TimeDelta::seconds(10);
    let ends = (0..4).map(|_| store.follow_alerts(Vec::new(), vec![alert.id], later));
    let over: usize = futures_util::future::join_all(ends).await.into_iter().map(|one| one.unwrap().over.len()).sum();
    assert_eq!(over, 1);
    // who looked before that end begins it no more; who looks after it does
    assert!(store.follow_alerts(vec![new()], Vec::new(), now).await.unwrap().begun.is_empty());
    assert_eq!(store.calm_since(None).await.unwrap().map(|at| at.timestamp_millis()), Some(later.timestamp_millis()));
    assert_eq!(store.calm_since(Some(vec!["ben".to_owned()])).await.unwrap(), None);
    let again = later + chrono::TimeDelta::seconds(10);
    assert_eq!(store.follow_alerts(vec![new()], Vec::new(), again).await.unwrap().begun.len(), 1);
    assert_eq!(store.calm_since(None).await.unwrap(), None, "something lasts");
    let of_ben = AlertQuery { agents: Some(vec!["ben".to_owned()]), limit: 10, ..AlertQuery::default() };
    assert!(store.alerts(of_ben).await.unwrap().is_empty());
    // what lasts is not forgotten, however old
    assert_eq!(store.clean_alerts(again + chrono::TimeDelta::days(1)).await.unwrap(), 1);
    assert_eq!(store.open_alerts().await.unwrap().len(), 1);
}

#[actix::test]
async fn whoever_is_for_some_agents_sees_the_alerts_of_those_alone() {
    let app = TestApp::builder().agents(&["anna", "ben"]).start().await;
    for agent in ["anna", "ben"] {
        app.source.set("customers", agent, b"no pdf".to_vec());
        app.sync("customers", agent).await;
    }
    app.app.alerts.send(LookForTrouble).await.unwrap().unwrap();
    let all = items(&app, "").await;
    let bens = all.iter().find(|one| one["agentId"] == "ben").unwrap()["id"].clone();
    let annas = token(&app, json!({ "name": "annas", "role": "operator", "agents": ["anna"] })).await;
    let seen = app.raw(Method::GET, "/api/alerts").bearer_auth(&annas).send().await.unwrap();
    let seen: Json = seen.json().await.unwrap();
    let seen = seen["items"].as_array().unwrap();
    assert!(seen.iter().all(|one| one["agentId"] != "ben"), "{seen:?}");
    let own = seen.iter().find(|one| one["agentId"] == "anna").unwrap();
    let path = format!("/api/alerts/{bens}/acknowledge");
    let refused = app.raw(Method::POST, &path).bearer_auth(&annas).send().await.unwrap();
    assert_eq!(refused.status(), 404);
    // what all share they see, and leave to those who are for all
    app.source.set("products", "service-account", b"no pdf".to_vec());
    app.sync("products", "service-account").await;
    app.app.alerts.send(LookForTrouble).await.unwrap().unwrap();
    let all = items(&app, "").await;
    let shared = all.iter().find(|one| one["agentId"] == "service-account").unwrap()["id"].clone();
    let path = format!("/api/alerts/{shared}/acknowledge");
    let refused = app.raw(Method::POST, &path).bearer_auth(&annas).send().await.unwrap();
    assert_eq!(refused.status(), 403);
    let mine = format!("/api/alerts/{}/acknowledge", own["id"]);
    let noted = app.raw(Method::POST, &mine).bearer_auth(&annas).send().await.unwrap();
    assert_eq!(noted.status(), 200);
    let audit = app.get("/api/audit?action=alert.acknowledge").await.1;
    assert_eq!(
        (audit["items"].as_array().unwrap().len(), &audit["items"][0]["who"]),
        (1, &json!("token:annas")),
        "{audit}"
    );
    let (status, wrong) = app.post(&mine, json!({ "minutes": 0 })).await;
    assert_eq!((status.as_u16(), &wrong["code"]), (422, &json!("out_of_range")));
}
