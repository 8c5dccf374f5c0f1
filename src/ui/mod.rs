//! What does a person see? Pages rendered by the server, behind a session of the browser; a small script keeps them as
//! things are.

#![allow(clippy::too_many_lines, reason = "the markup of a page is long, and read from its top to its end")]

mod act;
mod agents;
mod alerts;
mod asks;
mod audit;
mod bare;
mod bars;
mod change;
mod chart;
mod columns;
mod counts;
mod crumbs;
mod forms;
mod here;
mod home;
mod italian;
mod keyboard;
mod language;
mod matrix;
mod needs_you;
mod phrases;
mod plan;
mod printed;
mod quarantined;
mod queue;
mod record;
mod records;
mod routes;
mod run;
mod runs;
mod schedule;
mod shell;
mod sources;
mod sync_type;
mod system;
mod taught;
mod timeline;
mod tokens;
mod types;
mod values;
mod watched;
mod words;
mod write_back;

pub use italian::{Italian, italian};
pub use routes::routes;
