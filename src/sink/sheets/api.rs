//! How is the Sheets API spoken to? Its five calls, their tokens, and what its answers mean.

use std::{sync::Arc, time::Duration};

use gcp_auth::{CustomServiceAccount, TokenProvider};
use reqwest::{Client, Method, Url};
use serde::Deserialize;
use serde_json::{Value as Json, json};
use tokio::sync::OnceCell;

use super::{
    super::{http, port::SinkError},
    SheetsConfig,
    grid::cell,
};

const SCOPES: [&str; 1] = ["https://www.googleapis.com/auth/spreadsheets"];
/// The longest answer: a column of some hundred thousand rows.
const ANSWER: usize = 32 << 20;

/// One spreadsheet's API.
pub(super) struct Api {
    client: Client,
    values: Url,
    key_file: Option<String>,
    tokens: OnceCell<Arc<dyn TokenProvider>>,
    timeout: Duration,
}

/// What an append has made.
pub(super) struct Appended {
    /// The number of the first new row.
    pub row: i64,
    pub rows: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ValueRange {
    #[serde(default)]
    values: Vec<Vec<Json>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ValueRanges {
    value_ranges: Vec<ValueRange>,
}

#[derive(Deserialize)]
struct AppendAnswer {
    updates: Updates,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Updates {
    updated_range: String,
    updated_rows: u64,
}

impl Api {
    pub(super) fn new(config: &SheetsConfig) -> Result<Self, String> {
        let mut values: Url = config.api.parse().map_err(|error| format!("api: {error}"))?;
        let client = http::client(&values, Duration::from_millis(config.timeout_ms), config.allow_private)
            .map_err(|wrong| format!("api: {wrong}"))?;
        let mut segments = values.path_segments_mut().map_err(|()| "api: this URL has no path")?;
        segments.pop_if_empty().extend(["v4", "spreadsheets", config.spreadsheet.as_str(), "values"]);
        drop(segments);
        let key_file = config.key_file.clone();
        if let Some(file) = &key_file {
            std::fs::File::open(file).map_err(|error| format!("key_file: cannot read {file}: {error}"))?;
        }
        Ok(Self {
            client,
            values,
            key_file,
            tokens: OnceCell::new(),
            timeout: Duration::from_millis(config.timeout_ms),
        })
    }

    /// The rows of a range; trailing empty ones and cells are left out.
    pub(super) async fn values(&self, range: &str) -> Result<Vec<Vec<Json>>, SinkError> {
        let url = self.url(range, "", &[("valueRenderOption", "UNFORMATTED_VALUE")]);
        Ok(self.ask::<ValueRange>(Method::GET, url, None).await?.values)
    }

    /// The text of single cells, in order.
    pub(super) async fn cells(&self, ranges: &[String]) -> Result<Vec<String>, SinkError> {
        if ranges.is_empty() {
            return Ok(Vec::new());
        }
        let mut url = self.whole(":batchGet");
        url.query_pairs_mut().extend_pairs(ranges.iter().map(|range| ("ranges", range.as_str())));
        url.query_pairs_mut().append_pair("valueRenderOption", "UNFORMATTED_VALUE");
        let answer = self.ask::<ValueRanges>(Method::GET, url, None).await?.value_ranges;
        if answer.len() != ranges.len() {
            let text = format!("{} cells were asked for, the answer has {}", ranges.len(), answer.len());
            return Err(SinkError::Unknown(text));
        }
        let first = |range: &ValueRange| range.values.first().and_then(|row| row.first()).map(cell).unwrap_or_default();
        Ok(answer.iter().map(first).collect())
    }

    /// Puts rows behind the last one of the table in `range`.
    pub(super) async fn append(&self, range: &str, rows: Vec<Json>) -> Result<Appended, SinkError> {
        let url = self.url(range, ":append", &[("valueInputOption", "RAW"), ("insertDataOption", "INSERT_ROWS")]);
        let body = json!({ "majorDimension": "ROWS", "values": rows });
        let Updates { updated_range, updated_rows } =
            self.ask::<AppendAnswer>(Method::POST, url, Some(body)).await?.updates;
        let cells = updated_range.rsplit('!').next().unwrap_or_default();
        let is_in_first =
            cells.trim_start_matches('A').starts_with(|c: char| c.is_ascii_digit()) && !cells.starts_with("AA");
        if !is_in_first {
            let text = "the rows do not begin in column A: is there a gap in the header row?";
            return Err(SinkError::Unknown(text.to_owned()));
        }
        let digits: String =
            cells.chars().skip_while(char::is_ascii_alphabetic).take_while(char::is_ascii_digit).collect();
        let row =
            digits.parse().map_err(|_| SinkError::Unknown("the answer does not say where the rows are".to_owned()))?;
        Ok(Appended { row, rows: updated_rows })
    }

    /// Writes cells: `[{ range, values }]`.
    pub(super) async fn update(&self, data: Vec<Json>) -> Result<(), SinkError> {
        if data.is_empty() {
            return Ok(());
        }
        let body = json!({ "valueInputOption": "RAW", "data": data });
        self.ask::<Json>(Method::POST, self.whole(":batchUpdate"), Some(body)).await.map(|_| ())
    }

    /// Empties ranges.
    pub(super) async fn clear(&self, ranges: Vec<String>) -> Result<(), SinkError> {
        if ranges.is_empty() {
            return Ok(());
        }
        self.ask::<Json>(Method::POST, self.whole(":batchClear"), Some(json!({ "ranges": ranges }))).await.map(|_| ())
    }

    fn whole(&self, verb: &str) -> Url {
        let mut url = self.values.clone();
        url.set_path(&format!("{}{verb}", self.values.path()));
        url
    }

    fn url(&self, range: &str, verb: &str, query: &[(&str, &str)]) -> Url {
        let mut url = self.values.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.push(&format!("{range}{verb}"));
        }
        url.query_pairs_mut().extend_pairs(query);
        url
    }

    async fn ask<T: for<'a> Deserialize<'a>>(
        &self,
        method: Method,
        url: Url,
        body: Option<Json>,
    ) -> Result<T, SinkError> {
        let token = self.token().await?;
        let mut request = self.client.request(method, url).bearer_auth(token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.map_err(http::failed)?;
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = http::body(response, ANSWER).await;
        if !status.is_success() {
            let said: Option<Json> = bytes.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
            let said = said.and_then(|said| Some(said["error"]["status"].as_str()?.to_owned()));
            let answer = http::check(status, &headers, said.as_deref());
            // the spreadsheet itself is not there: no other change would fare better
            let is_gone = status == reqwest::StatusCode::NOT_FOUND;
            return Err(match answer.err() {
                Some(SinkError::Refused(text)) if is_gone => SinkError::unavailable(text),
                Some(error) => error,
                None => SinkError::Unknown(status.to_string()),
            });
        }
        serde_json::from_slice(&bytes?)
            .map_err(|_| SinkError::Unknown("the answer is not what the API says".to_owned()))
    }

    /// An access token; it is kept until it expires.
    async fn token(&self) -> Result<String, SinkError> {
        let failed = |error: gcp_auth::Error| SinkError::unavailable(format!("no access token: {error}"));
        let make = || async {
            Ok::<_, gcp_auth::Error>(match &self.key_file {
                Some(file) => Arc::new(CustomServiceAccount::from_file(file)?) as Arc<dyn TokenProvider>,
                None => gcp_auth::provider().await?,
            })
        };
        let tokens = self.tokens.get_or_try_init(make).await.map_err(failed)?;
        let late = |_| SinkError::unavailable("no access token in time");
        let token = tokio::time::timeout(self.timeout, tokens.token(&SCOPES)).await.map_err(late)?;
        Ok(token.map_err(failed)?.as_str().to_owned())
    }
}
