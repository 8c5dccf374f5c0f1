//! What does the ERP print? Invented rows, printed in the manner of the ERP's grid, by a server whose data keeps
//! changing: for tests, benchmarks and the demo.

mod font;
mod format;
mod grid;
mod invent;
mod server;
mod trouble;
mod world;

pub use format::printed;
pub use grid::{Layout, print};
pub use invent::{invent, invent_row};
pub use server::Erp;
pub use trouble::{Trouble, Troubles};
pub use world::World;

/// How many rows a real report of each type has, for benchmarks.
pub const REAL_SIZES: [(&str, usize); 6] = [
    ("customers", 1_450),
    ("products", 4_540),
    ("prices", 4_980),
    ("orders", 1_000),
    ("ddt", 1_130),
    ("invoices", 300),
];
