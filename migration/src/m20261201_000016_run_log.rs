//! How long did each stage of a run take, and what did its log say? Of older runs nobody knows.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, json, json_null},
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.alter_table(Table::alter().table("sync_run").add_column(json_null("stages")).to_owned()).await?;
        let id = big_integer("run_id").primary_key().take();
        manager.create_table(Table::create().table("run_log").col(id).col(json("lines")).to_owned()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("run_log").to_owned()).await?;
        manager.alter_table(Table::alter().table("sync_run").drop_column("stages").to_owned()).await
    }
}
