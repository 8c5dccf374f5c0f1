//! Which settings are in force, and where did each come from? Defaults < file < environment < flags.

use std::{
    collections::{BTreeMap, HashMap},
    num::NonZeroU32,
    path::{Path, PathBuf},
    time::Duration,
};

use config::Config;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

mod agents;
mod bounds;
mod error;
mod layers;
mod log;
mod notes;
mod server;
mod sink;
mod source;

pub use error::SettingsError;
pub use layers::Shown;
use layers::layers;
pub use log::{Log, LogFormat};
pub use server::{Auth, Server, Tls};
pub use sink::{CsvSettings, ModelSettings, SinkSettings};
pub use source::{SourceKind, SourceSettings};

use crate::{
    domain::{clock::INTERVAL_MINUTES, text::is_guessable},
    store::Agent,
    sync_type::spec::Guards,
};

/// All settings, checked.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The control API.
    pub server: Server,
    pub database: Database,
    /// Redis, for many processes.
    pub coordination: Coordination,
    /// Who may do what.
    pub auth: Auth,
    /// Where reports come from.
    pub source: SourceSettings,
    pub queue: Queue,
    /// Runs.
    pub sync: Sync,
    /// What became of records.
    pub history: History,
    pub audit: Audit,
    /// What those see who watch.
    pub metrics: MetricSettings,
    /// Timers.
    pub scheduler: Scheduler,
    /// The child processes that read reports.
    #[serde(default)]
    pub sandbox: Sandbox,
    /// Bounds.
    pub limits: LimitSettings,
    /// When a run is held.
    pub guards: Guards,
    pub log: Log,
    /// Where changes are delivered.
    pub sink: SinkSettings,
    /// When it is looked what needs a person.
    pub alerts: Alerts,
    /// Agents to add once.
    #[serde(default)]
    pub agents: Vec<Agent>,
    /// What a person should know who wrote them: for the log.
    #[serde(skip)]
    pub notes: Vec<String>,
}

/// `[database]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// `sqlite://...` or `postgres://...`
    pub url: SecretString,
    /// Connections of this process, PostgreSQL.
    pub connections: u32,
}

impl Database {
    /// Where it is, for people: its kind, and its file or host, without user and password.
    #[must_use]
    pub fn place(&self) -> String {
        let url = self.url.expose_secret();
        let (scheme, rest) = url.split_once(':').unwrap_or(("", url));
        let rest = rest.trim_start_matches("//").split('?').next().unwrap_or_default();
        let behind_user = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
        format!("{scheme} {behind_user}")
    }
}

/// `[coordination]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coordination {
    /// `redis://...`; none is memory.
    #[serde(default)]
    pub redis_url: Option<SecretString>,
    /// Before all names in Redis.
    pub prefix: String,
}

/// `[alerts]`
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alerts {
    /// From one look to the next.
    pub look_seconds: u64,
}

/// `[queue]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Queue {
    /// Syncs at once.
    pub concurrency: usize,
    /// Milliseconds.
    pub throttle_ms: u64,
    /// Milliseconds.
    pub heartbeat_ms: u64,
    /// Milliseconds.
    pub lease_ms: u64,
    /// Milliseconds that a run which is to stop has to come to its next batch.
    pub grace_ms: u64,
    /// Consecutive failures that open an agent's breaker.
    pub breaker_failures: u32,
    /// Milliseconds that it stays open the first time.
    pub breaker_open_ms: u64,
    /// Jobs that ended so many days ago are forgotten.
    pub keep_jobs_days: u64,
    /// Runs that ended so many days ago are forgotten, but for those that say how things stand.
    pub keep_runs_days: u64,
    /// Operations that override or join the built-in ones.
    pub operations_dir: PathBuf,
}

/// What those see who watch.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MetricSettings {
    /// Agents that are shown one by one, by type.
    pub agents: usize,
}

/// What became of records.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct History {
    /// What happened so many days ago is forgotten.
    pub keep_days: u64,
}

/// `[audit]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// What people changed so many days ago is forgotten.
    pub keep_days: u64,
}

/// `[sync]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sync {
    /// 1 to 10.
    pub batch: usize,
    /// Sync types that override or join the built-in ones.
    pub types_dir: PathBuf,
}

/// `[scheduler]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scheduler {
    /// Timers at all.
    pub enabled: bool,
    /// How long a minute lasts.
    pub minute_ms: u64,
    /// Seeds, by type.
    #[serde(default)]
    pub intervals: BTreeMap<String, u32>,
}

