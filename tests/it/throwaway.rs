//! Does a run of the tests leave nothing behind, however it ends?

use std::{
    fs,
    io::{BufRead as _, BufReader},
    os::unix::process::CommandExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// A run of its own, with servers, one of them below a test's folder, and with what forbids Debian's to start.
const RUN: &str = r#"
    . tests/support.sh
    begin_run
    tests/servers start postgres "$run/postgres" >"$run/url"
    tests/servers start redis "$TMPDIR/of-a-test" >>"$run/url"
    start_no_services
    sleep 600 &
    echo "$run"
"#;

struct Run {
    process: Child,
    folder: PathBuf,
    policy: PathBuf,
    _outer: tempfile::TempDir,
}

impl Run {
    fn start(ends: &str) -> Self {
        let outer = tempfile::tempdir().unwrap();
        let policy = outer.path().join("policy-rc.d");
        let mut process = Command::new("bash")
            .args(["-euo", "pipefail", "-c", &format!("{RUN}{ends}")])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("LOCKSTEP_TEST_POLICY", &policy)
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with('/'), "it has to begin before it ends: {line}");
        Self { process, folder: PathBuf::from(line.trim()), policy, _outer: outer }
    }

    /// Its processes, as far as they work in its folder: both servers do.
    fn processes(&self) -> usize {
        let is_own = |process: &fs::DirEntry| {
            fs::read_link(process.path().join("cwd")).is_ok_and(|folder| folder.starts_with(&self.folder))
        };
        fs::read_dir("/proc").unwrap().flatten().filter(is_own).count()
    }

    fn leaves_nothing(mut self) {
        let asked = Instant::now();
        self.process.wait().unwrap();
        while self.folder.exists() || self.processes() > 0 || self.policy.exists() {
            assert!(asked.elapsed() < Duration::from_secs(30), "{} processes are left", self.processes());
            std::thread::sleep(Duration::from_millis(20));
        }
        println!("nothing was left {:?} after it", asked.elapsed());
    }

    /// Ends the script by a signal, or its whole group, as a terminal and `timeout` do.
    fn killed_by(self, signal: &str, is_group: bool) {
        assert!(Path::new(&self.folder).is_dir() && self.policy.exists() && self.processes() >= 2);
        let pid = format!("{}{}", if is_group { "-" } else { "" }, self.process.id());
        assert!(Command::new("kill").args(["-s", signal, "--", &pid]).status().unwrap().success());
        self.leaves_nothing();
    }
}

#[test]
fn a_run_that_ends_leaves_nothing_behind() {
    Run::start("").leaves_nothing();
}

#[test]
fn a_run_that_fails_leaves_nothing_behind() {
    Run::start("false").leaves_nothing();
}

#[test]
fn a_run_that_is_terminated_leaves_nothing_behind() {
    Run::start("sleep 600").killed_by("TERM", false);
}

#[test]
fn a_run_that_is_killed_leaves_nothing_behind() {
    Run::start("sleep 600").killed_by("KILL", false);
}

#[test]
fn a_run_that_is_killed_with_all_that_belong_to_it_leaves_nothing_behind() {
    Run::start("sleep 600").killed_by("KILL", true);
}

#[test]
fn a_run_that_is_interrupted_at_its_terminal_leaves_nothing_behind_and_goes_on_with_nothing() {
    // like a test runner, which ends well by it
    Run::start("bash -c 'trap \"exit 100\" INT; while :; do sleep 0.1; done' || true; sleep 600")
        .killed_by("INT", true);
}
