//! An external program that fetches: a browser robot, say. Asked by arguments, answering with a PDF.

use std::{path::PathBuf, process::Stdio, sync::Arc, time::Duration};

use async_trait::async_trait;
use parking_lot::Mutex;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rustix::process::{Pid, Signal, kill_process_group};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _},
    process,
};

use super::{Ask, Credentials, Fetched, Source, SourceError, Wanted, refused::Refused};
use crate::domain::text::{list, on_record};

/// What the program says on standard error beyond this is not kept.
const STDERR: usize = 16 << 10;
/// How long its last words are waited for, after its end.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// Read at once.
const PART: usize = 64 << 10;
/// Exit codes by which it says what kept it; any other but 0 says that it failed.
const EXPIRED: i32 = 3;
const REFUSED: i32 = 4;
const NOT_FOUND: i32 = 5;

/// `[source.command]`
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CommandConfig {
    pub program: PathBuf,
    /// Arguments before the agent and the type.
    #[serde(deserialize_with = "list")]
    pub args: Vec<String>,
}

/// Reports that a program fetches.
///
/// It is started as `program args... AGENT TYPE`, or `program args... AGENT FOLDER NUMBER` for one document,
/// with the agent's credentials as one line of JSON on standard input (`{}` if it has none), and writes the PDF
/// to standard output. It ends with 0; 3: the session has expired; 4: the credentials are refused; 5: there is
/// no such report; anything else: it failed.
pub struct Command {
    config: CommandConfig,
    credentials: Arc<dyn Credentials>,
    refused: Refused,
    limit: u64,
}

impl Command {
    /// Reports of at most `limit` bytes each.
    #[must_use]
    pub fn new(config: CommandConfig, credentials: Arc<dyn Credentials>, limit: u64) -> Self {
        Self { config, credentials, refused: Refused::default(), limit }
    }

    fn start(&self, ask: &Ask) -> std::io::Result<process::Child> {
        let mut command = process::Command::new(&self.config.program);
        command.args(&self.config.args).arg(ask.agent.as_str());
        match &ask.wanted {
            Wanted::Report(sync_type) => command.arg(sync_type.as_str()),
            Wanted::Document { folder, number } => command.arg(folder).arg(number),
        };
        // our own settings hold secrets
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("LOCKSTEP__")) {
            command.env_remove(name);
        }
        command.process_group(0).kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()
    }

    /// Its output, as far as it is no larger than a report may be.
    async fn output(&self, mut stdout: impl AsyncRead + Unpin, ask: &Ask) -> Result<Vec<u8>, SourceError> {
        let mut bytes = Vec::new();
        loop {
            bytes.reserve(PART);
            let read = stdout.read_buf(&mut bytes).await;
            if read.map_err(|error| SourceError::Unreachable(format!("{ask}: {error}")))? == 0 {
                return Ok(bytes);
            }
            let come = bytes.len() as u64;
            if come > self.limit {
                return Err(SourceError::TooLarge { place: ask.to_string(), bytes: come, limit: self.limit });
            }
            (ask.progress)(come, None);
        }
    }
}

/// The program's process group; killed, with whatever it started, when nobody waits for it any more.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // an error says that nobody is left
            kill_process_group(leader, Signal::KILL).ok();
        }
    }
}

