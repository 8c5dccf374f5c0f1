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

/// Of the requests that are refused, so many are told in a second; those who asked are answered anyway.
const REFUSALS: u32 = 20;

/// What was told lately.
#[derive(Default)]
struct Told {
    /// Of each job's progress, when.
    progress: HashMap<JobId, Instant>,
    /// Refusals, since when and how many.
    refusals: Option<(Instant, u32)>,
}

/// Tells all processes what happens in this one.
pub(super) fn publisher(coordination: Arc<dyn Coordination>) -> Observer {
    let told: Mutex<Told> = Mutex::default();
    Arc::new(move |event| {
        if told.lock().is_worth_telling(event, Instant::now()) {
            coordination.publish(RelayMessage::Event(serde_json::json!(event).to_string()));
        }
        if let Some(signal) = signal(event) {
            coordination.publish(RelayMessage::Signal(signal));
        }
    })
}

impl Told {
    fn is_worth_telling(&mut self, event: &Event, now: Instant) -> bool {
        match event {
            Event::Enqueued { admission, .. } => admission.is_taken() || self.has_room_for_refusal(now),
            Event::Progressed { job, done, total, .. } => {
                let last = self.progress.get(job);
                let is_due = last.is_none_or(|last| now - *last >= PROGRESS) || done == total;
                if is_due {
                    self.progress.insert(*job, now);
                }
                is_due
            }
            Event::Finished { job, .. } => {
                self.progress.remove(job);
                true
            }
            _ => true,
        }
    }

    fn has_room_for_refusal(&mut self, now: Instant) -> bool {
        let (since, told) = match self.refusals {
            Some((since, told)) if now - since < Duration::from_secs(1) => (since, told),
            _ => (now, 0),
        };
        self.refusals = Some((since, told.saturating_add(1)));
        told < REFUSALS
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
        | Event::ItemsRescued { .. }
        | Event::AlertBegan { .. }
        | Event::AlertEnded { .. } => None,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Admission;

    #[test]
    fn all_that_is_taken_is_told_and_of_what_is_refused_so_much_in_a_second() {
        let (mut told, start) = (Told::default(), Instant::now());
        let asked = |admission| Event::enqueued("orders".into(), "a".into(), Reason::Manual, admission);
        let (taken, refused) = (Admission::Accepted { job: JobId(1) }, Admission::AlreadyQueued { job: JobId(1) });
        let mut at = |millis: u64, admission| {
            let now = start + Duration::from_millis(millis);
            (0..100).filter(|_| told.is_worth_telling(&asked(admission), now)).count()
        };
        assert_eq!([at(0, taken), at(0, refused), at(900, refused), at(1_100, refused)], [100, 20, 0, 20]);
        let json = serde_json::to_value(asked(refused)).unwrap();
        assert_eq!((&json["event"], &json["deduplicated"]), (&"enqueued".into(), &true.into()), "{json}");
    }
}
