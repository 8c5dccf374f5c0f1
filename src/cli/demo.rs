//! `lockstep demo`: the whole product in one command, with an ERP that keeps changing and going wrong.

use std::{collections::HashMap, path::Path, sync::Arc, time::Duration};

use anyhow::Context as _;
use clap::Args;
use rust_decimal::Decimal;
use serde_json::{Map, json};
use tokio::signal::unix::{SignalKind, signal};

use super::{Exit, output::say, start_log};
use crate::{
    app::{self, App, Parts},
    domain::{AgentId, Reason, SyncType},
    event::Event,
    pretend_erp::{Erp, Trouble, World},
    queue::{Enqueue, EnqueueMany},
    settings::Settings,
    source::{Credential, Vault},
    store::SealedCredential,
    sync_type::SyncTypes,
};

const AGENTS: [&str; 3] = ["anna", "bruno", "carla"];
/// How long a session of the ERP lives.
const SESSION: Duration = Duration::from_secs(25);
/// What happens in the ERP, what is sent to it, and what goes wrong there, happens so often.
const STEP: Duration = Duration::from_millis(1_500);
const SUBMIT: Duration = Duration::from_secs(9);
const LOOK: Duration = Duration::from_secs(1);
/// What goes wrong in seconds after the first syncs, and until when; begins anew after so many.
const AGAIN: u64 = 120;
const STORY: [(u64, u64, Trouble, &str, &str, &str); 5] = [
    (2, 60, Trouble::FilteredExport, "customers", "bruno", "somebody leaves a filter on in the grid"),
    (15, 55, Trouble::HiddenColumn, "orders", "carla", "somebody hides a column in the grid"),
    (30, 31, Trouble::ExpiredSession, "orders", "anna", "the ERP forgets who is logged in"),
    (65, 80, Trouble::FailingExport, "invoices", "bruno", "exports fail"),
    (90, 91, Trouble::ExpiredSession, "orders", "carla", "the ERP forgets who is logged in"),
];

/// Shows the whole product: a pretend ERP whose data keeps changing, the service that follows it, its pages.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  lockstep demo --port 0

Everything is in a throwaway folder and on this machine; Ctrl-C ends it and leaves nothing behind.")]
pub(crate) struct Demo {
    /// Where the pages are; 0 picks a free port.
    #[arg(long, default_value_t = 8080)]
    port: u16,
    /// The address to listen on; others than this machine reach the demo only if it is not a loopback one.
    #[arg(long, env = "LOCKSTEP__SERVER__HOST", default_value = "127.0.0.1")]
    host: String,
    /// Keep the folder with the database.
    #[arg(long)]
    keep: bool,
}

impl Demo {
    /// Runs the command.
    ///
    /// # Errors
    /// A port or a folder that cannot be used.
    pub(crate) fn run(&self) -> anyhow::Result<Exit> {
        let folder = tempfile::Builder::new().prefix("lockstep-demo-").tempdir().context("cannot make a folder")?;
        let ended = actix_rt::System::new().block_on(self.play(folder.path()));
        if self.keep {
            eprintln!("The database is in {}", folder.keep().display());
        }
        ended.map(|()| Exit::Done)
    }

    async fn play(&self, folder: &Path) -> anyhow::Result<()> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let types = Arc::new(SyncTypes::built_in()?);
        let password = Vault::new_key()?;
        let world = World::new(types.clone(), &AGENTS.map(AgentId::from), rows, fastrand::u64(..));
        let erp = Erp::new(types.clone(), world, &password, SESSION);
        erp.trouble(Trouble::BadRow, &"customers".into(), &"anna".into(), true);
        let (erp_addr, erp_server) = erp.serve().context("the pretend ERP cannot listen")?;

