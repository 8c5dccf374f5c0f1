//! Which control tables does lockstep need? The schema's history; record tables are made from the
//! sync types' files when the service starts.

#![forbid(unsafe_code)]

use sea_orm_migration::prelude::*;

mod m20261122_000001_control_tables;
mod m20261122_000002_layout;
mod m20261122_000003_queue;
mod m20261127_000004_outbox;
mod m20261127_000005_sources;
mod m20261127_000006_running;
mod m20261130_000007_flow_link;
mod m20261130_000008_document_parts;
mod m20261130_000009_run_once;
mod m20261130_000010_sync_state;
mod m20261130_000011_record_change;
mod m20261201_000012_printed;
mod m20261201_000013_callers;
mod m20261201_000014_page_sessions;
mod m20261201_000015_recent;
mod m20261201_000016_run_log;
mod m20261201_000017_taught_header;
mod m20261201_000018_alert;

pub use sea_orm_migration::{MigrationStatus, MigratorTrait};

/// All migrations, oldest first.
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261122_000001_control_tables::Migration),
            Box::new(m20261122_000002_layout::Migration),
            Box::new(m20261122_000003_queue::Migration),
            Box::new(m20261127_000004_outbox::Migration),
            Box::new(m20261127_000005_sources::Migration),
            Box::new(m20261127_000006_running::Migration),
            Box::new(m20261130_000007_flow_link::Migration),
            Box::new(m20261130_000008_document_parts::Migration),
            Box::new(m20261130_000009_run_once::Migration),
            Box::new(m20261130_000010_sync_state::Migration),
            Box::new(m20261130_000011_record_change::Migration),
            Box::new(m20261201_000012_printed::Migration),
            Box::new(m20261201_000013_callers::Migration),
            Box::new(m20261201_000014_page_sessions::Migration),
            Box::new(m20261201_000015_recent::Migration),
            Box::new(m20261201_000016_run_log::Migration),
            Box::new(m20261201_000017_taught_header::Migration),
            Box::new(m20261201_000018_alert::Migration),
        ]
    }
}
