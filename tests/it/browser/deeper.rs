//! Is shown what lies deeper: columns that are not what they were, and a price over time?

use lockstep::{
    domain::Value,
    pretend_erp::{self, Layout},
};

use super::app_and_admin;
use crate::{
    fixtures::{invent, serve},
    taught::renamed,
};

#[actix::test]
async fn columns_that_came_and_went_are_named() {
    let (app, browser) = app_and_admin().await;
    let spec = app.app.store.types().get("orders").unwrap().clone();
    let records = invent(app.app.store.types(), "orders", 12);
    serve(&app, "orders", "anna", &records);
    app.sync("orders", "anna").await;
    let without: Vec<usize> = (0..spec.columns.len()).filter(|column| *column != 5).collect();
    let layout = Layout { columns: Some(without), ..Layout::default() };
    app.source.set("orders", "anna", pretend_erp::print(&spec, &records, &layout).unwrap());
    let run = app.sync("orders", "anna").await.id;
    browser.go(&format!("/runs/{run}")).await;
    browser.sees("Its columns are not what they were").await;
    browser.sees(&spec.columns[5].headers[0]).await;
    browser.sees("not printed any more").await;
    let field = spec.field_of_header(&spec.columns[5].headers[0]).unwrap();
    browser.sees(&format!("was read as {field}")).await;
    browser.go("/needs-you").await;
    browser.sees("not printed any more").await;
    browser.close().await;
    app.stop().await;
}

#[actix::test]
async fn a_price_is_drawn_over_time_beside_its_product() {
    let (app, browser) = app_and_admin().await;
    let types = app.app.store.types().clone();
    let (products, spec) = (types.get("products").unwrap(), types.get("prices").unwrap());
    let goods = invent(&types, "products", 3);
    serve(&app, "products", "service-account", &goods);
    let mut prices = invent(&types, "prices", 3);
    let parent = spec.parent.clone().unwrap();
    let place = |name: &str| spec.fields.iter().position(|field| field.name == name).unwrap();
    let matches = products.fields.iter().position(|field| field.name == parent.matches).unwrap();
    prices[0].values[place(&parent.field)] = goods[0].values[matches].clone();
    for (at, price) in ["100.00", "1284.50", "90.00"].into_iter().enumerate() {
        prices[0].values[place("unit_price")] = Value::Decimal(price.parse().unwrap());
        serve(&app, "prices", "service-account", &prices);
        // products ask for their prices by themselves
        app.sync(if at == 0 { "products" } else { "prices" }, "service-account").await;
        app.at_rest().await;
    }
    let rows = app.records("products", "service-account").await;
    let key =
        rows.iter().find(|row| Some(&row[&parent.matches]) == spec.to_json(&prices[0], |_| true).get(&parent.field));
    let key = key.unwrap()[products.key_name()].as_str().unwrap().to_owned();
    browser.go(&format!("/records/products/service-account/{}", key.replace('/', "%2F"))).await;
    browser.sees("1.284,50").await;
    browser.sees("90,00").await;
    assert!(browser.has("svg.chart[aria-label='From 100,00 to 90,00'] .ln").await);
    browser.close().await;
    app.stop().await;
}

#[actix::test]
async fn a_column_is_taught_by_a_click_where_its_report_was_refused() {
    let (app, browser) = app_and_admin().await;
    let types = app.app.store.types().clone();
    app.source.set("customers", "ben", renamed(&types, &invent(&types, "customers", 20)));
    app.sync("customers", "ben").await;
    browser.click("Needs you").await;
    browser.sees("Columns that are not read").await;
    // the field that stands where it is expected is chosen already
    browser.click("Read it so").await;
    browser.sees("is read as customer_profile from the next run on").await;
    browser.sees("since it was taught").await;
    let read = app.sync("customers", "ben").await;
    assert_eq!(read.counts.inserted, 20, "{read:?}");
    browser.go("/types/customers").await;
    browser.sees("Headers that people taught").await;
    browser.click("Forget it").await;
    browser.sees("It is not read any more").await;
    assert!(!browser.text().await.contains("Headers that people taught"));
    browser.close().await;
    app.stop().await;
}

#[actix::test]
async fn keys_lead_on_and_can_be_switched_off() {
    let (app, browser) = app_and_admin().await;
    let press = async |keys: &str| browser.find("body").await.send_keys(keys).await.unwrap();
    press("?").await;
    browser.sees("Previous in the list").await;
    browser.click("Keys off").await;
    browser.click("Close").await;
    press("gt").await;
    press("?").await;
    assert_eq!(browser.place().await, "/");
    assert!(!browser.has("dialog[open]").await, "a key did something");
    browser.click("Keyboard").await;
    browser.click("Keys off").await;
    browser.click("Close").await;
    press("gt").await;
    browser.sees("Where its columns come from").await;
    press("j").await;
    assert_eq!(browser.script("return document.activeElement.closest('tbody tr') !== null").await, true);
    browser.close().await;
    app.stop().await;
}
