//! Which agents does the source not answer for? One breaker a source and agent, kept across restarts.

use sea_orm::{
    ActiveValue::NotSet, DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder, Set, prelude::*,
    sea_query::OnConflict,
};
use serde::Serialize;
use serde_json::json;

use super::lane::{self, is};
use crate::{
    domain::{AgentId, Breaker, BreakerEvent, BreakerPolicy, Class, JobState, SourceReport, Timestamp, job::JobEvent},
    store::{Store, StoreError, db::arrays::among_ids, schema::entity, settings::audit::Change},
};

use entity::breaker::Column as B;
use entity::job::Column as C;

/// A breaker, as people see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredBreaker {
    /// Its number.
    pub id: i64,
    pub source: String,
    pub agent_id: AgentId,
    #[serde(flatten)]
    pub breaker: Breaker,
    /// Is it open, but a probe may start: half-open?
    pub half_open: bool,
    /// What the source said last when it failed.
    pub last_error: Option<String>,
    /// When it moved last.
    pub updated_at: Timestamp,
}

impl StoredBreaker {
    fn at(row: entity::breaker::Model, now: Timestamp) -> Self {
        Self {
            half_open: row.open_until.is_some_and(|until| until <= now),
            id: row.id,
            source: row.source.clone(),
            agent_id: row.agent_id.as_str().into(),
            breaker: state(&row),
            last_error: row.last_error,
            updated_at: row.updated_at,
        }
    }
}

fn state(row: &entity::breaker::Model) -> Breaker {
    match row.open_until {
        Some(until) => Breaker::Open { until, times: row.times_opened.unsigned_abs() },
        None => Breaker::Closed { failures: row.failures.unsigned_abs() },
    }
}

impl Store {
    /// All breakers that have ever moved, by agent.
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn breakers(&self, now: Timestamp) -> Result<Vec<StoredBreaker>, StoreError> {
        self.read(move |db| {
            Box::pin(async move {
                let rows = entity::breaker::Entity::find().order_by_asc(B::AgentId).all(db).await;
                let rows = rows.map_err(StoreError::while_doing("list the breakers"))?;
                Ok(rows.into_iter().map(|row| StoredBreaker::at(row, now)).collect())
            })
        })
        .await
    }

    /// Closes a breaker by hand: what waits for it may start. `None` if there is none of this number.
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails.
    pub async fn reset_breaker(&self, id: i64, now: Timestamp) -> Result<Option<StoredBreaker>, StoreError> {
        let signer = self.signer.clone();
        self.write(move |tx| {
            Box::pin(async move {
                let failed = StoreError::while_doing("reset a breaker");
                let Some(row) = entity::breaker::Entity::find_by_id(id).one(tx).await.map_err(&failed)? else {
                    return Ok(None);
                };
                let change = Change::new("breaker.reset", format!("breaker:{id}"));
                let before = json!({ "source": row.source, "agentId": row.agent_id, "openUntil": row.open_until });
                signer.note(tx, change.from(before)).await?;
                let closed = state(&row).on(BreakerEvent::Reset, BreakerPolicy::default(), now);
                keep(tx, &row.source, &row.agent_id, closed, None, now).await?;
                if let Some(until) = row.open_until {
                    release(tx, &row.agent_id, until, now).await?;
                }
                Ok(entity::breaker::Entity::find_by_id(id)
                    .one(tx)
                    .await
                    .map_err(failed)?
                    .map(|row| StoredBreaker::at(row, now)))
            })
        })
        .await
    }
}

