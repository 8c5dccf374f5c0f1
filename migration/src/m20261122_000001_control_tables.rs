//! Agents, settings, jobs, locks, runs, quarantine, documents, tokens.

use sea_orm_migration::{
    prelude::*,
    schema::{
        big_integer, big_integer_null, big_pk_auto, blob, boolean, integer, json_null, text, text_null,
        timestamp_with_time_zone, timestamp_with_time_zone_null,
    },
};

/// Makes the control tables.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// Every table of this migration, in an order in which they can be dropped.
const TABLES: [&str; 9] =
    ["api_token", "document", "quarantine", "sync_run", "agent_lock", "job", "switch", "sync_settings", "agents"];

fn table(name: &'static str) -> TableCreateStatement {
    Table::create().table(name).to_owned()
}

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    #[allow(clippy::too_many_lines, reason = "a list of tables, read from top to bottom")]
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                table("agents")
                    .col(text("id").primary_key())
                    .col(text("name"))
                    .col(boolean("active").default(true))
                    .to_owned(),
            )
            .await?;
        manager
            .create_table(
                table("sync_settings")
                    .col(text("sync_type").primary_key())
                    .col(integer("interval_minutes").check(Expr::cust("interval_minutes BETWEEN 5 AND 1440")))
                    .col(boolean("enabled").default(true))
                    .col(timestamp_with_time_zone_null("last_tick_at"))
                    .col(timestamp_with_time_zone_null("next_run_at"))
                    .col(timestamp_with_time_zone("updated_at"))
                    .to_owned(),
            )
            .await?;
        manager
            .create_table(
                table("switch")
                    .col(text("name").primary_key())
                    .col(boolean("is_on"))
                    .col(timestamp_with_time_zone("updated_at"))
                    .to_owned(),
            )
            .await?;
        manager
            .create_table(
                table("job")
                    .col(big_pk_auto("id"))
                    .col(text("sync_type"))
                    .col(text("agent_id"))
                    .col(text("reason"))
                    .col(text("state"))
                    .col(text_null("outcome"))
                    .col(text_null("error"))
                    .col(text_null("dedup_key"))
                    .col(text_null("throttle_key"))
                    .col(timestamp_with_time_zone_null("throttle_until"))
                    .col(integer("priority"))
                    .col(big_integer("order_key"))
                    .col(timestamp_with_time_zone("due_at"))
                    .col(boolean("force"))
                    .col(big_integer_null("document_id"))
                    .col(big_integer_null("approves_run_id"))
                    .col(big_integer_null("parent_job_id"))
                    .col(big_integer_null("root_job_id"))
                    .col(integer("attempt"))
                    .col(big_integer("lease"))
                    .col(big_integer("heartbeat"))
                    .col(text_null("owner"))
                    .col(boolean("stop_requested"))
                    .col(boolean("follow_up_due"))
                    .col(timestamp_with_time_zone("enqueued_at"))
                    .col(timestamp_with_time_zone_null("started_at"))
                    .col(timestamp_with_time_zone_null("finished_at"))
                    .to_owned(),
            )
            .await?;
        manager
            .create_table(
                table("agent_lock")
                    .col(text("agent_id").primary_key())
                    .col(big_integer("job_id"))
                    .col(big_integer("lease"))
                    .to_owned(),
            )
            .await?;
        manager
            .create_table(
                table("sync_run")
                    .col(big_pk_auto("id"))
                    .col(big_integer("job_id"))
                    .col(text("sync_type"))
                    .col(text("agent_id"))
                    .col(text("reason"))
                    .col(integer("attempt"))
                    .col(text_null("outcome"))
                    .col(text_null("stage"))
                    .col(text_null("error_code"))
                    .col(text_null("error"))
                    .col(big_integer("read").default(0))
                    .col(big_integer("inserted").default(0))
                    .col(big_integer("updated").default(0))
                    .col(big_integer("refreshed").default(0))
                    .col(big_integer("unchanged").default(0))
                    .col(big_integer("restored").default(0))
                    .col(big_integer("quarantined").default(0))
                    .col(big_integer("skipped").default(0))
                    .col(big_integer("not_applied").default(0))
                    .col(big_integer("missing").default(0))
                    .col(big_integer("deleted").default(0))
                    .col(big_integer("orphans").default(0))
                    .col(json_null("verdicts"))
                    .col(json_null("notes"))
                    .col(text_null("hold"))
                    .col(text_null("plan_digest"))
                    .col(text_null("document_sha256"))
                    .col(big_integer_null("document_id"))
                    .col(text("spec_fingerprint"))
                    .col(timestamp_with_time_zone("started_at"))
                    .col(timestamp_with_time_zone_null("finished_at"))
                    .to_owned(),
            )
            .await?;
        manager
            .create_table(
                table("quarantine")
                    .col(big_pk_auto("id"))
                    .col(big_integer("run_id"))
                    .col(text("sync_type"))
                    .col(text("agent_id"))
                    .col(integer("page"))
                    .col(integer("row_number"))
                    .col(text("column_header"))
                    .col(text("printed"))
                    .col(text("why"))
                    .col(text_null("record_key"))
                    .to_owned(),
            )
            .await?;
        manager
            .create_table(
                table("document")
                    .col(big_pk_auto("id"))
                    .col(text("sha256"))
                    .col(blob("bytes"))
                    .col(timestamp_with_time_zone("created_at"))
                    .to_owned(),
            )
            .await?;
        manager
            .create_table(
                table("api_token")
                    .col(big_pk_auto("id"))
                    .col(text("name"))
                    .col(text("role"))
                    .col(text("hash").unique_key())
                    .col(timestamp_with_time_zone("created_at"))
                    .to_owned(),
            )
            .await?;
        let db = manager.get_connection();
        for index in [
            // one live job a dedup key, whatever process asks: the database is the referee
            "CREATE UNIQUE INDEX job_in_flight ON job (dedup_key) WHERE state <> 'done'",
            "CREATE INDEX job_claim ON job (order_key, id) WHERE state IN ('waiting', 'delayed')",
            "CREATE INDEX job_throttle ON job (throttle_key, throttle_until) WHERE throttle_key IS NOT NULL",
            "CREATE INDEX job_follow_up ON job (sync_type, agent_id) WHERE follow_up_due",
            "CREATE INDEX job_active ON job (owner) WHERE state = 'active'",
            "CREATE INDEX sync_run_latest ON sync_run (sync_type, agent_id, id)",
            "CREATE INDEX sync_run_job ON sync_run (job_id)",
            "CREATE INDEX sync_run_hold ON sync_run (sync_type, agent_id) WHERE hold = 'open'",
            "CREATE INDEX quarantine_run ON quarantine (run_id)",
        ] {
            db.execute_unprepared(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for name in TABLES {
            manager.drop_table(Table::drop().table(name).to_owned()).await?;
        }
        Ok(())
    }
}
