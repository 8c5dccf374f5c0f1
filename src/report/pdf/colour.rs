//! Which colour do fills and texts have? Enough of it to tell what cannot be seen on its background.

use lopdf::{Dictionary, Object};

use super::{interpreter::Interpreter, lexer::Token, operands::numbers};

/// Red, green and blue from 0 to 1; `None` where only a viewer knows it: patterns, spot colours.
pub type Colour = Option<[f64; 3]>;

/// Paper, and black ink.
pub const WHITE: Colour = Some([1.0; 3]);
pub const BLACK: Colour = Some([0.0; 3]);

/// Colours that differ by less in each component are the same to an eye.
const SAME: f64 = 0.02;

/// How the operands of `sc` and `scn` are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Space {
    Gray,
    Rgb,
    Cmyk,
    Unknown,
}

/// Does text of one colour vanish on a background of the other?
pub fn is_same(one: Colour, other: Colour) -> bool {
    one.zip(other).is_some_and(|(one, other)| one.iter().zip(&other).all(|(a, b)| (a - b).abs() < SAME))
}

fn of(space: Space, operands: &[Token<'_>]) -> Colour {
    let one = |value: f64| value.clamp(0.0, 1.0);
    match space {
        Space::Gray => numbers(operands).map(|[gray]| [one(gray); 3]),
        Space::Rgb => numbers(operands).map(|rgb: [f64; 3]| rgb.map(one)),
        Space::Cmyk => numbers(operands).map(|[c, m, y, k]| [c, m, y].map(|ink: f64| one(1.0 - ink - k))),
        Space::Unknown => None,
    }
}

impl Interpreter<'_> {
    /// Carries out an operator that sets the colour of fills; false if it is none.
    pub(super) fn fill_colour(&mut self, operator: &[u8], operands: &[Token<'_>], resources: &Dictionary) -> bool {
        let space = match operator {
            b"g" => Space::Gray,
            b"rg" => Space::Rgb,
            b"k" => Space::Cmyk,
            b"sc" | b"scn" => self.state.space,
            b"cs" => {
                let [.., Token::Name(name)] = operands else { return true };
                self.state.space = self.space(name, resources);
                self.state.fill = if self.state.space == Space::Unknown { None } else { BLACK };
                return true;
            }
            _ => return false,
        };
        self.state.space = space;
        self.state.fill = of(space, operands);
        true
    }

    fn space(&self, name: &[u8], resources: &Dictionary) -> Space {
        let named = |name: &[u8]| match name {
            b"DeviceGray" | b"CalGray" | b"G" => Some(Space::Gray),
            b"DeviceRGB" | b"CalRGB" | b"RGB" => Some(Space::Rgb),
            b"DeviceCMYK" | b"CMYK" => Some(Space::Cmyk),
            _ => None,
        };
        let by_resource = || {
            let object = self.document.resolve(self.document.resource(resources, b"ColorSpace", name)?);
            if let Ok(name) = object.as_name() {
                return named(name);
            }
            let [kind, rest @ ..] = object.as_array().ok()?.as_slice() else { return None };
            let kind = kind.as_name().ok()?;
            if kind != b"ICCBased" {
                return named(kind);
            }
            match self.document.number(self.document.dict(rest.first()?)?.get(b"N").ok()?)? as i64 {
                1 => Some(Space::Gray),
                3 => Some(Space::Rgb),
                4 => Some(Space::Cmyk),
                _ => None,
            }
        };
        named(name).or_else(by_resource).unwrap_or(Space::Unknown)
    }

    /// `gs`: how much of what is painted can be seen through, and how it mixes with what is below.
    pub(super) fn transparency(&mut self, state: &Dictionary) {
        let number = |key: &[u8]| state.get(key).ok().and_then(|value| self.document.number(value));
        let is_plain = |mode: &Object| matches!(mode.as_name(), Ok(b"Normal" | b"Compatible"));
        let (fill, stroke) = (number(b"ca"), number(b"CA"));
        if let Ok(mode) = state.get(b"BM").map(|mode| self.document.resolve(mode)) {
            self.state.mixes =
                !mode.as_array().map_or_else(|_| is_plain(mode), |modes| modes.first().is_some_and(is_plain));
        }
        // a mask lets through what is below, here and there
        if let Ok(mask) = state.get(b"SMask") {
            self.state.mixes |= !matches!(self.document.resolve(mask).as_name(), Ok(b"None"));
        }
        self.state.alpha = fill.unwrap_or(self.state.alpha);
        self.state.stroke_alpha = stroke.unwrap_or(self.state.stroke_alpha);
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
