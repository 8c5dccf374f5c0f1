//! Does `lockstep demo` show what it promises, with each trouble coming to the end that the design gives it?

use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use lockstep::testing::types;
use reqwest::{Client, redirect::Policy};
use serde_json::{Map, Value as Json, json};

const AGENTS: [&str; 3] = ["anna", "bruno", "carla"];

struct Demo {
    process: Child,
    root: String,
    link: String,
    erp: String,
    token: String,
    http: Client,
}

impl Drop for Demo {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

impl Demo {
    /// Starts it with its folder in `folder`, and its comments in `folder.log`.
    fn start(folder: &Path) -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_lockstep"))
            .args(["demo", "--port", "0"])
            .env("TMPDIR", folder)
            .stdout(Stdio::piped())
            .stderr(File::create(folder.with_extension("log")).unwrap())
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines().take(3).map(Result::unwrap);
        let said: Vec<String> = lines.map(|line| line.split_whitespace().nth(1).unwrap().to_owned()).collect();
        let [link, erp, token] = <[String; 3]>::try_from(said).unwrap();
        let root = link.split("/login").next().unwrap().to_owned();
        let erp = erp.trim_end_matches("/state.json").to_owned();
        let http = lockstep::http::client().cookie_store(true).pool_max_idle_per_host(0).redirect(Policy::none());
        Self { process, root, link, erp, token, http: http.build().unwrap() }
    }

    async fn get(&self, path: &str) -> Json {
        let request = self.http.get(format!("{}{path}", self.root)).bearer_auth(&self.token);
        request.send().await.unwrap().json().await.unwrap()
    }

    async fn post(&self, path: &str, body: Json) -> Json {
        let request = self.http.post(format!("{}{path}", self.root)).bearer_auth(&self.token).json(&body);
        request.send().await.unwrap().json().await.unwrap_or(Json::Null)
    }

    async fn tell_erp(&self, path: &str, body: Json) {
        assert_eq!(self.http.post(format!("{}{path}", self.erp)).json(&body).send().await.unwrap().status(), 204);
    }

    async fn trouble(&self, trouble: &str, sync_type: &str, agent: &str, on: bool) {
        let body = json!({ "trouble": trouble, "type": sync_type, "agent": agent, "on": on });
        self.tell_erp("/troubles", body).await;
    }

    async fn state(&self) -> Json {
        self.http.get(format!("{}/state.json", self.erp)).send().await.unwrap().json().await.unwrap()
    }

    async fn page(&self, path: &str) -> String {
        self.http.get(format!("{}{path}", self.root)).send().await.unwrap().text().await.unwrap()
    }

    /// Presses a button of the page; answers the status.
    async fn press(&self, what: &str, run: &str) -> u16 {
        let page = self.page(&format!("/runs/{run}")).await;
        let field = |name: &str| {
            let rest = page.split(&format!("name=\"{name}\" value=\"")).nth(1).unwrap();
            rest.split('"').next().unwrap().to_owned()
        };
        let form = [("form_key", field("form_key")), ("digest", field("digest")), ("run", run.to_owned())];
        self.http.post(format!("{}/act/{what}", self.root)).form(&form).send().await.unwrap().status().as_u16()
    }

