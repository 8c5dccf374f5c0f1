//! Which live job stands for a child of a flow that was asked for already? One job may stand in several flows. And
//! the row that is written to see whether anything can be.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, integer, timestamp_with_time_zone},
};

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
        manager.create_index(by_root).await?;
        let mut probe = Table::create();
        probe.table("write_probe").col(integer("id").primary_key()).col(timestamp_with_time_zone("written_at"));
        manager.create_table(probe).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager.drop_table(Table::drop().table("write_probe").to_owned()).await?;
        manager.drop_table(Table::drop().table("flow_link").to_owned()).await
    }
}
