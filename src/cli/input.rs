//! Which report is meant? A file's, or, as `-`, that of standard input.

use std::{
    fs::File,
    io::{Read, stdin},
    path::Path,
};

use anyhow::{Context as _, bail};

/// Its bytes, which are at most `most`.
///
/// # Errors
/// A file that cannot be read, or one that is larger.
pub(super) fn report(path: &Path, most: u64) -> anyhow::Result<Vec<u8>> {
    let (name, mut input): (_, Box<dyn Read>) = if path == Path::new("-") {
        ("standard input".to_owned(), Box::new(stdin()))
    } else {
        let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
        (path.display().to_string(), Box::new(file))
    };
    let mut bytes = Vec::new();
    input
        .by_ref()
        .take(most.saturating_add(1))
        .read_to_end(&mut bytes)
        .with_context(|| format!("cannot read {name}"))?;
    if bytes.len() as u64 > most {
        bail!("{name} has more than {most} bytes (limits.report_bytes)");
    }
    Ok(bytes)
}
