//! Is this a PDF at all, before anything parses it?

use super::{Refusal, RefusalCode};

/// PDF readers accept the header within the first kilobyte.
const HEADER_WITHIN: usize = 1024;
/// So many bytes tell what a file is.
pub const HEAD: usize = 65_536;

/// Tells an empty body, a web page and other things from a PDF.
///
/// # Errors
/// A [`Refusal`] that says what came instead.
pub fn check(bytes: &[u8]) -> Result<(), Refusal> {
    check_head(&bytes[..bytes.len().min(HEAD)], bytes.len() as u64)
}

/// As [`check`], of the first [`HEAD`] bytes of a file that has `size` bytes.
///
/// # Errors
/// As [`check`].
pub fn check_head(bytes: &[u8], size: u64) -> Result<(), Refusal> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(Refusal::new(RefusalCode::EmptyBody, "the export is empty: the ERP sent no report"));
    }
    let head = &bytes[..bytes.len().min(HEADER_WITHIN)];
    if head.windows(5).any(|window| window == b"%PDF-") {
        return Ok(());
    }
    let text = String::from_utf8_lossy(bytes).to_lowercase();
    let is_html = ["<!doctype html", "<html", "<head", "<body"].iter().any(|tag| text.contains(tag));
    if is_html && ["password", "login", "log in", "log-in", "sign in", "accedi"].iter().any(|word| text.contains(word))
    {
        return Err(Refusal::new(
            RefusalCode::LoginPage,
            "the ERP answered with a log-in page: its session has expired",
        ));
    }
    let what = if is_html { "a web page" } else { "something else" };
    Err(Refusal::new(RefusalCode::NotAPdf, format!("this is {what}, not a PDF ({size} bytes, no %PDF- header)")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_is_named() {
        for (bytes, expected) in [
            (&b""[..], Some(RefusalCode::EmptyBody)),
            (b" \r\n", Some(RefusalCode::EmptyBody)),
            (b"<!DOCTYPE html><form><input type=password></form>", Some(RefusalCode::LoginPage)),
            (b"<html><body>Server error</body></html>", Some(RefusalCode::NotAPdf)),
            (b"ID;NOME\n1;x\n", Some(RefusalCode::NotAPdf)),
            (b"%PDF-1.4\n", None),
            (b"\n\n%PDF-1.4\n", None),
        ] {
            assert_eq!(check(bytes).err().map(|refusal| refusal.code), expected, "{}", String::from_utf8_lossy(bytes));
        }
    }
}
