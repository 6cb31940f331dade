//! Further prompts for the running turn: taken in once, answered by the turn, over with it.

use errand_protocol::ids::{PromptId, TurnId};
use errand_protocol::runner::{AgentFrame, RunnerEvent};
use errand_protocol::session::TurnOutcome;
use errand_protocol::transcript::PartBody;

use crate::world::{World, done, outcome, tool};

fn prompt(n: u32) -> PromptId {
    PromptId::from_body(&n.to_string()).unwrap()
}

fn steer(world: &World, turn: &TurnId, n: u32, text: &str) {
    world.agent.send(AgentFrame::Steer {
        turn_id: turn.clone(),
        prompt_id: prompt(n),
        text: text.parse().unwrap(),
        model: "demo/demo-fast".parse().unwrap(),
    });
}

/// Waits for the `times`th answer to a steered prompt: whether it was taken in, and why not.
async fn answered(world: &World, n: u32, times: usize) -> Result<(), String> {
    let wanted = prompt(n);
    world
        .agent
        .until("an answer to the steered prompt", |log| {
            let mut answers = log.events.iter().filter_map(|event| match event {
                RunnerEvent::SteerAccepted { prompt_id, .. } if *prompt_id == wanted => Some(Ok(())),
                RunnerEvent::SteerRefused { prompt_id, cause, .. } if *prompt_id == wanted => {
                    Some(Err(cause.code.clone()))
                }
                _ => None,
            });
            answers.nth(times - 1)
        })
        .await
}

/// Waits until a running command has printed something.
async fn printed(world: &World) {
    world
        .agent
        .until("output", |log| {
            log.texts
                .values()
                .any(|text| String::from_utf16_lossy(text).contains("begun\n"))
                .then_some(())
        })
        .await;
}

async fn requests(world: &World, begin: &str) -> usize {
    let all = world.model_requests().await;
    all.iter()
        .filter(|request| request["prompt"].as_str().unwrap().contains(begin))
        .count()
}

#[tokio::test]
async fn prompts_steered_during_a_command_are_answered_by_the_same_turn_and_never_twice() {
    let mut world = World::ready().await;
    let turn = world.prompt("[[bash:{\"cmd\":\"echo begun; sleep 2\"}]] first");
    printed(&world).await;
    steer(&world, &turn, 1, "[[write:{\"path\":\"one.txt\"}]] second");
    steer(&world, &turn, 2, "[[write:{\"path\":\"two.txt\"}]] third");
    steer(&world, &turn, 1, "[[write:{\"path\":\"one.txt\"}]] second");
    assert_eq!(answered(&world, 1, 2).await, Ok(()));
    assert_eq!(answered(&world, 2, 1).await, Ok(()));
    let finished = world.agent.turn_finished(&turn).await;
    assert_eq!(outcome(&finished), done());
    let RunnerEvent::TurnFinished { files, .. } = finished else {
        unreachable!()
    };
    assert_eq!(files.len(), 1, "what the steered prompt changed counts: {files:?}");
    assert_eq!(files[0].path, "two.txt");
    assert_eq!(world.texts(), ["Running a command.", "Wrote two.txt."]);
    assert_eq!(
        requests(&world, "second").await,
        2,
        "one answer, two steps, to both prompts"
    );
    steer(&world, &turn, 1, "[[write]] second");
    assert_eq!(answered(&world, 1, 3).await, Ok(()), "the answer stays the same");
    steer(&world, &turn, 3, "late");
    assert_eq!(answered(&world, 3, 1).await, Err("turn_not_running".to_owned()));
    assert_eq!(outcome(&world.ask("[[bash]] fourth").await), done());
    assert_eq!(requests(&world, "second").await, 2);
    world.check();
}

#[tokio::test]
async fn a_prompt_steered_into_the_last_step_is_answered_before_the_turn_ends() {
    let mut world = World::ready().await;
    let turn = world.prompt("[[gate]] first");
    world.text_begun().await;
    steer(&world, &turn, 1, "[[text:{\"words\":3}]] second");
    assert_eq!(answered(&world, 1, 1).await, Ok(()));
    world.open_gate("gate").await;
    assert_eq!(outcome(&world.agent.turn_finished(&turn).await), done());
    assert_eq!(world.texts(), ["before after", "the cart holds."]);
    world.check();
}

#[tokio::test]
async fn a_prompt_that_comes_when_the_engine_has_just_gone_idle_goes_on_with_the_turn() {
    let mut world = World::ready().await;
    let turn = world.prompt("[[text:{\"words\":2}]] first");
    // The message is complete, the turn is not reported as finished yet.
    world
        .agent
        .event("the message's end", |event| {
            matches!(event, RunnerEvent::MessageFinished { .. }).then_some(())
        })
        .await;
    steer(&world, &turn, 1, "[[text:{\"words\":3}]] second");
    let taken = answered(&world, 1, 1).await;
    assert_eq!(outcome(&world.agent.turn_finished(&turn).await), done());
    let expected: &[&str] = match taken {
        Ok(()) => &["the cart.", "the cart holds."],
        Err(_) => &["the cart."],
    };
    assert_eq!(world.texts(), expected);
    assert_eq!(outcome(&world.ask("[[bash]]").await), done());
    world.check();
}

