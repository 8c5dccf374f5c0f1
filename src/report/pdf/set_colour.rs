//! Which operators set the colour of fills, and how much of what is painted can be seen through?

use lopdf::{Dictionary, Object};

use super::{
    colour::{BLACK, Space, of},
    graphics::Interpreter,
    lexer::Token,
};

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
            let object = self.file.objects.resolve(self.file.objects.resource(resources, b"ColorSpace", name)?);
            if let Ok(name) = object.as_name() {
                return named(name);
            }
            let [kind, rest @ ..] = object.as_array().ok()?.as_slice() else { return None };
            let kind = kind.as_name().ok()?;
            if kind != b"ICCBased" {
                return named(kind);
            }
            match self.file.objects.number(self.file.objects.dict(rest.first()?)?.get(b"N").ok()?)? as i64 {
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
        let number = |key: &[u8]| state.get(key).ok().and_then(|value| self.file.objects.number(value));
        let is_plain = |mode: &Object| matches!(mode.as_name(), Ok(b"Normal" | b"Compatible"));
        let (fill, stroke) = (number(b"ca"), number(b"CA"));
        if let Ok(mode) = state.get(b"BM").map(|mode| self.file.objects.resolve(mode)) {
            self.state.mixes =
                !mode.as_array().map_or_else(|_| is_plain(mode), |modes| modes.first().is_some_and(is_plain));
        }
        // a mask lets through what is below, here and there
        if let Ok(mask) = state.get(b"SMask") {
            self.state.mixes |= !matches!(self.file.objects.resolve(mask).as_name(), Ok(b"None"));
        }
        self.state.alpha = fill.unwrap_or(self.state.alpha);
        self.state.stroke_alpha = stroke.unwrap_or(self.state.stroke_alpha);
    }
}
