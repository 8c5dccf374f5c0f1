//! What comes of damaged and hostile files? Thousands of them, made from the sample reports with a
//! fixed seed, each read in a process of its own: every one ends within its limits, and none gives
//! wrong rows silently.

use std::{
    fs,
    io::Write,
    sync::Arc,
    time::{Duration, Instant},
};

use flate2::{Compression, write::ZlibEncoder};
use lockstep::{
    report::{
        self, RefusalCode, Report,
        sandbox::{Job, ReadReports, Sandbox},
    },
    sync_type::SyncTypes,
    testing::types,
};

use rust_decimal::Decimal;

use crate::fixtures::bytes;

/// Flipped bytes in each file.
const FLIPS: usize = 170;
const TIME: Duration = Duration::from_secs(20);

pub fn sandbox() -> Sandbox {
    Sandbox { worker: env!("CARGO_BIN_EXE_lockstep").into(), memory: 512 << 20, time: TIME }
}

pub fn job(bytes: Vec<u8>, types: &Arc<SyncTypes>, sync_type: &str) -> Job {
    Job {
        bytes: Arc::new(bytes),
        spec: types.get(sync_type).unwrap().clone(),
        types: types.clone(),
        progress: Arc::new(|_, _| {}),
    }
}

/// Replaces one occurrence of `what`, chosen by `random`.
fn replaced(pdf: &[u8], what: &[u8], by: &[u8], random: &mut fastrand::Rng) -> Option<Vec<u8>> {
    let places: Vec<usize> =
        (0..pdf.len().saturating_sub(what.len())).filter(|at| pdf[*at..].starts_with(what)).collect();
    let at = *places.get(random.usize(..places.len().max(1)))?;
    Some([&pdf[..at], by, &pdf[at + what.len()..]].concat())
}

/// Damaged copies of one file: flipped bytes, cuts at each KiB, and structure that lies.
fn damaged(pdf: &[u8], random: &mut fastrand::Rng) -> Vec<(String, Vec<u8>)> {
    let mut files = Vec::new();
    for _ in 0..FLIPS {
        let (at, bits) = (random.usize(..pdf.len()), random.u8(1..));
        let mut copy = pdf.to_vec();
        copy[at] ^= bits;
        files.push((format!("byte {at} ^ {bits}"), copy));
    }
    for cut in (1024..pdf.len()).step_by(1024) {
        files.push((format!("cut at {cut}"), pdf[..cut].to_vec()));
    }
    for (what, by) in [
        ("/Length ", "/Length 9"),
        ("/Length ", "/Length -"),
        ("/FlateDecode", "[/FlateDecode/FlateDecode]"),
        ("/FlateDecode", "/LZWDecode"),
        ("/FlateDecode", "[/ASCII85Decode/FlateDecode/ASCIIHexDecode/RunLengthDecode/FlateDecode]"),
        (" 0 R", " 1 R"),
        ("1 0 R", "2 0 R"),
        ("2 0 R", "3 0 R"),
        ("3 0 R", "1 0 R"),
        ("5 0 R", "4 0 R"),
        ("/Kids", "/Kidz"),
        ("/Kids[", "/Kids[[[[[[[["),
        ("/Count ", "/Count 9"),
        ("/Parent", "/Kids"),
        ("/Font", "/Fant"),
        ("/ToUnicode", "/TaUnicode"),
        ("/W [", "/W [0 65535 9 "),
        ("/W[", "/W[0 65535 9 "),
        ("/Identity-H", "/Identity-V"),
        ("/Contents", "/Cantents"),
        ("/Resources", "/Resaurces"),
        ("/MediaBox", "/Rotate 90/MediaBax"),
        ("endstream", "endstraem"),
        ("endobj", "endabj"),
        (" obj", " abj"),
        ("startxref", "startxraf"),
        ("trailer", "trialer"),
        ("/Root", "/Raat"),
        ("xref", "xraf"),
    ] {
        for _ in 0..3 {
            files.extend(
                replaced(pdf, what.as_bytes(), by.as_bytes(), random).map(|copy| (format!("{what} -> {by}"), copy)),
            );
        }
    }
    files
}

/// Memory of this process, in KiB.
fn memory() -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Are these the rows of the truth, but for rows that are quarantined?
fn is_honest(read: &Report, truth: &Report) -> bool {
    let mut left = truth.records.iter();
    read.rows() == truth.rows()
        && read.skipped == truth.skipped
        && read.records.iter().all(|record| left.any(|printed| printed == record))
}

