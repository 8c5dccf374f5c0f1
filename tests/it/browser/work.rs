//! Can a person do their work with the pages?

use lockstep::{api, domain::Outcome, source::Vault, testing::TestApp};
use reqwest::Method;
use serde_json::json;

use super::{Browser, app_and_admin, fill, root};
use crate::fixtures::{grid, invent, serve};

#[actix::test]
async fn a_token_lets_in_and_a_link_once() {
    let app = TestApp::builder().agents(&["anna"]).start().await;
    let browser = Browser::open(&root(&app)).await;
    browser.go("/runs").await;
    browser.sees("Log in").await;
    browser.log_in("lockstep_not_a_token").await;
    browser.sees("This token is not known").await;
    browser.log_in(app.token()).await;
    browser.sees("How every agent stands").await;
    browser.click("Log out").await;
    browser.sees("With a token").await;
    let link = app.app.login_link().await.unwrap();
    browser.go(&link).await;
    browser.sees("How every agent stands").await;
    browser.click("Log out").await;
    browser.sees("With a token").await;
    browser.go(&link).await;
    browser.sees("used before").await;
    browser.close().await;
    app.stop().await;
}

#[actix::test]
async fn a_sync_is_watched_and_stopped_without_a_reload() {
    let (app, browser) = app_and_admin().await;
    app.source.set("orders", "anna", grid("orders"));
    browser.mark().await;
    app.sync("orders", "anna").await;
    // timers are off: what is there is called paused, and not fresh
    browser
        .sees_that("[...document.querySelectorAll('.cell')].some(one => /Orders|s ago|paused/.test(one.innerText))")
        .await;
    assert!(browser.is_the_same_page().await);

    app.source.hang("orders", "ben");
    let job = app.enqueue("orders", "ben").await;
    browser.sees("Orders of ben").await;
    browser.sees("1 run now").await;
    assert!(browser.is_the_same_page().await);
    browser.click("Orders of ben").await;
    browser.sees("It is under way").await;
    browser.mark().await;
    browser.click("Stop it…").await;
    browser.confirm().await;
    let end = app.ended(job).await;
    assert_eq!(end.outcome, Some(Outcome::Stopped));
    browser.sees("stopped").await;
    assert!(!browser.offers("Stop it").await, "what is over is not stopped");
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.close().await;
    app.stop().await;
}

#[actix::test]
async fn a_watched_run_tells_its_end_by_itself() {
    let (app, browser) = app_and_admin().await;
    app.source.hang("orders", "anna");
    let job = app.enqueue("orders", "anna").await;
    browser.sees("Orders of anna").await;
    browser.click("Orders of anna").await;
    browser.sees("It is under way").await;
    browser.mark().await;
    app.post(&format!("/api/jobs/{job}/cancel"), json!({})).await;
    browser.sees("stopped").await;
    assert!(browser.is_the_same_page().await && !browser.offers("Stop it").await);
    browser.close().await;
    app.stop().await;
}

#[actix::test]
async fn an_interval_is_set_in_its_place() {
    let (app, browser) = app_and_admin().await;
    browser.click("Types").await;
    let row = "//tr[contains(., 'Orders')]//input[@name='minutes']";
    let field = browser.client.find(fantoccini::Locator::XPath(row)).await.unwrap();
    field.clear().await.unwrap();
    field.send_keys("45\n").await.unwrap();
    browser.sees("45 minutes").await;
    assert_eq!(browser.place().await, "/types", "the answer is on the page that one came from");
    let intervals = app.get("/api/sync/intervals").await.1;
    assert_eq!(intervals["orders"], 45, "{intervals}");
    let audit = app.get("/api/audit?limit=1").await.1;
    assert_eq!((&audit["items"][0]["who"], &audit["items"][0]["target"]), (&json!("admin"), &json!("type:orders")));
    browser.close().await;
    app.stop().await;
}

