//! Does any content stream harm the interpreter?
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lockstep::report::fuzzing::content(bytes));
