//! What may people tell the queue? Bounds of a pause and of limits, whoever sends the message.

use std::collections::BTreeMap;

use super::message::QueueError;
use crate::domain::{
    Pause, Timestamp,
    queue::{ALL, MOST_JOBS},
    text::{REASON, plain_text},
};

/// A pause ends within so many days, or is ended by a person.
const LONGEST_PAUSE: chrono::Duration = chrono::Duration::days(3_650);

fn refused(code: &'static str, pointer: &str, expected: impl Into<String>) -> QueueError {
    QueueError::OutOfBounds { code, pointer: pointer.to_owned(), expected: expected.into() }
}

/// # Errors
/// [`QueueError::OutOfBounds`] for a reason that nobody can read, or an end that is past or too far away.
pub(super) fn pause(pause: &Pause, now: Timestamp) -> Result<(), QueueError> {
    plain_text(&pause.reason, REASON)
        .map_err(|wrong| refused("bad_reason", "/reason", format!("say why: the reason {wrong}")))?;
    match pause.until {
        Some(until) if until <= now => Err(refused("bad_until", "/until", "a pause must end in the future")),
        Some(until) if until > now + LONGEST_PAUSE => Err(refused(
            "bad_until",
            "/until",
            "a pause ends within ten years, or without `until` when a person ends it",
        )),
        _ => Ok(()),
    }
}

/// `is_known` says whether a sync type or operation has this name.
///
/// # Errors
/// [`QueueError::OutOfBounds`] for a name that is none, or a number that is not 1 to [`MOST_JOBS`].
pub(super) fn limits(
    limits: &BTreeMap<String, Option<usize>>,
    is_known: impl Fn(&str) -> bool,
) -> Result<(), QueueError> {
    for (name, limit) in limits {
        let pointer = if name == ALL { "/concurrency".to_owned() } else { format!("/types/{name}") };
        if limit.is_some_and(|limit| !(1..=MOST_JOBS).contains(&limit)) {
            let text = format!("a limit is 1 to {MOST_JOBS}, or null for none; to run nothing, pause");
            return Err(refused("out_of_range", &pointer, text));
        }
        if name != ALL && !is_known(name) {
            return Err(refused("out_of_range", &pointer, format!("there is no sync type or operation '{name}'")));
        }
    }
    Ok(())
}
