//! Which cells does a page show? Text put into the lattice that rules draw.

use super::{
    Refusal, RefusalCode,
    pdf::{Page, Rect, Rule, Run},
};

/// Rules nearer to each other than this (points) are one line: borders of neighbouring cells.
const SAME_LINE: f64 = 2.0;
/// A line is part of the lattice if its rules together are at least this share of the longest line.
const LATTICE_SHARE: f64 = 0.5;
/// Baselines nearer than this share of the size are one printed line.
const SAME_BASELINE: f64 = 0.4;
/// A gap this wide (share of the size) between two runs of a line is a blank.
const WORD_GAP: f64 = 0.15;

/// One row of cells.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Upper edge, points from the page's bottom.
    pub top: f64,
    /// Lower edge.
    pub bottom: f64,
    /// One text a column; blank where nothing is printed.
    pub cells: Vec<String>,
}

/// One page's table: the header row and the rows below it.
#[derive(Debug, Clone, PartialEq)]
pub struct PageTable {
    /// From 1.
    pub page: usize,
    /// The printed headers.
    pub headers: Vec<String>,
    /// The rows below.
    pub rows: Vec<Row>,
}

/// Recognises a page's table.
///
/// # Errors
/// `no_table` where there is no lattice, `unreadable_text` where glyphs of unknown text are printed.
pub fn recognise(page: &Page) -> Result<PageTable, Refusal> {
    if page.unmapped > 0 {
        let text = format!("page {}: {} of {} glyphs have no known text", page.number, page.unmapped, page.glyphs);
        return Err(Refusal::new(RefusalCode::UnreadableText, text));
    }
    if page.skipped_tokens > 0 {
        let text = format!("page {}: {} parts of its content make no sense", page.number, page.skipped_tokens);
        return Err(Refusal::new(RefusalCode::Damaged, text));
    }
    let (columns, rows) = lattice(&page.rules);
    if columns.len() < 2 || rows.len() < 2 {
        let text = format!(
            "page {}: no table was recognised ({} vertical and {} horizontal lines)",
            page.number,
            columns.len(),
            rows.len()
        );
        return Err(Refusal::new(RefusalCode::NoTable, text));
    }
    let width = columns.len() - 1;
    let mut cells: Vec<Vec<&Run>> = vec![Vec::new(); width * (rows.len() - 1)];
    for run in &page.runs {
        match place(page, run, &columns, &rows) {
            Some((row, column)) => cells[row * width + column].push(run),
            None if is_unruled_row(run, &columns, &rows) => {
                let text =
                    format!("page {}: text stands right below the last ruled row: a row would be lost", page.number);
                return Err(Refusal::new(RefusalCode::NoTable, text));
            }
            None => {}
        }
    }
    let mut texts = cells.into_iter().enumerate().map(|(number, runs)| {
        let (row, column) = (number / width, number % width);
        let cell = Rect { x0: columns[column], x1: columns[column + 1], y0: rows[row + 1], y1: rows[row] };
        join_lines(page, runs, cell)
    });
    let headers = texts.by_ref().take(width).collect();
    let rows = rows[1..]
        .windows(2)
        .map(|edges| Row { top: edges[0], bottom: edges[1], cells: texts.by_ref().take(width).collect() })
        .collect();
    Ok(PageTable { page: page.number, headers, rows })
}

/// The lattice's lines: `x` from left to right, `y` from top to bottom.
fn lattice(rules: &[Rule]) -> (Vec<f64>, Vec<f64>) {
    let mut vertical = Vec::new();
    let mut horizontal = Vec::new();
    for rule in rules {
        match *rule {
            Rule::Vertical { x, y0, y1 } => vertical.push((x, y1 - y0)),
            Rule::Horizontal { y, x0, x1 } => horizontal.push((y, x1 - x0)),
        }
    }
    let columns = lines(vertical);
    let mut rows = lines(horizontal);
    rows.reverse();
    (columns, rows)
}

