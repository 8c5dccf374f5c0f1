//! What does the process do that reads a report? Limits itself, reads the request, answers, ends.

use std::{
    io::{self, BufRead, Read, Write},
    time::Duration,
};

use parking_lot::Mutex;
use rustix::process::{Resource, Rlimit, Signal, set_parent_process_death_signal, setrlimit};

use super::{
    super::{Budget, ReadLimits, Refusal, RefusalCode, Request, explain},
    confine::{self, Confinement},
    wire::{ExplainedPage, Frame, Head, Reply, receive, send},
};
use crate::sync_type::SyncTypes;

/// Threads that read pages; more would only share the same two cores with the service.
const THREADS: usize = 2;
/// Pages between two reports of progress: a hundredth of the file.
const STEPS: usize = 100;
/// Real reports need a small part of it; what threads and the program itself map counts as well.
const THREAD_STACK: usize = 4 << 20;

/// Serves the one request on standard input.
///
/// # Errors
/// What the system says of limits, threads and pipes; a refused report is an answer, not an error.
pub fn run() -> anyhow::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    // threads that are started later have no files either
    let landlock = confine::no_files();
    // its threads first: afterwards no process or thread may be started
    rayon::ThreadPoolBuilder::new().num_threads(THREADS).stack_size(THREAD_STACK).build_global()?;
    rayon::broadcast(|_| ());
    for (resource, limit) in [(Resource::Core, 0), (Resource::Fsize, 0), (Resource::Nofile, 3), (Resource::Nproc, 0)] {
        setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) })?;
    }
    let seccomp = confine::no_calls();
    let mut input = io::stdin().lock();
    let head: Head = receive(&mut input)?;
    setrlimit(Resource::As, Rlimit { current: Some(head.memory), maximum: Some(head.memory) })?;
    setrlimit(Resource::Cpu, Rlimit { current: Some(head.seconds), maximum: Some(head.seconds + 1) })?;
    let mut bytes = Vec::with_capacity(usize::try_from(head.length)?);
    input.by_ref().take(head.length).read_to_end(&mut bytes)?;
    anyhow::ensure!(bytes.len() as u64 == head.length && input.fill_buf()?.is_empty(), "the request was cut off");
    if head.answer == Reply::Confinement {
        let found = Frame::Confined(Confinement::look(landlock, seccomp));
        send(&mut io::stdout(), &found)?;
        std::process::exit(0)
    }
    let types = SyncTypes::from_files(head.types.iter().cloned())?;
    let answer = Mutex::new(io::stdout());
    let last = serve(&head, &bytes, &types, &answer);
    send(&mut *answer.lock(), &last)?;
    // the system takes the memory back faster than it could be given back piece by piece
    std::process::exit(0)
}

fn serve(head: &Head, bytes: &[u8], types: &SyncTypes, answer: &Mutex<impl Write + Send>) -> Frame {
    let Some(spec) = types.get(&head.sync_type) else {
        return Frame::Refused(Refusal::new(RefusalCode::WrongType, format!("there is no type '{}'", head.sync_type)));
    };
    // a frame that cannot be sent has nobody to read it
    let tell = |frame: &Frame| drop(send(&mut *answer.lock(), frame));
    let progress = |done: usize, total: usize| {
        let step = (total / STEPS).max(1);
        if done.is_multiple_of(step) || done == total {
            tell(&Frame::Progress(done, total));
        }
    };
    let limits = ReadLimits { time: Duration::from_secs(head.seconds), ..ReadLimits::default() };
    let budget = Budget::new(limits);
    let request = Request { bytes, spec, types, budget: &budget, progress: &progress };
    match head.answer {
        // that was answered before anything was read
        Reply::Records | Reply::Confinement => {}
        Reply::Drawing { page, mark } => {
            return request.draw(page, mark).map_or_else(Frame::Refused, Frame::Drawn);
        }
        Reply::Explanation { text, svg } => {
            let explained = request.explain(None, |page, found, what| {
                tell(&Frame::Page(ExplainedPage {
                    page: page.number,
                    text: if text { explain::text(page, found, what) } else { String::new() },
                    svg: if svg { explain::svg(page, found, None) } else { String::new() },
                }));
            });
            if let Err(refusal) = explained {
                return Frame::Refused(refusal);
            }
        }
    }
    // explaining a file reads it as well, and must not make it too dear to be read
    let budget = Budget::new(limits);
    match (Request { budget: &budget, ..request }).read() {
        Ok(report) => Frame::Done(Box::new(report.into())),
        Err(refusal) => Frame::Refused(refusal),
    }
}
