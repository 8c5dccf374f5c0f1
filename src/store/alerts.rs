//! What needed a person, from when to when, and who knows of it?

use sea_orm::{
    ActiveValue::NotSet,
    DatabaseTransaction, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait, Set,
    prelude::*,
    sea_query::{ExprTrait, Func, OnConflict, Query},
};
use serde::Serialize;
use serde_json::json;

use crate::{
    domain::{AgentId, AttentionKind, RunId, Severity, SyncType, Timestamp},
    store::{Store, StoreError, schema::entity, settings::audit::Change},
};

use entity::alert::{ActiveModel, Column as C, Entity, Model};

/// Something that needs a person, or is to be known, from its beginning to its end.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Alert {
    pub id: i64,
    /// What it is about, and of what: there is one at a time.
    #[serde(skip)]
    pub subject: String,
    pub kind: AttentionKind,
    pub severity: Severity,
    #[serde(rename = "type")]
    pub sync_type: Option<SyncType>,
    pub agent_id: Option<AgentId>,
    /// The outbox's model.
    pub model: Option<String>,
    /// The run that says more.
    pub run_id: Option<RunId>,
    /// As it was said when it began.
    pub text: String,
    #[schema(value_type = String, format = DateTime)]
    pub begun_at: Timestamp,
    /// When it was seen to be over; null while it lasts.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub over_at: Option<Timestamp>,
    pub acknowledged_by: Option<String>,
    #[schema(value_type = Option<String>, format = DateTime)]
    pub acknowledged_at: Option<Timestamp>,
    /// Until when whoever acknowledged it sees to it; null is until it is over.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub acknowledged_until: Option<Timestamp>,
}

impl Alert {
    /// Does somebody see to it at this moment?
    #[must_use]
    pub fn is_seen_to(&self, now: Timestamp) -> bool {
        self.acknowledged_by.is_some() && self.acknowledged_until.is_none_or(|until| now < until)
    }

    fn read(row: Model) -> Self {
        Self {
            id: row.id,
            subject: row.subject,
            kind: row.kind,
            severity: row.kind.severity(),
            sync_type: row.sync_type.map(Into::into),
            agent_id: row.agent_id.map(Into::into),
            model: row.model,
            run_id: row.run_id,
            text: row.text,
            begun_at: row.begun_at,
            over_at: row.over_at,
            acknowledged_by: row.acknowledged_by,
            acknowledged_at: row.acknowledged_at,
            acknowledged_until: row.acknowledged_until,
        }
    }
}

/// One that begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewAlert {
    pub subject: String,
    pub kind: AttentionKind,
    pub sync_type: Option<SyncType>,
    pub agent: Option<AgentId>,
    pub model: Option<String>,
    pub run: Option<RunId>,
    pub text: String,
}

impl NewAlert {
    fn row(self, now: Timestamp) -> ActiveModel {
        ActiveModel {
            id: NotSet,
            subject: Set(self.subject),
            kind: Set(self.kind),
            sync_type: Set(self.sync_type.map(|name| name.to_string())),
            agent_id: Set(self.agent.map(|agent| agent.to_string())),
            model: Set(self.model),
            run_id: Set(self.run),
            text: Set(self.text),
            begun_at: Set(now),
            over_at: Set(None),
            acknowledged_by: Set(None),
            acknowledged_at: Set(None),
            acknowledged_until: Set(None),
        }
    }
}

/// What one look changed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AlertsChanged {
    pub begun: Vec<Alert>,
    pub over: Vec<Alert>,
}

/// Which alerts to list; all conditions together.
#[derive(Debug, Clone, Default)]
pub struct AlertQuery {
    /// Those that last, or those that are over.
    pub open: Option<bool>,
    pub kind: Option<AttentionKind>,
    /// Only of these agents; of all, and of none, if `None`.
    pub agents: Option<Vec<String>>,
    /// Only those before this one.
    pub before: Option<i64>,
    pub limit: u64,
}

/// An alert of such a number cannot be acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAcknowledged {
    Unknown,
    Over,
}

async fn begin(tx: &DatabaseTransaction, begun: Vec<NewAlert>, looked_at: Timestamp) -> Result<Vec<Alert>, StoreError> {
    let failed = StoreError::while_doing("begin alerts");
    let mut rows = Vec::new();
    for one in begun {
        // another process has looked later than this one, and saw its end
        let ended = Entity::find().filter(C::Subject.eq(&*one.subject)).filter(C::OverAt.gte(looked_at));
        if ended.one(tx).await.map_err(&failed)?.is_some() {
            continue;
        }
        let subject = one.subject.clone();
        let once =
            OnConflict::column(C::Subject).target_and_where(Expr::col(C::OverAt).is_null()).do_nothing().to_owned();
        let added =
            Entity::insert(one.row(looked_at)).on_conflict(once).exec_without_returning(tx).await.map_err(&failed)?;
        if added > 0 {
            let found = Entity::find().filter(C::Subject.eq(subject)).filter(C::OverAt.is_null());
            rows.extend(found.one(tx).await.map_err(&failed)?.map(Alert::read));
        }
    }
    Ok(rows)
}

impl Store {
    /// The alerts that last, the oldest first.
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn open_alerts(&self) -> Result<Vec<Alert>, StoreError> {
        self.read(|db| {
            Box::pin(async move {
                let rows = Entity::find().filter(C::OverAt.is_null()).order_by_asc(C::Id).all(db).await;
                let rows = rows.map_err(StoreError::while_doing("read what needs a person"))?;
                Ok(rows.into_iter().map(Alert::read).collect())
            })
        })
        .await
    }

