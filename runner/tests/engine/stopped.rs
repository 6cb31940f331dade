//! What stopping a turn must leave alone: the turn after it.

use errand_protocol::runner::AgentFrame;

use crate::world::{World, done, outcome};

#[tokio::test]
async fn a_turn_stopped_before_the_engine_is_up_again_does_not_take_the_next_one_with_it() {
    let mut world = World::ready().await;
    let lost = world.prompt("[[fast]] [[gate]]");
    world.text_begun().await;
    world.kill_runner();
    world.kill_engine();
    let before = world.agent.log().hellos.len();
    world.start_runner();
    world
        .agent
        .until("another hello", |log| (log.hellos.len() > before).then_some(()))
        .await;
    // As the session does that called the turn lost: both frames come before an engine can be up.
    world.agent.send(AgentFrame::Abort { turn_id: lost.clone() });
    let next = world.prompt("[[fast]] [[bash:{\"cmd\":\"echo after the loss\"}]]");
    assert_eq!(outcome(&world.agent.turn_finished(&lost).await).1, "aborted");
    assert_eq!(outcome(&world.agent.turn_finished(&next).await), done());
    world.check();
}
