//! Can anything be written? A full disk and a server that has turned read-only answer every question.

use std::time::Duration;

use parking_lot::Mutex;
use sea_orm::{EntityTrait, Set, sea_query::OnConflict};

use super::entity;
use crate::{
    domain::{Timestamp, text::on_record},
    store::{Store, StoreError},
};

/// The one row.
const ROW: i32 = 1;
/// A database that takes longer for one row does not serve.
const PATIENCE: Duration = Duration::from_secs(5);
/// What was written a moment ago can be written now.
const FRESH: chrono::Duration = chrono::Duration::seconds(1);

/// What the last attempts to write have shown.
#[derive(Debug, Default)]
pub(crate) struct Probe(Mutex<State>);

#[derive(Debug, Default, Clone)]
struct State {
    written: Option<Timestamp>,
    trouble: Option<Trouble>,
}

/// Nothing can be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Since when that is known.
    pub since: Timestamp,
    /// What the database says.
    pub why: String,
}

impl Store {
    /// Writes one row; `None` if that works. An answer that is a second old is given again.
    pub async fn cannot_write(&self, now: Timestamp) -> Option<Trouble> {
        let state = || self.inner.probe.0.lock();
        if state().written.is_some_and(|written| now - written < FRESH && now >= written) {
            return None;
        }
        let written = tokio::time::timeout(PATIENCE, self.write_row(now)).await;
        let why = match written {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(on_record(&error.to_string())),
            Err(_) => Some(format!("the database has not written one row within {} s", PATIENCE.as_secs())),
        };
        let mut state = state();
        match why {
            None => *state = State { written: Some(now), trouble: None },
            Some(why) => {
                let since = state.trouble.as_ref().map_or(now, |trouble| trouble.since);
                *state = State { written: None, trouble: Some(Trouble { since, why }) };
            }
        }
        state.trouble.clone()
    }

    async fn write_row(&self, now: Timestamp) -> Result<(), StoreError> {
        use entity::write_probe::Column::{Id, WrittenAt};
        self.write_beside(move |tx| {
            Box::pin(async move {
                let row = entity::write_probe::ActiveModel { id: Set(ROW), written_at: Set(now) };
                let over = OnConflict::column(Id).update_column(WrittenAt).to_owned();
                let written = entity::write_probe::Entity::insert(row).on_conflict(over).exec_without_returning(tx);
                written.await.map(|_| ()).map_err(StoreError::while_doing("write a row"))
            })
        })
        .await
    }
}
