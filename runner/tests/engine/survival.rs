//! What survives: the runner killed, the engine killed, the link cut; starts that fail; the end of the runner.

use crate::world::{World, git, outcome, sample};
use errand_protocol::runner::{AgentFrame, RunnerEvent, RunnerFrame};
use errand_protocol::session::TurnOutcome;
use errand_protocol::transcript::{PartBody, ToolStatus};

/// Waits until a part's text begins so.
async fn streamed(world: &World, begin: &str) {
    let begin: Vec<u16> = begin.encode_utf16().collect();
    world
        .agent
        .until("a text", |log| {
            log.texts.values().any(|text| text.starts_with(&begin)).then_some(())
        })
        .await;
}

fn count(world: &World, wanted: impl Fn(&RunnerEvent) -> bool) -> usize {
    world.agent.log().events.iter().filter(|event| wanted(event)).count()
}

#[tokio::test]
async fn a_killed_runner_comes_back_and_the_turn_goes_on_without_loss_or_repetition() {
    let mut world = World::ready().await;
    let turn = world.prompt("[[fast]] [[tools:{\"count\":2}]]");
    world.agent.turn_finished(&turn).await;
    // Killed while a command runs; it ends while nobody watches.
    let turn = world.prompt("[[fast]] [[bash:{\"cmd\":\"echo begun; sleep 4; echo ended\"}]]");
    streamed(
        &world, "begun
",
    )
    .await;
    world.kill_runner();
    assert!(world.engine_alive());
    world.start_runner();
    assert_eq!(
        outcome(&world.agent.turn_finished(&turn).await),
        (TurnOutcome::Done, String::new())
    );
    let command = world.parts().into_iter().rev().find_map(|part| match part.body {
        PartBody::Tool { output, status, .. } => Some((output.unwrap(), status)),
        _ => None,
    });
    assert_eq!(command, Some(("begun\nended\n".to_owned(), ToolStatus::Completed)));
    assert_eq!(world.texts().last().unwrap(), "The command has run.");
    let requests = world
        .model_requests()
        .await
        .into_iter()
        .filter(|request| request["scenario"] == "bash")
        .count();
    assert_eq!(requests, 2, "two steps: the prompt ran once");
    world.check();
}

#[tokio::test]
async fn a_runner_killed_while_the_model_streams_repeats_the_answer_and_keeps_one() {
    let mut world = World::ready().await;
    let turn = world.prompt("[[fast]] [[gate]]");
    world.text_begun().await;
    world.kill_runner();
    world.agent.log().texts.clear();
    world.start_runner();
    world.text_begun().await;
    world.open_gate("gate").await;
    let finished = world.agent.turn_finished(&turn).await;
    assert_eq!(outcome(&finished), (TurnOutcome::Done, String::new()));
    assert_eq!(world.texts(), ["before after"]);
    world.check();
}

#[tokio::test]
async fn a_turn_stopped_while_the_runner_was_away_keeps_what_the_engine_completed_and_the_engine_stops() {
    let mut world = World::ready().await;
    let turn = world.prompt("[[fast]] [[bash:{\"cmd\":\"echo begun; sleep 4; echo ended\"}]]");
    streamed(&world, "begun\n").await;
    world.kill_runner();
    // It ends while nobody watches. Without the runner the engine cannot reach its model: it tries again and again.
    world.command_completed().await;
    let before = world.agent.log().hellos.len();
    world.start_runner();
    // Sent before the engine can be up: right after the welcome.
    world
        .agent
        .until("another hello", |log| (log.hellos.len() > before).then_some(()))
        .await;
    world.agent.send(AgentFrame::Abort { turn_id: turn.clone() });
    let finished = world.agent.turn_finished(&turn).await;
    assert_eq!(outcome(&finished), (TurnOutcome::Aborted, "aborted".to_owned()));
    let command = world.parts().into_iter().find_map(|part| match part.body {
        PartBody::Tool { output, status, .. } => Some((output.unwrap(), status)),
        _ => None,
    });
    assert_eq!(command, Some(("begun\nended\n".to_owned(), ToolStatus::Completed)));
    assert_eq!(outcome(&world.ask("[[fast]] [[text]]").await), crate::world::done());
    world.check();
}

