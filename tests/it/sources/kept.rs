//! Which reports are kept, what does a replay of them do, and what does the command line do with credentials?

use std::{
    fs,
    io::{self, Cursor, Read, Write},
    path::Path,
    process::{Command, Output, Stdio},
    sync::Arc,
    time::Duration,
};

use futures_util::TryStreamExt as _;
use lockstep::{
    domain::{Clock, NewJob, Outcome, Reason, RunId},
    queue::Enqueue,
    source::Vault,
    testing::{Backend, TestApp, types},
};
use serde_json::{Value as Json, json};

use crate::fixtures::{invent, print, serve};

#[actix::test]
async fn a_document_is_dropped_once_nothing_can_need_it() {
    let app = TestApp::builder().agents(&["a"]).start().await;
    let (store, now) = (&app.app.store, Clock::now(&app.clock));
    let orphan = store.keep_document(b"nobody asked for a job".to_vec(), now).await.unwrap();
    let needed = store.keep_document(b"a job waits to read it".to_vec(), now).await.unwrap();
    let job = NewJob {
        document: Some(needed),
        delay: Duration::from_hours(9),
        ..NewJob::sync(&"orders".into(), "a".into(), 4, Reason::Upload)
    };
    store.enqueue(vec![job], None, now).await.unwrap();
    assert_eq!(store.clean_documents(now - Duration::from_hours(1)).await.unwrap(), 0, "whoever brought it is at it");
    assert_eq!(store.clean_documents(now + Duration::from_secs(1)).await.unwrap(), 1);
    assert!(store.document(orphan).await.is_err());
    assert_eq!(store.document(needed).await.unwrap(), b"a job waits to read it");
    app.stop().await;
}

#[actix::test]
async fn a_document_is_stored_and_given_out_in_parts() {
    let app = TestApp::builder().agents(&["a"]).start().await;
    let (store, now) = (&app.app.store, Clock::now(&app.clock));
    let bytes: Vec<u8> = (0..2_500_000_u32).map(|number| (number % 251) as u8).collect();
    let document = store.keep_document(bytes.clone(), now).await.unwrap();
    assert_eq!(store.document(document).await.unwrap(), bytes);
    let (size, parts) = store.document_stream(document).await.unwrap();
    let parts: Vec<Vec<u8>> = parts.try_collect().await.unwrap();
    assert_eq!((size, parts.concat() == bytes), (2_500_000, true));
    assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [1 << 20, 1 << 20, 402_848]);

    // what is not what it was said to be is not kept, and leaves nothing behind
    let short = store.keep_document_from(Cursor::new(vec![1; 3]), (Some(4), String::new()), now).await;
    assert!(short.unwrap_err().to_string().contains("of 4 bytes had 3"));
    let broken = Cursor::new(vec![1; 3 << 20]).chain(Broken);
    assert!(store.keep_document_from(broken, (Some(4 << 20), String::new()), now).await.is_err());
    assert_eq!(store.clean_documents(now + Duration::from_secs(1)).await.unwrap(), 1, "the whole one alone is left");
    app.stop().await;
}

/// A disk that fails.
struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("the disk failed"))
    }
}

#[actix::test]
async fn the_last_reports_are_kept_and_no_more() {
    let app = TestApp::builder().agents(&["a"]).setting("LOCKSTEP__SOURCE__KEEP_REPORTS", "3").start().await;
    let records = invent(app.app.store.types(), "orders", 30);
    for rows in [10, 11, 11, 12, 13, 14] {
        serve(&app, "orders", "a", &records[..rows]);
        app.sync("orders", "a").await;
    }
    let kept = app.app.store.kept_reports(&"orders".into(), &"a".into()).await.unwrap();
    let runs: Vec<RunId> = kept.iter().map(|report| report.run.unwrap()).collect();
    assert_eq!(runs.len(), 3);
    assert!(runs.is_sorted(), "oldest first: {runs:?}");
    let spec = app.app.store.types().get("orders").unwrap().clone();
    let last = app.app.store.kept_bytes(kept[2].id).await.unwrap();
    assert_eq!(last, print(&spec, &records[..14]));

    // a log-in page is no report; one that is refused for its content is kept, because a type's file may learn
    app.source.set("orders", "a", b"<html>login password</html>".to_vec());
    app.queue.send(Enqueue::new("orders", "a", Reason::Manual)).await.unwrap().unwrap();
    app.idle().await;
    assert_eq!(app.app.store.kept_reports(&"orders".into(), &"a".into()).await.unwrap(), kept);
    app.source.set(
        "orders",
        "a",
        print(app.app.store.types().get("ddt").unwrap(), &invent(app.app.store.types(), "ddt", 5)),
    );
    let refused = app.sync("orders", "a").await;
    assert_eq!(refused.outcome.map(Outcome::as_str), Some("failed"));
    let kept = app.app.store.kept_reports(&"orders".into(), &"a".into()).await.unwrap();
    assert_eq!(kept[2].run, Some(refused.id));

    // however many are refused or held after it, the one that the records come from stays
    let types = app.app.store.types().clone();
    for rows in 6..12 {
        app.source.set("orders", "a", print(types.get("ddt").unwrap(), &invent(&types, "ddt", rows)));
        app.sync("orders", "a").await;
    }
    let kept = app.app.store.kept_reports(&"orders".into(), &"a".into()).await.unwrap();
    assert_eq!(kept.len(), 4);
    assert_eq!(app.app.store.kept_bytes(kept[0].id).await.unwrap(), last);
    // and by age, too
    app.clock.advance(Duration::from_hours(24 * 31));
    let before = Clock::now(&app.clock) - chrono::Duration::days(30);
    assert_eq!(app.app.store.clean_kept(before).await.unwrap(), 3);
    assert_eq!(app.app.store.kept_reports(&"orders".into(), &"a".into()).await.unwrap(), kept[..1]);
    app.stop().await;
}

