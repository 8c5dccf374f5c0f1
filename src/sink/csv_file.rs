//! A CSV file that holds each record as it is now: read, changed, and replaced at once.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use async_trait::async_trait;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::port::{Answers, Delivered, Delivery, Sink, SinkError, all, has_columns};
use crate::domain::{Action, text::choice};

/// The first column: which record a row is.
const RECORD: &str = "record_id";

/// One file, or one a model where the path has `{model}`.
#[derive(Debug, Clone)]
pub struct CsvFile {
    path: String,
    columns: Vec<String>,
    formulas: Formulas,
    mode: u32,
}

/// What becomes of texts that a spreadsheet would take for formulas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "String")]
pub enum Formulas {
    /// An apostrophe before them says that they are texts.
    #[default]
    Neutralise,
    /// They stay.
    Keep,
}

impl TryFrom<String> for Formulas {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        choice(&text, &[("neutralise", Formulas::Neutralise), ("keep", Formulas::Keep)])
    }
}

/// Files that others read: their owner writes them, its group reads them.
pub const MODE: u32 = 0o640;

impl CsvFile {
    /// A file at `path` with a row a record and these fields of it as columns.
    #[must_use]
    pub fn new(path: String, columns: Vec<String>) -> Self {
        Self { path, columns, formulas: Formulas::default(), mode: MODE }
    }

    /// Says what becomes of formulas, and who may read the file (as `chmod` has it).
    #[must_use]
    pub fn with(self, formulas: Formulas, mode: u32) -> Self {
        Self { formulas, mode, ..self }
    }

    /// A text as it stands in the file.
    fn shown(&self, text: String) -> String {
        match self.formulas {
            Formulas::Neutralise => neutralised(text),
            Formulas::Keep => text,
        }
    }

    /// Changes one file; the answer is the same for all that are about it.
    fn change(&self, model: &str, batch: &[Delivery]) -> Result<Delivered, SinkError> {
        let path = PathBuf::from(self.path.replace("{model}", model));
        let failed = |doing: &str| {
            let doing = doing.to_owned();
            // without the path: it may say more of the machine than others should know
            move |error: io::Error| SinkError::unavailable(format!("cannot {doing} the CSV file: {error}"))
        };
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if !folder.exists() {
            fs::create_dir_all(folder).map_err(failed("make the folder of"))?;
            // who may read the files must come to them
            let into = fs::Permissions::from_mode(0o700 | (self.mode & 0o044) | ((self.mode & 0o044) >> 2));
            fs::set_permissions(folder, into).map_err(failed("open the folder of"))?;
        }
        // other processes change the same file: one after the other
        let lock = File::create(path.with_extension("lock")).map_err(failed("lock"))?;
        lock.lock().map_err(failed("lock"))?;
        let mut rows = self.read(&path)?;
        for delivery in batch {
            self.apply(&mut rows, delivery);
        }
        let text =
            self.write(&rows).map_err(|error| SinkError::NotSent(format!("a row cannot be written: {error}")))?;
        replace(&path, folder, &text, self.mode).map_err(failed("replace"))?;
        Ok(Delivered { answer: json!({ "rows": rows.len() }), row: None })
    }

    fn header(&self) -> Vec<&str> {
        std::iter::once(RECORD).chain(self.columns.iter().map(String::as_str)).collect()
    }

