//! Which sinks do the settings name? Made once, at the start; a mistake in them ends it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::anyhow;

use crate::{
    domain::item::{Model, Models},
    outbox::{
        Named, Routes, Sink,
        sinks::{CsvFile, Sheets, SheetsConfig, Webhook, WebhookConfig},
    },
    settings::{CsvSettings, SheetsSettings, SinkSettings, WebhookSettings},
};

/// Every sink, and which model goes where.
///
/// # Errors
/// A sink whose settings make no sense, with its key.
pub(super) fn routes(settings: &SinkSettings) -> anyhow::Result<Routes> {
    let mut sinks: Vec<Named> = Vec::new();
    for (name, one) in &settings.webhook {
        let sink = webhook(one).map_err(|wrong| anyhow!("configuration: sink.webhook.{name}.{wrong}"))?;
        sinks.push(Named { name: name.clone(), sink: Arc::new(sink) });
    }
    for (name, one) in &settings.sheets {
        let sink = sheets(one).map_err(|wrong| anyhow!("configuration: sink.sheets.{name}.{wrong}"))?;
        sinks.push(Named { name: name.clone(), sink: Arc::new(sink) });
    }
    for (name, CsvSettings { path, columns }) in &settings.csv {
        let sink: Arc<dyn Sink> = Arc::new(CsvFile::new(path.clone(), columns.clone()));
        sinks.push(Named { name: name.clone(), sink });
    }
    let place = |sink: &String| sinks.iter().position(|named| named.name == *sink);
    let by_model: BTreeMap<String, usize> =
        settings.models.iter().filter_map(|(model, one)| Some((model.clone(), place(one.to.as_ref()?)?))).collect();
    Ok(Routes::new(sinks, by_model))
}

/// What may be queued.
#[must_use]
pub fn models(settings: &SinkSettings) -> Models {
    let model = |(name, one): (&String, &crate::settings::ModelSettings)| {
        (name.clone(), Model { max_retries: one.max_retries, repeat: one.repeat })
    };
    Models { known: settings.models.iter().map(model).collect(), payload_bytes: settings.payload_bytes }
}

fn webhook(settings: &WebhookSettings) -> Result<Webhook, String> {
    let WebhookSettings { url, secret, previous_secret, timeout_ms, allow_private } = settings;
    Webhook::new(&WebhookConfig {
        url: url.clone(),
        secrets: std::iter::once(secret).chain(previous_secret).cloned().collect(),
        timeout: Duration::from_millis(*timeout_ms),
        allow_private: *allow_private,
    })
}

fn sheets(settings: &SheetsSettings) -> Result<Sheets, String> {
    let SheetsSettings {
        spreadsheet,
        sheet,
        key_file,
        headers,
        id_header,
        record_header,
        timeout_ms,
        api,
        allow_private,
    } = settings.clone();
    let timeout = Duration::from_millis(timeout_ms);
    let config =
        SheetsConfig { spreadsheet, sheet, key_file, headers, id_header, record_header, timeout, api, allow_private };
    Sheets::new(config)
}
