//! Which characters draw lines? Dashes under a header and pipes between columns, as spool lists have them.

use super::super::pdf::{Page, Rule, TextRun};

/// From so many dashes on, a text is a line.
const DASHES: usize = 4;
/// Pipes on one line that part columns, at least.
const PIPES: usize = 2;
/// Letters of a fixed pitch differ from it by less than this share.
const PITCH: f64 = 0.03;

/// Turns dashes and pipes into rules, and takes them out of the texts.
pub(crate) fn draw(page: &mut Page) {
    let is_dash = |character: char| matches!(character, '-' | '_' | '=' | '+' | '|' | '\u{2500}'..='\u{257f}');
    let mut kept: Vec<TextRun> = Vec::with_capacity(page.runs.len());
    let mut rules = Vec::new();
    for run in std::mem::take(&mut page.runs) {
        let text = page.text_of(&run).trim();
        let letters = text.chars().count();
        if letters >= DASHES && text.chars().all(|character| is_dash(character) || character == ' ') {
            rules.push(Rule::Horizontal { y: run.y + run.size * super::MIDDLE, x0: run.x0, x1: run.x1 });
        } else {
            kept.push(run);
        }
    }
    page.runs = kept;
    page.rules.extend(rules);
    draw_pipes(page);
}

/// Parts runs at their pipes, where the letters have a fixed pitch and most lines have pipes.
fn draw_pipes(page: &mut Page) {
    let pipes = |run: &TextRun| page.text_of(run).matches('|').count();
    let mut lines: Vec<i64> = page.runs.iter().filter(|run| pipes(run) > 0).map(|run| run.y.round() as i64).collect();
    lines.sort_unstable();
    lines.dedup();
    if lines.len() < 2 || page.runs.iter().map(pipes).sum::<usize>() < lines.len() * PIPES {
        return;
    }
    let mut kept: Vec<TextRun> = Vec::with_capacity(page.runs.len());
    for run in &page.runs {
        let text = page.text_of(run);
        let body = text.trim();
        let pitch = (run.x1 - run.x0) / body.chars().count().max(1) as f64;
        // without a fixed pitch, the place of its pipes is not known
        let is_fixed = body == "|" || (pitch - run.first_advance).abs() < run.first_advance * PITCH;
        if !body.contains('|') || !is_fixed {
            kept.push(run.clone());
            continue;
        }
        let lead = text.len() - text.trim_start().len();
        for piece in body.split('|').filter(|piece| !piece.trim().is_empty()) {
            // pieces are parts of the body
            let at = piece.as_ptr() as usize - body.as_ptr() as usize;
            let blank = piece.len() - piece.trim_start().len();
            let start = run.text.start + (lead + at + blank) as u32;
            let x0 = run.x0 + body[..at + blank].chars().count() as f64 * pitch;
            let x1 = x0 + piece.trim().chars().count() as f64 * pitch;
            kept.push(TextRun { x0, x1, text: start..start + piece.trim().len() as u32, ..run.clone() });
        }
    }
    page.runs = kept;
}

#[cfg(test)]
mod tests {
    use super::{super::page_of, *};

    #[test]
    fn dashes_are_rules_and_pipes_part_columns() {
        let mut page =
            page_of(&[(0.0, 45.0, 60.0, "| ID|NOME"), (0.0, 45.0, 50.0, "---------"), (0.0, 45.0, 40.0, "| 71|Rosa")]);
        draw(&mut page);
        let texts: Vec<(&str, f64)> = page.runs.iter().map(|run| (page.text_of(run), run.x0)).collect();
        assert_eq!(texts, [("ID", 10.0), ("NOME", 25.0), ("71", 10.0), ("Rosa", 25.0)]);
        assert_eq!(page.rules.len(), 1);
    }
}
