//! Does the schema go up and down, with what is in it?

use std::sync::Arc;

use lockstep::{
    domain::{Counts, NewJob, NextStep, Outcome, Reason},
    report::Layout,
    store::{DataQuery, Finish, Store, throwaway::execute},
    sync_type::SyncTypes,
    testing::{Backend, types},
};
use migration::{Migrator, MigratorTrait as _};
use sea_orm::{ConnectionTrait as _, Database};
use tokio::runtime::Handle;

use crate::storage::{at, claim, open};

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
async fn a_queue_that_is_at_work_goes_back_by_a_version_and_forward_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    store.migrate().await.unwrap();
    let orders = |agent: &str| NewJob::sync(&"orders".into(), agent.into(), 4, Reason::Manual);
    let other_key = |job: NewJob| NewJob { dedup_key: None, ..job };
    let asked = vec![orders("anna"), other_key(orders("anna")), other_key(orders("anna")), orders("bert")];
    let (answers, claimed) = store.enqueue(asked, Some(claim("one", 1)), at(0)).await.unwrap();
    assert!(answers.iter().all(|answer| answer.is_taken()));
    let running = claimed.unwrap().jobs.remove(0);
    let url = Backend::of_suite().database(folder.path()).await;
    let before = format!("DELETE FROM agent_lock WHERE agent_id = 'anna' AND job_id = {}", running.id);
    back_and_forward(&url, "m20261127_000006", Some(&before)).await;
    let end = Finish { outcome: Some(Outcome::Unchanged), ..Finish::default() };
    store.finish(&running, end.clone(), NextStep::Done, at(1)).await.unwrap();
    // one after the other: no lane lost its first, no agent stays taken
    let mut agents = Vec::new();
    for second in 2..5 {
        let job = store.claim(claim("one", 1), at(second)).await.unwrap().jobs.remove(0);
        store.finish(&job, end.clone(), NextStep::Done, at(second)).await.unwrap();
        agents.push(job.agent.to_string());
    }
    agents.sort();
    assert_eq!(agents, ["anna", "anna", "bert"]);
    assert_eq!(store.job_counts().await.unwrap(), []);
    store.close().await;
}

/// This migration and the newer ones: how many?
pub fn since(migration: &str) -> u32 {
    let newer = Migrator::migrations().into_iter().rev().position(|one| one.name().starts_with(migration));
    u32::try_from(newer.unwrap()).unwrap() + 1
}

/// Takes this migration and the newer ones back, carries out a statement there that finds one row, and migrates again.
/// Goes back to before `migration`, carries out a statement that changes one row there, and comes forward again.
async fn back_and_forward(url: &str, migration: &str, statement: Option<&str>) {
    let db = Database::connect(url).await.unwrap();
    Migrator::down(&db, Some(since(migration))).await.unwrap();
    if let Some(statement) = statement {
        let done = db.execute_unprepared(statement).await.unwrap();
        assert_eq!(done.rows_affected(), 1);
    }
    Migrator::up(&db, None).await.unwrap();
    db.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schema_of_a_newer_version_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    store.migrate().await.unwrap();
    let url = Backend::of_suite().database(folder.path()).await;
    let newer = "INSERT INTO seaql_migrations (version, applied_at) VALUES ('m20990101_000001_newer', 0)";
    execute(&url, newer.to_owned(), &Handle::current()).await.unwrap();
    for refused in [store.migrate().await, store.migrate_down().await] {
        let text = refused.unwrap_err().to_string();
        assert!(text.contains("newer lockstep") && text.contains("m20990101_000001_newer"), "{text}");
    }
    assert!(store.agents().await.is_ok(), "nothing was taken away");
    let status = store.migration_status().await.unwrap();
    assert!(status.contains(&("m20990101_000001_newer".to_owned(), true)), "{status:?}");
    store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_type_whose_key_changes_is_refused_and_a_column_becomes_wider_but_never_narrower() {
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
        let url = Backend::of_suite().database(folder.path()).await;
        let store = Store::open(&url, Handle::current(), Arc::new(types)).await.unwrap();
        (store.migrate().await, store)
    };
    for wider in ["int", "number", "text"] {
        let (migrated, store) = open(file("code", wider)).await;
        migrated.unwrap();
        store.close().await;
    }
    let (migrated, store) = open(file("code", "int")).await;
    if Backend::of_suite() == Backend::Sqlite {
        // any column holds any value
        migrated.unwrap();
    } else {
        let refused = migrated.unwrap_err().to_string();
        assert!(refused.contains("couriers") && refused.contains("'size'") && refused.contains("text"), "{refused}");
    }
    store.close().await;
    let (migrated, store) = open(file("size", "text")).await;
    let refused = migrated.unwrap_err().to_string();
    assert!(refused.contains("couriers") && refused.contains("'code'") && refused.contains("'size'"), "{refused}");
    store.close().await;
}

/// A version that did not know of states is followed by one that works them out from the history.
#[tokio::test(flavor = "multi_thread")]
async fn states_and_totals_are_worked_out_from_the_history() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder).await;
    store.migrate().await.unwrap();
    let failed = Some(Outcome::Failed { retryable: true });
    let counts = Counts { read: 9, inserted: 7, quarantined: 2, orphans: 1, ..Counts::default() };
    let layout = Some(Layout::default());
    let read = Finish { counts, layout, outcome: Some(Outcome::SucceededWithQuarantine), ..Finish::default() };
    let unread = |outcome| Finish { outcome, error_code: Some("source_refused".into()), ..Finish::default() };
    let given = |agent: &str| NewJob::sync(&"orders".into(), agent.into(), 4, Reason::Upload);
    let due = |agent: &str| NewJob::sync(&"orders".into(), agent.into(), 4, Reason::Timer);
    let history = [
        (due("anna"), read.clone()),
        (due("bert"), unread(failed)),
        (due("anna"), unread(failed)),
        (given("anna"), Finish { outcome: Some(Outcome::Unchanged), ..Finish::default() }),
        (due("anna"), unread(failed)),
        (due("bert"), unread(Some(Outcome::Lost))),
        (due("carl"), Finish { outcome: Some(Outcome::Stopped), ..Finish::default() }),
    ];
    for (hour, (job, end)) in (0..).zip(history) {
        let now = at(hour * 1_700);
        store.enqueue(vec![job], None, now).await.unwrap();
        let job = store.claim(claim("one", 1), now).await.unwrap().jobs.remove(0);
        store.finish(&job, end, NextStep::Done, now + chrono::Duration::milliseconds(1_234)).await.unwrap();
    }
    let (states, totals) = (store.sync_states().await.unwrap(), store.run_totals(at(0)).await.unwrap());
    assert_eq!(states.len(), 3);
    let url = Backend::of_suite().database(folder.path()).await;
    back_and_forward(&url, "m20261130_000010", None).await;
    assert_eq!(store.sync_states().await.unwrap(), states);
    assert_eq!(store.run_totals(at(0)).await.unwrap(), totals);
    // and both are added to as before
    let now = at(20_000);
    store.enqueue(vec![due("anna")], None, now).await.unwrap();
    let job = store.claim(claim("one", 1), now).await.unwrap().jobs.remove(0);
    store.finish(&job, read, NextStep::Done, now).await.unwrap();
    let state = store.sync_state(&"orders".into(), &"anna".into()).await.unwrap().unwrap();
    assert_eq!((state.failures, state.quarantined, state.records_run), (0, 2, Some(job.run)));
    store.close().await;
}
