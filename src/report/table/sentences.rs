//! Which rows are sentences, whose words only seem to stand in columns?

use super::{
    super::pdf::{Page, TextRun},
    lines::SAME_BASELINE,
};

/// So many words make a sentence.
const SENTENCE: usize = 3;
/// So many do where each is a string of its own.
const LONG_SENTENCE: usize = 5;
/// Words of a sentence are parted by less than this share of the size.
const WORD_GAP: f64 = 0.5;
/// Texts whose places differ by less than this (points) are aligned.
const ALIGNED: f64 = 1.0;

/// Rows of one line whose words go on over the edges of columns as those of a sentence do.
pub(crate) fn find(page: &Page, texts: &[(u32, u32)], width: u32) -> Vec<usize> {
    let mut words: Vec<RelayMessage<'_>> = texts
        .iter()
        .map(|(cell, run)| RelayMessage { row: cell / width, column: cell % width, run: &page.runs[*run as usize] })
        .collect();
    words.sort_by(|a, b| a.row.cmp(&b.row).then(a.run.x0.total_cmp(&b.run.x0)));
    let rows = || words.chunk_by(|a, b| a.row == b.row);
    let mut alignments: Option<Vec<Alignment>> = None;
    let mut is_sentence = |words: &[RelayMessage<'_>]| {
        let first = words[0];
        let is_line = words.len() >= SENTENCE
            && words.iter().any(|word| word.column != first.column)
            && words.iter().all(|word| (word.run.y - first.run.y).abs() < word.run.size * SAME_BASELINE);
        if !is_line {
            return false;
        }
        if words.windows(2).all(|pair| page.is_one_text(pair[0].run, pair[1].run)) {
            return true;
        }
        let flows = words.windows(2).all(|pair| pair[1].run.x0 - pair[0].run.x1 < pair[0].run.size * WORD_GAP);
        flows && words.len() >= LONG_SENTENCE && {
            let alignments = alignments.get_or_insert_with(|| Alignment::of_columns(rows(), width as usize));
            cells_of(words).skip(1).all(|(column, x0, x1)| alignments[column as usize].leaves_out(x0, x1))
        }
    };
    rows().filter(|words| is_sentence(words)).map(|words| words[0].row as usize).collect()
}

/// A text and its cell.
#[derive(Clone, Copy)]
struct RelayMessage<'a> {
    row: u32,
    column: u32,
    run: &'a TextRun,
}

/// From where to where the texts of each filled cell of a row reach; its words go from left to right.
fn cells_of(words: &[RelayMessage<'_>]) -> impl Iterator<Item = (u32, f64, f64)> {
    words
        .chunk_by(|a, b| a.column == b.column)
        .map(|cell| (cell[0].column, cell[0].run.x0, cell[cell.len() - 1].run.x1))
}

/// Where most texts of a column begin, end or have their middle.
#[derive(Debug, Clone, Default)]
struct Alignment {
    places: Vec<(Side, f64)>,
}

/// The place of a text that reaches from one to another.
type Side = fn(f64, f64) -> f64;

impl Alignment {
    fn of_columns<'a>(rows: impl Iterator<Item = &'a [RelayMessage<'a>]>, width: usize) -> Vec<Self> {
        let mut cells: Vec<Vec<(f64, f64)>> = vec![Vec::new(); width];
        for (column, x0, x1) in rows.flat_map(cells_of) {
            cells[column as usize].push((x0, x1));
        }
        cells.iter().map(|cells| Self::of(cells)).collect()
    }

    fn of(cells: &[(f64, f64)]) -> Self {
        let sides: [Side; 3] = [|x0, _| x0, |_, x1| x1, f64::midpoint];
        let usual = |side: &Side| {
            let mut places: Vec<f64> = cells.iter().map(|(x0, x1)| side(*x0, *x1)).collect();
            places.sort_by(f64::total_cmp);
            let fullest = places.chunk_by(|a, b| b - a < ALIGNED).max_by_key(|alike| alike.len())?;
            (fullest.len() * 2 > cells.len()).then(|| (*side, fullest[fullest.len() / 2]))
        };
        Self { places: sides.iter().filter_map(usual).collect() }
    }

    /// Does a text surely not stand as the others of the column do?
    fn leaves_out(&self, x0: f64, x1: f64) -> bool {
        !self.places.is_empty() && self.places.iter().all(|(side, place)| (side(x0, x1) - place).abs() >= ALIGNED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_left_out_where_it_stands_as_no_other_of_its_column() {
        let right_aligned = Alignment::of(&[(10.0, 50.0), (20.0, 50.0), (31.0, 50.2), (14.0, 48.0)]);
        assert!(!right_aligned.leaves_out(42.0, 50.0));
        assert!(right_aligned.leaves_out(12.0, 44.0));
        let ragged = Alignment::of(&[(10.0, 20.0), (14.0, 31.0), (21.0, 44.0)]);
        assert!(!ragged.leaves_out(99.0, 100.0), "nobody knows how its texts stand");
    }
}
