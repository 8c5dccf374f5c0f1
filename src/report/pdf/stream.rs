//! What are a stream's bytes? Decodes filters strictly, within the budget.
//!
//! lopdf answers with what it has when a stream breaks off. A report's page that ends early must be an
//! error, so every filter is held to its end mark, and Flate to its checksum, before its data counts.

use std::io::Write;

use flate2::{Compression, Decompress, FlushDecompress, Status, write::ZlibEncoder};
use lopdf::{Dictionary, Object, Stream};
use weezl::{BitOrder, LzwStatus};

use super::super::budget::{Budget, Exceeded};

/// Filters one after the other; real files have two.
const MAX_FILTERS: usize = 4;

/// Why a stream cannot be decoded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StreamError {
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
pub(crate) fn decode(stream: &Stream, budget: &Budget, into: &mut Vec<u8>) -> Result<(), StreamError> {
    // lopdf knows a stream whose length is lost as an empty one
    let says_empty = stream.dict.get(b"Length").and_then(Object::as_i64).is_ok_and(|length| length == 0);
    if stream.content.is_empty() && !says_empty {
        return Err(broken("a stream has lost its length"));
    }
    let filters = stream.filters().unwrap_or_default();
    let before = into.len();
    match filters[..] {
        [] => into.extend_from_slice(&stream.content),
        [b"FlateDecode" | b"Fl"] if parameters(&stream.dict, 0).is_none() => inflate(&stream.content, budget, into)?,
        _ => into.extend(chain(stream, &filters, budget)?),
    }
    budget.spend_bytes((into.len() - before) as u64)?;
    Ok(())
}

/// The parameters of filter number `at`.
fn parameters(dict: &Dictionary, at: usize) -> Option<&Dictionary> {
    match dict.get(b"DecodeParms").or_else(|_| dict.get(b"DP")).ok()? {
        Object::Array(list) => list.get(at)?.as_dict().ok(),
        Object::Dictionary(parameters) if at == 0 => Some(parameters),
        _ => None,
    }
}

/// Several filters, one by one.
fn chain(stream: &Stream, filters: &[&[u8]], budget: &Budget) -> Result<Vec<u8>, StreamError> {
    if filters.len() > MAX_FILTERS {
        return Err(broken(format!("a stream has {} filters", filters.len())));
    }
    let mut bytes = stream.content.clone();
    for (at, filter) in filters.iter().enumerate() {
        let parameters = parameters(&stream.dict, at);
        bytes = match *filter {
            b"FlateDecode" | b"Fl" => {
                let mut inflated = Vec::new();
                inflate(&bytes, budget, &mut inflated)?;
                unpredict(inflated, parameters, budget)?
            }
            b"LZWDecode" | b"LZW" => unpredict(expand(&bytes, parameters, budget)?, parameters, budget)?,
            b"ASCII85Decode" | b"A85" => by_lopdf(b"ASCII85Decode", ascii85(&bytes)?, None, budget)?,
            b"ASCIIHexDecode" | b"AHx" => by_lopdf(b"ASCIIHexDecode", ascii_hex(&bytes)?, None, budget)?,
            b"RunLengthDecode" | b"RL" => by_lopdf(b"RunLengthDecode", run_lengths(&bytes)?, None, budget)?,
            // lopdf has decrypted the file; this one says that nothing was to be done here
            b"Crypt" if parameters.is_none_or(is_identity) => bytes,
            other => return Err(broken(format!("a stream is {}-encoded", String::from_utf8_lossy(other)))),
        };
    }
    Ok(bytes)
}

fn is_identity(parameters: &Dictionary) -> bool {
    parameters.get(b"Name").is_err()
        || parameters.get(b"Name").and_then(Object::as_name).is_ok_and(|name| name == b"Identity")
}

fn by_lopdf(
    filter: &[u8],
    content: Vec<u8>,
    parameters: Option<&Dictionary>,
    budget: &Budget,
) -> Result<Vec<u8>, StreamError> {
    let mut dict = Dictionary::from_iter([(b"Filter".to_vec(), Object::Name(filter.to_vec()))]);
    if let Some(parameters) = parameters {
        dict.set("DecodeParms", parameters.clone());
    }
    let room = usize::try_from(budget.stream_room()).unwrap_or(usize::MAX);
    Stream::new(dict, content)
        .decompressed_content_with_limit(room)
        .map_err(|error| broken(format!("a stream cannot be decoded: {error}")))
}

