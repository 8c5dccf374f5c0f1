//! Does any CMap harm its reader?
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lockstep::report::fuzzing::cmap(bytes));
