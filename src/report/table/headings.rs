//! Where is the header row, and which of its words are one header, where nothing is drawn around them?
//!
//! The known headers decide: words are put together so that as much as possible of the row is known;
//! what is left is parted at its wide gaps.

use super::{
    super::pdf::{Page, Run},
    Band, Known, Loose,
    rows::{TextLine, line_of, lines},
    runs_between,
};

/// A header row has at most so many lines: those of all its wrapped headers together.
const MOST_LINES: usize = 30;
/// The longest known header has fewer characters.
const LONGEST: usize = 60;
/// Words in the header rows of a sheet, at most.
const MOST_ATOMS: usize = 1_000;
/// A gap this wide (times the size) parts headers that are not known.
const WIDE_GAP: f64 = 0.6;

/// One printed header.
#[derive(Debug, Clone, PartialEq)]
pub struct Heading {
    pub x0: f64,
    pub x1: f64,
    pub text: String,
}

/// The header row of a kind of page.
#[derive(Debug, Clone)]
pub struct Headings {
    pub all: Vec<Heading>,
    pub band: Band,
    /// Do the page's marks part the columns?
    pub has_columns: bool,
    /// All that is printed down to its lower edge: pages with the same have the same headings.
    printed: String,
}

impl Headings {
    /// Finds the header row of a page; `None` if it holds no known header.
    pub fn find(loose: &Loose, known: &Known) -> Option<Self> {
        let page = &loose.page;
        let mut best: Option<(f64, Self)> = None;
        for band in candidates(loose) {
            let runs: Vec<&Run> = runs_between(page, band).collect();
            let columns = loose.lattice.columns.as_ref();
            let by_columns = columns.map(|columns| (true, by_columns(page, &runs, &columns.edges, known)));
            // a frame around the whole table is no column
            let is_frame = columns.is_none_or(|columns| columns.edges.len() == 2);
            let by_words = is_frame.then(|| (false, by_words(page, &runs, known)));
            for (has_columns, (score, headings)) in by_columns.into_iter().chain(by_words) {
                let is_known = headings.iter().any(|heading| known.is_header(&heading.text));
                if is_known && best.as_ref().is_none_or(|best| score > best.0) {
                    best = Some((score, Self { all: headings, band, has_columns, printed: printed(page, band) }));
                }
            }
        }
        // where rules part everything, a page may hold new columns alone
        best.map(|(_, headings)| headings).or_else(|| {
            let (columns, rows) = (loose.lattice.columns.as_ref()?, loose.lattice.rows.as_ref()?);
            let band = Band { top: rows.edges[0], bottom: rows.edges[1] };
            let runs: Vec<&Run> = runs_between(page, band).collect();
            let (_, all) = by_columns(page, &runs, &columns.edges, known);
            Some(Self { all, band, has_columns: true, printed: printed(page, band) })
        })
    }

    /// Has this page the same header row?
    pub fn fits(&self, loose: &Loose) -> bool {
        printed(&loose.page, self.band) == self.printed
    }

    /// The headers' texts.
    pub fn texts(&self) -> Vec<String> {
        self.all.iter().map(|heading| heading.text.clone()).collect()
    }
}

/// Where the header row may stand: in the first band, above the first edge of an open table, or on the
/// first few lines.
fn candidates(loose: &Loose) -> Vec<Band> {
    let all = lines(loose.page.runs.iter().map(line_of));
    let Some(first) = all.first() else { return Vec::new() };
    let top = first.y + first.size;
    match &loose.lattice.rows {
        Some(axis) if axis.edges.len() > 2 => {
            let band = Band { top: axis.edges[0], bottom: axis.edges[1] };
            let above = (first.y > band.top).then_some(Band { top, bottom: band.top });
            above.into_iter().chain([band]).collect()
        }
        _ => {
            let bottom = |count: usize| {
                let last: &TextLine = &all[count - 1];
                all.get(count).map_or(last.y - last.size, |next| f64::midpoint(last.y, next.y))
            };
            (1..=all.len().min(MOST_LINES)).map(|count| Band { top, bottom: bottom(count) }).collect()
        }
    }
}

fn printed(page: &Page, band: Band) -> String {
    page.runs.iter().filter(|run| line_of(run).y >= band.bottom).map(|run| page.text_of(run)).collect()
}

/// The text of some runs in reading order.
fn text_of(page: &Page, runs: &[&Run]) -> String {
    let mut runs = runs.to_vec();
    runs.sort_by(|a, b| b.y.total_cmp(&a.y));
    let mut text = String::new();
    for line in runs.chunk_by_mut(|a, b| a.y - b.y < a.size * super::lines::SAME_BASELINE) {
        line.sort_by(|a, b| a.x0.total_cmp(&b.x0));
        let mut last: Option<&Run> = None;
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

fn by_columns(page: &Page, runs: &[&Run], edges: &[f64], known: &Known) -> (f64, Vec<Heading>) {
    let mut score = 0.0;
    let headings = edges
        .windows(2)
        .map(|edges| {
            let own: Vec<&Run> = runs
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
fn by_words(page: &Page, runs: &[&Run], known: &Known) -> (f64, Vec<Heading>) {
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

fn last_of<'a>(atom: &[&'a Run]) -> &'a Run {
    atom.iter().max_by(|a, b| a.x1.total_cmp(&b.x1)).copied().unwrap_or(atom[0])
}

fn first_of<'a>(atom: &[&'a Run]) -> &'a Run {
    atom.iter().min_by(|a, b| a.x0.total_cmp(&b.x0)).copied().unwrap_or(atom[0])
}

fn left_of(runs: &[&Run]) -> f64 {
    runs.iter().map(|run| run.x0).fold(f64::MAX, f64::min)
}

fn right_of(runs: &[&Run]) -> f64 {
    runs.iter().map(|run| run.x1).fold(f64::MIN, f64::max)
}

/// Runs that stand above each other, from left to right: what no vertical line can part.
fn atoms<'a>(runs: &[&'a Run]) -> Vec<Vec<&'a Run>> {
    let mut sorted = runs.to_vec();
    sorted.sort_by(|a, b| a.x0.total_cmp(&b.x0));
    let mut atoms: Vec<Vec<&Run>> = Vec::new();
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

#[cfg(test)]
mod tests {
    use super::{
        super::{lattice::Lattice, page_of},
        *,
    };

    fn found(texts: &[(f64, f64, f64, &str)], headers: &[&str]) -> Vec<String> {
        let loose = Loose { page: page_of(texts), lattice: Lattice::default() };
        let headers: Vec<String> = headers.iter().map(|header| (*header).to_owned()).collect();
        let known = Known::of(headers.iter(), [].iter());
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
