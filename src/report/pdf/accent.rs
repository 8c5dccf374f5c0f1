//! Which letters carry an accent that was printed as a glyph of its own?
//!
//! TeX's old fonts have no `à`: it prints a grave accent, moves back and prints an `a` below it.

use unicode_normalization::UnicodeNormalization;

use super::page::{Page, TextRun};

/// An accent and its letter overlap by at least this share of the size.
const OVERLAP: f64 = 0.1;
/// Accents of capitals are raised by less than this share of the size.
const RAISED: f64 = 0.6;

/// The combining form of an accent that is printed alone.
fn combining(accent: char) -> Option<char> {
    Some(match accent {
        '`' | '\u{2cb}' => '\u{300}',
        '\u{b4}' | '\u{2ca}' => '\u{301}',
        '^' | '\u{2c6}' => '\u{302}',
        '~' | '\u{2dc}' => '\u{303}',
        '\u{af}' | '\u{2c9}' => '\u{304}',
        '\u{2d8}' => '\u{306}',
        '\u{2d9}' => '\u{307}',
        '\u{a8}' => '\u{308}',
        '\u{2da}' => '\u{30a}',
        '\u{2dd}' => '\u{30b}',
        '\u{2c7}' => '\u{30c}',
        '\u{b8}' => '\u{327}',
        _ => return None,
    })
}

/// Puts accents that overlap the next printed letter onto it.
pub(crate) fn compose(page: &mut Page) {
    if !page.text.chars().any(|character| combining(character).is_some()) {
        return;
    }
    for at in 1..page.runs.len() {
        let [accent, letter] = &page.runs[at - 1..=at] else { continue };
        let Some(mark) = page.text_of(accent).chars().next_back().and_then(combining) else { continue };
        let text = page.text_of(letter);
        let Some(first) = text.chars().next().filter(|first| first.is_alphabetic()) else { continue };
        let overlaps = letter.x0 < accent.x1 - OVERLAP * letter.size && accent.x0 < letter.x1;
        if !overlaps || (accent.y - letter.y).abs() > RAISED * letter.size {
            continue;
        }
        // below an accent, TeX prints letters without their dots
        let base = match first {
            '\u{131}' => 'i',
            '\u{237}' => 'j',
            other => other,
        };
        let Some(composed) = [base, mark].into_iter().nfc().next().filter(|composed| *composed != base) else {
            continue;
        };
        let start = page.text.len() as u32;
        let rest = text[first.len_utf8()..].to_owned();
        page.text.push(composed);
        page.text.push_str(&rest);
        let range = start..page.text.len() as u32;
        page.runs[at].text = range;
        drop_last(page, at - 1);
    }
    page.runs.retain(|run| !run.text.is_empty());
}

/// Takes the accent off the run that ended with it.
fn drop_last(page: &mut Page, at: usize) {
    let last = page.text_of(&page.runs[at]).chars().next_back().map_or(0, char::len_utf8) as u32;
    let run: &mut TextRun = &mut page.runs[at];
    run.text.end -= last;
    // it may have been raised above the line of its word, and moved its end
    run.x1 = run.x1.max(run.x0);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(runs: &[(f64, f64, f64, &str)]) -> Page {
        let mut page = Page::default();
        for (x0, x1, y, text) in runs {
            page.print((*x0, *x1), *y, 10.0, text);
        }
        compose(&mut page);
        page
    }

    #[test]
    fn accents_go_onto_their_letters() {
        let texts = |page: Page| page.runs.iter().map(|run| page.text_of(run).to_owned()).collect::<Vec<_>>();
        assert_eq!(texts(page(&[(0.0, 25.0, 0.0, "Citt`"), (20.0, 50.0, 0.0, "a Nuova")])), ["Citt", "à Nuova"]);
        assert_eq!(
            texts(page(&[(0.0, 20.0, 0.0, "CITT"), (20.0, 26.0, 2.0, "`"), (19.0, 27.0, 0.0, "A")])),
            ["CITT", "À"]
        );
        // a grave that stands beside its neighbour is a grave
        assert_eq!(texts(page(&[(0.0, 5.0, 0.0, "`"), (5.0, 9.0, 0.0, "a")])), ["`", "a"]);
    }
}
