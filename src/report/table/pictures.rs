//! Which cells hold a picture, a drawn mark or a field of a form?

use super::{super::pdf::Rect, place::Cells};

/// A mark is drawn so far (points) within its cell, and takes less than this share of its width.
const INSET: f64 = 0.5;
const PART: f64 = 0.7;
/// A picture up to this many row heights high belongs to a cell.
const CELL_PICTURE: f64 = 1.2;

/// What stands in a cell beside its text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Picture {
    Image,
    /// Drawn with lines: a mark, a check box.
    Drawing,
    Field,
}

/// Pictures as large as cells, and fields of forms.
pub(crate) fn pictures(cells: Cells<'_>) -> Vec<(u32, Picture)> {
    let width = cells.columns.len() - 1;
    let cell_of = |area: &Rect| {
        let (x, y) = area.middle();
        let (row, column) = (cells.row_at(y)?, cells.column(x)?);
        let band = cells.rows[row].band;
        let fits = area.height() <= (band.top - band.bottom) * CELL_PICTURE
            && area.width() <= (cells.columns[column + 1] - cells.columns[column]) * CELL_PICTURE;
        fits.then_some((row * width + column) as u32)
    };
    let images = cells.page.images.iter().filter_map(|area| Some((cell_of(area)?, Picture::Image)));
    let fields = cells.page.fields.iter().filter_map(|area| Some((cell_of(area)?, Picture::Field)));
    // backgrounds are as large as their cells
    let is_within = |area: &&Rect| {
        let (x, y) = area.middle();
        cells.row_at(y).zip(cells.column(x)).is_some_and(|(row, column)| {
            let (band, left, right) = (cells.rows[row].band, cells.columns[column], cells.columns[column + 1]);
            area.y1 < band.top - INSET && area.y0 > band.bottom + INSET && area.width() < (right - left) * PART
        })
    };
    let drawings = cells.page.drawings.iter().filter(is_within);
    let drawings = drawings.filter_map(|area| Some((cell_of(area)?, Picture::Drawing)));
    images.chain(fields).chain(drawings).collect()
}
