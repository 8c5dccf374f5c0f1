//! Which cell does each text belong to? Where its clip is, else where it stands; what could belong to
//! several columns refuses the page, and what stands outside is kept for [`super::super::records`] to judge.

use super::{
    super::{
        Refusal, RefusalCode,
        pdf::{Page, TextRun},
    },
    MIDDLE,
    lattice::SAME_LINE,
    lines::SAME_BASELINE,
    sections::Row,
    sentences,
};

/// Texts whose ends differ by less than this (points) are aligned.
const ALIGNED: f64 = 1.0;
/// Gaps in one text are narrower than this share of the size.
const WITHIN_TEXT: f64 = 0.7;
/// Texts that reach over columns on one page, at most.
const MOST_CROSSING: usize = 2_000;
/// A text whose size is above this times its row's height is printed over the table: a watermark.
const OVERSIZE: f64 = 1.4;
/// The cells of a table: columns' edges, and rows, with the header's first if it has one.
#[derive(Clone, Copy)]
pub(crate) struct Cells<'a> {
    pub page: &'a Page,
    pub columns: &'a [f64],
    pub rows: &'a [Row],
    pub has_header: bool,
}

/// Where texts were put.
#[derive(Debug, Default)]
pub(crate) struct Placement {
    /// `(cell, run)`, cells numbered row by row.
    pub texts: Vec<(u32, u32)>,
    /// For each row: is what it says one text over several columns?
    pub spanning: Vec<bool>,
    /// Lines outside of the rows.
    pub strays: Vec<Stray>,
}

/// A line of text outside of the rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Stray {
    pub side: Side,
    /// Its texts with their columns; none where a text stands in no column, or in several.
    pub texts: Vec<(Option<usize>, String)>,
}

/// On which side of the rows a line stands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Side {
    /// That many heights of the last row below it.
    Below(f64),
    /// To the left or right of a row; of the header's?
    Beside {
        header: bool,
    },
    Above,
    /// Outside of the page: nobody sees it.
    Off,
}

