//! A control plane that does not read, and a disk that is full.

use errand_protocol::runner::RunnerEvent;
use errand_protocol::session::TurnOutcome;

use crate::world::{World, done, outcome};

/// Steps of the model that have been asked for.
async fn steps(world: &World) -> usize {
    let all = world.model_requests().await;
    all.iter().filter(|request| request["scenario"] == "flood").count()
}

#[tokio::test]
async fn a_control_plane_that_reads_nothing_costs_disk_and_not_memory() {
    let mut world = World::ready().await;
    assert_eq!(outcome(&world.ask("[[bash]]").await), done());
    let before = world.runner_kib();
    world.agent.stall(true);
    let turn = world.prompt("[[flood]]");
    // All of it: 12 MB in 30 steps.
    while steps(&world).await < 31 {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let spool = world.dir.path().join("state/spool.jsonl");
    crate::world::until(|| std::fs::metadata(&spool).unwrap().len() > 11 * 1024 * 1024).await;
    let peak = world.runner_peak_kib();
    assert!(peak < before + 10 * 1024, "from {before} to {peak} KiB");
    world.agent.cut();
    world.agent.stall(false);
    assert_eq!(outcome(&world.agent.turn_finished(&turn).await), done());
    let peak = world.runner_peak_kib();
    assert!(peak < before + 18 * 1024, "catching up: from {before} to {peak} KiB");
    world.check();
}

#[tokio::test]
async fn a_full_disk_ends_the_turn_with_its_cause_and_then_the_runner() {
    let mut world = World::with_env(vec![("ERRAND_SPOOL_LIMIT", (2 * 1024 * 1024).to_string())]).await;
    world.agent.ready().await;
    world.agent.log().acks = false;
    let turn = world.prompt("[[flood]]");
    let finished = world.agent.turn_finished(&turn).await;
    assert_eq!(outcome(&finished), (TurnOutcome::Failed, "disk_full".to_owned()));
    assert_eq!(world.runner_exit().await, 16);
    assert!(!world.engine_alive(), "nothing goes on unheard");
    let log = world.agent.log();
    assert!(matches!(log.events.last(), Some(RunnerEvent::TurnFinished { .. })));
}