        let token = Vault::new_key()?;
        let mut settings =
            Settings::load(None, environment((&self.host, self.port), folder, &erp_addr.to_string(), &token)?)?;
        settings.agents = AGENTS.map(crate::store::Agent::named).to_vec();
        start_log(&settings)?;
        let vault = app::vault(&settings)?.context("there is no key")?;
        let parts = Parts { observers: vec![Arc::new(comment)], ..Parts::default() };
        let app = App::start(settings, parts).await?;
        for agent in AGENTS.iter().copied().chain([AgentId::service_account().as_str()]).map(AgentId::from) {
            let credential = Credential::password(agent.as_str(), password.as_str());
            let sealed = vault.seal(&agent, &credential)?;
            let key_name = vault.key_name().to_owned();
            app.store
                .put_credential(SealedCredential { agent, key_name, sealed, updated_at: chrono::Utc::now() })
                .await?;
        }
        say!("dashboard http://{}{}", app.addr, app.login_link().await?);
        say!("erp       http://{erp_addr}/state.json");
        say!("token     {token}");
        eprintln!("\nOpen the first link (it works once). Ctrl-C ends the demo.\n");

        let story = tell(app.queue.clone(), app.store.clone(), types, erp);
        tokio::select! {
            done = story => done?,
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        eprintln!("The demo ends.");
        app.stop().await;
        erp_server.stop(false).await;
        Ok(())
    }
}

/// A few hundred rows of each type for each agent, and some more of the shared ones.
fn rows(sync_type: &SyncType) -> usize {
    match sync_type.as_str() {
        "products" => 400,
        "prices" => 600,
        "invoices" => 60,
        _ => 150,
    }
}

/// The settings of the demo, as the environment would have them: an own folder, the pretend ERP, short minutes.
fn environment(
    (host, port): (&str, u16),
    folder: &Path,
    erp: &str,
    token: &str,
) -> anyhow::Result<HashMap<String, String>> {
    let url = |path: &str| format!("http://{erp}{path}");
    let database = format!("sqlite://{}/lockstep.db?mode=rwc", folder.display());
    let nowhere = folder.join("none").display().to_string();
    let (port, key, secret) = (port.to_string(), Vault::new_key()?, Vault::new_key()?);
    let (report, document) = (url("/export/{type}"), url("/documents/{folder}/{number}"));
    let (login, orders) = (url("/login"), url("/orders"));
    let settings = [
        ("SERVER__HOST", host),
        ("SERVER__PORT", port.as_str()),
        // it is asked for by the address that it listens on
        ("SERVER__INSECURE", "true"),
        ("DATABASE__URL", &database),
        ("AUTH__ADMIN_TOKEN", token),
        ("SYNC__TYPES_DIR", &nowhere),
        ("QUEUE__OPERATIONS_DIR", &nowhere),
        ("QUEUE__BREAKER_OPEN_MS", "8000"),
        ("SCHEDULER__MINUTE_MS", "1000"),
        ("SCHEDULER__INTERVALS__ORDERS", "5"),
        ("SCHEDULER__INTERVALS__DDT", "7"),
        ("SCHEDULER__INTERVALS__INVOICES", "8"),
        ("SCHEDULER__INTERVALS__CUSTOMERS", "10"),
        ("SCHEDULER__INTERVALS__PRODUCTS", "11"),
        ("SCHEDULER__INTERVALS__PRICES", "12"),
        ("SOURCE__KIND", "http"),
        ("SOURCE__CREDENTIALS_KEY", &key),
        ("SOURCE__HTTP__REPORT_URL", &report),
        ("SOURCE__HTTP__DOCUMENT_URL", &document),
        ("SOURCE__HTTP__AUTH", "form"),
        ("SOURCE__HTTP__LOGIN__URL", &login),
        ("SOURCE__HTTP__LOGIN__PAGE_URL", &login),
        ("SOURCE__HTTP__LOGIN__USERNAME_FIELD", "user"),
        ("SINK__WEBHOOK__ERP__URL", &orders),
        ("SINK__WEBHOOK__ERP__SECRET", &secret),
        ("SINK__WEBHOOK__ERP__ALLOW_PRIVATE", "true"),
        ("SINK__MODELS__ORDERS__TO", "erp"),
        ("LOG__LEVEL", "error"),
    ];
    Ok(settings.iter().map(|(name, value)| (format!("LOCKSTEP__{name}"), (*value).to_owned())).collect())
}

