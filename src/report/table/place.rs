//! Which cell does each text belong to? Where its clip is, else where it stands; what stands nowhere for
//! certain refuses the page.

use super::{
    super::{
        Refusal, RefusalCode,
        pdf::{Page, Run},
    },
    Band, MIDDLE,
    lattice::SAME_LINE,
};

/// Texts whose ends differ by less than this (points) are aligned.
const ALIGNED: f64 = 1.0;
/// Texts of several columns on one line so many row heights below the table are a row of it.
const NEAR: f64 = 3.0;

/// The cells of a table: columns' edges, and rows with the header's first.
#[derive(Clone, Copy)]
pub struct Cells<'a> {
    pub page: &'a Page,
    pub columns: &'a [f64],
    pub bands: &'a [Band],
}

impl Cells<'_> {
    /// Puts every text of the page into its cell: `(cell, run)`, cells numbered row by row.
    ///
    /// # Errors
    /// `no_table` where a text would be lost or could belong to several columns, `unreadable_text`
    /// where one does not stand upright.
    pub fn place(self) -> Result<Vec<(u32, u32)>, Refusal> {
        let width = self.columns.len() - 1;
        let mut placed: Vec<(u32, u32)> = Vec::with_capacity(self.page.runs.len());
        let mut crossing = Vec::new();
        let mut outside = Vec::new();
        for (number, run) in (0..).zip(&self.page.runs) {
            if let Some((row, column)) = self.by_clip(run) {
                placed.push(((row * width + column) as u32, number));
                continue;
            }
            let inset = ALIGNED.min((run.x1 - run.x0) / 2.0);
            let (start, end) = (self.column(run.x0 + inset), self.column(run.x1 - inset));
            match (self.row(run), start) {
                (Some(row), Some(column)) if start == end => placed.push(((row * width + column) as u32, number)),
                (Some(_), None) if end.is_none() => return Err(self.lost(run, "right beside the table")),
                (Some(row), _) => crossing.push((row, number)),
                (None, _) => outside.push(run),
            }
        }
        self.check_outside(&outside)?;
        let align = |(row, number): (usize, u32)| {
            let run = &self.page.runs[number as usize];
            let column = self.by_alignment(run, &placed).ok_or_else(|| self.lost(run, "across columns"))?;
            Ok(((row * width + column) as u32, number))
        };
        let aligned = crossing.into_iter().map(align).collect::<Result<Vec<_>, Refusal>>()?;
        placed.extend(aligned);
        let bounds = (self.columns[0], self.columns[width], self.bands[self.bands.len() - 1].bottom, self.bands[0].top);
        let is_inside = |(x, y): &(f64, f64)| *x > bounds.0 && *x < bounds.1 && *y > bounds.2 && *y < bounds.3;
        if self.page.turned.iter().any(is_inside) {
            let text = format!("page {}: a text in its table does not stand upright", self.page.number);
            return Err(Refusal::new(RefusalCode::UnreadableText, text));
        }
        Ok(placed)
    }

    fn column(&self, x: f64) -> Option<usize> {
        self.columns.partition_point(|edge| *edge <= x).checked_sub(1).filter(|at| at + 1 < self.columns.len())
    }

    fn row_at(&self, y: f64) -> Option<usize> {
        let after = self.bands.partition_point(|band| band.top >= y);
        after.checked_sub(1).filter(|at| self.bands[*at].bottom <= y)
    }

    fn row(&self, run: &Run) -> Option<usize> {
        self.row_at(run.y + run.size * MIDDLE)
    }

    /// The cell whose clip a run is printed in.
    fn by_clip(&self, run: &Run) -> Option<(usize, usize)> {
        let clip = self.page.clips[run.clip? as usize];
        let (x, y) = clip.middle();
        let (row, column) = (self.row_at(y)?, self.column(x)?);
        let fits = clip.width() <= self.columns[column + 1] - self.columns[column] + SAME_LINE
            && clip.height() <= self.bands[row].top - self.bands[row].bottom + SAME_LINE;
        fits.then_some((row, column))
    }

    /// The column of a text that overflows its cell: the one in which it starts if it is aligned at the
    /// left, in which it ends if at the right, and the one around whose middle it stands if there.
    fn by_alignment(&self, run: &Run, placed: &[(u32, u32)]) -> Option<usize> {
        let width = self.columns.len() as u32 - 1;
        let others = || placed.iter().map(|(cell, other)| ((cell % width) as usize, &self.page.runs[*other as usize]));
        // as the other texts of its column, or as far from its edge as the nearest texts of all columns
        let is_aligned = |column: Option<usize>, distance: &dyn Fn(usize, &Run) -> f64| {
            let Some(column) = column else { return false };
            let own = distance(column, run);
            let alike = |other: f64| (other - own).abs() < ALIGNED;
            let padding = others().map(|(of, other)| distance(of, other)).filter(|distance| *distance >= 0.0);
            others().any(|(of, other)| of == column && alike(distance(of, other)))
                || alike(padding.fold(f64::MAX, f64::min))
        };
        let middle = |run: &Run| f64::midpoint(run.x0, run.x1);
        let (start, end) = (self.column(run.x0 + ALIGNED), self.column(run.x1 - ALIGNED));
        let centre = self.column(middle(run));
        let from_middle =
            |column: usize, run: &Run| middle(run) - f64::midpoint(self.columns[column], self.columns[column + 1]);
        if is_aligned(start, &|column, run| run.x0 - self.columns[column]) {
            start
        } else if is_aligned(end, &|column, run| self.columns[column + 1] - run.x1) {
            end
        } else {
            centre.filter(|column| from_middle(*column, run).abs() < ALIGNED)
        }
    }

    /// Texts that stand in no row must not look like one whose rule is missing.
    fn check_outside(&self, outside: &[&Run]) -> Result<(), Refusal> {
        let (header, last) = (self.bands[0], self.bands[self.bands.len() - 1]);
        let height = last.top - last.bottom;
        let is_below = |run: &Run, heights: f64| run.y < last.bottom && run.y > last.bottom - height * heights;
        for run in outside.iter().filter(|run| self.column(f64::midpoint(run.x0, run.x1)).is_some()) {
            let y = run.y + run.size * MIDDLE;
            let beside = |other: &&Run| {
                (other.y - run.y).abs() < run.size * MIDDLE && self.column(other.x0) != self.column(run.x0)
            };
            let is_row = is_below(run, NEAR) && outside.iter().any(beside);
            if is_row || is_below(run, 1.0) {
                return Err(self.lost(run, "right below the table"));
            }
            if y < header.top && y > last.bottom {
                return Err(self.lost(run, "between the rows of the table"));
            }
        }
        Ok(())
    }

    fn lost(&self, run: &Run, place: &str) -> Refusal {
        let text = format!(
            "page {}: text stands {place}, where nothing separates it: '{}' would be lost or misplaced",
            self.page.number,
            self.page.text_of(run)
        );
        Refusal::new(RefusalCode::NoTable, text)
    }
}

