//! Which fields of a form, and notes, does a page show on top of its content?

use lopdf::{Dictionary, Object};

use super::{file::File, matrix::Matrix, page::Rect};

/// Flags of an annotation that nobody sees: hidden, or not for viewing.
const UNSEEN: i64 = 2 | 32;

/// Where annotations show text that is not part of the page's content.
pub(crate) fn shown(file: &File<'_>, page: &Dictionary, base: Matrix) -> Vec<Rect> {
    let list = file.objects.array(page, b"Annots").into_iter().flatten();
    list.filter_map(|annotation| area(file, file.objects.dict(annotation)?, base)).collect()
}

fn area(file: &File<'_>, annotation: &Dictionary, base: Matrix) -> Option<Rect> {
    let flags = annotation.get(b"F").ok().and_then(|flags| file.objects.number(flags)).unwrap_or(0.0) as i64;
    let layer = annotation.get(b"OC").is_ok_and(|layer| file.is_off(layer));
    if flags & UNSEEN != 0 || layer {
        return None;
    }
    let normal = file.objects.resolve(file.objects.dict(annotation.get(b"AP").ok()?)?.get(b"N").ok()?);
    let appearance = match normal {
        Object::Stream(_) => normal,
        Object::Dictionary(states) => states.get(annotation.get(b"AS").and_then(Object::as_name).ok()?).ok()?,
        _ => return None,
    };
    // an appearance that cannot be read may show anything
    let content = file.objects.stream_bytes(appearance);
    let has_text = content.is_none_or(|content| content.windows(2).any(|pair| matches!(pair, b"Tj" | b"TJ" | b"Do")));
    let corners: Vec<f64> =
        file.objects.array(annotation, b"Rect")?.iter().filter_map(|number| file.objects.number(number)).collect();
    let [x0, y0, x1, y1] = corners[..] else { return None };
    has_text.then(|| Rect::around(base.apply(x0, y0), base.apply(x1, y1)))
}
