//! What was told last? The words of all processes, in order, for listeners that come late or come back.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use tokio::sync::broadcast;

use super::{Heard, Word};

/// Words that are remembered, and that a listener may lag behind.
const WORDS: usize = 4_096;

/// Words in the order in which they were heard.
#[derive(Debug)]
pub(super) struct Ring {
    words: Mutex<VecDeque<Arc<Heard>>>,
    listeners: broadcast::Sender<Arc<Heard>>,
}

impl Default for Ring {
    fn default() -> Self {
        Self { words: Mutex::default(), listeners: broadcast::channel(WORDS).0 }
    }
}

/// `milliseconds-count`, as numbers.
pub(super) fn number(id: &str) -> Option<(u64, u64)> {
    let (milliseconds, count) = id.split_once('-')?;
    Some((milliseconds.parse().ok()?, count.parse().ok()?))
}

impl Ring {
    fn words(&self) -> MutexGuard<'_, VecDeque<Arc<Heard>>> {
        self.words.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers a word and tells the listeners.
    pub(super) fn hear(&self, heard: Heard) {
        self.push(&mut self.words(), heard);
    }

    /// Under the lock, so that everyone hears in the order that is remembered.
    fn push(&self, words: &mut VecDeque<Arc<Heard>>, heard: Heard) {
        let heard = Arc::new(heard);
        words.push_back(heard.clone());
        while words.len() > WORDS {
            words.pop_front();
        }
        // no listener is no error
        drop(self.listeners.send(heard));
    }

    /// As `hear`, for a word of this process that nobody else has numbered.
    pub(super) fn hear_own(&self, word: Word) {
        self.number_and_hear(word, false);
    }

    /// Listeners are to know of something that nobody has told.
    pub(super) fn hear_missed(&self, word: Word) {
        self.number_and_hear(word, true);
    }

    fn number_and_hear(&self, word: Word, is_foreign: bool) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as u64;
        let mut words = self.words();
        let last = words.back().and_then(|last| number(&last.id)).unwrap_or_default();
        let (milliseconds, count) = if now > last.0 { (now, 0) } else { (last.0, last.1 + 1) };
        self.push(&mut words, Heard { id: format!("{milliseconds}-{count}"), is_foreign, word });
    }

    pub(super) fn listen(&self) -> broadcast::Receiver<Arc<Heard>> {
        self.listeners.subscribe()
    }

    /// What came after the word `id`, if that is remembered, and what comes from now on: nothing is in both, and
    /// nothing in neither. By its place and not by its number: words that were numbered here while Redis was
    /// away follow another clock.
    pub(super) fn listen_after(&self, id: &str) -> (Option<Vec<Arc<Heard>>>, broadcast::Receiver<Arc<Heard>>) {
        let words = self.words();
        let place = words.iter().rposition(|heard| heard.id == id);
        (place.map(|place| words.iter().skip(place + 1).cloned().collect()), self.listen())
    }
}
