//! How does the write-back queue come together? Its sinks and models, as the settings name them.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::anyhow;

use super::Io;
use crate::{
    domain::item::{Model, Models},
    event::Liveness,
    outbox::{OutboxParts, OutboxSettings},
    settings::{CsvSettings, ModelSettings, Settings, SinkSettings},
    sink::{CsvFile, Named, Routes, Sheets, Sink, Webhook},
    sync::Context,
};

/// Every sink, and which model goes where.
///
/// # Errors
/// A sink whose settings make no sense, with its key.
pub(super) fn routes(settings: &SinkSettings) -> anyhow::Result<Routes> {
    let mut sinks: Vec<Named> = Vec::new();
    let mut add = |name: &String, sink: Arc<dyn Sink>| sinks.push(Named { name: name.clone(), sink });
    for (name, config) in &settings.webhook {
        let sink = Webhook::new(config).map_err(|wrong| anyhow!("configuration: sink.webhook.{name}.{wrong}"))?;
        add(name, Arc::new(sink));
    }
    for (name, config) in &settings.sheets {
        let sink = Sheets::new(config.clone()).map_err(|wrong| anyhow!("configuration: sink.sheets.{name}.{wrong}"))?;
        add(name, Arc::new(sink));
    }
    for (name, CsvSettings { path, columns, formulas, mode }) in &settings.csv {
        add(name, Arc::new(CsvFile::new(path.clone(), columns.clone()).with(*formulas, *mode)));
    }
    let place = |sink: &String| sinks.iter().position(|named| named.name == *sink);
    let by_model: BTreeMap<String, usize> =
        settings.models.iter().filter_map(|(model, one)| Some((model.clone(), place(one.to.as_ref()?)?))).collect();
    Ok(Routes::new(sinks, by_model))
}

/// What may be queued.
fn models(settings: &SinkSettings) -> Models {
    let model = |(name, one): (&String, &ModelSettings)| {
        (name.clone(), Model { max_retries: one.max_retries, repeat: one.repeat })
    };
    Models { known: settings.models.iter().map(model).collect(), payload_bytes: settings.payload_bytes }
}

/// What the write-back queue works with.
pub(super) fn parts(
    settings: &Settings,
    context: &Context,
    io: &Io,
    liveness: &Liveness,
    routes: Routes,
) -> OutboxParts {
    // a batch of posts one after the other; a sheet's looks, and each of its rows alone
    let longest = settings.sink.webhook.values().map(|one| one.timeout_ms * settings.sink.batch);
    let sheets = settings.sink.sheets.values().map(|one| one.timeout_ms * (settings.sink.batch + 8));
    let longest = longest.chain(sheets).max().unwrap_or_default();
    let own = OutboxSettings {
        models: models(&settings.sink),
        batch: settings.sink.batch,
        // every sink has time limits of its own; this is for one that does not keep them
        time_limit: Duration::from_millis(longest) + Duration::from_secs(60),
        keep_days: settings.sink.keep_days,
        heartbeat: Duration::from_millis(settings.queue.heartbeat_ms),
        lease: Duration::from_millis(settings.queue.lease_ms),
        owner: context.owner.clone(),
    };
    let told = (context.bus.clone(), liveness.clone(), context.clock.clone());
    OutboxParts::new(context.store.clone(), told, routes, own, io.handle())
}