/// `[sandbox]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Sandbox {
    /// The binary for child processes.
    pub worker: Option<PathBuf>,
}

/// `[limits]`
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitSettings {
    /// The largest report.
    pub report_bytes: u64,
    /// All uploads that are received or wait to be read.
    pub waiting_bytes: u64,
    /// The longest attempt.
    pub sync_seconds: u64,
    /// The memory of a process that reads a report, before what its file's size adds.
    pub read_memory_bytes: u64,
    /// How long reading one report may take.
    pub read_seconds: u64,
    /// How long a shutdown waits.
    pub shutdown_seconds: u64,
    /// Requests of one token, session or user.
    pub requests_per_minute: NonZeroU32,
    /// How old the status may be that is given to many, in milliseconds.
    pub status_ms: u64,
    /// Connections at once.
    pub connections: usize,
    /// ... and those of one address.
    pub connections_per_address: usize,
}

impl Settings {
    /// The settings in force: defaults, `files` (the later ones win), `environment` (all variables of the process).
    ///
    /// # Errors
    /// [`SettingsError`] naming the key.
    pub fn load<'a>(
        files: impl IntoIterator<Item = &'a Path>,
        environment: HashMap<String, String>,
    ) -> Result<Self, SettingsError> {
        let mut notes = notes::of_environment(&environment);
        let layers = layers(files, environment)?;
        let merged = layers.iter().fold(Config::builder(), |builder, (_, layer)| builder.add_source(layer.clone()));
        let mut settings: Settings = merged.build()?.try_deserialize()?;
        settings.check()?;
        if settings.source.http.proxy.is_some() {
            notes.push("source.http.proxy: the addresses of the ERP are judged by the proxy alone".to_owned());
        }
        notes.extend(layers.iter().flat_map(|(_, layer)| layer.notes()));
        settings.notes = notes;
        Ok(settings)
    }

    fn check(&self) -> Result<(), SettingsError> {
        let invalid = |key, wrong: &str| Err(SettingsError::Invalid { key, wrong: wrong.to_owned() });
        bounds::check(self)?;
        self.server.site()?;
        self.auth.proxy_login()?;
        self.log.filter()?;
        if self.queue.lease_ms < self.queue.heartbeat_ms * 2 {
            return invalid("queue.lease_ms", "must be at least two heartbeats");
        }
        if let Some(name) =
            self.scheduler.intervals.iter().find(|(_, m)| !INTERVAL_MINUTES.contains(*m)).map(|(name, _)| name)
        {
            let (least, most) = INTERVAL_MINUTES.into_inner();
            let wrong = format!("'{name}' must be between {least} and {most} minutes");
            return Err(SettingsError::Invalid { key: "scheduler.intervals", wrong });
        }
        if self.auth.admin_token.as_ref().is_some_and(|token| is_guessable(token.expose_secret())) {
            return invalid("auth.admin_token", "must have at least 16 characters, 6 different ones among them");
        }
        agents::check(&self.agents)?;
        self.sink.check()?;
        self.source.check()
    }

    /// How long a minute of the schedule lasts.
    #[must_use]
    pub fn minute(&self) -> Duration {
        Duration::from_millis(self.scheduler.minute_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(file: &str, environment: &[(&str, &str)]) -> Result<Settings, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lockstep.toml");
        std::fs::write(&path, file).unwrap();
        let environment = environment.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Settings::load(Some(path.as_path()), environment).map_err(|error| error.to_string())
    }

    #[test]
    fn later_layers_win() {
        let settings = load("[server]\nport = 9000\n[queue]\nconcurrency = 5", &[("LOCKSTEP__SERVER__PORT", "9001")]);
        let settings = settings.unwrap();
        assert_eq!((settings.server.port, settings.queue.concurrency, settings.sync.batch), (9001, 5, 10));
        assert_eq!(settings.guards, Guards::default(), "the file of defaults and the code say the same");
    }

    #[test]
    fn mistakes_name_the_key() {
        for (file, environment, named) in [
            ("[server]\ncolour = 1", vec![], "colour"),
            ("[colours]\nred = 1", vec![], "colours"),
            ("", vec![("LOCKSTEP__SERVER__COLOUR", "1")], "colour"),
            ("[server]\nport = \"x\"", vec![], "port"),
            ("[sync]\nbatch = 11", vec![], "sync.batch"),
            ("[log]\nlevel = \"inof\"", vec![], "log.level: 'inof' is no level; known are off, error"),
            ("[log]\nlevel = \"info,sqlx=loud\"", vec![], "'loud'"),
            ("[scheduler]\nminute_ms = 100000000000000", vec![], "scheduler.minute_ms"),
            ("[limits]\nsync_seconds = 9223372036854775807", vec![], "limits.sync_seconds"),
            ("[guards]\nmax_missing_percent = 101", vec![], "guards.max_missing_percent"),
            ("[sink]\npayload_bytes = 8388609", vec![], "sink.payload_bytes"),
            ("[[agents]]\nid = \"..\"\nname = \"A\"", vec![], "agents.id"),
            ("[[agents]]\nid = \"a/b\"\nname = \"A\"", vec![], "agents.id"),
            ("[[agents]]\nid = \"\"\nname = \"A\"", vec![], "agents.id"),
            ("[[agents]]\nid = \"a\\nb\"\nname = \"A\"", vec![], "agents.id"),
            (
                "[[agents]]\nid = \"a\"\nname = \"A\"\n[[agents]]\nid = \"a\"\nname = \"B\"",
                vec![],
                "'a' is there twice",
            ),
            ("[[agents]]\nid = \"a\"\nname = \"\"", vec![], "agents.name"),
            ("[[agents]]\nid = \"a\"\nname = \"A\\u202EB\"", vec![], "agents.name"),
            ("[auth]\nadmin_token = \"aaaaaaaaaaaaaaaaaaaaaaaa\"", vec![], "auth.admin_token"),
            ("[queue]\nconcurrency = 0", vec![], "queue.concurrency"),
            ("[queue]\nlease_ms = 6000", vec![], "queue.lease_ms"),
            ("[scheduler.intervals]\norders = 4", vec![], "orders"),
            ("[auth]\nadmin_token = \"short\"", vec![], "auth.admin_token"),
            ("[sink]\nbatch = 101", vec![], "sink.batch"),
            ("[sink.models.orders]\nto = \"nowhere\"", vec![], "nowhere"),
            ("[sink.models.orders]\nmax_retries = 0", vec![], "max_retries"),
            ("[sink.webhook.hook]\nurl = \"https://x\"\nsecret = \"s\"\ncolour = 1", vec![], "colour"),
            (
                "[sink.webhook.hook]\nurl = \"https://x\"\nsecret_file = \"/nowhere\"",
                vec![],
                "sink.webhook.hook.secret_file",
            ),
            ("[source]\nkind = \"folder\"", vec![], "source.folder.url"),
            ("[source]\nkind = \"carrier-pigeon\"", vec![], "source.kind"),
            ("", vec![("LOCKSTEP__AUTH__ADMIN_TOKEN_FILE", "/nowhere/token")], "auth.admin_token_file"),
        ] {
            let error = load(file, &environment).expect_err(file);
            assert!(error.contains(named), "{error}");
        }
    }

    #[test]
    fn secrets_come_from_files_and_are_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "0123456789-0123456789\n").unwrap();
        let environment = [("LOCKSTEP__AUTH__ADMIN_TOKEN_FILE".to_owned(), path.display().to_string())];
        let environment: HashMap<_, _> = environment.into_iter().collect();
        let settings = Settings::load(None, environment.clone()).unwrap();
        let token = settings.auth.admin_token.as_ref().unwrap();
        assert_eq!(token.expose_secret(), "0123456789-0123456789");
        let shown = Settings::show(None, environment).unwrap();
        let token = shown.iter().find(|setting| setting.key == "auth.admin_token").unwrap();
        assert_eq!((token.value.as_str(), token.origin.as_str()), ("***", "environment"));
        let port = shown.iter().find(|setting| setting.key == "server.port").unwrap();
        assert_eq!((port.value.as_str(), port.origin.as_str()), ("8080", "default"));
    }

    #[test]
    fn no_secret_is_in_what_is_printed_for_developers() {
        let file = r#"
            database.url = "sqlite://whisper"
            coordination.redis_url = "redis://:whisper@localhost"
            auth.admin_token = "whisper-whisper-whisper"
            source.credentials_key = "whisper"
            source.folder.options.secret_access_key = "whisper"
            source.http.login.fields.key = "whisper"
            [sink.webhook.hook]
            url = "https://example.org/whisper"
            secret = "whisper-whisper-whisper"
            previous_secret = "whisper-whisper-whisper"
        "#;
        let printed = format!("{:?}", load(file, &[]).unwrap());
        assert!(printed.contains("secret_access_key") && !printed.contains("whisper"), "{printed}");
    }
}
