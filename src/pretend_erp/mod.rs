//! What does the ERP print? Invented rows, printed in the manner of the ERP's grid: for tests,
//! benchmarks and the demo.

mod font;
mod format;
mod grid;
mod invent;

pub use format::printed;
pub use grid::{Layout, print};
pub use invent::invent;
