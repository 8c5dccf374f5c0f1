//! Which processes read reports, and what may they do?

use std::time::Duration;

use anyhow::Context as _;

use crate::{
    report::sandbox::{Confinement, Sandbox},
    settings::Settings,
    sync::Context,
};

/// The processes that read reports.
///
/// # Errors
/// A worker that the settings name and that is not there.
pub fn sandbox(settings: &Settings) -> anyhow::Result<Sandbox> {
    let worker = match &settings.sandbox.worker {
        Some(path) => std::fs::canonicalize(path)
            .with_context(|| format!("configuration: sandbox.worker: cannot find {}", path.display()))?,
        None => std::env::current_exe().context("cannot tell where this program is")?,
    };
    let time = Duration::from_secs(settings.limits.read_seconds);
    Ok(Sandbox { worker, memory: settings.limits.read_memory_bytes, time })
}

/// The start of the service waits no longer than this for the answer: some 20 ms are usual.
const TRIED_OUT_WITHIN: Duration = Duration::from_secs(5);

/// What the processes that read reports may do: tried out once, and told where it is more than it should be.
pub(super) async fn confinement(context: &Context) -> Option<Confinement> {
    let asked = context.reader.confinement(&context.types);
    let Ok(answered) = tokio::time::timeout(TRIED_OUT_WITHIN, asked).await else {
        tracing::error!("the process that reads reports did not answer within {TRIED_OUT_WITHIN:?}");
        return None;
    };
    match answered {
        Ok(found) => {
            if let Some(found) = found.as_ref().filter(|found| !found.is_whole()) {
                let open = found.open.join(", ");
                tracing::warn!(
                    landlock = found.landlock,
                    seccomp = found.seccomp,
                    open,
                    "the processes that read reports are confined less than they could be: this kernel has no more"
                );
            }
            found
        }
        Err(refusal) => {
            tracing::error!(error = %refusal, "the process that reads reports does not work");
            None
        }
    }
}
