//! Is every page fit to be seen? At three widths, by day and by night, with and without script, by who cannot see well.

use std::process::Command;

use serde_json::{Value as Json, json};

use super::{Browser, Shown, app_and_admin, fill};

/// Every kind of page.
pub fn paths(shown: &Shown) -> Vec<String> {
    let fixed = [
        "/",
        "/?standing=held",
        "/needs-you",
        "/records",
        "/types",
        "/types/orders?over=week",
        "/runs",
        "/queue",
        "/schedule",
        "/write-back",
        "/agents",
        "/sources",
        "/alerts",
        "/audit",
        "/tokens",
        "/system",
    ];
    let mut all: Vec<String> = fixed.map(str::to_owned).into();
    all.push(format!("/records?q={}", shown.key));
    all.push(format!("/records/customers/anna/{}", shown.key));
    all.push("/records/customers/anna/none-like-this".to_owned());
    all.extend([shown.held, shown.bad, shown.changed].map(|run| format!("/runs/{run}")));
    all
}

/// What is wrong with the page at this width.
async fn wrong(browser: &Browser, path: &str, width: u32, night: bool) -> Vec<String> {
    browser.screen(width, night).await;
    let place = format!("{path} at {width}{}", if night { " by night" } else { "" });
    let mut wrong = Vec::new();
    let over = browser.script("return document.documentElement.scrollWidth - innerWidth").await;
    if over.as_i64().unwrap() > 0 {
        wrong.push(format!("{place} is {over} too wide"));
    }
    wrong.extend(browser.complaints().await.into_iter().map(|said| format!("{place}: {said}")));
    wrong
}

#[actix::test]
async fn every_page_fits_every_screen_and_complains_of_nothing() {
    let (app, browser) = app_and_admin().await;
    let shown = fill(&app).await;
    let mut found = Vec::new();
    for path in paths(&shown) {
        browser.go(&path).await;
        for width in [360, 768, 1440] {
            for night in [false, true] {
                found.extend(wrong(&browser, &path, width, night).await);
            }
        }
        // as it goes over the wire: the page, its style and its script
        let weight = browser
            .script(
                "return [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
                 .filter(one => !one.name.includes('/api/')).reduce((sum, one) => sum + one.encodedBodySize, 0)",
            )
            .await;
        if weight.as_f64().unwrap() > 100_000.0 {
            found.push(format!("{path} weighs {weight} bytes"));
        }
        let shape = browser.script("return [document.querySelectorAll('h1').length, document.querySelectorAll('main').length, document.documentElement.lang]").await;
        if shape != json!([1, 1, "en"]) {
            found.push(format!("{path} has {shape}: one h1, one main and a language are expected"));
        }
    }
    assert!(found.is_empty(), "{found:#?}");
    browser.close().await;
    app.stop().await;
}

#[actix::test]
async fn nobody_is_shut_out_by_how_a_page_is_made() {
    is_open_to_all(&[1440]).await;
}

#[actix::test]
#[ignore = "every width: tests/run --long"]
async fn nobody_is_shut_out_at_any_width() {
    is_open_to_all(&[360, 768, 1440]).await;
}

/// axe-core finds nothing serious on any page at these widths.
async fn is_open_to_all(widths: &[u32]) {
    let axe = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/axe")).output().unwrap();
    assert!(axe.status.success(), "{}", String::from_utf8_lossy(&axe.stderr));
    let axe = std::fs::read_to_string(String::from_utf8(axe.stdout).unwrap().trim()).unwrap();
    let (app, browser) = app_and_admin().await;
    let shown = fill(&app).await;
    let mut paths = paths(&shown);
    paths.push("/login".to_owned());
    let mut found = Vec::new();
    for path in paths {
        browser.go(&path).await;
        for (width, night) in widths.iter().flat_map(|width| [(*width, false), (*width, true)]) {
            browser.screen(width, night).await;
            browser.script(&axe).await;
            // by night nothing but the colours is another
            let only = if night { json!({ "runOnly": ["color-contrast"] }) } else { json!({}) };
            let said = browser
                .client
                .execute_async(
                    "const [only, done] = arguments; axe.run({ resultTypes: ['violations'], ...only }).then(found => done(found.violations
                     .filter(one => ['serious', 'critical'].includes(one.impact))
                     .map(one => [one.id, one.help, one.nodes.slice(0, 3).map(node => node.html + ' ' + node.failureSummary)])))",
                    vec![only],
                )
                .await
                .unwrap();
            found.extend(
                said.as_array().into_iter().flatten().map(|one| format!("{path} at {width}, night: {night}: {one:#}")),
            );
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
    browser.close().await;
    app.stop().await;
}

#[actix::test]
async fn every_page_reads_and_every_button_works_without_script() {
    let (app, browser) = app_and_admin().await;
    let shown = fill(&app).await;
    browser.without_script().await;
    for path in paths(&shown) {
        browser.go(&path).await;
        let text = browser.text().await;
        assert!(text.contains("As of"), "{path} says of when it is: {text}");
        assert!(browser.has("main h1").await, "{path}");
    }
    browser.go("/queue").await;
    browser.fill("input[name=reason]", "stocktaking").await;
    browser.find("#pause button").await.click().await.unwrap();
    browser.sees("Paused by admin").await;
    browser.sees("stocktaking").await;
    assert_eq!(browser.place().await, "/queue");
    browser.click("Resume now").await;
    browser.sees("Pause").await;
    assert_eq!(app.get("/api/sync/status").await.1["pause"], Json::Null);
    browser.close().await;
    app.stop().await;
}
