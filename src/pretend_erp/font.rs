//! Which font does the grid print with? DejaVu Serif, subset to the glyphs that a report uses.

use std::{collections::BTreeMap, io::Write};

use anyhow::{Context as _, anyhow};
use pdf_writer::{
    Filter, Finish, Name, Pdf, Rect, Ref, Str,
    types::{CidFontType, FontFlags, SystemInfo, UnicodeCmap},
};
use skrifa::{
    FontRef, GlyphId, MetadataProvider,
    instance::{LocationRef, Size},
};
use subsetter::GlyphRemapper;

const NAME: Name<'static> = Name(b"LOCKST+DejaVuSerif");
const SYSTEM: SystemInfo<'static> = SystemInfo { registry: Str(b"Adobe"), ordering: Str(b"Identity"), supplement: 0 };

/// A font face and the glyphs used of it so far.
pub(crate) struct Font {
    face: FontRef<'static>,
    glyphs: GlyphRemapper,
    /// New glyph -> its text.
    texts: BTreeMap<u16, char>,
    widths: BTreeMap<char, f32>,
}

impl Font {
    /// The grid's face.
    pub(crate) fn load() -> anyhow::Result<Self> {
        let face =
            FontRef::new(dejavu::serif::regular()).map_err(|error| anyhow!("the font cannot be read: {error}"))?;
        Ok(Self { face, glyphs: GlyphRemapper::new(), texts: BTreeMap::new(), widths: BTreeMap::new() })
    }

    fn glyph(&self, c: char) -> GlyphId {
        self.face.charmap().map(c).unwrap_or_default()
    }

    /// A character's advance in thousandths of the size.
    pub(crate) fn width(&mut self, c: char) -> f32 {
        if let Some(width) = self.widths.get(&c) {
            return *width;
        }
        // a size of a thousand gives thousandths of the size
        let metrics = self.face.glyph_metrics(Size::new(1000.0), LocationRef::default());
        let width = metrics.advance_width(self.glyph(c)).unwrap_or(0.0);
        self.widths.insert(c, width);
        width
    }

    /// A text's width in points at `size`.
    pub(crate) fn measure(&mut self, text: &str, size: f32) -> f32 {
        text.chars().map(|c| self.width(c)).sum::<f32>() / 1000.0 * size
    }

    /// The bytes that show a text.
    pub(crate) fn encode(&mut self, text: &str) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(text.len() * 2);
        for c in text.chars() {
            let glyph = self.glyphs.remap(self.glyph(c).to_u32() as u16);
            self.texts.insert(glyph, c);
            bytes.extend(glyph.to_be_bytes());
        }
        bytes
    }

    /// Writes the subset as a Type0 font, Identity-H with ToUnicode, under `id`.
    pub(crate) fn write(mut self, pdf: &mut Pdf, id: Ref, next: &mut impl FnMut() -> Ref) -> anyhow::Result<()> {
        let (descendant, descriptor, file, cmap) = (next(), next(), next(), next());
        pdf.type0_font(id)
            .base_font(NAME)
            .encoding_predefined(Name(b"Identity-H"))
            .descendant_font(descendant)
            .to_unicode(cmap);
        let texts = std::mem::take(&mut self.texts);
        let mut font = pdf.cid_font(descendant);
        font.subtype(CidFontType::Type2).base_font(NAME).system_info(SYSTEM).font_descriptor(descriptor);
        font.default_width(0.0).cid_to_gid_map_predefined(Name(b"Identity"));
        let mut widths = font.widths();
        for (glyph, c) in &texts {
            widths.consecutive(*glyph, [self.width(*c)]);
        }
        widths.finish();
        font.finish();

        let metrics = self.face.metrics(Size::new(1000.0), LocationRef::default());
        let bounds = metrics.bounds.unwrap_or_default();
        pdf.font_descriptor(descriptor)
            .name(NAME)
            .flags(FontFlags::SYMBOLIC | FontFlags::SERIF)
            .bbox(Rect::new(bounds.x_min, bounds.y_min, bounds.x_max, bounds.y_max))
            .italic_angle(0.0)
            .ascent(metrics.ascent)
            .descent(metrics.descent)
            .cap_height(metrics.cap_height.unwrap_or(0.0))
            .stem_v(80.0)
            .font_file2(file);
        let subset =
            subsetter::subset(dejavu::serif::regular(), 0, &self.glyphs).context("the font cannot be subset")?;
        pdf.stream(file, &deflate(&subset)).filter(Filter::FlateDecode);

        let mut unicode = UnicodeCmap::new(Name(b"Custom"), SYSTEM);
        for (glyph, c) in &texts {
            unicode.pair(*glyph, *c);
        }
        pdf.cmap(cmap, &unicode.finish());
        Ok(())
    }
}

/// zlib, as `/FlateDecode` wants it.
pub(crate) fn deflate(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    // writing to memory cannot fail
    encoder.write_all(bytes).ok();
    encoder.finish().unwrap_or_default()
}
