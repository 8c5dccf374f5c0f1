//! Which rules, boxes and clips does a path draw?

use super::{
    matrix::Matrix,
    page::{Page, Rect, Rule},
};

/// A filled box this thin (points) is a rule.
const RULE_THICKNESS: f64 = 2.0;
/// Thick borders of cells are drawn piece by piece, each so many times as long as it is thick.
const BORDER_THICKNESS: f64 = 3.5;
const BORDER_LENGTH: f64 = 4.0;
/// What is drawn into a cell instead of a text is neither smaller nor larger than this (points).
const SMALLEST_DRAWING: f64 = 3.0;
const LARGEST_DRAWING: f64 = 24.0;
/// Of so many on one page, no more are kept: they are a picture.
const MOST_DRAWINGS: usize = 10_000;
/// Boxes of one path that are looked at for holes.
const MOST_HOLES: usize = 64;
/// And a longer one this thin is a bar, which parts as a rule does.
const BAR_THICKNESS: f64 = 5.0;
/// A bar is this many times as long as it is thick.
const BAR_LENGTH: f64 = 10.0;
/// A line is upright if its ends differ by no more across (points).
const UPRIGHT: f64 = 0.5;

/// How a path is painted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Paint {
    /// Its outline is drawn.
    pub strokes: bool,
    /// Its inside is.
    pub fills: bool,
}

/// The path under construction, in page space.
#[derive(Debug, Default)]
pub(crate) struct Path {
    boxes: Vec<Rect>,
    segments: Vec<((f64, f64), (f64, f64))>,
    subpath: Vec<(f64, f64)>,
    /// Areas that were filled since the last look; is each one covered all over?
    pub filled: Vec<(Rect, bool)>,
    /// `W` was seen: the next painting operator clips.
    pub clips: bool,
}

impl Path {
    /// `m`: begins a subpath.
    pub(crate) fn move_to(&mut self, point: (f64, f64)) {
        self.end_subpath(false);
        self.subpath.push(point);
    }

    /// `l`, and the end of a curve: curves bound nothing that a table needs.
    pub(crate) fn line_to(&mut self, point: (f64, f64)) {
        self.subpath.push(point);
    }

    /// `re`: a rectangle of its own.
    pub(crate) fn rectangle(&mut self, matrix: Matrix, [x, y, width, height]: [f64; 4]) {
        self.end_subpath(false);
        self.boxes.push(Rect::around(matrix.apply(x, y), matrix.apply(x + width, y + height)));
    }

    /// Files the subpath away: as a box if its corners are one's, else as segments.
    pub(crate) fn end_subpath(&mut self, close: bool) {
        if self.subpath.len() < 2 {
            self.subpath.clear();
            return;
        }
        let mut points = std::mem::take(&mut self.subpath);
        let near = |a: f64, b: f64| (a - b).abs() < 0.01;
        let same = |a: (f64, f64), b: (f64, f64)| near(a.0, b.0) && near(a.1, b.1);
        let is_closed = points.len() > 2 && same(points[0], points[points.len() - 1]);
        if close && !is_closed {
            points.push(points[0]);
        }
        let upright = points.windows(2).all(|pair| near(pair[0].0, pair[1].0) || near(pair[0].1, pair[1].1));
        if upright && points.len() == 5 && same(points[0], points[4]) {
            self.boxes.push(Rect::around(points[0], points[2]));
        } else {
            self.segments.extend(points.windows(2).map(|pair| (pair[0], pair[1])));
        }
        points.clear();
        self.subpath = points;
    }

    /// Ends the path: paints it onto the page within `clip`, and answers the new clip if it clips.
    pub(crate) fn paint(&mut self, paint: Paint, page: &mut Page, clip: Option<u32>) -> Option<u32> {
        // a filled path is closed by filling it
        self.end_subpath(paint.fills || self.clips);
        let within = clip.map(|clip| page.clips[clip as usize]);
        let new_clip = std::mem::take(&mut self.clips).then(|| self.bounds()).flatten().map(|bounds| {
            page.clips.push(within.map_or(bounds, |outer| bounds.intersection(outer)));
            page.clips.len() as u32 - 1
        });
        if paint.strokes || paint.fills {
            let is_small = |area: &Rect| {
                (SMALLEST_DRAWING..LARGEST_DRAWING).contains(&area.width())
                    && (SMALLEST_DRAWING..LARGEST_DRAWING).contains(&area.height())
            };
            // one box is looked at fast: there are thousands
            let bounds = match (&self.boxes[..], self.segments.is_empty()) {
                ([only], true) => Some(*only),
                _ => self.bounds(),
            };
            if page.drawings.len() < MOST_DRAWINGS {
                page.drawings.extend(bounds.filter(is_small));
            }
            // a box within another one is a hole, and a round shape is not as large as its bounds
            let holds = |outer: &Rect, inner: &Rect| {
                outer.x0 <= inner.x0 && outer.x1 >= inner.x1 && outer.y0 <= inner.y0 && outer.y1 >= inner.y1
            };
            let is_plain = self.segments.is_empty()
                && (self.boxes.len() < 2
                    || (self.boxes.len() <= MOST_HOLES
                        && !self.boxes.iter().enumerate().any(|(number, outer)| {
                            self.boxes.iter().enumerate().any(|(other, inner)| other != number && holds(outer, inner))
                        })));
            if paint.fills && !is_plain {
                self.filled.extend(bounds.map(|bounds| (bounds, false)));
            }
            for shape in self.boxes.drain(..) {
                let shape = within.map_or(shape, |within| shape.intersection(within));
                if paint.fills && is_plain && shape.width() > RULE_THICKNESS && shape.height() > RULE_THICKNESS {
                    self.filled.push((shape, true));
                }
                paint_box(paint, shape, page);
            }
            for (from, to) in self.segments.drain(..).filter(|_| paint.strokes) {
                let line = Rect::around(from, to);
                let line = within.map_or(line, |within| line.intersection(within));
                if line.height() > RULE_THICKNESS && (0.0..UPRIGHT).contains(&line.width()) {
                    page.rules.push(Rule::Vertical { x: line.middle().0, y0: line.y0, y1: line.y1 });
                } else if line.width() > RULE_THICKNESS && (0.0..UPRIGHT).contains(&line.height()) {
                    page.rules.push(Rule::Horizontal { y: line.middle().1, x0: line.x0, x1: line.x1 });
                }
            }
        }
        self.boxes.clear();
        self.segments.clear();
        new_clip
    }

