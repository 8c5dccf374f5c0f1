//! How fast are reports read, and in how much memory, beside the tools that only extract text? Whole
//! processes, side by side in one run; typed records out for lockstep. `cargo bench --bench reader`
//!
//! Debian's poppler-utils and mupdf-tools must be there; pdfplumber is measured if `python3` (or the
//! program in `PYTHON`) has it. `ROUNDS` sets how often each is run; the medians are shown.

use std::{
    error::Error,
    fs,
    io::Read,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use lockstep::{
    pretend_erp::{self, Layout, REAL_SIZES},
    sync_type::SyncTypes,
};

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Type and rows of two more, about as large as those that were measured before the first line.
const MEASURED_BEFORE: [(&str, usize); 2] = [("orders", 760), ("products", 3_040)];
/// Pages that pdfplumber is given.
const PLUMBED: usize = 20;

struct Measured {
    seconds: Vec<f64>,
    /// The most memory of the process and its children together, sampled, in KiB.
    peak: u64,
}

impl Measured {
    fn median(&self) -> f64 {
        let mut sorted = self.seconds.clone();
        sorted.sort_by(f64::total_cmp);
        sorted[sorted.len() / 2]
    }
}

/// Resident memory of a process and its children, in KiB.
fn memory_of(process: u32) -> u64 {
    let field = |text: &str, name: &str| -> Option<u64> {
        text.lines().find(|line| line.starts_with(name))?.split_whitespace().nth(1)?.parse().ok()
    };
    let status = |id: u32| fs::read_to_string(format!("/proc/{id}/status")).unwrap_or_default();
    let children = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    let all = std::iter::once(process).chain(children.split_whitespace().filter_map(|id| id.parse().ok()));
    all.filter_map(|id| field(&status(id), "VmRSS")).sum()
}

/// Runs a command to its end, its output thrown away.
fn run(command: &[String], into: &mut Measured) -> Outcome<()> {
    let started = Instant::now();
    let mut child = Command::new(&command[0])
        .args(&command[1..])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("{}: {error}", command[0]))?;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        into.peak = into.peak.max(memory_of(child.id()));
        std::thread::sleep(Duration::from_millis(1));
    };
    into.seconds.push(started.elapsed().as_secs_f64());
    if status.success() { Ok(()) } else { Err(format!("{command:?} ended with {status}").into()) }
}

/// Inflates every stream once, on one thread: what no reader can go below.
fn inflate_all(file: &Path) -> Outcome<f64> {
    let bytes = fs::read(file)?;
    let document = lopdf::Document::load_mem(&bytes)?;
    let started = Instant::now();
    let mut inflated = Vec::new();
    for object in document.objects.values() {
        let Ok(stream) = object.as_stream() else { continue };
        inflated.clear();
        flate2::read::ZlibDecoder::new(stream.content.as_slice()).read_to_end(&mut inflated).ok();
    }
    Ok(started.elapsed().as_secs_f64())
}

fn strings(command: &[&str]) -> Vec<String> {
    command.iter().map(|part| (*part).to_owned()).collect()
}

fn measure(name: &str, file: &Path, pages: usize, rounds: usize, python: Option<&str>) -> Outcome<()> {
    let path = file.display().to_string();
    let plumb = format!(
        "import pdfplumber\nwith pdfplumber.open({path:?}) as pdf:\n    [page.extract_tables() for page in pdf.pages[:{PLUMBED}]]"
    );
    let mut commands = vec![
        ("lockstep extract", strings(&[env!("CARGO_BIN_EXE_lockstep"), "extract", &path, "--type", name]), pages),
        ("mutool draw -F txt", strings(&["mutool", "draw", "-q", "-F", "txt", "-o", "/dev/null", &path]), pages),
        ("mutool draw -F stext", strings(&["mutool", "draw", "-q", "-F", "stext", "-o", "/dev/null", &path]), pages),
        ("pdftotext -layout", strings(&["pdftotext", "-layout", &path, "/dev/null"]), pages),
        ("pdftotext -tsv", strings(&["pdftotext", "-tsv", &path, "/dev/null"]), pages),
    ];
    let mut measured: Vec<Measured> = commands.iter().map(|_| Measured { seconds: Vec::new(), peak: 0 }).collect();
    for _ in 0..rounds {
        for ((_, command, _), measured) in commands.iter().zip(&mut measured) {
            run(command, measured)?;
        }
    }
    if let Some(python) = python {
        let mut once = Measured { seconds: Vec::new(), peak: 0 };
        run(&strings(&[python, "-c", &plumb]), &mut once)?;
        commands.push(("pdfplumber extract_tables", Vec::new(), pages.min(PLUMBED)));
        measured.push(once);
    }
    let size = fs::metadata(file)?.len() as f64 / 1e6;
    println!("\n{name}: {pages} pages, {size:.1} MB; inflating its streams once: {:.3} s", inflate_all(file)?);
    let own = measured[0].median();
    println!("  {:<26} {:>9} {:>10} {:>8} {:>9}  lockstep takes", "", "seconds", "pages/s", "MB/s", "peak MiB");
    for ((label, _, pages_read), measured) in commands.iter().zip(&measured) {
        let seconds = measured.median();
        let rate = *pages_read as f64 / seconds;
        println!(
            "  {label:<26} {seconds:>9.3} {rate:>10.0} {:>8.1} {:>9}  {:.3} x its time a page",
            size * *pages_read as f64 / pages as f64 / seconds,
            measured.peak / 1024,
            (own / pages as f64) * rate,
        );
    }
    Ok(())
}

fn main() -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let types = SyncTypes::built_in()?;
    let rounds = std::env::var("ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(5);
    let python = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let has_plumber = Command::new(&python)
        .args(["-c", "import pdfplumber"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !has_plumber {
        println!("pdfplumber is not measured: pip install pdfplumber, or name a Python that has it in PYTHON");
    }
    for (name, rows) in REAL_SIZES.into_iter().chain(MEASURED_BEFORE) {
        let spec = types.get(name).ok_or("no such type")?;
        let records = pretend_erp::invent(&types, spec, rows, 1);
        let file: PathBuf = folder.path().join(format!("{name}-{rows}.pdf"));
        let pdf = pretend_erp::print(spec, &records, &Layout::default())?;
        let pages = lopdf::Document::load_mem(&pdf)?.get_pages().len();
        fs::write(&file, pdf)?;
        measure(name, &file, pages, rounds, has_plumber.then_some(python.as_str()))?;
    }
    Ok(())
}