    async fn until(&self, what: &str, holds: impl AsyncFn() -> bool) {
        let begun = Instant::now();
        while !holds().await {
            assert!(begun.elapsed() < Duration::from_secs(100), "never: {what}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Starts a run that began after this call, and answers its job.
    async fn begin(&self, sync_type: &str, agent: &str) -> Json {
        loop {
            let body = json!({ "agentId": agent, "force": true });
            let answer = self.post(&format!("/api/sync/trigger/{sync_type}"), body).await;
            let answer = if answer["jobs"].is_array() { answer["jobs"][0].clone() } else { answer };
            if answer["deduplicated"] == false {
                return answer["jobId"].clone();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Runs a sync to its end; answers the last attempt.
    async fn sync(&self, sync_type: &str, agent: &str) -> Json {
        let job = self.begin(sync_type, agent).await;
        self.until("the job is over", async || self.get(&format!("/api/jobs/{job}")).await["state"] == "done").await;
        self.get(&format!("/api/runs?job={job}")).await["items"][0].clone()
    }

    /// The stored live records, by key.
    async fn records(&self, sync_type: &str, agent: &str) -> Vec<Map<String, Json>> {
        let types = types();
        let spec = types.get(sync_type).unwrap();
        let mut records = Vec::new();
        let mut next = String::new();
        loop {
            let page = self.get(&format!("/api/data/{sync_type}?agent={agent}&limit=500{next}")).await;
            for row in page["items"].as_array().unwrap().iter().filter(|row| row["missing_since"].is_null()) {
                records.push(spec.fields.iter().map(|one| (one.name.clone(), row[&one.name].clone())).collect());
            }
            let Some(cursor) = page["next"].as_str() else { return records };
            next = format!("&cursor={cursor}");
        }
    }

    /// What is stored is what is in the ERP, but for the row that cannot be read.
    async fn assert_equal(&self, sync_type: &str, agent: &str) {
        let state = self.state().await;
        let types = types();
        let key = types.get(sync_type).unwrap().key_name().to_owned();
        let bad = &state["misprinted"][sync_type][agent];
        let mut wanted = state["records"][sync_type][agent].as_array().unwrap().clone();
        wanted.retain(|record| record[&key] != *bad);
        wanted.sort_by(|a, b| a[&key].as_str().cmp(&b[&key].as_str()));
        let stored = self.records(sync_type, agent).await;
        assert_eq!(stored.len(), wanted.len(), "{sync_type} of {agent}");
        for (stored, wanted) in stored.iter().zip(&wanted) {
            assert_eq!(json!(stored), *wanted, "{sync_type} of {agent}");
        }
    }

    async fn all_equal(&self) {
        for spec in types().iter() {
            for agent in holders(spec) {
                self.assert_equal(spec.name.as_str(), agent).await;
            }
        }
    }
}

fn holders(spec: &lockstep::sync_type::SyncTypeSpec) -> Vec<&'static str> {
    let of =
        |agent: &'static str| if spec.agent_for(&agent.into()).as_str() == agent { agent } else { "service-account" };
    AGENTS.map(of).into_iter().collect::<BTreeSet<_>>().into_iter().collect()
}

#[actix::test]
async fn the_demo_shows_the_whole_product_and_leaves_nothing_behind() {
    let outer = tempfile::tempdir().unwrap();
    let folder = outer.path().join("tmp");
    fs::create_dir(&folder).unwrap();
    let mut demo = Demo::start(&folder);
    let begun = Instant::now();

    // the link lets this browser in, and no other after it
    assert_eq!(demo.http.get(&demo.link).send().await.unwrap().status(), 303);
    let stranger = lockstep::http::client().redirect(Policy::none()).build().unwrap();
    assert_eq!(stranger.get(&demo.link).send().await.unwrap().status(), 401);

    let synced = async || {
        let runs = demo.get("/api/runs?limit=500").await;
        let applied = ["succeeded", "succeeded_with_quarantine"];
        let done: BTreeSet<(String, String)> = runs["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|run| applied.contains(&run["outcome"].as_str().unwrap_or_default()))
            .map(|run| (run["type"].as_str().unwrap().to_owned(), run["agentId"].as_str().unwrap().to_owned()))
            .collect();
        done.len() == 4 * AGENTS.len() + 2
    };
    demo.until("all six types of all agents are synced", synced).await;
    println!("all synced {:?} after the first page", begun.elapsed());
    let seen = async || {
        let (home, needs, queue) = (demo.page("/").await, demo.page("/needs-you").await, demo.page("/queue").await);
        home.contains("added")
            && needs.contains("See the plan and decide")
            && needs.contains("31/02/2026")
            && queue.contains("submit-order")
    };
    demo.until("a held run, a quarantined row, an order that was sent", seen).await;
    println!("everything to see {:?} after the first page", begun.elapsed());

    // from here on, only what this test asks for
    demo.tell_erp("/frozen", json!(true)).await;
    demo.post("/api/sync/auto-sync/stop", json!({})).await;
    for (trouble, sync_type, agent) in [
        ("filtered-export", "customers", "bruno"),
        ("hidden-column", "orders", "carla"),
        ("failing-export", "invoices", "bruno"),
    ] {
        demo.trouble(trouble, sync_type, agent, false).await;
    }
    for spec in types().iter() {
        for agent in holders(spec) {
            let run = demo.sync(spec.name.as_str(), agent).await;
            assert!(run["error"].is_null(), "{run}");
        }
    }
    demo.all_equal().await;

    // a hidden column: told, and nothing of it is lost
    demo.trouble("hidden-column", "orders", "carla", true).await;
    let run = demo.sync("orders", "carla").await;
    assert!(!run["notes"]["drift"]["absent"].as_array().unwrap().is_empty(), "{run}");
    assert_eq!(run["outcome"], "unchanged", "{run}");
    demo.trouble("hidden-column", "orders", "carla", false).await;

    // a leftover filter: held, nothing changed; approved, the rest is missing and not deleted; and back again
    demo.trouble("filtered-export", "customers", "bruno", true).await;
    let run = demo.sync("customers", "bruno").await;
    assert_eq!(run["outcome"], "held", "{run}");
    demo.assert_equal("customers", "bruno").await;
    assert_eq!(demo.press("approve", &run["id"].to_string()).await, 303);
    let missing = async || demo.records("customers", "bruno").await.len() < 60;
    demo.until("what the approved run missed is marked", missing).await;
    demo.trouble("filtered-export", "customers", "bruno", false).await;
    let run = demo.sync("customers", "bruno").await;
    assert!(run["counts"]["restored"].as_u64() > Some(50) && run["counts"]["deleted"] == 0, "{run}");
    demo.assert_equal("customers", "bruno").await;

    // a bad row: in quarantine with its place, and the others are stored
    let run = demo.sync("customers", "anna").await;
    assert_eq!((&run["outcome"], &run["counts"]["quarantined"]), (&json!("succeeded_with_quarantine"), &json!(1)));
    let rows = demo.get(&format!("/api/runs/{}/quarantine", run["id"])).await;
    assert_eq!(rows["items"][0]["text"], "31/02/2026", "{rows}");

    // an expired session: one fresh log-in, in the same attempt
    let logins = demo.state().await["logins"].as_u64().unwrap();
    demo.trouble("expired-session", "orders", "anna", true).await;
    let run = demo.sync("orders", "anna").await;
    assert_eq!((&run["outcome"], &run["attempt"]), (&json!("unchanged"), &json!(1)), "{run}");
    assert_eq!(demo.state().await["logins"].as_u64().unwrap(), logins + 1);

    // a failing export: nothing changed, tried again, and well once the ERP is
    demo.trouble("failing-export", "invoices", "bruno", true).await;
    let job = demo.begin("invoices", "bruno").await;
    let failed = async || demo.get(&format!("/api/runs?job={job}&outcome=failed")).await["items"][0].is_object();
    demo.until("an attempt fails", failed).await;
    demo.assert_equal("invoices", "bruno").await;
    demo.trouble("failing-export", "invoices", "bruno", false).await;
    demo.until("the job is over", async || demo.get(&format!("/api/jobs/{job}")).await["state"] == "done").await;
    assert_eq!(demo.get(&format!("/api/jobs/{job}")).await["outcome"], "unchanged");

    // an order that is sent to the ERP comes back with its next report
    let order = json!({ "type": "submit-order", "agentId": "carla", "idempotencyKey": "of-the-test",
        "data": { "orderId": "of-the-test", "customer": "C7", "lines": [1], "total": "12.50" } });
    let job = demo.post("/api/operations", order).await["jobId"].clone();
    demo.until("it is sent", async || demo.get(&format!("/api/jobs/{job}")).await["outcome"] == "succeeded").await;
    let run = demo.sync("orders", "carla").await;
    assert_eq!(run["counts"]["inserted"], 1, "{run}");
    let orders = demo.records("orders", "carla").await;
    assert!(
        orders.iter().any(|order| order["customer_reference"] == "of-the-test" && order["total_amount"] == "12.50")
    );
    demo.all_equal().await;

    // Ctrl-C
    let pid = i32::try_from(demo.process.id()).unwrap();
    let asked = Instant::now();
    assert!(Command::new("kill").args(["-INT", &pid.to_string()]).status().unwrap().success());
    let status = loop {
        if let Some(status) = demo.process.try_wait().unwrap() {
            break status;
        }
        assert!(asked.elapsed() < Duration::from_secs(20), "it does not end");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    println!("ended {:?} after Ctrl-C", asked.elapsed());
    assert!(status.success(), "{status}");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "its folder is gone");
    assert!(demo.http.get(format!("{}/livez", demo.root)).send().await.is_err());
    let log = fs::read_to_string(folder.with_extension("log")).unwrap();
    assert!(!log.contains("ERROR") && !log.contains("panicked"), "{log}");
}