/// A prompt that the engine works on, and a runner that was killed before it could write that down.
async fn unreported(world: &mut World) -> errand_protocol::ids::TurnId {
    let turn = world.prompt("[[fast]] [[gate]]");
    world.text_begun().await;
    world.kill_runner();
    world.forget_from_spool("turn.accepted");
    turn
}

fn last_hello(world: &World) -> Option<errand_protocol::ids::TurnId> {
    let RunnerFrame::Hello { turn, .. } = world.agent.log().hellos.last().unwrap().clone() else {
        panic!()
    };
    turn
}

#[tokio::test]
async fn a_turn_that_the_engine_has_and_the_spool_does_not_know_is_gone_on_with() {
    let mut world = World::ready().await;
    let turn = unreported(&mut world).await;
    let before = world.agent.log().hellos.len();
    world.start_runner();
    world
        .agent
        .until("another hello", |log| (log.hellos.len() > before).then_some(()))
        .await;
    assert_eq!(last_hello(&world), Some(turn.clone()));
    // Nobody dispatches it again: its hello says that it goes on.
    world.asked_again().await;
    world.open_gate("gate").await;
    assert_eq!(outcome(&world.agent.turn_finished(&turn).await), crate::world::done());
    assert_eq!(world.texts(), ["before after"]);
    world.check();
}

#[tokio::test]
async fn a_turn_that_the_engine_has_and_the_spool_does_not_know_can_be_stopped() {
    let mut world = World::ready().await;
    let turn = unreported(&mut world).await;
    let before = world.agent.log().hellos.len();
    world.start_runner();
    world
        .agent
        .until("another hello", |log| (log.hellos.len() > before).then_some(()))
        .await;
    world.agent.send(AgentFrame::Abort { turn_id: turn.clone() });
    let finished = world.agent.turn_finished(&turn).await;
    assert_eq!(outcome(&finished), (TurnOutcome::Aborted, "aborted".to_owned()));
    assert_eq!(
        outcome(&world.ask("[[fast]] [[text]]").await),
        crate::world::done(),
        "the engine is free for the next prompt"
    );
    world.check();
}

#[tokio::test]
async fn a_killed_engine_ends_the_turn_with_its_cause_and_the_next_prompt_runs() {
    let mut world = World::ready().await;
    let turn = world.prompt("[[fast]] [[tools:{\"count\":1}]]");
    world.agent.turn_finished(&turn).await;
    let turn = world.prompt("[[fast]] [[bash:{\"cmd\":\"echo begun; sleep 600\"}]]");
    streamed(
        &world, "begun
",
    )
    .await;
    let engine = world.state().get().engine.unwrap();
    world.kill_engine();
    let finished = world.agent.turn_finished(&turn).await;
    assert_eq!(outcome(&finished), (TurnOutcome::Failed, "engine_crashed".to_owned()));
    assert_eq!(
        count(&world, |event| matches!(event, RunnerEvent::EngineRestarted { .. })),
        1
    );
    let interrupted = world.parts().pop().unwrap();
    let PartBody::Tool { status, output, .. } = interrupted.body else {
        panic!("{interrupted:?}")
    };
    assert_eq!((status, output.as_deref()), (ToolStatus::Error, Some("begun\n")));
    assert!(
        !crate::world::runs(&engine.mark),
        "the sleeping command of the dead engine is gone"
    );
    assert_eq!(outcome(&world.ask("[[fast]] [[bash]]").await).0, TurnOutcome::Done);
    world.check();
}

#[tokio::test]
async fn a_hanging_engine_is_ended_and_the_next_prompt_runs_in_another() {
    let mut world = World::with_env(vec![("ERRAND_ENGINE_SILENCE_MS", "3000".to_owned())]).await;
    world.agent.ready().await;
    let turn = world.prompt("[[fast]] [[bash:{\"cmd\":\"echo begun; sleep 600\"}]]");
    streamed(&world, "begun\n").await;
    let engine = world.state().get().engine.unwrap();
    // Its process lives and its connections stay open, but nothing is answered any more.
    world.stop_engine();
    let finished = world.agent.turn_finished(&turn).await;
    assert_eq!(outcome(&finished), (TurnOutcome::Failed, "engine_crashed".to_owned()));
    assert!(
        !crate::world::runs(&engine.mark),
        "nothing of the hanging engine is left"
    );
    assert_ne!(world.state().get().engine.unwrap().pid, engine.pid);
    assert_eq!(outcome(&world.ask("[[fast]] [[text]]").await), crate::world::done());
    world.check();
}

