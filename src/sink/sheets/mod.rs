//! A Google Sheet with a row a record. Rows are found by what is in them, not by where they were: people sort.

mod api;
mod grid;

use std::collections::BTreeMap;

use async_trait::async_trait;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use tracing::error;

use super::port::{Answers, Delivered, Delivery, Sink, SinkError, has_columns};
use crate::domain::Action;
use api::Api;
use grid::{SheetColumns, cell};

/// How a sheet is reached, and what its header row says; `[sink.sheets.NAME]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SheetsConfig {
    /// The spreadsheet's id, as in its URL.
    pub spreadsheet: String,
    /// The sheet's name, as on its tab.
    pub sheet: String,
    /// The service account's key file; without one, what the environment gives (as Google's own tools have it).
    pub key_file: Option<String>,
    /// For each field of the payload, the text of its column's header.
    pub headers: BTreeMap<String, String>,
    /// The header of the column that holds the id of the delivery that made a row.
    pub id_header: String,
    /// The header of the column that holds the record's id.
    pub record_header: String,
    /// The longest request, in milliseconds.
    #[serde(default = "thirty_seconds")]
    pub timeout_ms: u64,
    #[serde(default = "google")]
    pub api: String,
    /// May that lead into a private network?
    #[serde(default)]
    pub allow_private: bool,
}

fn thirty_seconds() -> u64 {
    30_000
}

fn google() -> String {
    "https://sheets.googleapis.com".to_owned()
}

/// One sheet.
pub struct Sheets {
    config: SheetsConfig,
    api: Api,
}

/// Answers by the places of their deliveries.
type Told = BTreeMap<usize, Result<Delivered, SinkError>>;
type Placed = (usize, Delivery);

impl Sheets {
    /// A sheet; nothing is asked yet.
    ///
    /// # Errors
    /// A URL that cannot be used, in words for people.
    pub fn new(config: SheetsConfig) -> Result<Self, String> {
        Ok(Self { api: Api::new(&config)?, config })
    }

    async fn carry_out(&self, batch: Vec<Delivery>) -> Told {
        let count = batch.len();
        let columns = match self.columns().await {
            Ok(columns) => columns,
            Err(error) => return (0..count).map(|place| (place, Err(error.clone()))).collect(),
        };
        let (new, known): (Vec<Placed>, Vec<Placed>) =
            batch.into_iter().enumerate().partition(|(_, delivery)| delivery.action == Action::Create);
        let mut told = self.create(&columns, new).await;
        told.extend(self.change(&columns, known).await);
        told
    }

    /// Where the columns are now. They are looked for each time: someone may have moved them.
    async fn columns(&self) -> Result<SheetColumns, SinkError> {
        let header = self.api.values(&self.range("1:1")).await.map_err(looked)?;
        let header = header.first().map(Vec::as_slice).unwrap_or_default();
        SheetColumns::find(header, &self.config).map_err(SinkError::unavailable)
    }

    fn range(&self, cells: &str) -> String {
        format!("'{}'!{cells}", self.config.sheet.replace('\'', "''"))
    }

    /// One column of all rows, header included.
    async fn column(&self, letters: &str) -> Result<Vec<String>, SinkError> {
        let rows = self.api.values(&self.range(&format!("{letters}:{letters}"))).await.map_err(looked)?;
        Ok(rows.iter().map(|row| row.first().map(cell).unwrap_or_default()).collect())
    }

    /// New rows. One that an earlier attempt may have made is looked for by the delivery's id first.
    async fn create(&self, columns: &SheetColumns, new: Vec<Placed>) -> Told {
        let mut told = Told::new();
        let mut missing = new;
        if missing.iter().any(|(_, delivery)| delivery.is_repeat) {
            match self.column(&columns.id).await {
                Ok(ids) => missing.retain(|(place, delivery)| {
                    let found = ids.iter().position(|id| *id == delivery.id);
                    if let Some(at) = found {
                        told.insert(*place, Ok(delivered(number(at))));
                    }
                    found.is_none()
                }),
                Err(error) => {
                    told.extend(missing.iter().map(|(place, _)| (*place, Err(error.clone()))));
                    return told;
                }
            }
        }
        let answers = self.append(columns, &missing).await;
        match answers {
            // one of them is refused: which, is found out one by one
            Err(SinkError::Refused(_)) if missing.len() > 1 => {
                for one in &missing {
                    let answer = self.append(columns, std::slice::from_ref(one)).await;
                    told.insert(one.0, answer.map(delivered));
                }
            }
            Err(error) => told.extend(missing.iter().map(|(place, _)| (*place, Err(error.clone())))),
            Ok(first) => {
                told.extend(missing.iter().zip(first..).map(|((place, _), row)| (*place, Ok(delivered(row)))));
            }
        }
        told
    }

