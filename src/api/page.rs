//! How many items of a list does a request get, and where do the next begin?

use actix_web::HttpResponse;
use serde::Serialize;
use serde_json::json;

/// Items of a page when a request does not say.
const USUAL: u64 = 50;
/// No page has more.
pub(super) const MOST: u64 = 500;

/// The size of a page.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageSize(u64);

impl PageSize {
    /// What a request asks for, within the bounds.
    pub(crate) fn of(asked: Option<u64>) -> Self {
        Self(asked.unwrap_or(USUAL).clamp(1, MOST))
    }

    /// The items that may be shown.
    pub(crate) fn items(self) -> u64 {
        self.0
    }

    /// The items to look for: one more tells whether there is a next page.
    pub(crate) fn with_one_more(self) -> u64 {
        self.0 + 1
    }

    /// The answer with the first of these items, and a cursor if there are more: no page is empty while there is a
    /// next one.
    pub(crate) fn answer<T: Serialize>(self, mut found: Vec<T>, cursor: impl Fn(&T) -> String) -> HttpResponse {
        let is_more = found.len() as u64 > self.0;
        found.truncate(usize::try_from(self.0).unwrap_or(usize::MAX));
        let next = found.last().filter(|_| is_more).map(cursor);
        HttpResponse::Ok().json(json!({ "items": found, "next": next }))
    }
}
