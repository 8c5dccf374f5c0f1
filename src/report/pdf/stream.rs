//! What are a stream's bytes? Decodes filters strictly, within the budget.
//!
//! lopdf answers with what it has when a Flate stream breaks off. A report's page that ends early must
//! be an error, so Flate is inflated here, to its end mark and checksum.

use std::io::Read;

use lopdf::{Dictionary, Object, Stream};

use super::super::budget::{Budget, Exceeded};

/// Filters one after the other; real files have two.
const MAX_FILTERS: usize = 4;

/// Why a stream cannot be decoded.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// It costs too much.
    #[error(transparent)]
    Budget(#[from] Exceeded),
    /// It is broken or of an unknown kind.
    #[error("{0}")]
    Broken(String),
}

fn broken(text: impl Into<String>) -> StreamError {
    StreamError::Broken(text.into())
}

/// Appends a stream's decoded bytes to `into`.
///
/// # Errors
/// [`StreamError`]; `into` may then hold part of it.
pub fn decode(stream: &Stream, budget: &Budget, into: &mut Vec<u8>) -> Result<(), StreamError> {
    // lopdf knows a stream whose length is lost as an empty one
    let says_empty = stream.dict.get(b"Length").and_then(Object::as_i64).is_ok_and(|length| length == 0);
    if stream.content.is_empty() && !says_empty {
        return Err(broken("a stream has lost its length"));
    }
    let filters = stream.filters().unwrap_or_default();
    let before = into.len();
    match filters[..] {
        [] => into.extend_from_slice(&stream.content),
        [b"FlateDecode" | b"Fl"] if !has_predictor(&stream.dict) => inflate(&stream.content, budget, into)?,
        _ => into.extend(chain(stream, &filters, budget)?),
    }
    budget.spend_bytes((into.len() - before) as u64)?;
    Ok(())
}

fn has_predictor(dict: &Dictionary) -> bool {
    dict.get(b"DecodeParms").or_else(|_| dict.get(b"DP")).is_ok_and(|parameters| !matches!(parameters, Object::Null))
}

/// Several filters, one by one; a predictor is left to lopdf, after the data has proven whole.
fn chain(stream: &Stream, filters: &[&[u8]], budget: &Budget) -> Result<Vec<u8>, StreamError> {
    if filters.len() > MAX_FILTERS {
        return Err(broken(format!("a stream has {} filters", filters.len())));
    }
    let mut bytes = stream.content.clone();
    for filter in filters {
        let name: &[u8] = match *filter {
            b"FlateDecode" | b"Fl" => {
                let mut inflated = Vec::new();
                inflate(&bytes, budget, &mut inflated)?;
                bytes = inflated;
                continue;
            }
            b"ASCII85Decode" | b"A85" => b"ASCII85Decode",
            b"ASCIIHexDecode" | b"AHx" => b"ASCIIHexDecode",
            b"LZWDecode" | b"LZW" => b"LZWDecode",
            b"RunLengthDecode" | b"RL" => b"RunLengthDecode",
            other => return Err(broken(format!("a stream is {}-encoded", String::from_utf8_lossy(other)))),
        };
        let dict = Dictionary::from_iter([(b"Filter".to_vec(), Object::Name(name.to_vec()))]);
        bytes = by_lopdf(&Stream::new(dict, bytes), budget)?;
    }
    if has_predictor(&stream.dict) { by_lopdf(stream, budget) } else { Ok(bytes) }
}

fn by_lopdf(stream: &Stream, budget: &Budget) -> Result<Vec<u8>, StreamError> {
    let room = usize::try_from(budget.stream_room()).unwrap_or(usize::MAX);
    stream.decompressed_content_with_limit(room).map_err(|error| broken(format!("a stream cannot be decoded: {error}")))
}

fn inflate(compressed: &[u8], budget: &Budget, into: &mut Vec<u8>) -> Result<(), StreamError> {
    // some printers write nothing at all for nothing
    if compressed.iter().all(u8::is_ascii_whitespace) {
        return Ok(());
    }
    let room = budget.stream_room();
    let before = into.len();
    // text shrinks to an eighth, roughly; growing step by step would copy it several times
    into.reserve((compressed.len() * 8).min(usize::try_from(room).unwrap_or(usize::MAX)));
    let mut decoder = flate2::read::ZlibDecoder::new(compressed).take(room + 1);
    decoder.read_to_end(into).map_err(|error| broken(format!("a compressed stream is broken: {error}")))?;
    if (into.len() - before) as u64 > room {
        budget.spend_bytes(room + 1)?;
        return Err(broken(format!("a stream decodes to more than {} MiB", budget.limits.stream_bytes >> 20)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::ZlibEncoder};

    use super::{super::super::budget::Limits, *};

    fn deflated(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn stream(filters: &[&str], content: Vec<u8>) -> Stream {
        let names = filters.iter().map(|name| Object::Name(name.as_bytes().to_vec())).collect();
        Stream::new(Dictionary::from_iter([(b"Filter".to_vec(), Object::Array(names))]), content)
    }

    fn decoded(stream: &Stream, limits: Limits) -> Result<Vec<u8>, StreamError> {
        let mut bytes = Vec::new();
        decode(stream, &Budget::new(limits), &mut bytes).map(|()| bytes)
    }

    #[test]
    fn filters_and_their_chains() {
        let hex = |bytes: &[u8]| hex::encode(bytes).into_bytes();
        for (filters, content) in [
            (&["FlateDecode"][..], deflated(b"BT ET")),
            (&["Fl"], deflated(b"BT ET")),
            (&["ASCIIHexDecode", "FlateDecode"], hex(&deflated(b"BT ET"))),
            (&["AHx"], hex(b"BT ET")),
            (&["RunLengthDecode"], b"\x04BT ET\x80".to_vec()),
        ] {
            assert_eq!(decoded(&stream(filters, content), Limits::default()).unwrap(), b"BT ET", "{filters:?}");
        }
        assert!(decoded(&stream(&["FlateDecode"], Vec::new()), Limits::default()).unwrap().is_empty());
        let mut lost = stream(&["FlateDecode"], Vec::new());
        lost.dict.remove(b"Length");
        assert!(decoded(&lost, Limits::default()).is_err());
    }

    #[test]
    fn a_stream_that_breaks_off_is_an_error_never_a_part() {
        let whole = deflated(&b"0123456789".repeat(500));
        for cut in [3, whole.len() / 2, whole.len() - 1] {
            assert!(decoded(&stream(&["FlateDecode"], whole[..cut].to_vec()), Limits::default()).is_err(), "{cut}");
        }
        assert!(decoded(&stream(&["JPXDecode"], Vec::new()), Limits::default()).is_err());
    }

    #[test]
    fn bombs_stop_at_the_budget() {
        let once = deflated(&vec![b' '; 4 << 20]);
        let limits = Limits { stream_bytes: 1 << 20, ..Limits::default() };
        assert!(decoded(&stream(&["FlateDecode"], once.clone()), limits).is_err());
        assert!(decoded(&stream(&["FlateDecode", "FlateDecode"], deflated(&once)), limits).is_err());
        let all = Limits { bytes: 1 << 20, ..Limits::default() };
        assert!(matches!(decoded(&stream(&["FlateDecode"], once), all), Err(StreamError::Budget(_))));
        assert!(decoded(&stream(&["FlateDecode"; 9], Vec::new()), Limits::default()).is_err());
    }
}
