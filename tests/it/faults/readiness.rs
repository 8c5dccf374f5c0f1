//! Does a service say when its database takes nothing any more, and does it end although that hangs?

use std::{
    process::Command,
    time::{Duration, Instant},
};

use serde_json::Value as Json;

use super::{
    servers::Server,
    service::{Service, World},
};

async fn becomes(service: &Service, wanted: impl Fn(&Json) -> bool) -> Json {
    let started = Instant::now();
    loop {
        if let Some(ready) = service.try_get("/readyz").await
            && wanted(&ready)
        {
            return ready;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "{}", service.log());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[actix::test]
async fn a_database_that_only_answers_questions_is_not_ready_until_it_takes_writes() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::postgres(folder.path());
    let service = World::postgres(&server.url).serve("one").await;
    becomes(&service, |ready| ready["status"] == "ok").await;
    server.sql("ALTER SYSTEM SET default_transaction_read_only = on");
    server.sql("SELECT pg_reload_conf()");
    let told = becomes(&service, |ready| ready["code"] == "cannot_write").await;
    let detail = told["detail"].as_str().unwrap();
    assert!(detail.contains("since 20") && detail.contains("read-only"), "{detail}");
    let back = Command::new("psql")
        .args(["-XAtc", "ALTER SYSTEM RESET default_transaction_read_only", &server.url])
        .env("PGOPTIONS", "-c default_transaction_read_only=off")
        .status();
    assert!(back.unwrap().success());
    server.sql("SELECT pg_reload_conf()");
    becomes(&service, |ready| ready["status"] == "ok").await;
}

#[actix::test]
async fn a_service_ends_within_its_grace_time_though_its_database_hangs() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::postgres(folder.path());
    let world = World::postgres(&server.url).with(&["limits.shutdown_seconds = 2"]);
    let service = world.serve("one").await;
    // the server's processes stand still: connections are there, answers are not
    let backends =
        server.sql("SELECT string_agg(pid::text, ' ') FROM pg_stat_activity WHERE application_name = 'lockstep'");
    let send = |signal: &str| {
        for pid in backends.split(' ') {
            Command::new("kill").args([signal, pid]).status().unwrap();
        }
    };
    send("-STOP");
    let (took, _) = service.terminate().await;
    send("-CONT");
    println!("with a database that hangs the process ended after {took:?}");
    assert!(took < Duration::from_secs(12), "{took:?}");
}

#[test]
fn a_database_that_cannot_do_its_work_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::postgres(folder.path());
    server.sql("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'");
    let latin = server.url.rsplit_once('/').map(|(server, _)| format!("{server}/latin")).unwrap();
    // a role that gets fewer connections than are wanted, as behind a pooler
    server.sql("CREATE ROLE few LOGIN CONNECTION LIMIT 5");
    let (_, behind) = server.url.split_once('@').unwrap();
    let few = format!("postgres://few@{behind}");
    for (url, connections, said) in [
        (latin.as_str(), "13", "encoded in LATIN1"),
        (few.as_str(), "13", "database.connections: 13 are wanted and 5 were given"),
    ] {
        let started = Instant::now();
        let output = Command::new(env!("CARGO_BIN_EXE_lockstep"))
            .arg("serve")
            .current_dir(folder.path())
            .env("LOCKSTEP__DATABASE__URL", url)
            .env("LOCKSTEP__DATABASE__CONNECTIONS", connections)
            .env("LOCKSTEP__SERVER__PORT", "0")
            .output()
            .unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains(said), "{error}");
        assert!(started.elapsed() < Duration::from_secs(30));
    }
}
