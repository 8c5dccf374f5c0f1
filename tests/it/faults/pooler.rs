//! A pooler stands between lockstep and PostgreSQL, with as many connections as were agreed on.

use std::sync::Arc;

use lockstep::{store::Store, testing::types};
use serde_json::json;
use tokio::runtime::Handle;

use super::{servers::Server, service::World};

#[actix::test]
async fn sessions_through_a_pooler_work_with_the_number_that_is_given() {
    let folder = tempfile::tempdir().unwrap();
    let postgres = Server::postgres(folder.path());
    let session = ["pool_mode = session", "default_pool_size = 4"];
    let pooler = Server::pgbouncer(folder.path(), &postgres, &session);
    let world = World::postgres(&pooler.url).quick().with(&["database.connections = 4"]);
    let truth = world.print(60, 1);
    let service = world.serve("one").await;
    service.post("/api/sync/trigger-all", json!({})).await;
    service.idle().await;
    service.assert_truth(&world, &truth, "through the pooler").await;
    let (took, is_well) = service.terminate().await;
    assert!(is_well, "ended after {took:?}");

    // more than there are: by name, and not by requests that hang later
    let Err(error) = Store::open_with(&pooler.url, 6, Handle::current(), Arc::new(types())).await else {
        panic!("it opened with more connections than there are");
    };
    let error = error.to_string();
    assert!(error.starts_with("database.connections: 6 are wanted and 4 were given"), "{error}");
}

#[actix::test]
async fn a_pooler_of_transactions_is_refused_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let postgres = Server::postgres(folder.path());
    let pooler = Server::pgbouncer(folder.path(), &postgres, &["pool_mode = transaction", "default_pool_size = 2"]);
    let Err(error) = Store::open_with(&pooler.url, 4, Handle::current(), Arc::new(types())).await else {
        panic!("its sessions are not ours");
    };
    assert!(error.to_string().contains("must pool sessions, not transactions"), "{error}");
}
