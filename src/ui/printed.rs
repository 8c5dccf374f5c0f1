//! Where is a row printed? The line as it was read, marked, with its neighbours.

use maud::{Markup, html};

use super::shell::Frame;
use crate::domain::RunId;

/// The address of the whole page, with the row marked.
pub(super) fn page_of(frame: &Frame, run: RunId, page: usize, row: usize) -> String {
    frame.path(&format!("/api/runs/{run}/pages/{page}.svg?row={row}"))
}

/// The line in its frame. The run's report must be there.
pub(super) fn line(frame: &Frame, run: RunId, page: usize, row: usize) -> Markup {
    let whole = page_of(frame, run, page, row);
    html! {
        div.paper tabindex="0" role="region" aria-label="The printed line" {
            img src={ (whole) "&around=1" }
                alt={ "Row " (row) " of page " (page) ", marked, with the rows before and after" }
                loading="lazy";
        }
    }
}
