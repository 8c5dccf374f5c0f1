//! Is anything lost or done twice when the process is killed?

use std::{
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use lockstep::testing::types;
use reqwest::Client;
use serde_json::{Map, Value as Json, json};

use crate::fixtures::{invent, objects, print};

const TOKEN: &str = "token-of-the-tests";

/// A real `lockstep serve`, killed when dropped.
struct Service {
    process: Child,
    url: String,
    http: Client,
}

impl Service {
    async fn start(folder: &Path, port: u16) -> Self {
        let process = Command::new(env!("CARGO_BIN_EXE_lockstep"))
            .args(["serve", "--config"])
            .arg(folder.join("lockstep.toml"))
            .env("LOCKSTEP__SERVER__PORT", port.to_string())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let service = Self {
            process,
            url: format!("http://127.0.0.1:{port}"),
            http: Client::builder().no_proxy().build().unwrap(),
        };
        let started = Instant::now();
        while service.http.get(format!("{}/readyz", service.url)).send().await.is_err() {
            assert!(started.elapsed() < Duration::from_secs(30), "the service does not start");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        service
    }

    async fn get(&self, path: &str) -> Json {
        let request = self.http.get(format!("{}{path}", self.url)).bearer_auth(TOKEN);
        request.send().await.unwrap().json().await.unwrap()
    }

    async fn post(&self, path: &str, body: Json) -> Json {
        let request = self.http.post(format!("{}{path}", self.url)).bearer_auth(TOKEN).json(&body);
        request.send().await.unwrap().json().await.unwrap()
    }

    /// `kill -9`.
    fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    async fn records(&self, spec: &lockstep::sync_type::SyncTypeSpec) -> Vec<Map<String, Json>> {
        let mut records = Vec::new();
        let mut path = format!("/api/data/{}?limit=500", spec.name);
        loop {
            let page = self.get(&path).await;
            for row in page["items"].as_array().unwrap() {
                records.push(spec.fields.iter().map(|field| (field.name.clone(), row[&field.name].clone())).collect());
            }
            let Some(next) = page["next"].as_str() else { return records };
            path = format!("/api/data/{}?limit=500&cursor={next}", spec.name);
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn free_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

#[actix::test]
async fn a_service_killed_in_mid_run_finishes_after_its_restart_and_starts_the_follow_ups() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    let types = types();
    let reports = root.join("reports/a");
    std::fs::create_dir_all(&reports).unwrap();
    let orders = types.get("orders").unwrap();
    let records = invent(&types, "orders", 3_000);
    std::fs::write(reports.join("orders.pdf"), print(orders, &records)).unwrap();
    for follow_up in ["ddt", "invoices"] {
        let spec = types.get(follow_up).unwrap();
        std::fs::write(reports.join(format!("{follow_up}.pdf")), print(spec, &invent(&types, follow_up, 20))).unwrap();
    }
    let config = format!(
        "[database]\nurl = \"sqlite://{0}/lockstep.db?mode=rwc\"\n[auth]\nadmin_token = \"{TOKEN}\"\n[scheduler]\nenabled = false\n\
         [source]\nkind = \"folder\"\n[source.folder]\nurl = \"{0}/reports\"\n[queue]\nheartbeat_ms = 300\nlease_ms = 1500\n\
         [[agents]]\nid = \"a\"\nname = \"A\"\n",
        root.display()
    );
    std::fs::write(root.join("lockstep.toml"), config).unwrap();

    let service = Service::start(root, free_port()).await;
    let job = service.post("/api/sync/trigger/orders", json!({ "agentId": "a" })).await["jobId"].clone();
    // some batches are committed (at the latest 500 records share a commit), most are not
    loop {
        let status = service.get("/api/sync/status").await;
        let running = &status["types"][0]["running"][0];
        if running["stage"] == "apply" && running["done"].as_u64() > Some(600) {
            break;
        }
        assert!(service.get(&format!("/api/jobs/{job}")).await["state"] != "done", "the run was too fast to be killed");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    service.kill();

    let service = Service::start(root, free_port()).await;
    let stored = service.get("/api/data/orders?limit=500").await["items"].as_array().unwrap().len();
    assert!(stored.is_multiple_of(10), "{stored} records: batches are whole");
    let restarted = Instant::now();
    while service.get(&format!("/api/jobs/{job}")).await["state"] != "done" {
        assert!(restarted.elapsed() < Duration::from_secs(30), "the job was not resumed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(service.records(orders).await, objects(orders, &records), "none lost, none doubled");
    let runs = service.get("/api/runs?type=orders").await;
    let outcomes: Vec<_> = runs["items"].as_array().unwrap().iter().map(|run| run["outcome"].clone()).collect();
    assert_eq!(outcomes, [json!("succeeded"), json!("lost")]);
    let counts = &runs["items"][0]["counts"];
    assert!(counts["unchanged"].as_u64() > Some(0), "it continued where it was killed: {counts}");
    while service.get("/api/sync/status").await["queue"]["active"] != 0
        || service.get("/api/sync/status").await["queue"]["waiting"] != 0
    {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for follow_up in ["ddt", "invoices"] {
        assert_eq!(service.records(types.get(follow_up).unwrap()).await.len(), 20, "{follow_up}");
    }
    service.kill();
}
