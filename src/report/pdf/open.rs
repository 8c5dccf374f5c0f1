//! Can this file be opened without losing anything? Junk around it, and tables of contents that are off.

use std::collections::HashSet;

use lopdf::{Dictionary, Document, LoadOptions, Object, ObjectId, xref::XrefRecovery};
use memchr::memmem;

use crate::report::{Refusal, RefusalCode, budget::Budget};

/// How deep the resources of a page may refer to each other.
const DEPTH: usize = 32;
/// Bytes behind the end mark that are looked through for objects, at most.
const JUNK: usize = 1 << 20;

/// A refusal of a file that is broken.
pub(crate) fn damaged(text: impl Into<String>) -> Refusal {
    Refusal::new(RefusalCode::Damaged, text)
}

fn needs_password() -> Refusal {
    Refusal::new(RefusalCode::NeedsPassword, "the PDF is encrypted and needs a password; export it without one")
}

/// Opens a file; needs no password other than the empty one.
///
/// # Errors
/// `needs_password`; `damaged` for two files in one, and where the table of contents had to be rebuilt
/// and an object that a page needs is not there exactly once.
pub(crate) fn load(bytes: &[u8], budget: &Budget) -> Result<Document, Refusal> {
    let bytes = trimmed(bytes)?;
    let file = open(bytes, false, budget)?;
    let is_rebuilt = matches!(file.xref_recovery, Some(XrefRecovery::Reconstructed));
    let Some(lost) = lost_object(&file) else {
        return if is_rebuilt { proven(file, bytes) } else { Ok(file) };
    };
    if is_rebuilt {
        let text = format!("the PDF is damaged or was cut off: its object {} is not in it", lost.0);
        return Err(damaged(text));
    }
    // the table of contents leads elsewhere; where the object is, there may be no doubt
    let rebuilt = open(bytes, true, budget).and_then(|file| proven(file, bytes));
    Ok(rebuilt.ok().filter(|file| lost_object(file).is_none()).unwrap_or(file))
}

fn open(bytes: &[u8], rebuilds: bool, budget: &Budget) -> Result<Document, Refusal> {
    let options = LoadOptions {
        max_decompressed_size: usize::try_from(budget.limits.stream_bytes).ok(),
        force_reconstruct: rebuilds,
        ..LoadOptions::default()
    };
    let file = Document::load_mem_with_options(bytes, options).map_err(|error| match error {
        lopdf::Error::InvalidPassword | lopdf::Error::Decryption(_) => needs_password(),
        other => damaged(format!("the PDF cannot be opened: {other}; fetch or export it again")),
    })?;
    if file.is_encrypted() {
        return Err(needs_password());
    }
    budget.check_objects(file.objects.len())?;
    budget.check_time()?;
    Ok(file)
}

/// The file without what a web server put behind its end.
fn trimmed(bytes: &[u8]) -> Result<&[u8], Refusal> {
    let headers: Vec<usize> = memmem::find_iter(bytes, b"%PDF-").collect();
    let first_end = memmem::find(bytes, b"%%EOF").unwrap_or(bytes.len());
    let starts_line = |at: usize| at == 0 || matches!(bytes[at - 1], b'\n' | b'\r');
    if let [_, more @ ..] = headers.as_slice()
        && more.iter().any(|at| *at > first_end && starts_line(*at))
    {
        return Err(damaged("two PDF files came in one, one behind the other: which of them is the report?"));
    }
    let Some(end) = memmem::rfind(bytes, b"%%EOF").map(|at| at + 5) else { return Ok(bytes) };
    let behind = &bytes[end..];
    let holds_objects =
        |junk: &[u8]| [&b"endobj"[..], b"startxref"].iter().any(|word| memmem::find(junk, word).is_some());
    let is_junk = behind.len() <= JUNK && !holds_objects(behind);
    Ok(if is_junk { &bytes[..end] } else { bytes })
}

/// A file whose table of contents was rebuilt, if each object stands in it once.
fn proven(file: Document, bytes: &[u8]) -> Result<Document, Refusal> {
    let doubtful = |why: &str| {
        damaged(format!("the PDF is damaged or was cut off: its table of contents cannot be read, and {why}"))
    };
    if memmem::find_iter(bytes, b"startxref").count() > 1 {
        return Err(doubtful("it was changed after it was written"));
    }
    let mut seen = HashSet::new();
    let again =
        memmem::find_iter(bytes, b" obj").filter_map(|at| object_number(&bytes[..at])).find(|id| !seen.insert(*id));
    match again {
        Some(number) => Err(doubtful(&format!("its object {number} is in it twice"))),
        None => Ok(file),
    }
}

/// The object number in front of a generation at the end of `before`.
fn object_number(before: &[u8]) -> Option<u32> {
    let digits = |bytes: &[u8]| bytes.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let rest = &before[..before.len() - digits(before)];
    let rest = rest.strip_suffix(b" ").filter(|_| digits(before) > 0)?;
    std::str::from_utf8(&rest[rest.len() - digits(rest)..]).ok()?.parse().ok()
}

/// An object that a page needs and that is not there.
fn lost_object(file: &Document) -> Option<ObjectId> {
    let mut seen = HashSet::new();
    file.page_iter().find_map(|page| {
        let mut node = file.get_dictionary(page).ok();
        for _ in 0..DEPTH {
            let dict = node?;
            let lost = [&b"Contents"[..], b"Resources"]
                .iter()
                .find_map(|key| lost_below(file, dict.get(key).ok()?, &mut seen, DEPTH));
            if lost.is_some() {
                return lost;
            }
            node = dict.get(b"Parent").and_then(Object::as_reference).and_then(|id| file.get_dictionary(id)).ok();
        }
        None
    })
}

fn lost_below(file: &Document, object: &Object, seen: &mut HashSet<ObjectId>, depth: usize) -> Option<ObjectId> {
    let depth = depth.checked_sub(1)?;
    let leads_on = |key: &[u8]| !matches!(key, b"Parent" | b"StructParent" | b"Metadata" | b"PieceInfo" | b"OC");
    let of_dict = |dict: &Dictionary, seen: &mut HashSet<ObjectId>| {
        dict.iter().filter(|(key, _)| leads_on(key)).find_map(|(_, value)| lost_below(file, value, seen, depth))
    };
    match object {
        Object::Reference(id) if !seen.insert(*id) => None,
        Object::Reference(id) => match file.objects.get(id) {
            Some(object) => lost_below(file, object, seen, depth),
            None => Some(*id),
        },
        Object::Array(list) => list.iter().find_map(|item| lost_below(file, item, seen, depth)),
        Object::Dictionary(dict) => of_dict(dict, seen),
        Object::Stream(stream) => of_dict(&stream.dict, seen),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn junk_behind_the_end_is_cut_off_and_a_second_file_is_refused() {
        let file = b"%PDF-1.4\n1 0 obj\nendobj\n%%EOF";
        let with = |more: &[u8]| [&file[..], more].concat();
        assert_eq!(trimmed(&with(b"\n<html>late</html>")).unwrap(), file);
        let updated = with(b"\n2 0 obj\nendobj\nstartxref\n");
        assert_eq!(trimmed(&updated).unwrap(), updated);
        assert!(trimmed(&with(b"\n%PDF-1.4\n%%EOF")).is_err());
    }

    #[test]
    fn objects_are_counted_by_their_number() {
        assert_eq!(object_number(b"\n12 0"), Some(12));
        assert_eq!(object_number(b"no 0"), None);
        assert_eq!(object_number(b""), None);
    }
}
