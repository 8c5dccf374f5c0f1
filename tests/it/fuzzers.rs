//! Do the fuzzers' entries stand what was once found, and thousands of mutations with a fixed seed?

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use lockstep::report::fuzzing;

use crate::fixtures::bytes;

/// How long one input may take.
const TIME: Duration = Duration::from_secs(20);

type Entry = fn(&[u8]);

/// The fuzzers' entries, and how many mutated inputs each is given here.
const ENTRIES: [(&str, Entry, usize); 4] = [
    ("content", fuzzing::content, 3_000),
    ("cmap", fuzzing::cmap, 6_000),
    ("tables", fuzzing::tables, 2_000),
    ("file", fuzzing::file, 150),
];

/// Seeds of an entry, and what fuzzers found with it.
fn inputs(entry: &str) -> Vec<Vec<u8>> {
    let folder = crate::fixtures::path("../fuzz");
    let read = |folder: &Path, prefix: &str| -> Vec<Vec<u8>> {
        let files = fs::read_dir(folder).into_iter().flatten().flatten();
        let named = files.filter(|file| file.file_name().to_string_lossy().starts_with(prefix));
        named.map(|file| fs::read(file.path()).unwrap()).collect()
    };
    let mut all = read(&folder.join(entry), "");
    all.extend(read(&folder.join("seeds"), entry));
    if entry == "file" {
        all.push(bytes("edge/invoices-one-row.pdf"));
    }
    all
}

#[test]
fn what_fuzzers_once_found_and_thousands_of_mutations_do_no_harm() {
    let mut random = fastrand::Rng::with_seed(3);
    for (name, entry, rounds) in ENTRIES {
        let inputs = inputs(name);
        assert!(!inputs.is_empty(), "{name}");
        let harmless = |input: &[u8]| {
            let started = Instant::now();
            entry(input);
            assert!(started.elapsed() < TIME, "{name} takes too long");
        };
        for input in &inputs {
            harmless(input);
        }
        for _ in 0..rounds {
            let mut input = inputs[random.usize(..inputs.len())].clone();
            for _ in 0..random.usize(1..6) {
                let at = random.usize(..input.len().max(1));
                match random.u8(..4) {
                    0 => input.truncate(at),
                    1 => input.insert(at.min(input.len()), random.u8(..)),
                    2 => {
                        let end = (at + random.usize(..40)).min(input.len());
                        let copy = input.get(at..end).unwrap_or_default().to_vec();
                        input.splice(at.min(input.len())..at.min(input.len()), copy);
                    }
                    _ => input.get_mut(at).into_iter().for_each(|byte| *byte = random.u8(..)),
                }
            }
            harmless(&input);
        }
    }
}
