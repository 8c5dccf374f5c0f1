//! What happens, as it happens? Server-sent events of all processes, with ids from which a client goes on.

use std::{collections::HashMap, sync::Arc, time::Duration};

use actix_web::{HttpRequest, Responder, get, http::StatusCode, web};
use actix_web_lab::sse;
use parking_lot::Mutex;
use serde::Deserialize;
use serde_json::Value as Json;
use tokio::sync::{
    broadcast::{Receiver, error::RecvError},
    mpsc,
};

use super::{Api, Problem, auth};
use crate::{
    coordination::{Received, RelayMessage},
    domain::Caller,
};

/// A client that reads slower than this many events behind is parted; it comes back where it was.
const BEHIND: usize = 256;
/// A line is sent so often where nothing happens, so that proxies keep the connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// A client that was parted comes back after so long.
const RETRY: Duration = Duration::from_secs(2);
/// How often it is looked whether a client may still listen.
const ASKED_AGAIN: Duration = Duration::from_secs(5);
/// Streams of one caller at once: each page of a browser has one.
const STREAMS: usize = 100;

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config.service(events);
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
struct Asked {
    last_event_id: Option<String>,
    r#type: Option<String>,
    #[serde(alias = "agentId")]
    agent: Option<String>,
    /// The event's name: `finished`, say.
    kind: Option<String>,
}

/// Which events a client is sent.
struct Wanted {
    asked: Asked,
    caller: Caller,
}

/// Events that are of no agent, and that everyone may know.
const OF_ALL: [&str; 5] = ["ticked", "rescheduled", "limitsChanged", "autoSyncChanged", "pauseChanged"];

impl Wanted {
    fn holds(&self, json: &str) -> bool {
        let Asked { r#type: sync_type, agent, kind, .. } = &self.asked;
        let is_all = sync_type.is_none() && agent.is_none() && kind.is_none();
        if is_all && self.caller.is_for_all() {
            return true;
        }
        let Ok(event) = serde_json::from_str::<Json>(json) else { return false };
        let is = |name: &str, wanted: &Option<String>| {
            wanted.as_ref().is_none_or(|wanted| event[name].as_str() == Some(wanted.as_str()))
        };
        let is_seen = match event["agentId"].as_str() {
            Some(agent) => self.caller.sees(&agent.into()),
            None => self.caller.is_for_all() || event["event"].as_str().is_some_and(|name| OF_ALL.contains(&name)),
        };
        is_seen && is("type", sync_type) && is("agentId", agent) && is("event", kind)
    }
}

/// Job and run events of all processes, as JSON.
///
/// With `Last-Event-ID` (or `?last_event_id=`) what came after that event is sent first; where events are missing,
/// an event `reset` says so.
#[utoipa::path(
    context_path = "/api",
    operation_id = "events_events",
    tag = "system",
    params(Asked),
    responses(
        (status = 200, description = "Server-sent events", body = String, content_type = "text/event-stream"),
    ),
)]
#[get("/events")]
pub(super) async fn events(
    api: web::Data<Api>,
    caller: Caller,
    request: HttpRequest,
    query: web::Query<Asked>,
) -> Result<impl Responder, Problem> {
    let place = api.listeners.enter(&caller.id)?;
    let wanted = Wanted { asked: query.into_inner(), caller };
    let header = request.headers().get("Last-Event-ID").and_then(|id| id.to_str().ok()).map(str::to_owned);
    let after = header.or_else(|| wanted.asked.last_event_id.clone());
    let (missed, mut messages) = match &after {
        Some(after) => api.context.coordination.listen_after(after),
        None => (Some(Vec::new()), api.context.coordination.listen()),
    };
    let (send, receive) = mpsc::channel(BEHIND);
    let closing = api.closing.clone();
    let stream = async move {
        // so that the client knows at once that it listens
        drop(send.send(sse::Event::Comment("lockstep".into())).await);
        if missed.is_none() && !reset(&send).await {
            return;
        }
        for received in missed.into_iter().flatten() {
            if !give(&received, &wanted, &send).await {
                return;
            }
        }
        tokio::select! {
            () = forward(&mut messages, &wanted, &send) => {}
            // whoever may not listen any more is parted, and is refused when it comes back
            () = no_longer(&api, &request, &wanted.caller) => {}
        }
    };
    actix_rt::spawn(async move {
        closing.run_until_cancelled(stream).await;
        drop(place);
    });
    Ok(sse::Sse::from_infallible_receiver(receive).with_keep_alive(KEEP_ALIVE).with_retry_duration(RETRY))
}

