//! Which database does a test get? A throwaway one, on the backend that the environment names.

use std::{env, fs, path::Path};

use tokio::runtime::Handle;

use crate::store::throwaway::create_database;

/// What the suite runs over: `LOCKSTEP_TEST_BACKEND` is `sqlite` (the default), `postgres`, `clustered` (PostgreSQL and
/// Redis), or `none` for tests that ask for no database of the suite's. `tests/run` starts the servers, and sets this
/// and their URLs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Backend {
    /// A file, and memory.
    Sqlite,
    /// PostgreSQL, and memory.
    Postgres,
    /// PostgreSQL and Redis.
    Clustered,
}

impl Backend {
    /// The backend of this run of the suite.
    #[must_use]
    pub fn of_suite() -> Self {
        match env::var("LOCKSTEP_TEST_BACKEND").as_deref() {
            Err(_) | Ok("sqlite") => Backend::Sqlite,
            Ok("postgres") => Backend::Postgres,
            Ok("clustered") => Backend::Clustered,
            Ok("none") => {
                panic!("this test asks for the suite's database: it is not one of those that tests/run runs once")
            }
            Ok(other) => panic!("LOCKSTEP_TEST_BACKEND is sqlite, postgres, clustered or none, not {other}"),
        }
    }

    /// The URL of the database that belongs to `folder`: the same each time that the same folder asks.
    ///
    /// # Panics
    /// If the backend needs a server and none was started.
    pub async fn database(self, folder: &Path) -> String {
        if self == Backend::Sqlite {
            return format!("sqlite://{}/lockstep.db?mode=rwc", folder.display());
        }
        let remembered = folder.join("database-url");
        if let Ok(url) = fs::read_to_string(&remembered) {
            return url;
        }
        let name = format!("t{:016x}", fastrand::u64(..));
        let url = create_database(&server("LOCKSTEP_TEST_POSTGRES_URL"), &name, &Handle::current()).await.unwrap();
        fs::write(remembered, &url).unwrap();
        url
    }

    /// The environment that makes a service use the backend, with the database that belongs to `folder`.
    pub async fn environment(self, folder: &Path) -> Vec<(String, String)> {
        let mut environment = vec![("LOCKSTEP__DATABASE__URL".to_owned(), self.database(folder).await)];
        if self == Backend::Clustered {
            environment.push(("LOCKSTEP__COORDINATION__REDIS_URL".to_owned(), server("LOCKSTEP_TEST_REDIS_URL")));
            // tests share the server, not what is in it
            let prefix = environment[0].1.rsplit('/').next().unwrap_or_default().to_owned();
            environment.push(("LOCKSTEP__COORDINATION__PREFIX".to_owned(), prefix));
        }
        environment
    }
}

/// The URL of a server that `tests/run` has started.
///
/// # Panics
/// If it has not: tests never skip silently.
#[must_use]
pub fn server(variable: &str) -> String {
    env::var(variable).unwrap_or_else(|_| {
        panic!("this test needs a server: run it through tests/run, which starts one and sets {variable}")
    })
}
