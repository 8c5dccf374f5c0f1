//! Can a person see a text? Not on a background of its own colour, nor under something opaque.

use super::{
    colour::{Colour, WHITE, is_same},
    page::{Page, Rect, TextRun},
};

/// Texts are looked up by strips of this height (points).
const STRIP: f64 = 24.0;
/// Areas filled on a page, at most: four to a cell on a large sheet are below.
const MOST_FILLS: usize = 20_000;
/// Strips of a page, at most.
const MOST_STRIPS: usize = 1_000;
/// A text of whose width this share is covered is not seen.
const COVERED: f64 = 0.9;

/// What is painted on a page so far, as far as it may hide texts.
#[derive(Debug, Default)]
pub(crate) struct Painted {
    fills: Vec<(Rect, Colour)>,
    /// The last run of each strip of the page, or [`NONE`].
    last: Vec<u32>,
    printed: Vec<Printed>,
}

/// Where a run stands, and which one is before it in its strip, or [`NONE`].
#[derive(Debug)]
struct Printed {
    x0: f64,
    x1: f64,
    y: f64,
    before: u32,
}

const NONE: u32 = u32::MAX;

/// The middle of a run's glyphs.
fn middle(run: &TextRun) -> (f64, f64) {
    (f64::midpoint(run.x0, run.x1), run.y + run.size * 0.3)
}

fn strip(y: f64) -> usize {
    ((y / STRIP).max(0.0) as usize).min(MOST_STRIPS - 1)
}

impl Painted {
    /// An area was filled; what is below it is not seen any more if it is opaque.
    pub(crate) fn fill(&mut self, area: Rect, colour: Colour, is_opaque: bool, page: &mut Page) {
        self.fills.push((area, colour));
        if !is_opaque || self.last.is_empty() || self.fills.len() > MOST_FILLS {
            return;
        }
        for last in self.last.iter().take(strip(area.y1) + 1).skip(strip(area.y0)) {
            let mut number = *last;
            while number != NONE {
                let run = &self.printed[number as usize];
                let width = area.x1.min(run.x1) - area.x0.max(run.x0);
                if run.y > area.y0 && run.y < area.y1 && width >= (run.x1 - run.x0) * COVERED {
                    let text = &mut page.runs[number as usize].text;
                    text.end = text.start;
                }
                number = run.before;
            }
        }
    }

    /// Does a text of this colour show where it stands?
    pub(crate) fn shows(&self, run: &TextRun, colour: Colour) -> bool {
        let (x, y) = middle(run);
        let holds = |area: &Rect| x >= area.x0 && x <= area.x1 && y >= area.y0 && y <= area.y1;
        // further back than any real page's background, nobody knows
        if self.fills.len() > MOST_FILLS {
            return true;
        }
        let background = self.fills.iter().rev().find(|(area, _)| holds(area)).map_or(WHITE, |(_, colour)| *colour);
        !is_same(colour, background)
    }

    /// A text was printed, the next of its page.
    pub(crate) fn print(&mut self, run: &TextRun) {
        let (_, y) = middle(run);
        let strip = strip(y);
        if self.last.len() <= strip {
            self.last.resize(strip + 1, NONE);
        }
        let number = self.printed.len() as u32;
        let before = std::mem::replace(&mut self.last[strip], number);
        self.printed.push(Printed { x0: run.x0, x1: run.x1, y, before });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_covered_or_has_the_colour_of_its_background_is_not_seen() {
        let mut page = Page { text: "old".into(), ..Page::default() };
        let run = TextRun {
            x0: 10.0,
            x1: 40.0,
            drawn_x1: 40.0,
            y: 100.0,
            size: 10.0,
            first_advance: 5.0,
            goes_on: false,
            clip: None,
            font: 0,
            text: 0..3,
        };
        page.runs.push(run.clone());
        let mut painted = Painted::default();
        assert!(!painted.shows(&run, WHITE) && painted.shows(&run, Some([0.0; 3])));
        let grey = Rect { x0: 0.0, x1: 50.0, y0: 95.0, y1: 115.0 };
        painted.fill(grey, Some([0.5; 3]), true, &mut page);
        assert!(painted.shows(&run, WHITE));
        painted.print(&run);
        painted.fill(Rect { x1: 20.0, ..grey }, WHITE, true, &mut page);
        painted.fill(grey, WHITE, false, &mut page);
        assert_eq!(page.text_of(&page.runs[0]), "old", "in part, or through something transparent");
        painted.fill(grey, WHITE, true, &mut page);
        assert_eq!(page.text_of(&page.runs[0]), "");
    }
}
