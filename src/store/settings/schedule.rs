//! How often does each type run, is it on, and when is it due? The database is the only truth.

use sea_orm::{DatabaseTransaction, EntityTrait, QueryFilter, Set, prelude::*, sea_query::OnConflict};

use serde_json::json;

use super::audit::Change;
use crate::{
    domain::{SyncType, Timestamp},
    store::{Store, StoreError, schema::entity},
};

/// One type's row of `sync_settings`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    pub sync_type: SyncType,
    /// Minutes between two runs, 5 to 1440.
    pub interval_minutes: u32,
    /// Is its timer on?
    pub enabled: bool,
    /// When its timer last fired.
    pub last_tick: Option<Timestamp>,
    /// When it fires next.
    pub next_run: Option<Timestamp>,
}

/// What becomes of the settings of each of these types.
pub type Amendments = Vec<(SyncType, Box<dyn FnOnce(Setting) -> Setting + Send>)>;

fn setting(row: entity::sync_settings::Model) -> Setting {
    Setting {
        sync_type: row.sync_type.into(),
        interval_minutes: row.interval_minutes.unsigned_abs(),
        enabled: row.enabled,
        last_tick: row.last_tick_at,
        next_run: row.next_run_at,
    }
}

impl Store {
    /// All types' settings.
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn settings(&self) -> Result<Vec<Setting>, StoreError> {
        self.read(|db| {
            Box::pin(async move {
                let rows = entity::sync_settings::Entity::find().all(db).await;
                Ok(rows.map_err(StoreError::while_doing("read the settings"))?.into_iter().map(setting).collect())
            })
        })
        .await
    }

    /// Adds the settings of types that have none yet; saved ones win.
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails.
    pub async fn seed_settings(&self, seeds: Vec<Setting>, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                for seed in seeds {
                    let row = entity::sync_settings::ActiveModel {
                        sync_type: Set(seed.sync_type.to_string()),
                        interval_minutes: Set(i32::try_from(seed.interval_minutes).unwrap_or(i32::MAX)),
                        enabled: Set(seed.enabled),
                        last_tick_at: Set(seed.last_tick),
                        next_run_at: Set(seed.next_run),
                        updated_at: Set(now),
                    };
                    let keep = OnConflict::column(entity::sync_settings::Column::SyncType).do_nothing().to_owned();
                    let insert = entity::sync_settings::Entity::insert(row).on_conflict(keep);
                    insert.exec_without_returning(tx).await.map_err(StoreError::while_doing("seed the settings"))?;
                }
                Ok(())
            })
        })
        .await
    }

    /// Changes what is stored of several types, all or none; answers what is stored then. Another process may
    /// have changed it, or fired a slot, a moment before: the amendments see that.
    ///
    /// # Errors
    /// [`StoreError`] if a statement fails, also when an interval is not between 5 and 1440;
    /// [`StoreError::Missing`] if a type has no settings.
    pub async fn amend_settings(&self, amendments: Amendments, now: Timestamp) -> Result<Vec<Setting>, StoreError> {
        use entity::sync_settings::Column as C;
        let signer = self.signer.clone();
        self.write(move |tx| {
            Box::pin(async move {
                let mut amended = Vec::with_capacity(amendments.len());
                for (sync_type, amend) in amendments {
                    let row = entity::sync_settings::Entity::find_by_id(sync_type.as_str()).one(tx).await;
                    let row = row.map_err(StoreError::while_doing("read the settings"))?;
                    let row = row.ok_or_else(|| StoreError::Missing(format!("setting of type '{sync_type}'")))?;
                    let before = setting(row);
                    let told =
                        |one: &Setting| json!({ "intervalMinutes": one.interval_minutes, "enabled": one.enabled });
                    let change = Change::new("schedule.set", format!("type:{sync_type}")).from(told(&before));
                    let setting = amend(before);
                    signer.note(tx, change.to(told(&setting))).await?;
                    entity::sync_settings::Entity::update_many()
                        .col_expr(C::IntervalMinutes, Expr::val(i64::from(setting.interval_minutes)))
                        .col_expr(C::Enabled, Expr::val(setting.enabled))
                        .col_expr(C::NextRunAt, Expr::val(setting.next_run))
                        .col_expr(C::UpdatedAt, Expr::val(now))
                        .filter(C::SyncType.eq(setting.sync_type.as_str()))
                        .exec(tx)
                        .await
                        .map_err(StoreError::while_doing("save the settings"))?;
                    amended.push(setting);
                }
                Ok(amended)
            })
        })
        .await
    }

    /// A stored switch; `otherwise` if it was never set.
    ///
    /// # Errors
    /// [`StoreError`] if the query fails.
    pub async fn switch(&self, name: &'static str, otherwise: bool) -> Result<bool, StoreError> {
        self.read(move |db| {
            Box::pin(async move {
                let row = entity::switch::Entity::find_by_id(name).one(db).await;
                Ok(row.map_err(StoreError::while_doing("read a switch"))?.map_or(otherwise, |row| row.is_on))
            })
        })
        .await
    }

    /// Sets a switch.
    ///
    /// # Errors
    /// [`StoreError`] if the statement fails.
    pub async fn set_switch(&self, name: &'static str, is_on: bool, now: Timestamp) -> Result<(), StoreError> {
        use entity::switch::Column::{IsOn, Name, UpdatedAt};
        let signer = self.signer.clone();
        self.write(move |tx| {
            Box::pin(async move {
                let row =
                    entity::switch::ActiveModel { name: Set(name.to_owned()), is_on: Set(is_on), updated_at: Set(now) };
                signer.note(tx, Change::new("switch.set", format!("switch:{name}")).to(json!(is_on))).await?;
                let over = OnConflict::column(Name).update_columns([IsOn, UpdatedAt]).to_owned();
                let insert = entity::switch::Entity::insert(row).on_conflict(over);
                insert.exec_without_returning(tx).await.map(|_| ()).map_err(StoreError::while_doing("set a switch"))
            })
        })
        .await
    }
}

/// Moves a type's next run from `slot` to `next`; false if another process did so first.
pub(crate) async fn move_tick(
    tx: &DatabaseTransaction,
    sync_type: &SyncType,
    slot: Timestamp,
    next: Timestamp,
) -> Result<bool, StoreError> {
    use entity::sync_settings::Column as C;
    let moved = entity::sync_settings::Entity::update_many()
        .col_expr(C::LastTickAt, Expr::val(slot))
        .col_expr(C::NextRunAt, Expr::val(next))
        .filter(C::SyncType.eq(sync_type.as_str()))
        .filter(C::NextRunAt.eq(slot))
        .exec(tx)
        .await
        .map_err(StoreError::while_doing("move a type's next run"))?;
    Ok(moved.rows_affected == 1)
}
