//! What does someone read at 3 a.m.? The log of a real service over a scripted day.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use serde_json::{Value as Json, json};

use crate::fixtures::{invent, print};

const TOKEN: &str = "a-token-for-this-test-alone-0123456789";

/// Starts a service in `folder`; answers its address and the lines of its log as they come.
fn serve(folder: &std::path::Path) -> (std::process::Child, Vec<Json>, std::sync::mpsc::Receiver<Json>) {
    let config = format!(
        "database.url = \"sqlite://{0}/lockstep.db?mode=rwc\"\nauth.admin_token = \"{TOKEN}\"\nserver.port = 0\n\
         scheduler.enabled = false\nsource.kind = \"folder\"\nsource.folder.url = \"{0}/reports\"\nlog.format = \"json\"\n\
         [[agents]]\nid = \"anna\"\nname = \"Anna\"\n",
        folder.display()
    );
    std::fs::write(folder.join("lockstep.toml"), config).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_lockstep"))
        .args(["serve", "--config"])
        .arg(folder.join("lockstep.toml"))
        .current_dir(folder)
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let (sender, lines) = std::sync::mpsc::channel();
    let log = BufReader::new(child.stderr.take().unwrap());
    std::thread::spawn(move || {
        for line in log.lines().map_while(Result::ok) {
            let line: Json = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    let first = until(&lines, "lockstep serves");
    let start = &first.last().unwrap()["fields"];
    assert_eq!((&start["source"], &start["agents"]), (&json!("folder"), &json!(1)), "{start}");
    assert!(start["database"].as_str().unwrap().starts_with("sqlite /") && start["version"].is_string(), "{start}");
    assert!(start["types"].as_str().unwrap().contains("orders"), "{start}");
    (child, first, lines)
}

/// The lines up to the first that says this.
fn until(lines: &std::sync::mpsc::Receiver<Json>, message: &str) -> Vec<Json> {
    let mut seen = Vec::new();
    loop {
        let line = lines.recv_timeout(std::time::Duration::from_secs(20));
        seen.push(line.unwrap_or_else(|_| panic!("never said: {message}\n{seen:#?}")));
        if seen.last().unwrap()["fields"]["message"] == message {
            return seen;
        }
    }
}

#[tokio::test]
async fn a_day_is_told_in_lines_that_can_be_read_and_searched() {
    let folder = tempfile::tempdir().unwrap();
    let (mut child, start, lines) = serve(folder.path());
    let address = start.last().unwrap()["fields"]["address"].as_str().unwrap().to_owned();
    let told = std::cell::RefCell::new(start);
    let until = |lines: &_, message: &str| {
        let said = until(lines, message);
        told.borrow_mut().extend(said.clone());
        said
    };
    let http = lockstep::http::client().build().unwrap();
    let send = async |path: &str, token: &str, body: Json| {
        let url = format!("http://{address}{path}");
        http.post(url).bearer_auth(token).json(&body).send().await.unwrap().status().as_u16()
    };
    let types = lockstep::testing::types();
    let customers = types.get("customers").unwrap();
    let records = invent(&types, "customers", 30);
    std::fs::create_dir_all(folder.path().join("reports/anna")).unwrap();
    let put = |rows: &[lockstep::domain::Record]| {
        std::fs::write(folder.path().join("reports/anna/customers.pdf"), print(customers, rows)).unwrap();
    };
    let sync = json!({ "agentId": "anna" });

    put(&records);
    assert_eq!(send("/api/sync/trigger/customers", TOKEN, sync.clone()).await, 202);
    let day = until(&lines, "run finished");
    let run = &day.last().unwrap()["fields"];
    assert_eq!(
        (&run["sync_type"], &run["agent"], &run["outcome"]),
        (&json!("customers"), &json!("anna"), &json!("succeeded"))
    );
    assert_eq!((&run["counts.read"], &run["counts.inserted"], &run["run_id"]), (&json!(30), &json!(30), &json!(1)));
    assert!(run["duration_ms"].is_u64() && run["job_id"].is_u64(), "{run}");
    assert_eq!(day.iter().filter(|line| line["fields"]["run_id"] == 1).count(), 1, "a run is one line");

    put(&records[..3]);
    assert_eq!(send("/api/sync/trigger/customers", TOKEN, sync.clone()).await, 202);
    let held = until(&lines, "run finished").pop().unwrap();
    assert_eq!((&held["level"], &held["fields"]["outcome"]), (&json!("WARN"), &json!("held")), "{held}");
    assert_eq!(held["fields"]["error_code"], "few_rows");
    assert_eq!(send("/api/runs/2/reject", TOKEN, json!({})).await, 200);
    assert_eq!(until(&lines, "a held report was rejected").pop().unwrap()["fields"]["run_id"], 2);

    assert_eq!(send("/api/sync/trigger/customers", "nobody's token", sync).await, 401);
    assert_eq!(until(&lines, "a token was refused").pop().unwrap()["fields"]["path"], "/api/sync/trigger/customers");
    assert_eq!(send("/api/sync/pause", TOKEN, json!({ "reason": "stocktaking" })).await, 200);
    assert_eq!(until(&lines, "paused").pop().unwrap()["fields"]["reason"], "stocktaking");
    let answered = until(&lines, "request answered").pop().unwrap();
    assert_eq!((&answered["fields"]["status"], &answered["span"]["path"]), (&json!(200), &json!("/api/sync/pause")));
    send("/api/sync/resume", TOKEN, json!({})).await;
    until(&lines, "resumed");

    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let end = until(&lines, "lockstep has ended");
    assert_eq!(end.last().unwrap()["fields"]["in_time"], true);
    assert!(child.wait().unwrap().success());
    // no JSON inside strings, no Rust inside texts
    let all = told.borrow();
    for line in all.iter() {
        for (name, value) in line["fields"].as_object().unwrap() {
            let text = value.as_str().unwrap_or_default();
            assert!(!text.contains("Some(") && !text.starts_with('{'), "{name}: {line}");
        }
    }
    // answers and ends of runs may come in either order
    let (access, rest): (Vec<_>, Vec<_>) = all.iter().partition(|line| line["fields"]["message"] == "request answered");
    let said: String = rest.into_iter().chain(access).map(|line| as_read(line, folder.path())).collect();
    insta::assert_snapshot!("day", said);
}

/// A line as someone reads it, without what differs from day to day.
fn as_read(line: &Json, folder: &std::path::Path) -> String {
    let span = |name: &str| line["span"][name].as_str().map(|text| format!(" {name}={text}")).unwrap_or_default();
    let mut text = format!("{:<5} {}", line["level"].as_str().unwrap(), line["fields"]["message"].as_str().unwrap());
    for (name, value) in line["fields"].as_object().unwrap().iter().filter(|(name, _)| *name != "message") {
        let value = match name.as_str() {
            "version" | "address" | "migrations" | "last" | "duration_ms" | "elapsed_ms" | "request_id" => {
                "...".to_owned()
            }
            _ => value.as_str().map_or_else(|| value.to_string(), str::to_owned),
        };
        text += &[" ", name, "=", &value.replace(&folder.display().to_string(), "...")].concat();
    }
    if line["fields"]["message"] == "request answered" {
        text += &(span("method") + &span("path"));
    }
    text + "\n"
}
