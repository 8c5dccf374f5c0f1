//! Which browsers are let in, by what, and until when?

use sea_orm_migration::{
    prelude::*,
    schema::{big_pk_auto, text, timestamp_with_time_zone},
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut sessions = Table::create();
        sessions
            .table("page_session")
            .col(big_pk_auto("id"))
            .col(text("hash"))
            .col(text("kind"))
            .col(text("holder_kind"))
            .col(text("holder"))
            .col(timestamp_with_time_zone("created_at"))
            .col(timestamp_with_time_zone("expires_at"));
        manager.create_table(sessions).await?;
        for index in [
            "CREATE UNIQUE INDEX page_session_hash ON page_session (hash)",
            "CREATE INDEX page_session_holder ON page_session (holder_kind, holder, id)",
            "CREATE INDEX page_session_end ON page_session (expires_at)",
        ] {
            manager.get_connection().execute_unprepared(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("page_session").to_owned()).await
    }
}
