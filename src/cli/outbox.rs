//! `lockstep outbox`: what waits to go out, without the server.

use clap::{Args, Subcommand};
use serde_json::json;

use super::{Exit, database::with_store, output::say};
use crate::{
    domain::{ItemId, ItemStatus},
    settings::Settings,
    store::{ItemQuery, Store},
};

/// Shows and redrives what waits to go out.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  lockstep outbox stats
  lockstep outbox list --status failed
  lockstep outbox retry 17
  lockstep outbox retry --all --model orders")]
pub(crate) struct Outbox {
    #[command(subcommand)]
    command: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Print items as JSON, one a line, newest first.
    List {
        /// Only of this status: pending, processing, completed or failed.
        #[arg(long)]
        status: Option<String>,
        /// Only of this model.
        #[arg(long)]
        model: Option<String>,
        /// Only those that may have been delivered, and nobody knows.
        #[arg(long)]
        doubtful: bool,
        /// So many at most.
        #[arg(long, default_value_t = 50)]
        limit: u64,
    },
    /// Let FAILED items wait again; a running service sees them within 30 s.
    Retry {
        /// The item.
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        item: Option<ItemId>,
        /// All of them, except those that may have been delivered and must not be twice.
        #[arg(long)]
        all: bool,
        /// With --all: only of this model.
        #[arg(long, requires = "all")]
        model: Option<String>,
        /// Also if the item may have been delivered: someone has looked.
        #[arg(long, conflicts_with = "all")]
        even_if_done: bool,
    },
    /// Print how many items have which status, by model, as JSON.
    Stats,
}

impl Outbox {
    /// Runs the command.
    ///
    /// # Errors
    /// A database that cannot be used, an item that is not there or not FAILED.
    pub(crate) fn run(&self, settings: &Settings) -> anyhow::Result<Exit> {
        with_store(settings, async |store| self.ask(store).await)
    }

    async fn ask(&self, store: &Store) -> anyhow::Result<Exit> {
        let now = chrono::Utc::now();
        match &self.command {
            What::List { status, model, doubtful, limit } => {
                let Ok(status) = status.as_deref().map(known_status).transpose() else {
                    eprintln!("--status: pending, processing, completed or failed");
                    return Ok(Exit::Usage);
                };
                let (model, doubtful, limit) = (model.clone(), *doubtful, *limit);
                let wanted = ItemQuery { status, model, doubtful, limit, ..ItemQuery::default() };
                for item in store.items(wanted).await? {
                    say!("{}", json!(item));
                }
            }
            What::Retry { item: Some(item), even_if_done, .. } => {
                store.by(super::token::cause(), now).redrive_item(*item, *even_if_done, now).await?;
                say!("{}", json!({ "items": 1 }));
            }
            What::Retry { item: None, model, .. } => {
                say!(
                    "{}",
                    json!({ "items": store.by(super::token::cause(), now).redrive_items(model.clone(), now).await? })
                );
            }
            What::Stats => {
                let depths = store.item_depths().await?.into_iter().map(
                    |one| json!({ "model": one.model, "status": one.status, "items": one.items, "oldest": one.oldest }),
                );
                say!("{}", json!({ "models": depths.collect::<Vec<_>>() }));
            }
        }
        Ok(Exit::Done)
    }
}

fn known_status(name: &str) -> Result<ItemStatus, ()> {
    ItemStatus::from_name(&name.to_uppercase()).ok_or(())
}
