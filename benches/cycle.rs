//! What does one agent-cycle cost: the four reports of one agent, fetched, read, compared, stored? A real
//! `lockstep serve` over PostgreSQL; processor time of the service with its readers, and of the database.
//! `cargo bench --bench cycle`; `AGENTS=40 ROWS=300` are the defaults.

use std::{
    env, fs,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use lockstep::{
    domain::{Record, Value},
    pretend_erp::{self, Layout},
    sync_type::SyncTypes,
};
use serde_json::{Value as Json, json};

mod support;

use support::servers;

type Done<T> = Result<T, Box<dyn std::error::Error>>;

const TOKEN: &str = "token-of-the-bench";
const TYPES: [&str; 4] = ["customers", "orders", "ddt", "invoices"];

struct Service(Child);

impl Drop for Service {
    fn drop(&mut self) {
        drop(Command::new("kill").arg(self.0.id().to_string()).status());
        drop(self.0.wait());
    }
}

/// Processor time of a process in milliseconds: its own, and that of children that it has waited for.
fn processor_ms(process: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(4);
    // the kernel counts hundredths of a second
    fields.filter_map(|field| field.parse::<u64>().ok()).sum::<u64>() * 10
}

fn children(process: u32) -> Vec<u32> {
    let path = format!("/proc/{process}/task/{process}/children");
    fs::read_to_string(path).unwrap_or_default().split_whitespace().filter_map(|id| id.parse().ok()).collect()
}

/// Prints the reports of all agents; `edited` of each hundred rows have a new text.
fn print(types: &SyncTypes, root: &Path, agents: usize, rows: usize, edited: usize) -> Done<()> {
    for name in TYPES {
        let spec = types.get(name).ok_or("no such type")?;
        let mut all = pretend_erp::invent(types, spec, rows * agents, 1);
        let text = (0..spec.fields.len())
            .find(|field| *field != spec.key && spec.fields[*field].name.contains("customer_reference"))
            .or_else(|| spec.field("name"))
            .ok_or("no text to edit")?;
        for row in all.iter_mut().enumerate().filter(|(number, _)| number % 100 < edited).map(|(_, row)| row) {
            row.values[text] = Value::Text("edited".to_owned());
        }
        let reports: Vec<&[Record]> = all.chunks(rows).collect();
        for (agent, records) in reports.into_iter().enumerate() {
            let folder = root.join(format!("reports/agent-{agent}"));
            fs::create_dir_all(&folder)?;
            fs::write(folder.join(format!("{name}.pdf")), pretend_erp::print(spec, records, &Layout::default())?)?;
        }
    }
    Ok(())
}

async fn call(http: &reqwest::Client, method: reqwest::Method, url: String, body: Option<Json>) -> Done<Json> {
    let request = http.request(method, url).bearer_auth(TOKEN);
    let request = if let Some(body) = body { request.json(&body) } else { request };
    Ok(request.send().await?.error_for_status()?.json().await?)
}

async fn measure(root: &Path, postgres: &str, at: &str) -> Done<()> {
    let number = |name: &str, otherwise| env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise);
    let (agents, rows) = (number("AGENTS", 40), number("ROWS", 300));
    let types = SyncTypes::built_in()?;
    print(&types, root, agents, rows, 0)?;
    let port = std::net::TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
    let seeds: Vec<String> =
        (0..agents).map(|agent| format!("[[agents]]\nid = \"agent-{agent}\"\nname = \"{agent}\"\n")).collect();
    let config = format!(
        "database.url = \"{postgres}\"\nauth.admin_token = \"{TOKEN}\"\nscheduler.enabled = false\nserver.port = {port}\n\
         source.kind = \"folder\"\nsource.folder.url = \"{}/reports\"\nlog.level = \"error\"\n{}",
        root.display(),
        seeds.concat()
    );
    fs::write(root.join("lockstep.toml"), config)?;
    let process = Command::new(env!("CARGO_BIN_EXE_lockstep"))
        .args(["serve", "--config"])
        .arg(root.join("lockstep.toml"))
        .stderr(Stdio::null())
        .spawn()?;
    let service = Service(process);
    let http = lockstep::http::client().pool_max_idle_per_host(0).build()?;
    let url = format!("http://127.0.0.1:{port}");
    while http.get(format!("{url}/readyz")).send().await.is_err() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let postmaster: u32 =
        fs::read_to_string(format!("{at}/data/postmaster.pid"))?.lines().next().ok_or("no pid")?.parse()?;
    let database = || children(postmaster).into_iter().map(processor_ms).sum::<u64>();
    println!("{agents} agents, 4 reports of {rows} rows each; per agent-cycle (4 reports):");
    for (label, edited, force) in
        [("first sync", 0, false), ("same bytes", 0, false), ("same rows", 0, true), ("1 % edited", 1, false)]
    {
        if edited > 0 {
            print(&types, root, agents, rows, edited)?;
        }
        let (own, others, began) = (processor_ms(service.0.id()), database(), Instant::now());
        for name in TYPES {
            call(
                &http,
                reqwest::Method::POST,
                format!("{url}/api/sync/trigger/{name}"),
                Some(json!({ "force": force })),
            )
            .await?;
        }
        loop {
            let status = call(&http, reqwest::Method::GET, format!("{url}/api/sync/status"), None).await?;
            if ["waiting", "delayed", "active"].iter().all(|state| status["queue"][*state] == 0) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let per = |milliseconds: u64| milliseconds as f64 / agents as f64;
        println!(
            "{label:<12} {:>7.1} ms of the service and its readers, {:>6.1} ms of PostgreSQL; {:>7.1} ms of time",
            per(processor_ms(service.0.id()) - own),
            per(database() - others),
            began.elapsed().as_secs_f64() * 1_000.0 / agents as f64
        );
    }
    Ok(())
}

fn main() -> Done<()> {
    let folder = tempfile::Builder::new().permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755)).tempdir()?;
    let at = folder.path().join("postgres").display().to_string();
    let postgres = servers(&["start", "postgres", &at, "shared_buffers=512MB"])?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let measured = runtime.block_on(measure(folder.path(), &postgres, &at));
    servers(&["stop", "postgres", &at])?;
    measured
}