/// Ends when the token or session of this request is over, or is somebody else's.
async fn no_longer(api: &Api, request: &HttpRequest, caller: &Caller) {
    loop {
        tokio::time::sleep(ASKED_AGAIN).await;
        // a database that is away revokes nothing
        if auth::known_caller(api, request).await.is_ok_and(|now| now.as_ref() != Some(caller)) {
            return;
        }
    }
}

/// Streams of each caller.
#[derive(Debug, Default)]
pub struct Listeners(Arc<Mutex<HashMap<String, usize>>>);

/// One stream's place; given back with it.
struct Place {
    all: Arc<Mutex<HashMap<String, usize>>>,
    caller: String,
}

impl Listeners {
    fn enter(&self, caller: &str) -> Result<Place, Problem> {
        let mut all = self.0.lock();
        let count = all.entry(caller.to_owned()).or_default();
        if *count >= STREAMS {
            let text = format!("{caller} listens {STREAMS} times already: close a stream");
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too_many_streams", text).retry_after(5));
        }
        *count += 1;
        Ok(Place { all: self.0.clone(), caller: caller.to_owned() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        if let Some(count) = all.get_mut(&self.caller) {
            *count -= 1;
            if *count == 0 {
                all.remove(&self.caller);
            }
        }
    }
}

async fn forward(messages: &mut Receiver<Arc<Received>>, wanted: &Wanted, send: &mpsc::Sender<sse::Event>) {
    loop {
        let received = tokio::select! {
            () = send.closed() => return,
            received = messages.recv() => received,
        };
        match received {
            Ok(received) => {
                if !give(&received, wanted, send).await {
                    return;
                }
            }
            // it comes back with the last id that it has seen
            Err(RecvError::Lagged(_) | RecvError::Closed) => return,
        }
    }
}

/// False if the client is gone.
async fn give(received: &Received, wanted: &Wanted, send: &mpsc::Sender<sse::Event>) -> bool {
    match &received.message {
        RelayMessage::Signal(_) => true,
        RelayMessage::Event(json) if !wanted.holds(json) => true,
        RelayMessage::Event(json) => {
            send.send(sse::Data::new(json.as_str()).id(received.id.as_str()).into()).await.is_ok()
        }
        RelayMessage::Gap => reset(send).await,
    }
}

/// Tells the client that events are missing, so that it looks at the whole afresh.
async fn reset(send: &mpsc::Sender<sse::Event>) -> bool {
    send.send(sse::Data::new("{}").event("reset").into()).await.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Agents;

    #[test]
    fn a_client_is_sent_what_it_asks_for_and_may_see() {
        let asked = |kind: Option<&str>, agent: Option<&str>| Asked {
            last_event_id: None,
            r#type: None,
            agent: agent.map(str::to_owned),
            kind: kind.map(str::to_owned),
        };
        let all = Caller::admin("one");
        let annas = Caller { agents: Agents::Some(["anna".into()].into()), ..all.clone() };
        let told = [
            r#"{"event":"finished","type":"orders","agentId":"anna"}"#,
            r#"{"event":"started","type":"orders","agentId":"bert"}"#,
            r#"{"event":"finished","type":"products","agentId":"service-account"}"#,
            r#"{"event":"stopAsked","stopping":[7],"removed":[]}"#,
            r#"{"event":"pauseChanged","pause":null}"#,
        ];
        let sent = |caller: &Caller, asked: Asked| {
            let wanted = Wanted { asked, caller: caller.clone() };
            told.map(|event| wanted.holds(event))
        };
        assert_eq!(sent(&all, asked(None, None)), [true; 5]);
        assert_eq!(sent(&all, asked(Some("finished"), None)), [true, false, true, false, false]);
        assert_eq!(sent(&all, asked(None, Some("bert"))), [false, true, false, false, false]);
        assert_eq!(sent(&annas, asked(None, None)), [true, false, true, false, true]);
        assert_eq!(sent(&annas, asked(None, Some("bert"))), [false; 5]);
    }
}
