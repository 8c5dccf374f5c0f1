//! What is asked of the write-back queue, and of the ERP itself?

use serde_json::{Value as Json, json};

use super::form::{Done, Form, needed, said, unknown};
use crate::{
    api::{Api, Problem},
    domain::{Caller, Cause},
    outbox::{DiscardItem, RedriveItem, RedriveItems},
    supervisor::By,
};

/// Sends it.
pub(super) async fn steer(
    api: &Api,
    (caller, cause): (&Caller, Cause),
    (what, form): (&str, &Form),
) -> Result<Done, Problem> {
    match what {
        "retry-item" => {
            let item = needed(form.item.as_ref(), "item")?;
            // the button says what that means for one that may have arrived
            api.outbox.send(By(cause, RedriveItem { item, even_if_done: true })).await??;
            Ok(said("It is sent again."))
        }
        "retry-items" => {
            let items = api.outbox.send(By(cause, RedriveItems { model: None })).await??;
            Ok(said(format!("{items} changes are tried again.")))
        }
        "discard-item" => {
            let (item, by) = (needed(form.item.as_ref(), "item")?, cause.who.clone());
            api.outbox.send(By(cause, DiscardItem { item, by })).await??;
            Ok(said("It was discarded: it is never sent."))
        }
        "operation" => {
            let (name, agent) = (needed(form.r#type.as_ref(), "type")?, needed(form.agent.as_ref(), "agent")?);
            let data: Json = serde_json::from_str(&needed(form.data.as_ref(), "data")?).map_err(|wrong| {
                Problem::unprocessable("bad_json", "/data", format!("its data is no JSON: {wrong}"))
            })?;
            let asked = json!({ "type": name, "agentId": agent, "data": data });
            let (ask, admission) = api.ask_operation(caller, &cause, asked).await?;
            match admission.job() {
                Some(job) => Ok(said(format!("{} of {} is job {job}.", ask.0, ask.1))),
                None => Err(Problem::conflict(admission.as_str(), "it was not taken")),
            }
        }
        _ => Err(unknown(what)),
    }
}
