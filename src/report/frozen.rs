//! Which columns are printed again on every page of a cycle? Frozen ones: they prove that rows belong together.

use super::{Refusal, RefusalCode, columns::Place, cycle::Cycles};
use crate::sync_type::header::normalise;

/// The places of columns that repeat the first ones of the cycle's first page.
///
/// # Errors
/// `pages_disagree` where such a column says something else in a few rows: pages are out of place.
pub(crate) fn find(cycles: &Cycles<'_>) -> Result<Vec<Place>, Refusal> {
    let headers: Vec<(Place, String)> = cycles.headers().map(|(place, header)| (place, normalise(header))).collect();
    let header_at = |place: Place| headers.iter().find(|(at, _)| *at == place).map(|(_, header)| header.as_str());
    let mut frozen = Vec::new();
    for page in 1..cycles.length {
        for column in 0.. {
            let (own, first) = ((page, column), (0, column));
            let header = header_at(own).filter(|header| !header.is_empty());
            if header.is_none() || header != header_at(first) {
                break;
            }
            let (mut same, mut other) = (0, None);
            for row in cycles.rows() {
                if row.cell(own) == row.cell(first) {
                    same += 1;
                } else {
                    other = other.or(Some((row.page_number(page), row.index)));
                }
            }
            match other {
                None => frozen.push(own),
                // another column of the same name
                Some(_) if same == 0 => break,
                Some(_) if same < cycles.rows().count() / 2 => break,
                Some((page, row)) => {
                    let text = format!(
                        "page {page}, row {}: '{}' is printed again on each page, but says something else here than \
                         on the first page of its cycle: pages are out of place",
                        row + 1,
                        header_at(own).unwrap_or_default()
                    );
                    return Err(Refusal::new(RefusalCode::PagesDisagree, text));
                }
            }
        }
    }
    Ok(frozen)
}
