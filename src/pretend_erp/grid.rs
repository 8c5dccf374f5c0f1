//! How does the ERP's grid lay a wide list out? Columns packed into pages, pages into cycles, cells
//! wrapped, ruled by thin boxes and clipped.

use pdf_writer::{Content, Filter, Finish, Name, Pdf, Rect, Ref, Str};
use rust_decimal::Decimal;

use super::{
    font::{Font, deflate},
    format::{printed, printed_tracking},
};
use crate::{
    domain::Record,
    sync_type::{SyncTypeSpec, ValueType},
};

const PAGE: (f32, f32) = (612.0, 792.0);
const MARGIN: f32 = 72.0;
const SIZE: f32 = 9.75;
/// The distance of two lines, in sizes.
const LINE: f32 = 1.15;
/// From a cell's edge to its text.
const PADDING: f32 = 1.9;
const RULE: f32 = 0.75;
const MIN_ROW: f32 = 24.75;
const WIDTHS: (f32, f32) = (45.0, 126.5);

/// What a person sets in the grid before exporting.
#[derive(Debug, Clone, PartialEq)]
pub struct Layout {
    /// Numbers of the spec's columns to print, in this order; all, as specified, where absent.
    pub columns: Option<Vec<usize>>,
    /// Print a totals row.
    pub totals: bool,
    /// Cells that are printed otherwise than they are: record, column of the spec, text.
    pub misprints: Vec<(usize, usize, String)>,
    /// Makes every column wider or narrower, which moves the page boundaries.
    pub zoom: f32,
    /// Leaves columns as narrow as that makes them, where words are cut, or fill their cells by chance: a
    /// person may set them so. Else they are a little wider where no reader could undo a wrap.
    pub is_exact: bool,
    /// The size of the text, in points.
    pub size: f32,
}

impl Default for Layout {
    fn default() -> Self {
        Self { columns: None, totals: true, misprints: Vec::new(), zoom: 1.0, is_exact: false, size: SIZE }
    }
}

struct Column {
    texts: Vec<String>,
    width: f32,
    right: bool,
    /// For each row (the header first): its lines.
    lines: Vec<Vec<String>>,
}

/// Prints records as the grid would.
///
/// # Errors
/// If the font cannot be read or subset.
pub fn print(spec: &SyncTypeSpec, records: &[Record], layout: &Layout) -> anyhow::Result<Vec<u8>> {
    let mut font = Font::load()?;
    let shown = layout.columns.clone().unwrap_or_else(|| (0..spec.columns.len()).collect());
    let mut columns: Vec<Column> = shown.iter().map(|number| column(spec, *number, records, layout)).collect();
    for column in &mut columns {
        fit(&mut font, column, layout);
    }
    let heights: Vec<f32> = (0..=records.len() + usize::from(layout.totals))
        .map(|row| columns.iter().map(|column| column.lines[row].len()).max().unwrap_or(1))
        .map(|lines| (lines as f32 * LINE * layout.size + 3.0).max(MIN_ROW))
        .collect();
    let mut pages = Vec::new();
    let groups = pack(&columns);
    for rows in chunks(&heights) {
        for group in &groups {
            pages.push(draw(&mut font, layout.size, group, &rows, &heights));
        }
    }
    write(font, &pages)
}

/// One column's texts: header, rows, totals.
fn column(spec: &SyncTypeSpec, number: usize, records: &[Record], layout: &Layout) -> Column {
    let column = &spec.columns[number];
    let fields: Vec<usize> = spec.fields_of(number).collect();
    let cell = |record: &Record| match (column.value_type, &fields[..]) {
        (ValueType::Skip, _) | (_, []) => String::new(),
        (ValueType::Tracking, &[courier, tracked]) => {
            printed_tracking(&record.values[courier], &record.values[tracked])
        }
        (value_type, &[field, ..]) => match printed(value_type, &record.values[field]) {
            text if text.is_empty() => text,
            text => text + column.strip_suffix.as_deref().unwrap_or_default(),
        },
    };
    let mut texts = vec![column.headers[0].clone()];
    texts.extend(records.iter().map(cell));
    for (record, _, text) in layout.misprints.iter().filter(|(_, column, _)| *column == number) {
        if let Some(printed) = texts.get_mut(record + 1) {
            printed.clone_from(text);
        }
    }
    if layout.totals {
        let sum = |field: usize| records.iter().filter_map(|record| record.values[field].as_decimal()).sum::<Decimal>();
        texts.push(match (column.value_type, &fields[..]) {
            (_, fields) if fields.contains(&spec.key) => {
                let count = crate::domain::Value::Int(i64::try_from(records.len()).unwrap_or(0));
                format!("Count={}", printed(ValueType::Int, &count))
            }
            (ValueType::Money, &[field, ..]) => {
                format!("Sum={}", printed(ValueType::Money, &crate::domain::Value::Decimal(sum(field))))
            }
            _ => String::new(),
        });
    }
    let right = matches!(
        column.value_type,
        ValueType::Id | ValueType::Int | ValueType::Money | ValueType::Number | ValueType::Percent
    );
    Column { texts, width: 0.0, right, lines: Vec::new() }
}

