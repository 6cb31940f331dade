//! Turns from prompt to end, with the real engine: what people see of text, tools, questions and failures.

use crate::world::{World, done, git, next_turn, outcome, sample, tool};
use errand_protocol::ids::InteractionId;
use errand_protocol::interaction::{Answer, Ask, PermissionReply};
use errand_protocol::runner::{AgentFrame, RunnerEvent};
use errand_protocol::session::{FileStatus, TurnOutcome};
use errand_protocol::transcript::{PartBody, ToolStatus};

#[tokio::test]
async fn the_sample_is_really_fixed_and_every_part_of_it_is_reported() {
    let mut world = World::with(|setup, dir| {
        setup.repo = Some(sample(dir));
        setup.title = None;
    })
    .await;
    let (branch, commit) = world
        .agent
        .event("cloned", |event| match event {
            RunnerEvent::Cloned { branch, commit } => Some((branch.to_string(), commit.clone())),
            _ => None,
        })
        .await;
    assert_eq!(
        (branch.as_str(), commit),
        ("main", git(&world.workspace(), &["rev-parse", "HEAD"]))
    );
    world.agent.ready().await;
    let finished = world.ask("[[fast]] Fix the failing test").await;
    assert_eq!(outcome(&finished), done());
    let RunnerEvent::TurnFinished { usage, files, .. } = finished else {
        unreachable!()
    };
    assert!(usage.input > 100 && usage.output > 50);
    assert_eq!(files.len(), 1, "{files:?}");
    assert_eq!(
        (files[0].path.as_str(), files[0].status),
        ("src/cart.mjs", FileStatus::Modified)
    );
    assert!(
        files[0]
            .patch
            .as_ref()
            .unwrap()
            .contains("+  const sum = subtotal(cart)")
    );
    let parts = world.parts();
    let PartBody::Tool { diff, status, .. } = tool(&parts, "edit").body else {
        unreachable!()
    };
    assert!(status == ToolStatus::Completed && diff.unwrap().contains("subtotal(cart)"));
    let PartBody::Tool { exit_code, output, .. } = tool(&parts, "bash").body else {
        unreachable!()
    };
    assert!(exit_code == Some(1) && output.unwrap().contains("1863 !== 2025"));
    assert!(
        parts
            .iter()
            .any(|part| matches!(&part.body, PartBody::Patch { files } if files == &["src/cart.mjs"]))
    );
    assert!(
        world.texts().last().unwrap().contains("all **13** tests pass"),
        "{:?}",
        world.texts()
    );
    {
        let log = world.agent.log();
        let todos = log.events.iter().rev().find_map(|event| match event {
            RunnerEvent::Todos { todos } => Some(todos.clone()),
            _ => None,
        });
        assert!(todos.unwrap().iter().all(|todo| todo.status == "completed"));
        assert!(
            log.events
                .iter()
                .any(|event| matches!(event, RunnerEvent::Title { title } if title == "Fix the failing test"))
        );
    }
    assert_eq!(
        git(&world.workspace(), &["config", "--local", "user.name"]),
        "Ada Example"
    );
    let finished = world.ask("[[fast]] Please add a test for an empty cart").await;
    assert_eq!(outcome(&finished), done());
    let text = world.texts().pop().unwrap();
    assert!(text.contains("All **14** tests pass"), "{text}");
    world.check();
}

#[tokio::test]
async fn a_streamed_text_comes_in_deltas_that_join_to_the_final_part() {
    let world = World::ready().await;
    let turn = next_turn();
    world.agent.send(AgentFrame::Run {
        turn_id: turn.clone(),
        text: "[[text:{\"words\":80}]]".parse().unwrap(),
        model: "demo/demo".parse().unwrap(),
        author: crate::world::author(),
    });
    assert_eq!(outcome(&world.agent.turn_finished(&turn).await), done());
    let part = world.parts().pop().unwrap();
    let PartBody::Text { text } = &part.body else {
        panic!("{part:?}")
    };
    let log = world.agent.log();
    let streamed = String::from_utf16(&log.texts[&part.id]).unwrap();
    assert!(text.starts_with(&streamed) && streamed.len() * 2 > text.len());
    assert!(log.delta_frames[&part.id] > 5);
    drop(log);
    world.check();
}

