//! How fast are records stored, beside the floor: over PostgreSQL COPY of the same rows into the same table, over SQLite
//! one prepared insert in one transaction? `cargo bench --bench records`; `ROWS=500000` for more than the sizes of the
//! default, `BENCH_POSTGRES=url` for a server that is there already.

use std::{
    env,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{SubsecRound as _, Utc};
use lockstep::{
    delta::{self, OpenBlanks, Plan, Seen, Snapshot},
    domain::{Claim, NewJob, NextStep, Outcome, Reason, Record, Value},
    pretend_erp,
    store::{Batches, Finish, Pace, Store, throwaway::create_database},
    sync_type::{SyncTypeSpec, SyncTypes},
};
use tokio_util::sync::CancellationToken;

mod support;

use support::servers;

type Done<T> = Result<T, Box<dyn std::error::Error>>;

fn psql(url: &str, commands: &[String]) -> Done<()> {
    let arguments = commands.iter().flat_map(|command| ["-c".to_owned(), command.clone()]);
    let output = Command::new("psql").args(["-Xq", url]).args(arguments).output()?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned().into()) }
}

/// One run over these records, from the look at what is stored to the last transaction; reading apart.
async fn sync(store: &Store, spec: &Arc<SyncTypeSpec>, records: &[Record]) -> Done<(Duration, usize)> {
    let now = Utc::now().trunc_subsecs(3);
    let agent = "a".into();
    store.enqueue(vec![NewJob::sync(&spec.name, "a".into(), 3, Reason::Manual)], None, now).await?;
    let known = vec![spec.name.job_type()];
    let claim = Claim { owner: "bench".into(), any: 1, known, ..Claim::default() };
    let job = store.claim(claim, now).await?.jobs.pop().ok_or("nothing to claim")?;
    let began = Instant::now();
    let present = vec![true; spec.fields.len()];
    let open = OpenBlanks::new();
    let snapshot = store.snapshot(spec, &agent, Snapshot::needed(spec, &present, &open)).await?;
    let seen = Seen {
        records,
        printed: &[],
        present: &present,
        unreadable_key: false,
        quarantined_keys: &[],
        open_blanks: &open,
    };
    let plan: Arc<Plan> = Arc::new(delta::plan(spec, seen, &snapshot, now, None));
    let batches = Arc::new(Batches {
        spec: spec.clone(),
        size: 10,
        stop: CancellationToken::new(),
        progress: Arc::new(|_| {}),
        pace: Pace::default(),
    });
    let mut upto = 0;
    while upto < plan.changes.len() {
        upto = store.apply(&job, &plan, upto, &batches, now).await?.upto;
    }
    let end = Finish { outcome: Some(Outcome::Succeeded), ..Finish::default() };
    store.finish(&job, end, NextStep::Done, now).await?;
    Ok((began.elapsed(), plan.changes.len()))
}

/// How long the same rows take with the same columns and indexes, in one durable transaction.
fn copy(url: &str, folder: &str) -> Done<Duration> {
    let file = format!("{folder}/rows.csv");
    psql(
        url,
        &[format!("\\copy customers TO '{file}' CSV"), "CREATE TABLE floor (LIKE customers INCLUDING ALL)".to_owned()],
    )?;
    let began = Instant::now();
    psql(url, &[format!("\\copy floor FROM '{file}' CSV")])?;
    Ok(began.elapsed())
}