/// Undoes a predictor: lopdf does so only together with a filter, so the data goes in deflated again.
fn unpredict(bytes: Vec<u8>, parameters: Option<&Dictionary>, budget: &Budget) -> Result<Vec<u8>, StreamError> {
    let predictor = parameters.and_then(|parameters| parameters.get(b"Predictor").and_then(Object::as_i64).ok());
    if predictor.unwrap_or(1) <= 1 {
        return Ok(bytes);
    }
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::none());
    let deflated = encoder.write_all(&bytes).and_then(|()| encoder.finish());
    by_lopdf(b"FlateDecode", deflated.map_err(|error| broken(error.to_string()))?, parameters, budget)
}

fn inflate(compressed: &[u8], budget: &Budget, into: &mut Vec<u8>) -> Result<(), StreamError> {
    // some printers write nothing at all for nothing
    if compressed.iter().all(u8::is_ascii_whitespace) {
        return Ok(());
    }
    let room = budget.stream_room();
    let before = into.len();
    if let Err(why) = inflated(&mut Decompress::new(true), compressed, room, into) {
        into.truncate(before);
        inflate_without_checksum(compressed, room, into)
            .ok_or_else(|| broken(format!("a compressed stream is broken: {why}")))?;
    }
    if (into.len() - before) as u64 > room {
        budget.spend_bytes(room + 1)?;
        return Err(broken(format!("a stream decodes to more than {} MiB", budget.limits.stream_bytes >> 20)));
    }
    Ok(())
}

/// Appends what `compressed` inflates to, or more than `room` bytes of it; gives back what is left behind.
fn inflated<'a>(
    inflater: &mut Decompress,
    compressed: &'a [u8],
    room: u64,
    into: &mut Vec<u8>,
) -> Result<&'a [u8], String> {
    let before = into.len();
    // text shrinks to an eighth, roughly; growing step by step would copy it several times
    let mut step = compressed.len().saturating_mul(8).clamp(1 << 12, 1 << 20);
    loop {
        let rest = usize::try_from(inflater.total_in()).ok().and_then(|at| compressed.get(at..)).unwrap_or_default();
        into.reserve(step.min(usize::try_from(room).unwrap_or(usize::MAX)).max(1));
        let written = into.len();
        let status = inflater.decompress_vec(rest, into, FlushDecompress::None).map_err(|error| error.to_string())?;
        match status {
            Status::StreamEnd => {
                let at = usize::try_from(inflater.total_in()).unwrap_or(usize::MAX);
                return Ok(compressed.get(at..).unwrap_or_default());
            }
            _ if (into.len() - before) as u64 > room => return Ok(&[]),
            // it asks for more than there is
            _ if into.len() < into.capacity() => return Err("it breaks off".to_owned()),
            _ if into.len() == written && rest.is_empty() => return Err("it breaks off".to_owned()),
            _ => step = (step * 2).min(1 << 20),
        }
    }
}

/// Inflates data that is all there, and whose checksum is missing or wrong in itself; `None` where the
/// data may be what is wrong.
fn inflate_without_checksum(compressed: &[u8], room: u64, into: &mut Vec<u8>) -> Option<()> {
    let [method, flags, deflated @ ..] = compressed else { return None };
    let is_zlib = method & 0x0f == 8 && (u16::from(*method) << 8 | u16::from(*flags)).is_multiple_of(31);
    let before = into.len();
    if !is_zlib {
        return None;
    }
    let rest = inflated(&mut Decompress::new(false), deflated, room, into).ok()?;
    let is_whole = (into.len() - before) as u64 <= room;
    (is_whole && is_wrong_in_itself(rest, adler2::adler32_slice(&into[before..]))).then_some(())
}

/// Does a checksum differ from that of the data for a reason of its own? Some writers leave it out or
/// write zeros or turn its bytes round; and a change of the data changes both of its halves.
fn is_wrong_in_itself(stored: &[u8], computed: u32) -> bool {
    let Some(stored) = stored.first_chunk::<4>() else { return stored.iter().all(u8::is_ascii_whitespace) };
    let right = computed.to_be_bytes();
    let differing = stored.iter().zip(&right).filter(|(stored, right)| stored != right).count();
    *stored == [0; 4] || *stored == computed.to_le_bytes() || differing <= 1
}

