//! Which texts were printed twice, and which stand raised beside another? Shadows, false bold, footnotes.

use super::page::{Page, TextRun};

/// Texts printed again nearer than this share of the size are the same ink.
const SAME_INK: f64 = 0.25;
/// A text that stands on another one with this share of its width is printed on it.
const COVERS: f64 = 0.6;
/// So much (as a share of a text's width) a letter's place is misjudged from its number alone.
const MISJUDGED: f64 = 0.15;
/// Smaller than this share of its neighbour a text is an index of it.
const SMALLER: f64 = 0.85;
/// An index begins within this share of the size behind its word.
const BEHIND: f64 = 0.4;
/// An index is raised by less than this share of the size, or lowered by half of it.
const RAISED: f64 = 0.7;

/// Drops texts that were printed on themselves, whatever their pieces, and puts raised ones onto their line.
pub(crate) fn merge(page: &mut Page) {
    let mut order: Vec<Ink> = (0..)
        .zip(&page.runs)
        .map(|(number, run)| Ink { number, x0: run.x0, x1: run.x1, y: run.y, size: run.size })
        .collect();
    order.sort_by(|a, b| a.x0.total_cmp(&b.x0));
    let (mut doubled, mut raised) = (Vec::new(), Vec::new());
    // what may still reach the next ones
    let mut open: Vec<Ink> = Vec::new();
    for own in order {
        open.retain(|before| before.x1 + before.size * BEHIND > own.x0);
        for other in &open {
            let (apart, size) = ((own.y - other.y).abs(), own.size.max(other.size));
            if apart > size {
                continue;
            }
            let run = |ink: &Ink| (ink.number, &page.runs[ink.number as usize]);
            if apart < size * SAME_INK {
                doubled.extend(twin(page, run(&own), run(other)));
            }
            if own.size < other.size * SMALLER && own.x0 > other.x1 - other.size * SAME_INK {
                let rise = own.y - other.y;
                if rise > 0.0 && rise < other.size * RAISED || rise < 0.0 && -rise < other.size * RAISED / 2.0 {
                    raised.push((own.number, other.y));
                }
            }
        }
        open.push(own);
    }
    for (number, y) in raised {
        page.runs[number as usize].y = y;
    }
    for number in &doubled {
        let text = &mut page.runs[*number as usize].text;
        text.end = text.start;
    }
    page.runs.retain(|run| !run.text.is_empty());
}

/// Where a run stands.
#[derive(Clone, Copy)]
struct Ink {
    number: u32,
    x0: f64,
    x1: f64,
    y: f64,
    size: f64,
}

/// The one of two overlapping runs that says nothing new: part of the other, or printed later.
fn twin(page: &Page, own: (u32, &TextRun), other: (u32, &TextRun)) -> Option<u32> {
    let overlap = own.1.x1.min(other.1.x1) - own.1.x0.max(other.1.x0);
    let width = |run: &TextRun| run.x1 - run.x0;
    if overlap < width(own.1).min(width(other.1)) * COVERS {
        return None;
    }
    let (small, large) = if width(own.1) < width(other.1) { (own, other) } else { (other, own) };
    let (part, whole) = (page.text_of(small.1).trim(), page.text_of(large.1).trim());
    if part == whole {
        return Some(own.0.max(other.0));
    }
    // what overflows its cell may stand on its neighbour's by chance
    let letter = width(large.1) / whole.chars().count().max(1) as f64;
    let is_there = |(at, _): (usize, &str)| {
        let x = large.1.x0 + letter * whole[..at].chars().count() as f64;
        (small.1.x0 - x).abs() < (width(large.1) * MISJUDGED).max(small.1.size)
    };
    let is_part = part.chars().count() < whole.chars().count() && own.1.clip == other.1.clip;
    (is_part && whole.match_indices(part).any(is_there)).then_some(small.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(runs: &[(f64, f64, f64, f64, &str)]) -> Vec<(String, f64)> {
        let mut page = Page::default();
        for (x0, x1, y, size, text) in runs {
            page.print((*x0, *x1), *y, *size, text);
        }
        merge(&mut page);
        page.runs.iter().map(|run| (page.text_of(run).to_owned(), run.y)).collect()
    }

    #[test]
    fn shadows_and_bold_made_of_pieces_count_once() {
        let whole = (10.0, 70.0, 50.0, 8.0, "ID DI VENDITA");
        assert_eq!(settled(&[whole, (11.0, 71.0, 49.0, 8.0, "ID DI VENDITA")]), [("ID DI VENDITA".into(), 50.0)]);
        let pieces = [(10.3, 18.0, 50.0, 8.0, "ID"), (20.5, 29.0, 50.0, 8.0, "DI"), (30.7, 70.3, 50.0, 8.0, "VENDITA")];
        assert_eq!(settled(&[whole, pieces[0], pieces[1], pieces[2]]), [("ID DI VENDITA".into(), 50.0)]);
        let letters = [(0.0, 2.0, 0.0, 8.0, "l"), (2.0, 4.0, 0.0, 8.0, "l"), (4.0, 6.0, 0.0, 8.0, "l")];
        assert_eq!(settled(&letters).len(), 3);
    }

    #[test]
    fn indices_stand_on_the_line_of_their_word() {
        let metres = [(10.0, 30.0, 50.0, 8.0, "m"), (30.5, 33.0, 53.0, 5.0, "2")];
        assert_eq!(settled(&metres)[1], ("2".to_owned(), 50.0));
        let lines = [(10.0, 30.0, 50.0, 8.0, "m"), (10.0, 13.0, 58.0, 5.0, "2")];
        assert_eq!(settled(&lines)[1], ("2".to_owned(), 58.0));
    }
}
