//! What does the database hold that decides over jobs which are asked for? One question for all of it.

use std::collections::{BTreeSet, HashMap, HashSet};

use sea_orm::{
    ConnectionTrait, DatabaseTransaction, Iterable, QueryResult,
    prelude::*,
    sea_query::{ExprTrait, IntoTableRef, Query, SelectStatement, UnionType},
};

use super::lane::{is, is_live, is_next};
use crate::{
    domain::{
        AgentId, JobId, JobState, Mode, NewJob, Pause, Timestamp,
        admission::{OpenWindow, Owner},
    },
    store::{
        StoreError,
        db::arrays::{among, among_ids},
        schema::entity,
    },
    sync_type::ValueType,
};

use entity::job::Column as C;

/// What the database holds that decides over jobs that are asked for, and what a claim looks at first.
#[derive(Debug, Default)]
pub(crate) struct AdmissionSnapshot {
    /// The pause that holds.
    pub pause: Option<Pause>,
    /// When the next delayed job becomes due, or later: not before.
    pub next_due: Option<Timestamp>,
    /// The best order key of what waits; nothing that waits has a better one.
    pub first: Option<i64>,
    /// The agents whose breaker is open, and until when.
    pub open: HashMap<AgentId, Timestamp>,
    /// The agents that have a running job, if something is to start at once.
    pub busy: HashSet<String>,
    /// The live jobs that have the keys of these jobs.
    pub owners: HashMap<String, Owner>,
    /// The windows that are open for the keys of these jobs: of several, the one that closes last.
    pub windows: HashMap<String, OpenWindow>,
    /// The first job of each parent's flow.
    pub roots: HashMap<JobId, JobId>,
    /// The first of each lane of these agents: `(type, agent)` -> `(order key, job)`.
    pub heads: HashMap<(String, String), (i64, JobId)>,
}

/// Of what a row of the one question tells; its columns mean something else in each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumIter)]
enum Kind {
    /// name: why, other: by whom, number: 1 drains, 2 emergency, at: since, until: its end
    Pause,
    /// at: when
    Due,
    /// number: order key
    First,
    /// name: agent, until: when it is tried again
    Breaker,
    /// name: agent
    Busy,
    /// name: key, other: state, id: job, number: has it begun?, until: latest start, digest
    Owner,
    /// name: key, id: the job that is kept
    Kept,
    /// name: key, id: job, until: its end, digest
    Window,
    /// id: parent, number: the first of its flow
    Root,
    /// name: agent, other: type, id: job, number: order key
    Head,
}

/// The columns of the one question, with the type that a null has there.
const COLUMNS: [(&str, &str); 7] = [
    ("name", "text"),
    ("other", "text"),
    ("id", "bigint"),
    ("number", "bigint"),
    ("at", "timestamptz"),
    ("until", "timestamptz"),
    ("digest", "text"),
];

