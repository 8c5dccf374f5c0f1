//! Where is the header row, and which of its words are one header, where nothing is drawn around them?
//!
//! The known headers decide: words are put together so that as much as possible of the row is known;
//! what is left is parted at its wide gaps.

use super::{
    super::{
        Refusal, RefusalCode,
        pdf::{Page, TextRun},
    },
    Band, Known, Loose,
    rows::{TextLine, line_of, lines},
    runs_between,
};

/// A header row has at most so many lines: those of all its wrapped headers together.
const MOST_LINES: usize = 30;
/// Lines further down are the header instead if their headings are worth this share of the others.
const MOSTLY: f64 = 0.6;
/// Further lines that may hold the ends of its words.
const CUT_LINES: usize = 2;
/// It begins on one of the first lines of a page.
const MOST_START: usize = 40;
/// Heights that differ by less than this share of the size are one line.
const SAME_LINE: f64 = 0.3;
/// Headers that differ by less (points) in their places stand at the same.
const SAME_PLACE: f64 = 1.5;
/// The longest known header has fewer characters.
const LONGEST: usize = 60;
/// Words in the header rows of a sheet, at most.
const MOST_ATOMS: usize = 1_000;
/// A gap this wide (times the size) parts headers that are not known.
const WIDE_GAP: f64 = 0.6;

/// One printed header.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Heading {
    pub x0: f64,
    pub x1: f64,
    pub text: String,
}

/// The header row of a kind of page.
#[derive(Debug, Clone)]
pub(crate) struct Headings {
    pub all: Vec<Heading>,
    pub band: Band,
    /// Do the page's marks part the columns?
    pub has_columns: bool,
    /// All that is printed down to its lower edge: pages with the same have the same headings.
    printed: String,
}

impl Headings {
    /// Finds the header row of a page; `None` if it holds no known header.
    pub(crate) fn find(loose: &Loose, known: &Known) -> Option<Self> {
        let page = &loose.page;
        // values may be known words, too, and titles: of those most of whose texts are known, the first
        let mut best: Option<(f64, Self)> = None;
        for same_start in candidates(loose, known).chunk_by(|a, b| (a.top - b.top).abs() < f64::EPSILON) {
            let mut own: Option<(f64, Self)> = None;
            for band in same_start {
                let runs: Vec<&TextRun> = runs_between(page, *band).collect();
                let columns = loose.lattice.columns.as_ref();
                let by_columns = columns.map(|columns| (true, by_columns(page, &runs, &columns.edges, known)));
                // a frame around the whole table is no column
                let is_frame = columns.is_none_or(|columns| columns.edges.len() == 2);
                let by_words = is_frame.then(|| (false, by_words(page, &runs, known)));
                for (has_columns, (score, headings)) in by_columns.into_iter().chain(by_words) {
                    let is_known = headings.iter().any(|heading| known.is_header(&heading.text));
                    if is_known && own.as_ref().is_none_or(|own| score > own.0) {
                        let printed = printed(page, *band);
                        own = Some((score, Self { all: headings, band: *band, has_columns, printed }));
                    }
                }
            }
            let Some(own) = own else { continue };
            let is_better = best
                .as_ref()
                .is_none_or(|best| own.1.known_share(known) > best.1.known_share(known) && own.0 > best.0 * MOSTLY);
            if is_better {
                best = Some(own);
            }
        }
        best.map(|(_, headings)| headings)
    }

    /// The share of the headings that are known.
    fn known_share(&self, known: &Known) -> f64 {
        let filled = self.all.iter().filter(|heading| !heading.text.is_empty()).count();
        let known = self.all.iter().filter(|heading| known.is_header(&heading.text)).count();
        known as f64 / filled.max(1) as f64
    }

    /// Has this page the same header row at the same height?
    pub(crate) fn fits(&self, loose: &Loose) -> bool {
        printed(&loose.page, self.band) == self.printed
    }

    /// Are these the same headers at the same places from left to right?
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        self.all.len() == other.all.len()
            && self.all.iter().zip(&other.all).all(|(a, b)| a.text == b.text && (a.x0 - b.x0).abs() < SAME_PLACE)
    }

    /// The headers' texts.
    pub(crate) fn texts(&self) -> Vec<String> {
        self.all.iter().map(|heading| heading.text.clone()).collect()
    }
}