/// Chooses a column's width and wraps its texts.
fn fit(font: &mut Font, column: &mut Column, layout: &Layout) {
    let size = layout.size;
    let longest = column.texts.iter().map(|text| font.measure(text, size)).fold(0.0, f32::max);
    let header_word = column.texts[0].split(' ').map(|word| font.measure(word, size)).fold(0.0, f32::max);
    let least = if layout.is_exact { 2.0 * size } else { header_word.max(WIDTHS.0) } + 2.0 * PADDING + 1.0;
    column.width = ((longest + 2.0 * PADDING + 1.0).clamp(WIDTHS.0, WIDTHS.1) * layout.zoom).max(least);
    for _ in 0..100 {
        let room = column.width - 2.0 * PADDING;
        let mut ambiguous = false;
        column.lines = column.texts.iter().map(|text| wrap(font, text, size, room, &mut ambiguous)).collect();
        // a wrap that no reader could undo: a word that fills its line by chance
        if !ambiguous || layout.is_exact {
            break;
        }
        column.width += 1.0;
    }
}

/// Wraps at blanks and after `? & / -`; cuts words that are wider than the cell.
fn wrap(font: &mut Font, text: &str, size: f32, room: f32, ambiguous: &mut bool) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut line = String::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        for (number, piece) in pieces(word).into_iter().enumerate() {
            let glue = if number == 0 && !line.is_empty() { " " } else { "" };
            let longer = format!("{line}{glue}{piece}");
            if font.measure(&longer, size) <= room {
                line = longer;
                continue;
            }
            if !line.is_empty() {
                let next = piece.chars().next().map_or(0.0, |c| font.width(c) / 1000.0 * size);
                let left = room - font.measure(&line, size);
                *ambiguous |= number == 0 && !line.contains(' ') && left < next + 3.0;
                lines.push(std::mem::take(&mut line));
            }
            for c in piece.chars() {
                line.push(c);
                if font.measure(&line, size) > room && line.chars().count() > 1 {
                    line.pop();
                    lines.push(std::mem::replace(&mut line, c.to_string()));
                }
            }
        }
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// A word's parts between which a line may end: after `? & / -`, but not after a single character.
fn pieces(word: &str) -> Vec<String> {
    let mut pieces = vec![String::new()];
    for c in word.chars() {
        if let Some(piece) = pieces.last_mut() {
            piece.push(c);
            if matches!(c, '?' | '&' | '/' | '-') && piece.chars().count() > 1 {
                pieces.push(String::new());
            }
        }
    }
    pieces.retain(|piece| !piece.is_empty());
    pieces
}

/// Columns from left to right into pages.
fn pack(columns: &[Column]) -> Vec<Vec<&Column>> {
    let room = PAGE.0 - 2.0 * MARGIN;
    let mut groups: Vec<Vec<&Column>> = Vec::new();
    let mut used = room + 1.0;
    for column in columns {
        if used + column.width > room || groups.is_empty() {
            groups.push(Vec::new());
            used = 0.0;
        }
        used += column.width;
        if let Some(group) = groups.last_mut() {
            group.push(column);
        }
    }
    groups
}

/// Rows (their numbers, the header being 0) from top to bottom into cycles.
fn chunks(heights: &[f32]) -> Vec<Vec<usize>> {
    let room = PAGE.1 - 2.0 * MARGIN - heights[0];
    let mut chunks: Vec<Vec<usize>> = vec![Vec::new()];
    let mut used = 0.0;
    for (row, height) in heights.iter().enumerate().skip(1) {
        if used + height > room && used > 0.0 {
            chunks.push(Vec::new());
            used = 0.0;
        }
        used += height;
        if let Some(chunk) = chunks.last_mut() {
            chunk.push(row);
        }
    }
    chunks
}

