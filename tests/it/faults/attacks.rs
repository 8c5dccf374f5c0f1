//! What if somebody means harm? A real service is asked what it must not answer, told what it must not believe, and
//! given secrets that must not come out again.

use std::{fs, process::Command, time::Duration};

use reqwest::Method;
use serde_json::{Value as Json, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::service::{Service, TOKEN, World};

/// Sends bytes as they are; all that is answered within a second after the last of it.
async fn raw(service: &Service, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(service.addr()).await.unwrap();
    stream.write_all(request).await.unwrap();
    let (mut said, mut part) = (Vec::new(), [0; 4096]);
    while let Ok(Ok(got @ 1..)) = timeout(Duration::from_secs(1), stream.read(&mut part)).await {
        said.extend_from_slice(&part[..got]);
    }
    String::from_utf8_lossy(&said).into_owned()
}

fn statuses(said: &str) -> Vec<&str> {
    said.match_indices("HTTP/1.1 ").filter_map(|(at, _)| said.get(at + 9..at + 12)).collect()
}

#[tokio::test]
async fn no_path_leads_out_of_its_place() {
    let world = World::sqlite();
    fs::write(world.root.path().join("outside.pdf"), "%PDF-1.4 outside").unwrap();
    let service = world.serve("service").await;
    let dots =
        ["../outside", "..%2Foutside", "%2e%2e%2foutside", "..%5Coutside", "....//outside", "%252e%252e%252foutside"];
    let places = ["/api/documents/ddt/anna/", "/api/documents/ddt/", "/api/data/orders/", "/docs/", "/api/runs/", "/"];
    for place in places {
        for dots in dots {
            let path = format!("{place}{dots}");
            let head = format!(
                "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
            );
            let said = raw(&service, head.as_bytes()).await;
            assert!(!said.contains("PDF-1.4") && !said.contains("root:"), "{path}: {said}");
            assert!(statuses(&said).iter().all(|status| status.starts_with('4') || *status == "502"), "{path}: {said}");
        }
    }
    for agent in ["..", "../anna", "a/b", "/etc", "a\\b", "a\0b", "\u{202e}a", ".", " "] {
        let path = format!("/api/agents/{}", percent(agent));
        let (status, said) = service.ask(Method::PUT, &path, TOKEN, Some(json!({ "name": "A" }))).await;
        assert!((400..500).contains(&status), "{agent:?}: {status} {said}");
    }
}

fn percent(text: &str) -> String {
    text.bytes().fold(String::new(), |all, byte| format!("{all}%{byte:02X}"))
}

#[tokio::test]
async fn one_request_is_never_two() {
    let world = World::sqlite();
    let service = world.serve("service").await;
    let hidden = format!("GET /api/system HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n\r\n");
    let head = "POST /api/sync/resume HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n";
    let token = format!("Authorization: Bearer {TOKEN}\r\n");
    for (what, fields, body) in [
        ("both lengths", "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", format!("0\r\n\r\n{hidden}")),
        ("two lengths", "Content-Length: 0\r\nContent-Length: 200\r\n", hidden.clone()),
        ("a list of lengths", "Content-Length: 0, 200\r\n", hidden.clone()),
        ("a sign", "Content-Length: +0\r\n", hidden.clone()),
        ("an unknown coding", "Transfer-Encoding: xchunked\r\n", format!("0\r\n\r\n{hidden}")),
        (
            "a coding twice",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
            format!("0\r\n\r\n{hidden}"),
        ),
        ("a blank before the colon", "Content-Length : 0\r\n", hidden.clone()),
        ("a folded header", "X-A: b\r\n Content-Length: 5\r\n", hidden.clone()),
        ("a bad chunk", "Transfer-Encoding: chunked\r\n", format!("zz\r\n{hidden}")),
        ("a negative chunk", "Transfer-Encoding: chunked\r\n", format!("-1\r\n{hidden}")),
    ] {
        let said = raw(&service, format!("{head}{token}{fields}\r\n{body}").as_bytes()).await;
        assert!(!said.contains("uptimeSeconds") || what == "a folded header", "{what}: {said}");
        assert!(statuses(&said).iter().all(|status| status.starts_with('4') || *status == "200"), "{what}: {said}");
        assert!(statuses(&said).len() <= 1 || what == "a folded header", "{what}: {said}");
    }
    assert_eq!(service.get("/api/sync/status").await["pause"], Json::Null);
}

#[tokio::test]
async fn nothing_that_is_sent_writes_into_the_log_as_if_it_were_ours() {
    let world = World::sqlite().with(&["log.level = \"debug\""]);
    let service = world.serve_with("service", &[("LOCKSTEP__LOG__FORMAT", "pretty")]).await;
    let bad = "x\u{1b}[31m\r\n2026-01-01T00:00:00Z  INFO lockstep: forged\u{202e}";
    let paths = [
        format!("/api/runs/{}", percent(bad)),
        format!("/api/sync/trigger/{}", percent(bad)),
        format!("/api/data/orders/{}?agent={}", percent(bad), percent(bad)),
        format!("/api/agents/{}", percent(bad)),
        format!("/act/{}", percent(bad)),
    ];
    for path in &paths {
        for method in [Method::GET, Method::POST, Method::PUT] {
            service.ask(method, path, TOKEN, Some(json!({ "name": bad, "agentId": bad }))).await;
        }
    }
    for (path, body) in [
        ("/api/sync/pause", json!({ "reason": bad })),
        ("/api/tokens", json!({ "name": bad, "role": "viewer" })),
        ("/api/sync/trigger/orders", json!({ "agentId": bad })),
        ("/api/operations", json!({ "type": bad, "agentId": bad, "data": {} })),
        ("/api/queue/items", json!({ "model": bad, "recordId": bad, "action": bad, "payload": {} })),
    ] {
        let (status, said) = service.ask(Method::POST, path, TOKEN, Some(body)).await;
        assert!((400..500).contains(&status), "{path}: {status} {said}");
    }
    let header = format!(
        "GET /api/runs HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: {bad}\r\nAuthorization: Bearer \u{1b}[31m\r\n\r\n"
    );
    raw(&service, header.as_bytes()).await;
    let log = service.whole_log();
    assert!(!log.contains(['\u{1b}', '\r', '\u{202e}']), "{log}");
    assert!(log.lines().count() > 8 && log.contains("request answered"), "{log}");
    for line in log.lines() {
        assert!(line.starts_with("20") && !line.starts_with("2026-01-01T00:00:00Z  INFO lockstep: forged"), "{line}");
    }
}

#[tokio::test]
async fn nobody_gives_themselves_more_than_they_have() {
    let world = World::sqlite();
    let service = world.serve("service").await;
    let make = async |body: Json| {
        let (status, made) = service.ask(Method::POST, "/api/tokens", TOKEN, Some(body)).await;
        assert_eq!(status, 201, "{made}");
        made["token"].as_str().unwrap().to_owned()
    };
    let operator = make(json!({ "name": "operator", "role": "operator" })).await;
    let annas = make(json!({ "name": "annas", "role": "admin", "agents": ["anna"] })).await;
    for (token, method, path, body) in [
        (&operator, Method::POST, "/api/tokens", json!({ "name": "more", "role": "admin" })),
        (&operator, Method::PUT, "/api/agents/eve", json!({ "name": "Eve" })),
        (&operator, Method::PUT, "/api/system/log", json!({ "level": "trace" })),
        (&annas, Method::POST, "/api/tokens", json!({ "name": "more", "role": "admin" })),
        (&annas, Method::PUT, "/api/agents/anna", json!({ "name": "Anna" })),
        (&annas, Method::POST, "/api/sync/pause", json!({ "reason": "mine" })),
    ] {
        let (status, said) = service.ask(method, path, token, Some(body)).await;
        assert_eq!(status, 403, "{path}: {said}");
    }
    let (status, _) =
        service.ask(Method::POST, "/api/sync/trigger/orders", &annas, Some(json!({ "agentId": "bruno" }))).await;
    assert_eq!(status, 404, "she does not even learn that he is there");
    let audit = service.get("/api/audit?who=token:annas&action=refused").await;
    assert_eq!(audit["items"][0]["target"], "POST /api/sync/trigger/{type}", "but it is noted: {audit}");
    // fields that are not theirs to set
    for (method, path, body) in [
        (Method::POST, "/api/tokens", json!({ "name": "x", "role": "viewer", "id": 1 })),
        (Method::POST, "/api/tokens", json!({ "name": "x", "role": "viewer", "hash": "00", "lastUsedAt": null })),
        (Method::PUT, "/api/agents/anna", json!({ "name": "A", "id": "bruno" })),
        (Method::PUT, "/api/agents/anna", json!({ "name": "A", "addedAt": "2020-01-01T00:00:00Z" })),
        (Method::POST, "/api/sync/trigger/orders", json!({ "agentId": "anna", "reason": "approval" })),
        (Method::POST, "/api/sync/trigger/orders", json!({ "agentId": "anna", "priority": 9 })),
        (Method::POST, "/api/sync/pause", json!({ "reason": "x", "by": "somebody else" })),
    ] {
        let (status, said) = service.ask(method, path, TOKEN, Some(body)).await;
        assert_eq!(status, 422, "{path}: {said}");
        assert!(said["detail"].as_str().unwrap().contains("unknown field"), "{said}");
    }
    // another one's key gives none of their answers
    let key = ("Idempotency-Key", "same-key");
    let pause = json!({ "reason": "tea" });
    let first = service.ask_with(Method::POST, "/api/sync/pause", TOKEN, Some(pause.clone()), Some(key)).await;
    let other = service.ask_with(Method::POST, "/api/sync/pause", &annas, Some(pause), Some(key)).await;
    assert_eq!((first.0, other.0), (200, 403));
}

#[tokio::test]
async fn secrets_come_out_nowhere() {
    const CANARY: &str = "c4n4ry-s3cr3t-w0rd";
    let person = "Mario-C4n4ry-Rossi";
    let key = "0123456789abcdef".repeat(4);
    let world = World::sqlite().with(&["log.level = \"trace\"", &format!("source.credentials_key = \"{key}\"")]);
    let secret = [
        ("LOCKSTEP__SINK__WEBHOOK__HOOK__URL", format!("http://127.0.0.1:9/{CANARY}")),
        ("LOCKSTEP__SINK__WEBHOOK__HOOK__SECRET", CANARY.repeat(2)),
        ("LOCKSTEP__SINK__WEBHOOK__HOOK__ALLOW_PRIVATE", "true".to_owned()),
        ("LOCKSTEP__SINK__MODELS__ORDERS__TO", "hook".to_owned()),
    ];
    let secret: Vec<(&str, &str)> = secret.iter().map(|(name, value)| (*name, value.as_str())).collect();
    world.print_of("anna", &["orders"], 30);
    let service = world.serve_with("service", &secret).await;
    let mut said = Vec::new();
    let credentials = json!({ "username": "anna", "password": CANARY });
    said.push(service.ask(Method::PUT, "/api/agents/anna/credentials", TOKEN, Some(credentials)).await);
    assert_eq!(said[0].0, 204, "{:?}", said[0]);
    let order = json!({ "orderId": "o-1", "customer": person, "lines": [{ "article": "A1", "quantity": 1 }], "total": "10.00" });
    let ask = json!({ "type": "submit-order", "agentId": "anna", "data": order });
    service.ask(Method::POST, "/api/operations", TOKEN, Some(ask)).await;
    service.post("/api/sync/trigger/orders", json!({ "agentId": "anna" })).await;
    // refused in every way, with what must not be repeated
    for (method, path, token, body) in [
        (Method::GET, "/api/runs".to_owned(), CANARY, None),
        (Method::GET, format!("/api/runs?cursor={CANARY}"), TOKEN, None),
        (Method::GET, format!("/login?key={CANARY}"), TOKEN, None),
        (Method::PUT, "/api/agents/nobody/credentials".to_owned(), TOKEN, Some(json!({ "password": CANARY }))),
        (Method::PUT, "/api/agents/anna/credentials".to_owned(), TOKEN, Some(json!({ "passwort": CANARY }))),
        (Method::PUT, "/api/agents/anna/credentials".to_owned(), TOKEN, Some(json!([CANARY]))),
        (Method::GET, format!("/api/data/customers?agent=anna&q={person}"), TOKEN, None),
    ] {
        said.push(service.ask(method, &path, token, body).await);
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    for path in ["/api/system", "/api/credentials", "/api/audit", "/api/tokens", "/api/queue/stats", "/api/sync/status"]
    {
        said.push((200, service.get(path).await));
    }
    let metrics = service.text("/metrics").await;
    for (status, answer) in &said {
        let answer = answer.to_string();
        // the very word that was sent may be quoted to its sender, once it is known to be no secret: a cursor, a name
        assert!(!answer.contains(CANARY), "{status}: {answer}");
    }
    let log = service.whole_log();
    assert!(log.lines().count() > 15 && log.contains("sink_unavailable"), "{log}");
    for word in [CANARY, person, TOKEN, &key] {
        assert!(!metrics.contains(word), "the metrics have '{word}'");
        let line = log.lines().find(|line| line.contains(word));
        assert!(line.is_none(), "the log has '{word}': {line:?}");
    }
    let pid = service.pid().to_string();
    let listed = Command::new("ps").args(["-o", "args=", "-p", &pid, "--ppid", &pid]).output().unwrap();
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.contains("lockstep serve") && !listed.contains(CANARY), "{listed}");
}
