//! Durable servers of a test's own, which it stops, breaks and starts again; and a proxy that loses answers.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// A PostgreSQL or Redis server, or a pooler, that is stopped when dropped.
pub struct Server {
    kind: &'static str,
    folder: PathBuf,
    pub url: String,
}

fn script(arguments: &[&str]) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers");
    let output = Command::new(script).args(arguments).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

impl Server {
    pub fn postgres(root: &Path) -> Self {
        Self::start("postgres", root)
    }

    pub fn redis(root: &Path) -> Self {
        Self::start("redis", root)
    }

    /// A pooler before `postgres`; `settings` are lines of its file.
    pub fn pgbouncer(root: &Path, postgres: &Server, settings: &[&str]) -> Self {
        Self::start_with("pgbouncer", root, &[&[postgres.url.as_str()], settings].concat())
    }

    fn start(kind: &'static str, root: &Path) -> Self {
        Self::start_with(kind, root, &[])
    }

    fn start_with(kind: &'static str, root: &Path, arguments: &[&str]) -> Self {
        let folder = root.join(kind);
        let url = script(&[&["start", kind, folder.to_str().unwrap()], arguments].concat());
        Self { kind, folder, url }
    }

    pub fn stop(&self) {
        script(&["stop", self.kind, self.folder.to_str().unwrap()]);
    }

    /// Starts it again, with its data, on the same port.
    pub fn start_again(&self) {
        assert_eq!(script(&["start", self.kind, self.folder.to_str().unwrap()]), self.url);
    }

    pub fn port(&self) -> u16 {
        std::fs::read_to_string(self.folder.join("port")).unwrap().trim().parse().unwrap()
    }

    /// Asks PostgreSQL something by its own client.
    pub fn sql(&self, sql: &str) -> String {
        let output = Command::new("psql").args(["-XAtc", sql, &self.url]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Asks Redis something by its own client.
    pub fn redis_cli(&self, arguments: &[&str]) -> String {
        let port = self.port().to_string();
        let output = Command::new("redis-cli").args(["-p", &port]).args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Redis's process.
    pub fn pid(&self) -> u32 {
        std::fs::read_to_string(self.folder.join("pid")).unwrap().trim().parse().unwrap()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Sends a signal to a process.
pub fn signal(name: &str, pid: u32) {
    assert!(Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().unwrap().success());
}

/// Stands between a service and PostgreSQL. Of the commits that pass, every `every`-th is carried out, but its
/// answer never comes: the connection ends instead.
pub struct Proxy {
    pub addr: SocketAddr,
    /// 0 lets all answers pass.
    pub every: Arc<AtomicUsize>,
    pub lost: Arc<AtomicUsize>,
}

impl Proxy {
    pub async fn before(port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let proxy = Self { addr: listener.local_addr().unwrap(), every: Arc::default(), lost: Arc::default() };
        let (every, lost, commits) = (proxy.every.clone(), proxy.lost.clone(), Arc::new(AtomicUsize::new(0)));
        tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                let (every, lost, commits) = (every.clone(), lost.clone(), commits.clone());
                tokio::spawn(async move {
                    if let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await {
                        drop(pass(client, server, &every, &lost, &commits).await);
                    }
                });
            }
        });
        proxy
    }
}

async fn pass(
    mut client: TcpStream,
    mut server: TcpStream,
    every: &AtomicUsize,
    lost: &AtomicUsize,
    commits: &AtomicUsize,
) -> std::io::Result<()> {
    let (mut asked, mut answered) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    let mut loses = false;
    loop {
        tokio::select! {
            read = client.read(&mut asked) => {
                let read = read?;
                if read == 0 {
                    return Ok(());
                }
                // a simple query: Q, its length, COMMIT and a zero
                if asked[..read].windows(12).any(|message| message == b"Q\0\0\0\x0bCOMMIT\0") {
                    let every = every.load(Ordering::Relaxed);
                    loses = every > 0 && (commits.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(every);
                }
                server.write_all(&asked[..read]).await?;
            }
            read = server.read(&mut answered) => {
                let read = read?;
                if read == 0 || loses {
                    // the server has answered, so it is committed; nobody is told
                    lost.fetch_add(usize::from(loses), Ordering::Relaxed);
                    return Ok(());
                }
                client.write_all(&answered[..read]).await?;
            }
        }
    }
}