#[actix::test]
async fn a_plan_is_read_and_its_report_approved() {
    let (app, browser) = app_and_admin().await;
    let shown = fill(&app).await;
    browser.click("Needs you").await;
    browser.sees("held by a guard").await;
    browser.go(&format!("/runs/{}", shown.held)).await;
    browser.sees("28").await;
    browser.sees("not in the report").await;
    browser.click("Approve plan").await;
    browser.sees("What is missing is kept").await;
    // the question's own button
    browser.confirm().await;
    browser.sees("The plan was approved").await;
    app.at_rest().await;
    let run = app.get(&format!("/api/runs/{}", shown.held)).await.1;
    assert_eq!(run["hold"], "applied", "{run}");
    let missing = app.rows("customers", "anna").await.into_iter().filter(|row| !row["missing_since"].is_null()).count();
    assert_eq!(missing, 28);
    browser.close().await;
    app.stop().await;
}

#[actix::test]
async fn a_change_that_was_refused_is_sent_again() {
    let (app, browser) = app_and_admin().await;
    let item = super::undelivered(&app).await;
    browser.click("Write-back").await;
    browser.sees("no such order").await;
    browser.click("Send again").await;
    browser.confirm().await;
    browser.sees("waits").await;
    assert_eq!(app.get(&format!("/api/queue/items/{item}")).await.1["status"], "PENDING");
    browser.close().await;
    app.stop().await;
}

#[actix::test]
async fn a_record_is_found_with_its_printed_line() {
    let (app, browser) = app_and_admin().await;
    let shown = fill(&app).await;
    // from anywhere, by a key
    browser.go("/audit").await;
    browser.find("body").await.send_keys("/").await.unwrap();
    let field = browser.client.active_element().await.unwrap();
    assert_eq!(field.attr("id").await.unwrap().as_deref(), Some("q"));
    field.send_keys(&format!("{}\n", shown.key)).await.unwrap();
    browser.sees(&shown.key).await;
    browser.find(&format!("a[href='/records/customers/anna/{}']", shown.key)).await.click().await.unwrap();
    browser.sees("What became of it").await;
    let printed = browser.find("a[href*='.svg']").await.attr("href").await.unwrap().unwrap();
    assert!(printed.contains("row="), "{printed}");
    browser.go(&printed).await;
    let drawn =
        browser.script("return document.documentElement.tagName + document.querySelectorAll('.mark').length").await;
    assert_eq!(drawn, json!("svg1"), "the page as it was printed, with its row marked");
    browser.close().await;
    app.stop().await;
}

#[actix::test]
async fn a_viewer_sees_all_and_may_nothing() {
    let (app, browser) = app_and_admin().await;
    let shown = fill(&app).await;
    let asked = json!({ "name": "looker", "role": "viewer" });
    let token = app.post("/api/tokens", asked).await.1["token"].as_str().unwrap().to_owned();
    browser.click("Log out").await;
    browser.log_in(&token).await;
    browser.sees("looker").await;
    for path in
        ["/", "/needs-you", "/types", "/runs", "/queue", "/schedule", "/write-back", "/agents", "/sources", "/system"]
    {
        browser.go(path).await;
        // those of the way out are all there is
        let forms = browser
            .script("return [...document.querySelectorAll('form[method=post]')].map(f => f.getAttribute('action'))")
            .await;
        assert_eq!(forms, json!(["/language", "/logout", "/logout?everywhere=true"]), "{path}");
    }
    browser.go(&format!("/runs/{}", shown.held)).await;
    browser.sees("An operator decides about it").await;
    browser.go("/tokens").await;
    browser.sees("Tokens are for admins of all agents").await;
    // and a form that was made up does nothing
    let key = browser.script("location.href = '/'; return 1").await;
    assert_eq!(key, json!(1));
    browser.sees("How every agent stands").await;
    browser
        .script(
            "const key = document.querySelector('[name=form_key]').value, form = document.createElement('form');
             form.method = 'post'; form.action = '/act/sync'; form.innerHTML = `<input name=form_key value=${key}>`;
             document.body.append(form); form.submit()",
        )
        .await;
    browser.sees("needs the role operator").await;
    assert_eq!(app.get("/api/audit?action=refused").await.1["items"][0]["who"], "token:looker");
    browser.close().await;
    app.stop().await;
}

