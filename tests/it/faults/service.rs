//! Real `lockstep serve` processes over folders of printed reports, and the truth that they have to come to.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command},
    time::{Duration, Instant},
};

use lockstep::{
    domain::{Record, Value},
    pretend_erp,
    sync_type::{Scope, SyncTypeSpec, SyncTypes, ValueType},
    testing::types,
};
use reqwest::{Client, Method};
use serde_json::{Map, Value as Json};

use super::servers::signal;
use crate::fixtures::{TYPES, objects, print};

pub const TOKEN: &str = "token-of-the-tests";
pub const AGENTS: [&str; 2] = ["anna", "bruno"];

pub type Records = BTreeMap<(String, String), Vec<Map<String, Json>>>;

/// Reports by type and agent, each with what is to be stored then.
pub type Edition = BTreeMap<(String, String), (Vec<u8>, Vec<Map<String, Json>>)>;

/// What the services of a test share: reports, database, settings.
pub struct World {
    pub root: tempfile::TempDir,
    pub types: SyncTypes,
    pub database: String,
    /// More settings, as in a configuration file: `queue.lease_ms = 1500`.
    pub settings: Vec<String>,
}

impl World {
    pub fn sqlite() -> Self {
        let root = tempfile::tempdir().unwrap();
        let database = format!("sqlite://{}/lockstep.db?mode=rwc", root.path().display());
        Self { root, types: types(), database, settings: Vec::new() }
    }

    pub fn postgres(url: &str) -> Self {
        Self { database: url.to_owned(), ..Self::sqlite() }
    }

    pub fn with(mut self, settings: &[&str]) -> Self {
        self.settings.extend(settings.iter().map(|line| (*line).to_owned()));
        self
    }

    /// Processes that notice soon that another has died.
    pub fn quick(self) -> Self {
        self.with(&["queue.heartbeat_ms = 300", "queue.lease_ms = 1500"])
    }

    /// Prints all reports anew: the same keys, other values. Answers what is to be stored then.
    pub fn print(&self, rows: usize, seed: u64) -> Records {
        self.publish(&self.edition(rows, seed, |_, _| true))
    }

    /// Prints only the reports of these types for this agent.
    pub fn print_of(&self, agent: &str, types: &[&str], rows: usize) -> Records {
        self.publish(&self.edition(rows, 1, |name, of| of == agent && types.contains(&name)))
    }

    /// All reports of one moment, printed but not to be fetched yet: printing is most of a test's work, so those that
    /// need reports again and again take turns with a few.
    pub fn edition(&self, rows: usize, seed: u64, is_wanted: impl Fn(&str, &str) -> bool) -> Edition {
        let mut edition = Edition::new();
        for (number, name) in TYPES.iter().enumerate() {
            let spec = self.types.get(name).unwrap();
            let agents: &[&str] = if spec.scope == Scope::Shared { &["service-account"] } else { &AGENTS };
            for (place, agent) in agents.iter().enumerate().filter(|(_, agent)| is_wanted(name, agent)) {
                let seed = seed * 100 + (number * 10) as u64;
                // each agent has keys of its own
                let mut records =
                    pretend_erp::invent(&self.types, spec, rows * (place + 1), seed).split_off(rows * place);
                for record in &mut records {
                    fill(spec, record);
                }
                let of = ((*name).to_owned(), (*agent).to_owned());
                edition.insert(of, (print(spec, &records), objects(spec, &records)));
            }
        }
        edition
    }

    /// Makes these the reports. Answers what is to be stored then.
    pub fn publish(&self, edition: &Edition) -> Records {
        let mut truth = Records::new();
        for ((name, agent), (pdf, records)) in edition {
            self.write(name, agent, pdf);
            truth.insert((name.clone(), agent.clone()), records.clone());
        }
        truth
    }

    /// Makes these records the report of a type for an agent. Answers what is to be stored then.
    pub fn put(&self, spec: &SyncTypeSpec, agent: &str, records: &[Record]) -> Vec<Map<String, Json>> {
        self.write(spec.name.as_str(), agent, &print(spec, records));
        objects(spec, records)
    }

