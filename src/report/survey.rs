//! What does a report say whose type nobody knows? Its columns with all their texts, as far as rules part them.

use super::{
    Budget, Refusal, RefusalCode,
    cycle::Cycles,
    frozen,
    pdf::{Document, Pieces},
    records::{Judge, Kind},
    sniff,
    table::{self, BREAK, Known, PageTable},
    totals, wrap,
};

/// One column of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SurveyedColumn {
    /// Its printed header.
    pub header: String,
    /// What stands below it, row by row; totals and captions left out.
    pub texts: Vec<String>,
    /// Does the totals row hold a sum of it?
    pub has_sum: bool,
}

/// Reads the columns of a report of an unknown type; the first row of each page is its header.
///
/// # Errors
/// As of every report; `no_table` where rules do not part both columns and rows of every page.
pub fn survey(bytes: &[u8], budget: &Budget) -> Result<Vec<SurveyedColumn>, Refusal> {
    sniff::check(bytes)?;
    let document = Document::open(bytes, budget)?;
    let known = Known::default();
    let mut tables: Vec<PageTable> = Vec::with_capacity(document.page_count());
    for number in 0..document.page_count() {
        let page = document.page(number, Pieces::Whole)?;
        if page.runs.is_empty() {
            continue;
        }
        let found = table::recognise(&page, &known)?.filter(|table| !table.bands.is_empty());
        let mut table = found.ok_or_else(|| {
            let text = format!(
                "page {}: rules do not part its columns and rows, and without known headers nothing else does; write \
                 the type's file by hand: `lockstep types new`",
                page.number
            );
            Refusal::new(RefusalCode::NoTable, text)
        })?;
        table.take_first_row_as_headers();
        tables.push(table);
    }
    if tables.is_empty() {
        return Err(Refusal::new(RefusalCode::NoTable, "no page holds any text"));
    }
    let length = Cycles::find(&tables)?.length;
    wrap::resolve(&mut tables, length, |_, _| None);
    let cycles = Cycles::find(&tables)?;
    let frozen = frozen::find(&cycles)?;
    let headers: Vec<_> = cycles.headers().filter(|(place, _)| !frozen.contains(place)).collect();
    let rows: Vec<_> = cycles.rows().collect();
    let judge = Judge::new(&rows, &headers, None, totals::default_words(), tables.len() / length);
    let kinds: Vec<Kind> = rows.iter().map(|row| judge.judge(*row, row.is_first())).collect();
    let sums = |number: usize| {
        kinds.iter().any(|kind| matches!(kind, Kind::Totals(claims) if claims.sums.iter().any(|sum| sum.0 == number)))
    };
    let numbers: Vec<_> = cycles.headers().map(|(place, _)| place).collect();
    let column = |(place, header): &((usize, usize), &str)| {
        let records = rows.iter().zip(&kinds).filter(|(_, kind)| **kind == Kind::Record);
        SurveyedColumn {
            header: (*header).to_owned(),
            texts: records.map(|(row, _)| row.cell(*place).replace(BREAK, " ")).collect(),
            has_sum: numbers.iter().position(|number| number == place).is_some_and(sums),
        }
    };
    Ok(headers.iter().map(column).collect())
}
