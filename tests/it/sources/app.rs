//! The whole way: credentials through the API, sessions, unchanged reports, single documents.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use lockstep::{
    domain::{JobId, Outcome, Stage},
    pretend_erp::{Erp, Trouble, World},
    queue::StopJobs,
    source::Vault,
    testing::{TestApp, types},
};
use reqwest::Method;
use serde_json::{Value as Json, json};

const PASSWORD: &str = "a password of the tests";

struct Office {
    erp: Erp,
    root: String,
    server: actix_web::dev::ServerHandle,
    app: TestApp,
}

impl Office {
    /// A pretend ERP with sessions of a day, and an app that fetches from it for anna.
    async fn open(settings: &[(&str, &str)]) -> Self {
        let types = Arc::new(types());
        let world = World::new(types.clone(), &["anna".into()], |_| 12, 1);
        let erp = Erp::new(types, world, PASSWORD, Duration::from_hours(24));
        let (addr, server) = erp.serve().unwrap();
        let root = format!("http://{addr}");
        let url = |path: &str| format!("{root}{path}");
        let builder = TestApp::builder()
            .real_source()
            .agents(&["anna"])
            .setting("LOCKSTEP__SOURCE__KIND", "http")
            .setting("LOCKSTEP__SOURCE__CREDENTIALS_KEY", &Vault::new_key().unwrap())
            .setting("LOCKSTEP__SOURCE__HTTP__REPORT_URL", &url("/export/{type}"))
            .setting("LOCKSTEP__SOURCE__HTTP__DOCUMENT_URL", &url("/documents/{folder}/{number}"))
            .setting("LOCKSTEP__SOURCE__HTTP__AUTH", "form")
            .setting("LOCKSTEP__SOURCE__HTTP__LOGIN__URL", &url("/login"))
            .setting("LOCKSTEP__SOURCE__HTTP__LOGIN__PAGE_URL", &url("/login"))
            .setting("LOCKSTEP__SOURCE__HTTP__LOGIN__USERNAME_FIELD", "user");
        let app = settings.iter().fold(builder, |builder, (name, value)| builder.setting(name, value)).start().await;
        Self { erp, root, server, app }
    }

    async fn with_password(self) -> Self {
        let body = json!({ "username": "anna", "password": PASSWORD });
        assert_eq!(self.app.request(Method::PUT, "/api/agents/anna/credentials", Some(body)).await.0, 204);
        self
    }

    async fn state(&self) -> Json {
        let state = lockstep::http::client().build().unwrap().get(format!("{}/state.json", self.root));
        state.send().await.unwrap().json().await.unwrap()
    }

    async fn close(self) {
        self.app.stop().await;
        self.server.stop(false).await;
    }
}

