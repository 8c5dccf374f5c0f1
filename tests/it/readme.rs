//! Does what the README shows to developers compile and run?

use lockstep::{domain::Reason, queue::Enqueue, testing::TestApp};

#[actix::test]
async fn the_example_for_developers() -> Result<(), Box<dyn std::error::Error>> {
    let report = crate::fixtures::path("grid/agent-1/orders.pdf");
    let app = TestApp::builder().agents(&["anna"]).start().await;
    app.source.set("orders", "anna", std::fs::read(report)?);
    let answer = app.queue.send(Enqueue::new("orders", "anna", Reason::Manual)).await??;
    let run = app.ended(answer.job().ok_or("refused")?).await;
    assert_eq!(run.counts.inserted, 40);
    app.at_rest().await; // nothing more will happen before somebody asks, or the clock goes on
    app.stop().await;

    // these very lines, with a path of one's own
    let readme = include_str!("../../README.md");
    let shown = readme.split("```rust\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap_or_default();
    let own = include_str!("readme.rs");
    for line in shown.lines().map(str::trim).filter(|line| !line.is_empty()) {
        assert!(own.contains(line), "the README says '{line}', which is not tried here");
    }
    assert!(shown.lines().count() > 6);
    Ok(())
}
