//! How many requests does the control API answer, and how soon, beside a large database? `cargo bench --bench http`
//! (needs Debian's wrk): 200 agents, a million runs, half a million records, over SQLite and over PostgreSQL.
//! `RUNS`, `RECORDS`, `AGENTS`, `SECONDS_EACH` and `KINDS=sqlite` change that.

use std::{
    collections::HashSet,
    env, fs,
    path::Path,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{SubsecRound as _, Utc};
use lockstep::{
    domain::{Claim, Counts, NewJob, NextStep, Outcome, Reason},
    store::{Agent, Finish, Store, throwaway::create_database},
    sync_type::SyncTypes,
};
use serde_json::Value;

mod support;

use support::{Done, servers};

const TOKEN: &str = "token-of-the-bench";

fn number(name: &str, usual: usize) -> Done<usize> {
    Ok(env::var(name).map_or(Ok(usual), |text| text.parse())?)
}

/// Runs SQL in the database at `url`, beside lockstep: what would take hours record by record.
fn sql(url: &str, text: &str) -> Done<String> {
    let mut command;
    if let Some(file) = url.strip_prefix("sqlite://") {
        command = Command::new("sqlite3");
        command.arg("-cmd").arg(".timeout 60000").arg(file.split('?').next().unwrap_or(file));
    } else {
        command = Command::new("psql");
        command.args(["-XqAt", url, "-c"]);
    }
    let output = command.arg(text).output()?;
    if !output.status.success() {
        return Err(format!("{text}: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn columns(url: &str, table: &str) -> Done<Vec<String>> {
    let ask = if url.starts_with("sqlite") {
        format!("SELECT name FROM pragma_table_info('{table}')")
    } else {
        format!(
            "SELECT column_name FROM information_schema.columns WHERE table_name = '{table}' ORDER BY ordinal_position"
        )
    };
    Ok(sql(url, &ask)?.lines().map(|name| format!("\"{}\"", name.trim())).collect())
}

/// Some runs of every type and agent, and then the same runs again and again.
async fn runs(store: &Store, url: &str, agents: &[String], wanted: usize) -> Done<()> {
    let now = Utc::now().trunc_subsecs(3);
    store.seed_agents(agents.iter().map(|name| Agent::named(name)).collect(), now).await?;
    let types = store.types().clone();
    for spec in types.iter() {
        let mut asked: Vec<NewJob> = agents.iter().map(|name| spec.job(&name.as_str().into(), Reason::Timer)).collect();
        asked.truncate(if spec.agent_for(&"a".into()).as_str() == "a" { agents.len() } else { 1 });
        store.enqueue(asked, None, now).await?;
        let claim =
            Claim { owner: "bench".into(), any: agents.len(), known: vec![spec.name.job_type()], ..Claim::default() };
        for (place, job) in store.claim(claim, now).await?.jobs.into_iter().enumerate() {
            let outcome = if place % 9 == 0 { Outcome::Failed { retryable: false } } else { Outcome::Unchanged };
            let counts = Counts { read: 300, unchanged: 300, ..Counts::default() };
            store
                .finish(&job, Finish { outcome: Some(outcome), counts, ..Finish::default() }, NextStep::Done, now)
                .await?;
        }
    }
    let all = columns(url, "sync_run")?;
    let kept: Vec<&String> = all.iter().filter(|name| *name != "\"id\"").collect();
    let (into, mut step) = (kept.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", "), 10_000_000_i64);
    loop {
        let have: usize = sql(url, "SELECT count(*) FROM sync_run")?.parse()?;
        if have >= wanted {
            return Ok(());
        }
        let from =
            kept.iter().map(|name| if *name == "\"job_id\"" { format!("job_id + {step}") } else { (*name).clone() });
        let from = from.collect::<Vec<_>>().join(", ");
        let some = wanted - have;
        sql(url, &format!("INSERT INTO sync_run ({into}) SELECT {from} FROM sync_run ORDER BY id LIMIT {some}"))?;
        step *= 2;
    }
}

/// The records of one agent, which all others get as well.
fn records(url: &str, agents: &[String], wanted: usize) -> Done<()> {
    let names = columns(url, "customers")?;
    let into = names.join(", ");
    let have: usize = sql(url, "SELECT count(*) FROM customers")?.parse()?;
    let each = (wanted / agents.len()).max(1);
    if have < each {
        return Err(format!("the first sync stored {have} customers, {each} were printed").into());
    }
    for agent in &agents[1..] {
        let from = names.iter().map(|name| if name == "\"agent_id\"" { format!("'{agent}'") } else { name.clone() });
        let from = from.collect::<Vec<_>>().join(", ");
        sql(
            url,
            &format!("INSERT INTO customers ({into}) SELECT {from} FROM customers WHERE agent_id = '{}'", agents[0]),
        )?;
    }
    Ok(())
}

struct Service {
    process: Child,
    address: String,
}

impl Drop for Service {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

impl Service {
    fn start(folder: &Path, url: &str) -> Done<Self> {
        let config = format!(
            "server.port = 0\ndatabase.url = \"{url}\"\nauth.admin_token = \"{TOKEN}\"\nscheduler.enabled = false\n\
             source.kind = \"folder\"\nsource.folder.url = \"{}\"\nlog.format = \"json\"\n\
             limits.requests_per_minute = 10000000\n",
            folder.join("reports").display()
        );
        fs::write(folder.join("lockstep.toml"), config)?;
        let log = folder.join("log");
        let process = Command::new(env!("CARGO_BIN_EXE_lockstep"))
            .args(["serve", "--config"])
            .arg(folder.join("lockstep.toml"))
            .current_dir(folder)
            .stderr(fs::File::create(&log)?)
            .spawn()?;
        let mut service = Self { process, address: String::new() };
        for _ in 0..600 {
            let text = fs::read_to_string(&log)?;
            if let Some(rest) = text.split("\"address\":\"").nth(1) {
                rest.split('"').next().unwrap_or_default().clone_into(&mut service.address);
                return Ok(service);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Err(fs::read_to_string(&log)?.into())
    }

    fn mebibytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|text| text.parse::<u64>().ok()).unwrap_or_default() / 1024
    }

    /// Asks for these in turn; requests a second, and the median and the 99th percentile as wrk prints them.
    fn load(&self, folder: &Path, what: &str, paths: &[&str], seconds: usize) -> Done<()> {
        let list = paths.iter().map(|path| format!("\"{path}\"")).collect::<Vec<_>>().join(", ");
        let script = format!(
            "local paths = {{ {list} }}\nlocal at = 0\nwrk.headers[\"Authorization\"] = \"Bearer {TOKEN}\"\n\
             request = function()\n  at = at % #paths + 1\n  return wrk.format(\"GET\", paths[at])\nend\n"
        );
        fs::write(folder.join("paths.lua"), script)?;
        let output = Command::new("wrk")
            .args(["-t1", "-c8", "--latency", "--timeout", "10s", &format!("-d{seconds}s"), "-s"])
            .arg(folder.join("paths.lua"))
            .arg(format!("http://{}", self.address))
            .stderr(Stdio::inherit())
            .output()?;
        let said = String::from_utf8(output.stdout)?;
        let of = |name: &str| {
            let line = said.lines().find(|line| line.trim_start().starts_with(name)).unwrap_or("? ?");
            line.split_whitespace().last().unwrap_or_default().to_owned()
        };
        let bad = said.lines().find(|line| line.contains("Non-2xx") || line.contains("Socket errors"));
        println!(
            "  {what:<28} {:>9}/s  p50 {:>9}  p99 {:>9}  {} MiB{}",
            of("Requests/sec:"),
            of("50%"),
            of("99%"),
            self.mebibytes(),
            bad.map(|line| format!("  {}", line.trim())).unwrap_or_default()
        );
        Ok(())
    }
}

/// Goes through all runs, page by page: how many there were, and how long a page takes at the beginning and at the end.
async fn walk(service: &Service, wanted: usize) -> Done<()> {
    let (http, mut seen, mut times, mut cursor) =
        (lockstep::http::client().build()?, HashSet::new(), Vec::new(), String::new());
    loop {
        let url = format!("http://{}/api/runs?limit=500{cursor}", service.address);
        let asked = Instant::now();
        let page: Value = http.get(url).bearer_auth(TOKEN).send().await?.error_for_status()?.json().await?;
        times.push(asked.elapsed());
        let items = page["items"].as_array().map(Vec::as_slice).unwrap_or_default();
        if !items.iter().all(|run| seen.insert(run["id"].as_i64())) {
            return Err("a run was given twice".into());
        }
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    if seen.len() < wanted {
        return Err(format!("{} of {wanted} runs were given", seen.len()).into());
    }
    let (some, middle) = (times.len().min(50), |times: &[Duration]| {
        let mut sorted = times.to_vec();
        sorted.sort();
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    });
    println!(
        "  all {} runs in {} pages, each once; the median of the first {some} pages {:?}, of the last {:?}",
        seen.len(),
        times.len(),
        middle(&times[..some]),
        middle(&times[times.len() - some..])
    );
    Ok(())
}

/// How long the dashboard's pages take for somebody who is logged in: one after the other, nobody beside them.
async fn pages(service: &Service) -> Done<()> {
    let http = lockstep::http::client().redirect(reqwest::redirect::Policy::none()).build()?;
    let login = format!("http://{}/login", service.address);
    let let_in = http.post(login).form(&[("token", TOKEN)]).send().await?;
    let cookie = let_in.headers().get("set-cookie").and_then(|cookie| cookie.to_str().ok()).unwrap_or_default();
    let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
    let get = async |path: &str| -> Done<(Duration, usize)> {
        let asked = Instant::now();
        let url = format!("http://{}{path}", service.address);
        let page = http.get(url).header("cookie", &cookie).send().await?.error_for_status()?;
        Ok((asked.elapsed(), page.bytes().await?.len()))
    };
    let last = http.get(format!("http://{}/api/runs?limit=1", service.address)).bearer_auth(TOKEN).send().await?;
    let run = format!("/runs/{}", last.json::<Value>().await?["items"][0]["id"]);
    let paths = [
        "/",
        "/needs-you",
        "/records",
        "/records?q=40001",
        "/records/customers/agent-0007/40001",
        "/types",
        "/types/customers?over=month",
        "/runs",
        "/runs?agent=agent-0007",
        &run,
        "/queue",
        "/write-back",
        "/agents",
        "/audit",
        "/tokens",
        "/system",
    ];
    for path in paths {
        let mut times = Vec::new();
        let mut size = 0;
        for _ in 0..40 {
            let (time, bytes) = get(path).await?;
            times.push(time);
            size = bytes;
        }
        times.sort();
        println!("  {path:<40} p50 {:>10.1?}  p95 {:>10.1?}  {size} bytes", times[20], times[38]);
    }
    Ok(())
}

async fn measure(kind: &str, folder: &Path, url: &str, io: &tokio::runtime::Handle) -> Done<()> {
    let (agents, wanted_runs) = (number("AGENTS", 200)?, number("RUNS", 1_000_000)?);
    let (wanted_records, seconds) = (number("RECORDS", 500_000)?, number("SECONDS_EACH", 15)?);
    let names: Vec<String> = (0..agents).map(|number| format!("agent-{number:04}")).collect();
    let types = Arc::new(SyncTypes::built_in()?);
    let store = Store::open(url, io.clone(), types.clone()).await?;
    store.migrate().await?;
    runs(&store, url, &names, wanted_runs).await?;
    store.close().await;
    let printed = folder.join("reports").join(&names[0]);
    fs::create_dir_all(&printed)?;
    let each = (wanted_records / agents).to_string();
    let print = Command::new(env!("CARGO_BIN_EXE_lockstep"))
        .args(["bench-report", "customers", "--rows", &each, "--out"])
        .arg(printed.join("customers.pdf"))
        .output()?;
    if !print.status.success() {
        return Err(String::from_utf8_lossy(&print.stderr).into_owned().into());
    }
    let first = Command::new(env!("CARGO_BIN_EXE_lockstep"))
        .args(["sync", "customers", "--agent", &names[0], "--file"])
        .arg(printed.join("customers.pdf"))
        .env("LOCKSTEP__DATABASE__URL", url)
        .current_dir(folder)
        .output()?;
    if !first.status.success() {
        return Err(String::from_utf8_lossy(&first.stderr).into_owned().into());
    }
    records(url, &names, wanted_records)?;
    if !url.starts_with("sqlite") {
        sql(url, "VACUUM ANALYZE")?;
    }
    println!(
        "{kind}: {agents} agents, {} runs, {} records, 8 connections",
        sql(url, "SELECT count(*) FROM sync_run")?,
        sql(url, "SELECT count(*) FROM customers")?
    );
    let service = Service::start(folder, url)?;
    service.load(folder, "livez", &["/livez"], seconds.min(5))?;
    service.load(folder, "status", &["/api/sync/status"], seconds)?;
    service.load(folder, "attention", &["/api/attention"], seconds)?;
    let lists = ["/api/runs?limit=50", "/api/data/customers?limit=50&agent=agent-0007", "/api/changes?limit=50"];
    for list in lists {
        service.load(folder, list.split('?').next().unwrap_or(list), &[list], seconds.min(5))?;
    }
    service.load(folder, "runs, data, changes in turn", &lists, seconds)?;
    walk(&service, wanted_runs).await?;
    pages(&service).await?;
    Ok(())
}

fn main() -> Done<()> {
    let kinds = env::var("KINDS").unwrap_or_else(|_| "sqlite,postgres".to_owned());
    let io = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    for kind in kinds.split(',') {
        let folder = tempfile::tempdir()?;
        match kind {
            "sqlite" => {
                let url = format!("sqlite://{}/bench.db?mode=rwc", folder.path().display());
                io.block_on(measure(kind, folder.path(), &url, io.handle()))?;
            }
            "postgres" => {
                let server = folder.path().join("server");
                let place = server.display().to_string();
                let root = servers(&["start", "postgres", &place])?;
                let measured = io.block_on(async {
                    let url = create_database(&root, "http", io.handle()).await?;
                    measure(kind, folder.path(), &url, io.handle()).await
                });
                servers(&["stop", "postgres", &place, "now"])?;
                measured?;
            }
            other => return Err(format!("KINDS: '{other}' is neither sqlite nor postgres").into()),
        }
    }
    Ok(())
}
