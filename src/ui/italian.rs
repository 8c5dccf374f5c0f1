//! What is a page in Italian? The same page, its texts looked up one by one. What is somebody's data is marked
//! `translate="no"`, or a `bdi`, and stays.

use std::{cell::RefCell, collections::BTreeSet, rc::Rc, sync::LazyLock};

use lol_html::{
    RewriteStrSettings, doc_text, element, end_tag,
    html_content::{ContentType, Element},
    rewrite_str,
};
use regex::Regex;

use super::phrases::{Phrases, figures, regex};

/// Data, code and what is not read.
const KEPT: [&str; 6] = ["bdi", "code", "pre", "script", "style", "textarea"];
/// What is read aloud, or shown beside an element.
const ATTRIBUTES: [&str; 5] = ["title", "aria-label", "placeholder", "alt", "data-l"];
/// What the script says.
const SAYS: &str = "data-say";

static FIGURES: LazyLock<Regex> =
    LazyLock::new(|| regex(r"(^|[^0-9.,])([0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?|[0-9]+\.[0-9]+)([^0-9.,]|$)"));

/// A page, and what of it stayed English.
#[derive(Debug, Default)]
pub struct Italian {
    /// The page.
    pub html: String,
    /// Texts that the book of phrases does not have.
    pub unknown: BTreeSet<String>,
}

#[derive(Default)]
struct State {
    /// Elements around this place whose text is kept.
    kept: usize,
    /// Elements around it whose text may be of a source or a sink.
    theirs: usize,
    text: String,
    unknown: BTreeSet<String>,
}

impl State {
    /// The text as it stands between blanks, in Italian; `None` if it stays.
    fn say(&mut self, text: &str) -> Option<String> {
        let inner = text.trim();
        if !inner.contains(char::is_alphabetic) {
            let said = FIGURES.replace_all(text, |found: &regex::Captures<'_>| {
                format!("{}{}{}", &found[1], figures(&found[2]), &found[3])
            });
            return (said != text).then(|| said.into_owned());
        }
        let Some(said) = Phrases::italian().say(inner) else {
            if self.theirs == 0 {
                self.unknown.insert(inner.to_owned());
            }
            return None;
        };
        let (before, after) = (text.len() - text.trim_start().len(), text.trim_end().len());
        Some(format!("{}{said}{}", &text[..before], &text[after..]))
    }
}

/// `html` in Italian.
///
/// # Errors
/// Markup that cannot be read.
pub fn italian(html: &str) -> Result<Italian, lol_html::errors::RewritingError> {
    let state = Rc::new(RefCell::new(State::default()));
    let elements = element!("*", |element: &mut Element<'_, '_>| {
        let has = |name: &str, value: &str| element.get_attribute(name).as_deref() == Some(value);
        let (is_kept, is_theirs) = (KEPT.contains(&&*element.tag_name()) || has("translate", "no"), has("dir", "auto"));
        if is_kept {
            until_its_end(element, &state, |state| &mut state.kept);
        } else {
            attributes(element, &mut state.borrow_mut());
        }
        if is_theirs {
            until_its_end(element, &state, |state| &mut state.theirs);
        }
        Ok(())
    });
    let texts = doc_text!(|chunk| {
        let mut state = state.borrow_mut();
        if state.kept > 0 {
            return Ok(());
        }
        // a text may come in pieces
        state.text += chunk.as_str();
        if !chunk.last_in_text_node() {
            chunk.remove();
            return Ok(());
        }
        let raw = std::mem::take(&mut state.text);
        match state.say(&plain(&raw)) {
            Some(said) => chunk.replace(&said, ContentType::Text),
            None => chunk.replace(&raw, ContentType::Html),
        }
        Ok(())
    });
    let settings =
        RewriteStrSettings::new().append_element_content_handler(elements).append_document_content_handler(texts);
    let html = rewrite_str(html, settings)?;
    let unknown = std::mem::take(&mut state.borrow_mut().unknown);
    Ok(Italian { html, unknown })
}

/// Counts that it is within the element.
fn until_its_end(element: &mut Element<'_, '_>, state: &Rc<RefCell<State>>, depth: fn(&mut State) -> &mut usize) {
    if let Some(ends) = element.end_tag_handlers() {
        *depth(&mut state.borrow_mut()) += 1;
        let state = state.clone();
        ends.push(end_tag!(move |_| {
            *depth(&mut state.borrow_mut()) -= 1;
            Ok(())
        }));
    }
}

fn attributes(element: &mut Element<'_, '_>, state: &mut State) {
    let name = element.tag_name();
    if name == "html" {
        element.set_attribute("lang", "it").ok();
    }
    if state.kept > 0 {
        return;
    }
    let is_said = |name: &str| ATTRIBUTES.contains(&name) || name.starts_with(SAYS);
    let ours: Vec<(String, String)> = element
        .attributes()
        .iter()
        .filter(|attribute| is_said(&attribute.name()))
        .map(|attribute| (attribute.name(), plain(&attribute.value())))
        .collect();
    for (name, text) in ours {
        if let Some(said) = state.say(&text) {
            element.set_attribute(&name, &escaped(&said)).ok();
        }
    }
}

/// The text that stands for itself in markup. It is what maud escapes, and nothing else.
fn plain(raw: &str) -> String {
    raw.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ours_is_said_and_what_is_theirs_stays() {
        let page = "<html lang=\"en\"><title>(2) Home · lockstep</title><p title=\"Needs you\">Orders <b>late</b></p>\
                    <bdi title=\"late\">Orders</bdi> <td translate=no title=\"Type\">late</td> <i>1,284</i><i>1.0.2</i>\
                    <b>Nothing needs you.</b></html>";
        let said = italian(page).unwrap();
        assert_eq!(
            said.html,
            "<html lang=\"it\"><title>(2) Home · lockstep</title><p title=\"Richiede attenzione\">Ordini <b>in ritardo</b></p>\
             <bdi title=\"late\">Orders</bdi> <td translate=no title=\"Type\">late</td> <i>1.284</i><i>1.0.2</i>\
             <b>Niente da decidere.</b></html>"
        );
        assert!(said.unknown.is_empty(), "{:?}", said.unknown);
    }

    #[test]
    fn what_nobody_knows_stays_as_it_is_and_is_told() {
        let said = italian("<p aria-label=\"a &lt;b&gt;\">5 &amp; <i>x &lt;script&gt;</i></p>").unwrap();
        assert_eq!(said.html, "<p aria-label=\"a &lt;b&gt;\">5 &amp; <i>x &lt;script&gt;</i></p>");
        assert_eq!(Vec::from_iter(said.unknown), ["a <b>", "x <script>"]);
    }
}