#[tokio::test]
async fn a_steered_prompt_is_answered_though_the_turn_stopped_at_a_refusal() {
    let mut world = World::with(|setup, _| {
        setup.permissions.insert("bash".to_owned(), "ask".to_owned());
    })
    .await;
    world.agent.ready().await;
    let turn = world.prompt("[[permission]] first");
    let interaction_id = world
        .agent
        .event("an interaction", |event| match event {
            RunnerEvent::InteractionAsked { interaction_id, .. } => Some(interaction_id.clone()),
            _ => None,
        })
        .await;
    steer(&world, &turn, 1, "[[text:{\"words\":3}]] second");
    assert_eq!(answered(&world, 1, 1).await, Ok(()));
    world.agent.send(AgentFrame::Resolve {
        interaction_id,
        answer: errand_protocol::interaction::Answer::Dismiss {},
    });
    assert_eq!(outcome(&world.agent.turn_finished(&turn).await), done());
    assert_eq!(world.texts().last().unwrap(), "the cart holds.");
    world.check();
}

#[tokio::test]
async fn an_abort_ends_a_turn_with_what_was_steered_into_it() {
    let mut world = World::ready().await;
    let turn = world.prompt("[[bash:{\"cmd\":\"echo begun; sleep 600\"}]] first");
    printed(&world).await;
    steer(&world, &turn, 1, "[[write]] second");
    world.agent.send(AgentFrame::Abort { turn_id: turn.clone() });
    steer(&world, &turn, 2, "[[write]] third");
    assert_eq!(answered(&world, 2, 1).await, Err("turn_not_running".to_owned()));
    assert_eq!(outcome(&world.agent.turn_finished(&turn).await).0, TurnOutcome::Aborted);
    assert_eq!(outcome(&world.ask("[[bash]] fourth").await), done());
    assert!(!world.workspace().join("notes.txt").exists());
    world.check();
}

#[tokio::test]
async fn a_runner_killed_with_a_steered_prompt_in_hand_gives_it_to_the_engine_once() {
    let mut world = World::ready().await;
    let turn = world.prompt("[[bash:{\"cmd\":\"echo begun; sleep 4\"}]] first");
    printed(&world).await;
    steer(&world, &turn, 1, "[[text:{\"words\":3}]] second");
    assert_eq!(answered(&world, 1, 1).await, Ok(()));
    world.kill_runner();
    world.start_runner();
    steer_when_connected(&mut world, &turn).await;
    assert_eq!(outcome(&world.agent.turn_finished(&turn).await), done());
    assert_eq!(world.texts(), ["Running a command.", "the cart holds."]);
    assert_eq!(requests(&world, "second").await, 1);
    let PartBody::Tool { output, .. } = tool(&world.parts(), "bash").body else {
        unreachable!()
    };
    assert_eq!(output.as_deref(), Some("begun\n"));
    world.check();
}

async fn steer_when_connected(world: &mut World, turn: &TurnId) {
    world
        .agent
        .until("another hello", |log| (log.hellos.len() > 1).then_some(()))
        .await;
    steer(world, turn, 1, "[[text:{\"words\":3}]] second");
    assert_eq!(answered(world, 1, 2).await, Ok(()));
}

#[tokio::test]
async fn a_steered_prompt_for_an_unknown_model_or_an_unknown_turn_is_refused() {
    let mut world = World::ready().await;
    let turn = world.prompt("[[gate]]");
    world.text_begun().await;
    world.agent.send(AgentFrame::Steer {
        turn_id: turn.clone(),
        prompt_id: prompt(1),
        text: "hello".parse().unwrap(),
        model: "demo/nothing".parse().unwrap(),
    });
    assert_eq!(answered(&world, 1, 1).await, Err("model_unknown".to_owned()));
    let other = TurnId::from_body("other").unwrap();
    steer(&world, &other, 2, "hello");
    assert_eq!(answered(&world, 2, 1).await, Err("turn_not_running".to_owned()));
    world.open_gate("gate").await;
    assert_eq!(outcome(&world.agent.turn_finished(&turn).await), done());
    world.check();
}

#[tokio::test]
async fn an_engine_killed_with_a_steered_prompt_ends_the_turn_as_ever() {
    let mut world = World::ready().await;
    let turn = world.prompt("[[bash:{\"cmd\":\"echo begun; sleep 600\"}]] first");
    printed(&world).await;
    steer(&world, &turn, 1, "[[text]] second");
    assert_eq!(answered(&world, 1, 1).await, Ok(()));
    world.kill_engine();
    assert_eq!(
        outcome(&world.agent.turn_finished(&turn).await),
        (TurnOutcome::Failed, "engine_crashed".to_owned())
    );
    assert_eq!(outcome(&world.ask("[[bash]] third").await), done());
    world.check();
}
