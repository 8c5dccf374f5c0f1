//! How long does it take to say how everything stands? 200 agents, six types, over SQLite: what the database is asked, and
//! what follows from it. `cargo bench --bench overview`; `AGENTS=2000` for more.

use std::{
    env,
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::{SubsecRound as _, Utc};
use lockstep::{
    domain::{Claim, Counts, NewJob, NextStep, Outcome, Reason},
    overview::{Known, Overview},
    store::{Agent, Finish, Store},
    sync_type::SyncTypes,
};

type Done<T> = Result<T, Box<dyn std::error::Error>>;

/// Runs of each type and agent; every ninth fails.
const RUNS: usize = 8;

async fn fill(store: &Store, agents: usize) -> Done<usize> {
    let names: Vec<String> = (0..agents).map(|number| format!("agent-{number:04}")).collect();
    let now = Utc::now().trunc_subsecs(3);
    store.seed_agents(names.iter().map(|name| Agent::named(name)).collect(), now).await?;
    let types = store.types().clone();
    let mut ended = 0;
    for run in 0..RUNS {
        for spec in types.iter() {
            let mut asked: Vec<NewJob> =
                names.iter().map(|name| spec.job(&name.as_str().into(), Reason::Timer)).collect();
            asked.truncate(if spec.agent_for(&"a".into()).as_str() == "a" { agents } else { 1 });
            store.enqueue(asked, None, now).await?;
            let known = vec![spec.name.job_type()];
            let claim = Claim { owner: "bench".into(), any: agents, known, ..Claim::default() };
            for (place, job) in store.claim(claim, now).await?.jobs.into_iter().enumerate() {
                let is_bad = (place + run) % 9 == 0;
                let outcome = if is_bad { Outcome::Failed { retryable: false } } else { Outcome::Succeeded };
                let counts = Counts { read: 300, unchanged: 300, ..Counts::default() };
                let end = Finish { outcome: Some(outcome), counts, ..Finish::default() };
                store.finish(&job, end, NextStep::Done, now).await?;
                ended += 1;
            }
        }
    }
    Ok(ended)
}

fn main() -> Done<()> {
    let agents: usize = env::var("AGENTS").map_or(Ok(200), |agents| agents.parse())?;
    let folder = tempfile::tempdir()?;
    let io = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    io.block_on(async {
        let types = Arc::new(SyncTypes::built_in()?);
        let url = format!("sqlite://{}/overview.db?mode=rwc", folder.path().display());
        let store = Store::open(&url, io.handle().clone(), types).await?;
        store.migrate().await?;
        let ended = fill(&store, agents).await?;
        let mut times = Vec::new();
        let mut cells = 0;
        for _ in 0..101 {
            let began = Instant::now();
            let known = Known::stored(&store, Duration::from_secs(60), true, Utc::now()).await?;
            cells = Overview::of(&known).cells.len();
            times.push(began.elapsed());
        }
        times.sort();
        println!(
            "{agents} agents, {cells} types of agents, {ended} runs over SQLite: standings and attention in {:.1} ms (median of 101), p95 {:.1} ms",
            times[50].as_secs_f64() * 1_000.0,
            times[95].as_secs_f64() * 1_000.0
        );
        store.close().await;
        Ok(())
    })
}
