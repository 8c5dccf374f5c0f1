//! Who sees the pages, and do their buttons do what the API does?

use lockstep::{domain::Outcome, testing::TestApp};
use reqwest::{Client, Method, StatusCode, redirect::Policy};

use crate::fixtures::{bytes, invent, serve};

/// A browser: it keeps cookies, and says where it is sent.
struct Browser {
    http: Client,
    root: String,
}

impl Browser {
    fn new(app: &TestApp) -> Self {
        let http = lockstep::http::client().cookie_store(true).redirect(Policy::none()).build().unwrap();
        Self { http, root: format!("http://{}", app.app.addr) }
    }

    async fn get(&self, path: &str) -> (StatusCode, String) {
        let answer = self.http.get(format!("{}{path}", self.root)).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }

    async fn send(&self, path: &str, fields: &[(&str, &str)]) -> (StatusCode, String) {
        let answer = self.http.post(format!("{}{path}", self.root)).form(fields).send().await.unwrap();
        (answer.status(), answer.text().await.unwrap())
    }

    /// The page, and what its forms carry.
    async fn page(&self) -> (String, String) {
        let (status, page) = self.get("/").await;
        assert_eq!(status, 200, "{page}");
        let key = page.split("name=\"form_key\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        (page, key)
    }
}

#[actix::test]
async fn a_link_works_once_and_a_token_every_time_and_nothing_else_lets_in() {
    let app = TestApp::builder().agents(&["anna"]).start().await;
    let (first, second) = (Browser::new(&app), Browser::new(&app));
    let (status, page) = first.get("/").await;
    assert_eq!(status, 401);
    assert!(page.contains("An admin's token") && !page.contains("anna"), "{page}");

    let link = format!("/login?key={}", app.app.sessions.one_time_key().unwrap());
    assert_eq!(first.get(&link).await.0, 303);
    assert!(first.page().await.0.contains("anna"));
    assert_eq!(first.get(&link).await.0, 303, "who is in is in");
    let other = format!("/login?key={}", app.app.sessions.one_time_key().unwrap());
    assert_eq!(first.get(&other).await.0, 303);
    assert_eq!(second.get(&other).await.0, 401, "used up by who was in already");
    assert_eq!(second.get(&link).await.0, 401);
    assert_eq!(second.get("/").await.0, 401);

    assert_eq!(second.send("/login", &[("token", "a token of somebody")]).await.0, 401);
    assert_eq!(second.send("/login", &[("token", app.token())]).await.0, 303);
    let (_, key) = second.page().await;
    // another session's key is no key, and none is none
    let (_, other) = first.page().await;
    assert_eq!(second.send("/act/stop", &[("form_key", &other)]).await.0, 403);
    assert_eq!(second.send("/act/stop", &[("form_key", "")]).await.0, 403);
    assert_eq!(second.send("/act/stop", &[]).await.0, 400);
    assert_eq!(second.send("/act/stop", &[("form_key", &key)]).await.0, 303);
    assert_eq!(second.send("/act/paint", &[("form_key", &key)]).await.0, 404);
    assert_eq!(Browser::new(&app).send("/act/stop", &[("form_key", &key)]).await.0, 401);

    assert_eq!(second.send("/logout", &[("form_key", &key)]).await.0, 303);
    assert_eq!(second.get("/").await.0, 401);
    assert_eq!(first.get("/").await.0, 200, "the other session goes on");

    let answer = app.raw(Method::GET, "/").send().await.unwrap();
    let header = |name: &str| answer.headers()[name].to_str().unwrap().to_owned();
    assert!(header("content-security-policy").contains("default-src 'none'"));
    assert!(header("content-security-policy").contains("frame-ancestors 'none'"));
    assert_eq!((header("cache-control"), header("x-content-type-options")), ("no-store".into(), "nosniff".into()));
    app.stop().await;
}

#[actix::test]
async fn a_held_run_is_decided_on_and_what_is_stored_is_never_markup() {
    let app = TestApp::builder().agents(&["<b>a</b>"]).start().await;
    let agent = "<b>a</b>";
    let records = invent(app.app.store.types(), "customers", 60);
    serve(&app, "customers", agent, &records);
    app.sync("customers", agent).await;
    let browser = Browser::new(&app);
    browser.send("/login", &[("token", app.token())]).await;
    let (page, _) = browser.page().await;
    assert!(
        page.contains("60 rows, 60 new") && page.contains("&lt;b&gt;a&lt;/b&gt;") && !page.contains(agent),
        "{page}"
    );

    let hold = async || {
        serve(&app, "customers", agent, &records[..20]);
        app.sync("customers", agent).await.id.to_string()
    };
    let run = hold().await;
    let (page, key) = browser.page().await;
    assert!(page.contains("the report has 20 rows, 60 are stored") && page.contains("Approve"), "{page}");
    assert_eq!(browser.send("/act/reject", &[("form_key", &key), ("run", &run)]).await.0, 303);
    assert!(!browser.page().await.0.contains("Approve"));
    assert_eq!(app.records("customers", agent).await.len(), 60);
    let (status, said) = browser.send("/act/approve", &[("form_key", &key), ("run", &run)]).await;
    assert_eq!(status, 409);
    assert!(said.contains("it is rejected"), "{said}");

    let run = hold().await;
    let pause = serde_json::json!({ "reason": "stocktaking", "emergency": true });
    assert_eq!(app.post("/api/sync/pause", pause).await.0, 200);
    for fields in [vec![("form_key", key.as_str()), ("run", run.as_str())], vec![("form_key", key.as_str())]] {
        let what = if fields.len() == 2 { "/act/approve" } else { "/act/sync" };
        let (status, said) = browser.send(what, &fields).await;
        assert_eq!(status, 409, "{what}");
        assert!(said.contains("nothing was started: paused"), "{said}");
    }
    assert_eq!(app.post("/api/sync/resume", serde_json::json!({})).await.0, 200);
    assert_eq!(browser.send("/act/approve", &[("form_key", &key), ("run", &run)]).await.0, 303);
    app.idle().await;
    let rows = app.rows("customers", agent).await;
    assert_eq!(rows.iter().filter(|row| row["missing_since"].is_null()).count(), 20);
    app.stop().await;
}

#[actix::test]
async fn nothing_is_good_while_a_row_of_it_is_in_quarantine() {
    let app = TestApp::builder().agents(&["anna"]).start().await;
    app.source.set("orders", "anna", bytes("edge/orders-bad-cells.pdf"));
    let first = app.sync("orders", "anna").await;
    assert!(first.counts.quarantined > 0);
    app.idle().await;
    let browser = Browser::new(&app);
    browser.send("/login", &[("token", app.token())]).await;
    let told = format!("{} in quarantine", first.counts.quarantined);
    assert!(browser.page().await.0.contains(&told));
    // the same bytes again change nothing, and mend nothing
    let again = app.sync("orders", "anna").await;
    assert_eq!((again.outcome.map(Outcome::as_str), again.counts.quarantined), (Some("unchanged"), 0));
    let (page, _) = browser.page().await;
    assert!(page.contains(&format!("<span class=\"wait\">{told}</span>")), "{page}");
    app.stop().await;
}
