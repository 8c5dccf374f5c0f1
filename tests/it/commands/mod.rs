//! Do the commands do what their help says, with the exit codes that scripts rely on?

mod tool;

use std::{
    path::Path,
    process::{Command, Output},
};

use serde_json::{Value as Json, json};

use crate::fixtures::{TYPES, grid, json as truth, path};

pub fn lockstep(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_lockstep"))
        .args(arguments)
        .current_dir(folder)
        .env("LOCKSTEP__LOG__LEVEL", "error")
        .output()
        .unwrap()
}

pub fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn extract_prints_records_and_says_why_it_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let report = |name: &str| path(name).display().to_string();
    for sync_type in TYPES {
        let file = folder.path().join("report.pdf");
        std::fs::write(&file, grid(sync_type)).unwrap();
        let output =
            lockstep(folder.path(), &["extract", "report.pdf", "--type", sync_type, "--report", "summary.json"]);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        let records: Json = serde_json::from_str(&stdout(&output)).unwrap();
        assert_eq!(records, json!(truth(&format!("truth/{sync_type}.json"))));
        let summary: Json =
            serde_json::from_slice(&std::fs::read(folder.path().join("summary.json")).unwrap()).unwrap();
        assert_eq!((&summary["rows"], summary["cycle"].as_u64() > Some(1)), (&json!(40), true));
    }
    for (name, sync_type, exit, said) in [
        ("edge/orders-bad-cells.pdf", "orders", 3, "quarantined: page"),
        ("edge/customers-count-mismatch.pdf", "customers", 4, "totals_mismatch"),
        ("edge/login-page.pdf", "customers", 4, "login_page"),
        ("edge/orders-encrypted-password.pdf", "orders", 4, "password"),
        ("edge/orders-no-rows.pdf", "nothing", 2, "known are"),
        ("edge/none.pdf", "orders", 1, "cannot read"),
    ] {
        let output = lockstep(folder.path(), &["extract", &report(name), "--type", sync_type]);
        assert_eq!(code(&output), exit, "{name}: {}", stderr(&output));
        assert!(stderr(&output).contains(said), "{name}: {}", stderr(&output));
    }
    let file = report("edge/invoices-one-row.pdf");
    let csv = stdout(&lockstep(folder.path(), &["extract", &file, "--type", "invoices", "--format", "csv"]));
    assert!(csv.lines().count() == 2 && csv.starts_with("invoice_number,"), "{csv}");
    let jsonl = stdout(&lockstep(folder.path(), &["extract", &file, "--type", "invoices", "--format", "jsonl"]));
    let record: Json = serde_json::from_str(&jsonl).unwrap();
    assert_eq!(record, json!(truth("edge/invoices-one-row.json"))[0]);
    let names: Vec<_> = record.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(names.join(","), csv.lines().next().unwrap(), "fields stand in the order of the type's file");
}

