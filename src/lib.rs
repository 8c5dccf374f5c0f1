//! lockstep keeps a database in step with an ERP whose only export is PDF reports.
//!
//! # The way of the data
//!
//! [`scheduler::SchedulerActor`] owns a timer for each sync type and sends [`queue::EnqueueTick`] to
//! [`queue::QueueActor`]; people and programs send [`queue::Enqueue`] through [`api`]. The queue stores the job, or names
//! the one that is there already, claims what may run (the rules are in [`domain`]: admission, gate, class, breaker), and
//! sends [`sync::Run`] to the [`sync::SyncActor`] of the job's type, which takes [`sync::Stop`] between batches. A run
//! fetches a report ([`source`]), reads it in a process of its own ([`report`]), compares it with what is stored
//! ([`delta`]: hashes, the plan, the guards) and applies it in small batches ([`store`]), each under the job's lease. What
//! follows is queued in the run's last transaction. Changes of people go the other way, through
//! [`outbox::OutboxActor`] or as operations, to the [`sink`]s that have their effects.
//!
//! What needs a person is worked out by [`overview`]; [`alert::AlertActor`] follows it from its beginning to its end.
//!
//! Every actor is started anew by [`supervisor::SupervisorActor`] when it ends, and reached through a
//! [`supervisor::Handle`] that outlives it. What happens is told as [`event::Event`]; other processes hear of it
//! through [`coordination`].
//!
//! # The house
//!
//! The folders are the architecture; each one's first line says which question it answers. Imports run one way, in the
//! order of `tests/it/tree.rs`; all SQL is in [`store`]; actors are thin shells around pure functions that take `now`.
//! [`app`] puts the parts together, [`settings`] says how, [`cli`] is the program.

// what nobody outside can reach says so
#![warn(unreachable_pub)]

pub mod alert;
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
pub mod overview;
pub mod pretend_erp;
pub mod queue;
pub mod report;
pub mod scheduler;
pub mod settings;
pub mod sink;
pub mod source;
pub mod store;
pub mod supervisor;
pub mod sync;
pub mod sync_type;
#[cfg(feature = "testing")]
pub mod testing;
pub mod ui;