    fn write(&self, name: &str, agent: &str, pdf: &[u8]) {
        let folder = self.root.path().join("reports").join(agent);
        fs::create_dir_all(&folder).unwrap();
        // whole or not at all, as a careful exporter does it
        fs::write(folder.join("new"), pdf).unwrap();
        fs::rename(folder.join("new"), folder.join(format!("{name}.pdf"))).unwrap();
    }

    pub async fn serve(&self, name: &str) -> Service {
        self.serve_with(name, &[]).await
    }

    /// Starts a service whose log is `{name}.log`.
    pub async fn serve_with(&self, name: &str, environment: &[(&str, &str)]) -> Service {
        let root = self.root.path();
        let agents = AGENTS.map(|id| format!("[[agents]]\nid = \"{id}\"\nname = \"{id}\"")).join("\n");
        let config = format!(
            "database.url = \"{}\"\nauth.admin_token = \"{TOKEN}\"\nscheduler.enabled = false\nlimits.status_ms = 0\nsource.kind = \"folder\"\n\
             source.folder.url = \"{}/reports\"\nlog.format = \"json\"\n{}\n{agents}",
            self.database,
            root.display(),
            self.settings.join("\n"),
        );
        // a setting that stands twice is the test's own
        let mut lines: Vec<&str> = Vec::new();
        for line in config.lines() {
            let key = line.split(" = ").next().unwrap();
            if key == "scheduler.enabled"
                && self.settings.iter().any(|own| own.starts_with(key))
                && line.ends_with("false")
            {
                continue;
            }
            lines.push(line);
        }
        fs::write(root.join("lockstep.toml"), lines.join("\n")).unwrap();
        let port = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let log = root.join(format!("{name}.log"));
        let process = Command::new(env!("CARGO_BIN_EXE_lockstep"))
            .args(["serve", "--config"])
            .arg(root.join("lockstep.toml"))
            .env("LOCKSTEP__SERVER__PORT", port.to_string())
            .envs(environment.iter().copied())
            .stdout(File::options().create(true).append(true).open(&log).unwrap())
            .stderr(File::options().create(true).append(true).open(&log).unwrap())
            .spawn()
            .unwrap();
        let http = lockstep::http::client().pool_max_idle_per_host(0).timeout(Duration::from_secs(60)).build().unwrap();
        let service = Service { process, url: format!("http://127.0.0.1:{port}"), http, log };
        let started = Instant::now();
        while service.http.get(format!("{}/readyz", service.url)).send().await.is_err() {
            assert!(started.elapsed() < Duration::from_secs(60), "the service does not start: {}", service.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        service
    }
}

/// A blank cell of some columns keeps what was stored before: here none is blank, so that a report is the whole
/// truth of itself.
fn fill(spec: &SyncTypeSpec, record: &mut Record) {
    for (field, value) in spec.fields.iter().zip(&mut record.values) {
        if field.keep_when_blank && value.is_null() {
            *value = match field.value_type {
                ValueType::Money => Value::Decimal("12.34".parse().unwrap()),
                _ if field.name.contains("number") => Value::Text("1Z12345678901".to_owned()),
                _ => Value::Text("UPS".to_owned()),
            };
        }
    }
}

/// A real process, killed when dropped.
pub struct Service {
    process: Child,
    url: String,
    http: Client,
    log: PathBuf,
}

impl Service {
    pub async fn try_get(&self, path: &str) -> Option<Json> {
        let request = self.http.get(format!("{}{path}", self.url)).bearer_auth(TOKEN);
        request.send().await.ok()?.json().await.ok()
    }

    pub async fn get(&self, path: &str) -> Json {
        self.try_get(path).await.unwrap_or_else(|| panic!("no answer to GET {path}: {}", self.log()))
    }

    pub async fn text(&self, path: &str) -> String {
        let request = self.http.get(format!("{}{path}", self.url)).bearer_auth(TOKEN);
        request.send().await.unwrap().text().await.unwrap()
    }

    pub async fn try_post(&self, path: &str, body: Json) -> Option<(u16, Json)> {
        let request = self.http.post(format!("{}{path}", self.url)).bearer_auth(TOKEN).json(&body);
        let response = request.send().await.ok()?;
        Some((response.status().as_u16(), response.json().await.ok()?))
    }

    pub async fn post(&self, path: &str, body: Json) -> Json {
        self.try_post(path, body).await.unwrap_or_else(|| panic!("no answer to POST {path}: {}", self.log())).1
    }

    /// Whatever is answered to this, as whoever has the token.
    pub async fn ask(&self, method: Method, path: &str, token: &str, body: Option<Json>) -> (u16, Json) {
        self.ask_with(method, path, token, body, None).await
    }

    pub async fn ask_with(
        &self,
        method: Method,
        path: &str,
        token: &str,
        body: Option<Json>,
        header: Option<(&str, &str)>,
    ) -> (u16, Json) {
        let mut request = self.http.request(method, format!("{}{path}", self.url)).bearer_auth(token);
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.url.trim_start_matches("http://").parse().unwrap()
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Sends the process a signal.
    pub fn signal(&self, name: &str) {
        signal(name, self.process.id());
    }

    /// `kill -9`.
    pub fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// SIGTERM; answers how long it took to exit, and whether it did so well.
    pub async fn terminate(mut self) -> (Duration, bool) {
        let started = Instant::now();
        self.signal("TERM");
        loop {
            if let Some(status) = self.process.try_wait().unwrap() {
                return (started.elapsed(), status.success());
            }
            assert!(started.elapsed() < Duration::from_secs(60), "it does not exit: {}", self.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The end of its log.
    pub fn log(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(15)..].join("\n")
    }

    /// Its whole log.
    pub fn whole_log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Is nothing waiting, delayed or running?
    pub async fn is_idle(&self) -> bool {
        let Some(status) = self.try_get("/api/sync/status").await else { return false };
        ["waiting", "delayed", "active", "kept"].iter().all(|state| status["queue"][*state].as_u64().unwrap_or(0) == 0)
            && status["queue"].is_object()
    }

    /// Waits until nothing is left to do; answers how long that took. Patient, since what is slow beside others is no
    /// fault: work that is never done is.
    pub async fn idle(&self) -> Duration {
        let started = Instant::now();
        while !self.is_idle().await {
            assert!(
                started.elapsed() < Duration::from_secs(120),
                "work is left: {}\n{}",
                self.get("/api/jobs?limit=5").await,
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        started.elapsed()
    }

    /// All live records, as they are to be compared with the truth.
    pub async fn records(&self, world: &World, truth: &Records) -> Records {
        let mut stored = Records::new();
        for (name, agent) in truth.keys() {
            let spec = world.types.get(name).unwrap();
            let mut records = Vec::new();
            let mut path = format!("/api/data/{name}?agent={agent}&limit=500");
            loop {
                let page = self.get(&path).await;
                for row in page["items"].as_array().unwrap_or_else(|| panic!("{page}")) {
                    if !row["missing_since"].is_null() {
                        continue;
                    }
                    let fields = spec.fields.iter();
                    records.push(fields.map(|field| (field.name.clone(), row[&field.name].clone())).collect());
                }
                let Some(next) = page["next"].as_str() else { break };
                path = format!("/api/data/{name}?agent={agent}&limit=500&cursor={next}");
            }
            stored.insert((name.clone(), agent.clone()), records);
        }
        stored
    }

    /// The records are the truth: none lost, none doubled, none of another round.
    pub async fn assert_truth(&self, world: &World, truth: &Records, when: &str) {
        let stored = self.records(world, truth).await;
        for (of, wanted) in truth {
            let differing = stored[of].iter().zip(wanted).filter(|(stored, wanted)| stored != wanted).count();
            assert!(
                stored[of] == *wanted,
                "{when}: {of:?}: {} records stored, {} wanted, {differing} differ\n{}",
                stored[of].len(),
                wanted.len(),
                self.log()
            );
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// The log of a service that is gone.
pub fn read(root: &Path, name: &str) -> String {
    fs::read_to_string(root.join(format!("{name}.log"))).unwrap_or_default()
}
