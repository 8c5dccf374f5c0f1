//! Which colour do fills and texts have? Enough of it to tell what cannot be seen on its background.

use super::{lexer::Token, operands::numbers};

/// Red, green and blue from 0 to 1; `None` where only a viewer knows it: patterns, spot colours.
pub(crate) type Colour = Option<[f64; 3]>;

/// Paper, and black ink.
pub(crate) const WHITE: Colour = Some([1.0; 3]);
pub(crate) const BLACK: Colour = Some([0.0; 3]);

/// Colours that differ by less in each component are the same to an eye.
const SAME: f64 = 0.02;

/// How the operands of `sc` and `scn` are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Space {
    Gray,
    Rgb,
    Cmyk,
    Unknown,
}

/// Does text of one colour vanish on a background of the other?
pub(crate) fn is_same(one: Colour, other: Colour) -> bool {
    one.zip(other).is_some_and(|(one, other)| one.iter().zip(&other).all(|(a, b)| (a - b).abs() < SAME))
}

/// The colour that these operands name.
pub(crate) fn of(space: Space, operands: &[Token<'_>]) -> Colour {
    let one = |value: f64| value.clamp(0.0, 1.0);
    match space {
        Space::Gray => numbers(operands).map(|[gray]| [one(gray); 3]),
        Space::Rgb => numbers(operands).map(|rgb: [f64; 3]| rgb.map(one)),
        Space::Cmyk => numbers(operands).map(|[c, m, y, k]| [c, m, y].map(|ink: f64| one(1.0 - ink - k))),
        Space::Unknown => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_of_the_three_families() {
        let tokens = |numbers: &[f64]| numbers.iter().map(|number| Token::Number(*number)).collect::<Vec<_>>();
        assert!(is_same(of(Space::Gray, &tokens(&[1.0])), WHITE));
        assert!(is_same(of(Space::Cmyk, &tokens(&[0.0, 0.0, 0.0, 0.0])), of(Space::Rgb, &tokens(&[1.0, 1.0, 1.0]))));
        assert!(is_same(of(Space::Cmyk, &tokens(&[0.0, 0.0, 0.0, 1.0])), BLACK));
        assert!(!is_same(of(Space::Gray, &tokens(&[0.9])), WHITE));
        assert!(!is_same(of(Space::Unknown, &tokens(&[1.0])), WHITE));
    }
}
