//! Does a page show the end of what it watches, when its connection is cut again and again?

use std::{sync::Arc, time::Duration};

use lockstep::domain::Outcome;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
};

use super::{Browser, app_and_admin};
use crate::fixtures::grid;

/// Hands everything on, until it is told to cut what is open.
async fn wire(to: std::net::SocketAddr) -> (String, Arc<watch::Sender<u32>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let root = format!("http://{}", listener.local_addr().unwrap());
    let cuts = Arc::new(watch::Sender::new(0));
    let told = cuts.clone();
    actix_rt::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            let mut cut = told.subscribe();
            actix_rt::spawn(async move {
                let Ok(mut to) = TcpStream::connect(to).await else { return };
                tokio::select! {
                    _ = copy_bidirectional(&mut from, &mut to) => {}
                    _ = cut.changed() => {}
                }
            });
        }
    });
    (root, cuts)
}

#[actix::test]
async fn a_stream_that_is_cut_twenty_times_ends_with_the_truth() {
    let (app, other) = app_and_admin().await;
    other.close().await;
    let (root, cuts) = wire(app.app.addr).await;
    let browser = Browser::open(&root).await;
    browser.log_in(app.token()).await;
    browser.sees("How every agent stands").await;
    app.source.hang("orders", "anna");
    let job = app.enqueue("orders", "anna").await;
    browser.sees("1 run now").await;
    browser.mark().await;
    for _ in 0..20 {
        cuts.send_modify(|cut| *cut += 1);
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    // its end falls into a time when nobody is connected
    cuts.send_modify(|cut| *cut += 1);
    app.post(&format!("/api/jobs/{job}/cancel"), serde_json::json!({})).await;
    assert_eq!(app.ended(job).await.outcome, Some(Outcome::Stopped));
    cuts.send_modify(|cut| *cut += 1);
    app.source.set("orders", "anna", grid("orders"));
    app.sync("orders", "anna").await;
    browser.sees_that("[...document.querySelectorAll('.cell')].some(one => one.innerText.includes('paused'))").await;
    browser.sees("Nothing runs").await;
    browser.sees("Live").await;
    assert!(browser.is_the_same_page().await);
    browser.close().await;
    app.stop().await;
}