    /// Appends rows; answers the number of the first.
    async fn append(&self, columns: &SheetColumns, rows: &[Placed]) -> Result<i64, SinkError> {
        if rows.is_empty() {
            return Ok(0);
        }
        let values: Vec<Json> = rows.iter().map(|(_, delivery)| Json::Array(columns.row(delivery))).collect();
        let range = self.range(&format!("A1:{}1", columns.last));
        let first = self.api.append(&range, values).await?;
        if first.rows == rows.len() as u64 {
            return Ok(first.row);
        }
        Err(SinkError::Unknown(format!("{} rows were to be appended, the answer says {}", rows.len(), first.rows)))
    }

    /// Changes and clears rows that are there.
    async fn change(&self, columns: &SheetColumns, mut known: Vec<Placed>) -> Told {
        let mut told = Told::new();
        let fields: Vec<&str> = self.config.headers.keys().map(String::as_str).collect();
        known.retain(|(place, delivery)| {
            has_columns(delivery, &fields).map_err(|refused| told.insert(*place, Err(refused))).is_ok()
        });
        if known.is_empty() {
            return told;
        }
        let rows = match self.find(columns, &known).await {
            Ok(rows) => rows,
            Err(error) => {
                told.extend(known.iter().map(|(place, _)| (*place, Err(error.clone()))));
                return told;
            }
        };
        let mut found = Vec::new();
        for ((place, delivery), row) in known.into_iter().zip(rows) {
            match (row, delivery.action) {
                (Some(row), _) => found.push((place, delivery, row)),
                // what is to be gone is gone
                (None, Action::Delete) => drop(told.insert(place, Ok(Delivered::default()))),
                (None, Action::Create | Action::Update) => {
                    told.insert(place, Err(no_row(delivery.row)));
                }
            }
        }
        let (gone, changed): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|(_, delivery, _)| delivery.action == Action::Delete);
        told.extend(self.write(columns, &changed).await);
        told.extend(self.clear(columns, &gone).await);
        told
    }

    /// The row of each record: where it was last if it is still there, else where its id is.
    async fn find(&self, columns: &SheetColumns, known: &[Placed]) -> Result<Vec<Option<i64>>, SinkError> {
        let cells: Vec<String> = known
            .iter()
            .filter_map(|(_, delivery)| Some(self.range(&format!("{}{}", columns.record, delivery.row?))))
            .collect();
        let there = match self.api.cells(&cells).await {
            // a row that the sheet has no more: the records are looked for where they are
            Err(SinkError::Refused(_)) => Vec::new(),
            there => there.map_err(looked)?,
        };
        let mut there = there.into_iter();
        let mut rows: Vec<Option<i64>> = Vec::with_capacity(known.len());
        for (_, delivery) in known {
            let is_there = delivery.row.is_some() && there.next().is_some_and(|record| record == delivery.record);
            rows.push(delivery.row.filter(|_| is_there));
        }
        if rows.iter().all(Option::is_some) {
            return Ok(rows);
        }
        let records = self.column(&columns.record).await?;
        // the header is no record
        let place = |record: &str| (1..records.len()).find(|at| records[*at] == record).map(number);
        Ok(known.iter().zip(rows).map(|((_, delivery), row)| row.or_else(|| place(&delivery.record))).collect())
    }

    async fn write(&self, columns: &SheetColumns, changed: &[(usize, Delivery, i64)]) -> Told {
        let data = |changes: &[(usize, Delivery, i64)]| -> Vec<Json> {
            let one = |(_, delivery, row): &(usize, Delivery, i64)| {
                let cells = columns.changes(delivery);
                let row = *row;
                let named = move |(letters, value): (String, Json)| json!({ "range": self.range(&format!("{letters}{row}")), "values": [[value]] });
                cells.into_iter().map(named).collect::<Vec<_>>()
            };
            changes.iter().flat_map(one).collect()
        };
        let together = self.api.update(data(changed)).await;
        let mut told = Told::new();
        for change in changed {
            let answer = match &together {
                Err(SinkError::Refused(_)) if changed.len() > 1 => {
                    self.api.update(data(std::slice::from_ref(change))).await
                }
                together => together.clone(),
            };
            told.insert(change.0, answer.map(|()| delivered(change.2)));
        }
        self.look_again(columns, changed, &mut told).await;
        told
    }

    /// People may have moved rows between the look and the write. Where another record stands now in a row that was
    /// written, the change is in doubt: its next attempt looks for its record's row anew.
    async fn look_again(&self, columns: &SheetColumns, written: &[(usize, Delivery, i64)], told: &mut Told) {
        let done: Vec<_> = written.iter().filter(|(place, ..)| told.get(place).is_some_and(Result::is_ok)).collect();
        let cells: Vec<String> =
            done.iter().map(|(_, _, row)| self.range(&format!("{}{row}", columns.record))).collect();
        let there = self.api.cells(&cells).await;
        for (nth, (place, delivery, row)) in done.into_iter().enumerate() {
            match there.as_ref().map(|there| there[nth] == delivery.record) {
                Ok(true) => {}
                Ok(false) => drop(told.insert(*place, Err(self.moved(*row)))),
                Err(error) => drop(told.insert(*place, Err(not_looked(error)))),
            }
        }
    }

    /// Rows were moved while they were written. Whose cells were written, nobody can say but the sheet's own history.
    fn moved(&self, row: i64) -> SinkError {
        let sheet = &self.config.sheet;
        error!(sheet, row, "rows were moved while this one was written: it may hold cells of another record now");
        SinkError::Unknown(format!(
            "rows of sheet '{sheet}' were moved while row {row} was written: compare that row with the version history"
        ))
    }

    /// The row stays, with the id of the delivery that made it and what people wrote beside: no other row moves, and
    /// the table has no gap into which rows would be appended.
    async fn clear(&self, columns: &SheetColumns, gone: &[(usize, Delivery, i64)]) -> Told {
        let own = gone.iter().flat_map(|(_, _, row)| columns.own().map(move |letters| format!("{letters}{row}")));
        let done = self.api.clear(own.map(|cell| self.range(&cell)).collect()).await;
        let left = match &done {
            Ok(()) if !gone.is_empty() => self.column(&columns.record).await,
            _ => Ok(Vec::new()),
        };
        let one = |(place, delivery, row): &(usize, Delivery, i64)| {
            let answer = done.clone().and_then(|()| match &left {
                // a record that is still there: another's row was emptied in its place
                Ok(left) if left.contains(&delivery.record) => Err(self.moved(*row)),
                Ok(_) => Ok(delivered(*row)),
                Err(error) => Err(not_looked(error)),
            });
            (*place, answer)
        };
        gone.iter().map(one).collect()
    }
}

