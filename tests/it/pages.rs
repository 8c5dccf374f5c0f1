//! Who sees the pages, and do their buttons do what the API does?

use lockstep::{domain::Outcome, testing::TestApp};
use reqwest::{Client, Method, StatusCode, redirect::Policy};
use serde_json::json;

use crate::{
    callers::token,
    fixtures::{bytes, invent, serve},
};

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
    assert!(page.contains("Log in") && !page.contains("anna"), "{page}");

    let link = app.app.login_link().await.unwrap();
    assert_eq!(first.get(&link).await.0, 303);
    assert!(first.page().await.0.contains("anna"));
    assert_eq!(first.get(&link).await.0, 303, "who is in is in");
    let other = app.app.login_link().await.unwrap();
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
async fn a_held_run_is_decided_on_by_its_plan_and_what_is_stored_is_never_markup() {
    let app = TestApp::builder().agents(&["<b>a</b>"]).start().await;
    let agent = "<b>a</b>";
    let records = invent(app.app.store.types(), "customers", 60);
    serve(&app, "customers", agent, &records);
    app.sync("customers", agent).await;
    let browser = Browser::new(&app);
    browser.send("/login", &[("token", app.token())]).await;
    let (page, _) = browser.page().await;
    assert!(page.contains("&lt;b&gt;a&lt;/b&gt;") && !page.contains(agent), "{page}");
    let (status, runs) = browser.get("/runs?type=customers").await;
    assert_eq!(status, 200);
    assert!(runs.contains("60 new") && !runs.contains(agent), "{runs}");

    let hold = async || {
        serve(&app, "customers", agent, &records[..20]);
        app.sync("customers", agent).await.id.to_string()
    };
    // the page of a run, and what the form of its plan carries
    let plan = async |run: &str| {
        let (status, page) = browser.get(&format!("/runs/{run}")).await;
        assert_eq!(status, 200, "{page}");
        let digest = page.split("name=\"digest\" value=\"").nth(1);
        let digest = digest.map(|rest| rest.split('"').next().unwrap().to_owned()).unwrap_or_default();
        (page, digest)
    };
    let run = hold().await;
    let (_, key) = browser.page().await;
    let (_, needs) = browser.get("/needs-you").await;
    assert!(needs.contains("the report has 20 rows, 60 are stored"), "{needs}");
    assert!(needs.contains("See the plan and decide"), "{needs}");
    let (page, digest) = plan(&run).await;
    assert!(page.contains("<b>40 not in the report</b>") && page.contains("Approve plan"), "{page}");
    assert_eq!(browser.send("/act/reject", &[("form_key", &key), ("run", &run)]).await.0, 303);
    assert!(browser.get("/needs-you").await.1.contains("Nothing waits for you"));
    assert_eq!(app.records("customers", agent).await.len(), 60);
    let approve = [("form_key", key.as_str()), ("run", &run), ("digest", &digest)];
    let (status, said) = browser.send("/act/approve", &approve).await;
    assert_eq!(status, 409);
    assert!(said.contains("it is rejected"), "{said}");

    let run = hold().await;
    let pause = json!({ "reason": "stocktaking", "emergency": true });
    assert_eq!(app.post("/api/sync/pause", pause).await.0, 200);
    let (page, digest) = plan(&run).await;
    assert!(page.contains("stocktaking") && page.contains("Resume now"), "the pause is on every page: {page}");
    let approve = [("form_key", key.as_str()), ("run", &run), ("digest", &digest)];
    for (what, fields) in [("/act/approve", &approve[..]), ("/act/sync", &approve[..1])] {
        let (status, said) = browser.send(what, fields).await;
        assert_eq!(status, 409, "{what}");
        assert!(said.contains("Nothing was started: paused"), "{said}");
    }
    assert_eq!(browser.send("/act/resume", &approve[..1]).await.0, 303);
    let other = [approve[0], approve[1], ("digest", "another plan")];
    assert_eq!(browser.send("/act/approve", &other).await.0, 409, "what was looked at is what is approved");
    assert_eq!(browser.send("/act/approve", &approve).await.0, 303);
    assert!(browser.get("/runs").await.1.contains("The plan was approved"), "what was done is said, ...");
    assert!(!browser.get("/runs").await.1.contains("The plan was approved"), "... once");
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
    let told = "in quarantine</span>";
    assert!(browser.page().await.0.contains(told));
    // the same bytes again change nothing, and mend nothing
    let again = app.sync("orders", "anna").await;
    assert_eq!((again.outcome.map(Outcome::as_str), again.counts.quarantined), (Some("unchanged"), 0));
    let (page, _) = browser.page().await;
    assert!(page.contains(told) && !page.contains("Nothing needs you"), "{page}");
    let (_, run) = browser.get(&format!("/runs/{}", first.id)).await;
    assert!(run.contains("Rows that did not fit") && run.contains("/pages/"), "{run}");
    app.stop().await;
}

