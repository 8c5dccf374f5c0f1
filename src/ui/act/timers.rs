//! What is asked of the timers?

use super::form::{Done, Form, needed, said, unknown};
use crate::{
    api::{Api, Problem},
    domain::{Cause, clock::INTERVAL_MINUTES},
    scheduler::{Reschedule, ScheduleChange, SetAutoSync, UpdateInterval},
    supervisor::By,
    ui::words::type_name,
};

/// Sends it.
pub(super) async fn change(api: &Api, cause: Cause, (what, form): (&str, &Form)) -> Result<Done, Problem> {
    match what {
        "interval" => {
            let spec = api.sync_type(&needed(form.r#type.as_ref(), "type")?)?;
            let minutes = form.minutes.as_deref().and_then(|minutes| minutes.trim().parse::<u32>().ok());
            let Some(minutes) = minutes.filter(|minutes| INTERVAL_MINUTES.contains(minutes)) else {
                let (least, most) = INTERVAL_MINUTES.into_inner();
                return Err(Problem::unprocessable(
                    "out_of_range",
                    "/minutes",
                    format!("expected {least} to {most} minutes"),
                ));
            };
            let sync_type = spec.name.clone();
            api.scheduler.send(By(cause, UpdateInterval { sync_type, minutes })).await??;
            Ok(said(format!("{} run every {minutes} minutes from their next run on.", type_name(&spec.name))))
        }
        "enable" => {
            let spec = api.sync_type(&needed(form.r#type.as_ref(), "type")?)?;
            let enabled = Some(needed(form.on.as_ref(), "on")?);
            let change = ScheduleChange { sync_type: spec.name.clone(), minutes: None, enabled };
            api.scheduler.send(By(cause, Reschedule { changes: vec![change] })).await??;
            Ok(said(format!(
                "The timer of {} is {}.",
                type_name(&spec.name),
                if enabled == Some(true) { "on" } else { "off" }
            )))
        }
        "auto-sync" => {
            let on = needed(form.on.as_ref(), "on")?;
            api.scheduler.send(By(cause, SetAutoSync { on })).await??;
            Ok(said(if on { "Automatic syncs are on." } else { "Automatic syncs are off." }))
        }
        _ => Err(unknown(what)),
    }
}