/// Where the header row may stand: between two rules, above the first one, or on some lines of which
/// each has words of known headers.
fn candidates(loose: &Loose, known: &Known) -> Vec<Band> {
    let page = &loose.page;
    let all = lines(page.runs.iter().map(line_of));
    let Some(first) = all.first() else { return Vec::new() };
    let mut bands = Vec::new();
    if let Some(axis) = loose.lattice.rows.as_ref().filter(|axis| axis.edges.len() > 2) {
        if first.y > axis.edges[0] {
            bands.push(Band { top: first.y + first.size, bottom: axis.edges[0] });
        }
        bands.extend(axis.edges.windows(2).take(MOST_LINES).map(|edges| Band { top: edges[0], bottom: edges[1] }));
    }
    let is_heading: Vec<bool> =
        all.iter().take(MOST_START + MOST_LINES).map(|line| holds_headers(page, line, known)).collect();
    let edge = |at: usize| match (at.checked_sub(1).map(|above| &all[above]), all.get(at)) {
        (Some(above), Some(below)) => f64::midpoint(above.y, below.y),
        (None, Some(below)) => below.y + below.size,
        (Some(above), None) => above.y - above.size,
        (None, None) => 0.0,
    };
    for start in (0..is_heading.len().min(MOST_START)).filter(|start| is_heading[*start]) {
        let length = is_heading[start..].iter().take(MOST_LINES).take_while(|is_heading| **is_heading).count();
        // the last letters of a word that was cut look like none
        let length = (length + CUT_LINES).min(all.len() - start);
        bands.extend((1..=length).map(|count| Band { top: edge(start), bottom: edge(start + count) }));
    }
    bands.sort_by(|a, b| b.top.total_cmp(&a.top));
    bands
}

/// Are at least a quarter of a line's words those of known headers?
fn holds_headers(page: &Page, line: &TextLine, known: &Known) -> bool {
    let own = page.runs.iter().filter(|run| (line_of(run).y - line.y).abs() < run.size * SAME_LINE);
    let text = text_of(page, &own.collect::<Vec<_>>());
    let words: Vec<&str> = text.split_whitespace().collect();
    let headers = words.iter().filter(|word| known.is_word(word)).count();
    headers > 0 && headers * 4 >= words.len()
}

/// All that is printed in a band.
fn printed(page: &Page, band: Band) -> String {
    runs_between(page, band).map(|run| page.text_of(run)).collect()
}

/// The text of some runs in reading order.
fn text_of(page: &Page, runs: &[&TextRun]) -> String {
    let mut runs = runs.to_vec();
    runs.sort_by(|a, b| b.y.total_cmp(&a.y));
    let mut text = String::new();
    for line in runs.chunk_by_mut(|a, b| a.y - b.y < a.size * super::lines::SAME_BASELINE) {
        line.sort_by(|a, b| a.x0.total_cmp(&b.x0));
        let mut last: Option<&TextRun> = None;
        for run in line {
            if last.is_none_or(|last| page.are_parted(last, run)) && !text.is_empty() {
                text.push(' ');
            }
            text.push_str(page.text_of(run));
            last = Some(run);
        }
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// What known text is worth: longer is surer.
fn worth(text: &str) -> f64 {
    10.0 * text.chars().filter(|character| !character.is_whitespace()).count() as f64 + 5.0
}

fn by_columns(page: &Page, runs: &[&TextRun], edges: &[f64], known: &Known) -> (f64, Vec<Heading>) {
    let mut score = 0.0;
    let headings = edges
        .windows(2)
        .map(|edges| {
            let own: Vec<&TextRun> = runs
                .iter()
                .filter(|run| (edges[0]..edges[1]).contains(&f64::midpoint(run.x0, run.x1)))
                .copied()
                .collect();
            let text = text_of(page, &own);
            score += if known.is_header(&text) { worth(&text) } else { -1.0 };
            Heading { x0: edges[0], x1: edges[1], text }
        })
        .collect();
    (score, headings)
}

/// Puts words together from left to right so that the most is known.
fn by_words(page: &Page, runs: &[&TextRun], known: &Known) -> (f64, Vec<Heading>) {
    let atoms = atoms(runs);
    if atoms.len() > MOST_ATOMS {
        return (f64::MIN, Vec::new());
    }
    let text = |from: usize, to: usize| text_of(page, &atoms[from..to].concat());
    let gap = |before: usize| {
        let size = atoms[before][0].size;
        (left_of(&atoms[before]) - right_of(&atoms[before - 1])) / size
    };
    // the best score of the first n atoms, and where its last header begins
    let mut best: Vec<(f64, usize)> = vec![(0.0, 0)];
    for to in 1..=atoms.len() {
        let mut found = (f64::MIN, to - 1);
        let mut length = 0;
        let mut joins = 0.0;
        for from in (0..to).rev() {
            length += atoms[from].iter().map(|run| run.text.len().max(1)).sum::<usize>();
            if length > 2 * LONGEST && from + 1 < to {
                break;
            }
            if from + 1 < to && gap(from + 1) > WIDE_GAP {
                joins += 6.0;
            }
            let header = text(from, to);
            let value = if known.is_header(&header) { worth(&header) } else { -3.0 - joins };
            let parting = match from.checked_sub(1).map(|_| gap(from)) {
                Some(_) if !page.are_parted(last_of(&atoms[from - 1]), first_of(&atoms[from])) => -8.0,
                Some(gap) if gap < WIDE_GAP => -1.0,
                _ => 0.0,
            };
            let score = best[from].0 + value + parting;
            if score > found.0 {
                found = (score, from);
            }
        }
        best.push(found);
    }
    let mut headings = Vec::new();
    let mut to = atoms.len();
    while to > 0 {
        let from = best[to].1;
        let own = atoms[from..to].concat();
        headings.push(Heading { x0: left_of(&own), x1: right_of(&own), text: text(from, to) });
        to = from;
    }
    headings.reverse();
    (best[atoms.len()].0, headings)
}

fn last_of<'a>(atom: &[&'a TextRun]) -> &'a TextRun {
    atom.iter().max_by(|a, b| a.x1.total_cmp(&b.x1)).copied().unwrap_or(atom[0])
}