#[test]
fn sync_runs_without_a_server_and_a_dry_run_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let config =
        "[source]\nkind = \"folder\"\n[source.folder]\nurl = \"reports\"\n[[agents]]\nid = \"a\"\nname = \"A\"\n";
    std::fs::write(folder.path().join("lockstep.toml"), config).unwrap();
    std::fs::create_dir_all(folder.path().join("reports/a")).unwrap();
    std::fs::write(folder.path().join("reports/a/orders.pdf"), grid("orders")).unwrap();
    let sync = |more: &[&str]| {
        let arguments = [&["sync", "orders", "--config", "lockstep.toml"], more].concat();
        lockstep(folder.path(), &arguments)
    };
    assert_eq!(code(&lockstep(folder.path(), &["migrate", "--config", "lockstep.toml"])), 0);
    let planned = sync(&["--agent", "a", "--dry-run"]);
    let plan: Json = serde_json::from_str(&stdout(&planned)).unwrap();
    assert_eq!((code(&planned), plan["insert"].as_array().unwrap().len()), (0, 40), "{}", stderr(&planned));
    let whole: Json = serde_json::from_str(&stdout(&sync(&["--agent", "a", "--dry-run", "--plan"]))).unwrap();
    let items = whole["items"].as_array().unwrap();
    assert_eq!((items.len(), &items[0]["action"], &items[0]["key"]), (40, &json!("insert"), &plan["insert"][0]));
    assert!(items[0]["fields"].as_array().unwrap().iter().all(|field| field["old"].is_null()), "{items:?}");
    assert_eq!(code(&sync(&["--agent", "a", "--plan"])), 2, "a plan is shown, not carried out");
    let why = |key: &str| -> Json {
        let answer = lockstep(folder.path(), &["why", "orders", "a", key, "--config", "lockstep.toml"]);
        serde_json::from_str(&stdout(&answer)).unwrap_or_else(|error| panic!("{error}: {}", stderr(&answer)))
    };
    let key = plan["insert"][0].as_str().unwrap().to_owned();
    assert_eq!(why(&key)["because"][0]["code"], "not_stored");
    let first = sync(&["--agent", "a"]);
    let counts: Json = serde_json::from_str(&stdout(&first)).unwrap();
    assert_eq!((code(&first), &counts["counts"]["inserted"]), (0, &json!(40)), "the dry run wrote nothing");
    let stored = why(&key);
    assert_eq!((&stored["because"][0]["code"], &stored["because"][0]["runId"]), (&json!("stored"), &json!(1)));
    let file = path("edge/orders-no-rows.pdf").display().to_string();
    assert_eq!(code(&sync(&["--agent", "a", "--file", &file])), 5, "held");
    let file = path("edge/orders-encrypted-password.pdf").display().to_string();
    assert_eq!(code(&sync(&["--agent", "a", "--file", &file])), 4, "refused");
    // the follow-ups of orders wait for a service; a person need not
    let follow_up = lockstep(folder.path(), &["sync", "ddt", "--agent", "a", "--config", "lockstep.toml"]);
    assert_eq!(code(&follow_up), 4, "there is no report of it, but the agent is not busy: {}", stderr(&follow_up));
    std::fs::write(folder.path().join("reports/a/ddt.pdf"), grid("ddt")).unwrap();
    let follow_up = lockstep(folder.path(), &["sync", "ddt", "--agent", "a", "--config", "lockstep.toml"]);
    assert_eq!(code(&follow_up), 0, "{}", stderr(&follow_up));
    let unknown = sync(&["--agent", "b"]);
    assert!(code(&unknown) == 1 && stderr(&unknown).contains("known are: a"), "{}", stderr(&unknown));
}

#[test]
fn every_log_line_of_a_run_carries_its_number() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(
        folder.path().join("lockstep.toml"),
        "[log]\nformat = \"json\"\n[[agents]]\nid = \"a\"\nname = \"A\"\n",
    )
    .unwrap();
    std::fs::write(folder.path().join("ddt.pdf"), grid("ddt")).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_lockstep"))
        .args(["sync", "ddt", "--agent", "a", "--file", "ddt.pdf", "--config", "lockstep.toml"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let lines: Vec<Json> = stderr(&output).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let said = |message: &str| lines.iter().find(|line| line["fields"]["message"] == message).unwrap();
    for line in [said("low match"), said("run finished")] {
        assert_eq!((&line["span"]["run_id"], &line["span"]["sync_type"]), (&json!(1), &json!("ddt")), "{line}");
    }
}

#[test]
fn a_start_that_fails_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = format!("[server]\nport = {}\n", taken.local_addr().unwrap().port());
    std::fs::write(folder.path().join("lockstep.toml"), port).unwrap();
    let output = lockstep(folder.path(), &["serve", "--config", "lockstep.toml"]);
    assert!(code(&output) == 1 && stderr(&output).contains("cannot listen"), "{}", stderr(&output));
    assert!(!folder.path().join("data").exists(), "no database, and so no token that nobody has seen");
}

