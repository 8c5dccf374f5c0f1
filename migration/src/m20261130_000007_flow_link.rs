//! Which live job stands for a child of a flow that was asked for already? One job may stand in several flows. And
//! the row that is written to see whether anything can be.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, boolean, integer, text, timestamp_with_time_zone, timestamp_with_time_zone_null},
    sea_orm::DbBackend,
};

/// A row that a person inserts by hand needs a type alone: every half an hour, as of now.
async fn schedule_with_defaults(manager: &SchemaManager<'_>) -> Result<(), DbErr> {
    let db = manager.get_connection();
    if manager.get_database_backend() == DbBackend::Postgres {
        db.execute_unprepared(
            "ALTER TABLE sync_settings ALTER COLUMN interval_minutes SET DEFAULT 30, \
             ALTER COLUMN updated_at SET DEFAULT now()",
        )
        .await?;
        return Ok(());
    }
    // SQLite gives no column a default later
    let now = Expr::cust("(strftime('%Y-%m-%dT%H:%M:%f+00:00', 'now'))");
    let mut table = Table::create();
    table
        .table("sync_settings_new")
        .col(text("sync_type").primary_key())
        .col(integer("interval_minutes").check(Expr::cust("interval_minutes BETWEEN 5 AND 1440")).default(30))
        .col(boolean("enabled").default(true))
        .col(timestamp_with_time_zone_null("last_tick_at"))
        .col(timestamp_with_time_zone_null("next_run_at"))
        .col(timestamp_with_time_zone("updated_at").default(now));
    manager.create_table(table).await?;
    let columns = "sync_type, interval_minutes, enabled, last_tick_at, next_run_at, updated_at";
    db.execute_unprepared(&format!("INSERT INTO sync_settings_new ({columns}) SELECT {columns} FROM sync_settings"))
        .await?;
    db.execute_unprepared("DROP TABLE sync_settings").await?;
    db.execute_unprepared("ALTER TABLE sync_settings_new RENAME TO sync_settings").await?;
    Ok(())
}

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut links = Table::create();
        links.table("flow_link").col(big_integer("job_id")).col(big_integer("root_job_id"));
        links.primary_key(Index::create().col("job_id").col("root_job_id"));
        manager.create_table(links).await?;
        let by_root = Index::create().name("flow_link_root").table("flow_link").col("root_job_id").to_owned();
        manager.create_index(by_root).await?;
        let mut probe = Table::create();
        probe.table("write_probe").col(integer("id").primary_key()).col(timestamp_with_time_zone("written_at"));
        manager.create_table(probe).await?;
        // how long has a process been quiet that an earlier life of this one was?
        let mut job = Table::alter();
        job.table("job").add_column(timestamp_with_time_zone_null("heartbeat_at"));
        manager.alter_table(job).await?;
        // the same request again queues nothing twice
        let db = manager.get_connection();
        db.execute_unprepared("ALTER TABLE sync_queue ADD COLUMN idempotency_key text").await?;
        db.execute_unprepared(
            "CREATE UNIQUE INDEX sync_queue_once ON sync_queue (idempotency_key) WHERE idempotency_key IS NOT NULL",
        )
        .await?;
        schedule_with_defaults(manager).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        db.execute_unprepared("ALTER TABLE job DROP COLUMN heartbeat_at").await?;
        db.execute_unprepared("DROP INDEX sync_queue_once").await?;
        db.execute_unprepared("ALTER TABLE sync_queue DROP COLUMN idempotency_key").await?;
        manager.drop_table(Table::drop().table("write_probe").to_owned()).await?;
        manager.drop_table(Table::drop().table("flow_link").to_owned()).await
    }
}
