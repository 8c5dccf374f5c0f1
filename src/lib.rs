//! lockstep keeps a database in step with an ERP whose only export is PDF reports.

pub mod cli;
pub mod domain;
pub mod report;
pub mod sync_type;
