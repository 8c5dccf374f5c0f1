//! How was the report of each run laid out?

use sea_orm_migration::prelude::*;

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const TABLE: &str = "sync_run";
const FINGERPRINT: &str = "layout_fingerprint";
const LAYOUT: &str = "layout";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        // SQLite adds one column a statement
        for column in [ColumnDef::new(FINGERPRINT).text().null(), ColumnDef::new(LAYOUT).json_binary().null()] {
            manager.alter_table(Table::alter().table(TABLE).add_column(column.to_owned()).to_owned()).await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        for column in [LAYOUT, FINGERPRINT] {
            manager.alter_table(Table::alter().table(TABLE).drop_column(column).to_owned()).await?;
        }
        Ok(())
    }
}
