//! Which part of the table is on which page? Covers and other tables left out, pages without headers
//! given those of the page they go on from, pages printed column by column put row by row.

use super::{
    Refusal, RefusalCode, cell, cycle,
    shape::Shapes,
    table::{BREAK, Band, Known, PageTable},
};
use crate::sync_type::ValueType;

/// Edges of columns that differ by less (points) on two pages are the same.
const SAME_EDGE: f64 = 2.0;
/// Rows at heights that differ by less (points) on two pages are the same.
const SAME_HEIGHT: f64 = 1.5;
/// A page of texts without marks that has so many lines of several columns may be a table.
const TABLE_LINES: usize = 3;

/// A page, as far as it alone can be told.
#[derive(Debug)]
pub(crate) enum Sheet {
    /// A table.
    Table(Box<PageTable>),
    /// Texts that nothing parts; how many of their lines stand in several columns, and was everything
    /// understood?
    Text { page: usize, lines: usize, is_clean: bool, texts: Vec<String> },
    /// Nothing.
    Blank,
}

/// The columns of a headed page: those that go on from it have the same.
struct Template {
    columns: Vec<f64>,
    headers: Vec<String>,
    types: Vec<Option<ValueType>>,
}

/// What the first row of a page without known headers is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FirstRow {
    Values,
    Headers,
    Unclear,
}

/// Puts a report's pages together. Pages that hold no part of the table are left out.
///
/// # Errors
/// `no_table` where a page may hold rows, and it cannot be told of which columns.
pub(crate) fn resolve(sheets: Vec<Sheet>, known: &Known) -> Result<Vec<PageTable>, Refusal> {
    let mut templates: Vec<Template> = Vec::new();
    for sheet in &sheets {
        if let Sheet::Table(table) = sheet
            && table.headers.iter().any(|header| known.is_header(header))
            && !templates.iter().any(|template| template.headers == table.headers)
        {
            templates.push(Template {
                columns: table.columns.clone(),
                headers: table.headers.clone(),
                types: table.headers.iter().map(|header| known.value_type(header)).collect(),
            });
        }
    }
    // only pages that show no headers ask what keys look like
    let asks = |sheet: &Sheet| match sheet {
        Sheet::Table(table) => !table.headers.iter().any(|header| known.is_header(header)),
        Sheet::Text { .. } => true,
        Sheet::Blank => false,
    };
    let keys = if sheets.iter().any(asks) { keys(&sheets, known) } else { Shapes::default() };
    let mut settled: Vec<PageTable> = Vec::with_capacity(sheets.len());
    for sheet in sheets {
        match sheet {
            Sheet::Text { page, is_clean: false, .. } => {
                let text = format!("page {page}: no table is on it, but not everything of it could be read");
                return Err(Refusal::new(RefusalCode::UnreadableText, text));
            }
            Sheet::Text { page, lines, texts, .. }
                if lines >= TABLE_LINES
                    || (lines > 0 && !settled.is_empty() && texts.iter().any(|text| keys.is_like(text))) =>
            {
                let text = format!(
                    "page {page}: its {lines} lines look like rows, but neither rules nor known headers part them; \
                     print the header on every page, or send one list at a time"
                );
                return Err(Refusal::new(RefusalCode::NoTable, text));
            }
            Sheet::Text { .. } | Sheet::Blank => {}
            Sheet::Table(table) if table.headers.iter().any(|header| known.is_header(header)) => settled.push(*table),
            // glyphs that nobody can read may be those of the headers
            Sheet::Table(table) if table.verdict.unmapped > 0 => {
                let text = format!("page {}: it has no known headers, and glyphs whose text is not known", table.page);
                return Err(Refusal::new(RefusalCode::UnreadableText, text));
            }
            Sheet::Table(table) => settled.extend(unheaded(*table, &templates, &settled, &keys)?),
        }
    }
    Ok(row_by_row(settled))
}

/// The shapes of the keys on all headed pages.
fn keys(sheets: &[Sheet], known: &Known) -> Shapes {
    let tables = sheets.iter().filter_map(|sheet| match sheet {
        Sheet::Table(table) => Some(table.as_ref()),
        Sheet::Text { .. } | Sheet::Blank => None,
    });
    let columns = tables.filter_map(|table| {
        let column = table.headers.iter().position(|header| known.is_key(header))?;
        Some((table, column))
    });
    Shapes::learn(columns.flat_map(|(table, column)| (0..table.bands.len()).map(move |row| table.cell(row, column))))
}

fn is_same_edges(one: &[f64], other: &[f64]) -> bool {
    one.len() == other.len() && one.iter().zip(other).all(|(a, b)| (a - b).abs() <= SAME_EDGE)
}

