//! Where do columns end that nothing parts but their texts?

use super::{
    super::{Refusal, RefusalCode},
    Band, Loose, Mark, furniture,
    headings::{Heading, Headings, no_table},
    lattice::Axis,
};

/// How far (points) a column's edge stands before its first text.
pub(crate) const BEFORE_TEXT: f64 = 1.0;
/// Texts nearer than this (points) leave no gap between them.
pub(crate) const NO_GAP: f64 = 0.5;
/// Notes in the margin stand further away than this (points) ...
const MARGIN: f64 = 5.0;
/// ... and are so many times fewer than the texts of the column beside them.
const FEW: usize = 4;

/// The edges of the columns of all pages with the same header row.
///
/// # Errors
/// `no_table` where a text reaches from one column into the next.
pub(crate) fn columns(headings: &Headings, pages: &[(&Loose, Band)]) -> Result<Axis, Refusal> {
    if let Some(axis) = pages.iter().find_map(|(page, _)| page.lattice.columns.clone()).filter(|_| headings.has_columns)
    {
        return Ok(axis);
    }
    let mut spans: Vec<(f64, f64)> = pages
        .iter()
        .flat_map(|(page, band)| furniture::showing_columns(furniture::lines(&page.page, *band, headings)))
        .flat_map(|line| line.spans)
        .collect();
    spans.sort_by(|a, b| a.0.total_cmp(&b.0));
    let headed = &headings.all;
    let (Some(first), Some(last)) = (headed.first(), headed.last()) else {
        return Err(no_table(pages.first().map(|(page, _)| &page.page)));
    };
    let (left, right) = (reach(first, &spans, false), reach(last, &spans, true));
    let mut edges = vec![left];
    for pair in headed.windows(2) {
        edges.push(cut(&pair[0], &pair[1], &spans).ok_or_else(|| {
            let text = format!(
                "page {}: nothing separates the columns '{}' and '{}': a text below reaches across",
                pages[0].0.page.number, pair[0].text, pair[1].text
            );
            Refusal::new(RefusalCode::NoTable, text)
        })?);
    }
    edges.push(right);
    Ok(Axis { edges, mark: Mark::Positions })
}

/// Where the outermost columns end: what stands beside them in few lines is a note in the margin.
fn reach(heading: &Heading, spans: &[(f64, f64)], to_right: bool) -> f64 {
    let (mut x0, mut x1) = (heading.x0, heading.x1);
    let own = spans.iter().filter(|span| span.0 < heading.x1 && span.1 > heading.x0).count();
    // the nearest first
    let mut beside: Vec<&(f64, f64)> =
        spans.iter().filter(|span| if to_right { span.1 > x1 } else { span.0 < x0 }).collect();
    beside.sort_by(|a, b| if to_right { a.0.total_cmp(&b.0) } else { b.1.total_cmp(&a.1) });
    for (number, span) in beside.iter().enumerate() {
        let is_far = span.0 > x1 + MARGIN || span.1 < x0 - MARGIN;
        if is_far && (beside.len() - number) * FEW < own {
            break;
        }
        (x0, x1) = (x0.min(span.0), x1.max(span.1));
    }
    if to_right { x1 + BEFORE_TEXT } else { x0 - BEFORE_TEXT }
}

/// The edge between two neighbouring columns: in a gap that no text crosses, if there is one.
fn cut(left: &Heading, right: &Heading, spans: &[(f64, f64)]) -> Option<f64> {
    let (low, high) = (left.x1, right.x0);
    // what stands between the two headers, merged where it overlaps
    let mut blobs: Vec<(f64, f64)> = Vec::new();
    for span in spans.iter().filter(|span| span.1 > low && span.0 < high) {
        match blobs.last_mut() {
            Some(blob) if span.0 <= blob.1 + NO_GAP => blob.1 = blob.1.max(span.1),
            _ => blobs.push(*span),
        }
    }
    let has_own = |heading: &Heading| spans.iter().any(|span| span.0 < heading.x1 && span.1 > heading.x0);
    // a text between two headers is right-aligned below the first, unless only the second lacks text
    let floats_right = has_own(left) && !has_own(right);
    let goes_right = |blob: &(f64, f64)| blob.1 >= high || (floats_right && blob.0 > low);
    let start = blobs.iter().filter(|blob| goes_right(blob)).map(|blob| blob.0).fold(high, f64::min);
    let end = blobs.iter().filter(|blob| !goes_right(blob)).map(|blob| blob.1).fold(low, f64::max);
    (start > end).then(|| start - BEFORE_TEXT.min((start - end) / 2.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heading(x0: f64, x1: f64) -> Heading {
        Heading { x0, x1, text: String::new() }
    }

    #[test]
    fn columns_are_parted_where_no_text_crosses() {
        let (left, right) = (heading(29.0, 36.0), heading(128.0, 190.0));
        for (spans, expected) in [
            // right-aligned numbers below a left-aligned header, close to the next column
            (vec![(104.7, 125.0), (128.0, 160.0)], 127.0),
            // left-aligned texts
            (vec![(29.0, 80.0), (128.0, 160.0)], 127.0),
            // centred texts below the second header
            (vec![(29.0, 80.0), (110.0, 200.0)], 109.0),
            // nothing at all
            (vec![], 127.0),
            // right-aligned headers above left-aligned texts
            (vec![(20.0, 40.0), (60.0, 100.0)], 59.0),
        ] {
            assert!((cut(&left, &right, &spans).unwrap() - expected).abs() < 0.01, "{spans:?}");
        }
        assert_eq!(cut(&left, &right, &[(29.0, 80.0), (29.0, 150.0), (128.0, 160.0)]), None);
    }
}
