//! What happens in one run? Fetch, read, plan, guard, apply: idempotent, and stoppable between batches.

use std::{sync::Arc, time::Instant};

use serde_json::json;
use sha2::{Digest, Sha256};

use super::{
    context::Context,
    error::RunError,
    plan::{evidence, make_plan, second_miss},
    port::{Progress, StopHandle, Watch},
};
use crate::{
    delta::{self, ChangeKind, Plan},
    domain::{ClaimedJob, Counts, Hold, Outcome, Reason, RunId, SourceReport, Stage, Timestamp},
    event::{Bus, Event},
    report::{RefusalCode, Report, sandbox::Job},
    source::SourceError,
    store::{Batches, Finish, Pace},
    sync_type::{SyncTypeSpec, SyncTypes},
};

/// Of what a run tells one by one, so many are listed; the rest is counted.
const LISTED: usize = 100;

/// One run on its way.
pub(super) struct Pipeline {
    pub context: Arc<Context>,
    /// All types, as reports are read now: a report may be another type's.
    pub types: Arc<SyncTypes>,
    pub spec: Arc<SyncTypeSpec>,
    pub job: ClaimedJob,
    pub stop: StopHandle,
    pub watch: Watch,
    /// What the run's end will store; filled on the way, so that a stop or failure keeps it.
    pub finish: Finish,
    /// The stage it is in, and since when.
    pub entered: Option<(Stage, Instant)>,
}

impl Pipeline {
    /// Goes the whole way. `self.finish` holds what is to be stored, whatever comes back.
    pub(super) async fn run(&mut self) -> Result<Outcome, RunError> {
        let started = self.context.clock.now();
        self.enter(Stage::Fetch);
        let known = self.known().await?;
        let refused = if known.is_none() { self.refused().await? } else { None };
        let version = known.as_ref().or(refused.as_ref()).and_then(|run| run.document_version.clone());
        let Some(bytes) = self.fetch(version).await? else {
            if let Some(refused) = &refused {
                return Ok(self.leave_unread(refused));
            }
            let known = known.ok_or_else(|| SourceError::NotAReport("unchanged, which nobody asked".to_owned()))?;
            self.finish.sha256 = known.document_sha256;
            tracing::debug!(run = known.id.0, "the source says that its report is still the one of that run");
            return Ok(Outcome::Unchanged);
        };
        self.finish.sha256 = Some(hex::encode(Sha256::digest(&bytes)));
        tracing::debug!(bytes = bytes.len(), sha256 = self.finish.sha256, "the report is there");
        if known.is_some_and(|run| run.document_sha256 == self.finish.sha256) {
            return Ok(Outcome::Unchanged);
        }
        if let Some(refused) = refused.filter(|run| run.document_sha256 == self.finish.sha256) {
            return Ok(self.leave_unread(&refused));
        }

        self.enter(Stage::Read);
        let bytes = Arc::new(bytes);
        // for going on from here if it has to make room
        self.finish.document = Some(bytes.clone());
        let read = self.or_stop(self.context.reader.read(self.reading(bytes.clone()))).await?;
        if let (Err(refusal), None) = (&read, self.job.document)
            && refusal.code.is_transient()
            && refusal.code != RefusalCode::Busy
        {
            // a log-in page, say: the source answers, but does not do its work
            let failed = Some(refusal.to_string());
            self.finish.source = Some(SourceReport { failed, ..self.context.breaker.clone() });
        }
        if !read.as_ref().is_err_and(|refusal| refusal.code.is_transient()) {
            self.keep(bytes).await;
        }
        if let Some(drift) = read.as_ref().err().and_then(|refusal| refusal.drift.as_ref()) {
            // so that a person can say what a column is
            self.finish.notes = Some(json!({ "drift": drift }));
        }
        let report = read?;
        let quarantined = report.quarantined.len();
        tracing::debug!(pages = report.pages, rows = report.rows(), quarantined, "it was read");
        self.note_report(&report).await?;

        self.enter(Stage::Plan);
        // a miss is seen twice only in two reports: neither an approved one nor one read again is another
        let second_miss = match (self.job.approves, self.job.reason) {
            (Some(_), _) | (None, Reason::Replay) => None,
            (None, _) => Some(second_miss(&self.context, &self.spec).await?),
        };
        self.finish.missed_at = Some(started);
        let plan = make_plan(&self.context, &self.spec, &self.job.agent, &report, started, second_miss);
        let plan = self.or_stop(plan).await??;
        self.finish.counts.unchanged = plan.unchanged;
        self.finish.counts.not_applied = plan.changes.len() as u64;
        self.finish.plan_digest = Some(plan.digest());
        let (changes, missing, deleted) = (plan.changes.len(), plan.missing.len(), plan.deleted.len());
        tracing::debug!(changes, unchanged = plan.unchanged, missing, deleted, "what changed is known");
        if let (Some(notes), false) = (&mut self.finish.notes, plan.similar.is_empty()) {
            let first: Vec<_> = plan.similar.iter().take(LISTED).collect();
            notes["similarKeys"] = json!({ "count": plan.similar.len(), "first": first });
        }
        match self.job.approves {
            Some(held) => self.check_hold(held).await?,
            None => {
                if self.is_held(&report, &plan).await? {
                    return Ok(Outcome::Held);
                }
            }
        }

        self.enter(Stage::Apply);
        self.apply(Arc::new(plan), started).await?;
        if !self.finish.counts.balance() {
            return Err(RunError::Unbalanced(self.finish.counts));
        }
        Ok(match self.finish.counts {
            counts if counts.quarantined > 0 => Outcome::SucceededWithQuarantine,
            counts if counts.wrote() => Outcome::Succeeded,
            _ => Outcome::Unchanged,
        })
    }