/// Tells the agent's breaker what a run has learnt; answers until when it is open now.
pub(crate) async fn tell(
    tx: &DatabaseTransaction,
    report: &SourceReport,
    agent: &str,
    now: Timestamp,
) -> Result<Option<Timestamp>, StoreError> {
    let found = entity::breaker::Entity::find()
        .filter(B::AgentId.eq(agent))
        .filter(B::Source.eq(report.source.as_str()))
        .one(tx)
        .await
        .map_err(StoreError::while_doing("look for a breaker"))?;
    let before = found.as_ref().map_or(Breaker::Closed { failures: 0 }, state);
    let event = if report.failed.is_some() { BreakerEvent::Failed } else { BreakerEvent::Answered };
    let after = before.on(event, report.policy, now);
    if after != before {
        keep(tx, &report.source, agent, after, report.failed.clone(), now).await?;
    }
    let until = after.open_until().filter(|until| *until > now);
    match (before, after) {
        (Breaker::Closed { .. }, Breaker::Open { until, .. }) => {
            let (source, error) = (&report.source, report.failed.as_deref());
            tracing::warn!(source, agent, error, next_try = until.to_rfc3339(), "a breaker opened");
        }
        (Breaker::Open { .. }, Breaker::Open { until, times }) if after != before => {
            let (source, error) = (&report.source, report.failed.as_deref());
            tracing::warn!(source, agent, error, times, next_try = until.to_rfc3339(), "a breaker stays open");
        }
        (Breaker::Open { .. }, Breaker::Closed { .. }) => {
            tracing::info!(source = report.source, agent, "a breaker closed: the source answers again");
        }
        (Breaker::Open { .. }, Breaker::Open { .. }) | (Breaker::Closed { .. }, Breaker::Closed { .. }) => {}
    }
    match (until, before.open_until()) {
        (Some(until), _) => postpone(tx, agent, until).await?,
        (None, Some(opened)) => release(tx, agent, opened, now).await?,
        (None, None) => {}
    }
    Ok(until)
}

async fn keep(
    tx: &DatabaseTransaction,
    source: &str,
    agent: &str,
    breaker: Breaker,
    error: Option<String>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let (failures, times, until) = match breaker {
        Breaker::Closed { failures } => (failures, 0, None),
        Breaker::Open { until, times } => (0, times, Some(until)),
    };
    let row = entity::breaker::ActiveModel {
        id: NotSet,
        source: Set(source.to_owned()),
        agent_id: Set(agent.to_owned()),
        failures: Set(i32::try_from(failures).unwrap_or(i32::MAX)),
        times_opened: Set(i32::try_from(times).unwrap_or(i32::MAX)),
        open_until: Set(until),
        last_error: Set(error),
        updated_at: Set(now),
    };
    let columns = [B::Failures, B::TimesOpened, B::OpenUntil, B::LastError, B::UpdatedAt];
    let over = OnConflict::columns([B::AgentId, B::Source]).update_columns(columns).to_owned();
    let insert = entity::breaker::Entity::insert(row).on_conflict(over).exec_without_returning(tx).await;
    insert.map(|_| ()).map_err(StoreError::while_doing("move a breaker"))
}

/// What waits for this agent and asks the source waits until the breaker lets a probe pass: claims need not
/// look at it before.
async fn postpone(tx: &DatabaseTransaction, agent: &str, until: Timestamp) -> Result<(), StoreError> {
    let failed = StoreError::while_doing("postpone jobs");
    let mut rows = Vec::new();
    for waiting in lane::waiting() {
        let of_agent = entity::job::Entity::find().filter(waiting).filter(C::AgentId.eq(agent));
        let asking = of_agent.filter(C::Class.ne(Class::Write)).filter(C::DocumentId.is_null());
        rows.extend(asking.all(tx).await.map_err(&failed)?);
    }
    for row in &rows {
        row.state.on(JobEvent::Postponed)?;
    }
    for chunk in rows.chunks(500) {
        entity::job::Entity::update_many()
            .col_expr(C::State, Expr::val(JobState::Delayed))
            .col_expr(C::IsNext, Expr::val(false))
            .col_expr(C::DueAt, Expr::val(until))
            .filter(among_ids(Expr::col(C::Id), chunk.iter().map(|row| row.id), tx.get_database_backend()))
            .exec(tx)
            .await
            .map_err(&failed)?;
        lane::advance(tx, chunk.iter().map(|row| row.id)).await?;
    }
    Ok(())
}

/// What waited for the breaker may start now.
async fn release(tx: &DatabaseTransaction, agent: &str, until: Timestamp, now: Timestamp) -> Result<(), StoreError> {
    entity::job::Entity::update_many()
        .col_expr(C::DueAt, Expr::val(now))
        .filter(is(JobState::Delayed))
        .filter(C::AgentId.eq(agent))
        .filter(C::DueAt.eq(until))
        .exec(tx)
        .await
        .map(|_| ())
        .map_err(StoreError::while_doing("release postponed jobs"))
}