    fn bounds(&self) -> Option<Rect> {
        let corners = self.segments.iter().flat_map(|(from, to)| [Rect::around(*from, *from), Rect::around(*to, *to)]);
        self.boxes.iter().copied().chain(corners).reduce(Rect::union)
    }
}

fn paint_box(paint: Paint, shape: Rect, page: &mut Page) {
    let (x, y) = shape.middle();
    let (width, height) = (shape.width(), shape.height());
    if width < 0.0 || height < 0.0 || (width <= RULE_THICKNESS && height <= RULE_THICKNESS) {
        return;
    }
    let is_rule = |thickness: f64, length: f64| {
        thickness <= RULE_THICKNESS
            || (thickness <= BORDER_THICKNESS && length >= thickness * BORDER_LENGTH)
            || (thickness <= BAR_THICKNESS && length >= thickness * BAR_LENGTH)
    };
    if is_rule(width, height) {
        page.rules.push(Rule::Vertical { x, y0: shape.y0, y1: shape.y1 });
    } else if is_rule(height, width) {
        page.rules.push(Rule::Horizontal { y, x0: shape.x0, x1: shape.x1 });
    } else if paint.strokes {
        page.rules.extend([
            Rule::Vertical { x: shape.x0, y0: shape.y0, y1: shape.y1 },
            Rule::Vertical { x: shape.x1, y0: shape.y0, y1: shape.y1 },
            Rule::Horizontal { y: shape.y0, x0: shape.x0, x1: shape.x1 },
            Rule::Horizontal { y: shape.y1, x0: shape.x0, x1: shape.x1 },
        ]);
    } else {
        page.boxes.push(shape);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STROKE: Paint = Paint { strokes: true, fills: false };
    const FILL: Paint = Paint { strokes: false, fills: true };

    #[test]
    fn rules_are_strokes_and_thin_boxes() {
        let mut page = Page::default();
        let mut path = Path::default();
        path.move_to((10.0, 10.0));
        path.line_to((60.0, 10.0));
        path.paint(STROKE, &mut page, None);
        path.rectangle(Matrix::IDENTITY, [10.0, 10.0, 0.75, 40.0]);
        path.rectangle(Matrix::IDENTITY, [10.0, 10.0, 30.0, 40.0]);
        path.paint(FILL, &mut page, None);
        // a diagonal, and a line that is only a side of a filled shape, are no rules
        path.move_to((0.0, 0.0));
        path.line_to((50.0, 50.0));
        path.paint(STROKE, &mut page, None);
        assert_eq!(
            page.rules,
            [Rule::Horizontal { y: 10.0, x0: 10.0, x1: 60.0 }, Rule::Vertical { x: 10.375, y0: 10.0, y1: 50.0 }]
        );
        assert_eq!(page.boxes.len(), 1);
    }

    #[test]
    fn clips_nest_and_hide_what_is_outside() {
        let mut page = Page::default();
        let mut path = Path::default();
        path.rectangle(Matrix::IDENTITY, [0.0, 0.0, 50.0, 50.0]);
        path.clips = true;
        let outer = path.paint(Paint { strokes: false, fills: false }, &mut page, None);
        path.rectangle(Matrix::IDENTITY, [40.0, 40.0, 50.0, 50.0]);
        path.clips = true;
        let inner = path.paint(Paint { strokes: false, fills: false }, &mut page, outer).unwrap();
        assert_eq!(page.clips[inner as usize], Rect { x0: 40.0, y0: 40.0, x1: 50.0, y1: 50.0 });
        path.rectangle(Matrix::IDENTITY, [60.0, 0.0, 1.0, 50.0]);
        path.paint(FILL, &mut page, outer);
        assert!(page.rules.is_empty());
    }
}