#[actix::test]
async fn credentials_are_set_through_the_api_and_never_come_out_again() {
    let office = Office::open(&[]).await;
    let app = &office.app;
    let run = app.sync("orders", "anna").await;
    assert_eq!((run.outcome.map(Outcome::as_str), run.error_code.as_deref()), (Some("failed"), Some("no_credentials")));

    let path = "/api/agents/anna/credentials";
    for (body, pointer) in [
        (json!({ "username": "anna" }), ""),
        (json!({ "username": "anna", "password": "" }), "/password"),
        (json!({ "token": "x", "colour": "red" }), ""),
    ] {
        let (status, problem) = app.request(Method::PUT, path, Some(body)).await;
        assert_eq!((status.as_u16(), &problem["pointer"]), (422, &json!(pointer)), "{problem}");
        assert!(!problem.to_string().contains("colour"), "no word of the body comes back: {problem}");
    }
    let office = office.with_password().await;
    let app = &office.app;
    let run = app.sync("orders", "anna").await;
    assert_eq!(run.outcome.map(Outcome::as_str), Some("succeeded"), "{:?}", run.error);
    assert_eq!(json!(app.records("orders", "anna").await), sorted(&office.state().await["records"]["orders"]["anna"]));

    let (_, listed) = app.get("/api/credentials").await;
    assert_eq!(listed["items"][0]["agentId"], "anna");
    for shown in [listed, app.get("/api/agents").await.1, app.get("/api/runs").await.1] {
        assert!(!shown.to_string().contains(PASSWORD), "{shown}");
    }
    let sealed = app.app.store.credential(&"anna".into()).await.unwrap().unwrap();
    assert!(!sealed.sealed.contains(PASSWORD));

    // others that are wrong: refused, and no attempt is repeated
    let wrong = json!({ "username": "anna", "password": "another" });
    assert_eq!(app.request(Method::PUT, path, Some(wrong)).await.0, 204);
    let run = app.sync("orders", "anna").await;
    assert_eq!((run.error_code.as_deref(), run.attempt), (Some("source_refused"), 1), "{:?}", run.error);
    assert_eq!(app.request(Method::DELETE, path, None).await.0, 204);
    assert_eq!(app.request(Method::DELETE, path, None).await.0, 404);
    assert_eq!(app.request(Method::PUT, "/api/agents/nobody/credentials", Some(json!({}))).await.0, 404);
    let shared = json!({ "username": "service-account", "password": PASSWORD });
    assert_eq!(app.request(Method::PUT, "/api/agents/service-account/credentials", Some(shared)).await.0, 204);
    assert_eq!(app.sync("products", "service-account").await.outcome.map(Outcome::as_str), Some("succeeded"));
    office.close().await;
}

fn sorted(records: &Json) -> Json {
    let mut records = records.as_array().unwrap().clone();
    records.sort_by(|a, b| a["order_id"].as_str().cmp(&b["order_id"].as_str()));
    json!(records)
}

#[actix::test]
async fn without_a_key_no_credentials_are_taken() {
    let app = TestApp::builder().agents(&["anna"]).start().await;
    let body = json!({ "token": "t" });
    let (status, problem) = app.request(Method::PUT, "/api/agents/anna/credentials", Some(body)).await;
    assert_eq!((status.as_u16(), &problem["code"]), (409, &json!("no_credentials_key")));
    assert!(problem["detail"].as_str().unwrap().contains("lockstep credentials new-key"));
    app.stop().await;
}

#[actix::test]
async fn an_unchanged_report_is_not_fetched_again_and_an_expired_session_costs_no_attempt() {
    let office = Office::open(&[]).await.with_password().await;
    let app = &office.app;
    let first = app.sync("orders", "anna").await;
    assert_eq!(first.outcome.map(Outcome::as_str), Some("succeeded"));
    for _ in 0..2 {
        let again = app.sync("orders", "anna").await;
        assert_eq!((again.outcome.map(Outcome::as_str), again.counts.read), (Some("unchanged"), 0));
        assert_eq!(again.document_sha256, first.document_sha256);
        assert!(again.document_version.is_some() && again.document_version == first.document_version);
    }
    office.erp.trouble(Trouble::ExpiredSession, &"orders".into(), &"anna".into(), true);
    let run = app.sync("orders", "anna").await;
    assert_eq!((run.outcome.map(Outcome::as_str), run.attempt), (Some("unchanged"), 1));
    assert_eq!(office.state().await["logins"], 2);
    // a forced run reads the same bytes again
    let force = json!({ "agentId": "anna", "force": true });
    let (_, answer) = app.post("/api/sync/trigger/orders", force).await;
    let job = answer["jobs"][0]["jobId"].as_i64().or(answer["jobId"].as_i64()).unwrap();
    assert_eq!(app.ended(JobId(job)).await.counts.read, 12);
    office.close().await;
}

