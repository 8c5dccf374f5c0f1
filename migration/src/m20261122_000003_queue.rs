//! Classes, payloads, lanes, kept jobs, flows; the pause, limits and breakers.

use sea_orm_migration::{
    prelude::*,
    schema::{
        big_integer, big_pk_auto, boolean, integer, text, text_null, timestamp_with_time_zone,
        timestamp_with_time_zone_null,
    },
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const JOB: &str = "job";

fn columns() -> [ColumnDef; 13] {
    let column = ColumnDef::new;
    [
        // 0 write, 1 download, 2 sync
        column("class").small_integer().not_null().default(2).to_owned(),
        column("delay_ms").big_integer().not_null().default(0).to_owned(),
        column("latest_start").timestamp_with_time_zone().null().to_owned(),
        column("payload").json_binary().null().to_owned(),
        column("payload_digest").text().null().to_owned(),
        column("release_window").boolean().not_null().default(false).to_owned(),
        column("max_attempts").integer().not_null().default(3).to_owned(),
        column("repeatable").boolean().not_null().default(true).to_owned(),
        // an operation's: null, sending (its effect may have happened), done
        column("phase").text().null().to_owned(),
        column("result").json_binary().null().to_owned(),
        // is it the first of its lane (type and agent) among the waiting ones? Claims look at these alone
        column("is_next").boolean().not_null().default(false).to_owned(),
        // of the first job of a flow, once all its jobs are over
        column("flow_outcome").text().null().to_owned(),
        column("flow_finished_at").timestamp_with_time_zone().null().to_owned(),
    ]
}

const OLD_INDEXES: [(&str, &str); 2] = [
    ("job_in_flight", "CREATE UNIQUE INDEX job_in_flight ON job (dedup_key) WHERE state <> 'done'"),
    ("job_claim", "CREATE INDEX job_claim ON job (order_key, id) WHERE state IN ('waiting', 'delayed')"),
];

const INDEXES: [(&str, &str); 13] = [
    // one live job a dedup key, whatever process asks: the database is the referee
    ("job_in_flight", "CREATE UNIQUE INDEX job_in_flight ON job (dedup_key) WHERE state NOT IN ('done', 'kept')"),
    ("job_kept", "CREATE UNIQUE INDEX job_kept ON job (dedup_key) WHERE state = 'kept'"),
    ("job_next", "CREATE INDEX job_next ON job (order_key, id) WHERE is_next"),
    (
        "sync_run_held",
        "CREATE INDEX sync_run_held ON sync_run (sync_type, agent_id) WHERE hold IN ('open', 'approved')",
    ),
    ("job_forced", "CREATE INDEX job_forced ON job (order_key, id) WHERE is_next AND force"),
    ("job_live", "CREATE INDEX job_live ON job (job_type, state) WHERE state <> 'done'"),
    ("job_next_type", "CREATE INDEX job_next_type ON job (job_type, order_key, id) WHERE is_next"),
    ("job_next_agent", "CREATE INDEX job_next_agent ON job (agent_id, job_type) WHERE is_next"),
    ("job_lane", "CREATE INDEX job_lane ON job (agent_id, job_type, order_key, id) WHERE state = 'waiting'"),
    ("job_due", "CREATE INDEX job_due ON job (due_at) WHERE state = 'delayed'"),
    ("job_root", "CREATE INDEX job_root ON job (root_job_id) WHERE root_job_id IS NOT NULL"),
    ("job_finished", "CREATE INDEX job_finished ON job (finished_at) WHERE state = 'done'"),
    ("job_delayed_agent", "CREATE INDEX job_delayed_agent ON job (agent_id) WHERE state = 'delayed'"),
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        for (name, _) in OLD_INDEXES {
            db.execute_unprepared(&format!("DROP INDEX {name}")).await?;
        }
        // SQLite changes one column a statement
        manager.alter_table(Table::alter().table(JOB).rename_column("sync_type", "job_type").to_owned()).await?;
        for column in columns() {
            manager.alter_table(Table::alter().table(JOB).add_column(column).to_owned()).await?;
        }
        for (_, index) in INDEXES {
            db.execute_unprepared(index).await?;
        }
        // what waits already: the first of each lane is a candidate
        db.execute_unprepared(
            "UPDATE job SET is_next = TRUE WHERE state = 'waiting' AND NOT EXISTS (SELECT 1 FROM job AS other \
             WHERE other.state = 'waiting' AND other.agent_id = job.agent_id AND other.job_type = job.job_type \
             AND (other.order_key < job.order_key OR (other.order_key = job.order_key AND other.id < job.id)))",
        )
        .await?;
        manager
            .create_table(
                Table::create()
                    .table("pause")
                    .col(integer("id").primary_key())
                    .col(text("reason"))
                    .col(text("paused_by"))
                    .col(timestamp_with_time_zone("since"))
                    .col(timestamp_with_time_zone_null("until"))
                    .col(boolean("drain"))
                    .col(boolean("emergency"))
                    .to_owned(),
            )
            .await?;
        manager
            .create_table(
                Table::create()
                    .table("job_limit")
                    .col(text("name").primary_key())
                    .col(big_integer("jobs"))
                    .col(timestamp_with_time_zone("updated_at"))
                    .to_owned(),
            )
            .await?;
        manager
            .create_table(
                Table::create()
                    .table("breaker")
                    .col(big_pk_auto("id"))
                    .col(text("source"))
                    .col(text("agent_id"))
                    .col(integer("failures"))
                    .col(integer("times_opened"))
                    .col(timestamp_with_time_zone_null("open_until"))
                    .col(text_null("last_error"))
                    .col(timestamp_with_time_zone("updated_at"))
                    .to_owned(),
            )
            .await?;
        db.execute_unprepared("CREATE UNIQUE INDEX breaker_of ON breaker (agent_id, source)").await?;
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        for name in ["breaker", "job_limit", "pause"] {
            manager.drop_table(Table::drop().table(name).to_owned()).await?;
        }
        for (name, _) in INDEXES {
            db.execute_unprepared(&format!("DROP INDEX {name}")).await?;
        }
        // the older schema knows no kept jobs: the newest wish of their key is dropped, and said to be
        db.execute_unprepared("UPDATE job SET state = 'done', outcome = 'removed' WHERE state = 'kept'").await?;
        for column in columns().iter().rev() {
            let name = column.get_column_name();
            manager.alter_table(Table::alter().table(JOB).drop_column(name).to_owned()).await?;
        }
        manager.alter_table(Table::alter().table(JOB).rename_column("job_type", "sync_type").to_owned()).await?;
        for (_, index) in OLD_INDEXES {
            db.execute_unprepared(index).await?;
        }
        Ok(())
    }
}
