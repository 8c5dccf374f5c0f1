//! What does a button post? The keys of its page, its own fields, and, where it cannot be undone, a question first.

use maud::{Markup, html};

use super::shell::Frame;

impl Frame {
    /// What each form carries besides its own fields.
    pub(super) fn keys(&self) -> Markup {
        html! {
            input type="hidden" name="form_key" value=(self.form_key);
            input type="hidden" name="back" value=(self.back);
        }
    }

    /// A form of one button.
    pub(super) fn button(&self, act: &str, fields: &[(&str, &str)], class: &str, text: &Markup) -> Markup {
        html! {
            form method="post" action=(self.path(&format!("/act/{act}"))) {
                (self.keys())
                @for (name, value) in fields {
                    input type="hidden" name=(name) value=(value);
                }
                button.b.(class) { (text) }
            }
        }
    }

    /// A button that first says what will happen.
    pub(super) fn sure(&self, act: &str, fields: &[(&str, &str)], text: &str, what: &Markup) -> Markup {
        html! {
            details.sure {
                summary.b.bad { (text) "…" }
                form.card.pad.gap method="post" action=(self.path(&format!("/act/{act}"))) {
                    (self.keys())
                    @for (name, value) in fields {
                        input type="hidden" name=(name) value=(value);
                    }
                    p { (what) }
                    div.row {
                        button.b.bad { (text) }
                    }
                }
            }
        }
    }
}