#[tokio::test]
async fn a_hanging_engine_is_not_taken_over() {
    let mut world = World::ready().await;
    let turn = world.prompt("[[fast]] [[bash:{\"cmd\":\"echo begun; sleep 600\"}]]");
    streamed(&world, "begun\n").await;
    let engine = world.state().get().engine.unwrap();
    world.stop_engine();
    world.kill_runner();
    world.start_runner();
    let finished = world.agent.turn_finished(&turn).await;
    assert_eq!(outcome(&finished), (TurnOutcome::Failed, "engine_crashed".to_owned()));
    assert!(!crate::world::runs(&engine.mark));
    assert_eq!(outcome(&world.ask("[[fast]] [[text]]").await), crate::world::done());
    world.check();
}

#[tokio::test]
async fn an_engine_that_only_says_nothing_for_a_while_goes_on() {
    let mut world = World::with_env(vec![("ERRAND_ENGINE_SILENCE_MS", "1000".to_owned())]).await;
    world.agent.ready().await;
    let engine = world.state().get().engine.unwrap();
    let turn = world.prompt("[[fast]] [[gate]]");
    // Not its text: a part that was being written when events were missed is not followed any more.
    world
        .agent
        .event("the begun answer", |event| {
            matches!(event, RunnerEvent::PartStarted { .. }).then_some(())
        })
        .await;
    // Its stream ends several times meanwhile, and each time it answers.
    let asked = || std::fs::read_to_string(world.dir.path().join("runner.log")).unwrap_or_default();
    crate::world::until(|| asked().matches("says nothing").count() >= 3).await;
    world.open_gate("gate").await;
    assert_eq!(outcome(&world.agent.turn_finished(&turn).await), crate::world::done());
    assert_eq!(world.texts(), ["before after"]);
    assert_eq!(world.state().get().engine.unwrap(), engine, "the same process");
    world.check();
}

#[tokio::test]
async fn a_cut_link_resends_what_was_not_stored_and_not_saved() {
    let mut world = World::ready().await;
    world.agent.log().saves = false;
    let turn = world.prompt("[[fast]] [[gate]]");
    world.text_begun().await;
    world
        .agent
        .until("a flush", |log| (log.flushes > 0).then_some(()))
        .await;
    let before = {
        let mut log = world.agent.log();
        // As if the last three events had been lost on the way, and no text saved.
        let stored = log.events.len() - 3;
        log.events.truncate(stored);
        log.texts.clear();
        log.saves = true;
        log.hellos.len()
    };
    world.agent.cut();
    world
        .agent
        .until("another hello", |log| (log.hellos.len() > before).then_some(()))
        .await;
    world.text_begun().await;
    world.open_gate("gate").await;
    assert_eq!(
        outcome(&world.agent.turn_finished(&turn).await),
        (TurnOutcome::Done, String::new())
    );
    assert_eq!(world.texts(), ["before after"]);
    let RunnerFrame::Hello {
        turn: working, ready, ..
    } = world.agent.log().hellos[before].clone()
    else {
        panic!()
    };
    assert_eq!((working, ready), (Some(turn), true));
    world.check();
}

#[tokio::test]
async fn a_resend_gives_an_open_parts_text_from_the_offset() {
    let mut world = World::ready().await;
    let turn = world.prompt("[[fast]] [[gate]]");
    world.text_begun().await;
    let part = world.agent.log().texts.keys().next().unwrap().clone();
    world.agent.log().texts.get_mut(&part).unwrap().truncate(2);
    world.agent.send(AgentFrame::Resend {
        part_id: part.clone(),
        from: 2,
    });
    world
        .agent
        .until("the rest", |log| (log.texts[&part].len() == 7).then_some(()))
        .await;
    world.open_gate("gate").await;
    world.agent.turn_finished(&turn).await;
    world.check();
}

async fn start_failed(world: &World) -> (String, bool) {
    world
        .agent
        .event("a failed start", |event| match event {
            RunnerEvent::StartFailed { cause, retryable, .. } => Some((cause.code.clone(), *retryable)),
            _ => None,
        })
        .await
}

