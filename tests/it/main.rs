//! The integration tests: one binary, one module a question.

mod actors;
mod api;
mod commands;
mod crash;
mod fixtures;
mod holds;
mod reports;
mod schedule;
mod stops;
mod storage;
mod stories;
mod tree;