#[async_trait]
impl Source for Command {
    async fn fetch(&self, ask: &Ask) -> Result<Fetched, SourceError> {
        // what begins with a dash would be an option
        let names = match &ask.wanted {
            Wanted::Report(sync_type) => [sync_type.as_str(), ""],
            Wanted::Document { folder, number } => [folder.as_str(), number.as_str()],
        };
        if let Some(bad) = names.into_iter().chain([ask.agent.as_str()]).find(|name| name.starts_with('-')) {
            return Err(SourceError::BadName(bad.to_owned()));
        }
        let credential = self.credentials.of(&ask.agent).await?;
        if let Some(known) = &credential {
            self.refused.check(&ask.agent, known)?;
        }
        let line = credential.as_ref().map_or("{}".to_owned(), |known| known.exposed().to_string());
        let line = SecretString::from(line + "\n");
        let program = self.config.program.display();
        let cannot = |error: std::io::Error| SourceError::Unreachable(format!("{program} cannot be started: {error}"));
        let mut child = self.start(ask).map_err(cannot)?;
        let _group = Group(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)));
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(mut stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(cannot(std::io::Error::other("it has no pipes")));
        };
        let tell = async move {
            // a program that needs none may have closed it
            drop(stdin.write_all(line.expose_secret().as_bytes()).await);
        };
        let said = Mutex::new(Vec::new());
        let answer = async {
            let bytes = self.output(stdout, ask).await?;
            child.wait().await.map(|status| (bytes, status)).map_err(cannot)
        };
        let hear = hear(stderr, &said);
        let mut hear = std::pin::pin!(hear);
        // what it left running may hold its standard error open for ever: its own end ends the wait
        let mut both = std::pin::pin!(async { tokio::join!(tell, answer).1 });
        let (answered, is_heard) = tokio::select! {
            answered = &mut both => (answered, false),
            () = &mut hear => (both.await, true),
        };
        let (bytes, status) = answered?;
        if status.success() {
            return Ok(Fetched::unversioned(bytes));
        }
        if !is_heard {
            // its last words may still be in the pipe
            drop(tokio::time::timeout(LAST_WORDS, hear).await);
        }
        let kept = std::mem::take(&mut *said.lock());
        let secret = credential.as_ref().map(super::Credential::secret);
        let text = format!("{ask}: {program} ended with {status}: {}", said_last(&kept, secret));
        Err(match status.code() {
            Some(EXPIRED) => SourceError::Expired(text),
            Some(REFUSED) => {
                if let Some(known) = &credential {
                    self.refused.note(&ask.agent, known);
                }
                SourceError::Refused(text)
            }
            Some(NOT_FOUND) => SourceError::NotFound(text),
            Some(_) | None => SourceError::Unreachable(text),
        })
    }
}

/// Takes all that the program says, and keeps the end of it.
async fn hear(mut stderr: impl AsyncRead + Unpin, said: &Mutex<Vec<u8>>) {
    let mut part = vec![0; 4_096];
    while let Ok(read @ 1..) = stderr.read(&mut part).await {
        let mut said = said.lock();
        said.extend_from_slice(&part[..read]);
        let over = said.len().saturating_sub(STDERR);
        said.drain(..over);
    }
}

