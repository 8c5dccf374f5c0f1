//! What is printed where? Positioned text, rules and clips of each page; lopdf reads the objects.

mod cmap;
mod document;
mod font;
mod interpreter;
mod lexer;
mod matrix;
mod page;

pub use document::Document;
pub use page::{Page, Rect, Rule, Run};
