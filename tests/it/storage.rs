//! Does the schema come and go, and does the database hold what memory promises?

use std::sync::Arc;

use lockstep::{
    domain::{NewJob, NextStep, Outcome, Reason, Timestamp},
    store::{Claim, DataQuery, Finish, Setting, Store, StoreError},
    sync_type::SyncTypes,
    testing::types,
};
use tokio::runtime::Handle;

async fn open(folder: &tempfile::TempDir) -> Store {
    let url = format!("sqlite://{}/lockstep.db?mode=rwc", folder.path().display());
    Store::open(&url, Handle::current(), Arc::new(types())).await.unwrap()
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_timestamp(1_800_000_000 + second, 0).unwrap()
}

/// Room for `any` jobs of the types that these tests use.
fn claim(owner: &str, any: usize) -> Claim {
    Claim { owner: owner.to_owned(), any, known: vec!["orders".into()], ..Claim::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn migrations_go_up_down_and_up_again_and_records_stay() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    assert!(store.migration_status().await.unwrap().iter().all(|(_, applied)| !applied));
    for _ in 0..2 {
        store.migrate().await.unwrap();
        assert!(store.migration_status().await.unwrap().iter().all(|(_, applied)| *applied));
        store.migrate().await.unwrap();
        assert!(store.agents().await.unwrap().is_empty());
        let types = types();
        assert!(store.data(types.get("orders").unwrap(), DataQuery::default()).await.unwrap().items.is_empty());
        store.migrate_down().await.unwrap();
        assert!(store.agents().await.is_err(), "the control tables are gone");
        assert!(store.data(types.get("orders").unwrap(), DataQuery::default()).await.is_ok(), "record tables stay");
    }
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_type_whose_key_changes_is_refused_and_a_field_that_changes_its_type_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let file = |key: &str, value_type: &str| {
        format!(
            "name = \"couriers\"\nscope = \"shared\"\npriority = 1\ninterval_minutes = 30\nkey = \"{key}\"\n\
             required = [\"{key}\"]\nchange_hash = {{ algorithm = \"md5\" }}\ncolumns = [\n\
             {{ headers = [\"CODE\"], field = \"code\", type = \"id\" }},\n\
             {{ headers = [\"SIZE\"], field = \"size\", type = \"{value_type}\" }},\n]\n"
        )
    };
    let open = async |text: String| {
        let types = SyncTypes::from_files([("couriers.toml".to_owned(), text)]).unwrap();
        let url = format!("sqlite://{}/lockstep.db?mode=rwc", folder.path().display());
        let store = Store::open(&url, Handle::current(), Arc::new(types)).await.unwrap();
        (store.migrate().await, store)
    };
    let (migrated, store) = open(file("code", "text")).await;
    migrated.unwrap();
    store.close().await;
    let (migrated, store) = open(file("code", "int")).await;
    migrated.unwrap();
    store.close().await;
    let (migrated, store) = open(file("size", "text")).await;
    let refused = migrated.unwrap_err().to_string();
    assert!(refused.contains("couriers") && refused.contains("'code'") && refused.contains("'size'"), "{refused}");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn intervals_out_of_range_are_refused_by_the_database_itself() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    store.migrate().await.unwrap();
    for minutes in [4, 1441] {
        let seed = Setting {
            sync_type: "orders".into(),
            interval_minutes: minutes,
            enabled: true,
            last_tick: None,
            next_run: None,
        };
        assert!(matches!(store.seed_settings(vec![seed], at(0)).await, Err(StoreError::Database { .. })));
    }
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_write_is_refused_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    store.migrate().await.unwrap();
    let job = NewJob::sync(&"orders".into(), "a".into(), 4, Reason::Manual);
    store.enqueue(vec![job], None, at(0)).await.unwrap();
    let frozen = store.claim(claim("frozen", 1), at(1)).await.unwrap().jobs.remove(0);
    assert!(store.claim(claim("other", 1), at(2)).await.unwrap().jobs.is_empty(), "one job an agent");
    assert_eq!(store.rescue(frozen.id, frozen.lease, 0, at(30)).await.unwrap(), Some(Outcome::Lost));
    assert_eq!(store.rescue(frozen.id, frozen.lease, 0, at(31)).await.unwrap(), None, "rescued once");
    let taken = store.claim(claim("other", 1), at(32)).await.unwrap().jobs.remove(0);
    assert!(taken.lease > frozen.lease && taken.attempt == 2);

    let end = Finish { outcome: Some(Outcome::Succeeded), ..Finish::default() };
    let late = store.finish(&frozen, end.clone(), NextStep::Done, at(33)).await;
    assert!(matches!(late, Err(StoreError::LeaseLost { .. })));
    assert_eq!(store.run(frozen.run).await.unwrap().unwrap().outcome.as_deref(), Some("lost"));
    store.finish(&taken, end, NextStep::Done, at(34)).await.unwrap();
    assert_eq!(store.job(taken.id).await.unwrap().unwrap().state, "done");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_on_one_file_never_claim_the_same_job() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (open(&folder).await, open(&folder).await);
    one.migrate().await.unwrap();
    let jobs = (0..40).map(|n| NewJob::sync(&"orders".into(), format!("agent-{n}").into(), 4, Reason::Timer)).collect();
    one.enqueue(jobs, None, at(0)).await.unwrap();
    let claims =
        (0..20).map(|n| if n % 2 == 0 { one.claim(claim("one", 3), at(1)) } else { two.claim(claim("two", 3), at(1)) });
    let claimed = futures_util::future::try_join_all(claims).await.unwrap();
    let mut ids: Vec<_> = claimed.into_iter().flat_map(|claimed| claimed.jobs).map(|job| job.id).collect();
    assert_eq!(ids.len(), 40);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 40);
    one.close().await;
    two.close().await;
}
