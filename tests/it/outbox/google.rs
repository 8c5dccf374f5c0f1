//! What does Google Sheets do? A server that speaks the API's shapes, and misbehaves on demand.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock, Mutex},
};

use lockstep::sink::{Sheets, SheetsConfig};
use rsa::{RsaPrivateKey, pkcs8::EncodePrivateKey as _};
use serde_json::{Value as Json, json};
use wiremock::{
    Mock, MockServer, Request, Respond, ResponseTemplate,
    matchers::{method, path, path_regex},
};

/// A key that nobody else has: making one takes a while.
static KEY: LazyLock<String> = LazyLock::new(|| {
    let key = RsaPrivateKey::new(&mut rand::rngs::OsRng, 2048).unwrap();
    key.to_pkcs8_pem(rsa::pkcs8::LineEnding::LF).unwrap().to_string()
});

/// The cells of one sheet; what is asked of it, by verb; and what it does before (`true`) or after its effect.
#[derive(Default)]
pub struct Sheet {
    pub rows: Vec<Vec<Json>>,
    asked: Vec<String>,
    troubles: Vec<Trouble>,
    pub is_renamed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Trouble {
    /// The quota is used up.
    Quota,
    /// The effect happens, and the answer is an error.
    LostAnswer,
    /// The effect happens, and the answer is not what the API says.
    Lie,
    /// People sort the rows just before the effect.
    Sorted,
    /// Nothing is the matter.
    None,
}

#[derive(Clone, Default)]
pub struct Google(pub Arc<Mutex<Sheet>>);

/// `'Orders'!B2:C3` as `(first column, first row, last column, last row)`, from 0; open ends are large.
fn cells(range: &str) -> [usize; 4] {
    let range = range.rsplit('!').next().unwrap();
    let (from, to) = range.split_once(':').unwrap_or((range, range));
    let place = |text: &str, open: usize| {
        let letters: String = text.chars().take_while(char::is_ascii_alphabetic).collect();
        let digits = &text[letters.len()..];
        let column = letters.bytes().fold(0, |sum, letter| sum * 26 + usize::from(letter - b'A') + 1);
        (if column == 0 { open } else { column - 1 }, digits.parse::<usize>().map_or(open, |row| row - 1))
    };
    let ((left, top), (right, bottom)) = (place(from, 0), place(to, usize::MAX));
    [left, top, right, bottom]
}

impl Sheet {
    fn get(&self, range: &str) -> Vec<Vec<Json>> {
        let [left, top, right, bottom] = cells(range);
        let cut = |row: &Vec<Json>| {
            let mut cells: Vec<Json> = row.iter().skip(left).take((right - left).saturating_add(1)).cloned().collect();
            while cells.last().is_some_and(|cell| cell == "") {
                cells.pop();
            }
            cells
        };
        let mut rows: Vec<_> = self.rows.iter().skip(top).take((bottom - top).saturating_add(1)).map(cut).collect();
        while rows.last().is_some_and(Vec::is_empty) {
            rows.pop();
        }
        rows
    }

    fn put(&mut self, range: &str, value: &Json) {
        let [left, top, ..] = cells(range);
        while self.rows.len() <= top {
            self.rows.push(Vec::new());
        }
        let row = &mut self.rows[top];
        while row.len() <= left {
            row.push(json!(""));
        }
        row[left] = value.clone();
    }

