//! A server of which tests say, request by request, how it behaves: raw TCP, so that it can break any rule.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde_json::Value as Json;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    task::{JoinHandle, JoinSet},
};

/// How a request is answered.
#[derive(Debug, Clone)]
pub enum Answer {
    /// With this status and these header lines.
    Status(u16, Vec<String>),
    /// After so long, with success.
    Late(Duration),
    /// The connection ends once the request is read.
    Close,
    /// Never.
    Silence,
    /// With what is no HTTP.
    Garbage,
    /// The head promises a body that never ends.
    Endless,
}

impl Answer {
    pub fn ok() -> Self {
        Answer::Status(200, Vec::new())
    }

    pub fn status(status: u16) -> Self {
        Answer::Status(status, Vec::new())
    }
}

/// One request, as it came.
#[derive(Debug, Clone)]
pub struct Request {
    pub headers: BTreeMap<String, String>,
    pub text: String,
    pub body: Json,
}

type Behaviour = Arc<dyn Fn(usize, &Request) -> Answer + Send + Sync>;

/// Listens until it is dropped.
pub struct TestServer {
    pub addr: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
    listening: JoinHandle<()>,
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl TestServer {
    /// Answers each request as `behaviour` says: it is told the request's number, from 0.
    pub async fn start(behaviour: impl Fn(usize, &Request) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        Self::on(listener, behaviour)
    }

    pub fn on(listener: TcpListener, behaviour: impl Fn(usize, &Request) -> Answer + Send + Sync + 'static) -> Self {
        let seen: Arc<Mutex<Vec<Request>>> = Arc::default();
        let (addr, requests) = (listener.local_addr().unwrap(), seen.clone());
        let behaviour: Behaviour = Arc::new(behaviour);
        let listening = tokio::spawn(async move {
            // ends with the server, whatever is under way
            let mut talks = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                talks.spawn(talk(stream, requests.clone(), behaviour.clone()));
            }
        });
        Self { addr, seen, listening }
    }

    pub fn url(&self) -> String {
        format!("http://{}/changes", self.addr)
    }

    pub fn requests(&self) -> Vec<Request> {
        self.seen.lock().unwrap().clone()
    }

    /// The record of each request, in the order of their arrival.
    pub fn records(&self) -> Vec<String> {
        self.requests().iter().map(|request| request.body["recordId"].as_str().unwrap().to_owned()).collect()
    }
}

async fn talk(stream: TcpStream, seen: Arc<Mutex<Vec<Request>>>, behaviour: Behaviour) {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read(&mut stream).await {
        let number = {
            let mut seen = seen.lock().unwrap();
            seen.push(request.clone());
            seen.len() - 1
        };
        let text = match behaviour(number, &request) {
            Answer::Status(status, headers) => {
                let headers = headers.iter().fold(String::new(), |all, line| all + line + "\r\n");
                format!("HTTP/1.1 {status} Said\r\n{headers}content-length: 2\r\n\r\n{{}}")
            }
            Answer::Late(wait) => {
                tokio::time::sleep(wait).await;
                "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned()
            }
            Answer::Close => return,
            Answer::Silence => std::future::pending().await,
            Answer::Garbage => "\u{7}\u{7}\u{7} not a status line\r\n\r\n".to_owned(),
            Answer::Endless => {
                let head = "HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n";
                drop(stream.write_all(head.as_bytes()).await);
                while stream.write_all(&[b'x'; 4_096]).await.is_ok() {}
                return;
            }
        };
        if stream.write_all(text.as_bytes()).await.is_err() {
            return;
        }
    }
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut line = String::new();
    let mut headers = BTreeMap::new();
    loop {
        line.clear();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        if line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(": ") {
            headers.insert(name.to_lowercase(), value.trim().to_owned());
        }
    }
    let length = headers.get("content-length").and_then(|length: &String| length.parse().ok()).unwrap_or(0);
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).await.ok()?;
    let text = String::from_utf8(bytes).unwrap();
    Some(Request { headers, body: serde_json::from_str(&text).unwrap_or(Json::Null), text })
}
