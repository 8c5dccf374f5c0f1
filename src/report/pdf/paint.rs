//! What do paths and pictures cover, as far as somebody sees them?

use super::{graphics::Interpreter, page::Rect, path::Paint};

impl Interpreter<'_> {
    /// Paints the path.
    pub(super) fn paint(&mut self, strokes: bool, fills: bool, closes: bool) {
        if closes {
            self.path.end_subpath(true);
        }
        // nobody sees what is painted on a layer that is off, or with nothing
        let is_seen = self.hidden_layers == 0;
        let paint = Paint {
            strokes: strokes && is_seen && self.state.stroke_alpha > 0.0,
            fills: fills && is_seen && self.state.alpha > 0.0,
        };
        let clip = self.path.paint(paint, &mut self.page, self.state.clip);
        self.state.clip = clip.or(self.state.clip);
        // patterns have holes
        let is_opaque = self.state.alpha >= 1.0 && !self.state.mixes && self.state.fill.is_some();
        for (area, is_whole) in self.path.filled.drain(..) {
            let colour = self.state.fill.filter(|_| is_opaque && is_whole);
            self.painted.fill(area, colour, is_opaque && is_whole, &mut self.page);
        }
    }

    /// A picture was drawn into the unit square.
    pub(super) fn picture(&mut self, is_opaque: bool) {
        if self.hidden_layers > 0 || self.state.alpha <= 0.0 {
            return;
        }
        let corners = [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)].map(|(x, y)| self.state.matrix.apply(x, y));
        let area =
            corners.map(|corner| Rect::around(corner, corner)).into_iter().reduce(Rect::union).unwrap_or_default();
        let area = self.clip_of(self.state.clip).map_or(area, |clip| area.intersection(clip));
        if area.width() <= 0.0 || area.height() <= 0.0 {
            return;
        }
        let is_opaque = is_opaque && self.state.alpha >= 1.0 && !self.state.mixes;
        self.painted.fill(area, None, is_opaque, &mut self.page);
        self.page.images.push(area);
    }

    /// The part of the page that `clip` leaves to be seen.
    pub(super) fn clip_of(&self, clip: Option<u32>) -> Option<Rect> {
        clip.map(|clip| self.page.clips[clip as usize])
    }
}