/// Reads damaged copies of a report, each of which ends within its limits: refused, or with the rows of the truth.
async fn damaged_copies_give_no_wrong_rows(name: &str, sync_type: &str) {
    let types = Arc::new(types());
    let pdf = bytes(name);
    let files = damaged(&pdf, &mut fastrand::Rng::with_seed(20_261_122));
    let truth = report::read(&pdf, types.get(sync_type).unwrap(), &types).unwrap();
    let count = files.len();
    assert!(count > FLIPS, "{count} files");
    let before = memory();
    let (mut read, mut refused, mut wrong) = (0, 0, Vec::new());
    for (what, copy) in files {
        let started = Instant::now();
        let outcome = sandbox().read(job(copy, &types, sync_type)).await;
        if started.elapsed() > TIME {
            wrong.push(format!("{what}: took {:?}", started.elapsed()));
        }
        match outcome {
            Ok(report) if is_honest(&report, &truth) => read += 1,
            Ok(_) => wrong.push(format!("{what}: wrong rows")),
            Err(refusal) if matches!(refusal.code, RefusalCode::Crash | RefusalCode::Timeout) => {
                wrong.push(format!("{what}: {refusal}"));
            }
            Err(_) => refused += 1,
        }
    }
    println!("{name}: {count} damaged copies, {read} read whole, {refused} refused");
    assert!(wrong.is_empty(), "{} of {count} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(read > 20 && refused > 100, "the damage is of both kinds: {read} read, {refused} refused");
    let grown = memory().saturating_sub(before);
    assert!(grown < 64 << 10, "the parent grew by {grown} KiB");
}

/// Small files of different making: more than three thousand damaged copies together.
macro_rules! damaged_copies_of {
    ($($test:ident: $name:literal as $sync_type:literal),+ $(,)?) => {
        mod damaged_copies_give_no_wrong_rows {
            $(#[tokio::test]
            async fn $test() {
                super::damaged_copies_give_no_wrong_rows($name, $sync_type).await;
            })+
        }
    };
}

damaged_copies_of! {
    one_row: "edge/invoices-one-row.pdf" as "invoices",
    loose_formats: "edge/orders-loose-formats.pdf" as "orders",
    object_streams: "edge/orders-object-streams.pdf" as "orders",
    no_rules: "edge/customers-no-rules.pdf" as "customers",
    columns_gone: "edge/products-columns-gone.pdf" as "products",
    encrypted: "edge/orders-encrypted-no-password.pdf" as "orders",
    garbage_rows: "edge/prices-garbage-rows.pdf" as "prices",
    libreoffice: "libreoffice/invoices.pdf" as "invoices",
    contents_pieces: "../printers/contents-pieces.prices.pdf" as "prices",
    sideways: "../printers/sideways.prices.pdf" as "prices",
    nested_forms: "../printers/form-nested.prices.pdf" as "prices",
    borderless: "../printers/chromium-borderless.prices.pdf" as "prices",
    linearized: "../shapes/cycle-h-lin.pdf" as "orders",
    objects_generated: "../shapes/total-full-en-objstm.pdf" as "orders",
}

/// Sums of amounts may differ by so much from the totals row.
const TOLERANCE: Decimal = Decimal::from_parts(10, 0, 0, false, 2);

/// Where no checksum protects the content, a flipped bit may turn one letter into another, and nothing in
/// the file says so. What does: the totals row of the amounts, and the shape of every value. So no amount
/// changes unnoticed, and no row is lost.
#[test]
fn flips_in_content_without_a_checksum_change_no_amount_unnoticed() {
    let types = types();
    let orders = types.get("orders").unwrap();
    let amount = orders.field("total_amount").unwrap();
    let mut random = fastrand::Rng::with_seed(20_261_130);
    let (mut read, mut refused, mut letters, mut wrong) = (0, 0, 0, Vec::new());
    for name in ["filter-lzw", "filter-runlength", "filter-chain", "filter-hex", "filter-none"] {
        let pdf = bytes(&format!("../shapes/{name}.pdf"));
        let truth = report::read(&pdf, orders, &types).unwrap();
        for _ in 0..250 {
            let (at, bit) = (random.usize(..pdf.len()), random.u8(..8));
            let mut copy = pdf.clone();
            copy[at] ^= 1 << bit;
            let Ok(report) = report::read(&copy, orders, &types) else {
                refused += 1;
                continue;
            };
            read += 1;
            let is_lost = report.rows() < truth.rows();
            let sum = |report: &Report| {
                let amounts = report.records.iter().filter_map(|record| record.values[amount].as_decimal());
                amounts.sum::<Decimal>()
            };
            // what was refused, skipped or is not in this export says so itself
            let is_told = !report.quarantined.is_empty() || report.skipped > truth.skipped || !report.present[amount];
            // printed cells are rounded, so the totals row allows that much
            let is_changed = !is_told && (sum(&report) - sum(&truth)).abs() > TOLERANCE;
            if is_lost || is_changed {
                wrong.push(format!("{name}: byte {at} ^ {}", 1 << bit));
            }
            letters += usize::from(!is_told && report.records != truth.records);
        }
    }
    println!("{read} read, {refused} refused; in {letters} of them letters or dates differ, which nothing contradicts");
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(read > 100 && refused > 100, "{read} read, {refused} refused");
}

/// A file of one page; `objects` come after catalog (1), pages (2) and page (3, content 4).
pub fn file(objects: &[Vec<u8>]) -> Vec<u8> {
    let mut all: Vec<Vec<u8>> = vec![
        b"<</Type/Catalog/Pages 2 0 R>>".to_vec(),
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>".to_vec(),
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 600 800]/Contents 4 0 R/Resources<</Font<</F 5 0 R>>/XObject<</X 5 0 R>>>>>>"
            .to_vec(),
    ];
    all.extend_from_slice(objects);
    let mut pdf = b"%PDF-1.7\n".to_vec();
    let mut places = Vec::new();
    for (number, object) in all.iter().enumerate() {
        places.push(pdf.len());
        writeln!(pdf, "{} 0 obj", number + 1).unwrap();
        pdf.extend(object);
        pdf.extend(b"\nendobj\n");
    }
    let xref = pdf.len();
    write!(pdf, "xref\n0 {}\n0000000000 65535 f \n", all.len() + 1).unwrap();
    for place in places {
        writeln!(pdf, "{place:010} 00000 n ").unwrap();
    }
    write!(pdf, "trailer\n<</Size {}/Root 1 0 R>>\nstartxref\n{xref}\n%%EOF\n", all.len() + 1).unwrap();
    pdf
}

