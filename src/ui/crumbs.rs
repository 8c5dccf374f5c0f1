//! Where does this page stand among the others?

use maud::{Markup, html};

use super::shell::Frame;

/// The way to a page: the address of each before it and its name, then its own name.
pub(super) fn crumbs(frame: &Frame, way: &[(String, Markup)], here: &Markup) -> Markup {
    html! {
        nav.crumbs aria-label="Where you are" {
            ol {
                @for (path, name) in way {
                    li { a href=(frame.path(path)) { (name) } }
                }
                li aria-current="page" { (here) }
            }
        }
    }
}
