//! How did the last runs of a type and agent end? A letter each, thirty at most, the newest last.

use sea_orm_migration::{prelude::*, schema::text, sea_orm::DatabaseBackend};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let recent = text("recent").default("").take();
        manager.alter_table(Table::alter().table("sync_state").add_column(recent).to_owned()).await?;
        let joined = match manager.get_database_backend() {
            DatabaseBackend::Postgres => "string_agg(letter, '' ORDER BY id)",
            _ => "group_concat(letter, '' ORDER BY id)",
        };
        let filled = format!(
            "UPDATE sync_state SET recent = COALESCE((SELECT {joined} FROM (SELECT id, CASE outcome \
             WHEN 'succeeded' THEN 'c' WHEN 'succeeded_with_quarantine' THEN 'c' WHEN 'unchanged' THEN 'u' \
             WHEN 'held' THEN 'h' WHEN 'stopped' THEN 's' ELSE 'f' END AS letter FROM sync_run \
             WHERE sync_run.sync_type = sync_state.sync_type AND sync_run.agent_id = sync_state.agent_id \
             AND outcome IS NOT NULL AND outcome NOT IN ('removed', 'skipped', 'doubtful') \
             ORDER BY id DESC LIMIT 30) AS last_runs), '')"
        );
        manager.get_connection().execute_unprepared(&filled).await.map(|_| ())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.alter_table(Table::alter().table("sync_state").drop_column("recent").to_owned()).await
    }
}
