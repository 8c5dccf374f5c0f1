//! Bytes -> records? Reads one printed report: positioned text, tables, cycle, columns, typed cells.
//!
//! Pure and blocking inside; [`sandbox`] puts it into a process of its own. The way through the rooms is
//! `sniff` (is it a PDF at all) -> `pdf` (text, rules and clips with positions) -> `table` (cells) ->
//! `cycle` (wide rows) -> `columns` (which cell is which field) -> `cell` (typed values) -> `totals`.

mod budget;
pub mod cell;
mod columns;
mod cycle;
mod drift;
pub mod explain;
mod frozen;
#[cfg(feature = "testing")]
pub mod fuzzing;
pub mod guess;
mod layout;
mod pages;
mod pdf;
mod read;
mod records;
mod refusal;
pub mod sandbox;
mod shape;
mod sheets;
mod sniff;
pub mod survey;
mod table;
mod totals;
mod typed;
mod wrap;

pub use budget::{Budget, Exceeded, ReadLimits};
pub use drift::{Drift, Renamed};
pub use explain::{Drawing, MarkedRow};
pub use layout::{Layout, LayoutChange};
pub use pdf::Verdict;
pub use read::{Quarantined, Report, Request, read};
pub use refusal::{Refusal, RefusalCode};
pub use sniff::{HEAD, check as check_is_pdf, check_head};
pub use wrap::UncertainBreak;
