//! What does the log say of one run? Its lines are kept with its span until its end stores them.

use std::fmt::{self, Write as _};

use chrono::Utc;
use tracing::{
    Level, Span, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer, Registry,
    filter::{LevelFilter, Targets},
    layer::Context,
    registry::LookupSpan,
};

use crate::domain::LogLine;

/// The span of a run.
pub const RUN: &str = "run";
/// Lines that are kept of a run.
const MOST_LINES: usize = 200;
/// Characters that are kept of a line.
const MOST_TEXT: usize = 1_000;

/// Keeps what is logged inside of a run, also what the log itself is too coarse for.
#[must_use]
pub fn run_log<S: Subscriber + for<'a> LookupSpan<'a>>() -> impl Layer<S> {
    Keep.with_filter(Targets::new().with_target("lockstep", LevelFilter::DEBUG))
}

/// Takes the lines of the run that this is called in; none where [`run_log`] does not listen.
#[must_use]
pub fn lines_of_this_run() -> Vec<LogLine> {
    let taken = Span::current().with_subscriber(|(id, dispatch)| {
        let span = dispatch.downcast_ref::<Registry>()?.span(id)?;
        let run = span.scope().find(|span| span.name() == RUN)?;
        run.extensions_mut().remove::<Lines>()
    });
    taken.flatten().map(|lines| lines.0).unwrap_or_default()
}

#[derive(Default)]
struct Lines(Vec<LogLine>);

struct Keep;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Keep {
    fn on_event(&self, event: &tracing::Event<'_>, ctx: Context<'_, S>) {
        let Some(run) = ctx.event_scope(event).and_then(|mut scope| scope.find(|span| span.name() == RUN)) else {
            return;
        };
        let mut extensions = run.extensions_mut();
        if extensions.get_mut::<Lines>().is_none() {
            extensions.insert(Lines::default());
        }
        let Some(Lines(lines)) = extensions.get_mut::<Lines>().filter(|lines| lines.0.len() < MOST_LINES) else {
            return;
        };
        let mut text = Text::default();
        event.record(&mut text);
        let level = level(*event.metadata().level()).to_owned();
        let whole = text.message + &text.fields;
        lines.push(LogLine { at: Utc::now(), level, text: whole.chars().take(MOST_TEXT).collect() });
    }
}

fn level(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

/// An event in one line.
#[derive(Default)]
struct Text {
    message: String,
    fields: String,
}

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // writing into a String cannot fail
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::prelude::*;

    use super::*;

    #[test]
    fn a_run_has_its_own_lines_and_no_others() {
        let subscriber = tracing_subscriber::registry().with(run_log());
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!("before");
            let [one, other] = [1, 2].map(|id| tracing::info_span!(RUN, run_id = id));
            one.in_scope(|| {
                tracing::debug!(rows = 3, by = "anna", "read");
                tracing::info_span!("within").in_scope(|| tracing::warn!("slow"));
                tracing::trace!("too fine");
            });
            other.in_scope(|| (0..MOST_LINES + 5).for_each(|_| tracing::info!("{}", "x".repeat(MOST_TEXT + 5))));
            let taken: Vec<_> =
                one.in_scope(lines_of_this_run).into_iter().map(|line| (line.level, line.text)).collect();
            assert_eq!(
                taken,
                [("debug", "read rows=3 by=\"anna\""), ("warn", "slow")].map(|(a, b)| (a.into(), b.into()))
            );
            assert!(one.in_scope(lines_of_this_run).is_empty(), "taken once");
            let bounded = other.in_scope(lines_of_this_run);
            assert_eq!((bounded.len(), bounded[0].text.len()), (MOST_LINES, MOST_TEXT));
        });
    }
}