pub fn stream_of(dict: &str, content: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content).unwrap();
    let packed = encoder.finish().unwrap();
    let head = format!("<<{dict}/Filter/FlateDecode/Length {}>>stream\n", packed.len());
    [head.as_bytes(), &packed, b"\nendstream"].concat()
}

#[tokio::test]
async fn bombs_end_with_their_cause_named() {
    let types = Arc::new(types());
    let nothing = || stream_of("", b" ");
    let deep = |open: &str, close: &str| [open.repeat(100_000), close.repeat(100_000)].concat().into_bytes();
    // two thousand numbers of an object stream that all mean one large array
    let array = format!("[{}]", "0 ".repeat(100_000));
    let numbers = (10..2_010).map(|number| format!("{number} 0")).collect::<Vec<_>>().join(" ") + " ";
    let object_stream = stream_of(
        &format!("/Type/ObjStm/N 2000/First {}", numbers.len()),
        [numbers.as_bytes(), array.as_bytes()].concat().as_slice(),
    );
    let cmap = b"1 begincodespacerange <00000000> <ffffffff> endcodespacerange 1 beginbfrange <00000000> <ffffffff> <0041> endbfrange";
    let font = b"<</Type/Font/Subtype/Type0/BaseFont/A/Encoding/Identity-H/ToUnicode 6 0 R/DescendantFonts[<</Subtype/CIDFontType2/W[0 65535 500]>>]>>";
    let again = "<</Type/XObject/Subtype/Form/BBox[0 0 1 1]/Resources<</XObject<</X 5 0 R>>>>/Length 20>>stream\n/X Do /X Do /X Do \nendstream";
    let cases: Vec<(&str, Vec<u8>, &[RefusalCode])> = vec![
        (
            "a stream of a gigabyte",
            file(&[stream_of("", &vec![b' '; 100 << 20])]),
            &[RefusalCode::Damaged, RefusalCode::Budget],
        ),
        (
            "thirty million saved states",
            file(&[stream_of("", "q ".repeat(30_000_000).as_bytes())]),
            &[RefusalCode::Budget],
        ),
        (
            "an object stream of one large object",
            file(&[nothing(), object_stream]),
            &[RefusalCode::OutOfMemory, RefusalCode::NoTable],
        ),
        (
            "a CMap of four billion codes",
            file(&[stream_of("", b"BT /F 9 Tf (AB) Tj ET"), font.to_vec(), stream_of("", cmap)]),
            &[RefusalCode::NoTable],
        ),
        (
            "forms within themselves",
            file(&[stream_of("", b"/X Do"), again.as_bytes().to_vec()]),
            &[RefusalCode::Budget],
        ),
        (
            "a page tree in a circle",
            {
                let mut pdf = file(&[nothing()]);
                let at = pdf.windows(7).position(|window| window == b"[3 0 R]").unwrap();
                pdf[at + 1] = b'2';
                pdf
            },
            &[RefusalCode::Damaged],
        ),
        ("deep arrays", file(&[nothing(), deep("[", "]")]), &[RefusalCode::Damaged, RefusalCode::NoTable]),
        ("deep dictionaries", file(&[nothing(), deep("<</A", ">>")]), &[RefusalCode::Damaged, RefusalCode::NoTable]),
        (
            "deep brackets in content",
            file(&[stream_of("", &deep("[", "]"))]),
            &[RefusalCode::NoTable, RefusalCode::UnreadableText],
        ),
        (
            "a giant array",
            file(&[nothing(), format!("[{}]", "1 ".repeat(3_000_000)).into_bytes()]),
            &[RefusalCode::NoTable, RefusalCode::OutOfMemory],
        ),
    ];
    for (name, pdf, causes) in cases {
        let refusal = sandbox().read(job(pdf, &types, "orders")).await.map(|report| report.rows()).unwrap_err();
        assert!(causes.contains(&refusal.code), "{name}: {}: {refusal}", refusal.code.as_str());
    }
}

