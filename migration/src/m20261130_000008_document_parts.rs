//! Documents in rows of a bounded size, so that nobody needs a whole one in memory to store it or to hand it on.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, blob, integer},
    sea_orm::{DbBackend, Statement},
};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut parts = Table::create();
        parts.table("document_part").col(big_integer("document_id")).col(integer("number")).col(blob("bytes"));
        parts.primary_key(Index::create().col("document_id").col("number"));
        let mut of_document = ForeignKey::create();
        of_document.from("document_part", "document_id").to("document", "id").on_delete(ForeignKeyAction::Cascade);
        parts.foreign_key(&mut of_document);
        manager.create_table(parts).await?;
        let db = manager.get_connection();
        // what is stored already stays one part, whatever its size
        for statement in [
            "INSERT INTO document_part (document_id, number, bytes) SELECT id, 0, bytes FROM document",
            "ALTER TABLE document ADD COLUMN size bigint NOT NULL DEFAULT 0",
            "UPDATE document SET size = length(bytes)",
            "ALTER TABLE document DROP COLUMN bytes",
        ] {
            db.execute_unprepared(statement).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        let empty = if manager.get_database_backend() == DbBackend::Postgres { "''::bytea" } else { "x''" };
        let blob = if manager.get_database_backend() == DbBackend::Postgres { "bytea" } else { "blob" };
        db.execute_unprepared(&format!("ALTER TABLE document ADD COLUMN bytes {blob} NOT NULL DEFAULT {empty}"))
            .await?;
        let backend = db.get_database_backend();
        let all = Statement::from_string(backend, "SELECT id FROM document");
        for document in db.query_all_raw(all).await? {
            let id: i64 = document.try_get("", "id")?;
            let parts = "SELECT bytes FROM document_part WHERE document_id = $1 ORDER BY number";
            let mut bytes = Vec::new();
            for part in db.query_all_raw(Statement::from_sql_and_values(backend, parts, [id.into()])).await? {
                bytes.extend(part.try_get::<Vec<u8>>("", "bytes")?);
            }
            let whole = "UPDATE document SET bytes = $1 WHERE id = $2";
            db.execute_raw(Statement::from_sql_and_values(backend, whole, [bytes.into(), id.into()])).await?;
        }
        db.execute_unprepared("ALTER TABLE document DROP COLUMN size").await?;
        manager.drop_table(Table::drop().table("document_part").to_owned()).await
    }
}