#[actix::test]
async fn focus_and_selection_stay_while_the_page_moves() {
    let (app, browser) = app_and_admin().await;
    let types = app.app.store.types().clone();
    serve(&app, "customers", "anna", &invent(&types, "customers", 5));
    browser.go("/types").await;
    browser.script("const f = document.querySelector('input[name=minutes]'); f.focus(); f.value = '77'").await;
    app.sync("customers", "anna").await;
    app.source.hang("orders", "ben");
    let job = app.enqueue("orders", "ben").await;
    browser.sees("1 run now").await;
    let field = "return document.activeElement.name + document.activeElement.value";
    assert_eq!(browser.script(field).await, json!("minutes77"), "what somebody types in is left alone");

    browser.go("/runs").await;
    browser
        .script("getSelection().selectAllChildren(document.querySelector('main [data-live] th, main [data-live] td'))")
        .await;
    let selected = browser.script("return String(getSelection())").await;
    app.post(&format!("/api/jobs/{job}/cancel"), json!({})).await;
    app.ended(job).await;
    browser.sees_that("!document.body.innerText.includes('1 run now')").await;
    assert_eq!(browser.script("return String(getSelection())").await, selected);
    assert_ne!(selected, json!(""));
    browser.close().await;
    app.stop().await;
}

#[actix::test]
async fn names_that_look_like_markup_stay_text() {
    let (app, browser) = app_and_admin().await;
    let name = "<script>alert(1)</script> \u{05e9}\u{05dc}\u{05d5}\u{05dd} 😀 Ünïcödé".to_owned() + &"w".repeat(50);
    let (status, put) =
        app.request(Method::PUT, "/api/agents/anna", Some(json!({ "name": name, "active": true }))).await;
    assert_eq!(status, 200, "{put}");
    assert!(!api::document().contains("<script>"));
    let types = app.app.store.types().clone();
    let mut customers = invent(&types, "customers", 3);
    customers[0].values[1] = lockstep::domain::Value::Text("<img src=x onerror=alert(1)>".to_owned());
    serve(&app, "customers", "anna", &customers);
    app.sync("customers", "anna").await;
    for (path, says) in [("/agents", "<script>alert(1)"), ("/records?q=%3Cimg", "<img src=x"), ("/", "How every agent")]
    {
        browser.go(path).await;
        browser.sees(says).await;
        for width in [360, 1440] {
            browser.screen(width, false).await;
            let over = browser.script("return document.documentElement.scrollWidth - innerWidth").await;
            assert!(over.as_i64().unwrap() <= 0, "{path} at {width}: {over} too wide");
        }
    }
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.close().await;
    app.stop().await;
}

#[actix::test]
async fn credentials_are_set_by_a_form_and_never_shown() {
    let app = TestApp::builder()
        .agents(&["anna"])
        .setting("LOCKSTEP__SOURCE__CREDENTIALS_KEY", &Vault::new_key().unwrap())
        .start()
        .await;
    let browser = Browser::open(&root(&app)).await;
    browser.log_in(app.token()).await;
    browser.click("Sources").await;
    browser.sees("Every source is asked").await;
    browser.click("Set… those of anna").await;
    browser.fill("details[open] input[name=username]", "anna.bianchi").await;
    browser.fill("details[open] input[name=password]", "whispered").await;
    browser.click("Set them").await;
    browser.sees("The credentials of anna are set").await;
    let page = browser.script("return document.documentElement.innerHTML").await.to_string();
    assert!(!page.contains("whispered") && !page.contains("anna.bianchi"));
    assert_eq!(app.get("/api/credentials").await.1["items"][0]["agentId"], "anna");
    browser.close().await;
    app.stop().await;
}

