//! Which live job stands for a child of a flow that was asked for already? One job may stand in several flows.

use sea_orm_migration::{prelude::*, schema::big_integer};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let mut links = Table::create();
        links.table("flow_link").col(big_integer("job_id")).col(big_integer("root_job_id"));
        links.primary_key(Index::create().col("job_id").col("root_job_id"));
        manager.create_table(links).await?;
        let by_root = Index::create().name("flow_link_root").table("flow_link").col("root_job_id").to_owned();
        manager.create_index(by_root).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("flow_link").to_owned()).await
    }
}