    fn answer(&mut self, verb: &str, request: &Request) -> Json {
        let body: Json = serde_json::from_slice(&request.body).unwrap_or(Json::Null);
        let named = request.url.path_segments().unwrap().next_back().unwrap().replace("%20", " ");
        match verb {
            "get" => json!({ "range": named, "values": self.get(&named) }),
            "batchGet" => {
                let ranges = request.url.query_pairs().filter(|(name, _)| name == "ranges");
                let values = ranges.map(|(_, range)| json!({ "range": range, "values": self.get(&range) }));
                json!({ "valueRanges": values.collect::<Vec<_>>() })
            }
            "append" => {
                let new = body["values"].as_array().unwrap();
                let first = self.rows.len() + 1;
                let row = |row: &Json| {
                    row.as_array()
                        .unwrap()
                        .iter()
                        .map(|cell| if cell.is_null() { json!("") } else { cell.clone() })
                        .collect()
                };
                self.rows.extend(new.iter().map(row));
                let range = format!("'Our orders'!A{first}:E{}", self.rows.len());
                json!({ "updates": { "updatedRange": range, "updatedRows": new.len() } })
            }
            "batchUpdate" => {
                for one in body["data"].as_array().unwrap() {
                    self.put(one["range"].as_str().unwrap(), &one["values"][0][0]);
                }
                json!({ "totalUpdatedCells": body["data"].as_array().unwrap().len() })
            }
            "batchClear" => {
                for range in body["ranges"].as_array().unwrap() {
                    self.put(range.as_str().unwrap(), &json!(""));
                }
                json!({ "clearedRanges": body["ranges"] })
            }
            other => panic!("{other}"),
        }
    }
}

impl Respond for Google {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        assert_eq!(request.headers["authorization"], "Bearer the-token");
        let verb = match request.url.path().rsplit_once(':') {
            Some((_, verb)) if verb.chars().all(char::is_alphabetic) && verb.len() > 2 => verb.to_owned(),
            _ => "get".to_owned(),
        };
        let mut sheet = self.0.lock().unwrap();
        sheet.asked.push(verb.clone());
        let writes = !verb.to_lowercase().ends_with("get");
        let trouble = if writes && !sheet.troubles.is_empty() { sheet.troubles.remove(0) } else { Trouble::None };
        let error = |status: u16, name: &str| {
            let body = json!({ "error": { "code": status, "status": name, "message": "secret of anna@example.com" } });
            ResponseTemplate::new(status).set_body_json(body)
        };
        if trouble == Trouble::Quota {
            return error(429, "RESOURCE_EXHAUSTED").insert_header("retry-after", "30");
        }
        // Sheets refuses a cell that is too long, and with it the whole request
        if String::from_utf8_lossy(&request.body).contains("poison") {
            return error(400, "INVALID_ARGUMENT");
        }
        // a tab that was renamed, a row that the grid has not
        if sheet.is_renamed || request.url.query().is_some_and(|query| query.contains("99999")) {
            return error(400, "INVALID_ARGUMENT");
        }
        if trouble == Trouble::Sorted {
            sheet.rows[1..].reverse();
        }
        let answer = sheet.answer(&verb, request);
        match trouble {
            Trouble::LostAnswer => error(502, "BAD_GATEWAY"),
            Trouble::Lie => ResponseTemplate::new(200)
                .set_body_json(json!({ "updates": { "updatedRange": "x", "updatedRows": 7 } })),
            Trouble::Quota | Trouble::Sorted | Trouble::None => ResponseTemplate::new(200).set_body_json(answer),
        }
    }
}

/// A pretend Google with one sheet, and the key file for it.
pub struct Rig {
    pub server: MockServer,
    pub google: Google,
    folder: tempfile::TempDir,
}

impl Rig {
    pub async fn start(header: &[&str]) -> Self {
        let (server, google) = (MockServer::start().await, Google::default());
        google.0.lock().unwrap().rows = vec![header.iter().map(|text| json!(text)).collect()];
        let token = json!({ "access_token": "the-token", "token_type": "Bearer", "expires_in": 3600 });
        let tokens = ResponseTemplate::new(200).set_body_json(token);
        Mock::given(method("POST")).and(path("/token")).respond_with(tokens).mount(&server).await;
        let values = path_regex("^/v4/spreadsheets/the-book/values");
        Mock::given(values).respond_with(google.clone()).mount(&server).await;
        let folder = tempfile::tempdir().unwrap();
        let key = json!({
            "type": "service_account", "project_id": "p", "private_key_id": "k", "private_key": *KEY,
            "client_email": "lockstep@p.example", "token_uri": format!("{}/token", server.uri()),
        });
        std::fs::write(folder.path().join("key.json"), key.to_string()).unwrap();
        Self { server, google, folder }
    }

    pub fn key_file(&self) -> String {
        self.folder.path().join("key.json").display().to_string()
    }

    pub fn sheets(&self) -> Sheets {
        let headers = [("customer", "Customer"), ("total", "Total")].map(|(a, b)| (a.to_owned(), b.to_owned()));
        Sheets::new(SheetsConfig {
            spreadsheet: "the-book".into(),
            sheet: "Our orders".into(),
            key_file: Some(self.key_file()),
            headers: BTreeMap::from(headers),
            id_header: "lockstep id".into(),
            record_header: "Order".into(),
            timeout_ms: 5_000,
            api: self.server.uri(),
            allow_private: true,
        })
        .unwrap()
    }

    pub fn rows(&self) -> Vec<Vec<Json>> {
        self.google.0.lock().unwrap().rows.clone()
    }

    pub fn trouble(&self, troubles: &[Trouble]) {
        self.google.0.lock().unwrap().troubles = troubles.to_vec();
    }

    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.google.0.lock().unwrap().asked)
    }
}
