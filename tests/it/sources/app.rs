//! The whole way: credentials through the API, sessions, unchanged reports, single documents, replays.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use lockstep::{
    domain::Reason,
    pretend_erp::{Erp, Trouble, World},
    queue::{Enqueue, StopJobs},
    source::Vault,
    testing::{Backend, TestApp, types},
};
use reqwest::Method;
use serde_json::{Value as Json, json};

use crate::fixtures::{invent, print, serve};

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
    assert_eq!((run.outcome.as_deref(), run.error_code.as_deref()), (Some("failed"), Some("no_credentials")));

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
    assert_eq!(run.outcome.as_deref(), Some("succeeded"), "{:?}", run.error);
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
    assert_eq!(app.sync("products", "service-account").await.outcome.as_deref(), Some("succeeded"));
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
    assert_eq!(first.outcome.as_deref(), Some("succeeded"));
    for _ in 0..2 {
        let again = app.sync("orders", "anna").await;
        assert_eq!((again.outcome.as_deref(), again.counts.read), (Some("unchanged"), 0));
        assert_eq!(again.document_sha256, first.document_sha256);
        assert!(again.document_version.is_some() && again.document_version == first.document_version);
    }
    office.erp.trouble(Trouble::ExpiredSession, &"orders".into(), &"anna".into(), true);
    let run = app.sync("orders", "anna").await;
    assert_eq!((run.outcome.as_deref(), run.attempt), (Some("unchanged"), 1));
    assert_eq!(office.state().await["logins"], 2);
    // a forced run reads the same bytes again
    let force = json!({ "agentId": "anna", "force": true });
    let (_, answer) = app.post("/api/sync/trigger/orders", force).await;
    let job = answer["jobs"][0]["jobId"].as_i64().or(answer["jobId"].as_i64()).unwrap();
    assert_eq!(app.ended(job).await.counts.read, 12);
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
        let asked = app.get(&path);
        tokio::pin!(asked);
        loop {
            // attempts are seconds apart
            tokio::select! {
                (status, problem) = &mut asked => break (status.as_u16(), problem["code"].as_str().unwrap().to_owned()),
                () = tokio::time::sleep(Duration::from_millis(50)) => app.clock.advance(Duration::from_secs(2)),
            }
        }
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
    assert_eq!((run.outcome.as_deref(), run.stage.as_deref()), (Some("stopped"), Some("fetch")));
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

#[actix::test]
async fn the_last_reports_are_kept_and_no_more() {
    let app = TestApp::builder().agents(&["a"]).setting("LOCKSTEP__SOURCE__KEEP_REPORTS", "3").start().await;
    let records = invent(app.app.store.types(), "orders", 30);
    for rows in [10, 11, 11, 12, 13, 14] {
        serve(&app, "orders", "a", &records[..rows]);
        app.sync("orders", "a").await;
    }
    let kept = app.app.store.kept_reports(&"orders".into(), &"a".into()).await.unwrap();
    let runs: Vec<i64> = kept.iter().map(|report| report.run.unwrap()).collect();
    assert_eq!(runs.len(), 3);
    assert!(runs.is_sorted(), "oldest first: {runs:?}");
    let spec = app.app.store.types().get("orders").unwrap().clone();
    let last = app.app.store.kept_bytes(kept[2].id).await.unwrap();
    assert_eq!(last, print(&spec, &records[..14]));

    // a log-in page is no report; one that is refused for its content is kept, because a type's file may learn
    app.source.set("orders", "a", b"<html>login password</html>".to_vec());
    app.queue.send(Enqueue::new("orders", "a", Reason::Manual)).await.unwrap().unwrap();
    app.idle_after(Duration::from_secs(60)).await;
    assert_eq!(app.app.store.kept_reports(&"orders".into(), &"a".into()).await.unwrap(), kept);
    app.source.set(
        "orders",
        "a",
        print(app.app.store.types().get("ddt").unwrap(), &invent(app.app.store.types(), "ddt", 5)),
    );
    let refused = app.sync("orders", "a").await;
    assert_eq!(refused.outcome.as_deref(), Some("failed"));
    let kept = app.app.store.kept_reports(&"orders".into(), &"a".into()).await.unwrap();
    assert_eq!(kept[2].run, Some(refused.id));

    // however many are refused or held after it, the one that the records come from stays
    let types = app.app.store.types().clone();
    for rows in 6..12 {
        app.source.set("orders", "a", print(types.get("ddt").unwrap(), &invent(&types, "ddt", rows)));
        app.sync("orders", "a").await;
    }
    let kept = app.app.store.kept_reports(&"orders".into(), &"a".into()).await.unwrap();
    assert_eq!(kept.len(), 4);
    assert_eq!(app.app.store.kept_bytes(kept[0].id).await.unwrap(), last);
    // and by age, too
    app.clock.advance(Duration::from_hours(24 * 31));
    let before = lockstep::domain::Clock::now(&app.clock) - chrono::Duration::days(30);
    assert_eq!(app.app.store.clean_kept(before).await.unwrap(), 3);
    assert_eq!(app.app.store.kept_reports(&"orders".into(), &"a".into()).await.unwrap(), kept[..1]);
    app.stop().await;
}