/// Says in a line what lockstep did.
fn comment(event: &Event) {
    if let Event::Finished { job_type, agent_id, outcome, counts, error, .. } = event {
        let moved = [(counts.inserted, "new"), (counts.updated, "changed"), (counts.restored, "back")];
        let moved: Vec<String> =
            moved.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
        match error {
            Some(error) => eprintln!("  lockstep: {job_type} of {agent_id}: {}: {error}", outcome.as_str()),
            None if !moved.is_empty() => eprintln!("  lockstep: {job_type} of {agent_id}: {}", moved.join(", ")),
            None if outcome.is_applied() => {}
            None => eprintln!("  lockstep: {job_type} of {agent_id}: {}", outcome.as_str()),
        }
    }
}

/// What happens, until somebody ends it: first all is synced, then the ERP has its days.
async fn tell(
    queue: crate::supervisor::Handle<crate::queue::QueueActor>,
    store: crate::store::Store,
    types: Arc<SyncTypes>,
    erp: Erp,
) -> anyhow::Result<()> {
    let mut all: Vec<(SyncType, AgentId)> =
        types.iter().flat_map(|spec| AGENTS.map(|agent| (spec.name.clone(), spec.agent_for(&agent.into())))).collect();
    // a shared type is the same for each of them
    all.dedup();
    let ask = |(name, agent): &(SyncType, AgentId)| Enqueue::new(name.job_type(), agent.clone(), Reason::Manual);
    queue.send(EnqueueMany(all.iter().map(ask).collect())).await??;
    while !have_synced(&store, &all).await? {
        tokio::time::sleep(LOOK).await;
    }
    eprintln!("Everything is synced once; now the ERP's day begins.\n");
    let (mut step, mut submit, mut look) =
        (tokio::time::interval(STEP), tokio::time::interval(SUBMIT), tokio::time::interval(LOOK));
    let (mut seconds, mut orders) = (0, 0);
    loop {
        tokio::select! {
            _ = step.tick() => {
                if let Some(what) = erp.step() {
                    eprintln!("ERP: {what}");
                }
            }
            _ = submit.tick(), if !erp.is_frozen() => {
                orders += 1;
                let agent = AGENTS[orders % AGENTS.len()];
                eprintln!("office: sends an order for {agent} to the ERP");
                queue.send(order(agent, orders)).await??;
            }
            _ = look.tick(), if !erp.is_frozen() => {
                seconds = seconds % AGAIN + 1;
                for (from, until, trouble, name, agent, text) in STORY {
                    let (name, agent) = (SyncType::from(name), AgentId::from(agent));
                    if seconds == until {
                        erp.trouble(trouble, &name, &agent, false);
                    }
                    if seconds == from {
                        eprintln!("ERP: {text} ({name} of {agent})");
                        erp.trouble(trouble, &name, &agent, true);
                        queue.send(ask(&(name, agent))).await??;
                    }
                }
            }
        }
    }
}

async fn have_synced(store: &crate::store::Store, all: &[(SyncType, AgentId)]) -> anyhow::Result<bool> {
    for (name, agent) in all {
        if store.last_run(name, agent).await?.is_none() {
            return Ok(false);
        }
    }
    Ok(true)
}

fn order(agent: &str, number: usize) -> Enqueue {
    let data = json!({
        "orderId": format!("web-{number}"),
        "customer": format!("C{number}"),
        "lines": [{ "article": "A1", "quantity": number }],
        "total": Decimal::new(1_000 + i64::try_from(number).unwrap_or(0) * 25, 2),
    });
    let data: Map<_, _> = data.as_object().cloned().unwrap_or_default();
    Enqueue { idempotency_key: Some(format!("web-{number}")), ..Enqueue::operation("submit-order", agent, data) }
}
