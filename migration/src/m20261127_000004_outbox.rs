//! The write-back queue, and where its records are at the other side.

use sea_orm_migration::{
    prelude::*,
    schema::{
        big_integer, big_integer_null, big_pk_auto, boolean, integer, json_binary, text, text_null,
        timestamp_with_time_zone, timestamp_with_time_zone_null,
    },
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const INDEXES: [&str; 7] = [
    "CREATE INDEX sync_queue_status ON sync_queue (status, created_at)",
    "CREATE INDEX sync_queue_record ON sync_queue (model, record_id)",
    // is a record's item to wait for another? Whatever was completed meanwhile
    "CREATE INDEX sync_queue_open ON sync_queue (model, record_id, id) WHERE status <> 'COMPLETED'",
    // the first item of each record among those that are not over: claims look at these alone
    "CREATE INDEX sync_queue_next ON sync_queue (model, due_at, id) WHERE is_next AND status = 'PENDING'",
    "CREATE INDEX sync_queue_processing ON sync_queue (id) WHERE status = 'PROCESSING'",
    "CREATE INDEX sync_queue_completed ON sync_queue (processed_at) WHERE status = 'COMPLETED'",
    // depth and oldest age of each model
    "CREATE INDEX sync_queue_depth ON sync_queue (model, status, created_at)",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table("sync_queue")
                    .col(big_pk_auto("id"))
                    .col(text("action").check(Expr::cust("action IN ('CREATE', 'UPDATE', 'DELETE')")))
                    .col(text("model"))
                    .col(text("record_id"))
                    .col(big_integer_null("sheet_row_index"))
                    .col(json_binary("payload"))
                    .col(text("status").check(Expr::cust("status IN ('PENDING', 'PROCESSING', 'COMPLETED', 'FAILED')")))
                    .col(integer("retries").default(0))
                    .col(integer("max_retries").default(3))
                    .col(text_null("last_error"))
                    .col(timestamp_with_time_zone("created_at"))
                    .col(timestamp_with_time_zone_null("processed_at"))
                    .col(timestamp_with_time_zone("due_at"))
                    .col(boolean("is_next"))
                    .col(boolean("repeatable"))
                    .col(boolean("doubtful").default(false))
                    .col(text("delivery_id"))
                    .col(big_integer("lease").default(0))
                    .col(big_integer("heartbeat").default(0))
                    .col(text_null("owner"))
                    .col(timestamp_with_time_zone_null("claimed_at"))
                    .to_owned(),
            )
            .await?;
        for index in INDEXES {
            manager.get_connection().execute_unprepared(index).await?;
        }
        manager
            .create_table(
                Table::create()
                    .table("sheet_row")
                    .col(text("model"))
                    .col(text("record_id"))
                    .col(big_integer("row_index"))
                    .primary_key(Index::create().col("model").col("record_id"))
                    .to_owned(),
            )
            .await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for name in ["sheet_row", "sync_queue"] {
            manager.drop_table(Table::drop().table(name).to_owned()).await?;
        }
        Ok(())
    }
}