/// As [`copy`], with a prepared statement a row.
fn insert(file: &str) -> Done<Duration> {
    let mut db = rusqlite::Connection::open(file)?;
    db.execute_batch("PRAGMA synchronous = FULL; PRAGMA cache_size = -16384;")?;
    let made = "SELECT sql FROM sqlite_master WHERE tbl_name = 'customers' AND sql IS NOT NULL ORDER BY type DESC";
    let made: Vec<String> = db.prepare(made)?.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for sql in made {
        let sql = sql.replace("\"customers\"", "\"floor\"").replace("\"customers_", "\"floor_");
        db.execute_batch(&sql)?;
    }
    let mut all = db.prepare("SELECT * FROM customers")?;
    let columns = all.column_count();
    let rows = all.query_map([], |row| (0..columns).map(|column| row.get(column)).collect())?;
    let rows: Vec<Vec<rusqlite::types::Value>> = rows.collect::<Result<_, _>>()?;
    drop(all);
    let began = Instant::now();
    let transaction = db.transaction()?;
    let mut insert = transaction.prepare(&format!("INSERT INTO floor VALUES (?{})", ", ?".repeat(columns - 1)))?;
    for row in &rows {
        insert.execute(rusqlite::params_from_iter(row))?;
    }
    drop(insert);
    transaction.commit()?;
    Ok(began.elapsed())
}

/// The database to store in: `url`, and beside which floor.
enum Beside<'a> {
    Copy { url: String, folder: &'a str },
    Insert { file: String },
}

async fn measure(beside: Beside<'_>, rows: usize, io: &tokio::runtime::Handle) -> Done<()> {
    let types = Arc::new(SyncTypes::built_in()?);
    let spec = types.get("customers").ok_or("no customers")?.clone();
    let url = match &beside {
        Beside::Copy { url, .. } => url.clone(),
        Beside::Insert { file } => format!("sqlite://{file}?mode=rwc"),
    };
    let store = Store::open(&url, io.clone(), types.clone()).await?;
    store.migrate().await?;
    let mut records = pretend_erp::invent(&types, &spec, rows, 1);
    let (first, changes) = sync(&store, &spec, &records).await?;
    assert_eq!(changes, rows);
    if let Beside::Copy { url, .. } = &beside {
        psql(url, &["ANALYZE customers".to_owned()])?;
    }
    let (same, changes) = sync(&store, &spec, &records).await?;
    assert_eq!(changes, 0);
    let name = spec.field("name").ok_or("no name")?;
    for record in records.iter_mut().step_by(100) {
        record.values[name] = Value::Text("Studio Nuovo".to_owned());
    }
    let (edited, changes) = sync(&store, &spec, &records).await?;
    assert_eq!(changes, rows.div_ceil(100));
    let (name, floor) = match &beside {
        Beside::Copy { url, folder } => ("COPY", copy(url, folder)?),
        Beside::Insert { file } => ("a prepared insert", insert(file)?),
    };
    store.close().await;
    let rate = |time: Duration| rows as f64 / time.as_secs_f64();
    println!(
        "{rows:>7} rows: first sync {:>7.0}/s = {:.2} of {name}'s {:>7.0}/s; 1 % changed {:>8.1} ms ({:>8.0} rows/s), nothing changed {:>8.1} ms",
        rate(first),
        floor.as_secs_f64() / first.as_secs_f64(),
        rate(floor),
        edited.as_secs_f64() * 1_000.0,
        rate(edited),
        same.as_secs_f64() * 1_000.0
    );
    Ok(())
}

fn main() -> Done<()> {
    let folder = tempfile::Builder::new().permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755)).tempdir()?;
    let root = folder.path().display().to_string();
    let at = format!("{root}/postgres");
    let own = env::var("BENCH_POSTGRES");
    let postgres = match &own {
        Ok(url) => url.clone(),
        Err(_) => servers(&["start", "postgres", &at, "shared_buffers=512MB"])?,
    };
    println!("durable commits; customers, {} columns a record; batches of 10 records", 27);
    let io = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let sizes = match env::var("ROWS") {
        Ok(rows) => vec![rows.parse()?],
        Err(_) => vec![5_000, 50_000],
    };
    let measured = io.block_on(async {
        for rows in &sizes {
            let url = create_database(&postgres, &format!("records{rows}"), io.handle()).await?;
            measure(Beside::Copy { url, folder: &root }, *rows, io.handle()).await?;
        }
        for rows in &sizes {
            measure(Beside::Insert { file: format!("{root}/{rows}.db") }, *rows, io.handle()).await?;
        }
        Ok(())
    });
    if own.is_err() {
        servers(&["stop", "postgres", &at])?;
    }
    measured
}
