//! The process: runs the command line and turns its end into an exit code.

use lockstep::cli::{self, Exit};

fn main() -> Exit {
    cli::run().unwrap_or_else(|error| {
        // whoever reads our output has seen enough
        let is_closed = |cause: &std::io::Error| cause.kind() == std::io::ErrorKind::BrokenPipe;
        if error.chain().any(|cause| cause.downcast_ref().is_some_and(is_closed)) {
            return Exit::Done;
        }
        eprintln!("error: {error:#}");
        Exit::Failed
    })
}
