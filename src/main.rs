//! The process: runs the command line and turns its end into an exit code.

use lockstep::cli::{self, Exit};

fn main() -> Exit {
    cli::run().unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        Exit::Failed
    })
}
