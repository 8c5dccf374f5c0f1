//! How far is a long command? A bar on a terminal; nothing in a pipe, nor where the work is done at once.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar on standard error.
#[derive(Debug, Clone)]
pub(crate) struct Bar(ProgressBar);

impl Bar {
    /// A bar that shows nothing yet; it stays away where standard error is no terminal.
    pub(crate) fn new() -> Self {
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{msg} {wide_bar} {pos} of {len}");
        Self(style.map(|style| bar.clone().with_style(style)).unwrap_or(bar))
    }

    /// `done` of `total` of `what`.
    pub(crate) fn show(&self, what: &str, done: usize, total: usize) {
        if total > 0 {
            self.0.set_message(what.to_owned());
            self.0.set_length(total as u64);
            self.0.set_position(done as u64);
        }
    }

    /// Takes the bar away.
    pub(crate) fn clear(&self) {
        self.0.finish_and_clear();
    }
}
