//! Where do fuzzers and their regression tests come in? Each entry must neither panic nor hang.

use std::{sync::LazyLock, time::Duration};

use super::{
    budget::{Budget, ReadLimits},
    pdf::{CMap, Document, Page, Pieces, Rect, Rule, TextRun},
    read::Request,
    table::{self, Known},
};
use crate::sync_type::SyncTypes;

static TYPES: LazyLock<Option<SyncTypes>> = LazyLock::new(|| SyncTypes::built_in().ok());

fn limits() -> ReadLimits {
    ReadLimits {
        bytes: 16 << 20,
        stream_bytes: 8 << 20,
        tokens: 2_000_000,
        time: Duration::from_secs(10),
        ..ReadLimits::default()
    }
}

/// A page's content stream.
pub fn content(bytes: &[u8]) {
    let mut pdf = b"%PDF-1.4\n".to_vec();
    let objects: [&[u8]; 3] = [
        b"1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n",
        b"2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n",
        b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents 4 0 R/Resources<</XObject<</X 4 0 R>>\
          /Font<</F<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>/G<</Type/Font/Subtype/Type0/Encoding/Identity-H>>>>>>>>endobj\n",
    ];
    let mut places = Vec::new();
    for object in objects {
        places.push(pdf.len());
        pdf.extend_from_slice(object);
    }
    places.push(pdf.len());
    pdf.extend_from_slice(format!("4 0 obj<</Subtype/Form/Length {}>>stream\n", bytes.len()).as_bytes());
    pdf.extend_from_slice(bytes);
    pdf.extend_from_slice(b"\nendstream endobj\n");
    let xref = pdf.len();
    let entries: String = places.iter().map(|place| format!("{place:010} 00000 n \n")).collect::<Vec<_>>().concat();
    let end =
        format!("xref\n0 5\n0000000000 65535 f \n{entries}trailer<</Size 5/Root 1 0 R>>\nstartxref\n{xref}\n%%EOF");
    pdf.extend_from_slice(end.as_bytes());
    let budget = Budget::new(limits());
    if let Ok(document) = Document::open(&pdf, &budget)
        && let Ok(page) = document.page(0, Pieces::Whole)
    {
        table::recognise(&page, &Known::default()).ok();
    }
}

/// A `ToUnicode` or encoding CMap.
pub fn cmap(bytes: &[u8]) {
    let map = CMap::parse(bytes);
    for code in (0..600).chain([map.last_code(), u32::MAX]) {
        std::hint::black_box((map.text(code), map.cid(code)));
    }
}

/// Pages of texts and rules: seven bytes each.
pub fn tables(bytes: &[u8]) {
    let mut pages = vec![Page { number: 1, size: (600.0, 800.0), ..Page::default() }];
    for piece in bytes.chunks_exact(7) {
        let [kind, x, y, width, size, letters @ ..] = piece else { continue };
        let (x, y, width) = (f64::from(*x) * 2.4, f64::from(*y) * 3.2, f64::from(*width));
        let count = pages.len();
        let Some(page) = pages.last_mut() else { return };
        match kind % 8 {
            0 => page.rules.push(Rule::Vertical { x, y0: y, y1: y + width }),
            1 => page.rules.push(Rule::Horizontal { y, x0: x, x1: x + width }),
            3 => page.boxes.push(Rect { x0: x, y0: y, x1: x + width, y1: y + f64::from(*size) }),
            4 => page.clips.push(Rect { x0: x, y0: y, x1: x + width, y1: y + f64::from(*size) }),
            2 => pages.push(Page { number: count + 1, size: (600.0, 800.0), ..Page::default() }),
            _ => {
                let start = page.text.len() as u32;
                let text = if letters[0] % 4 == 0 { "ID" } else { "NOME" };
                page.text.push_str(text);
                let size = f64::from(size % 32) + 0.5;
                let text = start..page.text.len() as u32;
                let clip = (kind % 16 > 8).then(|| page.clips.len().checked_sub(1)).flatten().map(|clip| clip as u32);
                page.runs.push(TextRun {
                    x0: x,
                    x1: x + width,
                    drawn_x1: x + width,
                    y,
                    size,
                    first_advance: f64::from(letters[1] % 16),
                    goes_on: letters[1] % 2 == 0,
                    clip,
                    font: 0,
                    text,
                });
            }
        }
    }
    let headers = ["ID".to_owned(), "NOME".to_owned()];
    let known = Known::of(headers.iter(), std::iter::empty(), headers[..1].iter());
    for page in &pages {
        table::recognise(page, &known).ok();
    }
    let loose: Result<Vec<_>, _> = pages.into_iter().map(table::loosely).collect();
    if let Ok(loose) = loose {
        table::positions::recognise(loose, &known).ok();
    }
}

/// A whole file.
pub fn file(bytes: &[u8]) {
    let Some(types) = TYPES.as_ref() else { return };
    let Some(spec) = types.get("orders") else { return };
    let budget = Budget::new(limits());
    let request = Request { bytes, spec, types, budget: &budget, progress: &|_, _| {} };
    request.read().ok();
    request
        .explain(None, |page, found, what| {
            drop((
                super::explain::text(page, found, what),
                super::explain::svg(page, found, Some(super::MarkedRow { row: 1, around: Some(1) })),
            ));
        })
        .ok();
}
