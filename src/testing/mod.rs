//! How do developers test against lockstep? The real app on a free port over a throwaway database,
//! with a scripted source and a clock that they advance; and in-memory twins for actor tests.
//!
//! ```no_run
//! # async fn story() {
//! use lockstep::{domain::Reason, queue::Enqueue, testing::TestApp};
//!
//! let app = TestApp::builder().agents(&["anna"]).start().await;
//! app.source.set("orders", "anna", std::fs::read("orders.pdf").unwrap());
//! let end = app.sync("orders", "anna").await;
//! assert_eq!(end.counts.inserted, 40);
//! app.stop().await;
//! # }
//! ```
#![allow(clippy::unwrap_used, clippy::missing_panics_doc, reason = "test support: a broken test should end at once")]

mod app;
mod board;
mod clock;
mod database;
mod memory;
mod model;
mod print;
mod reader;
mod runner;
mod sink;
mod source;

pub use app::{Builder, TestApp, types};
pub use board::{End, TestBoard};
pub use clock::{PausedClock, TestClock};
pub use database::{Backend, server};
pub use memory::{MemoryBoard, last_seen};
pub use print::print_jobs;
pub use reader::ReadHere;
pub use runner::ScriptedRunner;
pub use sink::{Behaviour, ScriptedSink};
pub use source::ScriptedSource;
