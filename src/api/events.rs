//! What happens, as it happens? Server-sent events of all processes, with ids from which a client goes on.

use std::{sync::Arc, time::Duration};

use actix_web::{HttpRequest, Responder, get, web};
use actix_web_lab::sse;
use serde::Deserialize;
use tokio::sync::{
    broadcast::{Receiver, error::RecvError},
    mpsc,
};

use super::{Api, Problem};
use crate::coordination::{Received, RelayMessage};

/// A client that reads slower than this many events behind is parted; it comes back where it was.
const BEHIND: usize = 256;
/// A line is sent so often where nothing happens, so that proxies keep the connection.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// A client that was parted comes back after so long.
const RETRY: Duration = Duration::from_secs(2);

pub(crate) fn routes(config: &mut web::ServiceConfig) {
    config.service(events);
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct From {
    last_event_id: Option<String>,
}

/// `GET /api/events`: job and run events of all processes, as JSON. With `Last-Event-ID` (or `?last_event_id=`)
/// what came after that event is sent first; where events are missing, an event `reset` says so.
#[get("/events")]
async fn events(api: web::Data<Api>, request: HttpRequest, query: web::Query<From>) -> Result<impl Responder, Problem> {
    let header = request.headers().get("Last-Event-ID").and_then(|id| id.to_str().ok()).map(str::to_owned);
    let after = header.or_else(|| query.into_inner().last_event_id);
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
            if !give(&received, &send).await {
                return;
            }
        }
        forward(&mut messages, &send).await;
    };
    actix_rt::spawn(async move { closing.run_until_cancelled(stream).await });
    Ok(sse::Sse::from_infallible_receiver(receive).with_keep_alive(KEEP_ALIVE).with_retry_duration(RETRY))
}

async fn forward(messages: &mut Receiver<Arc<Received>>, send: &mpsc::Sender<sse::Event>) {
    loop {
        let received = tokio::select! {
            () = send.closed() => return,
            received = messages.recv() => received,
        };
        match received {
            Ok(received) => {
                if !give(&received, send).await {
                    return;
                }
            }
            // it comes back with the last id that it has seen
            Err(RecvError::Lagged(_) | RecvError::Closed) => return,
        }
    }
}

/// False if the client is gone.
async fn give(received: &Received, send: &mpsc::Sender<sse::Event>) -> bool {
    match &received.message {
        RelayMessage::Signal(_) => true,
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
