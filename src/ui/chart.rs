//! How does a row of numbers look? As bars or as a line, named for those who do not see it; drawn here, without a script.

use std::fmt::Write as _;

use maud::{Markup, html};

/// The height of a drawing, and of the strip above it in which failures are marked.
const HEIGHT: f64 = 34.0;
const TOP: f64 = 6.0;
const WIDTH: f64 = 120.0;

fn scaled(value: f64, most: f64) -> f64 {
    (HEIGHT - 2.0 - TOP) * value / most.max(f64::MIN_POSITIVE)
}

fn most(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(0.0, f64::max)
}

fn frame(name: &str, paths: &[(&str, String)]) -> Markup {
    html! {
        svg.chart viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } preserveAspectRatio="none" role="img" aria-label=(name) {
            @for (class, path) in paths.iter().filter(|(_, path)| !path.is_empty()) {
                path class=(class) d=(path) {}
            }
            path.ax d={ "M0 " (HEIGHT - 1.0) "h" (WIDTH) } {}
        }
    }
}

/// A bar for each value; a mark above those that `failed`.
pub(super) fn bars(name: &str, values: &[f64], failed: &[bool]) -> Markup {
    let (step, most) = (WIDTH / values.len().max(1) as f64, most(values.iter().copied()));
    let (mut bars, mut marks) = (String::new(), String::new());
    for (at, value) in values.iter().enumerate() {
        let (left, high) = (at as f64 * step, scaled(*value, most));
        if high > 0.0 {
            let wide = step * 0.8;
            write!(bars, "M{left:.1} {:.1}h{wide:.1}v{high:.1}h-{wide:.1}z", HEIGHT - 1.0 - high).ok();
        }
        if failed.get(at).copied().unwrap_or_default() {
            write!(marks, "M{left:.1} 0h{:.1}l-{:.1} 5z", step * 0.8, step * 0.4).ok();
        }
    }
    frame(name, &[("bs", bars), ("xb", marks)])
}

/// A line through the values that are known, with a gap where none is.
pub(super) fn line(name: &str, values: &[Option<f64>]) -> Markup {
    let (step, most) = (WIDTH / values.len().max(1) as f64, most(values.iter().flatten().copied()));
    let mut path = String::new();
    let mut is_open = false;
    for (at, value) in values.iter().enumerate() {
        let Some(value) = value else {
            is_open = false;
            continue;
        };
        let high = HEIGHT - 1.0 - scaled(*value, most);
        let left = at as f64 * step;
        // one alone is a dash
        let begins = if is_open { 'L' } else { 'M' };
        write!(path, "{begins}{left:.1} {high:.1}h{:.1}", step * 0.8).ok();
        is_open = true;
    }
    frame(name, &[("ln", path)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_and_lines_are_as_high_as_their_share() {
        let drawn = bars("rows", &[0.0, 5.0, 10.0], &[true, false, false]).into_string();
        assert!(drawn.contains("M40.0 20.0h32.0v13.0h-32.0zM80.0 7.0h32.0v26.0h-32.0z"), "{drawn}");
        assert!(drawn.contains(r#"class="xb" d="M0.0 0h32.0l-16.0 5z""#), "{drawn}");
        let drawn = line("time", &[Some(1.0), None, Some(2.0), Some(1.0)]).into_string();
        assert!(drawn.contains("M0.0 20.0h24.0M60.0 7.0h24.0L90.0 20.0h24.0"), "{drawn}");
        for nothing in [bars("none", &[], &[]), bars("none", &[0.0], &[]), line("none", &[None])] {
            assert!(!nothing.into_string().contains("NaN"));
        }
    }
}