    /// Notes how long the stage took that ends here.
    pub(super) fn leave(&mut self) {
        if let Some((stage, since)) = self.entered.take() {
            self.finish.stages.push((stage, u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)));
        }
    }

    fn enter(&mut self, stage: Stage) {
        self.leave();
        self.entered = Some((stage, Instant::now()));
        self.finish.stage = Some(stage);
        tell(
            &self.context.bus,
            &self.job,
            &self.watch,
            Progress { stage: Some(stage), rows: self.finish.counts.read, ..Progress::default() },
        );
    }

    /// Waits for work that changes nothing; a Stop leaves it behind at once.
    pub(super) async fn or_stop<T>(&self, work: impl Future<Output = T>) -> Result<T, RunError> {
        tokio::select! {
            biased;
            () = self.stop.token().cancelled() => Err(RunError::Stopped),
            done = work => Ok(done),
        }
    }

    /// What the reader is to do, telling how far it is.
    fn reading(&self, bytes: Arc<Vec<u8>>) -> Job {
        let (bus, job, watch) = (self.context.bus.clone(), self.job.clone(), self.watch.clone());
        let progress = move |done, total| {
            tell(&bus, &job, &watch, Progress { stage: Some(Stage::Read), done, total, rows: 0 });
        };
        let (spec, types) = (self.spec.clone(), self.types.clone());
        Job { bytes, spec, types, progress: Arc::new(progress) }
    }

    async fn note_report(&mut self, report: &Report) -> Result<(), RunError> {
        self.finish.counts.read = report.rows();
        self.finish.counts.quarantined = report.quarantined.len() as u64;
        self.finish.counts.skipped = report.skipped;
        // until the plan says what becomes of them
        self.finish.counts.not_applied = report.records.len() as u64;
        self.finish.quarantined.clone_from(&report.quarantined);
        let mut notes = json!({ "drift": report.drift, "pages": report.pages, "cycle": report.cycle });
        if report.unclean > 0 {
            notes["unclean"] = json!({ "pages": report.unclean, "first": report.unclean_pages });
        }
        if !report.uncertain.is_empty() {
            let first: Vec<_> = report.uncertain.iter().take(LISTED).collect();
            notes["uncertainBreaks"] = json!({ "count": report.uncertain.len(), "first": first });
        }
        let before = self.context.store.last_layout(&self.spec.name, &self.job.agent).await?;
        if let Some(change) = before.and_then(|before| report.layout.change_since(&before)) {
            self.context.bus.publish(Event::LayoutChanged {
                run: self.job.run,
                job: self.job.id,
                job_type: self.job.job_type.clone(),
                agent_id: self.job.agent.clone(),
                gone: change.gone.clone(),
                added: change.added.clone(),
                reordered: change.reordered,
                cycle: change.cycle,
            });
            notes["layoutChange"] = json!(change);
        }
        self.finish.layout = Some(report.layout.clone());
        self.finish.notes = Some(notes);
        Ok(())
    }

    async fn is_held(&mut self, report: &Report, plan: &Plan) -> Result<bool, RunError> {
        let evidence = evidence(&self.context, &self.spec, &self.job.agent, report, plan).await?;
        self.finish.verdicts = delta::judge(evidence, &self.spec.guards.unwrap_or(self.context.guards));
        if let Some(first) = self.finish.verdicts.first() {
            self.finish.error_code = Some(first.guard.clone());
            let texts: Vec<_> = self.finish.verdicts.iter().map(|verdict| verdict.text.as_str()).collect();
            self.finish.error = Some(texts.join("; "));
        }
        Ok(!self.finish.verdicts.is_empty())
    }

    /// An approval holds for the plan that was shown, and for as long as nothing newer was applied.
    async fn check_hold(&self, held: RunId) -> Result<(), RunError> {
        let run = self.context.store.run(held).await?;
        let Some(run) = run.filter(|run| run.hold == Some(Hold::Approved)) else {
            return Err(RunError::Hold(format!(
                "run {held} is no longer held: a newer run was applied or it was rejected"
            )));
        };
        if run.spec_fingerprint != self.spec.fingerprint {
            return Err(RunError::Hold(format!(
                "what is read as what has changed since run {held} was held: look again"
            )));
        }
        // a later attempt may find part of the plan applied already, by this very job
        let is_begun = self.context.store.may_have_written(&self.job).await?;
        if !is_begun && run.plan_digest != self.finish.plan_digest {
            return Err(RunError::Hold(format!(
                "the stored records have changed since run {held} was held: look again"
            )));
        }
        Ok(())
    }

    async fn apply(&mut self, plan: Arc<Plan>, now: Timestamp) -> Result<(), RunError> {
        let total = plan.changes.len();
        let batches = Arc::new(Batches {
            spec: self.spec.clone(),
            size: self.context.batch,
            pace: Pace::default(),
            stop: self.stop.token().clone(),
            progress: {
                let (bus, job, watch) = (self.context.bus.clone(), self.job.clone(), self.watch.clone());
                let rows = self.finish.counts.read;
                Arc::new(move |done| {
                    tell(&bus, &job, &watch, Progress { stage: Some(Stage::Apply), done, total, rows });
                })
            },
        });
        let mut upto = 0;
        while upto < total {
            let applied = self.context.store.apply(&self.job, &plan, upto, &batches, now).await?;
            for change in &plan.changes[upto..applied.upto] {
                count(&mut self.finish.counts, change.kind);
            }
            let upto_before = std::mem::replace(&mut upto, applied.upto);
            if applied.upto * 10 / total > upto_before * 10 / total {
                tracing::debug!(upto, of = total, "stored");
            }
            if applied.stopped {
                return Err(RunError::Stopped);
            }
        }
        if self.stop.is_set() {
            return Err(RunError::Stopped);
        }
        self.finish.counts.missing = plan.missing.len() as u64;
        self.finish.counts.deleted = plan.deleted.len() as u64;
        self.finish.missing.clone_from(&plan.missing);
        self.finish.deleted.clone_from(&plan.deleted);
        Ok(())
    }
}

fn count(counts: &mut Counts, kind: ChangeKind) {
    counts.not_applied -= 1;
    match kind {
        ChangeKind::Insert => counts.inserted += 1,
        ChangeKind::Update => counts.updated += 1,
        ChangeKind::Refresh => counts.refreshed += 1,
        ChangeKind::Restore => counts.restored += 1,
    }
}

pub(super) fn tell(bus: &Bus, job: &ClaimedJob, watch: &Watch, progress: Progress) {
    watch.set(progress);
    if let Some(stage) = progress.stage {
        bus.publish(Event::Progressed {
            run: job.run,
            job: job.id,
            job_type: job.job_type.clone(),
            agent_id: job.agent.clone(),
            stage,
            done: progress.done,
            total: progress.total,
            rows: progress.rows,
        });
    }
}