fn lockstep(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_lockstep"))
        .args(arguments)
        .args(["--config", "lockstep.toml"])
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    Write::write_all(&mut child.stdin.take().unwrap(), input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

fn lines(output: &Output) -> Vec<Json> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[actix::test]
async fn a_replay_shows_what_a_changed_type_would_read_and_applies_the_last_report() {
    let folder = tempfile::tempdir().unwrap();
    let database = Backend::of_suite().database(folder.path()).await;
    fs::write(
        folder.path().join("lockstep.toml"),
        format!(
            "database.url = \"{database}\"\nsource.kind = \"folder\"\nsource.folder.url = \"reports\"\n\
             sync.types_dir = \"types\"\nscheduler.minute_ms = 1\n[[agents]]\nid = \"a\"\nname = \"A\"\n"
        ),
    )
    .unwrap();
    fs::create_dir_all(folder.path().join("reports/a")).unwrap();
    fs::create_dir_all(folder.path().join("types")).unwrap();
    let types = types();
    let (spec, records) = (types.get("invoices").unwrap(), invent(&types, "invoices", 30));
    let code = |output: &Output| output.status.code().unwrap();
    let said = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
    let sync = |rows: usize| {
        fs::write(folder.path().join("reports/a/invoices.pdf"), print(spec, &records[..rows])).unwrap();
        lockstep(folder.path(), &["sync", "invoices", "--agent", "a"], "")
    };
    for rows in [28, 30] {
        let synced = sync(rows);
        assert_eq!(code(&synced), 0, "{}", said(&synced));
    }
    let replay = |more: &[&str]| lockstep(folder.path(), &[&["replay", "--type", "invoices"], more].concat(), "");
    let same = replay(&["--dry-run"]);
    assert_eq!(code(&same), 0, "{}", said(&same));
    let shown = lines(&same);
    assert_eq!(shown.len(), 3, "{shown:?}");
    assert_eq!((&shown[0]["now"]["read"], &shown[1]["then"]["read"]), (&json!(28), &json!(30)));
    assert_eq!((&shown[2]["unchanged"], &shown[2]["wouldApply"]), (&json!(30), &shown[1]["report"]));

    // the type's file now knows one column less: what was stored of it stays, what is read of it is new
    let file = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/config/sync/invoices.toml")).unwrap();
    let renamed = file.replacen("field = \"due_date\"", "field = \"due_on\"", 1);
    assert_ne!(renamed, file, "the file has such a field");
    fs::write(folder.path().join("types/invoices.toml"), renamed).unwrap();
    let changed = replay(&["--agent", "a", "--dry-run"]);
    assert_eq!(code(&changed), 0, "{}", said(&changed));
    let plan = lines(&changed).pop().unwrap();
    let moved = plan["update"].as_array().unwrap().len() + plan["refresh"].as_array().unwrap().len();
    assert!(moved > 20, "{plan}");
    let applied = replay(&[]);
    assert_eq!(code(&applied), 0, "{}", said(&applied));
    let again = lines(&replay(&["--dry-run"])).pop().unwrap();
    assert_eq!(again["unchanged"], 30, "{again}");
    assert_eq!(code(&lockstep(folder.path(), &["replay", "--type", "colours"], "")), 2);

    // a newer report that is held is shown, and not applied
    assert_eq!(code(&sync(5)), 5, "held");
    let shown = lines(&replay(&["--dry-run"]));
    assert_eq!(shown.len(), 4, "{shown:?}");
    assert_eq!((&shown[2]["then"]["outcome"], &shown[2]["now"]["read"]), (&json!("held"), &json!(5)));
    assert_eq!(shown[3]["wouldApply"], shown[1]["report"]);

    // what is missing once is not missing twice because the same report is read again, an interval later
    assert_eq!(code(&sync(29)), 0);
    tokio::time::sleep(Duration::from_millis(100)).await;
    fs::remove_file(folder.path().join("types/invoices.toml")).unwrap();
    let counted = replay(&[]);
    assert_eq!(code(&counted), 0, "{}", said(&counted));
    let text = String::from_utf8_lossy(&counted.stdout).into_owned();
    assert!(text.contains("\"deleted\": 0") && text.contains("\"read\": 29"), "{text}");

    // an older report is applied again only where its run is named
    let of_run =
        |run: i64, more: &[&str]| lockstep(folder.path(), &[&["replay", "--run", &run.to_string()], more].concat(), "");
    let (first, held) = (shown[0]["then"]["runId"].as_i64().unwrap(), shown[2]["then"]["runId"].as_i64().unwrap());
    let would = lines(&of_run(first, &["--dry-run"])).pop().unwrap();
    assert_eq!(
        (&would["missing"], &would["wouldApplyRun"]),
        (&json!([records[28].text(spec.key)]), &json!(first)),
        "{would}"
    );
    let kept = of_run(held, &[]);
    assert_eq!(code(&kept), 5, "guards see it too: {}", said(&kept));
    assert_eq!(code(&of_run(first, &[])), 0);
    let absent = of_run(9_999, &["--dry-run"]);
    assert!(code(&absent) == 1 && said(&absent).contains("there is no run 9999"), "{}", said(&absent));
    assert_eq!(code(&lockstep(folder.path(), &["replay"], "")), 2);
    assert_eq!(code(&of_run(first, &["--type", "invoices"])), 2);
}

#[actix::test]
async fn credentials_are_set_listed_and_sealed_anew_from_the_command_line() {
    let folder = tempfile::tempdir().unwrap();
    let database = Backend::of_suite().database(folder.path()).await;
    fs::write(
        folder.path().join("lockstep.toml"),
        format!(
            "database.url = \"{database}\"\nsource.credentials_key_file = \"keys\"\n[[agents]]\nid = \"a\"\nname = \"A\"\n"
        ),
    )
    .unwrap();
    let run = |arguments: &[&str], input: &str| {
        let output = lockstep(folder.path(), &[&["credentials"], arguments].concat(), input);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
    };
    let (old, new) = (run(&["new-key"], "").1, run(&["new-key"], "").1);
    fs::write(folder.path().join("keys"), &old).unwrap();
    // agents are added by the service
    let types = Arc::new(types());
    let io = lockstep::app::Io::start().unwrap();
    let store = lockstep::store::Store::open(&database, io.handle(), types).await;
    let store = store.unwrap();
    store.migrate().await.unwrap();
    store.seed_agents(vec![lockstep::store::Agent::named("a")], crate::storage::at(0)).await.unwrap();

    assert_eq!(run(&["set", "a", "--username", "anna"], "p-w-of-anna\n").0, 0);
    assert_eq!(run(&["set", "service-account", "--token"], "t-k-of-all\n").0, 0);
    for (arguments, input, named) in [
        (&["set", "nobody", "--token"][..], "x", "there is no agent 'nobody'; known are: a"),
        (&["set", "a", "--token"], "\n", "token is empty"),
    ] {
        let (code, _, said) = run(arguments, input);
        assert!(code == 1 && said.contains(named), "{code} {said}");
    }
    let listed = run(&["list"], "").1;
    assert_eq!(listed.lines().count(), 2);
    assert!(!listed.contains("p-w-of-anna") && !listed.contains("anna"), "{listed}");

    fs::write(folder.path().join("keys"), format!("{new}{old}")).unwrap();
    assert_eq!(run(&["reseal"], "").1.trim(), r#"{"resealed":2}"#);
    assert_eq!(run(&["reseal"], "").1.trim(), r#"{"resealed":0}"#);
    let sealed = store.credential(&"a".into()).await.unwrap().unwrap();
    let opened = Vault::new(&new.clone().into()).unwrap().open(&"a".into(), &sealed.sealed).unwrap();
    assert_eq!(opened.exposed(), json!({ "username": "anna", "password": "p-w-of-anna" }));
    assert_eq!(run(&["remove", "a"], "").0, 0);
    assert!(run(&["remove", "a"], "").2.contains("has no credentials"));
    store.close().await;
}
