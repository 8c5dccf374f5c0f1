//! Does any file harm the whole way through the reader?
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lockstep::report::fuzzing::file(bytes));