/// The last line of what it said, without the secret and whatever else is not to be kept.
fn said_last(stderr: &[u8], secret: Option<&SecretString>) -> String {
    let mut text = String::from_utf8_lossy(stderr).into_owned();
    // as it was handed over, and as pages and URLs have it
    let spellings = secret.map(SecretString::expose_secret).into_iter().flat_map(|secret| {
        let json = serde_json::Value::from(secret).to_string();
        let url = utf8_percent_encode(secret, NON_ALPHANUMERIC).to_string();
        [secret.to_owned(), json[1..json.len() - 1].to_owned(), url.replace("%20", "+"), url]
    });
    for spelling in spellings.filter(|spelling| !spelling.is_empty()) {
        text = text.replace(&spelling, "[secret]");
    }
    on_record(text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing"))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::source::Credential;

    struct Anna;

    #[async_trait]
    impl Credentials for Anna {
        async fn of(&self, agent: &crate::domain::AgentId) -> Result<Option<Credential>, SourceError> {
            Ok((agent.as_str() == "anna").then(|| Credential::password("anna", "hunter2")))
        }
    }

    fn shell(script: &str) -> Command {
        let args = ["-c", script, "robot"].map(str::to_owned).to_vec();
        Command::new(CommandConfig { program: "/bin/sh".into(), args }, Arc::new(Anna), 100_000)
    }

    async fn fetch(script: &str) -> Result<Fetched, SourceError> {
        shell(script).fetch(&Ask::report(&"orders".into(), &"anna".into())).await
    }

    #[tokio::test]
    async fn it_is_told_whom_and_what_and_answers_with_bytes() {
        let script = r#"read line; printf '%s|%s|%s|%s' "$1" "$2" "$3" "$line""#;
        let asked = |ask: Ask| async move { shell(script).fetch(&ask).await };
        let known = r#"{"username":"anna","password":"hunter2"}"#;
        let report = Ask::report(&"orders".into(), &"anna".into());
        let text = |text: String| Ok(Fetched::unversioned(text.into_bytes()));
        assert_eq!(asked(report).await, text(format!("anna|orders||{known}")));
        let document = Ask::document("ddt", &"bruno".into(), "D/7");
        assert_eq!(asked(document).await, text("bruno|ddt|D/7|{}".into()));
    }

    #[tokio::test]
    async fn what_kept_it_is_told_without_secrets_and_within_bounds() {
        for (script, code, said) in [
            ("echo first >&2; echo the page moved >&2; exit 1", "source_unreachable", "the page moved"),
            (
                "read l; echo cannot log in with hunter2 at mail@host.example >&2; exit 4",
                "source_refused",
                "with [secret] at [e-mail]",
            ),
            ("exit 3", "session_expired", "it said nothing"),
            ("exit 5", "report_not_found", "it said nothing"),
            ("kill -9 $$", "source_unreachable", "signal: 9"),
            ("yes | head -c 3000000 >&2; echo the end >&2; exit 1", "source_unreachable", "the end"),
            ("head -c 200000 /dev/zero; sleep 60", "report_too_large", "more than the 100000"),
        ] {
            let error = fetch(script).await.unwrap_err();
            assert_eq!(error.code(), code, "{script}: {error}");
            assert!(error.to_string().contains(said) && !error.to_string().contains("hunter2"), "{script}: {error}");
        }
        let secret = SecretString::from(r#"p"w,tail 9\"#.to_owned());
        let handed_over = Credential::password("anna", secret.expose_secret()).exposed().to_string();
        for said in [&handed_over, "GET /?p=p%22w%2Ctail%209%5C", "POST p=p%22w%2Ctail+9%5C", r#"typed p"w,tail 9\"#] {
            let kept = said_last(said.as_bytes(), Some(&secret));
            assert!(!kept.contains("tail"), "{kept}");
        }
        let dash = shell("exit 0").fetch(&Ask::document("ddt", &"anna".into(), "--config=x")).await;
        assert_eq!(dash, Err(SourceError::BadName("--config=x".into())));
        let nowhere = CommandConfig { program: "/nowhere/robot".into(), args: vec![] };
        let nowhere = Command::new(nowhere, Arc::new(Anna), 1).fetch(&Ask::report(&"x".into(), &"a".into())).await;
        assert!(nowhere.unwrap_err().to_string().contains("/nowhere/robot cannot be started"));
    }

    #[tokio::test]
    async fn whoever_gives_up_kills_it_with_all_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pids");
        let script = format!("sleep 300 & echo $! > {0}; echo $$ >> {0}; wait", file.display());
        let fetching = fetch(&script);
        assert!(tokio::time::timeout(Duration::from_millis(500), fetching).await.is_err());
        let begun = Instant::now();
        let alive = |pid: &str| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            !stat.is_empty() && !stat.contains(") Z ")
        };
        let pids = std::fs::read_to_string(&file).unwrap();
        assert_eq!(pids.lines().count(), 2);
        while pids.lines().any(alive) {
            assert!(begun.elapsed() < Duration::from_secs(5), "still there: {pids}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    #[tokio::test]
    async fn what_it_leaves_running_does_not_hold_it_up() {
        let begun = Instant::now();
        let fetched = fetch("sleep 300 >/dev/null & echo late >&2; echo report").await.unwrap();
        assert_eq!(fetched, Fetched::unversioned(b"report\n".to_vec()));
        let error = fetch("sleep 300 >/dev/null & echo late >&2; exit 9").await.unwrap_err();
        assert!(error.to_string().contains("late"), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}
