//! What needed a person, from when to when? And how many records did the runs of an hour change?

use sea_orm_migration::{
    prelude::*,
    schema::{
        big_integer, big_integer_null, big_pk_auto, text, text_null, timestamp_with_time_zone,
        timestamp_with_time_zone_null,
    },
    sea_orm::DbBackend,
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut alerts = Table::create();
        alerts
            .table("alert")
            .col(big_pk_auto("id"))
            .col(text("subject"))
            .col(text("kind"))
            .col(text_null("sync_type"))
            .col(text_null("agent_id"))
            .col(text_null("model"))
            .col(big_integer_null("run_id"))
            .col(text("text"))
            .col(timestamp_with_time_zone("begun_at"))
            .col(timestamp_with_time_zone_null("over_at"))
            .col(text_null("acknowledged_by"))
            .col(timestamp_with_time_zone_null("acknowledged_at"))
            .col(timestamp_with_time_zone_null("acknowledged_until"));
        manager.create_table(alerts).await?;
        let db = manager.get_connection();
        // whichever of several processes sees it first begins it, alone
        db.execute_unprepared("CREATE UNIQUE INDEX alert_once ON alert (subject) WHERE over_at IS NULL").await?;
        db.execute_unprepared("CREATE INDEX alert_of_subject ON alert (subject, over_at)").await?;
        db.execute_unprepared("CREATE INDEX alert_over_at ON alert (over_at)").await?;
        let mut hours = Table::alter();
        hours.table("run_hour").add_column(big_integer("changed").default(0));
        manager.alter_table(hours).await?;
        // also by reports that people gave, whose runs are counted in no hour
        let hour = if manager.get_database_backend() == DbBackend::Postgres {
            "date_trunc('hour', started_at, 'UTC')"
        } else {
            "strftime('%Y-%m-%dT%H:00:00+00:00', started_at)"
        };
        let changed = "CAST(sum(inserted + updated + restored + deleted) AS bigint)";
        db.execute_unprepared(&format!(
            "INSERT INTO run_hour (sync_type, agent_id, hour, outcome, runs, milliseconds, rows, changed) \
             SELECT sync_type, agent_id, {hour}, outcome, 0, 0, 0, {changed} FROM sync_run \
             WHERE reason <> 'operation' AND finished_at IS NOT NULL GROUP BY 1, 2, 3, 4 HAVING {changed} > 0 \
             ON CONFLICT (sync_type, agent_id, hour, outcome) DO UPDATE SET changed = excluded.changed"
        ))
        .await
        .map(|_| ())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("alert").to_owned()).await?;
        manager.get_connection().execute_unprepared("DELETE FROM run_hour WHERE runs = 0").await?;
        let mut hours = Table::alter();
        hours.table("run_hour").drop_column("changed");
        manager.alter_table(hours).await
    }
}