/// Joins `(position, length)` of rules that lie on one line, and drops stray ones.
fn lines(mut rules: Vec<(f64, f64)>) -> Vec<f64> {
    rules.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut lines: Vec<(f64, f64, f64)> = Vec::new(); // first position, last position, length
    for (position, length) in rules {
        match lines.last_mut() {
            Some(line) if position - line.1 <= SAME_LINE => {
                line.1 = position;
                line.2 += length;
            }
            _ => lines.push((position, position, length)),
        }
    }
    let longest = lines.iter().map(|line| line.2).fold(0.0, f64::max);
    lines
        .iter()
        .filter(|line| line.2 >= longest * LATTICE_SHARE / 2.0)
        .map(|line| f64::midpoint(line.0, line.1))
        .collect()
}

/// The cell that a run belongs to: where its clip is if that is a cell's, else where it starts.
fn place(page: &Page, run: &Run, columns: &[f64], rows: &[f64]) -> Option<(usize, usize)> {
    let column_of =
        |x: f64| columns.partition_point(|line| *line <= x).checked_sub(1).filter(|at| at + 1 < columns.len());
    let row_of = |y: f64| rows.partition_point(|line| *line >= y).checked_sub(1).filter(|at| at + 1 < rows.len());
    if let Some(clip) = run.clip.map(|clip| page.clips[clip]) {
        let middle = (f64::midpoint(clip.x0, clip.x1), f64::midpoint(clip.y0, clip.y1));
        if let (Some(column), Some(row)) = (column_of(middle.0), row_of(middle.1)) {
            let fits = |low: f64, high: f64, length: f64| length <= (high - low).abs() + SAME_LINE;
            if fits(columns[column], columns[column + 1], clip.width()) && fits(rows[row], rows[row + 1], clip.height())
            {
                return Some((row, column));
            }
        }
    }
    let middle = column_of(f64::midpoint(run.x0, run.x1));
    let start = column_of(run.x0 + SAME_LINE.min((run.x1 - run.x0) / 2.0));
    // text that overflows its cell to the right started in its own
    let column = if middle == start { middle } else { start.or(middle) }?;
    Some((row_of(run.y + run.size * 0.3)?, column))
}

/// Does text outside the lattice look like one more row, whose lower rule is missing?
fn is_unruled_row(run: &Run, columns: &[f64], rows: &[f64]) -> bool {
    let (&[first, .., last], &[.., above, bottom]) = (columns, rows) else { return false };
    let is_near = run.y < bottom && run.y > bottom - (above - bottom);
    is_near && run.x0 > first && run.x0 < last
}

/// A cell's text: runs joined to lines, lines by the rules of the ERP's wrapping.
fn join_lines(page: &Page, mut runs: Vec<&Run>, cell: Rect) -> String {
    runs.sort_by(|a, b| b.y.total_cmp(&a.y));
    let mut text = String::new();
    let mut last: Option<Line> = None;
    let mut rest = runs.as_mut_slice();
    while let Some(first) = rest.first() {
        let same = (first.y, first.size * SAME_BASELINE);
        let length = rest.iter().take_while(|run| same.0 - run.y <= same.1).count();
        let (line_runs, after) = rest.split_at_mut(length);
        line_runs.sort_by(|a, b| a.x0.total_cmp(&b.x0));
        let line = Line::of(page, line_runs);
        rest = after;
        if line.text.is_empty() {
            continue;
        }
        if last.is_some_and(|last| !last.continues_unbroken(&line, cell)) {
            text.push(' ');
        }
        text.push_str(&line.text);
        last = Some(line);
    }
    text
}

/// The printer's padding is only known from the text itself, to within this (points).
const CELL_SLACK: f64 = 1.0;

struct Line {
    text: String,
    x0: f64,
    x1: f64,
    first_advance: f64,
}

impl Line {
    fn of(page: &Page, runs: &[&Run]) -> Self {
        let mut text = String::new();
        let mut end: Option<f64> = None;
        for run in runs {
            if end.is_some_and(|end| run.x0 - end > run.size * WORD_GAP) {
                text.push(' ');
            }
            text.push_str(page.text_of(run));
            end = Some(run.x1);
        }
        let words: Vec<_> = text.split_whitespace().collect();
        Self {
            text: words.join(" "),
            x0: runs.first().map_or(0.0, |run| run.x0),
            x1: runs.iter().map(|run| run.x1).fold(f64::MIN, f64::max),
            first_advance: runs.first().map_or(0.0, |run| run.first_advance),
        }
    }