    /// The rows that are there, by record.
    fn read(&self, path: &Path) -> Result<BTreeMap<String, Vec<String>>, SinkError> {
        let broken = |text: String| SinkError::unavailable(format!("the CSV file cannot be read: {text}"));
        let bytes = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
            bytes => bytes.map_err(|error| broken(error.to_string()))?,
        };
        let mut reader = csv::Reader::from_reader(bytes.as_slice());
        let header = reader.headers().map_err(|error| broken(error.to_string()))?;
        if header.iter().ne(self.header()) {
            // what is there may be somebody's data
            return Err(broken(format!("its columns are not '{}'", self.header().join(", "))));
        }
        let mut rows = BTreeMap::new();
        for row in reader.into_records() {
            let row = row.map_err(|error| broken(error.to_string()))?;
            let mut cells = row.iter().map(str::to_owned);
            rows.insert(self.record(&cells.next().unwrap_or_default()), cells.collect());
        }
        Ok(rows)
    }

    /// The record that a row of the file is.
    fn record(&self, shown: &str) -> String {
        let plain = shown.strip_prefix('\'').filter(|text| self.formulas == Formulas::Neutralise && is_formula(text));
        plain.unwrap_or(shown).to_owned()
    }

    /// What a repeated change does, it does again: nothing.
    fn apply(&self, rows: &mut BTreeMap<String, Vec<String>>, delivery: &Delivery) {
        match delivery.action {
            Action::Delete => drop(rows.remove(&delivery.record)),
            Action::Create | Action::Update => {
                let row =
                    rows.entry(delivery.record.clone()).or_insert_with(|| vec![String::new(); self.columns.len()]);
                for (cell, field) in row.iter_mut().zip(&self.columns) {
                    if let Some(value) = delivery.data.get(field) {
                        *cell = match value {
                            Json::String(text) => self.shown(text.clone()),
                            other => printed(other),
                        };
                    }
                }
            }
        }
    }

    fn write(&self, rows: &BTreeMap<String, Vec<String>>) -> csv::Result<Vec<u8>> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(self.header())?;
        for (record, cells) in rows {
            writer.write_record(std::iter::once(&self.shown(record.clone())).chain(cells))?;
        }
        writer.into_inner().map_err(|error| error.into_error().into())
    }
}

/// A text that a spreadsheet shows as it is, and does not calculate.
#[must_use]
pub fn neutralised(text: String) -> String {
    if is_formula(&text) { format!("'{text}") } else { text }
}

/// Would a spreadsheet take this text for a formula? A number is none, whatever its sign.
fn is_formula(text: &str) -> bool {
    text.starts_with(['=', '+', '-', '@', '\t', '\r']) && text.parse::<f64>().is_err()
}

