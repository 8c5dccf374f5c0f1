//! What have the runs of each type and agent come to, and how often did they end how in which hour? Written with the
//! end of each run, so that nobody has to go through the history for it; and lists of runs by what people ask for.

use sea_orm_migration::{
    prelude::*,
    schema::{
        big_integer, big_integer_null, integer, text, text_null, timestamp_with_time_zone,
        timestamp_with_time_zone_null,
    },
    sea_orm::DbBackend,
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const INDEXES: [(&str, &str); 3] = [
    ("sync_run_type", "CREATE INDEX sync_run_type ON sync_run (sync_type, id)"),
    ("sync_run_agent", "CREATE INDEX sync_run_agent ON sync_run (agent_id, id)"),
    // the two that most runs end with are found from the end of the history
    (
        "sync_run_outcome",
        "CREATE INDEX sync_run_outcome ON sync_run (outcome, id) WHERE outcome NOT IN ('succeeded', 'unchanged')",
    ),
];

const APPLIED: &str = "('succeeded', 'succeeded_with_quarantine', 'unchanged')";
const APPLIED_OR_HELD: &str = "('succeeded', 'succeeded_with_quarantine', 'unchanged', 'held')";
const FAILED: &str = "('failed', 'timed_out', 'panicked', 'lost', 'doubtful')";
/// Runs that the source did not bring about count neither for nor against it.
const BY_HAND: &str = "('upload', 'approval', 'replay')";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut state = Table::create();
        state
            .table("sync_state")
            .col(text("sync_type"))
            .col(text("agent_id"))
            .col(big_integer("last_run_id"))
            .col(text("last_outcome"))
            .col(timestamp_with_time_zone("last_at"))
            .col(big_integer_null("applied_run_id"))
            .col(timestamp_with_time_zone_null("applied_at"))
            .col(timestamp_with_time_zone_null("fetched_at"))
            .col(integer("failures").default(0))
            .col(timestamp_with_time_zone_null("failing_since"))
            .col(text_null("error_code"))
            .col(text_null("error"))
            .col(integer("refusals").default(0))
            .col(big_integer_null("refused_run_id"))
            .col(timestamp_with_time_zone_null("refused_at"))
            .col(big_integer("quarantined").default(0))
            .col(big_integer_null("records_run_id"))
            .col(big_integer("rows").default(0))
            .col(big_integer("orphans").default(0))
            .col(big_integer_null("read_run_id"))
            .col(timestamp_with_time_zone_null("approved_at"))
            .col(big_integer_null("layout_run_id"))
            .col(timestamp_with_time_zone_null("layout_changed_at"))
            .primary_key(Index::create().col("sync_type").col("agent_id"));
        manager.create_table(state).await?;
        let mut hours = Table::create();
        hours
            .table("run_hour")
            .col(text("sync_type"))
            .col(text("agent_id"))
            .col(timestamp_with_time_zone("hour"))
            .col(text("outcome"))
            .col(big_integer("runs"))
            .col(big_integer("milliseconds"))
            .col(big_integer("rows"))
            .primary_key(Index::create().col("sync_type").col("agent_id").col("hour").col("outcome"));
        manager.create_table(hours).await?;
        let db = manager.get_connection();
        let is_postgres = manager.get_database_backend() == DbBackend::Postgres;
        if is_postgres {
            // no index holds what changes in them: room for the new version of a row on its page
            for table in ["sync_state", "run_hour"] {
                db.execute_unprepared(&format!("ALTER TABLE {table} SET (fillfactor = 50)")).await?;
            }
        }
        for (_, index) in INDEXES {
            db.execute_unprepared(index).await?;
        }
        let last = "(SELECT max(id) FROM sync_run AS other WHERE other.sync_type = run.sync_type \
                    AND other.agent_id = run.agent_id AND other.reason <> 'operation'";
        // a report that came from the source and was read, also if a guard holds it
        let good = format!("{last} AND other.outcome IN {APPLIED_OR_HELD} AND other.reason NOT IN {BY_HAND})");
        let bad = format!(
            "FROM sync_run AS bad WHERE bad.sync_type = run.sync_type AND bad.agent_id = run.agent_id \
             AND bad.id > coalesce({good}, 0) AND bad.outcome IN {FAILED} AND bad.reason NOT IN {BY_HAND}"
        );
        db.execute_unprepared(&format!(
            "INSERT INTO sync_state (sync_type, agent_id, last_run_id, last_outcome, last_at, applied_run_id, \
             applied_at, fetched_at, failures, failing_since, error_code, error, quarantined, records_run_id, rows, \
             orphans, read_run_id, approved_at) \
             SELECT run.sync_type, run.agent_id, run.id, run.outcome, run.finished_at, applied.id, \
             applied.finished_at, applied.started_at, (SELECT count(*) {bad}), (SELECT min(bad.finished_at) {bad}), \
             (SELECT bad.error_code {bad} ORDER BY bad.id DESC LIMIT 1), \
             (SELECT bad.error {bad} ORDER BY bad.id DESC LIMIT 1), \
             coalesce(seen.quarantined, 0), seen.id, coalesce(seen.\"read\", 0), coalesce(seen.orphans, 0), \
             {last} AND other.layout IS NOT NULL), (SELECT max(given.finished_at) FROM sync_run AS given WHERE \
             given.sync_type = run.sync_type AND given.agent_id = run.agent_id AND given.reason = 'approval') \
             FROM sync_run AS run \
             LEFT JOIN sync_run AS applied ON applied.id = {last} AND other.outcome IN {APPLIED}) \
             LEFT JOIN sync_run AS seen ON seen.id = {last} AND other.outcome IN {APPLIED} AND other.\"read\" > 0) \
             WHERE run.id = {last})"
        ))
        .await?;
        let (hour, milliseconds) = if is_postgres {
            (
                "date_trunc('hour', started_at, 'UTC')",
                "CAST(sum(EXTRACT(EPOCH FROM finished_at - started_at) * 1000) AS bigint)",
            )
        } else {
            (
                "strftime('%Y-%m-%dT%H:00:00+00:00', started_at)",
                "CAST(round(sum((julianday(finished_at) - julianday(started_at)) * 86400000)) AS integer)",
            )
        };
        db.execute_unprepared(&format!(
            "INSERT INTO run_hour (sync_type, agent_id, hour, outcome, runs, milliseconds, rows) \
             SELECT sync_type, agent_id, {hour}, outcome, count(*), {milliseconds}, sum(\"read\") FROM sync_run \
             WHERE reason NOT IN {BY_HAND} AND reason <> 'operation' AND finished_at IS NOT NULL GROUP BY 1, 2, 3, 4"
        ))
        .await?;
        // which run was the last of a type and agent says their state
        db.execute_unprepared("DROP INDEX sync_run_latest").await.map(|_| ())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let latest = "CREATE INDEX sync_run_latest ON sync_run (sync_type, agent_id, id)";
        manager.get_connection().execute_unprepared(latest).await?;
        for (name, _) in INDEXES {
            manager.get_connection().execute_unprepared(&format!("DROP INDEX {name}")).await?;
        }
        manager.drop_table(Table::drop().table("run_hour").to_owned()).await?;
        manager.drop_table(Table::drop().table("sync_state").to_owned()).await
    }
}
