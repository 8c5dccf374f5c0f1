//! How is a hostile file kept from doing harm? Every report is read in a process of its own.
//!
//! The child has little memory and time, an empty environment, no files, sockets or children ([`Confinement`]) and its
//! own process group; it is killed when nobody waits for its answer any more. What it answers is bounded
//! and checked. Its end is named: `out_of_memory`, `cpu`, `timeout`, `crash`, `budget`.

mod confine;
mod gate;
mod wire;
mod worker;

use std::{
    io,
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{Child, Command},
};

pub use confine::Confinement;
pub use gate::Gate;
pub use wire::{ExplainedPage, Reply};
pub use worker::run as run_worker;

use super::{Drawing, MarkedRow, Refusal, RefusalCode, Report};
use crate::sync_type::{SyncTypeSpec, SyncTypes};
use wire::{Frame, Head, decode, encode};

/// The command that makes this program the child.
pub const WORKER_COMMAND: &str = "parse-worker";
/// What the child says on standard error beyond this is not kept.
const STDERR_KEPT: u64 = 4_096;
/// The linear part of the memory that reading takes, in bytes for a byte of the file.
const MEMORY_A_BYTE: u64 = 40;
/// An answer is bounded by this, and by so many bytes for a byte of the file: records are smaller than
/// the file that prints them; drawings of its pages are larger, and are handed on one by one.
const ANSWER: u64 = 2 << 20;
const RECORDS_A_BYTE: u64 = 8;
const EXPLANATION_A_BYTE: u64 = 512;
/// Reports of progress, at most.
const MOST_PROGRESS: usize = 10_000;
/// How much longer than its own limit the child is waited for.
const GRACE: Duration = Duration::from_secs(2);
const SIGABRT: i32 = 6;
const SIGKILL: i32 = 9;
const SIGXCPU: i32 = 24;

/// What is to be read.
#[derive(Clone)]
pub struct Job {
    /// The file.
    pub bytes: Arc<Vec<u8>>,
    pub spec: Arc<SyncTypeSpec>,
    /// All types.
    pub types: Arc<SyncTypes>,
    /// Told pages read, of how many.
    pub progress: Arc<dyn Fn(usize, usize) + Send + Sync>,
}

/// Reads reports. Dropping the future ends the work.
#[async_trait]
pub trait ReadReports: Send + Sync {
    /// Reads one.
    ///
    /// # Errors
    /// [`Refusal`], also where the reader itself came to a bad end.
    async fn read(&self, job: Job) -> Result<Report, Refusal>;

    /// Draws one page, from 1, as it was read, with one of its rows marked.
    ///
    /// # Errors
    /// [`Refusal`], where the file has no pages that could be drawn, or the reader came to a bad end.
    async fn draw(&self, job: Job, page: usize, mark: Option<MarkedRow>) -> Result<Drawing, Refusal>;

    /// What the process that reads may still do; `None` where reports are read in this one.
    ///
    /// # Errors
    /// [`Refusal`], where the reader came to a bad end.
    async fn confinement(&self, _types: &Arc<SyncTypes>) -> Result<Option<Confinement>, Refusal> {
        Ok(None)
    }
}

/// Reads each report in a child process.
#[derive(Debug, Clone)]
pub struct Sandbox {
    /// The program, which knows the command [`WORKER_COMMAND`].
    pub worker: PathBuf,
    /// The child's address space in bytes, before what its file's size adds.
    pub memory: u64,
    /// The child's processor time, and its time in all.
    pub time: Duration,
}

#[async_trait]
impl ReadReports for Sandbox {
    async fn read(&self, job: Job) -> Result<Report, Refusal> {
        self.run(&job, Reply::Records, &mut |_| {}).await
    }

    async fn draw(&self, job: Job, page: usize, mark: Option<MarkedRow>) -> Result<Drawing, Refusal> {
        match self.answer(&job, Reply::Drawing { page, mark }, &mut |_| {}).await? {
            Frame::Drawn(drawing) => Ok(drawing),
            _ => Err(ended(RefusalCode::Crash, "answered something else than a drawing")),
        }
    }

    async fn confinement(&self, types: &Arc<SyncTypes>) -> Result<Option<Confinement>, Refusal> {
        let Some(spec) = types.iter().next().cloned() else { return Ok(None) };
        let job = Job { bytes: Arc::default(), spec, types: types.clone(), progress: Arc::new(|_, _| {}) };
        match self.answer(&job, Reply::Confinement, &mut |_| {}).await? {
            Frame::Confined(found) => Ok(Some(found)),
            _ => Err(ended(RefusalCode::Crash, "answered something else than what it may do")),
        }
    }
}

impl Sandbox {
    /// Reads one report and hands every explained page, if asked for, to `page`.
    ///
    /// # Errors
    /// As [`ReadReports::read`].
    pub async fn run(
        &self,
        job: &Job,
        answer: Reply,
        page: &mut (dyn FnMut(ExplainedPage) + Send),
    ) -> Result<Report, Refusal> {
        match self.answer(job, answer, page).await? {
            Frame::Done(report) => report
                .into_report(&job.spec)
                .ok_or_else(|| ended(RefusalCode::Crash, "answered with something that is no report")),
            _ => Err(ended(RefusalCode::Crash, "ended in the middle of its answer")),
        }
    }