#[test]
fn config_shows_what_is_in_force_and_names_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("good.toml"), "[auth]\nadmin_token = \"a-secret-of-16-or-more\"\n").unwrap();
    std::fs::write(folder.path().join("bad.toml"), "[server]\ncolour = \"red\"\n").unwrap();
    let shown = stdout(&lockstep(folder.path(), &["config", "show", "--config", "good.toml"]));
    assert!(shown.contains("auth.admin_token = ***  # good.toml"), "{shown}");
    assert!(shown.contains("queue.concurrency = 3  # default") && !shown.contains("a-secret"), "{shown}");
    let checked = lockstep(folder.path(), &["config", "check", "--config", "bad.toml"]);
    assert!(code(&checked) == 1 && stderr(&checked).contains("colour"), "{}", stderr(&checked));
}

#[test]
fn config_shows_what_the_database_rules_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let agents = |name: &str| format!("[[agents]]\nid = \"a-1\"\nname = \"{name}\"\n");
    std::fs::write(folder.path().join("first.toml"), agents("Anna")).unwrap();
    std::fs::write(folder.path().join("now.toml"), agents("Berta")).unwrap();
    // the first run seeds the database; it has no source, and so it fails
    lockstep(folder.path(), &["sync", "orders", "--agent", "a-1", "--config", "first.toml"]);
    let shown = |file: &str| stdout(&lockstep(folder.path(), &["config", "show", "--config", file]));
    let line = "# in force is agents[0].name = \"Anna\": the database holds it, set by PUT /api/agents/{id}";
    assert!(shown("now.toml").lines().any(|shown| shown == line), "{}", shown("now.toml"));
    assert!(!shown("first.toml").contains("in force"), "{}", shown("first.toml"));
}

#[test]
fn migrate_and_healthcheck_tell_how_things_are() {
    let folder = tempfile::tempdir().unwrap();
    let status = |arguments: &[&str]| stdout(&lockstep(folder.path(), &[&["migrate"], arguments].concat()));
    assert!(status(&["status"]).contains("pending"));
    assert!(status(&["up"]).contains("applied"));
    assert!(status(&["down", "--yes"]).contains("pending"));
    std::fs::write(folder.path().join("port.toml"), "[server]\nport = 1\n").unwrap();
    // also in an image where nobody is to be trusted
    let sick = Command::new(env!("CARGO_BIN_EXE_lockstep"))
        .args(["healthcheck", "--config", "port.toml"])
        .current_dir(folder.path())
        .envs([("SSL_CERT_FILE", "/nonexistent"), ("SSL_CERT_DIR", "/nonexistent")])
        .output()
        .unwrap();
    assert!(code(&sick) == 1 && stderr(&sick).contains("does not answer"), "{}", stderr(&sick));
}

#[test]
fn bench_report_prints_what_extract_reads() {
    let folder = tempfile::tempdir().unwrap();
    for sync_type in TYPES {
        let print = ["bench-report", sync_type, "--rows", "25", "--out", "r.pdf", "--truth", "t.json"];
        assert_eq!(code(&lockstep(folder.path(), &print)), 0);
        let read = lockstep(folder.path(), &["extract", "r.pdf", "--type", sync_type]);
        assert_eq!(code(&read), 0, "{}", stderr(&read));
        let truth: Json = serde_json::from_slice(&std::fs::read(folder.path().join("t.json")).unwrap()).unwrap();
        assert_eq!(serde_json::from_str::<Json>(&stdout(&read)).unwrap(), truth, "{sync_type}");
    }
}

