//! What is printed where? Positioned text, rules, boxes and clips of each page; lopdf reads the objects.

mod accent;
mod annotation;
mod cmap;
mod colour;
mod document;
mod file;
mod font;
mod graphics;
mod inline_image;
mod interpreter;
mod layers;
mod lexer;
mod marked;
mod matrix;
mod objects;
mod open;
mod operands;
mod overprint;
mod page;
mod paint;
mod path;
mod seen;
mod set_colour;
mod spacing;
mod stream;
mod text;

#[cfg(feature = "testing")]
pub(crate) use cmap::CMap;
pub(crate) use document::Document;
pub(crate) use graphics::Pieces;
pub use page::Verdict;
pub(crate) use page::{Page, Rect, Rule, TextRun};
