//! Does the schema do what people who write to it by hand expect, and what a disk expects of it?

use std::{sync::Arc, time::Duration};

use lockstep::{
    domain::{NewJob, Reason, RunId, Timestamp},
    store::{JobQuery, KeepLimits, Store, StoreError, throwaway::execute},
    testing::{Backend, types},
};
use migration::{Migrator, MigratorTrait as _};
use sea_orm::{ConnectionTrait as _, Database, Statement};
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
async fn a_name_that_nobody_knows_is_an_error_that_says_where_it_stands() {
    let folder = tempfile::tempdir().unwrap();
    let (store, url) = open(&folder).await;
    let now = Timestamp::from_timestamp(1_800_000_000, 0).unwrap();
    let job = NewJob::sync(&"orders".into(), "anna".into(), 4, Reason::Manual);
    let id = store.enqueue(vec![job], None, now).await.unwrap().0[0].job().unwrap();
    let write = async |sql: &str| execute(&url, sql.to_owned(), &Handle::current()).await.unwrap();
    write("UPDATE job SET reason = 'nonsense'").await;
    for error in
        [store.job(id).await.unwrap_err(), store.jobs(JobQuery { limit: 9, ..JobQuery::default() }).await.unwrap_err()]
    {
        assert!(matches!(error, StoreError::Unreadable { .. }) && !error.is_retryable(), "{error}");
        let text = error.to_string();
        for place in ["job", &format!("row {id}"), "reason", "nonsense"] {
            assert!(text.contains(place), "{text}");
        }
    }
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

#[tokio::test(flavor = "multi_thread")]
async fn documents_come_through_a_version_that_has_them_whole() {
    let folder = tempfile::tempdir().unwrap();
    let (store, url) = open(&folder).await;
    let now = Timestamp::from_timestamp(1_800_000_000, 0).unwrap();
    // not to be compressed: several parts
    let mut random = fastrand::Rng::with_seed(7);
    let bytes: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(2_500_000).collect();
    let document = store.keep_document(bytes.clone(), now).await.unwrap();
    let whose = (&"orders".into(), &"a".into());
    let limits = KeepLimits { reports: 3, single_bytes: 9, fresh: Duration::ZERO, age: Duration::ZERO };
    store.keep_report(whose, RunId(1), Arc::new(bytes.clone()), limits, now).await.unwrap();
    store.keep_report(whose, RunId(2), Arc::new(b"a small one".to_vec()), limits, now).await.unwrap();

    let db = Database::connect(&url).await.unwrap();
    Migrator::down(&db, Some(crate::migrations::since("m20261130_000008"))).await.unwrap();
    let length = async |table: &str, column: &str| {
        let sql = format!("SELECT length({column}) AS size FROM {table} ORDER BY id");
        let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await.unwrap();
        rows.iter().map(|row| i64::from(row.try_get::<i32>("", "size").unwrap())).collect::<Vec<_>>()
    };
    assert_eq!(length("document", "bytes").await, [2_500_000], "what is kept is no document there");
    let packed = length("kept_document", "packed").await;
    assert!(packed[0] > 2_500_000 && packed[1] < 30, "{packed:?}");
    Migrator::up(&db, None).await.unwrap();
    db.close().await.unwrap();

    assert!(store.document(document).await.unwrap() == bytes);
    let kept = store.kept_reports(whose.0, whose.1).await.unwrap();
    assert!(store.kept_bytes(kept[0].id).await.unwrap() == bytes);
    assert_eq!(store.kept_bytes(kept[1].id).await.unwrap(), b"a small one");
    // what is forgotten takes its bytes along
    assert_eq!(store.clean_documents(now + Duration::from_secs(1)).await.unwrap(), 1, "the document is nobody's");
    let none = KeepLimits { reports: 0, ..limits };
    store.keep_report(whose, RunId(3), Arc::default(), none, now).await.unwrap();
    let db = Database::connect(&url).await.unwrap();
    let parts = Statement::from_string(db.get_database_backend(), "SELECT 1 FROM document_part");
    assert!(db.query_all_raw(parts).await.unwrap().is_empty());
    db.close().await.unwrap();
    store.close().await;
}