#[tokio::test]
async fn three_hundred_lines_of_output_are_a_few_frames() {
    let mut world = World::ready().await;
    assert_eq!(
        outcome(&world.ask("[[fast]] [[lines:{\"count\":300,\"ms\":10}]]").await),
        done()
    );
    let part = tool(&world.parts(), "bash");
    let PartBody::Tool { output, exit_code, .. } = &part.body else {
        unreachable!()
    };
    assert_eq!(*exit_code, Some(0));
    assert!(output.as_ref().unwrap().ends_with("line 300\n"));
    let log = world.agent.log();
    let frames = log.delta_frames[&part.id];
    assert!((2..=30).contains(&frames), "{frames} frames");
    let streamed = String::from_utf16(&log.texts[&part.id]).unwrap();
    assert!(output.as_ref().unwrap().starts_with(&streamed));
    drop(log);
    world.check();
}

#[tokio::test]
async fn a_huge_output_is_cut_to_head_and_tail() {
    let mut world = World::ready().await;
    assert_eq!(
        outcome(
            &world
                .ask("[[fast]] [[write:{\"path\":\"big.txt\",\"content\":\"small\"}]]")
                .await
        ),
        done()
    );
    assert_eq!(outcome(&world.ask("[[fast]] [[big-output]]").await), done());
    let PartBody::Tool { output, .. } = tool(&world.parts(), "bash").body else {
        unreachable!()
    };
    assert!(output.unwrap().len() <= errand_protocol::limits::MAX_PART_FIELD_BYTES);
    let peak = world.runner_peak_kib();
    assert!(peak <= 15 * 1024, "the runner took {peak} KiB");
    world.check();
}

async fn asked(world: &World) -> (InteractionId, Ask, bool) {
    world
        .agent
        .event("an interaction", |event| match event {
            RunnerEvent::InteractionAsked {
                interaction_id,
                ask,
                part_id,
                ..
            } => Some((interaction_id.clone(), ask.clone(), part_id.is_some())),
            _ => None,
        })
        .await
}

async fn closed(world: &World, interaction: &InteractionId) {
    world
        .agent
        .event("the interaction's end", |event| {
            matches!(event, RunnerEvent::InteractionClosed { interaction_id } if interaction_id == interaction)
                .then_some(())
        })
        .await;
}

async fn asking() -> World {
    let world = World::with(|setup, _| {
        setup.permissions.insert("bash".to_owned(), "ask".to_owned());
    })
    .await;
    world.agent.ready().await;
    world
}

#[tokio::test]
async fn a_permission_waits_for_a_person_and_the_answer_reaches_the_tool() {
    let mut world = asking().await;
    let turn = world.prompt("[[fast]] [[permission]]");
    let (interaction_id, ask, has_part) = asked(&world).await;
    let Ask::Permission {
        permission, command, ..
    } = ask
    else {
        panic!("{ask:?}")
    };
    assert_eq!(
        (permission.as_str(), command.as_deref(), has_part),
        ("bash", Some("echo allowed"), true)
    );
    let answer = Answer::Permission {
        reply: PermissionReply::Once,
        message: None,
    };
    let resolve = AgentFrame::Resolve {
        interaction_id: interaction_id.clone(),
        answer,
    };
    world.agent.send(resolve.clone());
    world.agent.send(resolve);
    closed(&world, &interaction_id).await;
    assert_eq!(outcome(&world.agent.turn_finished(&turn).await), done());
    let PartBody::Tool { output, .. } = tool(&world.parts(), "bash").body else {
        unreachable!()
    };
    assert_eq!(output.as_deref(), Some("allowed\n"));
    world.check();
}

#[tokio::test]
async fn a_refused_permission_with_words_lets_the_agent_go_on() {
    let mut world = asking().await;
    let turn = world.prompt("[[fast]] [[permission:{\"then\":\"Then not.\"}]]");
    let (interaction_id, ..) = asked(&world).await;
    let message = Some("Please do not.".to_owned());
    let answer = Answer::Permission {
        reply: PermissionReply::Reject,
        message,
    };
    world.agent.send(AgentFrame::Resolve { interaction_id, answer });
    assert_eq!(outcome(&world.agent.turn_finished(&turn).await), done());
    let PartBody::Tool { status, error, .. } = tool(&world.parts(), "bash").body else {
        unreachable!()
    };
    assert!(status == ToolStatus::Error && error.unwrap().contains("Please do not."));
    assert_eq!(world.texts().last().unwrap(), "Then not.");
    world.check();
}

