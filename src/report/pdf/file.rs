//! What do the pages of a file share? Its objects, its fonts, and which of its layers are on.

use std::{collections::HashMap, sync::Arc};

use lopdf::{Object, ObjectId};
use parking_lot::Mutex;

use super::{font::Font, layers::Layers, objects::Objects};

/// Bytes that one glyph of a decoded font costs the budget.
const GLYPH_COST: u64 = 12;

/// An opened file.
pub(crate) struct File<'b> {
    pub objects: Objects<'b>,
    fonts: Mutex<HashMap<ObjectId, Arc<Font>>>,
    layers: Layers,
}

impl<'b> File<'b> {
    /// Reads which layers are on; fonts are read when a page needs them.
    pub(crate) fn new(objects: Objects<'b>) -> Self {
        let layers = objects.file.catalog().ok().and_then(|catalog| Layers::of(&objects, catalog));
        Self { layers: layers.unwrap_or_default(), objects, fonts: Mutex::default() }
    }

    /// Is what belongs to this layer hidden?
    pub(crate) fn is_off(&self, layer: &Object) -> bool {
        self.layers.is_off(&self.objects, layer)
    }

    /// The font that `object` is or refers to, read once per document.
    pub(crate) fn font_of(&self, object: &Object) -> Option<Arc<Font>> {
        let load = || {
            let font = Font::load(&self.objects, self.objects.dict(object)?);
            self.objects.budget.check_time().ok()?;
            self.objects.budget.spend_bytes(font.len() as u64 * GLYPH_COST).ok()?;
            Some(Arc::new(font))
        };
        let Ok(id) = object.as_reference() else { return load() };
        let mut fonts = self.fonts.lock();
        if let Some(font) = fonts.get(&id) {
            return Some(font.clone());
        }
        let font = load()?;
        fonts.insert(id, font.clone());
        Some(font)
    }
}
