//! Pictures of the dashboard for the README, from the demo: `tests/screenshots` makes them anew.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
    time::Duration,
};

use serde_json::{Value as Json, json};

use super::Browser;

/// The demo's address and token.
fn demo() -> (std::process::Child, String, String) {
    let mut process = Command::new(env!("CARGO_BIN_EXE_lockstep"))
        .args(["demo", "--port", "0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (mut root, mut token) = (None, None);
    for line in BufReader::new(process.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let of = |name: &str| Some(line.strip_prefix(name)?.trim().to_owned());
        root = root.or_else(|| line.split_whitespace().find(|word| word.starts_with("http://")).map(str::to_owned));
        token = token.or_else(|| of("token"));
        if root.is_some() && token.is_some() {
            break;
        }
    }
    let root = root.unwrap();
    let root = root.split('/').take(3).collect::<Vec<_>>().join("/");
    (process, root, token.unwrap())
}

#[actix::test]
#[ignore = "writes pictures into the repository"]
async fn take_pictures_for_the_readme() {
    let (mut process, root, token) = demo();
    let browser = Browser::open(&root).await;
    browser.log_in(&token).await;
    let http = lockstep::http::client().build().unwrap();
    let get = async |path: &str| -> Json {
        let answer = http.get(format!("{root}{path}")).bearer_auth(&token).send().await.unwrap();
        answer.json().await.unwrap()
    };
    // until there is something of everything: a held report, and a record with a history
    let (held, changed) = loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let changes = get("/api/changes?type=orders&limit=50").await;
        let changed = changes["items"].as_array().unwrap().iter().find(|one| one["action"] == "update").cloned();
        let held = get("/api/sync/status").await["openHolds"][0].clone();
        if let (Some(changed), true) = (changed, held.is_number()) {
            break (held, changed);
        }
    };
    let text = |value: &Json| value.as_str().unwrap().to_owned();
    let record = format!("/records/orders/{}/{}", text(&changed["agentId"]), text(&changed["key"]));
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/pictures");
    fs::create_dir_all(folder).unwrap();
    // the held report first: the next one supersedes it
    let shots = [
        ("run", format!("/runs/{held}")),
        ("home", "/".to_owned()),
        ("needs-you", "/needs-you".to_owned()),
        ("record", record),
    ];
    for (name, path) in shots {
        browser.go(&path).await;
        browser.screen(1200, false).await;
        browser
            .devtools(
                "Emulation.setDeviceMetricsOverride",
                json!({ "width": 1200, "height": 800, "deviceScaleFactor": 1, "mobile": false }),
            )
            .await;
        browser.sees("Live").await;
        tokio::time::sleep(Duration::from_millis(700)).await;
        fs::write(format!("{folder}/{name}.png"), browser.client.screenshot().await.unwrap()).unwrap();
    }
    browser.close().await;
    process.kill().unwrap();
    process.wait().unwrap();
}