/// LZW up to its end mark; it begins with the code that clears its table.
fn expand(bytes: &[u8], parameters: Option<&Dictionary>, budget: &Budget) -> Result<Vec<u8>, StreamError> {
    let changes_early = parameters
        .and_then(|parameters| parameters.get(b"EarlyChange").and_then(Object::as_i64).ok())
        .is_none_or(|early| early != 0);
    let mut decoder = if changes_early {
        weezl::decode::Decoder::with_tiff_size_switch(BitOrder::Msb, 8)
    } else {
        weezl::decode::Decoder::new(BitOrder::Msb, 8)
    };
    if !matches!(bytes, [0x80, second, ..] if second & 0x80 == 0) {
        return Err(broken("an LZW stream does not begin as one"));
    }
    let room = usize::try_from(budget.stream_room()).unwrap_or(usize::MAX);
    let (mut expanded, mut buffer, mut rest) = (Vec::new(), vec![0; 1 << 16], bytes);
    loop {
        let step = decoder.decode_bytes(rest, &mut buffer);
        expanded.extend_from_slice(&buffer[..step.consumed_out]);
        rest = &rest[step.consumed_in..];
        match step.status {
            Ok(LzwStatus::Done) if rest.iter().all(|byte| is_space(*byte)) => return Ok(expanded),
            Ok(LzwStatus::Done) => return Err(broken("an LZW stream goes on behind its end mark")),
            Ok(LzwStatus::Ok) if expanded.len() <= room && (step.consumed_in > 0 || step.consumed_out > 0) => {}
            Ok(LzwStatus::Ok) if expanded.len() > room => {
                budget.spend_bytes(room as u64 + 1)?;
                return Err(broken("an LZW stream decodes to too much"));
            }
            Ok(_) => return Err(broken("an LZW stream ends without its end mark")),
            Err(error) => return Err(broken(format!("an LZW stream is broken: {error}"))),
        }
    }
}

/// What stands before `>`: hexadecimal digits and white space, and nothing behind.
fn ascii_hex(bytes: &[u8]) -> Result<Vec<u8>, StreamError> {
    let end =
        bytes.iter().position(|byte| *byte == b'>').ok_or_else(|| broken("a stream of digits has no end mark"))?;
    let is_digits = bytes[..end].iter().all(|byte| byte.is_ascii_hexdigit() || is_space(*byte));
    let is_all = bytes[end + 1..].iter().all(|byte| is_space(*byte));
    if is_digits && is_all {
        Ok(bytes[..=end].to_vec())
    } else {
        Err(broken("a stream of digits holds other characters"))
    }
}

/// Base 85 up to `~>`, without the `<~` that some writers put before it.
fn ascii85(bytes: &[u8]) -> Result<Vec<u8>, StreamError> {
    let start = bytes.iter().position(|byte| !is_space(*byte)).unwrap_or(bytes.len());
    let body = bytes[start..].strip_prefix(b"<~").unwrap_or(&bytes[start..]);
    let end = body.iter().position(|byte| *byte == b'~').ok_or_else(|| broken("a base-85 stream has no end mark"))?;
    let mut behind = body[end + 1..].iter().filter(|byte| !is_space(**byte));
    if !(matches!(behind.next(), Some(b'>')) && behind.next().is_none()) {
        return Err(broken("a base-85 stream has no end mark, or goes on behind it"));
    }
    let mut group = Vec::with_capacity(5);
    for byte in body[..end].iter().filter(|byte| !is_space(**byte)) {
        match byte {
            b'z' if group.is_empty() => {}
            b'!'..=b'u' => group.push(u64::from(byte - b'!')),
            _ => return Err(broken("a base-85 stream holds other characters")),
        }
        if group.len() == 5 {
            let value = group.drain(..).fold(0, |value, digit| value * 85 + digit);
            if value > u64::from(u32::MAX) {
                return Err(broken("a base-85 stream holds a group that is none"));
            }
        }
    }
    if group.len() == 1 {
        return Err(broken("a base-85 stream ends within a group"));
    }
    let mut plain = body[..end].to_vec();
    plain.extend_from_slice(b"~>");
    Ok(plain)
}

/// Runs and literals up to the end mark 128.
fn run_lengths(bytes: &[u8]) -> Result<Vec<u8>, StreamError> {
    let mut at = 0;
    loop {
        match bytes.get(at) {
            Some(128) if bytes[at + 1..].iter().all(|byte| is_space(*byte)) => return Ok(bytes[..=at].to_vec()),
            Some(128) => return Err(broken("a run-length stream goes on behind its end mark")),
            Some(length @ 0..=127) => at += 2 + usize::from(*length),
            Some(_) => at += 2,
            None => return Err(broken("a run-length stream has no end mark")),
        }
    }
}