/// A page without known headers: more rows of an earlier page's columns, columns that nobody knows, or
/// another table.
fn unheaded(
    mut table: PageTable,
    templates: &[Template],
    before: &[PageTable],
    keys: &Shapes,
) -> Result<Option<PageTable>, Refusal> {
    let fitting: Vec<(FirstRow, &Template)> = templates
        .iter()
        .filter(|template| is_same_edges(&template.columns, &table.columns))
        .map(|template| (first_row(&table, template, keys), template))
        .collect();
    let refuse = |why: &str| {
        let first: Vec<&str> = (0..table.width()).map(|column| table.cell(0, column)).collect();
        let text = format!(
            "page {}: it has no known headers, and {why}: its first row is [{}]; print the headers on every page",
            table.page,
            first.join(" | ").replace(BREAK, " ")
        );
        Refusal::new(RefusalCode::NoTable, text)
    };
    // the pages of a cycle follow each other: the next one's columns are the likeliest
    let next = before.last().map(|last| {
        let at = templates.iter().position(|template| template.headers == last.headers).unwrap_or(0);
        (at + 1) % templates.len().max(1)
    });
    let is_next = |template: &Template| next.is_some_and(|next| templates[next].headers == template.headers);
    let values: Vec<&Template> = fitting.iter().filter(|fit| fit.0 == FirstRow::Values).map(|fit| fit.1).collect();
    let chosen = match values[..] {
        [] if fitting.iter().any(|fit| fit.0 == FirstRow::Unclear) => {
            return Err(refuse("whether that row holds values or headers cannot be told"));
        }
        [] => None,
        [only] => Some(only),
        [..] => values.into_iter().find(|template| is_next(template)),
    };
    if let Some(template) = chosen {
        table.headers.clone_from(&template.headers);
        return Ok(Some(table));
    }
    if fitting.iter().any(|fit| fit.0 == FirstRow::Values) {
        return Err(refuse("several pages have columns as wide as its own"));
    }
    // the same rows as on the page before, in columns that nobody knows
    let is_of_cycle = before.last().is_some_and(|last| {
        let rows = table.bands.get(1..).unwrap_or_default();
        rows.len() == last.bands.len()
            && !rows.is_empty()
            && rows.iter().zip(&last.bands).all(|(a, b)| is_same_height(a, b))
    });
    if is_of_cycle {
        table.take_first_row_as_headers();
        return Ok(Some(table));
    }
    let like_keys = (0..table.width())
        .map(|column| (0..table.bands.len()).filter(|row| keys.is_like(table.cell(*row, column))).count())
        .max()
        .unwrap_or(0);
    // keys of many shapes are like none
    let may_be_rows = !keys.has_common() && table.width() > 2 && table.bands.len() > 1 && !before.is_empty();
    if like_keys * 2 < table.bands.len().max(2) && !may_be_rows {
        // a cover's parameters, a summary: no rows of this table
        return Ok(None);
    }
    Err(refuse("no other page has its columns, but it seems to hold records"))
}

fn is_same_height(a: &Band, b: &Band) -> bool {
    (a.top - b.top).abs() <= SAME_HEIGHT && (a.bottom - b.bottom).abs() <= SAME_HEIGHT
}

/// Do the texts of a page's first row fit the columns of `template` as values, or not at all?
fn first_row(table: &PageTable, template: &Template, keys: &Shapes) -> FirstRow {
    let Some(_) = table.bands.first() else { return FirstRow::Unclear };
    let (mut fitting, mut others) = (0, 0);
    for (column, value_type) in template.types.iter().enumerate() {
        let text = table.cell(0, column).replace(BREAK, "");
        let parted = table.cell(0, column).replace(BREAK, " ");
        let is_empty = text.is_empty();
        let fits = match value_type {
            Some(ValueType::Text | ValueType::Tracking | ValueType::Skip) | None => continue,
            // an identifier may be any text, but these are numbers
            Some(ValueType::Id) => {
                keys.is_like(&text) || text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
            }
            Some(value_type) => cell::parse(*value_type, &text).is_ok() || cell::parse(*value_type, &parted).is_ok(),
        };
        match (is_empty, fits) {
            (true, _) => {}
            (false, true) => fitting += 1,
            (false, false) => others += 1,
        }
    }
    let filled: Vec<&str> =
        (0..table.width()).map(|column| table.cell(0, column)).filter(|text| !text.is_empty()).collect();
    let has_key = filled.iter().any(|text| keys.is_like(text));
    let is_header_like =
        |text: &&str| !text.chars().any(|character| character.is_lowercase() || character.is_ascii_digit());
    match (fitting, others) {
        (1.., 0) => FirstRow::Values,
        (0, 1..) => FirstRow::Headers,
        (fitting, others) if fitting > others && has_key => FirstRow::Values,
        (0, 0) if has_key => FirstRow::Values,
        // texts only: as the known headers are written, or not
        (0, 0) if filled.is_empty() => FirstRow::Unclear,
        (0, 0) => {
            let are_capitals =
                template.headers.iter().filter(|header| !header.is_empty()).all(|text| is_header_like(&text.as_str()));
            match (are_capitals, filled.iter().all(is_header_like)) {
                (true, false) => FirstRow::Values,
                _ => FirstRow::Unclear,
            }
        }
        _ => FirstRow::Unclear,
    }
}

