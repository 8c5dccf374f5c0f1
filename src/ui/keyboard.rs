//! Which keys do something? They can be switched off, and no decision has one.

use maud::{Markup, html};

const KEYS: [(&[&str], &str); 10] = [
    (&["/"], "Find a record"),
    (&["g", "h"], "Home"),
    (&["g", "n"], "Needs you"),
    (&["g", "t"], "Types"),
    (&["g", "r"], "Runs"),
    (&["g", "q"], "Queue"),
    (&["g", "w"], "Write-back"),
    (&["j"], "Next in the list"),
    (&["k"], "Previous in the list"),
    (&["?"], "This list"),
];

/// The list of keys, which the script opens.
pub(super) fn keyboard() -> Markup {
    html! {
        dialog #keys.card.pad aria-labelledby="h-keys" {
            h2 #h-keys { "Keyboard" }
            dl.kv {
                @for (keys, what) in KEYS {
                    dt translate="no" { @for key in keys { kbd { (key) } " " } }
                    dd { (what) }
                }
            }
            form.row method="dialog" {
                button.b type="button" data-switch="mute" { "Keys off" }
                button.b { "Close" }
            }
        }
    }
}
