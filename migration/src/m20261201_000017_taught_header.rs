//! Which headers did people teach beside those of the types' files?

use sea_orm_migration::{
    prelude::*,
    schema::{big_pk_auto, text, timestamp_with_time_zone},
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut headers = Table::create();
        headers
            .table("taught_header")
            .col(big_pk_auto("id"))
            .col(text("sync_type"))
            .col(text("header"))
            .col(text("plain_header"))
            .col(text("field"))
            .col(text("taught_by"))
            .col(timestamp_with_time_zone("taught_at"));
        manager.create_table(headers).await?;
        let once = "CREATE UNIQUE INDEX taught_header_once ON taught_header (sync_type, plain_header)";
        manager.get_connection().execute_unprepared(once).await.map(|_| ())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("taught_header").to_owned()).await
    }
}
