//! What do a parser's words mean to those who send JSON and queries?

/// What the parser says, in the words of those who write JSON.
pub(crate) fn plain(said: &str) -> String {
    const WORDS: [(&str, &str); 14] = [
        ("expected u8", "expected a whole number from 0 to 255"),
        ("expected u16", "expected a whole number from 0 to 65535"),
        ("expected u32", "expected a whole number from 0 to 4294967295"),
        ("expected u64", "expected a whole number from 0"),
        ("expected usize", "expected a whole number from 0"),
        ("expected i32", "expected a whole number"),
        ("expected i64", "expected a whole number"),
        ("expected f64", "expected a number"),
        ("expected a boolean", "expected true or false"),
        ("expected a string", "expected a text"),
        ("expected a sequence", "expected a list"),
        ("expected a map", "expected an object"),
        ("invalid type: ", "wrong kind of value: "),
        ("unknown variant", "unknown value"),
    ];
    let mut text = said.split(" at line ").next().unwrap_or(said).to_owned();
    for (rust, plain) in WORDS {
        text = text.replace(rust, plain);
    }
    // a type's own name is nobody's but ours
    match text.find("expected struct ") {
        Some(at) => format!("{}expected an object", &text[..at]),
        None => text,
    }
}