#[actix::test]
async fn a_document_is_fetched_once_for_all_who_ask_for_it() {
    let office = Office::open(&[]).await.with_password().await;
    let app = &office.app;
    let ddt = office.state().await["records"]["ddt"]["anna"].clone();
    let number = ddt.as_array().unwrap().iter().find_map(|one| one["ddt_number"].as_str()).unwrap().to_owned();
    let path = format!("/api/documents/ddt/anna/{}", number.replace('/', "%2F"));
    let get = || app.raw(Method::GET, &path).bearer_auth(app.token()).send();
    let (one, two) = tokio::join!(get(), get());
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!((one.status().as_u16(), one.headers()["content-type"].to_str().unwrap()), (200, "application/pdf"));
    let (one, two) = (one.bytes().await.unwrap(), two.bytes().await.unwrap());
    assert!(one.starts_with(b"%PDF-") && one == two);
    assert_eq!(get().await.unwrap().bytes().await.unwrap(), one, "from what is kept");
    let (_, jobs) = app.get("/api/jobs?type=download-ddt-pdf").await;
    assert_eq!(jobs["items"].as_array().unwrap().len(), 1, "{jobs}");

    // an hour later it is asked for again
    app.clock.advance(Duration::from_mins(61));
    assert_eq!(get().await.unwrap().status(), 200);
    let (_, jobs) = app.get("/api/jobs?type=download-ddt-pdf").await;
    assert_eq!(jobs["items"].as_array().unwrap().len(), 2);

    for (path, status, code) in
        [("/api/documents/ddt/nobody/7", 404, "unknown_agent"), ("/api/documents/letters/anna/7", 404, "unknown_kind")]
    {
        let (told, problem) = app.get(path).await;
        assert_eq!((told.as_u16(), &problem["code"]), (status, &json!(code)), "{problem}");
    }
    office.close().await;
}

#[actix::test]
async fn a_document_that_is_not_there_is_told_with_its_reason() {
    let app = TestApp::builder().agents(&["anna"]).start().await;
    app.source.set("invoices/F/7", "anna", b"<html>no</html>".to_vec());
    let get = async |number: &str| {
        let path = format!("/api/documents/invoices/anna/{number}");
        let ends = async {
            app.until("its job is there", async || !app.app.store.job_counts().await.unwrap().is_empty()).await;
            app.idle().await;
        };
        let ((status, problem), ()) = tokio::join!(app.get(&path), ends);
        (status.as_u16(), problem["code"].as_str().unwrap().to_owned())
    };
    assert_eq!(get("F-0").await, (404, "report_not_found".to_owned()));
    assert_eq!(get("F%2F7").await, (502, "not_a_report".to_owned()));
    app.stop().await;
}

/// A program that notes its process and those it starts, and then takes for ever.
fn slow_robot(folder: &Path) -> String {
    let robot = folder.join("robot");
    let script = format!("#!/bin/sh\nread line\nsleep 300 &\necho $! $$ > {}/pids\nwait\n", folder.display());
    fs::write(&robot, script).unwrap();
    fs::set_permissions(&robot, fs::Permissions::from_mode(0o755)).unwrap();
    robot.display().to_string()
}

#[actix::test]
async fn a_stop_kills_the_program_that_fetches_with_all_that_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let app = TestApp::builder()
        .real_source()
        .agents(&["anna"])
        .setting("LOCKSTEP__SOURCE__KIND", "command")
        .setting("LOCKSTEP__SOURCE__COMMAND__PROGRAM", &slow_robot(folder.path()))
        .start()
        .await;
    let job = app.enqueue("orders", "anna").await;
    let pids = loop {
        match fs::read_to_string(folder.path().join("pids")) {
            Ok(pids) if pids.ends_with('\n') => break pids,
            _ => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    };
    let asked = Instant::now();
    app.queue.send(StopJobs { job: Some(job), ..StopJobs::default() }).await.unwrap().unwrap();
    let run = app.ended(job).await;
    assert_eq!((run.outcome.map(Outcome::as_str), run.stage.map(Stage::as_str)), (Some("stopped"), Some("fetch")));
    let is_alive = |pid: &str| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        !stat.is_empty() && !stat.contains(") Z ")
    };
    while pids.split_whitespace().any(is_alive) {
        assert!(asked.elapsed() < Duration::from_secs(5), "still there: {pids}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    println!("from Stop to the last process gone: {:?}", asked.elapsed());
    app.stop().await;
}
