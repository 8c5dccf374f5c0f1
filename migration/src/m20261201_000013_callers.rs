//! Who may what, who asked for what, and which requests were answered already?

use sea_orm_migration::{
    prelude::*,
    schema::{
        big_pk_auto, binary_null, integer_null, json_binary_null, text, text_null, timestamp_with_time_zone,
        timestamp_with_time_zone_null,
    },
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const ENDS: [&str; 3] = ["expires_at", "last_used_at", "revoked_at"];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let columns = ENDS.map(timestamp_with_time_zone_null).into_iter().chain([json_binary_null("agents")]);
        for column in columns {
            manager.alter_table(Table::alter().table("api_token").add_column(column).to_owned()).await?;
        }
        manager.alter_table(Table::alter().table("job").add_column(text_null("requested_by")).to_owned()).await?;
        let mut audit = Table::create();
        audit
            .table("audit")
            .col(big_pk_auto("id"))
            .col(timestamp_with_time_zone("at"))
            .col(text("who"))
            .col(text_null("asked_from"))
            .col(text("action"))
            .col(text("target"))
            .col(json_binary_null("before"))
            .col(json_binary_null("after"))
            .col(text_null("request_id"));
        manager.create_table(audit).await?;
        let mut keys = Table::create();
        keys.table("request_key")
            .col(big_pk_auto("id"))
            .col(text("caller"))
            .col(text("idempotency_key"))
            .col(text("digest"))
            .col(timestamp_with_time_zone("begun_at"))
            .col(integer_null("status"))
            .col(json_binary_null("headers"))
            .col(binary_null("body"));
        manager.create_table(keys).await?;
        for index in [
            "CREATE INDEX audit_at ON audit (at)",
            "CREATE INDEX audit_who ON audit (who, id)",
            "CREATE INDEX audit_target ON audit (target, id)",
            "CREATE UNIQUE INDEX request_key_of ON request_key (caller, idempotency_key)",
            "CREATE INDEX request_key_begun ON request_key (begun_at)",
            // writes and downloads are few beside syncs, and looked for among all that is over
            "CREATE INDEX job_class ON job (class, id) WHERE class <> 2",
        ] {
            manager.get_connection().execute_unprepared(index).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.get_connection().execute_unprepared("DROP INDEX job_class").await?;
        for table in ["request_key", "audit"] {
            manager.drop_table(Table::drop().table(table).to_owned()).await?;
        }
        manager.alter_table(Table::alter().table("job").drop_column("requested_by").to_owned()).await?;
        for column in ["agents"].into_iter().chain(ENDS) {
            manager.alter_table(Table::alter().table("api_token").drop_column(column).to_owned()).await?;
        }
        Ok(())
    }
}
