//! How does the database itself see to it that an agent has one running job? By an index over the jobs that run: a
//! table of locks beside them cost two more rows a job. Waiting jobs are in fewer indexes, too.

use sea_orm_migration::{
    prelude::*,
    schema::{big_integer, text},
    sea_orm::DbBackend,
};

#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

/// Indexes that are replaced or not needed any more; as they were.
const OLD: [(&str, &str); 3] = [
    ("job_active", "CREATE INDEX job_active ON job (owner) WHERE state = 'active'"),
    ("job_live", "CREATE INDEX job_live ON job (job_type, state) WHERE state <> 'done'"),
    ("job_lane", "CREATE INDEX job_lane ON job (agent_id, job_type, order_key, id) WHERE state = 'waiting'"),
];

const NEW: [(&str, &str); 2] = [
    // one running job an agent, whatever process claims: the database is the referee
    ("job_running", "CREATE UNIQUE INDEX job_running ON job (agent_id) WHERE state = 'active'"),
    // behind the first of each lane, which has indexes of its own
    (
        "job_behind",
        "CREATE INDEX job_behind ON job (agent_id, job_type, order_key, id) WHERE state = 'waiting' AND NOT is_next",
    ),
];

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        for (name, _) in OLD {
            db.execute_unprepared(&format!("DROP INDEX {name}")).await?;
        }
        for (_, index) in NEW {
            db.execute_unprepared(index).await?;
        }
        if manager.get_database_backend() == DbBackend::Postgres {
            // a run is written when it begins and again when it ends: its page keeps room for that
            db.execute_unprepared("ALTER TABLE sync_run SET (fillfactor = 60)").await?;
        }
        manager.drop_table(Table::drop().table("agent_lock").to_owned()).await
    }

    async fn down(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let db = manager.get_connection();
        if manager.get_database_backend() == DbBackend::Postgres {
            db.execute_unprepared("ALTER TABLE sync_run RESET (fillfactor)").await?;
        }
        let mut locks = Table::create();
        locks.table("agent_lock").col(text("agent_id").primary_key());
        locks.col(big_integer("job_id")).col(big_integer("lease"));
        manager.create_table(locks).await?;
        db.execute_unprepared(
            "INSERT INTO agent_lock (agent_id, job_id, lease) SELECT agent_id, id, lease FROM job \
             WHERE state = 'active'",
        )
        .await?;
        for (name, _) in NEW {
            db.execute_unprepared(&format!("DROP INDEX {name}")).await?;
        }
        for (_, index) in OLD {
            db.execute_unprepared(index).await?;
        }
        Ok(())
    }
}
