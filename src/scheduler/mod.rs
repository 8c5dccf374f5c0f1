//! When to ask? Pure cadence, and the actor that owns one timer per sync type.

pub mod actor;
mod admin;
mod cadence;
pub mod message;
pub mod port;

pub use actor::{SchedulerActor, SchedulerSettings};
pub use message::{
    Halt, Reload, Reschedule, ScheduleChange, ScheduleError, SchedulerSnapshot, SetAutoSync, Snapshot, TypeSchedule,
    UpdateInterval,
};
pub use port::SettingsBoard;