/// Pages printed down the rows first, and then over to the next columns (spreadsheets do), in the order
/// of cycles: where each block of pages has the same headers, as many pages, and rows at the same heights.
fn row_by_row(tables: Vec<PageTable>) -> Vec<PageTable> {
    let is_like = |one: &PageTable, other: &PageTable| cycle::are_same(&one.headers, &other.headers);
    let blocks: Vec<usize> = tables.chunk_by(is_like).map(<[PageTable]>::len).collect();
    let pages = blocks.first().copied().unwrap_or(0);
    let are_distinct = |lengths: &[usize]| {
        let mut firsts: Vec<&PageTable> = Vec::new();
        let mut at = 0;
        lengths.iter().all(|length| {
            let is_new = !firsts.iter().any(|first| is_like(first, &tables[at]));
            firsts.push(&tables[at]);
            at += length;
            is_new
        })
    };
    if pages < 2 || blocks.len() < 2 || blocks.iter().any(|length| *length != pages) || !are_distinct(&blocks) {
        return tables;
    }
    let has_same_rows = |a: &PageTable, b: &PageTable| {
        a.bands.len() == b.bands.len() && a.bands.iter().zip(&b.bands).all(|(a, b)| is_same_height(a, b))
    };
    let agree = (pages..tables.len()).all(|page| has_same_rows(&tables[page], &tables[page % pages]));
    if !agree {
        return tables;
    }
    let mut slots: Vec<Option<PageTable>> = tables.into_iter().map(Some).collect();
    let order = (0..pages).flat_map(|page| (0..blocks.len()).map(move |block| block * pages + page));
    order.filter_map(|at| slots[at].take()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Known {
        let headers = ["ID", "NOME", "TOTALE"].map(str::to_owned);
        let types = [ValueType::Id, ValueType::Text, ValueType::Money];
        Known::of(headers.iter(), headers.iter().zip(types), headers[..1].iter())
    }

    fn settled(sheets: Vec<Sheet>) -> Result<Vec<(usize, Vec<String>)>, RefusalCode> {
        let tables = resolve(sheets, &known()).map_err(|refusal| refusal.code)?;
        Ok(tables.into_iter().map(|table| (table.page, table.headers)).collect())
    }

    fn table(page: usize, headers: &[&str], rows: &[Vec<&str>]) -> Sheet {
        Sheet::Table(Box::new(PageTable::with_cells(page, headers, rows)))
    }

    const ROWS: [[&str; 3]; 3] = [["71.001", "Rossi", "1,00"], ["71.002", "Neri", "2,00"], ["71.003", "Verdi", "3,00"]];

    fn rows() -> Vec<Vec<&'static str>> {
        ROWS.iter().map(|row| row.to_vec()).collect()
    }

    #[test]
    fn a_page_without_headers_goes_on_with_the_columns_it_has() {
        let headers = ["ID", "NOME", "TOTALE"];
        let found = settled(vec![table(1, &headers, &rows()), table(2, &[], &rows()[..1])]).unwrap();
        assert_eq!(found[1], (2, headers.map(str::to_owned).to_vec()));
        let others = vec![vec!["STATO", "NUMERO", "MEDIA"], vec!["Aperto", "5", "1,00"]];
        assert_eq!(
            settled(vec![table(1, &headers, &rows()), table(2, &[], &others)]).unwrap().len(),
            1,
            "another table"
        );
    }

    #[test]
    fn covers_and_blank_pages_hold_no_rows_but_a_page_of_lines_may() {
        let sheets = |lines| {
            vec![
                Sheet::Text { page: 1, lines, is_clean: true, texts: Vec::new() },
                table(2, &["ID", "NOME", "TOTALE"], &rows()),
                Sheet::Blank,
            ]
        };
        assert_eq!(settled(sheets(1)).unwrap().len(), 1);
        assert_eq!(settled(sheets(9)), Err(RefusalCode::NoTable));
    }

    #[test]
    fn pages_printed_column_by_column_are_put_row_by_row() {
        let (first, second) = (["ID", "NOME"], ["TOTALE"]);
        let of = |page, headers: &[&str], row: &[&'static str]| table(page, headers, &[row.to_vec()]);
        let sheets = vec![
            of(1, &first, &["71.001", "Rossi"]),
            of(2, &first, &["71.002", "Neri"]),
            of(3, &second, &["1,00"]),
            of(4, &second, &["2,00"]),
        ];
        let pages: Vec<usize> = settled(sheets).unwrap().into_iter().map(|(page, _)| page).collect();
        assert_eq!(pages, [1, 3, 2, 4]);
    }
}
