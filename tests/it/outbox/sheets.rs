//! Is a sheet kept as its records are, whatever its people do with it?

use std::{collections::BTreeMap, time::Duration};

use lockstep::{
    domain::Action,
    sink::{Delivered, Delivery, Sheets, Sink as _, SinkError},
    testing::TestApp,
};
use serde_json::{Value as Json, json};

use super::{
    google::{Rig, Trouble},
    item_with, until,
};

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
