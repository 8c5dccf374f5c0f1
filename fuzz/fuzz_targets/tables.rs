//! Do any texts and rules on pages harm the recognition of tables?
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| lockstep::report::fuzzing::tables(bytes));
