//! Which pages show the same rows? Finds the cycle from the printed headers and joins wide rows.

use super::{
    Refusal, RefusalCode,
    table::{Band, PageTable},
};
use crate::sync_type::header::normalise;

/// Rows of one record lie at the same height on every page of a cycle, to within this (points).
const SAME_HEIGHT: f64 = 1.5;

/// Pages grouped by cycle; every cycle's pages hold the same rows.
#[derive(Debug)]
pub(crate) struct Cycles<'a> {
    /// All pages, in printed order.
    pages: &'a [PageTable],
    /// Pages in a cycle.
    pub length: usize,
}

/// One wide row: the same row of every page of a cycle.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WideRow<'a> {
    pages: &'a [PageTable],
    /// From 0, below the header.
    pub index: usize,
}

impl<'a> WideRow<'a> {
    /// The cell printed on page `page` of the cycle in its column `column`.
    #[must_use]
    pub(crate) fn cell(&self, (page, column): (usize, usize)) -> &'a str {
        self.pages[page].cell(self.index, column)
    }

    /// All cells, page by page.
    pub(crate) fn cells(self) -> impl Iterator<Item = &'a str> {
        self.pages.iter().flat_map(move |page| (0..page.headers.len()).map(move |column| page.cell(self.index, column)))
    }

    /// Is it one text over several columns?
    #[must_use]
    pub(crate) fn is_spanning(&self) -> bool {
        let spanning = self.pages.iter().filter(|page| page.spanning[self.index]).count();
        spanning > 0 && self.cells().filter(|cell| !cell.is_empty()).count() <= spanning
    }

    /// Does it stand further below the row before it than rows do?
    #[must_use]
    pub(crate) fn is_apart(&self) -> bool {
        self.pages.iter().any(|page| page.apart[self.index])
    }

    /// Its band on the cycle's first page.
    #[must_use]
    pub(crate) fn band(&self) -> Band {
        self.pages[0].bands[self.index]
    }

    /// Does it stand above all other rows of its pages?
    #[must_use]
    pub(crate) fn is_first(&self) -> bool {
        self.index == 0
    }

    /// Is it the last row of its pages?
    #[must_use]
    pub(crate) fn is_last(&self) -> bool {
        self.index + 1 == self.pages[0].bands.len()
    }

    /// The file's page number of the cycle's page `page`.
    #[must_use]
    pub(crate) fn page_number(&self, page: usize) -> usize {
        self.pages[page].page
    }
}

/// How many pages a cycle has: up to the first page with the headers of the first. `pages` are the
/// file's page numbers and their headers.
///
/// # Errors
/// `incomplete_cycle` where a page's headers are not those of its place.
pub(crate) fn length(pages: &[(usize, &[String])]) -> Result<usize, Refusal> {
    let same = |one: usize, other: usize| are_same(pages[one].1, pages[other].1);
    let length = (1..pages.len()).find(|page| same(*page, 0)).unwrap_or(pages.len());
    for page in length..pages.len() {
        if !same(page, page % length) {
            let text = format!(
                "page {}: its headers are [{}], but page {} of each cycle of {length} has [{}]: {}",
                pages[page].0,
                pages[page].1.join(" | "),
                page % length + 1,
                pages[page % length].1.join(" | "),
                why_not_in_step(pages),
            );
            return Err(Refusal::new(RefusalCode::IncompleteCycle, text));
        }
    }
    if !pages.len().is_multiple_of(length) {
        let has = pages.len() % length;
        let text = format!(
            "the last cycle is incomplete: it has {has} of {length} pages, and [{}] would come next: {}",
            pages[has].1.join(" | "),
            why_not_in_step(pages),
        );
        return Err(Refusal::new(RefusalCode::IncompleteCycle, text));
    }
    Ok(length)
}

/// Are these the same headers, however they are spelled?
pub(crate) fn are_same(one: &[String], other: &[String]) -> bool {
    let is_same = |(one, other): (&String, &String)| one == other || normalise(one) == normalise(other);
    one.len() == other.len() && one.iter().zip(other).all(is_same)
}

/// What is wrong with pages whose headers do not come round, and what helps.
fn why_not_in_step(pages: &[(usize, &[String])]) -> &'static str {
    let headers: Vec<Vec<String>> =
        pages.iter().map(|(_, headers)| headers.iter().map(|header| normalise(header)).collect()).collect();
    let count = |of: &Vec<String>| headers.iter().filter(|headers| *headers == of).count();
    if headers.iter().all(|of| count(of) == count(&headers[0])) {
        "each is there as often as the others, but the pages are in another order; print or fetch the report again"
    } else {
        "a page is missing, or stands there twice; print or fetch the report again"
    }
}

/// Are there several pages of each header, one block behind the other, as spreadsheets print wide lists?
pub(crate) fn goes_down_first(pages: &[(usize, &[String])]) -> bool {
    let blocks: Vec<&[(usize, &[String])]> = pages.chunk_by(|a, b| a.1 == b.1).collect();
    let is_again = |block: &&&[(usize, &[String])]| blocks.iter().filter(|other| other[0].1 == block[0].1).count() > 1;
    blocks.len() > 1
        && blocks[0].len() > 1
        && blocks.iter().all(|block| block.len() == blocks[0].len() && !is_again(&block))
}

