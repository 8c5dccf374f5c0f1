//! Sealed credentials of agents, the documents that are kept, and by which version a run knew its report.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, big_integer_null, big_pk_auto, blob, text, text_null, timestamp_with_time_zone},
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const INDEXES: [&str; 2] = [
    "CREATE INDEX idx_kept_document_what ON kept_document (kind, name, agent_id, number, id)",
    "CREATE INDEX idx_kept_document_age ON kept_document (kind, fetched_at)",
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .create_table(
                Table::create()
                    .table("agent_credential")
                    .col(text("agent_id").primary_key())
                    .col(text("key_name"))
                    .col(text("sealed"))
                    .col(timestamp_with_time_zone("updated_at"))
                    .to_owned(),
            )
            .await?;
        manager
            .create_table(
                Table::create()
                    .table("kept_document")
                    .col(big_pk_auto("id"))
                    .col(text("kind").check(Expr::cust("kind IN ('report', 'single')")))
                    .col(text("name"))
                    .col(text("agent_id"))
                    .col(text("number"))
                    .col(big_integer_null("run_id"))
                    .col(text("sha256"))
                    .col(big_integer("size"))
                    .col(big_integer("packed_size"))
                    .col(blob("packed"))
                    .col(timestamp_with_time_zone("fetched_at"))
                    .to_owned(),
            )
            .await?;
        for index in INDEXES {
            manager.get_connection().execute_unprepared(index).await?;
        }
        let version = Table::alter().table("sync_run").add_column(text_null("document_version")).to_owned();
        manager.alter_table(version).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let version = Table::alter().table("sync_run").drop_column("document_version").to_owned();
        manager.alter_table(version).await?;
        for name in ["kept_document", "agent_credential"] {
            manager.drop_table(Table::drop().table(name).to_owned()).await?;
        }
        Ok(())
    }
}