#[tokio::test]
async fn a_question_is_asked_and_answered() {
    let mut world = World::ready().await;
    let turn = world.prompt("[[fast]] [[question]]");
    let (interaction_id, ask, _) = asked(&world).await;
    let Ask::Question { questions } = ask else {
        panic!("{ask:?}")
    };
    assert_eq!(
        (questions[0].options[1].label.as_str(), questions[0].custom),
        ("Blue", true)
    );
    let answer = Answer::Question {
        answers: vec![vec!["Blue".to_owned()]],
    };
    world.agent.send(AgentFrame::Resolve {
        interaction_id: interaction_id.clone(),
        answer,
    });
    closed(&world, &interaction_id).await;
    assert_eq!(outcome(&world.agent.turn_finished(&turn).await), done());
    assert_eq!(world.texts().last().unwrap(), "Thanks for the answer.");
    world.check();
}

#[tokio::test]
async fn a_sub_agents_parts_stand_under_its_call_and_its_permission_reaches_the_person() {
    let mut world = asking().await;
    let turn = world.prompt("[[fast]] [[subagent]]");
    let (interaction_id, _, has_part) = asked(&world).await;
    assert!(has_part);
    let answer = Answer::Permission {
        reply: PermissionReply::Once,
        message: None,
    };
    world.agent.send(AgentFrame::Resolve { interaction_id, answer });
    assert_eq!(outcome(&world.agent.turn_finished(&turn).await), done());
    let parts = world.parts();
    let call = parts
        .iter()
        .find(|part| matches!(part.body, PartBody::Subtask { .. }))
        .unwrap();
    let PartBody::Subtask {
        description,
        agent,
        status,
        ..
    } = &call.body
    else {
        unreachable!()
    };
    assert_eq!(
        (description.as_str(), agent.as_str(), *status),
        ("Count the files", "general", ToolStatus::Completed)
    );
    let command = tool(&parts, "bash");
    assert_eq!(command.parent_part_id.as_ref(), Some(&call.id));
    assert!(parts.iter().filter(|part| part.parent_part_id.is_some()).count() >= 2);
    world.check();
}

#[tokio::test]
async fn each_failure_of_the_model_ends_the_turn_with_its_cause() {
    let mut world = World::ready().await;
    for (prompt, code) in [("[[401]]", "model_auth"), ("[[400]]", "model_rejected")] {
        let finished = world.ask(prompt).await;
        assert_eq!(outcome(&finished), (TurnOutcome::Failed, code.to_owned()), "{prompt}");
    }
    let turn = next_turn();
    world.agent.send(AgentFrame::Run {
        turn_id: turn.clone(),
        text: "hello".parse().unwrap(),
        model: "demo/nothing".parse().unwrap(),
        author: crate::world::author(),
    });
    let finished = world.agent.turn_finished(&turn).await;
    assert_eq!(outcome(&finished), (TurnOutcome::Failed, "model_unknown".to_owned()));
    assert_eq!(
        outcome(&world.ask("[[fast]] [[bash]]").await),
        done(),
        "the session goes on"
    );
    world.check();
}

#[tokio::test]
async fn a_busy_or_broken_model_is_tried_again_and_the_retries_are_told() {
    let mut world = World::ready().await;
    for prompt in [
        "[[429:{\"times\":2,\"after\":1}]]",
        "[[500:{\"times\":1}]]",
        "[[fast]] [[drop]]",
    ] {
        let before = world.agent.log().events.len();
        assert_eq!(outcome(&world.ask(prompt).await), done(), "{prompt}");
        let log = world.agent.log();
        let retries = log.events[before..]
            .iter()
            .filter(|event| matches!(event, RunnerEvent::TurnRetrying { .. }));
        assert_eq!(retries.count(), if prompt.contains("429") { 2 } else { 1 }, "{prompt}");
    }
    assert_eq!(
        world.texts(),
        [
            "Recovered after 429.",
            "Recovered after 500.",
            "A whole answer after the connection broke."
        ]
    );
    world.check();
}

#[tokio::test]
async fn an_abort_ends_a_hanging_model_and_what_came_is_kept() {
    let mut world = World::ready().await;
    let turn = world.prompt("[[fast]] [[hang]]");
    world.text_begun().await;
    world.agent.send(AgentFrame::Abort { turn_id: turn.clone() });
    let finished = world.agent.turn_finished(&turn).await;
    assert_eq!(outcome(&finished), (TurnOutcome::Aborted, "aborted".to_owned()));
    assert_eq!(world.texts(), ["I will now hang"]);
    assert_eq!(outcome(&world.ask("[[fast]] [[bash]]").await), done());
    world.check();
}

