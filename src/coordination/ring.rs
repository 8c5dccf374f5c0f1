//! What was told last? The messages of all processes, in order, for listeners that come late or come back.

use std::{
    collections::VecDeque,
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::broadcast;

use super::{Received, RelayMessage};

/// Messages that are remembered, and that a listener may lag behind.
const MESSAGES: usize = 4_096;

/// Messages in the order in which they were received.
#[derive(Debug)]
pub(super) struct Ring {
    messages: Mutex<VecDeque<Arc<Received>>>,
    listeners: broadcast::Sender<Arc<Received>>,
}

impl Default for Ring {
    fn default() -> Self {
        Self { messages: Mutex::default(), listeners: broadcast::channel(MESSAGES).0 }
    }
}

/// `milliseconds-count`, as numbers.
pub(super) fn number(id: &str) -> Option<(u64, u64)> {
    let (milliseconds, count) = id.split_once('-')?;
    Some((milliseconds.parse().ok()?, count.parse().ok()?))
}

impl Ring {
    fn messages(&self) -> MutexGuard<'_, VecDeque<Arc<Received>>> {
        self.messages.lock()
    }

    /// Remembers a message and tells the listeners.
    pub(super) fn receive(&self, received: Received) {
        self.push(&mut self.messages(), received);
    }

    /// Under the lock, so that everyone receives in the order that is remembered.
    fn push(&self, messages: &mut VecDeque<Arc<Received>>, received: Received) {
        let received = Arc::new(received);
        messages.push_back(received.clone());
        while messages.len() > MESSAGES {
            messages.pop_front();
        }
        // no listener is no error
        drop(self.listeners.send(received));
    }

    /// As `receive`, for a message of this process that nobody else has numbered.
    pub(super) fn receive_own(&self, message: RelayMessage) {
        self.number_and_receive(message, false);
    }

    /// Listeners are to know of something that nobody has told.
    pub(super) fn receive_missed(&self, message: RelayMessage) {
        self.number_and_receive(message, true);
    }

    fn number_and_receive(&self, message: RelayMessage, is_foreign: bool) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
        let mut messages = self.messages();
        let last = messages.back().and_then(|last| number(&last.id)).unwrap_or_default();
        let (milliseconds, count) = if now > last.0 { (now, 0) } else { (last.0, last.1 + 1) };
        self.push(&mut messages, Received { id: format!("{milliseconds}-{count}"), is_foreign, message });
    }

    pub(super) fn listen(&self) -> broadcast::Receiver<Arc<Received>> {
        self.listeners.subscribe()
    }

    /// What came after the message `id`, if that is remembered, and what comes from now on: nothing is in both, and
    /// nothing in neither. By its place and not by its number: messages that were numbered here while Redis was
    /// away follow another clock.
    pub(super) fn listen_after(&self, id: &str) -> (Option<Vec<Arc<Received>>>, broadcast::Receiver<Arc<Received>>) {
        let messages = self.messages();
        let place = messages.iter().rposition(|received| received.id == id);
        (place.map(|place| messages.iter().skip(place + 1).cloned().collect()), self.listen())
    }
}
