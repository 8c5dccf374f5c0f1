//! What do other processes receive of what happens here, and what does this one do about what it receives?

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use tokio::{sync::broadcast::error::RecvError, task::JoinHandle};

use crate::{
    coordination::{Coordination, Received, RelayMessage, Signal},
    domain::{JobId, Reason},
    event::{Event, Observer},
    outbox::{LookForItems, OutboxActor},
    queue::{Look, QueueActor, Wake},
    scheduler::{Reload, SchedulerActor},
    supervisor::Handle,
};

/// The progress of a run is told so often; its own process shows every batch.
const PROGRESS: Duration = Duration::from_millis(250);

/// Tells all processes what happens in this one. Requests that are refused are many, and answered to whoever
/// asked: they are not told.
pub(super) fn publisher(coordination: Arc<dyn Coordination>) -> Observer {
    let told: Mutex<HashMap<JobId, Instant>> = Mutex::default();
    Arc::new(move |event| {
        if is_worth_telling(event, &told) {
            coordination.publish(RelayMessage::Event(serde_json::json!(event).to_string()));
        }
        if let Some(signal) = signal(event) {
            coordination.publish(RelayMessage::Signal(signal));
        }
    })
}

fn is_worth_telling(event: &Event, told: &Mutex<HashMap<JobId, Instant>>) -> bool {
    let mut told = told.lock();
    match event {
        Event::Enqueued { admission, .. } => admission.is_taken(),
        Event::Progressed { job, done, total, .. } => {
            let is_due = told.get(job).is_none_or(|last| last.elapsed() >= PROGRESS) || done == total;
            if is_due {
                told.insert(*job, Instant::now());
            }
            is_due
        }
        Event::Finished { job, .. } => {
            told.remove(job);
            true
        }
        _ => true,
    }
}

/// Where other processes should look because of it.
fn signal(event: &Event) -> Option<Signal> {
    match event {
        Event::Enqueued { admission, .. } if !admission.is_taken() => None,
        // a sync of its agent, wherever that runs, has to make room
        Event::Enqueued { reason: Reason::Operation, .. }
        | Event::StopAsked { .. }
        | Event::PauseChanged { .. }
        | Event::LimitsChanged { .. } => Some(Signal::Look),
        Event::Enqueued { .. } | Event::Retried { .. } | Event::BreakerReset { .. } => Some(Signal::Work),
        Event::Rescheduled { .. } | Event::AutoSyncChanged { .. } => Some(Signal::Schedule),
        Event::Started { .. }
        | Event::Progressed { .. }
        | Event::LayoutChanged { .. }
        | Event::Finished { .. }
        | Event::Ticked { .. }
        | Event::Rescued { .. }
        | Event::Preempted { .. }
        | Event::ActorRestarted { .. }
        | Event::ItemsDelivered { .. }
        | Event::DeliveryFailed { .. }
        | Event::SinkUnavailable { .. }
        | Event::ItemsRescued { .. } => None,
        Event::ItemsQueued { .. } | Event::ItemsSteered { .. } => Some(Signal::Items),
    }
}

/// Looks where other processes say, until the task is aborted.
pub(super) fn listen(
    coordination: &Arc<dyn Coordination>,
    queue: Handle<QueueActor>,
    scheduler: Handle<SchedulerActor>,
    outbox: Handle<OutboxActor>,
) -> JoinHandle<()> {
    let mut messages = coordination.listen();
    actix_rt::spawn(async move {
        loop {
            match messages.recv().await.map(|received| Received::clone(&received)) {
                Ok(Received { is_foreign: true, message: RelayMessage::Signal(signal), .. }) => {
                    follow(signal, (&queue, &scheduler, &outbox));
                }
                Ok(_) => {}
                Err(RecvError::Lagged(_)) => {
                    for signal in [Signal::Look, Signal::Schedule, Signal::Items] {
                        follow(signal, (&queue, &scheduler, &outbox));
                    }
                }
                Err(RecvError::Closed) => return,
            }
        }
    })
}

type Listeners<'a> = (&'a Handle<QueueActor>, &'a Handle<SchedulerActor>, &'a Handle<OutboxActor>);

fn follow(signal: Signal, (queue, scheduler, outbox): Listeners<'_>) {
    match signal {
        Signal::Work => queue.do_send(Wake),
        Signal::Look => queue.do_send(Look),
        Signal::Schedule => scheduler.do_send(Reload),
        Signal::Items => outbox.do_send(LookForItems),
    }
}
