//! How are ages, counts, standings and names said? The words, shapes and colours of all pages.

use maud::{Markup, PreEscaped, html};
use serde_json::Value as Json;

use crate::domain::{AgentId, Outcome, SERVICE_ACCOUNT, Standing, SyncType, Timestamp};

/// Characters of a name before it is cut; all of it is on the record's own page.
const MOST: usize = 80;
/// Characters of a reason, as well.
const MOST_WHY: usize = 240;

/// A symbol of the sprite.
pub(super) fn icon(name: &str) -> Markup {
    html! { svg.i aria-hidden="true" { use href={ "#" (name) } {} } }
}

/// How a standing is shown: its class, its symbol, its word.
pub(super) fn standing(standing: &Standing) -> (&'static str, &'static str, &'static str) {
    match standing {
        Standing::Refused { .. } => ("s-refused", "refused", "refused"),
        Standing::Failing { .. } => ("s-failing", "failing", "failing"),
        Standing::Held { .. } => ("s-held", "held", "held"),
        Standing::Late { .. } => ("s-late", "late", "late"),
        Standing::Never => ("s-never", "never", "never"),
        Standing::Paused => ("s-paused", "paused", "paused"),
        Standing::Off => ("s-off", "off", "off"),
        Standing::Fresh => ("s-fresh", "fresh", "fresh"),
    }
}

/// How a run's end looks: its class and its symbol.
pub(super) fn end_of(outcome: Option<Outcome>) -> (&'static str, &'static str) {
    match outcome {
        None => ("s-running", "running"),
        Some(Outcome::Succeeded | Outcome::Unchanged) => ("s-fresh", "done"),
        Some(Outcome::SucceededWithQuarantine) => ("s-wait", "quar"),
        Some(Outcome::Held) => ("s-held", "held"),
        Some(outcome) if outcome.is_failure() => ("s-failing", "failing"),
        Some(_) => ("s-off", "off"),
    }
}

/// How a run ended, in a word.
pub(super) fn outcome(outcome: Option<Outcome>) -> Markup {
    let (class, symbol) = end_of(outcome);
    let word = outcome.map_or("running", Outcome::as_str).replace('_', " ");
    html! { span.st.(class) { (icon(symbol)) span { (word) } } }
}

/// A type's name for people; a seventh type has its own.
pub(super) fn type_name(name: &SyncType) -> String {
    match name.as_str() {
        "ddt" => "Delivery notes".to_owned(),
        other => {
            let mut letters = other.chars();
            letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
        }
    }
}

/// `1,284`
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 row`, `2 rows`
pub(super) fn of(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// `12 s`, `3 min`, `1 h 02`, `3 days`
pub(super) fn span(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ 0..=59 => format!("{seconds} s"),
        seconds @ 60..=3_599 => format!("{} min", seconds / 60),
        seconds @ 3_600..=172_799 => format!("{} h {:02}", seconds / 3_600, seconds % 3_600 / 60),
        seconds => format!("{} days", seconds / 86_400),
    }
}

/// How long ago a moment was, the moment itself on hover.
pub(super) fn ago(at: Timestamp, now: Timestamp) -> Markup {
    html! {
        time datetime=(at.to_rfc3339()) title=(at.format("%a %d %b %Y %H:%M:%S UTC")) data-ago="" {
            (span((now - at).num_seconds()))
        }
    }
}

/// A time of day, in the browser's zone where its script is on.
pub(super) fn clock(at: Timestamp, now: Timestamp) -> Markup {
    let is_today = at.date_naive() == now.date_naive();
    let text = if is_today { at.format("%H:%M").to_string() } else { at.format("%d %b %H:%M").to_string() };
    html! { time datetime=(at.to_rfc3339()) title=(at.format("%a %d %b %Y %H:%M:%S UTC")) data-clock="" { (text) } }
}

/// Somebody else's text, cut where it is long, and of its own direction.
pub(super) fn name(text: &str) -> Markup {
    let cut: String = text.chars().take(MOST).collect();
    let is_cut = cut.len() < text.len();
    html! { bdi title=[is_cut.then_some(text.chars().take(500).collect::<String>())] { (cut) @if is_cut { "…" } } }
}

/// A type, and the agent whose it is.
pub(super) fn whose(sync_type: &SyncType, agent: &AgentId) -> Markup {
    html! {
        (type_name(sync_type))
        @if agent.as_str() != SERVICE_ACCOUNT { " of " (name(agent.as_str())) }
    }
}

/// Why something went as it did, cut where it is long.
pub(super) fn why(text: &str) -> Markup {
    let cut: String = text.chars().take(MOST_WHY).collect();
    let is_cut = cut.len() < text.len();
    html! { span dir="auto" title=[is_cut.then_some(text.chars().take(1_000).collect::<String>())] { (cut) @if is_cut { "…" } } }
}

/// What was said, as a sentence.
pub(super) fn sentence(said: &str) -> String {
    let mut letters = said.trim().chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    let end = if said.trim().ends_with(['.', '!', '?']) { "" } else { "." };
    first + letters.as_str() + end
}

/// Text that is markup already: the sprite, a drawing of ours.
pub(super) fn ours(markup: &str) -> Markup {
    PreEscaped(markup.to_owned())
}

/// An address of ours with this query; what is empty is left out.
pub(super) fn link(path: &str, query: &[(&str, &str)]) -> String {
    let escaped =
        |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
    let parts: Vec<String> = query
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name}={}", escaped(value)))
        .collect();
    if parts.is_empty() { path.to_owned() } else { format!("{path}?{}", parts.join("&")) }
}

/// A part of a path.
pub(super) fn part(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// A value as it is stored.
pub(super) fn text(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_spans_are_said_as_people_say_them() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([1, 2].map(|rows| of(rows, "row", "rows")), ["1 row", "2 rows"]);
        assert_eq!([5, 60, 3_720, 172_800, -3].map(span), ["5 s", "1 min", "1 h 02", "2 days", "0 s"]);
        assert_eq!(type_name(&"orders".into()), "Orders");
        assert_eq!(["über alles", " it is. ", ""].map(sentence), ["Über alles.", "It is.", "."]);
        assert_eq!(link("/runs", &[("type", "a&b"), ("agent", "")]), "/runs?type=a%26b");
    }

    #[test]
    fn names_of_others_are_text_and_bounded() {
        let shown = name(&format!("<script>{}", "x".repeat(10_000))).0;
        assert!(shown.starts_with("<bdi title=\"&lt;script&gt;x") && shown.len() < 800, "{}", shown.len());
    }
}