#[actix::test]
async fn an_operation_is_asked_for_by_a_form() {
    let (app, browser) = app_and_admin().await;
    browser.click("Queue").await;
    browser.click("Do something in the ERP").await;
    browser.find("select[name=type] option[value=submit-order]").await.click().await.unwrap();
    browser.fill("textarea[name=data]", "{\"orderId\": \"O-1\"").await;
    browser.click("Ask for it").await;
    browser.sees("Its data is no JSON").await;
    browser.go("/queue").await;
    browser.click("Do something in the ERP").await;
    browser.find("select[name=type] option[value=submit-order]").await.click().await.unwrap();
    browser.fill("textarea[name=data]", "{\"orderId\": \"O-1\", \"customer\": \"C-1\", \"lines\": 1}").await;
    browser.click("Ask for it").await;
    browser.sees("submit-order of anna is job 1").await;
    browser.sees("succeeded").await;
    assert_eq!(app.sink.effects(), 1);
    browser.close().await;
    app.stop().await;
}

#[actix::test]
async fn times_turn_to_utc_and_who_asks_is_told_of_the_end() {
    let (app, browser) = app_and_admin().await;
    browser.devtools("Emulation.setTimezoneOverride", json!({ "timezoneId": "Asia/Kolkata" })).await;
    // what the browser would show
    let notes =
        "window.told = []; window.Notification = function (title, more) { told.push(`${title}: ${more.body}`) };
                 Notification.permission = 'granted'; Notification.requestPermission = async () => 'granted'";
    app.source.hang("orders", "anna");
    let job = app.enqueue("orders", "anna").await;
    browser.sees("Orders of anna").await;
    browser.click("Orders of anna").await;
    browser.sees("It is under way").await;
    browser.script(notes).await;
    let clock = "return document.querySelector('main time[data-clock]').textContent";
    let here = browser.script(clock).await;
    browser.click("Times in UTC").await;
    let utc = browser.script(clock).await;
    assert_ne!(here, utc, "half an hour is between them");
    browser.click("Tell me when it ends").await;
    app.post(&format!("/api/jobs/{job}/cancel"), json!({})).await;
    browser.sees_that("window.told.length").await;
    let told = browser.script("return window.told.join()").await;
    assert!(told.as_str().unwrap().contains("stopped"), "{told}");
    // it is kept for the next page
    browser.go("/").await;
    assert_eq!(browser.script("return document.querySelector('[data-switch=utc]').ariaPressed").await, json!("true"));
    browser.close().await;
    app.stop().await;
}

#[actix::test]
async fn who_is_for_one_agent_sees_nothing_of_another() {
    let (app, browser) = app_and_admin().await;
    let shown = fill(&app).await;
    let asked = json!({ "name": "ben-alone", "role": "operator", "agents": ["ben"] });
    let token = app.post("/api/tokens", asked).await.1["token"].as_str().unwrap().to_owned();
    browser.click("Log out").await;
    browser.log_in(&token).await;
    browser.sees("ben-alone").await;
    let (run, record) = (format!("/runs/{}", shown.held), format!("/records/customers/anna/{}", shown.key));
    for path in
        ["/", "/needs-you", "/types/customers", "/runs", "/queue", "/schedule", "/agents", "/records?type=customers"]
    {
        browser.go(path).await;
        assert!(!browser.text().await.contains("anna"), "{path}");
    }
    for (path, says) in [
        (&*run, "There is no run"),
        (&*record, "There is no agent"),
        ("/sources", "for those who see all agents"),
        ("/write-back", "of no agent"),
        ("/system", "for admins"),
    ] {
        browser.go(path).await;
        browser.sees(says).await;
    }
    browser.close().await;
    app.stop().await;
}