impl Cells<'_> {
    /// Puts every text of the page into its cell.
    ///
    /// # Errors
    /// `no_table` where a text could belong to several columns or stands between rows, `unreadable_text`
    /// where one does not stand upright.
    pub(crate) fn place(self) -> Result<Placement, Refusal> {
        let width = self.columns.len() - 1;
        let mut placement = Placement { spanning: vec![false; self.rows.len()], ..Placement::default() };
        placement.texts.reserve(self.page.runs.len());
        let mut crossing: Vec<(usize, u32)> = Vec::new();
        let mut outside: Vec<(&TextRun, Option<usize>)> = Vec::new();
        for (number, run) in (0..).zip(&self.page.runs) {
            if let Some((row, column)) = self.by_clip(run) {
                placement.texts.push(((row * width + column) as u32, number));
                continue;
            }
            let Some(row) = self.row(run) else {
                outside.push((run, None));
                continue;
            };
            if self.is_larger(run.size, row) {
                continue;
            }
            let inset = ALIGNED.min((run.x1 - run.x0) / 2.0);
            let (start, end) = (self.column(run.x0 + inset), self.column(run.x1 - inset));
            match start.zip(end) {
                Some((start, end)) if start == end => placement.texts.push(((row * width + start) as u32, number)),
                // a cell over several columns
                Some((start, end))
                    if !self.rows[row].is_merged(width) && self.cell(row, start) == self.cell(row, end) =>
                {
                    placement.texts.push(((row * width + self.cell(row, start)) as u32, number));
                }
                None if start.or(end).is_none() => outside.push((run, Some(row))),
                _ => crossing.push((row, number)),
            }
        }
        self.take_spanning(&mut placement, &mut crossing);
        placement.strays = self.strays(&outside)?;
        if crossing.len() > MOST_CROSSING {
            return Err(self.lost(&self.page.runs[crossing[0].1 as usize], "across columns"));
        }
        for (row, number) in crossing {
            let run = &self.page.runs[number as usize];
            match self.by_alignment(run, &placement.texts) {
                Some(column) => placement.texts.push(((row * width + column) as u32, number)),
                None => self.by_sentence((row, number), &mut placement)?,
            }
        }
        self.check_upright()?;
        Ok(placement)
    }

    fn top(&self) -> f64 {
        self.rows.first().map_or(0.0, |row| row.band.top)
    }

    fn bottom(&self) -> f64 {
        self.rows.last().map_or(0.0, |row| row.band.bottom)
    }

    pub(crate) fn column(&self, x: f64) -> Option<usize> {
        self.columns.partition_point(|edge| *edge <= x).checked_sub(1).filter(|at| at + 1 < self.columns.len())
    }

    /// The column in which a row's cell begins that reaches over `column`.
    fn cell(&self, row: usize, column: usize) -> usize {
        let Some(starts) = &self.rows[row].starts else { return column };
        let after = starts.partition_point(|start| *start <= column);
        after.checked_sub(1).map_or(column, |at| starts[at])
    }

    pub(crate) fn row_at(&self, y: f64) -> Option<usize> {
        let after = self.rows.partition_point(|row| row.band.top >= y);
        after.checked_sub(1).filter(|at| self.rows[*at].band.bottom <= y)
    }

    fn row(&self, run: &TextRun) -> Option<usize> {
        self.row_at(run.y + run.size * MIDDLE)
    }

    fn is_larger(&self, size: f64, row: usize) -> bool {
        let band = self.rows[row].band;
        size > (band.top - band.bottom) * OVERSIZE
    }

    /// The cell whose clip a run is printed in.
    fn by_clip(&self, run: &TextRun) -> Option<(usize, usize)> {
        let clip = self.page.clips[run.clip? as usize];
        let (x, y) = clip.middle();
        let (row, column) = (self.row_at(y)?, self.column(x)?);
        let band = self.rows[row].band;
        let fits = clip.width() <= self.columns[column + 1] - self.columns[column] + SAME_LINE
            && clip.height() <= band.top - band.bottom + SAME_LINE;
        fits.then_some((row, column))
    }

    /// Rows that hold one text alone, which reaches over several columns: captions, titles, notes.
    fn take_spanning(&self, placement: &mut Placement, crossing: &mut Vec<(usize, u32)>) {
        let width = (self.columns.len() - 1) as u32;
        let mut rows: Vec<usize> = crossing.iter().map(|(row, _)| *row).collect();
        let merged = (0..self.rows.len()).filter(|row| self.rows[*row].is_merged(width as usize));
        rows.extend(merged);
        rows.extend(sentences::find(self.page, &placement.texts, width));
        rows.sort_unstable();
        rows.dedup();
        for row in rows.into_iter().filter(|row| !self.has_header || *row > 0) {
            let own = placement.texts.iter().filter(|(cell, _)| (cell / width) as usize == row).map(|(_, run)| *run);
            let all: Vec<u32> = own.chain(crossing.iter().filter(|(of, _)| *of == row).map(|(_, run)| *run)).collect();
            if !all.is_empty() && self.is_one_text(&all) {
                placement.spanning[row] = true;
                placement.texts.retain(|(cell, _)| (cell / width) as usize != row);
                placement.texts.extend(all.iter().map(|run| (row as u32 * width, *run)));
                crossing.retain(|(of, _)| *of != row);
            }
        }
    }

    /// Do runs follow each other without a gap on every line?
    fn is_one_text(&self, runs: &[u32]) -> bool {
        let mut runs: Vec<&TextRun> = runs.iter().map(|run| &self.page.runs[*run as usize]).collect();
        runs.sort_by(|a, b| b.y.total_cmp(&a.y));
        runs.chunk_by_mut(|a, b| a.y - b.y < a.size * SAME_BASELINE).all(|line| {
            line.sort_by(|a, b| a.x0.total_cmp(&b.x0));
            line.windows(2).all(|pair| pair[1].x0 - pair[0].x1 < pair[0].size * WITHIN_TEXT)
        })
    }

    /// The column of a text that overflows its cell: the one in which it starts if it is aligned at the
    /// left, in which it ends if at the right, and the one around whose middle it stands if there.
    fn by_alignment(&self, run: &TextRun, placed: &[(u32, u32)]) -> Option<usize> {
        let width = self.columns.len() as u32 - 1;
        let others = || placed.iter().map(|(cell, other)| ((cell % width) as usize, &self.page.runs[*other as usize]));
        // as the other texts of its column, or as far from its edge as the nearest texts of all columns
        let is_aligned = |column: Option<usize>, distance: &dyn Fn(usize, &TextRun) -> f64| {
            let Some(column) = column else { return false };
            let own = distance(column, run);
            let alike = |other: f64| (other - own).abs() < ALIGNED;
            let padding = others().map(|(of, other)| distance(of, other)).filter(|distance| *distance >= 0.0);
            others().any(|(of, other)| of == column && alike(distance(of, other)))
                || alike(padding.fold(f64::MAX, f64::min))
        };
        let middle = |run: &TextRun| f64::midpoint(run.x0, run.x1);
        let (start, end) = (self.column(run.x0 + ALIGNED), self.column(run.x1 - ALIGNED));
        let centre = self.column(middle(run));
        let from_middle =
            |column: usize, run: &TextRun| middle(run) - f64::midpoint(self.columns[column], self.columns[column + 1]);
        if is_aligned(start, &|column, run| run.x0 - self.columns[column]) {
            start
        } else if is_aligned(end, &|column, run| self.columns[column + 1] - run.x1) {
            end
        } else {
            centre.filter(|column| from_middle(*column, run).abs() < ALIGNED)
        }
    }

    /// Puts a text that reaches over columns, with all that goes on with it on its line, where that begins:
    /// a label over several columns, beside which hardly anything stands.
    fn by_sentence(&self, (row, number): (usize, u32), placement: &mut Placement) -> Result<(), Refusal> {
        let width = (self.columns.len() - 1) as u32;
        let run = &self.page.runs[number as usize];
        let is_beside =
            |other: &&TextRun| (other.y - run.y).abs() < run.size * SAME_BASELINE && self.row(other) == Some(row);
        let mut line: Vec<&TextRun> = self.page.runs.iter().filter(is_beside).collect();
        line.sort_by(|a, b| a.x0.total_cmp(&b.x0));
        let texts: Vec<&[&TextRun]> = line.chunk_by(|left, right| self.page.is_one_text(left, right)).collect();
        let own = texts.iter().find(|text| text.iter().any(|other| std::ptr::eq(*other, run)));
        let is_sparse = texts.len() * 2 <= width as usize;
        let column = own.and_then(|text| self.column(text[0].x0 + ALIGNED)).filter(|_| is_sparse);
        let (Some(text), Some(column)) = (own, column) else { return Err(self.lost(run, "across columns")) };
        let first = text[0].x0;
        let last = text[text.len() - 1].x1;
        let cell = row as u32 * width + column as u32;
        for placed in placement.texts.iter_mut().filter(|placed| placed.0 / width == row as u32) {
            let other = &self.page.runs[placed.1 as usize];
            if is_beside(&other) && other.x0 >= first && other.x1 <= last {
                placed.0 = cell;
            }
        }
        placement.texts.push((cell, number));
        Ok(())
    }

    /// The lines below the rows and beside them. What stands between rows is lost.
    fn strays(&self, outside: &[(&TextRun, Option<usize>)]) -> Result<Vec<Stray>, Refusal> {
        let height = self.rows.last().map_or(1.0, |row| row.band.top - row.band.bottom).max(1.0);
        let mut lines: Vec<(f64, f64, Side, Vec<&TextRun>)> = Vec::new();
        for (run, beside) in outside {
            let y = run.y + run.size * MIDDLE;
            let is_within = self.column(f64::midpoint(run.x0, run.x1)).is_some();
            let side = match beside {
                Some(row) => Side::Beside { header: self.has_header && *row == 0 },
                None if y >= self.top() => Side::Above,
                None if y <= self.bottom() => Side::Below((self.bottom() - y) / height),
                None if is_within => return Err(self.lost(run, "between the rows of the table")),
                None => continue,
            };
            let is_line =
                |line: &(f64, f64, Side, Vec<&TextRun>)| (line.0 - run.y).abs() < line.1.max(run.size) * SAME_BASELINE;
            match lines.iter_mut().find(|line| is_line(line)) {
                Some(line) => line.3.push(run),
                None => lines.push((run.y, run.size, side, vec![run])),
            }
        }
        let stray = |(_, _, side, mut runs): (f64, f64, Side, Vec<&TextRun>)| {
            runs.sort_by(|a, b| a.x0.total_cmp(&b.x0));
            let texts = runs.chunk_by(|left, right| self.page.is_one_text(left, right)).map(|runs| {
                let (start, end) = (self.column(runs[0].x0 + ALIGNED), self.column(runs[runs.len() - 1].x1 - ALIGNED));
                let words: Vec<&str> = runs.iter().map(|run| self.page.text_of(run).trim()).collect();
                (start.filter(|_| start == end), words.join(" "))
            });
            Stray { side, texts: texts.collect() }
        };
        let off = self.page.cropped.iter().map(|text| Stray { side: Side::Off, texts: vec![(None, text.clone())] });
        Ok(lines.into_iter().map(stray).chain(off).collect())
    }

    fn check_upright(&self) -> Result<(), Refusal> {
        let (left, right) = (self.columns[0], self.columns[self.columns.len() - 1]);
        // watermarks are larger than rows
        let is_inside = |(x, y, size): &(f64, f64, f64)| {
            let row = self.row_at(*y);
            *x > left && *x < right && row.is_some_and(|row| !self.is_larger(*size, row))
        };
        if self.page.turned.iter().any(is_inside) {
            let text = format!("page {}: a text in its table does not stand upright", self.page.number);
            return Err(Refusal::new(RefusalCode::UnreadableText, text));
        }
        Ok(())
    }

    fn lost(&self, run: &TextRun, place: &str) -> Refusal {
        let text = format!(
            "page {}: text stands {place}, where nothing separates it: '{}' would be lost or misplaced",
            self.page.number,
            self.page.text_of(run).trim()
        );
        Refusal::new(RefusalCode::NoTable, text)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Band, page_of},
        *,
    };

    fn placement(texts: &[(f64, f64, f64, &str)]) -> Result<Placement, RefusalCode> {
        let page = page_of(texts);
        let row =
            |row: i32| Row::whole(Band { top: 100.0 - f64::from(row) * 20.0, bottom: 80.0 - f64::from(row) * 20.0 });
        let rows: Vec<Row> = (0..4).map(row).collect();
        let cells = Cells { page: &page, columns: &[0.0, 50.0, 100.0], rows: &rows, has_header: true };
        cells.place().map_err(|refusal| refusal.code)
    }

    fn placed(texts: &[(f64, f64, f64, &str)]) -> Result<Vec<u32>, RefusalCode> {
        let mut placed = placement(texts)?.texts;
        placed.sort_by_key(|(_, run)| *run);
        Ok(placed.into_iter().map(|(cell, _)| cell).collect())
    }

    #[test]
    fn what_overflows_belongs_where_it_is_aligned() {
        let columns = [(2.0, 20.0, 88.0, "NOME"), (70.0, 98.0, 88.0, "TOTALE")];
        let with = |text, more| placed(&[columns[0], columns[1], text, more]);
        let left = (2.0, 20.0, 68.0, "x");
        let right = (80.0, 98.0, 68.0, "1");
        assert_eq!(with((2.0, 70.0, 68.0, "a long name"), right), Ok(vec![0, 1, 2, 3]));
        assert_eq!(with((30.0, 98.0, 68.0, "124.497.000,43"), left), Ok(vec![0, 1, 3, 2]));
        assert_eq!(with((30.0, 80.0, 68.0, "whose is this"), left), Err(RefusalCode::NoTable));
    }

    #[test]
    fn one_text_over_several_columns_is_a_caption() {
        let found = placement(&[(2.0, 20.0, 88.0, "NOME"), (2.0, 70.0, 68.0, "STATO: aperto")]).unwrap();
        assert_eq!((found.spanning, found.texts), (vec![false, true, false, false], vec![(0, 0), (2, 1)]));
    }

    #[test]
    fn what_stands_outside_the_rows_is_kept_with_its_columns() {
        let header = (2.0, 20.0, 88.0, "NOME");
        let stray = |texts: &[(f64, f64, f64, &str)]| placement(&[&[header], texts].concat()).unwrap().strays;
        let below = stray(&[(2.0, 20.0, 12.0, "x"), (60.0, 70.0, 12.0, "y"), (40.0, 70.0, -30.0, "foot")]);
        assert_eq!(below[0].texts, [(Some(0), "x".to_owned()), (Some(1), "y".to_owned())]);
        assert_eq!(below[1].texts, [(None, "foot".to_owned())]);
        assert!(matches!(below[0].side, Side::Below(heights) if heights < 1.0));
        assert_eq!(stray(&[(120.0, 130.0, 88.0, "x")])[0].side, Side::Beside { header: true });
        assert_eq!(stray(&[(120.0, 130.0, 68.0, "x")])[0].side, Side::Beside { header: false });
        assert_eq!(stray(&[(2.0, 20.0, 140.0, "title")])[0].side, Side::Above);
    }
}
