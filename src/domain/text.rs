//! Which texts can be kept, and how is what others say of an error put on record?

use serde_json::Value as Json;

/// Where a text in `json` has a NUL character, as a JSON pointer below `at`: not every database can keep one.
#[must_use]
pub fn nul_in(json: &Json, at: &str) -> Option<String> {
    match json {
        Json::String(text) => text.contains('\0').then(|| at.to_owned()),
        Json::Array(items) => items.iter().enumerate().find_map(|(place, item)| nul_in(item, &format!("{at}/{place}"))),
        Json::Object(fields) => fields.iter().find_map(|(name, value)| {
            let at = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
            if name.contains('\0') { Some(at) } else { nul_in(value, &at) }
        }),
        Json::Null | Json::Bool(_) | Json::Number(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_nul_is_found_wherever_it_is() {
        assert_eq!(nul_in(&json!({ "a": [1, "x", { "b": "y\0" }] }), "/data").unwrap(), "/data/a/2/b");
        assert_eq!(nul_in(&json!({ "a/b": { "c\0": 1 } }), "").unwrap(), "/a~1b/c\0");
        assert_eq!(nul_in(&json!({ "a": ["\\u0000", null, true] }), ""), None);
    }
}