/// The number of the row at this place: the first is 1.
fn number(at: usize) -> i64 {
    i64::try_from(at).unwrap_or(i64::MAX - 1) + 1
}

fn delivered(row: i64) -> Delivered {
    Delivered { answer: json!({ "row": row }), row: Some(row) }
}

/// A row that was there once may not be readable yet, or is being moved: later it may be. It is never made anew.
fn no_row(was: Option<i64>) -> SinkError {
    match was {
        Some(row) => SinkError::NotSent(format!("no row of the sheet has this record's id; it was in row {row}")),
        None => SinkError::Refused("no row of the sheet has this record's id".to_owned()),
    }
}

/// The write was answered; where its rows are now, was not.
fn not_looked(error: &SinkError) -> SinkError {
    SinkError::Unknown(format!("written, but it could not be seen where: {error}"))
}

/// A look that failed has no effect; and what it is refused for is no change's fault, but the sheet's: its tab was
/// renamed, say.
fn looked(error: SinkError) -> SinkError {
    match error {
        SinkError::Unknown(text) => SinkError::NotSent(text),
        SinkError::Refused(text) => SinkError::unavailable(text),
        error => error,
    }
}

#[async_trait]
impl Sink for Sheets {
    fn deliver(&self, batch: Vec<Delivery>) -> Answers<'_> {
        self.carry_out(batch).map(stream::iter).flatten_stream().boxed()
    }
}
