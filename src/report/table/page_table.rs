//! What does one page's table say? Its cells, and what stands around them.

use super::{BREAK, Band, Mark, Picture, Rect, Stray, Verdict};

/// One page's table: the header row, if it has one, and the rows below it.
#[derive(Debug, Clone, PartialEq)]
pub struct PageTable {
    /// From 1.
    pub page: usize,
    /// The printed headers; none where the page goes on with another one's table.
    pub headers: Vec<String>,
    /// The edges of the columns from left to right: one more than columns.
    pub columns: Vec<f64>,
    /// Where the header row stands.
    pub header_band: Option<Band>,
    /// Where the rows below it stand, from top to bottom.
    pub bands: Vec<Band>,
    /// For each row: is it one text over several columns, which then is its first cell's?
    pub spanning: Vec<bool>,
    /// For each row: does it stand further below the one before it than rows do?
    pub apart: Vec<bool>,
    /// Lines outside of the rows.
    pub strays: Vec<Stray>,
    /// Row, column: cells that hold a picture or a field of a form.
    pub pictures: Vec<(usize, usize, Picture)>,
    /// What told columns and rows apart.
    pub marks: (Mark, Mark),
    /// How far the page could be read.
    pub verdict: Verdict,
    /// For each [`BREAK`] in the cells' texts, in their order: how wide the line before it is (points).
    pub breaks: Vec<f32>,
    /// For each column, its widest line of one word that surely ends there (points).
    pub widest_words: Vec<f32>,
    /// All cells' texts, one after the other, and where each ends.
    pub(super) text: String,
    pub(super) ends: Vec<u32>,
}

impl PageTable {
    /// How many columns there are.
    #[must_use]
    pub fn width(&self) -> usize {
        self.columns.len() - 1
    }

    /// The text of one cell; blank where nothing is printed.
    #[must_use]
    pub fn cell(&self, row: usize, column: usize) -> &str {
        let cell = row * self.width() + column;
        let start = cell.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.text[start as usize..self.ends[cell] as usize]
    }

    /// All cells: row, column and text, row by row.
    pub fn cells(&self) -> impl Iterator<Item = (usize, usize, &str)> {
        let mut start = 0;
        self.ends.iter().enumerate().map(move |(cell, end)| {
            let text = &self.text[start as usize..*end as usize];
            start = *end;
            (cell / self.width(), cell % self.width(), text)
        })
    }

    /// Gives every cell the text that `new` appends for its row, column and text.
    pub fn rewrite(&mut self, mut new: impl FnMut(usize, usize, &str, &mut String)) {
        let (mut text, mut ends) = (String::with_capacity(self.text.len()), Vec::with_capacity(self.ends.len()));
        for row in 0..self.bands.len() {
            for column in 0..self.width() {
                new(row, column, self.cell(row, column), &mut text);
                ends.push(text.len() as u32);
            }
        }
        (self.text, self.ends) = (text, ends);
    }

    /// Makes the first row the header.
    pub fn take_first_row_as_headers(&mut self) {
        let width = self.width();
        self.header_band = Some(self.bands.remove(0));
        self.spanning.remove(0);
        self.apart.remove(0);
        self.pictures.retain(|(row, ..)| *row > 0);
        self.pictures.iter_mut().for_each(|(row, ..)| *row -= 1);
        self.verdict.rows = self.bands.len() as u64;
        self.headers.clear();
        self.move_headers(width);
    }

    /// Moves the texts of the first row of cells to the headers.
    pub(super) fn move_headers(&mut self, width: usize) {
        let mut start = 0;
        for end in &self.ends[..width] {
            // words may be cut at a line's end, and are compared without their blanks
            self.headers.push(self.text[start..*end as usize].replace(BREAK, " "));
            start = *end as usize;
        }
        let breaks = self.text[..start].matches(BREAK).count();
        self.breaks.drain(..breaks);
        self.text.drain(..start);
        self.ends.drain(..width);
        self.ends.iter_mut().for_each(|end| *end -= start as u32);
    }

    /// Does any cell hold a [`BREAK`]?
    #[must_use]
    pub fn has_breaks(&self) -> bool {
        !self.breaks.is_empty()
    }

    /// A table for tests: each row holds its headers' texts.
    #[cfg(test)]
    #[must_use]
    pub fn of(page: usize, headers: &str, rows: usize) -> Self {
        let headers: Vec<String> = headers.split(' ').map(str::to_owned).collect();
        let row: Vec<&str> = headers.iter().map(String::as_str).collect();
        let cells = vec![row; rows];
        Self::with_cells(page, &headers.iter().map(String::as_str).collect::<Vec<_>>(), &cells)
    }

    /// A table for tests.
    #[cfg(test)]
    #[must_use]
    pub fn with_cells(page: usize, headers: &[&str], rows: &[Vec<&str>]) -> Self {
        let (mut text, mut ends, mut breaks) = (String::new(), Vec::new(), Vec::new());
        for cell in rows.iter().flatten() {
            breaks.extend(cell.matches(BREAK).map(|_| 30.0));
            text.push_str(cell);
            ends.push(text.len() as u32);
        }
        let band = |row: usize| Band { top: 100.0 - row as f64 * 10.0, bottom: 90.0 - row as f64 * 10.0 };
        let width = rows.first().map_or(headers.len(), Vec::len);
        Self {
            page,
            columns: (0..=width).map(|column| column as f64 * 50.0).collect(),
            header_band: (!headers.is_empty()).then(|| band(0)),
            bands: (1..=rows.len()).map(band).collect(),
            spanning: vec![false; rows.len()],
            apart: vec![false; rows.len()],
            strays: Vec::new(),
            pictures: Vec::new(),
            marks: (Mark::Rules, Mark::Rules),
            verdict: Verdict::default(),
            headers: headers.iter().map(|header| (*header).to_owned()).collect(),
            breaks,
            widest_words: vec![0.0; width],
            text,
            ends,
        }
    }

    /// Where the table stands.
    #[must_use]
    pub fn bounds(&self) -> Rect {
        let first = self.header_band.as_ref().or(self.bands.first());
        let last = self.bands.last().or(self.header_band.as_ref());
        let (top, bottom) = (first.map_or(0.0, |band| band.top), last.map_or(0.0, |band| band.bottom));
        Rect { x0: self.columns[0], x1: self.columns[self.columns.len() - 1], y0: bottom, y1: top }
    }
}
