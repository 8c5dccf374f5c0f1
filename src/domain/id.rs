//! How are agents, sync types, jobs, runs, items and plans named?

use std::{fmt, num::ParseIntError, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

/// The agent under which records of shared sync types (products, prices) are fetched and stored.
pub const SERVICE_ACCOUNT: &str = "service-account";

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The id as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl<T: Into<Arc<str>>> From<T> for $name {
            fn from(text: T) -> Self {
                Self(text.into())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id! {
    /// A sales agent's id, as the ERP's administrator names it; [`SERVICE_ACCOUNT`] for shared types.
    AgentId
}

text_id! {
    /// A sync type's name: `orders`, `customers`, ... and the name of its table.
    SyncType
}

text_id! {
    /// What a plan would change, in one hash: equal plans, and no others, have the same.
    PlanDigest
}

text_id! {
    /// What a job does: a sync type's name, or an operation's.
    JobType
}

impl SyncType {
    /// The type of the jobs that sync it.
    #[must_use]
    pub fn job_type(&self) -> JobType {
        JobType(self.0.clone())
    }
}

impl AgentId {
    /// What an agent may be called, for people.
    pub const RULE: &str = "an agent's id has 1 to 100 letters, digits, '-', '_', '.', '@', does not begin with '.', \
                            and is not service-account";

    /// May a person name an agent so? It stands in paths, keys and file names.
    #[must_use]
    pub fn is_usable(&self) -> bool {
        let id = self.as_str();
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@');
        (1..=100).contains(&id.len()) && !id.starts_with('.') && id.chars().all(fits) && id != SERVICE_ACCOUNT
    }

    /// The agent of shared sync types.
    #[must_use]
    pub fn service_account() -> Self {
        Self::from(SERVICE_ACCOUNT)
    }
}

macro_rules! number_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIntError;

            fn from_str(text: &str) -> Result<Self, ParseIntError> {
                text.parse().map(Self)
            }
        }
    };
}

number_id! {
    /// A job's number in the queue; grows with every accepted job.
    JobId
}

number_id! {
    /// A run's number in the history; one run is one attempt of a job.
    RunId
}

number_id! {
    /// The number of an item of `sync_queue`, the write-back queue.
    ItemId
}

number_id! {
    /// The number of a document in `document`: an upload, or a report that a job or a held run reads again.
    DocumentId
}