    /// Did the wrap between this line and the next stand inside a word? After `? & / -` at the end
    /// of a word of more than one character, or where a word without blanks fills the whole cell.
    fn continues_unbroken(&self, next: &Line, cell: Rect) -> bool {
        let last_word = self.text.rsplit(' ').next().unwrap_or_default();
        if last_word.chars().count() > 1 && last_word.ends_with(['?', '&', '/', '-']) {
            return true;
        }
        let margin = (self.x0 - cell.x0).min(cell.x1 - self.x1).max(0.0);
        let room = cell.width() - 2.0 * margin - (self.x1 - self.x0);
        !self.text.contains(' ') && next.first_advance > room - CELL_SLACK
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page_of(lines: &[(f64, f64, f64, &str)]) -> Page {
        let mut page = Page { number: 1, ..Page::default() };
        for &(x0, x1, y, text) in lines {
            let start = page.text.len();
            page.text.push_str(text);
            let run = Run { x0, x1, y, size: 10.0, first_advance: 5.0, clip: None, text: start..page.text.len() };
            page.runs.push(run);
        }
        page
    }

    #[test]
    fn lines_join_by_the_rules_of_the_grid() {
        let cell = Rect { x0: 0.0, x1: 50.0, y0: 0.0, y1: 50.0 };
        for (lines, expected) in [
            (vec![(2.0, 30.0, 30.0, "Centro"), (2.0, 30.0, 20.0, "Nome")], "Centro Nome"),
            (vec![(2.0, 20.0, 30.0, "ORD/"), (2.0, 40.0, 20.0, "26000001")], "ORD/26000001"),
            (vec![(2.0, 40.0, 30.0, "Vereta -"), (2.0, 40.0, 20.0, "Sede")], "Vereta - Sede"),
            (vec![(2.0, 47.0, 30.0, "ABCDEFGHI"), (2.0, 12.0, 20.0, "JK")], "ABCDEFGHIJK"),
            (vec![(2.0, 47.0, 30.0, "ABC DEFGH"), (2.0, 12.0, 20.0, "JK")], "ABC DEFGH JK"),
            (vec![(2.0, 20.0, 30.0, "one"), (26.0, 40.0, 30.0, "two"), (40.5, 45.0, 30.0, "s")], "one twos"),
            (vec![(20.0, 40.0, 30.0, "b"), (2.0, 18.0, 31.0, "a")], "a b"),
        ] {
            let page = page_of(&lines);
            assert_eq!(join_lines(&page, page.runs.iter().collect(), cell), expected);
        }
    }

    #[test]
    fn a_row_without_its_lower_rule_is_not_lost() {
        let rule = |y| Rule::Horizontal { y, x0: 0.0, x1: 100.0 };
        let mut page = page_of(&[(5.0, 20.0, 93.0, "ID"), (5.0, 20.0, 83.0, "1"), (5.0, 20.0, 73.0, "2")]);
        page.rules = vec![rule(100.0), rule(90.0), rule(80.0)];
        page.rules.extend([0.0, 50.0, 100.0].map(|x| Rule::Vertical { x, y0: 70.0, y1: 100.0 }));
        assert_eq!(recognise(&page).unwrap_err().code, RefusalCode::NoTable);
        page.rules.push(rule(70.0));
        assert_eq!(recognise(&page).unwrap().rows.len(), 2);
        page.runs[2].y = 20.0;
        assert_eq!(recognise(&page).unwrap().rows.len(), 2, "a footer is no row");
    }

    #[test]
    fn neighbouring_borders_are_one_line_and_strays_are_none() {
        let found = lines(vec![(117.6, 100.0), (72.4, 100.0), (118.2, 100.0), (300.0, 100.0), (200.0, 4.0)]);
        assert_eq!(found.iter().map(|x| x.round()).collect::<Vec<_>>(), [72.0, 118.0, 300.0]);
    }
}
