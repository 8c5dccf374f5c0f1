//! Which reports do the tests read? The sample reports, and ones printed for the purpose.

use std::path::PathBuf;

use lockstep::{
    domain::Record,
    pretend_erp::{self, Layout},
    sync_type::{SyncTypeSpec, SyncTypes},
    testing::TestApp,
};
use serde_json::{Map, Value as Json};

pub const TYPES: [&str; 6] = ["orders", "customers", "products", "prices", "ddt", "invoices"];

pub fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/reports").join(name)
}

pub fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

pub fn json(name: &str) -> Vec<Map<String, Json>> {
    serde_json::from_slice(&bytes(name)).unwrap()
}

/// The agent under which a type's sample report stands.
pub fn agent(sync_type: &str) -> &'static str {
    if matches!(sync_type, "products" | "prices") { "service-account" } else { "agent-1" }
}

pub fn grid(sync_type: &str) -> Vec<u8> {
    bytes(&format!("grid/{}/{sync_type}.pdf", agent(sync_type)))
}

/// The sample's records, by key, as the database orders them.
pub fn truth(sync_type: &str) -> Vec<Map<String, Json>> {
    sorted(lockstep::testing::types().get(sync_type).unwrap(), json(&format!("truth/{sync_type}.json")))
}

fn sorted(spec: &SyncTypeSpec, mut records: Vec<Map<String, Json>>) -> Vec<Map<String, Json>> {
    let key = spec.key_name();
    records.sort_by(|a, b| a[key].as_str().cmp(&b[key].as_str()));
    records
}

/// Invented records of a type.
pub fn invent(types: &SyncTypes, sync_type: &str, rows: usize) -> Vec<Record> {
    pretend_erp::invent(types, types.get(sync_type).unwrap(), rows, 1)
}

pub fn print(spec: &SyncTypeSpec, records: &[Record]) -> Vec<u8> {
    pretend_erp::print(spec, records, &Layout::default()).unwrap()
}

/// Records as objects, by key.
pub fn objects(spec: &SyncTypeSpec, records: &[Record]) -> Vec<Map<String, Json>> {
    sorted(spec, records.iter().map(|record| spec.to_json(record, |_| true)).collect())
}

/// Makes these records the report of a type for an agent, and answers them as objects by key.
pub fn serve(app: &TestApp, sync_type: &str, agent: &str, records: &[Record]) -> Vec<Map<String, Json>> {
    let spec = app.app.store.types().get(sync_type).unwrap().clone();
    app.source.set(sync_type, agent, print(&spec, records));
    records.iter().map(|record| spec.to_json(record, |_| true)).collect()
}

/// The same report with a token that makes no sense at the end of its first page, outside of any text.
pub fn with_stray_token(pdf: &[u8]) -> Vec<u8> {
    let mut document = lopdf::Document::load_mem(pdf).unwrap();
    let page = document.page_iter().next().unwrap();
    let content = document.get_page_contents(page)[0];
    let stream = document.get_object_mut(content).unwrap().as_stream_mut().unwrap();
    let mut bytes = stream.decompressed_content().unwrap();
    bytes.extend(b" ) ");
    stream.set_plain_content(bytes);
    let mut saved = Vec::new();
    document.save_to(&mut saved).unwrap();
    saved
}

/// How many processes of this program there are.
pub fn processes_of(program: &std::path::Path) -> usize {
    let runs = |process: &std::fs::DirEntry| {
        let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|part| part == program.as_os_str().as_encoded_bytes())
    };
    std::fs::read_dir("/proc").unwrap().flatten().filter(runs).count()
}
