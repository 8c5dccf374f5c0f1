//! Do lives that are shorter than a lease rescue what earlier ones left behind?

use std::time::{Duration, Instant};

use serde_json::json;

use super::service::World;

#[actix::test]
async fn a_crash_loop_of_lives_shorter_than_a_lease_gets_its_work_done() {
    // no multiple of a life: what is taken over at the instant of a kill dies with that life too, and three such
    // deaths are all that a job has
    let world = World::sqlite().with(&["queue.heartbeat_ms = 1000", "queue.lease_ms = 10000"]);
    let truth = world.print(200, 1);
    let first = world.serve("one").await;
    first.post("/api/sync/trigger-all", json!({})).await;
    // it dies while something runs
    let started = Instant::now();
    loop {
        let status = first.get("/api/sync/status").await;
        if status["queue"]["active"].as_u64().unwrap_or(0) > 0 {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(20), "{}", first.log());
    }
    first.kill();
    // and so does each of the next, a few seconds after its start
    let mut lives = 1;
    let left = loop {
        let life = world.serve("one").await;
        lives += 1;
        tokio::time::sleep(Duration::from_secs(6)).await;
        if life.is_idle().await {
            break life;
        }
        life.kill();
        assert!(lives < 10, "after {lives} lives of 6 s the work is not done");
    };
    println!("all work was done in life {lives} of 6 s each, by a lease of 10 s");
    left.assert_truth(&world, &truth, "after the crash loop").await;
}
