//! A run is written once, when it ends: while it runs, its job's own row tells of it. Its number is given when the job
//! is claimed.

use sea_orm_migration::{prelude::*, schema::big_integer_null, sea_orm::DbBackend};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let number = Table::alter().table("job").add_column(big_integer_null("run_id")).to_owned();
        manager.alter_table(number).await?;
        let db = manager.get_connection();
        for statement in [
            // whoever takes these jobs over writes their runs anew, under the same numbers
            "UPDATE job SET run_id = (SELECT max(id) FROM sync_run WHERE sync_run.job_id = job.id \
             AND sync_run.outcome IS NULL) WHERE state = 'active'",
            "DELETE FROM sync_run WHERE outcome IS NULL",
        ] {
            db.execute_unprepared(statement).await?;
        }
        if manager.get_database_backend() == DbBackend::Postgres {
            db.execute_unprepared("ALTER TABLE sync_run RESET (fillfactor)").await?;
        }
        Ok(())
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        if manager.get_database_backend() == DbBackend::Postgres {
            db.execute_unprepared("ALTER TABLE sync_run SET (fillfactor = 60)").await?;
        }
        db.execute_unprepared(
            "INSERT INTO sync_run (id, job_id, sync_type, agent_id, reason, attempt, spec_fingerprint, started_at) \
             SELECT run_id, id, job_type, agent_id, reason, attempt, '', started_at FROM job \
             WHERE state = 'active' AND run_id IS NOT NULL",
        )
        .await?;
        manager.alter_table(Table::alter().table("job").drop_column("run_id").to_owned()).await
    }
}
