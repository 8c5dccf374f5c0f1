//! What if clients keep it waiting? Thousands of real sockets that say nothing, say it letter by letter, or take
//! nothing of what they are answered: a client that behaves is answered all the while.

use std::{
    fs,
    net::SocketAddr,
    time::{Duration, Instant},
};

use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{sleep, timeout},
};

use super::service::{AGENTS, Service, TOKEN, World};
use crate::fixtures::TYPES;

const LONGEST: Duration = Duration::from_secs(60);

/// How one kind of client ended.
#[derive(Debug)]
struct End {
    after: Duration,
    /// The status that it was answered with, where it was.
    status: Option<u16>,
}

/// Reads until the connection ends, sending `drop` every second; tells when that was.
async fn until_parted(mut stream: TcpStream, drop: &[u8]) -> End {
    let started = Instant::now();
    let (mut said, mut part) = (Vec::new(), vec![0; 4096]);
    while started.elapsed() < LONGEST {
        match timeout(Duration::from_secs(1), stream.read(&mut part)).await {
            Ok(Ok(0) | Err(_)) => break,
            Ok(Ok(got)) => said.extend_from_slice(&part[..got]),
            Err(_) => {
                if !drop.is_empty() && stream.write_all(drop).await.is_err() {
                    break;
                }
            }
        }
    }
    let said = String::from_utf8_lossy(&said);
    let last = said.rmatch_indices("HTTP/1.1 ").next().map(|(at, _)| &said[at + 9..]);
    End { after: started.elapsed(), status: last.and_then(|rest| rest.get(..3)?.parse().ok()) }
}

async fn begin(addr: SocketAddr, said: &str) -> TcpStream {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(said.as_bytes()).await.unwrap();
    stream
}

fn head(method: &str, path: &str, rest: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n{rest}\r\n")
}

/// So many clients of one kind, all at once; the one that was there for longest.
async fn all(addr: SocketAddr, count: usize, said: String, drop: &'static [u8]) -> End {
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..count {
        let said = said.clone();
        clients.spawn(async move { until_parted(begin(addr, &said).await, drop).await });
    }
    clients.join_all().await.into_iter().max_by_key(|end| end.after).unwrap()
}

/// Clients that ask for a lot and take nothing of it; how long the last one was kept.
async fn takers(addr: SocketAddr, count: usize, said: String) -> Duration {
    let started = Instant::now();
    let mut clients = Vec::new();
    for _ in 0..count {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        // little room on the way: what is not taken waits at the service
        socket.set_recv_buffer_size(4096).unwrap();
        let mut stream = socket.connect(addr).await.unwrap();
        stream.write_all(said.as_bytes()).await.unwrap();
        clients.push(stream);
    }
    // one that was parted refuses what is sent to it
    while started.elapsed() < LONGEST * 2 {
        sleep(Duration::from_secs(1)).await;
        let mut left = Vec::new();
        for mut client in clients {
            if client.write_all(b" ").await.is_ok() {
                left.push(client);
            }
        }
        clients = left;
        if clients.is_empty() {
            break;
        }
    }
    started.elapsed()
}

fn mebibytes(service: &Service) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", service.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

/// Asks all the while; how long the answers took, shortest first, and the most memory.
async fn behave(service: &Service, during: Duration) -> (Vec<Duration>, u64) {
    let (started, mut answers, mut memory) = (Instant::now(), Vec::new(), 0);
    while started.elapsed() < during {
        let asked = Instant::now();
        assert!(service.try_get("/api/sync/status").await.is_some(), "no answer: {}", service.log());
        answers.push(asked.elapsed());
        memory = memory.max(mebibytes(service));
        sleep(Duration::from_millis(50)).await;
    }
    answers.sort_unstable();
    (answers, memory)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_keep_it_waiting_keep_nobody_else() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    let world = World::sqlite();
    world.print_of(AGENTS[0], &TYPES, 300);
    let service = world.serve("service").await;
    service.post("/api/sync/trigger/orders", json!({ "agentId": AGENTS[0] })).await;
    service.idle().await;
    let (addr, before) = (service.addr(), mebibytes(&service));

    let idle = all(addr, 1_000, String::new(), b"");
    let slow_head = all(addr, 100, "GET /livez HTTP/1.1\r\nHost: localhost\r\n".to_owned(), b"X: y\r\n");
    let second = format!("{}GET /livez HTTP/1.1\r\n", head("GET", "/api/breakers", ""));
    let slow_second = all(addr, 100, second, b"X: y\r\n");
    let body = head("POST", "/api/sync/pause", "Content-Type: application/json\r\nContent-Length: 1000\r\n");
    let slow_body = all(addr, 100, body, b" ");
    let upload = head("POST", "/api/upload/orders?agent=anna", "Content-Length: 100000\r\n") + "%PDF-1.7 ";
    let slow_upload = all(addr, 20, upload, b"x");
    let flood = format!("GET /livez HTTP/1.1\r\nHost: localhost\r\n{}", "X-Flood: 1\r\n".repeat(20_000));
    let floods = all(addr, 50, flood, b"");
    let lists = takers(addr, 5, head("GET", "/api/data/orders?limit=300", "").repeat(100));
    let good = behave(&service, Duration::from_secs(45));
    let (idle, slow_head, slow_second, slow_body, slow_upload, floods, lists, (answers, memory)) =
        tokio::join!(idle, slow_head, slow_second, slow_body, slow_upload, floods, lists, good);

    let (usual, longest) = (answers[answers.len() * 95 / 100], answers[answers.len() - 1]);
    println!(
        "silent {idle:?}, slow head {slow_head:?}, slow second head {slow_second:?}, slow body {slow_body:?}, slow \
         upload {slow_upload:?}, floods {floods:?}, takers {lists:?}; a client that behaves waited \
         {usual:?}, at most {longest:?}; {before} MiB before, at most {memory} MiB"
    );
    // whom they keep waiting waits as long as they are kept, 10 s and more; a busy machine makes one wait for 2 s too
    assert!(usual < Duration::from_secs(2) && longest < Duration::from_secs(8), "{usual:?}, {longest:?}");
    assert!(memory < before + 100, "{before} MiB, then {memory} MiB");
    for end in [&idle, &slow_head, &slow_second] {
        assert!(end.after < Duration::from_secs(25), "{end:?}");
    }
    assert!(slow_body.after < Duration::from_secs(30), "{slow_body:?}");
    assert_eq!(slow_body.status, Some(408));
    assert!(slow_upload.after < Duration::from_secs(45), "{slow_upload:?}");
    assert!(floods.after < Duration::from_secs(20) && floods.status.is_none_or(|status| status >= 400), "{floods:?}");
    assert!(lists < Duration::from_secs(70), "{lists:?}");
    let system = service.get("/api/system").await;
    assert!(system["connections"]["open"].as_u64().unwrap() < 20, "{system}");
}

#[tokio::test]
async fn two_thousand_who_say_nothing_give_way_to_one_who_does() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    let world = World::sqlite().with(&["limits.connections = 500", "limits.connections_per_address = 500"]);
    let service = world.serve("service").await;
    let mut silent = Vec::new();
    for _ in 0..2_000 {
        silent.push(TcpStream::connect(service.addr()).await.unwrap());
    }
    let asked = Instant::now();
    let system = service.get("/api/system").await;
    println!("answered after {:?} beside {} silent ones: {}", asked.elapsed(), silent.len(), system["connections"]);
    assert!(asked.elapsed() < Duration::from_secs(2));
    assert_eq!(system["connections"], json!({ "open": 500, "most": 500 }));
}
