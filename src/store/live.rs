//! Which in-flight keys does this process know to be taken? A memory of the database's answers.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use crate::domain::JobId;

/// Keys of live jobs, as far as this process has seen them taken. What it ends itself is forgotten before
/// the commit that ends it; what another process ends is not noticed, so whoever answers by this asks the
/// database afterwards.
#[derive(Debug, Default)]
pub(super) struct LiveKeys(Mutex<HashMap<String, JobId>>);

/// More keys than these are not remembered.
const MOST: usize = 1_000_000;

impl LiveKeys {
    pub(super) fn owner(&self, key: &str) -> Option<JobId> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).copied()
    }

    pub(super) fn learn(&self, taken: impl Iterator<Item = (String, JobId)>) {
        let mut keys = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (key, job) in taken {
            if keys.len() < MOST {
                keys.insert(key, job);
            }
        }
    }

    pub(super) fn forget(&self, key: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    pub(super) fn forget_all(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}