#[test]
fn outbox_shows_and_redrives_what_waits_to_go_out() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(code(&lockstep(folder.path(), &["migrate"])), 0);
    let stats = lockstep(folder.path(), &["outbox", "stats"]);
    assert_eq!((code(&stats), stdout(&stats).trim()), (0, r#"{"models":[]}"#), "{}", stderr(&stats));
    assert_eq!(stdout(&lockstep(folder.path(), &["outbox", "list", "--status", "failed"])), "");
    let all = lockstep(folder.path(), &["outbox", "retry", "--all", "--model", "orders"]);
    assert_eq!((code(&all), stdout(&all).trim()), (0, r#"{"items":0}"#));
    for (arguments, exit, said) in [
        (vec!["outbox", "retry", "7"], 1, "there is no item 7"),
        (vec!["outbox", "retry"], 2, "ITEM"),
        (vec!["outbox", "list", "--status", "lost"], 2, "pending, processing, completed or failed"),
    ] {
        let output = lockstep(folder.path(), &arguments);
        assert_eq!(code(&output), exit, "{arguments:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(said), "{arguments:?}: {}", stderr(&output));
    }
}

#[test]
fn what_can_be_judged_without_a_database_is_judged_before_anything_is_touched() {
    let write = |folder: &Path, file: &str, text: &str| {
        let path = folder.join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let orders = include_str!("../../../config/sync/orders.toml");
    let skipped = "\n[[columns]]\nheaders = [\"EXTRA\"]\nfield = \"extra\"\ntype = \"skip\"\n";
    for (settings, types, said) in [
        ("[sandbox]\nworker = \"nowhere/lockstep\"", vec![], "sandbox.worker"),
        ("[source]\nkind = \"http\"\n[source.http]\nreport_url = \"no url\"", vec![], "source.http.report_url"),
        ("[source]\ncredentials_key = \"short\"", vec![], "source.credentials_key"),
        ("[scheduler.intervals]\nbells = 10", vec![], "bells"),
        ("[log]\nlevel = \"inof\"", vec![], "'inof' is no level"),
        ("[database]\nurl = \"mysql://x:secret@y/z\"", vec![], "database.url"),
        ("", vec![("a.toml", orders.to_owned()), ("b.toml", orders.to_owned())], "'orders' is the name of"),
        ("", vec![("a.toml", format!("{orders}{skipped}"))], "a skipped column is not stored"),
    ] {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "lockstep.toml", settings);
        for (file, text) in types {
            write(folder.path(), &format!("config/sync/{file}"), &text);
        }
        for command in [&["config", "check"][..], &["serve"], &["sync", "orders", "--agent", "a"]] {
            let output = Command::new(env!("CARGO_BIN_EXE_lockstep"))
                .args(command)
                .args(["--config", "lockstep.toml"])
                .current_dir(folder.path())
                .env("LOCKSTEP__SERVER__PORT", "0")
                .output()
                .unwrap();
            assert_eq!(code(&output), 1, "{command:?} {settings}: {}", stderr(&output));
            assert!(stderr(&output).contains(said), "{command:?}: {} lacks {said}", stderr(&output));
            assert!(!stderr(&output).contains("secret"), "{}", stderr(&output));
            assert!(!folder.path().join("data").exists(), "{command:?} has touched something");
        }
    }
}

#[test]
fn the_images_settings_give_way_to_the_operators_file() {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("own.toml");
    std::fs::write(&own, "[database]\nurl = \"postgres://db/lockstep\"\n").unwrap();
    let image = concat!(env!("CARGO_MANIFEST_DIR"), "/config/image.toml");
    let shown = lockstep(folder.path(), &["config", "show", "--config", image, "--config", own.to_str().unwrap()]);
    let shown = stdout(&shown);
    for line in ["server.host = 0.0.0.0", "log.format = json"] {
        assert!(shown.contains(line), "{shown}");
    }
    assert!(shown.contains("database.url = ***  # ") && shown.contains("own.toml"), "{shown}");
    // variables of the image would win over a mounted file
    let dockerfile = include_str!("../../../Dockerfile");
    assert!(!dockerfile.contains("ENV LOCKSTEP"));
    assert_eq!(dockerfile.matches("\"--config\", \"/etc/lockstep/lockstep.toml\"").count(), 2, "serve and its check");
}

#[test]
fn a_reader_who_has_seen_enough_ends_a_command_quietly() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("report.pdf"), grid("orders")).unwrap();
    for command in ["config show", "extract report.pdf --type orders", "extract report.pdf --type orders --format csv"]
    {
        let line =
            format!("{} {command} | head -c 1 >/dev/null; exit ${{PIPESTATUS[0]}}", env!("CARGO_BIN_EXE_lockstep"));
        let output = Command::new("bash").args(["-c", &line]).current_dir(folder.path()).output().unwrap();
        assert_eq!((code(&output), stderr(&output).contains("panicked")), (0, false), "{command}: {}", stderr(&output));
        assert!(!stderr(&output).contains("Broken pipe"), "{}", stderr(&output));
    }
}

#[test]
fn a_command_that_only_looks_makes_no_database() {
    let folder = tempfile::tempdir().unwrap();
    for command in [
        &["outbox", "list"][..],
        &["credentials", "list"],
        &["replay", "--type", "orders", "--dry-run"],
        &["migrate", "down"],
    ] {
        let output = lockstep(folder.path(), command);
        assert_eq!(code(&output), 1, "{command:?}: {}", stderr(&output));
        assert!(stderr(&output).contains("there is no database at /"), "{command:?}: {}", stderr(&output));
        assert!(!folder.path().join("data").exists(), "{command:?}");
    }
    let pending = lockstep(folder.path(), &["migrate", "status"]);
    assert!(code(&pending) == 0 && stdout(&pending).contains(" pending"), "{}", stderr(&pending));
    assert!(!folder.path().join("data").exists());
    assert_eq!(code(&lockstep(folder.path(), &["migrate"])), 0);
    let refused = lockstep(folder.path(), &["migrate", "down"]);
    assert!(code(&refused) == 1 && stderr(&refused).contains("--yes"), "{}", stderr(&refused));
    assert!(stdout(&lockstep(folder.path(), &["migrate", "status"])).contains(" applied"));
    assert_eq!(code(&lockstep(folder.path(), &["migrate", "down", "--yes"])), 0);
}

#[test]
fn a_hangup_reads_the_log_level_again_and_ends_nothing() {
    use std::{process::Stdio, time::Duration};
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("lockstep.toml");
    std::fs::write(&config, "[log]\nlevel = \"error\"\n[server]\nport = 0\n").unwrap();
    let log = folder.path().join("log");
    let mut service = Command::new(env!("CARGO_BIN_EXE_lockstep"))
        .args(["serve", "--config", "lockstep.toml"])
        .current_dir(folder.path())
        .stderr(std::fs::File::create(&log).unwrap())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let until = |what: &str, is: &dyn Fn() -> bool| {
        for _ in 0..200 {
            if is() {
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("{what}: {}", std::fs::read_to_string(&log).unwrap());
    };
    until("it starts", &|| folder.path().join("data/admin-token").exists());
    std::thread::sleep(Duration::from_millis(500));
    let signal = |name: &str| Command::new("kill").args([name, &service.id().to_string()]).status().unwrap();
    std::fs::write(&config, "[log]\nlevel = \"info\"\n[server]\nport = 0\n").unwrap();
    signal("-HUP");
    let said = |text: &str| std::fs::read_to_string(&log).unwrap().contains(text);
    until("the level", &|| said("the log level was read again"));
    std::fs::write(&config, "[log]\nlevel = \"inof\"\n").unwrap();
    signal("-HUP");
    until("the mistake", &|| said("'inof' is no level"));
    signal("-TERM");
    assert!(service.wait().unwrap().success());
    assert!(said("lockstep shuts down"));
}
