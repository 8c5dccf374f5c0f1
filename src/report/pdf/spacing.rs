//! How wide is the gap that parts two words? Told from how each font of a page is set.

use super::page::{Page, TextRun, WORD_GAP};

/// Where no blank is printed, words are parted by gaps from this width on.
pub(crate) const NARROW_GAP: f64 = 0.1;
/// Gaps of words that are set by one hand differ by less than this.
const ALIKE: f64 = 0.02;
/// Gaps beyond are of columns.
const WIDEST: f64 = 1.2;
/// Where more than this share of the texts is a single letter, letters are placed one by one.
const LETTERS: f64 = 0.6;

/// Fewer gaps than this show no habit.
const FEW: usize = 3;

/// For each font of a page: the gap from which on two texts are two words.
pub(crate) fn gaps(page: &Page, fonts: usize) -> Vec<f64> {
    let mut samples: Vec<Sample> = vec![Sample::default(); fonts];
    let mut last: Option<&TextRun> = None;
    for run in &page.runs {
        let sample = &mut samples[run.font as usize];
        let text = page.text_of(run);
        sample.runs += 1;
        let mut letters = text.trim().chars();
        sample.letters += usize::from(letters.next().is_some() && letters.next().is_none());
        sample.has_blanks |= text.contains(char::is_whitespace);
        if let Some(last) = last.filter(|last| last.font == run.font && (last.y - run.y).abs() < run.size * NARROW_GAP)
        {
            let gap = last.gap_to(run) / run.size;
            if gap.abs() < WIDEST {
                sample.gaps.push(gap);
            }
        }
        last = Some(run);
    }
    samples.iter_mut().map(Sample::word_gap).collect()
}

/// How the texts of one font stand on a page.
#[derive(Debug, Clone, Default)]
struct Sample {
    runs: usize,
    /// Of one character.
    letters: usize,
    has_blanks: bool,
    /// Between neighbours on a line, as shares of the size.
    gaps: Vec<f64>,
}

impl Sample {
    fn word_gap(&mut self) -> f64 {
        self.gaps.sort_by(f64::total_cmp);
        // what parts letters parts no words
        let are_letters = self.letters as f64 > self.runs as f64 * LETTERS && self.gaps.len() >= FEW;
        let letter_gap = if are_letters { self.gaps[self.gaps.len() / 2].max(0.0) } else { 0.0 };
        let from = |gap: f64| self.gaps.partition_point(|other| *other < letter_gap + gap);
        let narrow = &self.gaps[from(NARROW_GAP)..from(WORD_GAP)];
        let wide = self.gaps.len() - from(WORD_GAP);
        let is_habit = narrow.len() >= FEW && narrow.len() > 4 * wide && narrow[narrow.len() - 1] - narrow[0] < ALIKE;
        letter_gap + if self.has_blanks && !is_habit { WORD_GAP } else { NARROW_GAP }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gap(texts: &[(f64, f64, &str)]) -> f64 {
        let mut page = Page::default();
        for (x0, x1, text) in texts {
            page.print((*x0, *x1), 0.0, 10.0, text);
        }
        gaps(&page, 1)[0]
    }

    #[test]
    fn each_way_to_set_words_has_its_own_gap() {
        let near = |gap: f64, expected: f64| (gap - expected).abs() < 0.001;
        assert!(near(gap(&[(0.0, 20.0, "Via Roma"), (21.5, 30.0, "V")]), WORD_GAP), "kerned, with blanks");
        assert!(near(gap(&[(0.0, 20.0, "Via"), (21.6, 30.0, "Roma")]), NARROW_GAP), "words placed one by one");
        let spaced: Vec<(f64, f64, &str)> =
            (0..8).map(|at| (f64::from(at) * 7.0, f64::from(at) * 7.0 + 5.0, "x")).collect();
        assert!(near(gap(&spaced), 0.2 + NARROW_GAP), "letterspaced");
        let squeezed: Vec<(f64, f64, &str)> =
            (0..5).map(|at| (f64::from(at) * 21.6, f64::from(at) * 21.6 + 20.0, "word")).collect();
        assert!(near(gap(&[&squeezed[..], &[(300.0, 340.0, "with blank")]].concat()), NARROW_GAP));
    }
}
