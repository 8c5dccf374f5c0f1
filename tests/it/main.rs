//! The integration tests: one binary, one module a question.
#![allow(clippy::unwrap_used, reason = "a broken test should end at once, helpers included")]

mod actors;
mod api;
mod commands;
mod control;
mod coordination;
mod damage;
mod demo;
mod extract;
mod faults;
mod fixtures;
mod fuzzers;
mod guesses;
mod holds;
mod many;
mod narrow;
mod operations;
mod outbox;
mod pages;
mod plans;
mod printers;
mod queue;
mod readers;
mod readme;
mod reports;
mod schedule;
mod schema;
mod shapes;
mod sources;
mod stops;
mod storage;
mod stories;
mod throwaway;
mod tree;