fn is_space(byte: u8) -> bool {
    byte.is_ascii_whitespace() || byte == 0
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::{Compression, write::ZlibEncoder};

    use super::{super::super::budget::ReadLimits, *};

    fn deflated(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn stream(filters: &[&str], content: Vec<u8>) -> Stream {
        let names = filters.iter().map(|name| Object::Name(name.as_bytes().to_vec())).collect();
        Stream::new(Dictionary::from_iter([(b"Filter".to_vec(), Object::Array(names))]), content)
    }

    fn decoded(stream: &Stream, limits: ReadLimits) -> Result<Vec<u8>, StreamError> {
        let mut bytes = Vec::new();
        decode(stream, &Budget::new(limits), &mut bytes).map(|()| bytes)
    }

    #[test]
    fn filters_and_their_chains() {
        let hex = |bytes: &[u8]| hex::encode(bytes).into_bytes();
        for (filters, content) in [
            (&["FlateDecode"][..], deflated(b"BT ET")),
            (&["Fl"], deflated(b"BT ET")),
            (&["ASCIIHexDecode", "FlateDecode"], [hex(&deflated(b"BT ET")), b">".to_vec()].concat()),
            (&["AHx"], [hex(b"BT ET"), b" >\n".to_vec()].concat()),
            (&["A85"], b"<~6<#'r;u~>".to_vec()),
            (&["LZWDecode"], weezl::encode::Encoder::with_tiff_size_switch(BitOrder::Msb, 8).encode(b"BT ET").unwrap()),
            (&["Crypt", "ASCIIHexDecode"], b"4254204554>".to_vec()),
            (&["RunLengthDecode"], b"\x04BT ET\x80".to_vec()),
        ] {
            assert_eq!(decoded(&stream(filters, content), ReadLimits::default()).unwrap(), b"BT ET", "{filters:?}");
        }
        assert!(decoded(&stream(&["FlateDecode"], Vec::new()), ReadLimits::default()).unwrap().is_empty());
        let mut lost = stream(&["FlateDecode"], Vec::new());
        lost.dict.remove(b"Length");
        assert!(decoded(&lost, ReadLimits::default()).is_err());
    }

    #[test]
    fn a_stream_that_breaks_off_is_an_error_never_a_part() {
        let whole = deflated(&b"0123456789".repeat(500));
        for cut in [3, whole.len() / 2, whole.len() - 5] {
            assert!(decoded(&stream(&["FlateDecode"], whole[..cut].to_vec()), ReadLimits::default()).is_err(), "{cut}");
        }
        assert!(decoded(&stream(&["JPXDecode"], Vec::new()), ReadLimits::default()).is_err());
        let lzw = weezl::encode::Encoder::with_tiff_size_switch(BitOrder::Msb, 8).encode(&b"0123456789".repeat(500));
        let lzw = lzw.unwrap();
        for (filter, content) in [
            ("ASCIIHexDecode", b"42542045".to_vec()),
            ("ASCIIHexDecode", b"4254x0>".to_vec()),
            ("ASCII85Decode", b"6<$6i5p".to_vec()),
            ("ASCII85Decode", b"6<$6iv~>".to_vec()),
            ("ASCII85Decode", b"6<$6i5~>".to_vec()),
            ("RunLengthDecode", b"\x04BT ET".to_vec()),
            ("RunLengthDecode", b"\x14BT ET\x80".to_vec()),
            ("RunLengthDecode", b"\x04BT ET\x80\x01BT\x80".to_vec()),
            ("LZWDecode", [&lzw[..], b"BT ET"].concat()),
            ("LZWDecode", lzw[..lzw.len() - 3].to_vec()),
            ("LZWDecode", [&[0x12], &lzw[1..]].concat()),
        ] {
            let shown = String::from_utf8_lossy(&content).into_owned();
            assert!(decoded(&stream(&[filter], content), ReadLimits::default()).is_err(), "{filter} {shown}");
        }
    }

    #[test]
    fn a_checksum_may_be_wrong_in_itself_but_not_because_of_the_data() {
        let whole = deflated(&b"0123456789".repeat(50));
        let data = &whole[..whole.len() - 4];
        let flipped = [&whole[..whole.len() - 1], &[whole[whole.len() - 1] ^ 4]].concat();
        for stored in [data.to_vec(), [data, b"\r\n"].concat(), [data, &[0; 4]].concat(), flipped] {
            let decoded = decoded(&stream(&["FlateDecode"], stored), ReadLimits::default());
            assert_eq!(decoded.unwrap(), b"0123456789".repeat(50));
        }
        let other = deflated(b"9876543210");
        let of_other_data = [data, &other[other.len() - 4..]].concat();
        assert!(decoded(&stream(&["FlateDecode"], of_other_data), ReadLimits::default()).is_err());
    }

    #[test]
    fn bombs_stop_at_the_budget() {
        let once = deflated(&vec![b' '; 4 << 20]);
        let limits = ReadLimits { stream_bytes: 1 << 20, ..ReadLimits::default() };
        assert!(decoded(&stream(&["FlateDecode"], once.clone()), limits).is_err());
        assert!(decoded(&stream(&["FlateDecode", "FlateDecode"], deflated(&once)), limits).is_err());
        let all = ReadLimits { bytes: 1 << 20, ..ReadLimits::default() };
        assert!(matches!(decoded(&stream(&["FlateDecode"], once), all), Err(StreamError::Budget(_))));
        assert!(decoded(&stream(&["FlateDecode"; 9], Vec::new()), ReadLimits::default()).is_err());
    }
}