#[tokio::test]
async fn an_abort_before_the_engine_has_done_anything_leaves_it_able_to_work() {
    let mut world = World::ready().await;
    let turn = world.prompt("[[fast]] [[hang]]");
    world
        .agent
        .event("the turn is taken", |event| {
            matches!(event, RunnerEvent::TurnAccepted { .. }).then_some(())
        })
        .await;
    world.agent.send(AgentFrame::Abort { turn_id: turn.clone() });
    assert_eq!(outcome(&world.agent.turn_finished(&turn).await).0, TurnOutcome::Aborted);
    assert_eq!(outcome(&world.ask("[[fast]] [[bash]]").await), done());
    world.check();
}

#[tokio::test]
async fn an_abort_stops_a_running_command_and_a_waiting_sub_agent() {
    let mut world = asking().await;
    let turn = world.prompt("[[fast]] [[subagent:{\"prompt\":\"[[bash]] wait\"}]]");
    let (interaction_id, ..) = asked(&world).await;
    world.agent.send(AgentFrame::Abort { turn_id: turn.clone() });
    assert_eq!(outcome(&world.agent.turn_finished(&turn).await).0, TurnOutcome::Aborted);
    closed(&world, &interaction_id).await;
    world.check();

    let mut world = World::ready().await;
    let turn = world.prompt("[[fast]] [[bash:{\"cmd\":\"echo begun; sleep 600\"}]]");
    world
        .agent
        .until("output", |log| {
            // Of the command: the model may have written before.
            let begun: Vec<u16> = "begun\n".encode_utf16().collect();
            log.texts.values().any(|text| text.starts_with(&begun)).then_some(())
        })
        .await;
    world.agent.send(AgentFrame::Abort { turn_id: turn.clone() });
    assert_eq!(outcome(&world.agent.turn_finished(&turn).await).0, TurnOutcome::Aborted);
    let PartBody::Tool { status, output, .. } = tool(&world.parts(), "bash").body else {
        unreachable!()
    };
    let output = output.unwrap_or_default();
    assert!(
        status == ToolStatus::Error && output.starts_with("begun"),
        "{status:?}: {output}"
    );
    world.check();
}

#[tokio::test]
async fn the_same_turn_twice_runs_once() {
    let mut world = World::ready().await;
    let turn = world.prompt("[[fast]] [[gate]]");
    world.run(&turn, "[[fast]] [[gate]]");
    world.text_begun().await;
    world.run(&turn, "[[fast]] [[gate]]");
    world.open_gate("gate").await;
    assert_eq!(outcome(&world.agent.turn_finished(&turn).await), done());
    world.run(&turn, "[[fast]] [[gate]]");
    assert_eq!(outcome(&world.ask("[[fast]] [[bash]]").await), done());
    let gates = world
        .model_requests()
        .await
        .into_iter()
        .filter(|request| request["scenario"] == "gate")
        .count();
    assert_eq!(gates, 1);
    assert_eq!(world.texts()[0], "before after");
    world.check();
}

#[tokio::test]
async fn the_engine_never_sees_the_token_and_the_relay_always_has_the_current_one() {
    let mut world = World::with(|setup, _| {
        setup
            .permissions
            .insert("external_directory".to_owned(), "allow".to_owned());
    })
    .await;
    world.agent.log().token_life = 1_000;
    world
        .agent
        .until("a renewal", |log| (log.renewals > 0).then_some(()))
        .await;
    world.agent.ready().await;
    let finished = world.ask("[[fast]] [[bash:{\"cmd\":\"env; cat /proc/$PPID/environ /proc/*/environ 2>/dev/null | tr '\\\\0' '\\\\n' | grep -a token- | grep -v grep; true\"}]]").await;
    assert_eq!(outcome(&finished), done());
    let PartBody::Tool { output, .. } = tool(&world.parts(), "bash").body else {
        unreachable!()
    };
    let output = output.unwrap();
    assert!(
        output.contains("OPENCODE_") && !output.contains("token-1") && !output.contains("ERRAND_TOKEN="),
        "{output}"
    );
    let log = world.agent.log();
    assert!(
        log.llm_tokens.iter().all(|token| token == "token-2"),
        "{:?}",
        log.llm_tokens
    );
}
