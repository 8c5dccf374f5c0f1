//! How long do six reports of real size take, first and unchanged, and how much memory? One real
//! `lockstep serve` over SQLite, all six types triggered together; peak memory is the kernel's figure
//! for that process. `cargo bench --bench real_size`

use std::{
    error::Error,
    fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use lockstep::{
    pretend_erp::{self, Layout, REAL_SIZES},
    sync_type::SyncTypes,
};
use reqwest::{Client, Method};
use serde_json::Value as Json;

const TOKEN: &str = "token-of-the-bench";

type Outcome<T> = Result<T, Box<dyn Error>>;

struct Service {
    process: Child,
    url: String,
    http: Client,
}

impl Drop for Service {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

impl Service {
    async fn call(&self, method: Method, path: &str) -> Outcome<Json> {
        let request = self.http.request(method, format!("{}{path}", self.url)).bearer_auth(TOKEN);
        Ok(request.send().await?.json().await?)
    }

    /// The most memory the process has had, in KiB.
    fn peak(&self) -> Outcome<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find(|line| line.starts_with("VmHWM")).ok_or("no VmHWM")?;
        Ok(line.split_whitespace().nth(1).ok_or("no figure")?.parse()?)
    }

    /// Syncs all six types and prints what it took.
    async fn round(&self, label: &str) -> Outcome<()> {
        let started = Instant::now();
        self.call(Method::POST, "/api/sync/trigger-all").await?;
        loop {
            let queue = self.call(Method::GET, "/api/sync/status").await?["queue"].clone();
            if ["waiting", "delayed", "active"].iter().all(|state| queue[state] == 0) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        println!("{label}: {:.2} s, peak memory so far {} MiB", started.elapsed().as_secs_f64(), self.peak()? / 1024);
        let runs = self.call(Method::GET, "/api/runs?limit=12").await?;
        for (name, rows) in REAL_SIZES {
            let of_type = |run: &&Json| run["type"] == name && run["counts"]["read"] == rows;
            let run =
                runs["items"].as_array().and_then(|runs| runs.iter().find(of_type)).ok_or("a report was not read")?;
            println!("  {name}: {} ms, {}, {} pages", run["durationMs"], run["outcome"], run["notes"]["pages"]);
        }
        Ok(())
    }
}

fn print_reports(folder: &Path, types: &SyncTypes, zoom: f32) -> Outcome<()> {
    for (name, rows) in REAL_SIZES {
        let spec = types.get(name).ok_or("no such type")?;
        let agent = spec.agent_for(&"agent-1".into());
        let file = folder.join(agent.as_str()).join(format!("{name}.pdf"));
        fs::create_dir_all(file.parent().ok_or("no folder")?)?;
        let records = pretend_erp::invent(types, spec, rows, 1);
        fs::write(file, pretend_erp::print(spec, &records, &Layout { zoom, ..Layout::default() })?)?;
    }
    Ok(())
}

fn main() -> Outcome<()> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(run())
}

async fn run() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let root = folder.path();
    let types = SyncTypes::built_in()?;
    print_reports(root, &types, 1.0)?;
    let port = std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
    let config = format!(
        "[server]\nport = {port}\n[database]\nurl = \"sqlite://{0}/bench.db?mode=rwc\"\n[auth]\nadmin_token = \"{TOKEN}\"\n\
         [scheduler]\nenabled = false\n[source]\nkind = \"folder\"\n[source.folder]\nurl = \"{0}\"\n\
         [[agents]]\nid = \"agent-1\"\nname = \"Bench\"\n",
        root.display()
    );
    fs::write(root.join("bench.toml"), config)?;
    let process = Command::new(env!("CARGO_BIN_EXE_lockstep"))
        .args(["serve", "--config"])
        .arg(root.join("bench.toml"))
        .stderr(Stdio::null())
        .spawn()?;
    let service = Service { process, url: format!("http://127.0.0.1:{port}"), http: lockstep::http::client().build()? };
    while service.call(Method::GET, "/readyz").await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    service.round("first").await?;
    // other column widths: other bytes and pages, the same rows
    print_reports(root, &types, 1.05)?;
    service.round("unchanged, printed again").await?;
    Ok(())
}
