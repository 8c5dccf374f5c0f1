//! What happened to each record, run by run, and since when is an agent known? A new record is one row without fields, and none where its agent had no
//! record of the type before: when a record was first seen is with the record itself.

use sea_orm_migration::{
    prelude::*,
    schema::{
        big_integer, big_pk_auto, json_binary_null, text, timestamp_with_time_zone, timestamp_with_time_zone_null,
    },
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut changes = Table::create();
        changes
            .table("record_change")
            .col(big_pk_auto("id"))
            .col(text("sync_type"))
            .col(text("agent_id"))
            .col(text("record_key"))
            .col(big_integer("run_id"))
            .col(timestamp_with_time_zone("at"))
            .col(text("action"))
            .col(json_binary_null("fields"));
        manager.create_table(changes).await?;
        for index in [
            "CREATE INDEX record_change_record ON record_change (sync_type, agent_id, record_key, id)",
            "CREATE INDEX record_change_run ON record_change (run_id, id)",
            // ages in the order of their ids: the oldest are found without going through the rest
            "CREATE INDEX record_change_at ON record_change (at)",
        ] {
            manager.get_connection().execute_unprepared(index).await?;
        }
        let added = Table::alter().table("agents").add_column(timestamp_with_time_zone_null("added_at")).to_owned();
        manager.alter_table(added).await?;
        // of those that are there already nobody knows more
        manager.get_connection().execute_unprepared("UPDATE agents SET added_at = CURRENT_TIMESTAMP").await.map(|_| ())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.alter_table(Table::alter().table("agents").drop_column("added_at").to_owned()).await?;
        manager.drop_table(Table::drop().table("record_change").to_owned()).await
    }
}
