//! lockstep keeps a database in step with an ERP whose only export is PDF reports.
//!
//! The folders are the architecture; each one's first line says which question it answers, and a test
//! holds the order of their imports.

pub mod api;
pub mod app;
pub mod cli;
pub mod coordination;
pub mod delta;
pub mod domain;
pub mod event;
pub mod http;
pub mod operation;
pub mod outbox;
pub mod pretend_erp;
pub mod queue;
pub mod report;
pub mod scheduler;
pub mod settings;
pub mod source;
pub mod store;
pub mod sync;
pub mod sync_type;
#[cfg(feature = "testing")]
pub mod testing;
pub mod ui;
