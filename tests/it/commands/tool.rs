//! Is it a good tool? Help that says how commands end, standard input, what is compiled in, and nothing touched by looking.

use std::{
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
};

use super::{code, lockstep, stderr, stdout};
use crate::fixtures::grid;

/// Runs it with this on standard input.
fn fed(folder: &Path, arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_lockstep"))
        .args(arguments)
        .current_dir(folder)
        .env("LOCKSTEP__LOG__LEVEL", "error")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // one that refuses what is too much does not read on
    child.stdin.take().unwrap().write_all(input).ok();
    child.wait_with_output().unwrap()
}

#[test]
fn every_command_says_in_its_help_how_it_ends() {
    let folder = tempfile::tempdir().unwrap();
    let pages = lockstep(folder.path(), &["man", "--dir", "pages/man1"]);
    assert_eq!(code(&pages), 0, "{}", stderr(&pages));
    let mut asked = 0;
    for page in std::fs::read_dir(folder.path().join("pages/man1")).unwrap() {
        let file = page.unwrap().path();
        let name = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let Some(rest) = name.strip_prefix("lockstep-").filter(|rest| !rest.contains("parse")) else { continue };
        // `bench-report` is one word, `token-create` are two
        let mut words: Vec<&str> = rest.split('-').collect();
        if rest == "bench-report" || rest == "parse-worker" {
            words = vec![rest];
        } else if rest == "credentials-new-key" {
            words = vec!["credentials", "new-key"];
        }
        let help = lockstep(folder.path(), &[&words[..], &["--help"]].concat());
        assert_eq!(code(&help), 0, "{words:?}: {}", stderr(&help));
        assert!(stdout(&help).contains("\nExit: 0 "), "{words:?}: {}", stdout(&help));
        assert!(std::fs::read_to_string(&file).unwrap().contains("Exit: 0 "), "{words:?}");
        asked += 1;
    }
    assert!(asked > 25, "{asked}");
    for shell in ["bash", "zsh", "fish"] {
        let script = lockstep(folder.path(), &["completions", shell]);
        assert!(code(&script) == 0 && stdout(&script).contains("healthcheck"), "{shell}: {}", stderr(&script));
    }
}

#[test]
fn a_report_comes_from_standard_input_too_and_has_a_bound_there() {
    let folder = tempfile::tempdir().unwrap();
    let report = grid("orders");
    let read = fed(folder.path(), &["extract", "-", "--type", "orders", "--format", "jsonl"], &report);
    assert_eq!((code(&read), stdout(&read).lines().count()), (0, 40), "{}", stderr(&read));
    let guessed = fed(folder.path(), &["types", "guess", "-", "--name", "mine"], &report);
    assert!(code(&guessed) == 0 && stdout(&guessed).contains("name = \"mine\""), "{}", stderr(&guessed));
    std::fs::write(folder.path().join("small.toml"), "[limits]\nreport_bytes = 1000\n").unwrap();
    let refused = fed(folder.path(), &["extract", "-", "--type", "orders", "--config", "small.toml"], &report);
    let said = "standard input has more than 1000 bytes (limits.report_bytes)";
    assert!(code(&refused) == 1 && stderr(&refused).contains(said), "{}", stderr(&refused));
}

#[test]
fn what_is_compiled_in_can_be_printed_and_used_as_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let write = |file: &str, output: &Output| std::fs::write(folder.path().join(file), &output.stdout).unwrap();
    write("own.toml", &lockstep(folder.path(), &["config", "defaults"]));
    let checked = lockstep(folder.path(), &["config", "check", "--config", "own.toml"]);
    assert_eq!(code(&checked), 0, "{}", stderr(&checked));
    write("orders.toml", &lockstep(folder.path(), &["types", "show", "orders"]));
    let checked = lockstep(folder.path(), &["types", "check", "orders.toml"]);
    assert!(code(&checked) == 0 && stderr(&checked).contains("it replaces the type"), "{}", stderr(&checked));
    let unknown = lockstep(folder.path(), &["types", "show", "bells"]);
    assert!(code(&unknown) == 2 && stderr(&unknown).contains("known are orders"), "{}", stderr(&unknown));
}