#[cfg(test)]
mod tests {
    use super::{super::page_of, *};

    fn placed(texts: &[(f64, f64, f64, &str)]) -> Result<Vec<u32>, RefusalCode> {
        let page = page_of(texts);
        let bands: Vec<Band> = (0..4)
            .map(|row| Band { top: 100.0 - f64::from(row) * 20.0, bottom: 80.0 - f64::from(row) * 20.0 })
            .collect();
        let cells = Cells { page: &page, columns: &[0.0, 50.0, 100.0], bands: &bands };
        let mut placed = cells.place().map_err(|refusal| refusal.code)?;
        placed.sort_by_key(|(_, run)| *run);
        Ok(placed.into_iter().map(|(cell, _)| cell).collect())
    }

    #[test]
    fn what_overflows_belongs_where_it_is_aligned() {
        let columns = [(2.0, 20.0, 88.0, "NOME"), (70.0, 98.0, 88.0, "TOTALE")];
        let with = |text| placed(&[columns[0], columns[1], text]);
        assert_eq!(with((2.0, 70.0, 68.0, "a long name")), Ok(vec![0, 1, 2]));
        assert_eq!(with((30.0, 98.0, 68.0, "124.497.000,43")), Ok(vec![0, 1, 3]));
        assert_eq!(with((30.0, 80.0, 68.0, "whose is this")), Err(RefusalCode::NoTable));
    }

    #[test]
    fn what_stands_near_the_table_in_no_row_is_not_lost() {
        let header = (2.0, 20.0, 88.0, "NOME");
        assert_eq!(placed(&[header, (2.0, 20.0, 15.0, "x")]), Err(RefusalCode::NoTable));
        assert_eq!(placed(&[header, (2.0, 20.0, -30.0, "x"), (60.0, 70.0, -30.0, "y")]), Err(RefusalCode::NoTable));
        assert_eq!(placed(&[header, (2.0, 20.0, -30.0, "foot")]), Ok(vec![0]));
        assert_eq!(placed(&[header, (120.0, 130.0, 68.0, "x")]), Err(RefusalCode::NoTable));
    }
}