    /// Notes what begins and what is over, as it was seen at `looked_at`. Answers what this call changed: of several
    /// processes that see the same, one does.
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails; nothing was noted then.
    pub async fn follow_alerts(
        &self,
        begun: Vec<NewAlert>,
        over: Vec<i64>,
        looked_at: Timestamp,
    ) -> Result<AlertsChanged, StoreError> {
        if begun.is_empty() && over.is_empty() {
            return Ok(AlertsChanged::default());
        }
        self.write_beside(move |tx| {
            let (begun, over) = (begun.clone(), over.clone());
            Box::pin(async move {
                let failed = StoreError::while_doing("note what is over");
                let mut ended = Vec::new();
                for id in over {
                    let end = Entity::update_many()
                        .col_expr(C::OverAt, Expr::value(looked_at))
                        .filter(C::Id.eq(id))
                        .filter(C::OverAt.is_null())
                        .filter(C::BegunAt.lte(looked_at));
                    if end.exec(tx).await.map_err(&failed)?.rows_affected > 0 {
                        ended.extend(Entity::find_by_id(id).one(tx).await.map_err(&failed)?.map(Alert::read));
                    }
                }
                Ok(AlertsChanged { begun: begin(tx, begun, looked_at).await?, over: ended })
            })
        })
        .await
    }

    /// Alerts, newest first.
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn alerts(&self, wanted: AlertQuery) -> Result<Vec<Alert>, StoreError> {
        self.read(move |db| {
            Box::pin(async move {
                let rows = Entity::find()
                    .apply_if(wanted.open, |query, open| {
                        query.filter(if open { C::OverAt.is_null() } else { C::OverAt.is_not_null() })
                    })
                    .apply_if(wanted.kind, |query, kind| query.filter(C::Kind.eq(kind.as_str())))
                    .apply_if(wanted.agents, |query, agents| query.filter(C::AgentId.is_in(agents)))
                    .apply_if(wanted.before, |query, id| query.filter(C::Id.lt(id)))
                    .order_by_desc(C::Id)
                    .limit(wanted.limit)
                    .all(db)
                    .await;
                let rows = rows.map_err(StoreError::while_doing("list alerts"))?;
                Ok(rows.into_iter().map(Alert::read).collect())
            })
        })
        .await
    }

    /// An alert, if there is one of this number.
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn alert(&self, id: i64) -> Result<Option<Alert>, StoreError> {
        self.read(move |db| {
            Box::pin(async move {
                let row = Entity::find_by_id(id).one(db).await;
                Ok(row.map_err(StoreError::while_doing("read an alert"))?.map(Alert::read))
            })
        })
        .await
    }

    /// When something of these agents was over for the last time; `None` if nothing ever needed anybody, or if the last
    /// look still saw something.
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn calm_since(&self, agents: Option<Vec<String>>) -> Result<Option<Timestamp>, StoreError> {
        self.read(move |db| {
            Box::pin(async move {
                let failed = StoreError::while_doing("read since when nothing needs a person");
                let of_agents = agents.map(|agents| C::AgentId.is_in(agents));
                let open = Entity::find().filter(C::OverAt.is_null());
                let open = open.apply_if(of_agents.clone(), QueryFilter::filter);
                if open.one(db).await.map_err(&failed)?.is_some() {
                    return Ok(None);
                }
                let mut query = Query::select();
                query.from(Entity).expr_as(Func::max(Expr::col(C::OverAt)), "since");
                if let Some(of_agents) = of_agents {
                    query.and_where(of_agents);
                }
                let row = db.query_one(&query).await.map_err(&failed)?;
                row.map_or(Ok(None), |row| row.try_get("", "since").map_err(&failed))
            })
        })
        .await
    }

    /// Notes that somebody sees to an alert that lasts.
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails.
    pub async fn acknowledge(
        &self,
        id: i64,
        by: &str,
        until: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Result<Alert, NotAcknowledged>, StoreError> {
        let (by, signer) = (by.to_owned(), self.signer.clone());
        self.write(move |tx| {
            Box::pin(async move {
                let failed = StoreError::while_doing("acknowledge an alert");
                let Some(row) = Entity::find_by_id(id).one(tx).await.map_err(&failed)? else {
                    return Ok(Err(NotAcknowledged::Unknown));
                };
                if row.over_at.is_some() {
                    return Ok(Err(NotAcknowledged::Over));
                }
                let mut row: ActiveModel = row.into();
                row.acknowledged_by = Set(Some(by));
                row.acknowledged_at = Set(Some(now));
                row.acknowledged_until = Set(until);
                let alert = Alert::read(row.update(tx).await.map_err(failed)?);
                let change = Change::new("alert.acknowledge", format!("alert:{id}"));
                signer.note(tx, change.to(json!({ "kind": alert.kind, "until": until }))).await?;
                Ok(Ok(alert))
            })
        })
        .await
    }

    /// Forgets alerts that were over before `before`. Answers how many.
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails; what was forgotten before stays so.
    pub async fn clean_alerts(&self, before: Timestamp) -> Result<u64, StoreError> {
        self.forget::<Entity>((C::Id, C::OverAt), before, "forget old alerts").await
    }
}