impl<'a> Cycles<'a> {
    /// Finds the cycle.
    ///
    /// # Errors
    /// As [`length`]; `pages_disagree` where the rows of a cycle's pages differ in number or position.
    /// Rows are never joined by guess.
    pub(crate) fn find(pages: &'a [PageTable]) -> Result<Self, Refusal> {
        let headers: Vec<(usize, &[String])> = pages.iter().map(|page| (page.page, page.headers.as_slice())).collect();
        let length = length(&headers)?;
        pages.chunks(length).try_for_each(check_rows)?;
        Ok(Self { pages, length })
    }

    /// The headers of one cycle, with their places.
    pub(crate) fn headers(&self) -> impl Iterator<Item = ((usize, usize), &'a str)> {
        self.pages[..self.length].iter().enumerate().flat_map(|(page, table)| {
            table.headers.iter().enumerate().map(move |(column, header)| ((page, column), header.as_str()))
        })
    }

    /// All pages in printed order, each with its number in its cycle.
    pub(crate) fn pages(&self) -> impl Iterator<Item = (usize, &'a PageTable)> {
        self.pages.iter().enumerate().map(|(number, page)| (number % self.length, page))
    }

    /// All wide rows in printed order.
    pub(crate) fn rows(&self) -> impl Iterator<Item = WideRow<'a>> {
        self.pages
            .chunks(self.length)
            .flat_map(|pages| (0..pages[0].bands.len()).map(move |index| WideRow { pages, index }))
    }
}

fn check_rows(cycle: &[PageTable]) -> Result<(), Refusal> {
    let first = &cycle[0];
    for page in &cycle[1..] {
        if page.bands.len() != first.bands.len() {
            let text = format!(
                "page {} has {} rows, but page {} of the same cycle has {}: they cannot belong together",
                page.page,
                page.bands.len(),
                first.page,
                first.bands.len()
            );
            return Err(Refusal::new(RefusalCode::PagesDisagree, text));
        }
        let apart =
            |a: &Band, b: &Band| (a.top - b.top).abs() > SAME_HEIGHT || (a.bottom - b.bottom).abs() > SAME_HEIGHT;
        if let Some(row) = page.bands.iter().zip(&first.bands).position(|(a, b)| apart(a, b)) {
            let text = format!(
                "row {} of page {} lies at another height than on page {}: they cannot belong together",
                row + 1,
                page.page,
                first.page
            );
            return Err(Refusal::new(RefusalCode::PagesDisagree, text));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(number: usize, headers: &str, rows: usize) -> PageTable {
        PageTable::of(number, headers, rows)
    }

    fn pages(list: &[(&str, usize)]) -> Vec<PageTable> {
        list.iter().enumerate().map(|(index, (headers, rows))| page(index + 1, headers, *rows)).collect()
    }

    #[test]
    fn the_cycle_comes_from_the_headers() {
        for (list, expected) in [
            (vec![("A B", 2), ("C", 2), ("A B", 1), ("C", 1)], Ok(2)),
            (vec![("A B", 2), ("C", 2)], Ok(2)),
            (vec![("A", 2), ("A", 1), ("A", 1)], Ok(1)),
            (vec![("A", 2), ("C", 2), ("A", 1)], Err(RefusalCode::IncompleteCycle)),
            (vec![("A", 2), ("C", 2), ("D", 2), ("A", 1), ("D", 1), ("A", 1)], Err(RefusalCode::IncompleteCycle)),
            (vec![("A", 2), ("C", 3)], Err(RefusalCode::PagesDisagree)),
        ] {
            let pages = pages(&list);
            let found = Cycles::find(&pages).map(|cycles| cycles.length).map_err(|refusal| refusal.code);
            assert_eq!(found, expected, "{list:?}");
        }
    }

    #[test]
    fn pages_in_another_order_are_not_called_missing() {
        for (list, is_all_there) in [
            (&["A", "C", "C", "A"][..], true),
            (&["A", "C", "D", "A", "D", "C"], true),
            (&["A", "C", "A"], false),
            (&["A", "C", "D", "A", "D"], false),
            (&["A", "C", "A", "C", "C"], false),
        ] {
            let list: Vec<(&str, usize)> = list.iter().map(|headers| (*headers, 2)).collect();
            let pages = pages(&list);
            let Err(refusal) = Cycles::find(&pages) else { panic!("{list:?} is a cycle") };
            assert_eq!(refusal.text.contains("in another order"), is_all_there, "{list:?}: {}", refusal.text);
            assert_eq!(refusal.text.contains("a page is missing"), !is_all_there, "{list:?}: {}", refusal.text);
        }
    }

    #[test]
    fn rows_at_other_heights_are_not_joined() {
        let mut pages = pages(&[("A", 2), ("B", 2)]);
        pages[1].bands[0].bottom -= 5.0;
        let refusal = Cycles::find(&pages).unwrap_err();
        assert_eq!(refusal.code, RefusalCode::PagesDisagree);
        assert!(refusal.text.contains("row 1 of page 2"), "{}", refusal.text);
    }
}
