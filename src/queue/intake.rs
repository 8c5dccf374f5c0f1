//! Which requests wait for the next transaction, and which refusals are to be asked of the database once more?

use std::collections::HashMap;

use tokio::sync::oneshot;

use super::message::QueueError;
use crate::domain::{Admission, NewJob, Timestamp};

/// What a request is answered.
pub(super) type Answer = Result<Admission, QueueError>;

/// A request, with whoever waits for its answer.
pub(super) struct Request {
    pub job: NewJob,
    /// None: it was refused by what is known, and is only rechecked.
    pub reply: Option<oneshot::Sender<Answer>>,
    /// Refused by a window that closes then: what came within it is no new request once it has closed.
    pub window_until: Option<Timestamp>,
}

/// Requests of this process that are not stored yet.
#[derive(Default)]
pub(super) struct Intake {
    waiting: Vec<Request>,
    /// By key: one request of a key is enough to find out.
    rechecks: HashMap<String, Request>,
    is_storing: bool,
}

impl Intake {
    /// One more for the next transaction.
    pub(super) fn push(&mut self, request: Request) {
        self.waiting.push(request);
    }

    /// Is a request of this key to be rechecked already?
    pub(super) fn is_rechecked(&self, key: &str) -> bool {
        self.rechecks.contains_key(key)
    }

    /// Has a refusal rechecked; true if it is the first, and a moment for it must be set.
    pub(super) fn recheck(&mut self, key: &str, request: Request) -> bool {
        let is_first = self.rechecks.is_empty();
        self.rechecks.entry(key.to_owned()).or_insert(request);
        is_first
    }

    /// The rechecks are due: they join those that wait.
    pub(super) fn begin_rechecks(&mut self) {
        self.waiting.extend(std::mem::take(&mut self.rechecks).into_values());
    }

    /// All that is to be stored at `now`, in one transaction; nothing while another is under way.
    pub(super) fn begin(&mut self, now: Timestamp) -> Vec<Request> {
        if self.is_storing {
            return Vec::new();
        }
        self.waiting.retain(|request| request.window_until.is_none_or(|until| until > now));
        self.is_storing = !self.waiting.is_empty();
        std::mem::take(&mut self.waiting)
    }

    /// The transaction is over.
    pub(super) fn end(&mut self) {
        self.is_storing = false;
    }

    /// Is anything under way or waiting?
    pub(super) fn is_busy(&self) -> bool {
        self.is_storing || !self.waiting.is_empty() || !self.rechecks.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;
    use crate::domain::Reason;

    fn request(window_until: Option<Timestamp>) -> Request {
        Request { job: NewJob::sync(&"orders".into(), "a".into(), 4, Reason::Manual), reply: None, window_until }
    }

    #[test]
    fn one_transaction_at_a_time_takes_all_that_waits() {
        let (mut intake, now) = (Intake::default(), Timestamp::UNIX_EPOCH);
        assert!(intake.begin(now).is_empty() && !intake.is_busy());
        intake.push(request(None));
        intake.push(request(None));
        assert_eq!(intake.begin(now).len(), 2);
        intake.push(request(None));
        assert!(intake.begin(now).is_empty(), "one is under way");
        intake.end();
        assert_eq!(intake.begin(now).len(), 1);
        intake.end();
        assert!(!intake.is_busy());
    }

    #[test]
    fn a_key_is_rechecked_once_and_not_behind_its_window() {
        let (mut intake, now) = (Intake::default(), Timestamp::UNIX_EPOCH);
        assert!(intake.recheck("a", request(Some(now + TimeDelta::seconds(1)))));
        assert!(!intake.recheck("a", request(None)), "its moment is set");
        assert!(!intake.recheck("b", request(Some(now))));
        assert!(intake.is_rechecked("a") && intake.is_busy());
        intake.begin_rechecks();
        assert!(!intake.is_rechecked("a"));
        assert_eq!(intake.begin(now).len(), 1, "the window of the other has closed");
    }
}
