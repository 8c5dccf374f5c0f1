//! How many items of a list does a request get, and where do the next begin?

use actix_web::{
    HttpResponse,
    http::{StatusCode, header},
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Value as Json, json};

use super::Problem;

/// Items of a page when a request does not say.
const USUAL: u64 = 50;
/// No page has more.
pub(super) const MOST: u64 = 500;

/// A page of a list.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Page<T> {
    items: Vec<T>,
    /// Where the next page begins; null on the last one.
    next: Option<String>,
}

/// Where the next page of a list begins: what it says is the list's own affair.
#[derive(Debug, Clone, Deserialize, utoipa::ToSchema)]
#[serde(transparent)]
pub(super) struct Cursor(String);

impl Cursor {
    /// Behind this item of a list.
    pub(crate) fn behind(list: &str, item: impl Serialize) -> Self {
        Self(BASE64_URL_SAFE_NO_PAD.encode(json!([list, item]).to_string()))
    }

    /// The item behind which the page begins.
    ///
    /// # Errors
    /// A 400 where the cursor is of another list, or was never given out.
    pub(crate) fn read<T: DeserializeOwned>(&self, list: &str) -> Result<T, Problem> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(&self.0).ok();
        let place = bytes.and_then(|bytes| serde_json::from_slice::<(String, T)>(&bytes).ok());
        place.filter(|(of, _)| of == list).map(|(_, item)| item).ok_or_else(|| {
            let text = "cursor: this is none that this list gave: take `next` of its last page as it is";
            Problem::new(StatusCode::BAD_REQUEST, "bad_cursor", text)
        })
    }

    /// As an answer has it.
    pub(crate) fn text(self) -> String {
        self.0
    }
}

/// Behind which item a page of this list begins, if a cursor was sent.
pub(super) fn behind<T: DeserializeOwned>(cursor: Option<&Cursor>, list: &str) -> Result<Option<T>, Problem> {
    cursor.map(|cursor| cursor.read(list)).transpose()
}

/// The size of a page.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageSize(u64);

impl PageSize {
    /// What a request asks for.
    ///
    /// # Errors
    /// A 400 where that is none, or too many.
    pub(crate) fn of(asked: Option<u64>) -> Result<Self, Problem> {
        let size = asked.unwrap_or(USUAL);
        if (1..=MOST).contains(&size) {
            return Ok(Self(size));
        }
        let text = format!("limit: expected 1 to {MOST}, not {size}");
        Err(Problem::new(StatusCode::BAD_REQUEST, "out_of_range", text))
    }

    /// The items that may be shown.
    pub(crate) fn items(self) -> u64 {
        self.0
    }

    /// The items to look for: one more tells whether there is a next page.
    pub(crate) fn with_one_more(self) -> u64 {
        self.0 + 1
    }

    /// The answer with the first of these items of `list`, and a cursor if there are more: no page is empty while there
    /// is a next one.
    pub(crate) fn answer<T: Serialize, P: Serialize>(
        self,
        list: &str,
        mut found: Vec<T>,
        place: impl Fn(&T) -> P,
    ) -> HttpResponse {
        let is_more = found.len() as u64 > self.0;
        found.truncate(usize::try_from(self.0).unwrap_or(usize::MAX));
        let next = found.last().filter(|_| is_more).map(|last| Cursor::behind(list, place(last)).text());
        answer(json!({ "items": found, "next": next }))
    }
}

/// A page, with the place of the next one: relative to this one, which says what is listed.
pub(super) fn answer(page: Json) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    if let Some(next) = page["next"].as_str() {
        response.insert_header((header::LINK, format!("<?cursor={next}>; rel=\"next\"")));
    }
    response.json(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_of_its_list_alone() {
        let cursor = Cursor::behind("runs", 7);
        assert_eq!(cursor.read("runs"), Ok(7));
        assert!(cursor.read::<i64>("jobs").unwrap_err().is("bad_cursor"));
        for wrong in ["", "7", "zz", "W10"] {
            assert!(Cursor(wrong.to_owned()).read::<i64>("runs").unwrap_err().is("bad_cursor"), "{wrong}");
        }
        let place = ("anna".to_owned(), "a/b c".to_owned());
        assert_eq!(Cursor::behind("data", &place).read("data"), Ok(place));
    }
}
