//! What does one page show by itself, and do all pages do so?

use rayon::prelude::*;

use super::{
    Refusal,
    pages::Sheet,
    pdf::{Document, Page, Pieces},
    table::{self, Known},
};

/// Texts of a page without a table that are looked at, at most.
const LOOKED_AT: usize = 2_000;

/// What a page's marks show.
pub(crate) enum Marked {
    /// All of it.
    Sheet(Sheet),
    /// Its texts may be a table that only shows together with the other pages; has it known headers?
    Open { sheet: Sheet, is_headed: bool },
}

/// What a page alone shows.
///
/// # Errors
/// Where its table cannot be told for certain.
pub(crate) fn by_marks(page: &Page, known: &Known) -> Result<Marked, Refusal> {
    if page.runs.is_empty() && page.verdict.is_clean() && page.fields.is_empty() {
        return Ok(Marked::Sheet(Sheet::Blank));
    }
    if let Some(table) = table::recognise(page, known)? {
        return Ok(Marked::Sheet(Sheet::Table(Box::new(table))));
    }
    let verdict = page.verdict;
    let is_clean = verdict.skipped_tokens + verdict.lost_texts + verdict.failed_streams == 0;
    let texts = page.runs.iter().take(LOOKED_AT).map(|run| page.text_of(run).trim().to_owned()).collect();
    let sheet = Sheet::Text { page: page.number, lines: table::lines_of_columns(page), is_clean, texts };
    Ok(Marked::Open { sheet, is_headed: table::shows_headers(page, known) })
}

/// The pages, if each one shows by its marks what it holds; `None` where texts must tell.
pub(crate) fn together(found: Vec<Marked>) -> Option<Vec<Sheet>> {
    let is_marked = found.iter().any(|found| matches!(found, Marked::Sheet(Sheet::Table(_))));
    let sheet = |found| match found {
        Marked::Sheet(sheet) => Some(sheet),
        Marked::Open { sheet, is_headed } => (is_marked && !is_headed).then_some(sheet),
    };
    found.into_iter().map(sheet).collect()
}

/// The tables of pages whose texts tell together what they hold.
///
/// # Errors
/// `no_table` where they do not.
pub(crate) fn by_texts(document: &Document<'_>, known: &Known) -> Result<Vec<Sheet>, Refusal> {
    let pages = (0..document.page_count())
        .into_par_iter()
        .map(|page| table::loosely(document.page(page, Pieces::Words)?))
        .collect::<Result<Vec<_>, Refusal>>()?;
    table::positions::recognise(pages, known)
        .map(|tables| tables.into_iter().map(|table| Sheet::Table(Box::new(table))).collect())
}