fn lockstep(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_lockstep"))
        .args(arguments)
        .args(["--config", "lockstep.toml"])
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn lines(output: &Output) -> Vec<Json> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[actix::test]
async fn a_replay_shows_what_a_changed_type_would_read_and_applies_the_last_report() {
    let folder = tempfile::tempdir().unwrap();
    let database = Backend::of_suite().database(folder.path()).await;
    fs::write(
        folder.path().join("lockstep.toml"),
        format!(
            "database.url = \"{database}\"\nsource.kind = \"folder\"\nsource.folder.url = \"reports\"\n\
             sync.types_dir = \"types\"\nscheduler.minute_ms = 1\n[[agents]]\nid = \"a\"\nname = \"A\"\n"
        ),
    )
    .unwrap();
    fs::create_dir_all(folder.path().join("reports/a")).unwrap();
    fs::create_dir_all(folder.path().join("types")).unwrap();
    let types = types();
    let (spec, records) = (types.get("invoices").unwrap(), invent(&types, "invoices", 30));
    let code = |output: &Output| output.status.code().unwrap();
    let said = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
    let sync = |rows: usize| {
        fs::write(folder.path().join("reports/a/invoices.pdf"), print(spec, &records[..rows])).unwrap();
        lockstep(folder.path(), &["sync", "invoices", "--agent", "a"], "")
    };
    for rows in [28, 30] {
        let synced = sync(rows);
        assert_eq!(code(&synced), 0, "{}", said(&synced));
    }
    let replay = |more: &[&str]| lockstep(folder.path(), &[&["replay", "--type", "invoices"], more].concat(), "");
    let same = replay(&["--dry-run"]);
    assert_eq!(code(&same), 0, "{}", said(&same));
    let shown = lines(&same);
    assert_eq!(shown.len(), 3, "{shown:?}");
    assert_eq!((&shown[0]["now"]["read"], &shown[1]["then"]["read"]), (&json!(28), &json!(30)));
    assert_eq!((&shown[2]["unchanged"], &shown[2]["wouldApply"]), (&json!(30), &shown[1]["report"]));

    // the type's file now knows one column less: what was stored of it stays, what is read of it is new
    let file = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/config/sync/invoices.toml")).unwrap();
    let renamed = file.replacen("field = \"due_date\"", "field = \"due_on\"", 1);
    assert_ne!(renamed, file, "the file has such a field");
    fs::write(folder.path().join("types/invoices.toml"), renamed).unwrap();
    let changed = replay(&["--agent", "a", "--dry-run"]);
    assert_eq!(code(&changed), 0, "{}", said(&changed));
    let plan = lines(&changed).pop().unwrap();
    let moved = plan["update"].as_array().unwrap().len() + plan["refresh"].as_array().unwrap().len();
    assert!(moved > 20, "{plan}");
    let applied = replay(&[]);
    assert_eq!(code(&applied), 0, "{}", said(&applied));
    let again = lines(&replay(&["--dry-run"])).pop().unwrap();
    assert_eq!(again["unchanged"], 30, "{again}");
    assert_eq!(code(&lockstep(folder.path(), &["replay", "--type", "colours"], "")), 2);

    // a newer report that is held is shown, and not applied
    assert_eq!(code(&sync(5)), 5, "held");
    let shown = lines(&replay(&["--dry-run"]));
    assert_eq!(shown.len(), 4, "{shown:?}");
    assert_eq!((&shown[2]["then"]["outcome"], &shown[2]["now"]["read"]), (&json!("held"), &json!(5)));
    assert_eq!(shown[3]["wouldApply"], shown[1]["report"]);

    // what is missing once is not missing twice because the same report is read again, an interval later
    assert_eq!(code(&sync(29)), 0);
    tokio::time::sleep(Duration::from_millis(100)).await;
    fs::remove_file(folder.path().join("types/invoices.toml")).unwrap();
    let counted = replay(&[]);
    assert_eq!(code(&counted), 0, "{}", said(&counted));
    let text = String::from_utf8_lossy(&counted.stdout).into_owned();
    assert!(text.contains("\"deleted\": 0") && text.contains("\"read\": 29"), "{text}");
}

#[actix::test]
async fn credentials_are_set_listed_and_sealed_anew_from_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let database = Backend::of_suite().database(folder.path()).await;
    fs::write(
        folder.path().join("lockstep.toml"),
        format!(
            "database.url = \"{database}\"\nsource.credentials_key_file = \"keys\"\n[[agents]]\nid = \"a\"\nname = \"A\"\n"
        ),
    )
    .unwrap();
    let run = |arguments: &[&str], input: &str| {
        let output = lockstep(folder.path(), &[&["credentials"], arguments].concat(), input);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    };
    let (old, new) = (run(&["new-key"], "").1, run(&["new-key"], "").1);
    fs::write(folder.path().join("keys"), &old).unwrap();
    // agents are added by the service
    let types = Arc::new(types());
    let io = lockstep::app::Io::start().unwrap();
    let store = lockstep::store::Store::open(&database, io.handle(), types).await;
    let store = store.unwrap();
    store.migrate().await.unwrap();
    store.seed_agents(vec![lockstep::store::Agent::named("a")]).await.unwrap();

    assert_eq!(run(&["set", "a", "--username", "anna"], "p-w-of-anna\n").0, 0);
    assert_eq!(run(&["set", "service-account", "--token"], "t-k-of-all\n").0, 0);
    for (arguments, input, named) in [
        (&["set", "nobody", "--token"][..], "x", "there is no agent 'nobody'; known are: a"),
        (&["set", "a", "--token"], "\n", "token is empty"),
    ] {
        let (code, _, said) = run(arguments, input);
        assert!(code == 1 && said.contains(named), "{code} {said}");
    }
    let listed = run(&["list"], "").1;
    assert_eq!(listed.lines().count(), 2);
    assert!(!listed.contains("p-w-of-anna") && !listed.contains("anna"), "{listed}");

    fs::write(folder.path().join("keys"), format!("{new}{old}")).unwrap();
    assert_eq!(run(&["reseal"], "").1.trim(), r#"{"resealed":2}"#);
    assert_eq!(run(&["reseal"], "").1.trim(), r#"{"resealed":0}"#);
    let sealed = store.credential(&"a".into()).await.unwrap().unwrap();
    let opened = Vault::new(&new.clone().into()).unwrap().open(&"a".into(), &sealed.sealed).unwrap();
    assert_eq!(opened.exposed(), json!({ "username": "anna", "password": "p-w-of-anna" }));
    assert_eq!(run(&["remove", "a"], "").0, 0);
    assert!(run(&["remove", "a"], "").2.contains("has no credentials"));
    store.close().await;
}
