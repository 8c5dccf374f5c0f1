//! How do people steer the timers? Intervals, timers on and off, and the switch of all.

use std::time::Duration;

use actix::prelude::*;

use super::{
    actor::{SchedulerActor, type_schedule},
    cadence,
    message::{
        Reschedule, ScheduleChange, ScheduleError, SchedulerSnapshot, SetAutoSync, TypeSchedule, UpdateInterval,
    },
};
use crate::{
    domain::{Cause, Timestamp, clock::INTERVAL_MINUTES},
    event::Event,
    store::{Amendments, Setting},
    supervisor::{By, also_unsigned},
};

also_unsigned!(SchedulerActor: UpdateInterval, Reschedule, SetAutoSync);

impl SchedulerActor {
    /// What `changes` do to the stored settings, or why they cannot be made.
    fn amendments(&self, changes: Vec<ScheduleChange>) -> Result<Amendments, ScheduleError> {
        let (minute, now) = (self.settings.minute, self.clock.now());
        let amendment = |change: ScheduleChange| {
            let sync_type = change.sync_type.clone();
            if !self.schedules.contains_key(&sync_type) {
                return Err(ScheduleError::UnknownType(sync_type));
            }
            if let Some(minutes) = change.minutes.filter(|minutes| !INTERVAL_MINUTES.contains(minutes)) {
                return Err(ScheduleError::OutOfRange { sync_type, minutes });
            }
            let amend: Box<dyn FnOnce(Setting) -> Setting + Send> =
                Box::new(move |old| amended(&change, old, minute, now));
            Ok((sync_type, amend))
        };
        changes.into_iter().map(amendment).collect()
    }

    /// Stores the changes, then restarts the timers of the changed types, and no other.
    fn reschedule(
        &mut self,
        by: Cause,
        changes: Vec<ScheduleChange>,
    ) -> ResponseActFuture<Self, Result<(), ScheduleError>> {
        let amendments = match self.amendments(changes) {
            Ok(amendments) => amendments,
            Err(error) => return Box::pin(async { Err(error) }.into_actor(self)),
        };
        let (now, who) = (self.clock.now(), by.who.clone());
        let board = self.board.clone().by(by, now);
        let save = async move { board.amend_settings(amendments, now).await }.into_actor(self);
        Box::pin(save.map(move |settings, actor, ctx| {
            for setting in settings.map_err(|error| ScheduleError::Storage(error.to_string()))? {
                let name = setting.sync_type.clone();
                actor.bus.publish(Event::Rescheduled {
                    sync_type: name.clone(),
                    interval_minutes: setting.interval_minutes,
                    next_run: setting.next_run.filter(|_| setting.enabled),
                    by: who.clone(),
                });
                actor.schedules.insert(name.clone(), setting);
                actor.arm(&name, ctx);
            }
            Ok(())
        }))
    }
}

/// What a change makes of a type's settings.
fn amended(change: &ScheduleChange, old: Setting, minute: Duration, now: Timestamp) -> Setting {
    let minutes = change.minutes.unwrap_or(old.interval_minutes);
    let is_same = minutes == old.interval_minutes && old.next_run.is_some();
    let next_run = cadence::after_change(old.last_tick, old.next_run, minute * minutes, now);
    Setting {
        interval_minutes: minutes,
        enabled: change.enabled.unwrap_or(old.enabled),
        next_run: if is_same { old.next_run } else { Some(next_run) },
        ..old
    }
}

impl Handler<By<UpdateInterval>> for SchedulerActor {
    type Result = AtomicResponse<Self, Result<TypeSchedule, ScheduleError>>;

    fn handle(&mut self, By(by, update): By<UpdateInterval>, _: &mut Self::Context) -> Self::Result {
        let UpdateInterval { sync_type, minutes } = update;
        let change = ScheduleChange { sync_type: sync_type.clone(), minutes: Some(minutes), enabled: None };
        let done = self.reschedule(by, vec![change]);
        AtomicResponse::new(Box::pin(done.map(move |done, actor, _| {
            done?;
            actor.schedules.get(&sync_type).map(type_schedule).ok_or(ScheduleError::UnknownType(sync_type))
        })))
    }
}

impl Handler<By<Reschedule>> for SchedulerActor {
    type Result = AtomicResponse<Self, Result<Vec<TypeSchedule>, ScheduleError>>;

    fn handle(&mut self, By(by, Reschedule { changes }): By<Reschedule>, _: &mut Self::Context) -> Self::Result {
        let done = self.reschedule(by, changes);
        AtomicResponse::new(Box::pin(done.map(|done, actor, _| done.map(|()| actor.snapshot().types))))
    }
}

impl Handler<By<SetAutoSync>> for SchedulerActor {
    type Result = AtomicResponse<Self, Result<SchedulerSnapshot, ScheduleError>>;

    fn handle(&mut self, By(by, SetAutoSync { on }): By<SetAutoSync>, _: &mut Self::Context) -> Self::Result {
        let (now, who, enabled) = (self.clock.now(), by.who.clone(), self.settings.enabled);
        let board = self.board.clone().by(by, now);
        let save = async move {
            if on && !enabled {
                return Err(ScheduleError::Disabled);
            }
            board.set_auto_sync(on, now).await.map_err(|error| ScheduleError::Storage(error.to_string()))
        };
        AtomicResponse::new(Box::pin(save.into_actor(self).map(move |done, actor, ctx| {
            done?;
            actor.running = on && !actor.halted;
            actor.bus.publish(Event::AutoSyncChanged { on, by: who });
            actor.arm_all(ctx);
            Ok(actor.snapshot())
        })))
    }
}