#[tokio::test]
async fn a_repository_or_branch_that_does_not_exist_is_told() {
    let world = World::with(|setup, dir| {
        let mut repo = sample(dir);
        repo.url = dir.join("nothing").display().to_string().parse().unwrap();
        setup.repo = Some(repo);
    })
    .await;
    assert_eq!(start_failed(&world).await, ("repo_not_found".to_owned(), false));
    let world = World::with(|setup, dir| {
        let mut repo = sample(dir);
        repo.branch = Some("no-such-branch".parse().unwrap());
        setup.repo = Some(repo);
    })
    .await;
    assert_eq!(start_failed(&world).await, ("branch_not_found".to_owned(), false));
    let world = World::with(|setup, dir| {
        let mut repo = sample(dir);
        repo.url = "https://127.0.0.1:9/nothing".parse().unwrap();
        setup.repo = Some(repo);
    })
    .await;
    assert_eq!(start_failed(&world).await, ("repo_unreachable".to_owned(), true));
}

async fn cloned(world: &World) -> (String, String) {
    world
        .agent
        .event("cloned", |event| match event {
            RunnerEvent::Cloned { branch, commit } => Some((branch.to_string(), commit.clone())),
            _ => None,
        })
        .await
}

#[tokio::test]
async fn a_repository_without_commits_works_and_so_does_none_at_all() {
    let mut world = World::with(|setup, dir| {
        let mut repo = sample(dir);
        let bare = dir.join("bare.git");
        std::fs::create_dir(&bare).unwrap();
        git(&bare, &["init", "-q", "--bare", "-b", "trunk"]);
        repo.url = bare.display().to_string().parse().unwrap();
        setup.repo = Some(repo);
    })
    .await;
    assert_eq!(cloned(&world).await, ("trunk".to_owned(), "0".repeat(40)));
    world.agent.ready().await;
    assert_eq!(outcome(&world.ask("[[fast]] [[write]]").await).0, TurnOutcome::Done);
    assert!(world.workspace().join("notes.txt").exists());
    world.check();

    let world = World::ready().await;
    let (branch, commit) = cloned(&world).await;
    assert_eq!(branch, "main");
    assert_eq!(commit, git(&world.workspace(), &["rev-parse", "HEAD"]));
}

#[tokio::test]
async fn the_runner_ends_with_the_codes_reason_and_takes_the_engine_with_it() {
    for (code, exit) in [(4409, 10), (4410, 11), (1000, 0)] {
        let mut world = World::ready().await;
        assert!(world.engine_alive());
        world.agent.close(code);
        assert_eq!(world.runner_exit().await, exit, "{code}");
        assert!(!world.engine_alive());
    }
    let mut world = World::ready().await;
    world.agent.send(AgentFrame::Shutdown {});
    assert_eq!(world.runner_exit().await, 0);
    assert!(!world.engine_alive());
    let mut world = World::ready().await;
    world.terminate_runner();
    assert_eq!(world.runner_exit().await, 0);
    assert!(!world.engine_alive());
}

#[tokio::test]
async fn a_refused_token_ends_the_runner() {
    let mut world = World::ready().await;
    world.agent.log().refuse = Some(503);
    world.agent.cut();
    world.agent.log().refuse = Some(401);
    assert_eq!(world.runner_exit().await, 12);
}

#[tokio::test]
async fn a_prompt_that_the_engine_had_when_the_runner_died_is_not_run_again() {
    let mut world = World::ready().await;
    let turn = world.prompt("[[fast]] [[gate]]");
    world.text_begun().await;
    world.kill_runner();
    // As if the acceptance had never been written: the control plane dispatches the turn again.
    std::fs::remove_file(world.dir.path().join("state/spool.jsonl")).unwrap();
    {
        let mut log = world.agent.log();
        log.spool = None;
        log.events.clear();
        log.texts.clear();
    }
    world.start_runner();
    world.agent.ready().await;
    world.run(&turn, "[[fast]] [[gate]]");
    world.asked_again().await;
    world.open_gate("gate").await;
    assert_eq!(
        outcome(&world.agent.turn_finished(&turn).await),
        (TurnOutcome::Done, String::new())
    );
    assert_eq!(world.texts(), ["before after"]);
    world.check();
}
