//! What is printed where? Positioned text, rules, boxes and clips of each page; lopdf reads the objects.

mod accent;
mod cmap;
mod document;
mod font;
mod interpreter;
mod lexer;
mod marked;
mod matrix;
mod page;
mod path;
mod stream;
mod text;

#[cfg(feature = "testing")]
pub use cmap::CMap;
pub use document::Document;
pub use page::{Page, Rect, Rule, Run, Verdict};
pub use text::WORD_GAP;