#[tokio::test]
async fn every_end_of_the_child_has_a_name() {
    let folder = tempfile::tempdir().unwrap();
    let types = Arc::new(types());
    let pdf = bytes("edge/invoices-one-row.pdf");
    let script = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        Sandbox { worker: path, memory: 512 << 20, time: Duration::from_secs(1) }
    };
    for (name, sandbox, code, said) in [
        ("sleeps", script("sleeps", "sleep 60"), RefusalCode::Timeout, "longer than 1 s"),
        ("crashes", script("crashes", "kill -SEGV $$"), RefusalCode::Crash, "signal 11"),
        ("says nothing", script("silent", "echo no >&2"), RefusalCode::Crash, "no"),
        ("lies", script("lies", "yes | head -c 100000"), RefusalCode::Crash, "gave no answer"),
        // a second of the processor can take many by the clock
        (
            "burns",
            Sandbox { time: TIME, ..script("burns", "ulimit -S -t 1; while :; do :; done") },
            RefusalCode::Cpu,
            "processor time",
        ),
        (
            "is not there",
            Sandbox { worker: "/no/such/program".into(), ..sandbox() },
            RefusalCode::Crash,
            "cannot be started",
        ),
    ] {
        let started = Instant::now();
        let refusal = sandbox.read(job(pdf.clone(), &types, "invoices")).await.map(|report| report.rows()).unwrap_err();
        assert_eq!(refusal.code, code, "{name}: {refusal}");
        assert!(refusal.text.contains(said), "{name}: {refusal}");
        assert!(started.elapsed() < TIME, "{name}");
    }
    // 60 MB of report and 48 MiB for all of the reader
    let busy = file(&[stream_of("", "1 0 0 1 0 0 cm 0 0 m 9 9 l S ".repeat(2_000_000).as_bytes())]);
    let small = Sandbox { memory: 48 << 20, ..sandbox() };
    let refusal = small.read(job(busy.clone(), &types, "orders")).await.map(|report| report.rows()).unwrap_err();
    assert!(refusal.code == RefusalCode::OutOfMemory && refusal.text.contains("memory"), "{refusal}");
    // a real reader that has one second for a page of a minute
    let short = Sandbox { time: Duration::from_secs(1), ..sandbox() };
    let refusal = short.read(job(busy, &types, "orders")).await.map(|report| report.rows()).unwrap_err();
    assert!([RefusalCode::Cpu, RefusalCode::Budget, RefusalCode::Timeout].contains(&refusal.code), "{refusal}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_drawn_in_the_sandbox_too() {
    let types = Arc::new(SyncTypes::built_in().unwrap());
    let pdf = crate::fixtures::grid("orders");
    let read = sandbox().read(job(pdf.clone(), &types, "orders")).await.unwrap();
    let last = *read.printed.last().unwrap();
    let mark = |around| Some(report::MarkedRow { row: last.row as usize, around });
    let draw =
        async |around| sandbox().draw(job(pdf.clone(), &types, "orders"), last.page as usize, mark(around)).await;
    let (drawn, line) = (draw(None).await.unwrap(), draw(Some(0)).await.unwrap());
    let height = |svg: &str| -> f64 { svg.split('"').nth(3).unwrap().rsplit(' ').next().unwrap().parse().unwrap() };
    assert!(height(&line.svg) * 4.0 < height(&drawn.svg), "nothing but the line and its edge");
    // the totals row is one too
    assert_eq!((drawn.pages, drawn.rows), (read.pages, last.row as usize + 1));
    assert!(drawn.svg.contains("#ffb3ab"), "{}", drawn.svg);
    let none = sandbox().draw(job(pdf, &types, "orders"), read.pages + 1, None).await.unwrap();
    assert_eq!((none.pages, none.svg.as_str()), (read.pages, ""));
    let refused = sandbox().draw(job(b"%PDF-1.7 nothing".to_vec(), &types, "orders"), 1, None).await;
    assert_eq!(refused.map_err(|refusal| refusal.code).unwrap_err(), RefusalCode::Damaged);
}
