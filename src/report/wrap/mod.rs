//! Was a word cut at the end of a line, or did a blank stand there? Told from the whole report.
//!
//! A line without a blank that leaves no room for one more glyph is either a word that was cut because it
//! alone is wider than its cell, or a whole word that happens to fill it. The geometry cannot tell; other
//! cells, the words' shapes and the kind of the column can, nearly always. What stays open keeps the blank,
//! and is told.

mod column;
mod value;
mod vocabulary;
mod words;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::table::{BREAK, PageTable};
use crate::sync_type::{ValueType, spec::Words};
use column::{Column, columns};
use value::by_value;
use vocabulary::{Vocabulary, Wanted};

/// A blank that may be none, in a field of a record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UncertainBreak {
    /// The record's natural key.
    pub key: String,
    pub field: String,
    /// The file's page, from 1.
    pub page: usize,
    /// The row on that page below the header, from 1.
    pub row: usize,
    /// Where in the value, in characters from 0, the blank stands that may be none.
    pub at: usize,
}

/// What is known of a column before its breaks are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    pub value_type: ValueType,
    /// What the type's file says of its words.
    pub words: Option<Words>,
}

/// Resolves the breaks of all pages: what is left of them is uncertain. `kind_of` tells the kind of a
/// column by its page in the cycle and number.
pub(crate) fn resolve(tables: &mut [PageTable], cycle: usize, kind_of: impl Fn(usize, usize) -> Option<Kind> + Sync) {
    if !tables.iter().any(PageTable::has_breaks) {
        return;
    }
    let kind_at = |number: usize, column: usize| kind_of(number % cycle, column);
    // most values are read as their type allows, without looking at others
    rewrite(tables, |number, column, text| by_kind(text, kind_at(number, column)).unwrap_or_else(|| text.to_owned()));
    if !tables.iter().any(PageTable::has_breaks) {
        return;
    }
    let wanted = Wanted::of(tables, cycle);
    let mut vocabulary = Vocabulary::gather(tables, &wanted);
    let columns = columns(tables, cycle, &wanted.columns, &vocabulary.words);
    // what the first pass makes certain is evidence for the second
    for pass in 0..2 {
        let none = Column::default();
        rewrite(tables, |number, column, text| {
            let own = columns.get(&(number % cycle, column)).unwrap_or(&none);
            // in a column whose values have a type, what fits none of its readings is left as it is
            match kind_at(number, column).map(|kind| kind.value_type) {
                Some(ValueType::Tracking) => text.to_owned(),
                _ => vocabulary.resolve(text, own),
            }
        });
        if pass > 0 || !tables.iter().any(PageTable::has_breaks) {
            return;
        }
        vocabulary = Vocabulary::gather(tables, &wanted);
    }
}

/// What a column's type, or its file, says of a text with breaks.
fn by_kind(text: &str, kind: Option<Kind>) -> Option<String> {
    let kind = kind?;
    by_value(text, kind.value_type).or_else(|| match kind.words? {
        Words::Whole => Some(text.replace(BREAK, " ")),
        Words::Cut => Some(text.replace(BREAK, "")),
    })
}

/// Gives each text with breaks another one, by the number of its page and of its column.
fn rewrite(tables: &mut [PageTable], new: impl Fn(usize, usize, &str) -> String + Sync) {
    tables.par_iter_mut().enumerate().filter(|(_, table)| table.has_breaks()).for_each(|(number, table)| {
        let mut left = Vec::new();
        let mut widths = std::mem::take(&mut table.breaks).into_iter();
        table.rewrite(|_, column, text, into| {
            let breaks = text.matches(BREAK).count();
            if breaks == 0 {
                into.push_str(text);
                return;
            }
            let widths: Vec<f32> = widths.by_ref().take(breaks).collect();
            let resolved = new(number, column, text);
            // in a text of several breaks, which one is left matters to nobody any more
            left.extend(widths.into_iter().take(resolved.matches(BREAK).count()));
            into.push_str(&resolved);
        });
        table.breaks = left;
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: Option<Kind> = Some(Kind { value_type: ValueType::Text, words: None });

    fn resolved(cells: &[&str], widest_word: f32) -> Vec<String> {
        let rows: Vec<Vec<&str>> = cells.iter().map(|cell| vec![*cell]).collect();
        let mut tables = [PageTable::with_cells(1, &["NOME"], &rows)];
        tables[0].widest_words = vec![widest_word];
        resolve(&mut tables, 1, |_, _| TEXT);
        (0..cells.len()).map(|row| tables[0].cell(row, 0).to_owned()).collect()
    }

    #[test]
    fn whole_words_and_cut_ones_are_told_apart() {
        for (cells, expected) in [
            (&["Ambulatorio\u{1f}Rossi"][..], "Ambulatorio Rossi"),
            (&["Ambulatorio\u{1f}medico", "Ambulatorio Rossi", "Studio medico"], "Ambulatorio medico"),
            (&["ODONTO\u{1f}IATRICA", "ODONTOIATRICA"], "ODONTOIATRICA"),
            (&["Via Roma\u{1f}12"], "Via Roma 12"),
            (&["info@stu\u{1f}dio.example"], "info@studio.example"),
            (&["RSSMRA80\u{1f}A01H501U", "A1", "B2", "C3", "D4", "E5"], "RSSMRA80A01H501U"),
            (&["ROSSI\u{1f}MARIO", "A B", "C D"], "ROSSI\u{1f}MARIO"),
        ] {
            assert_eq!(resolved(cells, 0.0)[0], expected);
        }
        let names: Vec<String> = (0..25).map(|at| format!("Rossi {}", char::from(b'A' + at))).collect();
        let names: Vec<&str> =
            ["Ambul\u{1f}atori\u{1f}o"].into_iter().chain(names.iter().map(String::as_str)).collect();
        assert_eq!(resolved(&names, 0.0)[0], "Ambulatorio", "no word of the column begins small");
        let shown = resolved(&["Rossi\u{1f}mario", "A b"], 30.0);
        assert_eq!(shown[0], "Rossi\u{1f}mario", "what seems cut may be");
        assert_eq!(resolved(&["ROSSI\u{1f}MARIO", "A B"], 30.0)[0], "ROSSI\u{1f}MARIO", "capitals may be cut anywhere");
        assert_eq!(resolved(&["Reggio\u{1f}Emilia", "Roma", "Bari", "Lodi", "Pisa", "Como"], 0.0)[0], "Reggio Emilia");
        assert_eq!(resolved(&["Rossi Mario", "Rossi\u{1f}Mario", "Rossi\u{1f}Mario"], 0.0)[1], "Rossi Mario");
    }
}