fn first_of<'a>(atom: &[&'a TextRun]) -> &'a TextRun {
    atom.iter().min_by(|a, b| a.x0.total_cmp(&b.x0)).copied().unwrap_or(atom[0])
}

fn left_of(runs: &[&TextRun]) -> f64 {
    runs.iter().map(|run| run.x0).fold(f64::MAX, f64::min)
}

fn right_of(runs: &[&TextRun]) -> f64 {
    runs.iter().map(|run| run.x1).fold(f64::MIN, f64::max)
}

/// Runs that stand above each other, from left to right: what no vertical line can part.
fn atoms<'a>(runs: &[&'a TextRun]) -> Vec<Vec<&'a TextRun>> {
    let mut sorted = runs.to_vec();
    sorted.sort_by(|a, b| a.x0.total_cmp(&b.x0));
    let mut atoms: Vec<Vec<&TextRun>> = Vec::new();
    let mut end = f64::MIN;
    for run in sorted {
        match atoms.last_mut() {
            Some(atom) if run.x0 < end - run.size * 0.02 => atom.push(run),
            _ => atoms.push(vec![run]),
        }
        end = end.max(run.x1);
    }
    atoms
}

/// No page shows a header that is known; `page` is the first that holds texts.
pub(crate) fn no_table(page: Option<&Page>) -> Refusal {
    let text = match page {
        Some(page) => format!(
            "page {}: no table was recognised: its {} lines and {} texts show no known header",
            page.number,
            page.rules.len(),
            page.runs.len()
        ),
        None => "no page holds any text".to_owned(),
    };
    Refusal::new(RefusalCode::NoTable, text)
}

#[cfg(test)]
mod tests {
    use super::{
        super::{lattice::Lattice, page_of},
        *,
    };

    fn found(texts: &[(f64, f64, f64, &str)], headers: &[&str]) -> Vec<String> {
        let loose = Loose { page: page_of(texts), lattice: Lattice::default() };
        let headers: Vec<String> = headers.iter().map(|header| (*header).to_owned()).collect();
        let known = Known::of(headers.iter(), std::iter::empty(), [].iter());
        Headings::find(&loose, &known).map(|headings| headings.texts()).unwrap_or_default()
    }

    const KNOWN: [&str; 4] = ["ID", "ID DI VENDITA", "CONTEGGI DEGLI ORDINI", "NOME"];

    #[test]
    fn words_become_the_known_headers() {
        let one_line = [
            (0.0, 10.0, 100.0, "ID"),
            (12.0, 22.0, 100.0, "ID"),
            (25.0, 35.0, 100.0, "DI"),
            (38.0, 80.0, 100.0, "VENDITA"),
            (0.0, 9.0, 80.0, "1"),
            (12.0, 30.0, 80.0, "ORD/1"),
        ];
        assert_eq!(found(&one_line, &KNOWN), ["ID", "ID DI VENDITA"]);
    }

    #[test]
    fn wrapped_headers_take_as_many_lines_as_make_them_known() {
        let wrapped = [
            (0.0, 10.0, 100.0, "ID"),
            (30.0, 80.0, 112.0, "CONTEGGI"),
            (30.0, 60.0, 100.0, "DEGLI"),
            (30.0, 70.0, 88.0, "ORDINI"),
            (0.0, 10.0, 60.0, "1"),
            (30.0, 40.0, 60.0, "12"),
        ];
        assert_eq!(found(&wrapped, &KNOWN), ["ID", "CONTEGGI DEGLI ORDINI"]);
    }

    #[test]
    fn unknown_headers_are_parted_at_wide_gaps() {
        let texts = [
            (0.0, 20.0, 100.0, "NUOVA"),
            (23.0, 40.0, 100.0, "COLONNA"),
            (60.0, 90.0, 100.0, "NOME"),
            (0.0, 20.0, 80.0, "x"),
            (60.0, 90.0, 80.0, "y"),
        ];
        assert_eq!(found(&texts, &KNOWN), ["NUOVA COLONNA", "NOME"]);
        assert!(found(&texts[3..], &KNOWN).is_empty());
    }
}
