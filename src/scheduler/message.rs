//! What can be asked of the scheduler, and what does it answer?

use actix::prelude::*;
use serde::Serialize;

use crate::domain::{SyncType, Timestamp, clock::INTERVAL_MINUTES};

/// A schedule cannot be changed so; nothing was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// No sync type has this name.
    #[error("there is no sync type '{0}'")]
    UnknownType(SyncType),
    /// The interval is not within [`INTERVAL_MINUTES`].
    #[error(
        "the interval of '{sync_type}' must be between {} and {} minutes, not {minutes}",
        INTERVAL_MINUTES.start(),
        INTERVAL_MINUTES.end()
    )]
    OutOfRange {
        /// The type.
        sync_type: SyncType,
        /// What was asked for.
        minutes: u32,
    },
    /// `scheduler.enabled = false` wins over the switch.
    #[error("the scheduler is switched off by the configuration (scheduler.enabled = false)")]
    Disabled,
    /// The database failed.
    #[error("{0}")]
    Storage(String),
}

/// Run this type every so many minutes (5 to 1440), from its next cycle on. Its timer alone starts
/// anew; a running sync is untouched. Reply: its schedule.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "Result<TypeSchedule, ScheduleError>")]
pub struct UpdateInterval {
    pub sync_type: SyncType,
    /// Minutes.
    pub minutes: u32,
}

/// What to change of one type; what is absent stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduleChange {
    pub sync_type: SyncType,
    /// Minutes between two runs.
    pub minutes: Option<u32>,
    /// Its timer on or off.
    pub enabled: Option<bool>,
}

/// Change several types, all or none. Reply: all schedules.
#[derive(Debug, Clone, PartialEq, Eq, Message)]
#[rtype(result = "Result<Vec<TypeSchedule>, ScheduleError>")]
pub struct Reschedule {
    pub changes: Vec<ScheduleChange>,
}

/// Turn all timers on or off; stored, so that a restart keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "Result<SchedulerSnapshot, ScheduleError>")]
pub struct SetAutoSync {
    /// On or off.
    pub on: bool,
}

/// Read the stored schedule now: another process may have changed it. Timers whose moment has changed start
/// anew, the others go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Message)]
#[rtype(result = "()")]
pub struct Reload;

/// The process shuts down: clear all timers. The stored switch stays as it is.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "()")]
pub struct Halt;

/// The schedule at this moment.
#[derive(Debug, Clone, Copy, Message)]
#[rtype(result = "SchedulerSnapshot")]
pub struct Snapshot;

/// All timers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, MessageResponse)]
#[serde(rename_all = "camelCase")]
pub struct SchedulerSnapshot {
    /// Do timers run?
    pub running: bool,
    /// One entry a type, by name.
    pub types: Vec<TypeSchedule>,
}

/// One type's timer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TypeSchedule {
    #[serde(rename = "type")]
    pub sync_type: SyncType,
    /// Minutes between two runs.
    pub interval_minutes: u32,
    /// Is its timer on?
    pub enabled: bool,
    /// When it last fired.
    pub last_tick: Option<Timestamp>,
    /// When it fires next.
    pub next_run: Option<Timestamp>,
}
