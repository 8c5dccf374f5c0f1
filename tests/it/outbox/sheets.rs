//! Is a sheet kept as its records are, whatever its people do with it? Against a server that speaks the API's shapes.

use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock, Mutex},
    time::Duration,
};

use lockstep::{
    domain::Action,
    outbox::{
        Delivered, Delivery, Sink as _, SinkError,
        sinks::{Sheets, SheetsConfig},
    },
    testing::TestApp,
};
use rsa::{RsaPrivateKey, pkcs8::EncodePrivateKey as _};
use serde_json::{Value as Json, json};
use wiremock::{
    Mock, MockServer, Request, Respond, ResponseTemplate,
    matchers::{method, path, path_regex},
};

use super::{item_with, until};

/// A key that nobody else has: making one takes a while.
static KEY: LazyLock<String> = LazyLock::new(|| {
    let key = RsaPrivateKey::new(&mut rand::rngs::OsRng, 2048).unwrap();
    key.to_pkcs8_pem(rsa::pkcs8::LineEnding::LF).unwrap().to_string()
});

/// The cells of one sheet; what is asked of it, by verb; and what it does before (`true`) or after its effect.
#[derive(Default)]
struct Sheet {
    rows: Vec<Vec<Json>>,
    asked: Vec<String>,
    troubles: Vec<Trouble>,
    is_renamed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Trouble {
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
struct Google(Arc<Mutex<Sheet>>);

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

struct Rig {
    server: MockServer,
    google: Google,
    folder: tempfile::TempDir,
}

impl Rig {
    async fn start(header: &[&str]) -> Self {
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

    fn key_file(&self) -> String {
        self.folder.path().join("key.json").display().to_string()
    }

    fn sheets(&self) -> Sheets {
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

    fn rows(&self) -> Vec<Vec<Json>> {
        self.google.0.lock().unwrap().rows.clone()
    }

    fn trouble(&self, troubles: &[Trouble]) {
        self.google.0.lock().unwrap().troubles = troubles.to_vec();
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.google.0.lock().unwrap().asked)
    }
}

const HEADER: [&str; 5] = ["Order", "Notes of ours", "Customer", "lockstep id", "Total"];

fn delivery(action: Action, record: &str, data: Json) -> Delivery {
    Delivery {
        id: format!("id-{record}"),
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

async fn send(sheets: &Sheets, batch: Vec<Delivery>) -> Vec<Result<Delivered, SinkError>> {
    use futures_util::StreamExt as _;
    let answers: BTreeMap<usize, _> = sheets.deliver(batch).collect().await;
    answers.into_values().collect()
}

fn rows_of(answers: &[Result<Delivered, SinkError>]) -> Vec<Option<i64>> {
    answers.iter().map(|answer| answer.as_ref().ok().and_then(|delivered| delivered.row)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_appended_together_changed_and_cleared_wherever_the_columns_are() {
    let rig = Rig::start(&HEADER).await;
    let sheets = rig.sheets();
    let new = ["O-1", "O-2"].map(|order| delivery(Action::Create, order, json!({ "customer": order, "total": 7.5 })));
    assert_eq!(rows_of(&send(&sheets, new.to_vec()).await), [Some(2), Some(3)]);
    assert_eq!(rig.asked(), ["get", "append"], "one look at the header, one request for both");
    assert_eq!(rig.rows()[1], [json!("O-1"), json!(""), json!("O-1"), json!("id-O-1"), json!(7.5)]);

    let mut update = delivery(Action::Update, "O-2", json!({ "total": "=1+1" }));
    update.row = Some(3);
    assert_eq!(rows_of(&send(&sheets, vec![update.clone()]).await), [Some(3)]);
    assert_eq!(rig.asked(), ["get", "batchGet", "batchUpdate", "batchGet"]);
    assert_eq!(rig.rows()[2][2..], [json!("O-2"), json!("id-O-2"), json!("=1+1")], "what it does not name stays");

    // someone sorts the rows and puts a column in front: nothing is written into another record
    {
        let mut sheet = rig.google.0.lock().unwrap();
        sheet.rows[1..].reverse();
        sheet.rows.iter_mut().for_each(|row| row.insert(0, json!("new")));
    }
    update.data = json!({ "total": 9 });
    assert_eq!(rows_of(&send(&sheets, vec![update]).await), [Some(2)], "its row is told anew");
    let by_order: BTreeMap<String, Json> =
        rig.rows()[1..].iter().map(|row| (row[1].as_str().unwrap().to_owned(), row[5].clone())).collect();
    assert_eq!(by_order, BTreeMap::from([("O-1".to_owned(), json!(7.5)), ("O-2".to_owned(), json!(9))]));

    let gone = vec![delivery(Action::Delete, "O-2", Json::Null), delivery(Action::Delete, "O-9", Json::Null)];
    assert_eq!(rows_of(&send(&sheets, gone).await), [Some(2), None], "what is not there is gone already");
    // the row stays, and what people wrote beside
    assert_eq!(rig.rows()[1], [json!("new"), json!(""), json!(""), json!(""), json!("id-O-2"), json!("")]);
    assert_eq!(rig.rows().len(), 3);
    let unknown = send(&sheets, vec![delivery(Action::Update, "O-2", json!({ "total": 1 }))]).await;
    assert_eq!(unknown[0].as_ref().unwrap_err().code(), "sink_refused");
    // a row that was there once may not be readable yet: it is tried again, and never made anew
    let mut hidden = delivery(Action::Update, "O-2", json!({ "total": 1 }));
    hidden.row = Some(2);
    assert_eq!(send(&sheets, vec![hidden]).await[0].as_ref().unwrap_err().code(), "not_sent");
    assert_eq!(rig.rows().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_an_attempt_without_an_answer_has_made_is_not_made_again() {
    let rig = Rig::start(&HEADER).await;
    let sheets = rig.sheets();
    for (trouble, record) in [(Trouble::LostAnswer, "O-1"), (Trouble::Lie, "O-2")] {
        rig.trouble(&[trouble]);
        let mut new = delivery(Action::Create, record, json!({ "customer": "C", "total": 1 }));
        let lost = send(&sheets, vec![new.clone()]).await;
        assert_eq!(lost[0].as_ref().unwrap_err().code(), "effect_unknown", "{trouble:?}");
        let made = i64::try_from(rig.rows().len()).unwrap();
        new.is_repeat = true;
        let other = delivery(Action::Create, &format!("{record}-b"), json!({ "customer": "D", "total": 2 }));
        assert_eq!(rows_of(&send(&sheets, vec![new, other]).await), [Some(made), Some(made + 1)]);
    }
    assert_eq!(rig.rows().len(), 5, "each once: {:?}", rig.rows());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_api_refuses_is_found_among_its_batch_and_a_used_up_quota_is_honoured() {
    let rig = Rig::start(&HEADER).await;
    let sheets = rig.sheets();
    let batch = ["O-1", "poison", "O-3"].map(|order| delivery(Action::Create, order, json!({ "customer": order })));
    let answers = send(&sheets, batch.to_vec()).await;
    assert_eq!(rows_of(&answers), [Some(2), None, Some(3)]);
    let refused = answers[1].as_ref().unwrap_err();
    assert_eq!(refused.code(), "sink_refused");
    let text = refused.to_string();
    assert!(text.contains("INVALID_ARGUMENT") && !text.contains("anna"), "{text}");
    let changes = ["O-1", "O-3"].map(|order| {
        let value = if order == "O-1" { "poison" } else { "fine" };
        delivery(Action::Update, order, json!({ "customer": value }))
    });
    assert_eq!(rows_of(&send(&sheets, changes.to_vec()).await), [None, Some(3)]);
    rig.trouble(&[Trouble::Quota]);
    let full = send(&sheets, vec![delivery(Action::Create, "O-4", json!({}))]).await;
    let Err(SinkError::Unavailable { retry_after, text }) = &full[0] else { panic!("{full:?}") };
    assert_eq!(*retry_after, Some(Duration::from_secs(30)));
    assert!(text.contains("RESOURCE_EXHAUSTED"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_people_move_while_they_are_written_leave_the_change_in_doubt() {
    let rig = Rig::start(&HEADER).await;
    let sheets = rig.sheets();
    let new = ["O-1", "O-2"].map(|order| delivery(Action::Create, order, json!({ "customer": order, "total": 1 })));
    send(&sheets, new.to_vec()).await;
    for action in [Action::Update, Action::Delete] {
        rig.trouble(&[Trouble::Sorted]);
        let change = delivery(action, "O-2", json!({ "total": 2 }));
        let answers = send(&sheets, vec![change.clone()]).await;
        let doubt = answers[0].as_ref().unwrap_err();
        assert_eq!(doubt.code(), "effect_unknown", "{action:?}");
        assert!(doubt.to_string().contains("'Our orders' were moved while row"), "{doubt}");
        // the next attempt reaches its own record
        assert!(send(&sheets, vec![change]).await[0].is_ok(), "{action:?}");
        let total = rig.rows().iter().find(|row| row[2] == "O-2").map(|row| row[4].clone());
        assert_eq!(total, (action == Action::Update).then(|| json!(2)), "{action:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_update_of_fields_that_have_no_column_says_so() {
    let rig = Rig::start(&HEADER).await;
    let sheets = rig.sheets();
    send(&sheets, vec![delivery(Action::Create, "O-1", json!({ "total": 1, "price": 1 }))]).await;
    let changes = [json!({ "price": 2 }), json!({ "price": 2, "total": 2 })];
    let answers = send(&sheets, changes.map(|data| delivery(Action::Update, "O-1", data)).to_vec()).await;
    let refused = answers[0].as_ref().unwrap_err();
    assert_eq!(refused.code(), "sink_refused");
    assert!(refused.to_string().contains("has a column: price; columns are for customer"), "{refused}");
    assert_eq!((rows_of(&answers)[1], rig.rows()[1][4].clone()), (Some(2), json!(2)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_header_row_that_does_not_fit_stops_the_sink_before_anything_is_written() {
    let rig = Rig::start(&["Order", "Customer", "lockstep id", "Sum"]).await;
    let answers = send(&rig.sheets(), vec![delivery(Action::Create, "O-1", json!({}))]).await;
    let wrong = answers[0].as_ref().unwrap_err();
    assert_eq!(wrong.code(), "sink_unavailable");
    assert!(wrong.to_string().contains("'Total' is not there"), "{wrong}");
    assert_eq!((rig.asked(), rig.rows().len()), (vec!["get".to_owned()], 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_that_is_refused_is_no_change_s_fault() {
    let rig = Rig::start(&HEADER).await;
    let sheets = rig.sheets();
    send(&sheets, vec![delivery(Action::Create, "O-1", json!({ "total": 1 }))]).await;
    // a row that the sheet has no more: the record is looked for where it is
    let mut update = delivery(Action::Update, "O-1", json!({ "total": 2 }));
    update.row = Some(99_999);
    assert_eq!(rows_of(&send(&sheets, vec![update.clone()]).await), [Some(2)]);
    rig.google.0.lock().unwrap().is_renamed = true;
    let answers = send(&sheets, vec![update]).await;
    assert_eq!(answers[0].as_ref().unwrap_err().code(), "sink_unavailable");
}

#[actix::test]
async fn items_go_into_the_sheet_and_their_rows_are_kept_for_later_changes() {
    let rig = Rig::start(&HEADER).await;
    let sheet = |name: &str| format!("LOCKSTEP__SINK__SHEETS__BOOK__{name}");
    let app = TestApp::builder()
        .setting(&sheet("SPREADSHEET"), "the-book")
        .setting(&sheet("SHEET"), "Our orders")
        .setting(&sheet("KEY_FILE"), &rig.key_file())
        .setting(&sheet("ID_HEADER"), "lockstep id")
        .setting(&sheet("RECORD_HEADER"), "Order")
        .setting(&sheet("HEADERS__CUSTOMER"), "Customer")
        .setting(&sheet("HEADERS__TOTAL"), "Total")
        .setting(&sheet("API"), &rig.server.uri())
        .setting(&sheet("ALLOW_PRIVATE"), "true")
        .setting("LOCKSTEP__SINK__MODELS__ORDERS__TO", "book")
        .start()
        .await;
    let change = |action: &str, payload: Json| json!({ "action": action, "model": "orders", "recordId": "O-1", "payload": payload });
    let all = json!([
        change("CREATE", json!({ "customer": "C", "total": 1 })),
        change("UPDATE", json!({ "total": 2 })),
        change("UPDATE", json!({ "total": 3 })),
    ]);
    let (_, ids) = app.post("/api/queue/items", all).await;
    for id in ids["ids"].as_array().unwrap() {
        let done = item_with(&app, id, "COMPLETED").await;
        assert_eq!(done["sheetRowIndex"], 2, "{done}");
    }
    assert_eq!(rig.rows()[1][4], 3, "in order");
    // the quota is used up: the item waits, and goes out when it may
    rig.trouble(&[Trouble::Quota]);
    let (_, item) = app.post("/api/queue/items", change("DELETE", Json::Null)).await;
    until("the sink is closed", async || app.get("/api/queue/stats").await.1["sinks"][0]["closedUntil"].is_string())
        .await;
    app.clock.advance(Duration::from_secs(31));
    assert_eq!(item_with(&app, &item["id"], "COMPLETED").await["retries"], 0);
    assert!([0, 2, 4].iter().all(|column| rig.rows()[1][*column] == ""));
    app.stop().await;
}
