//! What is asked of the queue?

use super::form::{Done, Form, needed, said, unknown};
use crate::{
    api::{Api, Problem},
    domain::{Admission, Caller, Cause, Class, Pause, Reason, SERVICE_ACCOUNT},
    queue::{Enqueue, EnqueueMany, ResetBreaker, SetPause, StopJobs},
    supervisor::By,
    ui::words::of,
};

/// Sends it.
pub(super) async fn ask(
    api: &Api,
    caller: &Caller,
    cause: Cause,
    (what, form): (&str, &Form),
) -> Result<Done, Problem> {
    let now = api.context.clock.now();
    match what {
        "approve" => {
            let run = needed(form.run.as_ref(), "run")?;
            let digest = needed(form.digest.as_ref(), "digest")?;
            taken(&[api.approve(caller, cause, run, &digest.as_str().into()).await?.1])?;
            Ok(said("The plan was approved: it is being applied."))
        }
        "reject" => {
            let run = api.reject(caller, cause, needed(form.run.as_ref(), "run")?).await?;
            Ok(said(format!("The report of run {} was rejected: nothing of it is stored.", run.id)))
        }
        "reapply" => {
            let run = needed(form.run.as_ref(), "run")?;
            taken(&[api.reapply(caller, cause, run).await?.1])?;
            Ok(said(format!("The report of run {run} is read again, and applied as one that was given would be.")))
        }
        "sync" => sync(api, caller, &cause, form).await,
        "stop" => {
            let job_type =
                form.r#type.as_deref().map(|name| api.sync_type(name)).transpose()?.map(|spec| spec.name.job_type());
            let report = api
                .queue
                .send(By(cause, StopJobs { class: Some(Class::Sync), job_type, ..StopJobs::default() }))
                .await??;
            Ok(said(format!(
                "{} running syncs stop before their next rows; {} that waited were removed.",
                report.stopping.len(),
                report.removed.len()
            )))
        }
        "stop-job" => {
            let job = needed(form.job.as_ref(), "job")?;
            let found = api.context.store.job(job).await?.filter(|job| caller.touches(&job.agent_id));
            found.ok_or_else(|| Problem::not_found("unknown_job", format!("there is no job {job}")))?;
            let report = api.queue.send(By(cause, StopJobs { job: Some(job), ..StopJobs::default() })).await??;
            Ok(said(if report.stopping.is_empty() {
                format!("Job {job} was removed.")
            } else {
                format!("Job {job} stops before its next rows.")
            }))
        }
        "pause" => {
            let reason = needed(form.reason.as_ref(), "reason")?;
            let minutes = form.minutes.as_deref().filter(|minutes| !minutes.is_empty());
            let minutes =
                minutes.map(|minutes| minutes.parse::<u32>().ok().filter(|minutes| (1..=10_080).contains(minutes)));
            let until = match minutes {
                None => None,
                Some(Some(minutes)) => Some(now + chrono::Duration::minutes(minutes.into())),
                Some(None) => {
                    return Err(Problem::unprocessable("out_of_range", "/minutes", "expected 1 to 10080 minutes"));
                }
            };
            let emergency = form.emergency.unwrap_or(false);
            let pause = Pause { reason, by: cause.who.clone(), since: now, until, drain: false, emergency };
            api.queue.send(By(cause, SetPause(Some(pause)))).await??;
            Ok(said("Paused."))
        }
        "acknowledge" => {
            api.acknowledge(caller, cause, needed(form.id.as_ref(), "id")?, None).await?;
            Ok(said("It is noted that you see to it. It stays on the pages until it is over."))
        }
        "resume" => {
            api.queue.send(By(cause, SetPause(None))).await??;
            Ok(said("Resumed: what waits goes on."))
        }
        "reset-breaker" => {
            let id = needed(form.id.as_ref(), "id")?;
            if !api.queue.send(By(cause, ResetBreaker { id })).await?? {
                return Err(Problem::not_found("unknown_breaker", format!("there is no breaker {id}")));
            }
            Ok(said("The source is asked again."))
        }
        _ => Err(unknown(what)),
    }
}

/// Was any of it taken, or on its way already? Otherwise, why not.
fn taken(answers: &[Admission]) -> Result<(), Problem> {
    match answers.first() {
        Some(first) if answers.iter().all(|answer| answer.job().is_none()) => {
            let why = first.as_str().replace('_', " ");
            Err(Problem::conflict(first.as_str(), format!("nothing was started: {why}")))
        }
        Some(_) | None => Ok(()),
    }
}

/// Asks for syncs: of one type and agent, of one type, or of all.
async fn sync(api: &Api, caller: &Caller, cause: &Cause, form: &Form) -> Result<Done, Problem> {
    let mut asks = Vec::new();
    for spec in
        api.context.types.iter().filter(|spec| form.r#type.as_deref().is_none_or(|name| spec.name.as_str() == name))
    {
        let asked = form.agent.as_deref().filter(|agent| *agent != SERVICE_ACCOUNT);
        let agents = match api.agents_for(caller, spec, asked).await {
            // what all agents share is not theirs to fetch
            Err(_) if !caller.is_for_all() && form.r#type.is_none() => continue,
            agents => agents?,
        };
        asks.extend(agents.into_iter().map(|agent| Enqueue {
            by: Some(cause.clone()),
            force: form.force.unwrap_or(false),
            ..Enqueue::new(spec.name.job_type(), agent, Reason::Manual)
        }));
    }
    let answers = api.queue.send(EnqueueMany(asks)).await??;
    taken(&answers)?;
    let new = answers.iter().filter(|answer| answer.is_taken()).count();
    Ok(said(match (new, answers.len() - new) {
        (new, 0) => format!("{} asked for.", of(new as u64, "sync was", "syncs were")),
        (0, _) => "They were asked for already, and are on their way.".to_owned(),
        (new, others) => {
            format!("{new} syncs were asked for; {others} are on their way already, or may not start now.")
        }
    }))
}