/// The rows of one kind; columns that are not told are null.
fn tell(kind: Kind, table: impl IntoTableRef, told: &[(&str, &'static str)]) -> SelectStatement {
    let mut query = Query::select();
    query.from(table).expr_as(Expr::cust((kind as i32).to_string()), "kind");
    for (name, null) in COLUMNS {
        let expression = told.iter().find(|(column, _)| *column == name).map(|(_, expression)| *expression);
        let value = expression.map_or_else(|| Expr::cust(format!("CAST(NULL AS {null})")), Expr::cust);
        query.expr_as(value, name);
    }
    query
}

/// What a claim looks at before it looks at the jobs.
pub(crate) async fn load(tx: &DatabaseTransaction, now: Timestamp) -> Result<AdmissionSnapshot, StoreError> {
    facts(tx, &[], false, now).await
}

/// Asks all that decides over `jobs` in one question: each would cost a way to the server and back. `may_start`: some
/// may start at once.
pub(crate) async fn facts(
    tx: &DatabaseTransaction,
    jobs: &[NewJob],
    may_start: bool,
    now: Timestamp,
) -> Result<AdmissionSnapshot, StoreError> {
    use entity::{breaker::Column as B, pause::Column as P};
    let backend = tx.get_database_backend();
    let texts = |column: Expr, values: &BTreeSet<&str>| among(column, ValueType::Text, values, backend);
    let job = || entity::job::Entity;
    let mut pause = tell(
        Kind::Pause,
        entity::pause::Entity,
        &[
            ("name", "reason"),
            ("other", "paused_by"),
            ("number", "CASE WHEN drain THEN 1 ELSE 0 END + CASE WHEN emergency THEN 2 ELSE 0 END"),
            ("at", "since"),
            ("until", "until"),
        ],
    );
    let lasts = Expr::col(P::Until).is_null().or(Expr::col(P::Until).gt(now));
    pause.and_where(lasts);
    let mut due = tell(Kind::Due, job(), &[("at", "MIN(due_at)")]);
    due.and_where(is(JobState::Delayed));
    let mut first = tell(Kind::First, job(), &[("number", "MIN(order_key)")]);
    first.and_where(is_next());
    let mut questions = vec![pause, due, first];
    if !jobs.is_empty() {
        let agents: BTreeSet<&str> = jobs.iter().map(|job| job.agent.as_str()).collect();
        let mut breakers =
            tell(Kind::Breaker, entity::breaker::Entity, &[("name", "agent_id"), ("until", "open_until")]);
        breakers.and_where(Expr::col(B::OpenUntil).gt(now)).and_where(texts(Expr::col(B::AgentId), &agents));
        let mut heads = tell(
            Kind::Head,
            job(),
            &[("name", "agent_id"), ("other", "job_type"), ("id", "id"), ("number", "order_key")],
        );
        heads.and_where(is_next()).and_where(texts(Expr::col(C::AgentId), &agents));
        questions.extend([breakers, heads]);
        if may_start {
            let mut busy = tell(Kind::Busy, job(), &[("name", "agent_id")]);
            busy.and_where(is(JobState::Active)).and_where(texts(Expr::col(C::AgentId), &agents));
            questions.push(busy);
        }
    }
    let keys: BTreeSet<&str> = jobs.iter().filter_map(|job| job.dedup_key.as_deref()).collect();
    if !keys.is_empty() {
        let begun = "CASE WHEN started_at IS NULL THEN 0 ELSE 1 END";
        let mut owners = tell(
            Kind::Owner,
            job(),
            &[
                ("name", "dedup_key"),
                ("other", "state"),
                ("id", "id"),
                ("number", begun),
                ("until", "latest_start"),
                ("digest", "payload_digest"),
            ],
        );
        owners.and_where(is_live()).and_where(texts(Expr::col(C::DedupKey), &keys));
        questions.push(owners);
    }
    // nobody else asks what is kept behind a job
    let keeps = |job: &&NewJob| job.mode != Mode::Refuse;
    let keys: BTreeSet<&str> = jobs.iter().filter(keeps).filter_map(|job| job.dedup_key.as_deref()).collect();
    if !keys.is_empty() {
        let mut kept = tell(Kind::Kept, job(), &[("name", "dedup_key"), ("id", "id")]);
        kept.and_where(is(JobState::Kept)).and_where(texts(Expr::col(C::DedupKey), &keys));
        questions.push(kept);
    }
    let keys: BTreeSet<&str> = jobs.iter().filter_map(|job| Some(job.window.as_ref()?.key.as_str())).collect();
    if !keys.is_empty() {
        let told = [("name", "throttle_key"), ("id", "id"), ("until", "throttle_until"), ("digest", "payload_digest")];
        let mut windows = tell(Kind::Window, job(), &told);
        windows.and_where(Expr::cust("throttle_key IS NOT NULL")).and_where(texts(Expr::col(C::ThrottleKey), &keys));
        windows.and_where(Expr::col(C::ThrottleUntil).gt(now));
        questions.push(windows);
    }
    let parents: BTreeSet<JobId> = jobs.iter().filter_map(|job| job.parent).collect();
    if !parents.is_empty() {
        let mut roots = tell(Kind::Root, job(), &[("id", "id"), ("number", "root_job_id")]);
        roots.and_where(Expr::cust("root_job_id IS NOT NULL"));
        roots.and_where(among_ids(Expr::col(C::Id), parents, backend));
        questions.push(roots);
    }
    let mut questions = questions.into_iter();
    let mut all = questions.next().unwrap_or_default();
    for question in questions {
        all.union(UnionType::All, question);
    }
    let failed = StoreError::while_doing("look at what decides over jobs");
    let rows = tx.query_all(&all).await.map_err(&failed)?;
    let mut facts = AdmissionSnapshot::default();
    // what is kept is noted at its owner
    for is_kept in [false, true] {
        for row in &rows {
            facts.note(row, is_kept).map_err(&failed)?;
        }
    }
    Ok(facts)
}

impl AdmissionSnapshot {
    /// Does any write or download wait that is not delayed? Their order keys are negative.
    pub(crate) fn urgent_waits(&self) -> bool {
        self.first.is_some_and(|order| order < 0)
    }

    fn note(&mut self, row: &QueryResult, is_kept: bool) -> Result<(), DbErr> {
        let kind: i32 = row.try_get("", "kind")?;
        let known = Kind::iter().find(|one| *one as i32 == kind);
        let kind = known.ok_or_else(|| DbErr::Type(format!("a fact of the unknown kind {kind}")))?;
        if (kind == Kind::Kept) != is_kept {
            return Ok(());
        }
        let name = || row.try_get::<String>("", "name");
        let (id, number) = (|| row.try_get::<JobId>("", "id"), || row.try_get::<i64>("", "number"));
        let moment = |column: &str| row.try_get::<Option<Timestamp>>("", column);
        let digest = || row.try_get::<Option<String>>("", "digest");
        match kind {
            Kind::Pause => {
                let flags = number()?;
                self.pause = Some(Pause {
                    reason: name()?,
                    by: row.try_get("", "other")?,
                    since: row.try_get("", "at")?,
                    until: moment("until")?,
                    drain: flags & 1 != 0,
                    emergency: flags & 2 != 0,
                });
            }
            Kind::Due => self.next_due = moment("at")?,
            Kind::First => self.first = row.try_get("", "number")?,
            Kind::Breaker => {
                // of two sources that the agent has, the one that is tried again last
                let until = row.try_get("", "until")?;
                let open = self.open.entry(name()?.into()).or_insert(until);
                *open = std::cmp::max(until, *open);
            }
            Kind::Busy => drop(self.busy.insert(name()?)),
            Kind::Owner => {
                let state = row.try_get::<JobState>("", "other")?;
                let (latest_start, has_begun) = (moment("until")?, number()? != 0);
                let owner = Owner { job: id()?, state, has_begun, latest_start, kept: None, digest: digest()? };
                self.owners.insert(name()?, owner);
            }
            Kind::Kept => {
                if let Some(owner) = self.owners.get_mut(&name()?) {
                    owner.kept = Some(id()?);
                }
            }
            Kind::Window => {
                let window = OpenWindow { job: id()?, until: row.try_get("", "until")?, digest: digest()? };
                let name = name()?;
                if self.windows.get(&name).is_none_or(|other| other.until <= window.until) {
                    self.windows.insert(name, window);
                }
            }
            Kind::Root => drop(self.roots.insert(id()?, JobId(number()?))),
            Kind::Head => drop(self.heads.insert((row.try_get("", "other")?, name()?), (number()?, id()?))),
        }
        Ok(())
    }
}
