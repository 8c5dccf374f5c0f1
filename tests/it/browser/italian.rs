//! Does who reads Italian find a word of English?

use std::collections::BTreeSet;

use lockstep::ui::italian;
use serde_json::json;

use super::{app_and_admin, fill, pages::paths, undelivered};
use crate::{fixtures::invent, taught::renamed};

#[actix::test]
async fn every_page_is_there_in_italian_whole_and_fits() {
    let (app, browser) = app_and_admin().await;
    let shown = fill(&app).await;
    undelivered(&app).await;
    // a column that nobody knows, and one that was taught
    let types = app.app.store.types().clone();
    app.source.set("customers", "ben", renamed(&types, &invent(&types, "customers", 20)));
    let refused = app.sync("customers", "ben").await.id;
    app.app
        .store
        .teach((&"orders".into(), "CLIENTE NUOVO", "customer_name"), "root", chrono::Utc::now())
        .await
        .unwrap();
    app.raw(reqwest::Method::POST, "/api/sync/pause")
        .json(&json!({ "reason": "x", "minutes": 5 }))
        .send()
        .await
        .unwrap();
    let (mut unknown, mut found) = (BTreeSet::new(), Vec::new());
    let every = || {
        paths(&shown).into_iter().chain([
            format!("/runs/{refused}"),
            "/types/customers".to_owned(),
            "/runs/9999".to_owned(),
        ])
    };
    for path in every() {
        browser.go("/types").await;
        // as it is sent: the script says times its own way
        let page = browser.script(&format!("return fetch({path:?}).then(answer => answer.text())")).await;
        let page = page.as_str().unwrap().to_owned();
        assert!(page.contains("lang=\"en\""), "{path}: {page}");
        unknown.extend(italian(&page).unwrap().unknown.into_iter().map(|text| format!("{path}: {text}")));
    }
    assert!(unknown.is_empty(), "src/ui/italian.toml has no word for {unknown:#?}");

    browser.go("/runs").await;
    browser.click("Italiano").await;
    browser.sees("Esecuzioni").await;
    for path in every() {
        browser.go(&path).await;
        for width in [360, 1440] {
            browser.screen(width, false).await;
            let seen = browser
                .script("return [document.documentElement.lang, document.documentElement.scrollWidth > innerWidth, [...document.querySelectorAll('nav')].some(one => one.scrollWidth > one.clientWidth)]")
                .await;
            if seen != json!(["it", false, false]) {
                found.push(format!("{path} at {width}: {seen}"));
            }
        }
        found.extend(browser.complaints().await.into_iter().filter(|said| !said.contains("404")));
    }
    assert!(found.is_empty(), "{found:#?}");
    // what the script says, too, and what an action answers
    browser.go("/types").await;
    browser.sees("In diretta").await;
    browser.click("English").await;
    browser.sees("Needs you").await;
    browser.close().await;
    app.stop().await;
}
