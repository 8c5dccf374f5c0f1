//! Does the schema do what people who write to it by hand expect, and what a disk expects of it?

use std::sync::Arc;

use lockstep::{
    domain::Timestamp,
    store::{Store, throwaway::execute},
    testing::{Backend, types},
};
use tokio::runtime::Handle;

async fn open(folder: &tempfile::TempDir) -> (Store, String) {
    let url = Backend::of_suite().database(folder.path()).await;
    let store = Store::open(&url, Handle::current(), Arc::new(types())).await.unwrap();
    store.migrate().await.unwrap();
    (store, url)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_that_is_inserted_by_hand_has_its_defaults() {
    let folder = tempfile::tempdir().unwrap();
    let (store, url) = open(&folder).await;
    let insert = "INSERT INTO sync_settings (sync_type) VALUES ('orders')".to_owned();
    execute(&url, insert, &Handle::current()).await.unwrap();
    let settings = store.settings().await.unwrap();
    assert_eq!((settings[0].interval_minutes, settings[0].enabled), (30, true));
    let out_of_bounds = "UPDATE sync_settings SET interval_minutes = 4".to_owned();
    assert!(execute(&url, out_of_bounds, &Handle::current()).await.is_err(), "bounds are kept");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_large_write_does_not_leave_a_large_log_behind() {
    // PostgreSQL looks after its own log
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/lockstep.db?mode=rwc", folder.path().display());
    let store = Store::open(&url, Handle::current(), Arc::new(types())).await.unwrap();
    store.migrate().await.unwrap();
    let now = Timestamp::from_timestamp(1_800_000_000, 0).unwrap();
    let large = "CREATE TABLE large AS SELECT zeroblob(62914560) AS bytes".to_owned();
    execute(&url, large, &Handle::current()).await.unwrap();
    let log = folder.path().join("lockstep.db-wal");
    let size = || log.metadata().map_or(0, |file| file.len());
    assert!(size() > 50 << 20, "{}", size());
    for _ in 0..20 {
        let small = store.keep_document(vec![7; 1 << 20], now).await.unwrap();
        store.drop_document(small).await.unwrap();
    }
    assert!(size() <= 20 << 20, "the log keeps {} bytes", size());
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_large_documents_took_of_the_disk_comes_back() {
    // PostgreSQL uses its room again by itself
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/lockstep.db?mode=rwc", folder.path().display());
    let store = Store::open(&url, Handle::current(), Arc::new(types())).await.unwrap();
    store.migrate().await.unwrap();
    let now = Timestamp::from_timestamp(1_800_000_000, 0).unwrap();
    let mut documents = Vec::new();
    for _ in 0..4 {
        documents.push(store.keep_document(vec![7; 20 << 20], now).await.unwrap());
    }
    for document in documents {
        store.drop_document(document).await.unwrap();
    }
    assert!(store.give_back_space().await.unwrap() > 10_000, "60 MiB are 15360 pages");
    // the log is folded into the file
    store.close().await;
    let size = folder.path().join("lockstep.db").metadata().unwrap().len();
    assert!(size < 20 << 20, "the file keeps {size} bytes");
}
