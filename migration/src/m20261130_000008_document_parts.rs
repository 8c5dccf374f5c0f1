//! Documents in rows of a bounded size, so that nobody needs a whole one in memory to store it or to hand it on. Those
//! that are kept, compressed, are such documents too.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, blob, integer},
    sea_orm::{DbBackend, Statement, Value},
};

/// Bytes of a document, or of a kept one.
const DOCUMENT: &str = "document";
const KEPT: &str = "kept_document";

async fn ids(db: &SchemaManagerConnection<'_>, table: &str) -> Result<Vec<i64>, DbErr> {
    let all = Statement::from_string(db.get_database_backend(), format!("SELECT id FROM {table} ORDER BY id"));
    db.query_all_raw(all).await?.iter().map(|row| row.try_get("", "id")).collect()
}

async fn execute<const N: usize>(db: &SchemaManagerConnection<'_>, sql: &str, values: [Value; N]) -> Result<(), DbErr> {
    db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), sql, values)).await.map(|_| ())
}

/// A table's documents get their bytes back, one after the other.
async fn join_parts(db: &SchemaManagerConnection<'_>, table: &str, column: &str, key: &str) -> Result<(), DbErr> {
    let (kind, empty) = match db.get_database_backend() {
        DbBackend::Postgres => ("bytea", "''::bytea"),
        _ => ("blob", "x''"),
    };
    db.execute_unprepared(&format!("ALTER TABLE {table} ADD COLUMN {column} {kind} NOT NULL DEFAULT {empty}")).await?;
    for id in ids(db, table).await? {
        let parts = format!(
            "SELECT part.bytes FROM document_part AS part JOIN {table} AS own ON own.{key} = part.document_id \
             WHERE own.id = $1 ORDER BY part.number"
        );
        let parts = Statement::from_sql_and_values(db.get_database_backend(), parts, [id.into()]);
        let mut bytes = Vec::new();
        for part in db.query_all_raw(parts).await? {
            bytes.extend(part.try_get::<Vec<u8>>("", "bytes")?);
        }
        execute(db, &format!("UPDATE {table} SET {column} = $1 WHERE id = $2"), [bytes.into(), id.into()]).await?;
    }
    Ok(())
}

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut parts = Table::create();
        parts.table("document_part").col(big_integer("document_id")).col(integer("number")).col(blob("bytes"));
        parts.primary_key(Index::create().col("document_id").col("number"));
        let mut of_document = ForeignKey::create();
        of_document.from("document_part", "document_id").to(DOCUMENT, "id").on_delete(ForeignKeyAction::Cascade);
        parts.foreign_key(&mut of_document);
        manager.create_table(parts).await?;
        let db = manager.get_connection();
        // what is stored already stays one part, whatever its size
        for statement in [
            "INSERT INTO document_part (document_id, number, bytes) SELECT id, 0, bytes FROM document",
            "ALTER TABLE document ADD COLUMN size bigint NOT NULL DEFAULT 0",
            "UPDATE document SET size = length(bytes)",
            "ALTER TABLE document DROP COLUMN bytes",
            "ALTER TABLE kept_document ADD COLUMN document_id bigint REFERENCES document (id) ON DELETE CASCADE",
        ] {
            db.execute_unprepared(statement).await?;
        }
        for id in ids(db, KEPT).await? {
            let head = "INSERT INTO document (sha256, size, created_at) \
                        SELECT sha256, packed_size, fetched_at FROM kept_document WHERE id = $1 RETURNING id";
            let head = Statement::from_sql_and_values(db.get_database_backend(), head, [id.into()]);
            let Some(head) = db.query_one_raw(head).await? else { continue };
            let document: i64 = head.try_get("", "id")?;
            let part = "INSERT INTO document_part (document_id, number, bytes) \
                        SELECT $1, 0, packed FROM kept_document WHERE id = $2";
            execute(db, part, [document.into(), id.into()]).await?;
            let link = "UPDATE kept_document SET document_id = $1 WHERE id = $2";
            execute(db, link, [document.into(), id.into()]).await?;
        }
        db.execute_unprepared("ALTER TABLE kept_document DROP COLUMN packed").await?;
        db.execute_unprepared("CREATE INDEX kept_document_bytes ON kept_document (document_id)").await.map(|_| ())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        join_parts(db, DOCUMENT, "bytes", "id").await?;
        join_parts(db, KEPT, "packed", "document_id").await?;
        for statement in [
            "DROP INDEX kept_document_bytes",
            // else they would go with the documents that held their bytes
            "CREATE TABLE kept_bytes AS SELECT document_id FROM kept_document",
            "UPDATE kept_document SET document_id = NULL",
            "DELETE FROM document WHERE id IN (SELECT document_id FROM kept_bytes)",
            "DROP TABLE kept_bytes",
            "ALTER TABLE kept_document DROP COLUMN document_id",
            "ALTER TABLE document DROP COLUMN size",
            "DROP TABLE document_part",
        ] {
            db.execute_unprepared(statement).await?;
        }
        Ok(())
    }
}