#[test]
fn the_files_of_settings_are_found_by_the_environment_and_the_port_is_said_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.toml"), "[server]\nport = 7001\n[queue]\nconcurrency = 9\n").unwrap();
    std::fs::write(folder.path().join("b.toml"), "[server]\nport = 7002\n").unwrap();
    let show = |arguments: &[&str]| {
        Command::new(env!("CARGO_BIN_EXE_lockstep"))
            .args(["config", "show"])
            .args(arguments)
            .current_dir(folder.path())
            .env("LOCKSTEP_CONFIG", "a.toml:b.toml")
            .output()
            .unwrap()
    };
    let both = show(&[]);
    assert!(stdout(&both).contains("server.port = 7002  # b.toml"), "{} {}", stdout(&both), stderr(&both));
    assert!(stdout(&both).contains("queue.concurrency = 9  # a.toml"), "{}", stdout(&both));
    // what is named by hand stands alone
    assert!(stdout(&show(&["--config", "a.toml"])).contains("server.port = 7001  # a.toml"));
    // the port that is taken is the one that was said
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let refused = lockstep(folder.path(), &["serve", "--port", &port, "--config", "a.toml"]);
    assert!(code(&refused) == 1 && stderr(&refused).contains(&format!("127.0.0.1:{port}")), "{}", stderr(&refused));
    assert_eq!(code(&lockstep(folder.path(), &["serve", "--port", "70000"])), 2);
}

#[test]
fn a_check_finds_a_folder_that_is_not_there_and_an_agent_that_is_there_twice() {
    let folder = tempfile::tempdir().unwrap();
    let twice = "[[agents]]\nid = \"anna\"\nname = \"Anna\"\n[[agents]]\nid = \"anna\"\nname = \"Another\"\n";
    let nowhere = "[source]\nkind = \"folder\"\n[source.folder]\nurl = \"nowhere\"\n";
    for (settings, said) in [(twice, "agents.id: 'anna' is there twice"), (nowhere, "there is no folder nowhere")] {
        std::fs::write(folder.path().join("own.toml"), settings).unwrap();
        let checked = lockstep(folder.path(), &["config", "check", "--config", "own.toml"]);
        assert!(code(&checked) == 1 && stderr(&checked).contains(said), "{}", stderr(&checked));
    }
}

/// What SQLite counts up with each change of the schema, and the migrations that were applied.
fn schema(folder: &Path) -> (i64, i64) {
    let database = rusqlite::Connection::open(folder.join("data/lockstep.db")).unwrap();
    let number = |sql: &str| database.query_row(sql, [], |row| row.get(0)).unwrap();
    (number("PRAGMA schema_version"), number("SELECT count(*) FROM seaql_migrations"))
}

#[test]
fn looking_makes_no_database_and_migrates_none() {
    const LOOKS: [&[&str]; 6] = [
        &["outbox", "list"],
        &["outbox", "stats"],
        &["token", "list"],
        &["why", "orders", "anna", "1"],
        &["sync", "products", "--dry-run"],
        &["replay", "--type", "orders", "--dry-run"],
    ];
    let folder = tempfile::tempdir().unwrap();
    for command in LOOKS {
        let output = lockstep(folder.path(), command);
        assert!(
            code(&output) == 1 && stderr(&output).contains("there is no database at "),
            "{command:?}: {}",
            stderr(&output)
        );
        assert!(!folder.path().join("data").exists(), "{command:?}");
    }
    assert_eq!(code(&lockstep(folder.path(), &["migrate"])), 0);
    // as if by a version before the last migration
    let database = rusqlite::Connection::open(folder.path().join("data/lockstep.db")).unwrap();
    let last = "DELETE FROM seaql_migrations WHERE version = (SELECT max(version) FROM seaql_migrations)";
    assert_eq!(database.execute(last, []).unwrap(), 1);
    drop(database);
    let before = schema(folder.path());
    for command in LOOKS {
        let output = lockstep(folder.path(), command);
        let said = "1 migrations are pending";
        assert!(code(&output) == 1 && stderr(&output).contains(said), "{command:?}: {}", stderr(&output));
        assert_eq!(stderr(&output).matches("error:").count(), 1, "{}", stderr(&output));
    }
    assert_eq!(schema(folder.path()), before);
}