fn draw(font: &mut Font, size: f32, columns: &[&Column], rows: &[usize], heights: &[f32]) -> Vec<u8> {
    let mut page = Content::new();
    let mut top = PAGE.1 - MARGIN;
    for row in std::iter::once(&0).chain(rows) {
        let height = heights[*row];
        let mut left = MARGIN;
        for column in columns {
            let cell = Rect::new(left, top - height, left + column.width, top);
            draw_cell(&mut page, font, size, column, *row, cell);
            left += column.width;
        }
        top -= height;
    }
    page.finish().into_vec()
}

fn draw_cell(page: &mut Content, font: &mut Font, size: f32, column: &Column, row: usize, cell: Rect) {
    let (width, height) = (cell.x2 - cell.x1, cell.y2 - cell.y1);
    page.set_fill_gray(if row == 0 { 0.502 } else { 1.0 });
    page.rect(cell.x1, cell.y1, width, height).fill_nonzero();
    page.set_fill_gray(0.6627);
    page.rect(cell.x1, cell.y2 - RULE, width, RULE).fill_nonzero();
    page.rect(cell.x1, cell.y1, width, RULE).fill_nonzero();
    page.rect(cell.x1, cell.y1, RULE, height).fill_nonzero();
    page.rect(cell.x2 - RULE, cell.y1, RULE, height).fill_nonzero();
    let lines = &column.lines[row];
    if lines.is_empty() {
        return;
    }
    page.save_state();
    page.rect(cell.x1 + RULE / 2.0, cell.y1 + RULE / 2.0, width - RULE, height - RULE).clip_nonzero().end_path();
    let leading = LINE * size;
    let mut baseline = f32::midpoint(cell.y1, cell.y2) + lines.len() as f32 * leading / 2.0 - leading + size * 0.27;
    for line in lines {
        let x = if column.right && row > 0 { cell.x2 - PADDING - font.measure(line, size) } else { cell.x1 + PADDING };
        page.save_state();
        page.set_fill_gray(if row == 0 { 1.0 } else { 0.0 });
        page.begin_text().set_font(Name(b"F1"), size).next_line(x, baseline).show(Str(&font.encode(line))).end_text();
        page.restore_state();
        baseline -= leading;
    }
    page.restore_state();
}

fn write(font: Font, pages: &[Vec<u8>]) -> anyhow::Result<Vec<u8>> {
    let mut last = 3;
    let mut next = || {
        last += 1;
        Ref::new(last)
    };
    let (catalog, tree, font_id) = (Ref::new(1), Ref::new(2), Ref::new(3));
    let ids: Vec<(Ref, Ref)> = pages.iter().map(|_| (next(), next())).collect();
    let mut pdf = Pdf::new();
    pdf.catalog(catalog).pages(tree);
    pdf.pages(tree).kids(ids.iter().map(|(page, _)| *page)).count(i32::try_from(pages.len())?);
    for ((id, content_id), content) in ids.iter().zip(pages) {
        let mut page = pdf.page(*id);
        page.parent(tree).media_box(Rect::new(0.0, 0.0, PAGE.0, PAGE.1)).contents(*content_id);
        page.resources().fonts().pair(Name(b"F1"), font_id);
        page.finish();
        pdf.stream(*content_id, &deflate(content)).filter(Filter::FlateDecode);
    }
    font.write(&mut pdf, font_id, &mut next)?;
    Ok(pdf.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{pretend_erp::invent, report, sync_type::SyncTypes};

    #[test]
    fn what_is_printed_reads_back_whatever_the_layout() {
        let types = SyncTypes::built_in().unwrap();
        for spec in types.iter() {
            let records = invent(&types, spec, 60, 7);
            let reversed = (0..spec.columns.len()).rev().collect();
            for layout in [
                Layout::default(),
                Layout { zoom: 1.4, ..Layout::default() },
                Layout { columns: Some(reversed), totals: false, zoom: 0.8, ..Layout::default() },
            ] {
                let pdf = print(spec, &records, &layout).unwrap();
                let read =
                    report::read(&pdf, spec, &types).unwrap_or_else(|refusal| panic!("{}: {refusal}", spec.name));
                assert_eq!(read.quarantined, [], "{}", spec.name);
                // repeated headers are taken in printed order: turned round, their fields are swapped
                if layout.columns.is_none() {
                    assert_eq!(read.records, records, "{} {layout:?}", spec.name);
                }
                assert_eq!((read.records.len(), read.counted), (60, layout.totals));
            }
        }
    }
}