fn printed(value: &Json) -> String {
    match value {
        Json::Null => String::new(),
        Json::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Whoever opens the file sees the old one or the new one, also after a power cut.
fn replace(path: &Path, folder: &Path, text: &[u8], mode: u32) -> io::Result<()> {
    let mut new = tempfile::NamedTempFile::new_in(folder)?;
    new.write_all(text)?;
    new.as_file().set_permissions(fs::Permissions::from_mode(mode))?;
    new.as_file().sync_all()?;
    new.persist(path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()
}

#[async_trait]
impl Sink for CsvFile {
    fn deliver(&self, batch: Vec<Delivery>) -> Answers<'_> {
        let mut by_model: BTreeMap<String, (Vec<usize>, Vec<Delivery>)> = BTreeMap::new();
        let columns: Vec<&str> = self.columns.iter().map(String::as_str).collect();
        let mut refused = Vec::new();
        for (place, delivery) in batch.into_iter().enumerate() {
            if let Err(error) = has_columns(&delivery, &columns) {
                refused.push((place, Err(error)));
                continue;
            }
            let (places, deliveries) = by_model.entry(delivery.model.clone()).or_default();
            places.push(place);
            deliveries.push(delivery);
        }
        let change = move |(model, (places, deliveries)): (String, (Vec<usize>, Vec<Delivery>))| {
            let file = self.clone();
            let work = tokio::task::spawn_blocking(move || file.change(&model, &deliveries));
            work.map(move |done| {
                let answer = done.unwrap_or_else(|error| Err(SinkError::Unknown(error.to_string())));
                (places, answer)
            })
        };
        let done = stream::iter(by_model).then(change);
        let done = done
            .flat_map(|(places, answer)| all(places.len(), &answer).map(move |(nth, answer)| (places[nth], answer)));
        stream::iter(refused).chain(done).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(action: Action, record: &str, data: Json) -> Delivery {
        Delivery {
            id: "i".into(),
            operation: None,
            agent: None,
            action,
            model: "orders".into(),
            record: record.into(),
            row: None,
            is_repeat: false,
            data,
        }
    }

    async fn send(file: &CsvFile, batch: Vec<Delivery>) -> Vec<Result<Delivered, SinkError>> {
        file.deliver(batch).map(|(_, answer)| answer).collect().await
    }

    #[tokio::test]
    async fn the_file_holds_each_record_as_it_is_now() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out/{model}.csv").display().to_string();
        let file = CsvFile::new(path.clone(), vec!["name".into(), "lines".into()]);
        let batch = vec![
            change(Action::Create, "O-2", json!({ "name": "two, with \"marks\"", "lines": [1, 2] })),
            change(Action::Create, "O-1", json!({ "name": "one", "lines": null, "other": "is not exported" })),
        ];
        assert!(send(&file, batch.clone()).await.iter().all(Result::is_ok));
        let read = || fs::read_to_string(path.replace("{model}", "orders")).unwrap();
        let both = "record_id,name,lines\nO-1,one,\nO-2,\"two, with \"\"marks\"\"\",\"[1,2]\"\n";
        assert_eq!(read(), both);
        assert!(send(&file, batch).await.iter().all(Result::is_ok));
        assert_eq!(read(), both, "the same again changes nothing");
        let mode = || fs::metadata(path.replace("{model}", "orders")).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(), 0o640);
        fs::set_permissions(path.replace("{model}", "orders"), fs::Permissions::from_mode(0o640)).unwrap();
        let batch =
            vec![change(Action::Update, "O-1", json!({ "lines": 7 })), change(Action::Delete, "O-2", Json::Null)];
        assert!(send(&file, batch).await.iter().all(Result::is_ok));
        assert_eq!(read(), "record_id,name,lines\nO-1,one,7\n", "what an update does not name stays");
        assert_eq!(mode(), 0o640, "and who may read it");
        let left: Vec<_> =
            fs::read_dir(folder.path().join("out")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), 2, "{left:?}");
    }

    #[tokio::test]
    async fn what_a_spreadsheet_would_take_for_a_formula_is_a_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("{model}.csv").display().to_string();
        let data = json!({ "name": "=HYPERLINK(\"https://x\")", "lines": -5 });
        let columns = vec!["name".to_owned(), "lines".to_owned()];
        let file = CsvFile::new(path.clone(), columns.clone());
        for name in ["+39 041", "-5", "@SUM(A1)", "plain"] {
            send(&file, vec![change(Action::Create, name, data.clone())]).await;
        }
        send(&file, vec![change(Action::Delete, "@SUM(A1)", json!({}))]).await;
        send(&file, vec![change(Action::Update, "+39 041", json!({ "name": "x" }))]).await;
        let written = folder.path().join("orders.csv");
        let formula = "\"'=HYPERLINK(\"\"https://x\"\")\"";
        let expected = format!("record_id,name,lines\n'+39 041,x,-5\n-5,{formula},-5\nplain,{formula},-5\n");
        assert_eq!(fs::read_to_string(&written).unwrap(), expected);
        assert_eq!(fs::metadata(&written).unwrap().permissions().mode() & 0o777, 0o640);

        let kept = CsvFile::new(path, columns).with(Formulas::Keep, 0o600);
        fs::remove_file(&written).unwrap();
        send(&kept, vec![change(Action::Create, "=1", data)]).await;
        assert!(fs::read_to_string(&written).unwrap().contains("\n=1,\"=HYPERLINK"));
        assert_eq!(fs::metadata(&written).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[tokio::test]
    async fn an_update_of_fields_that_have_no_column_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("{model}.csv").display().to_string();
        let file = CsvFile::new(path, vec!["name".into(), "lines".into()]);
        send(&file, vec![change(Action::Create, "O-1", json!({ "name": "one", "other": 1 }))]).await;
        let batch = vec![
            change(Action::Update, "O-1", json!({ "price": 7, "lots": 1 })),
            change(Action::Update, "O-1", json!({ "price": 7, "name": "two" })),
        ];
        let answers = send(&file, batch).await;
        let refused = answers[0].clone().unwrap_err();
        assert_eq!(refused.code(), "sink_refused");
        let text = "refused: none of its fields has a column: price, lots; columns are for name, lines";
        assert_eq!(refused.to_string(), text);
        assert!(answers[1].is_ok(), "{answers:?}");
        let read = fs::read_to_string(folder.path().join("orders.csv")).unwrap();
        assert_eq!(read, "record_id,name,lines\nO-1,two,\n");
    }

    #[tokio::test]
    async fn a_file_with_other_columns_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("orders.csv");
        fs::write(&path, "somebody,else's\n1,2\n").unwrap();
        let file = CsvFile::new(path.display().to_string(), vec!["name".into()]);
        let answers = send(&file, vec![change(Action::Create, "O-1", json!({ "name": "one" }))]).await;
        let error = answers[0].clone().unwrap_err().to_string();
        assert!(error.contains("record_id, name") && !error.contains("somebody"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "somebody,else's\n1,2\n");
    }
}
