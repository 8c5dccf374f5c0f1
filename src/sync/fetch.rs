//! How does a run come by its report? From its job, or from the source, unless that has nothing new.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use super::{
    context::Context,
    end::learnt,
    error::RunError,
    pipeline::{Pipeline, tell},
    port::Progress,
};
use crate::{
    coordination::Permit,
    domain::{Outcome, Reason, SourceReport, Stage},
    report::RefusalCode,
    source::{self, Ask, Fetched},
    store::Run,
};

/// Bytes of a report between two tellings of how far its fetch is.
const TOLD_EVERY: u64 = 256 << 10;

impl Context {
    /// Waits until the source may be asked once more.
    pub async fn may_fetch(&self) {
        let Some(most) = self.fetches_per_minute else { return };
        let name = format!("fetch:{}", self.breaker.source);
        while let Permit::Wait(rest) = self.coordination.permit(&name, most, self.minute).await {
            tokio::time::sleep(rest).await;
        }
    }
}

impl Pipeline {
    /// The report's bytes; `None` if the source says that it is still the `known` version.
    pub(super) async fn fetch(&mut self, known: Option<String>) -> Result<Option<Vec<u8>>, RunError> {
        if let Some(document) = self.job.document {
            return Ok(Some(self.context.store.document(document).await?));
        }
        self.or_stop(self.context.may_fetch()).await?;
        // a time-out ends the fetch from outside; a stop says nothing of the source
        let failed = Some("the attempt ended while the source was asked".to_owned());
        self.finish.source = Some(SourceReport { failed, ..self.context.breaker.clone() });
        let ask = Ask::report(&self.spec.name, &self.job.agent).knowing(known.clone()).telling(self.fetching());
        let fetched = self.or_stop(self.context.source.fetch(&ask)).await;
        if ask.is_waiting() {
            // only what the source did counts
            self.finish.source = None;
        }
        if let Ok(answer) = &fetched {
            self.finish.source = learnt(&self.context.breaker, answer.as_ref().map(|_| ()));
        }
        Ok(match fetched?? {
            Fetched::New { bytes, version } => {
                self.finish.version = version;
                Some(bytes)
            }
            Fetched::Unchanged => {
                self.finish.version = known;
                None
            }
        })
    }

    /// Told how much of the report has come; passes on no more often than people can see.
    fn fetching(&self) -> source::Progress {
        let (bus, job, watch) = (self.context.bus.clone(), self.job.clone(), self.watch.clone());
        let told = AtomicU64::new(0);
        Arc::new(move |come, of| {
            if come / TOLD_EVERY > told.swap(come / TOLD_EVERY, Ordering::Relaxed) {
                let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
                let (done, total) = (size(come), of.map_or(0, size));
                tell(&bus, &job, &watch, Progress { stage: Some(Stage::Fetch), done, total, rows: 0 });
            }
        })
    }

    /// The last run, if it wholly applied its report under the same spec and left nothing open: the same bytes
    /// would change nothing. A forced run and an approved one want to know nothing of it.
    pub(super) async fn known(&self) -> Result<Option<Run>, RunError> {
        if self.job.force || self.job.approves.is_some() {
            return Ok(None);
        }
        let store = &self.context.store;
        let Some(last) = store.last_run(&self.spec.name, &self.job.agent).await? else { return Ok(None) };
        let is_same_spec = last.spec_fingerprint == self.spec.fingerprint;
        let is_settled =
            last.was_applied() && is_same_spec && !store.has_unsettled(&self.spec, &self.job.agent).await?;
        Ok(Some(last).filter(|_| is_settled))
    }

    /// The last run that refused its report, while the same one would not be read again: a timer asks for it too often
    /// then. A person who asks wants to know it anew, and so does a type whose file has changed.
    pub(super) async fn refused(&self) -> Result<Option<Run>, RunError> {
        let is_of_timer = match self.job.reason {
            Reason::Timer | Reason::Flow => !self.job.force,
            Reason::Manual | Reason::Upload | Reason::Replay | Reason::Approval | Reason::Operation => false,
        };
        if !is_of_timer || self.job.document.is_some() {
            return Ok(None);
        }
        let store = &self.context.store;
        let Some(state) = store.sync_state(&self.spec.name, &self.job.agent).await? else { return Ok(None) };
        let settings = store.settings().await?;
        let saved = settings.iter().find(|setting| setting.sync_type == self.spec.name);
        let interval = self.context.minute * saved.map_or(self.spec.interval_minutes, |saved| saved.interval_minutes);
        let is_waiting = state.not_read_before(interval).is_some_and(|moment| self.context.clock.now() < moment);
        let (Some((run, _)), true) = (state.refused, is_waiting) else { return Ok(None) };
        let run = store.run(run).await?.filter(|run| run.spec_fingerprint == self.spec.fingerprint);
        let code = run.as_ref().and_then(|run| RefusalCode::from_name(run.error_code.as_deref()?));
        Ok(run.filter(|run| run.document_sha256.is_some() && code.is_some_and(RefusalCode::is_of_the_report)))
    }

    /// The report is still the one that this run refused.
    pub(super) fn leave_unread(&mut self, refused: &Run) -> Outcome {
        self.finish.sha256.clone_from(&refused.document_sha256);
        self.finish.error_code.clone_from(&refused.error_code);
        self.finish.error = Some(format!(
            "the report is still the one that run {} refused, and is not read again: {}",
            refused.id,
            refused.error.as_deref().unwrap_or_default()
        ));
        Outcome::Skipped
    }

    /// Keeps the report for replays; a run does not fail because of that.
    pub(super) async fn keep(&self, bytes: Arc<Vec<u8>>) {
        let (store, now) = (&self.context.store, self.context.clock.now());
        let whose = (&self.spec.name, &self.job.agent);
        if let Err(error) = store.keep_report(whose, self.job.run, bytes, self.context.keep, now).await {
            tracing::warn!(%error, "the report could not be kept for replays");
        }
    }
}