#[actix::test]
async fn every_page_answers_everyone_who_may_see_it() {
    let app = TestApp::builder().agents(&["anna", "bruno"]).start().await;
    let records = invent(app.app.store.types(), "customers", 30);
    let stored = serve(&app, "customers", "anna", &records);
    app.sync("customers", "anna").await;
    let key = stored[0]["customer_profile"].as_str().unwrap().to_owned();
    let viewer = token(&app, json!({ "name": "eye", "role": "viewer" })).await;
    let (admin, eye) = (Browser::new(&app), Browser::new(&app));
    admin.send("/login", &[("token", app.token())]).await;
    eye.send("/login", &[("token", &viewer)]).await;
    let pages =
        ["/", "/needs-you", "/records", "/types", "/runs", "/runs/1", "/queue", "/write-back", "/agents", "/system"];
    let for_admins = ["/audit", "/tokens"];
    for path in pages.iter().chain(&for_admins) {
        let (status, page) = admin.get(path).await;
        assert_eq!(status, 200, "{path}: {page}");
        for part in ["<h1", "<main id=\"main\"", "<title>", "class=\"skip\"", "lang=\"en\""] {
            assert!(page.contains(part), "{path} lacks {part}");
        }
        assert!(!page.contains(" style=\"") && !page.contains(" onclick"), "{path}: the policy forbids it");
        assert!(page.len() < 60_000, "{path}: {} bytes", page.len());
        let (status, page) = eye.get(path).await;
        assert_eq!(status, if for_admins.contains(path) { 403 } else { 200 }, "{path}");
        assert!(!page.contains("action=\"/act/"), "{path}: a viewer is shown buttons");
    }
    let (_, found) = admin.get(&format!("/records?q={key}")).await;
    assert!(found.contains(&format!("/records/customers/anna/{key}")), "{found}");
    let (status, record) = admin.get(&format!("/records/customers/anna/{key}")).await;
    assert_eq!(status, 200);
    assert!(record.contains("Why is it so?") && record.contains("First seen"), "{record}");
    let (status, none) = admin.get("/records/customers/anna/no-such-key").await;
    assert_eq!(status, 200);
    assert!(none.contains("Why is it not here?"), "{none}");
    assert_eq!(admin.get("/runs/999").await.0, 404);
    // the browser's language, or the one that was chosen; a person's data are in none
    let asks = async |language: &str| {
        let page =
            admin.http.get(format!("{}/agents", admin.root)).header("Accept-Language", language).send().await.unwrap();
        page.text().await.unwrap()
    };
    for (language, word) in
        [("it-IT,it;q=0.9,en;q=0.8", "Agenti"), ("de,en;q=0.5,it;q=0.4", "Agents"), ("fr", "Agents")]
    {
        assert!(asks(language).await.contains(&format!("<h1>{word}</h1>")), "{language}");
    }
    let chosen = admin.send("/language", &[("language", "it"), ("back", "/agents")]).await;
    assert_eq!(chosen.0, 303);
    let page = asks("en").await;
    assert!(
        page.contains("<h1>Agenti</h1>") && page.contains("lang=\"it\"") && page.contains("<bdi>anna</bdi>"),
        "{page}"
    );
    assert_eq!(admin.send("/language", &[("language", "fr")]).await.0, 400);
    app.stop().await;
}

#[actix::test]
async fn buttons_do_what_they_say_and_say_what_they_did() {
    let app = TestApp::builder().agents(&["anna"]).start().await;
    let admin = Browser::new(&app);
    admin.send("/login", &[("token", app.token())]).await;
    let (_, key) = admin.page().await;
    for (act, fields, said) in [
        ("interval", vec![("type", "orders"), ("minutes", "17")], "Orders run every 17 minutes"),
        ("enable", vec![("type", "orders"), ("on", "false")], "The timer of Orders is off"),
        ("pause", vec![("reason", "tea"), ("minutes", "30")], "Paused."),
        ("resume", vec![], "Resumed"),
        ("agent", vec![("agent", "carla"), ("name", "Carla")], "carla is active"),
        ("agent-off", vec![("agent", "carla")], "carla is not active"),
        ("stop", vec![], "0 running syncs stop"),
    ] {
        let own = [("form_key", key.as_str()), ("back", "/types")];
        let fields: Vec<(&str, &str)> = fields.into_iter().chain(own).collect();
        let (status, answer) = admin.send(&format!("/act/{act}"), &fields).await;
        assert_eq!(status, 303, "{act}: {answer}");
        let page = admin.get("/types").await.1;
        assert!(page.contains(said), "{act}: {page}");
    }
    assert_eq!(app.get("/api/sync/schedule").await.1["orders"], json!({ "intervalMinutes": 17, "enabled": false }));
    let wrong = [("form_key", key.as_str()), ("type", "orders"), ("minutes", "1")];
    let (status, wrong) = admin.send("/act/interval", &wrong).await;
    assert_eq!(status, 422);
    assert!(wrong.contains("5 to 1440"), "{wrong}");
    let made = [("form_key", key.as_str()), ("name", "new"), ("role", "viewer")];
    let (status, made) = admin.send("/act/token", &made).await;
    assert_eq!(status, 200);
    assert!(made.contains("<code>lockstep_") && made.contains("shown this once"), "{made}");
    assert!(!admin.get("/tokens").await.1.contains("<code>lockstep_"), "never again");
    let (_, audit) = admin.get("/audit").await;
    for action in ["pause", "agent.put", "token.create", "session.begin"] {
        assert!(audit.contains(action), "{action}: {audit}");
    }
    // nobody is sent elsewhere
    for place in ["//evil.example/", "https://evil.example/", "/\\evil.example"] {
        let elsewhere = [("form_key", key.as_str()), ("back", place)];
        let answer = admin.http.post(format!("{}/act/resume", admin.root)).form(&elsewhere).send().await.unwrap();
        assert_eq!(answer.headers()["location"], "/", "{place}");
    }
    app.stop().await;
}