    /// The child's last frame, which is no refusal.
    async fn answer(
        &self,
        job: &Job,
        answer: Reply,
        page: &mut (dyn FnMut(ExplainedPage) + Send),
    ) -> Result<Frame, Refusal> {
        let size = job.bytes.len() as u64;
        let head = Head {
            sync_type: job.spec.name.to_string(),
            types: job.types.files().to_vec(),
            answer,
            length: size,
            memory: self.memory + size * MEMORY_A_BYTE,
            seconds: self.time.as_secs().max(1),
        };
        let mut child = self.start().map_err(|error| self.cannot_start(&error))?;
        let mut group = Group(child.id());
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(mut stdin), Some(mut stdout), Some(stderr)) = pipes else {
            return Err(self.cannot_start(&io::Error::other("it has no pipes")));
        };
        let request = encode(&head).map_err(|error| self.cannot_start(&error))?;
        let send = async {
            // a child that ends before it has read everything says why itself
            let sent = stdin.write_all(&request).await;
            if sent.is_ok() {
                stdin.write_all(&job.bytes).await.ok();
            }
            drop(stdin);
        };
        let mut said = Vec::new();
        let mut stderr = stderr.take(STDERR_KEPT);
        let a_byte = if answer == Reply::Records { RECORDS_A_BYTE } else { EXPLANATION_A_BYTE };
        let mut room = ANSWER + size * a_byte;
        let talk = async {
            let answer = async {
                let last = receive(&mut stdout, &mut room, job, page).await;
                // whatever came: it has nothing more to do, and may wait for us
                group.kill();
                last
            };
            let (last, (), _) = tokio::join!(answer, send, stderr.read_to_end(&mut said));
            last
        };
        let last = tokio::time::timeout(self.time + GRACE, talk).await;
        group.kill();
        let status = child.wait().await;
        // its number may be another's from now on
        group.0 = None;
        match last {
            Err(_) => Err(ended(RefusalCode::Timeout, &format!("took longer than {} s", self.time.as_secs()))),
            Ok(Ok(Frame::Refused(refusal))) => Err(refusal),
            Ok(Ok(last)) => Ok(last),
            Ok(Err(error)) => Err(cause(&error, status.ok(), &String::from_utf8_lossy(&said))),
        }
    }

    fn start(&self) -> io::Result<Child> {
        Command::new(&self.worker)
            .arg(WORKER_COMMAND)
            .env_clear()
            .env("MALLOC_ARENA_MAX", "2")
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
    }

    fn cannot_start(&self, error: &io::Error) -> Refusal {
        let text = format!("the process that reads reports ({}) cannot be started: {error}", self.worker.display());
        Refusal::new(RefusalCode::Crash, text)
    }
}

/// The child's process group, which ends when nobody waits for it any more.
struct Group(Option<u32>);

impl Group {
    fn kill(&self) {
        let leader = self.0.and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        // it may have ended by itself
        leader.map(|leader| kill_process_group(leader, Signal::KILL));
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

fn ended(code: RefusalCode, how: &str) -> Refusal {
    Refusal::new(code, format!("the process that read this file {how}"))
}

/// Names the end of a child that did not answer.
fn cause(error: &io::Error, status: Option<ExitStatus>, said: &str) -> Refusal {
    let signal = status.and_then(|status| status.signal());
    // else it was killed here, because of what it answered
    let has_died = error.kind() == io::ErrorKind::UnexpectedEof;
    // what the allocator, the inflater and the system say of it
    if ["memory allocation of", "MemError", "Cannot allocate memory"].iter().any(|cause| said.contains(cause)) {
        return ended(RefusalCode::OutOfMemory, "needed more memory than a report may");
    }
    match signal {
        Some(SIGXCPU) => ended(RefusalCode::Cpu, "used more processor time than a report may"),
        Some(SIGKILL) if has_died => {
            ended(RefusalCode::OutOfMemory, "was killed by the system, most likely for its memory")
        }
        Some(SIGABRT) => ended(RefusalCode::Crash, &format!("aborted: {}", said.trim())),
        Some(signal) if has_died => ended(RefusalCode::Crash, &format!("died of signal {signal}: {}", said.trim())),
        _ => ended(RefusalCode::Crash, &format!("gave no answer ({error}): {}", said.trim())),
    }
}

/// Reads frames up to the last one; `room` bytes in all.
async fn receive(
    from: &mut (impl AsyncRead + Unpin),
    room: &mut u64,
    job: &Job,
    page: &mut (dyn FnMut(ExplainedPage) + Send),
) -> io::Result<Frame> {
    let mut told = 0;
    loop {
        let length = from.read_u32_le().await?;
        *room = room
            .checked_sub(u64::from(length) + 4)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "its answer is too long"))?;
        let mut bytes = vec![0; length as usize];
        from.read_exact(&mut bytes).await?;
        match decode(&bytes)? {
            Frame::Progress(..) if told == MOST_PROGRESS => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "it tells its progress too often"));
            }
            Frame::Progress(done, total) => {
                told += 1;
                (job.progress)(done, total);
            }
            Frame::Page(explained) => page(explained),
            last => return Ok(last),
        }
    }
}
