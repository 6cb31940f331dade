//! What the repository's policy gives a sandbox: a set-up script that runs when it must, and secrets that the agent can
//! use and that are in nothing the runner tells.

use crate::agent::Log;
use crate::world::{World, done, outcome};
use errand_protocol::runner::RunnerEvent;
use errand_protocol::session::StartStep;
use errand_protocol::transcript::PartBody;
use serde_json::json;

const TOKEN: &str = "tok-0123456789abcdef";

fn gives(setup: Option<&str>) -> String {
    json!({ "setup": setup, "secrets": { "API_TOKEN": TOKEN, "KEY_FILE": "first-line-of-it\nsecond-line-of-it\n" } })
        .to_string()
}

async fn world(setup: Option<&str>) -> World {
    let given = gives(setup);
    World::beginning_with(|log: &mut Log| log.environment = given, |_, _| {}).await
}

fn bash(variables: &serde_json::Value) -> String {
    format!("[[fast]] [[bash:{variables}]]")
}

fn set_up_output(world: &World) -> String {
    let log = world.agent.log();
    let texts = log.events.iter().filter_map(|event| match event {
        RunnerEvent::SetupOutput { text } => Some(text.as_str()),
        _ => None,
    });
    texts.collect()
}

async fn start_failed(world: &World) -> (StartStep, String, String, bool) {
    let find = |event: &RunnerEvent| match event {
        RunnerEvent::StartFailed { step, cause, retryable } => {
            Some((*step, cause.code.clone(), cause.message.clone(), *retryable))
        }
        _ => None,
    };
    world.agent.event("a failed start", find).await
}

/// Nothing that came from the runner shows a secret, or a piece of one that tells something.
fn assert_nothing_shown(world: &World) {
    let log = world.agent.log();
    let mut all = serde_json::to_string(&log.events).unwrap();
    for text in log.texts.values() {
        all += &String::from_utf16_lossy(text);
    }
    for secret in [TOKEN, "0123456789", "first-line-of-it", "second-line-of-it"] {
        assert!(!all.contains(secret), "{secret} in {all}");
    }
    let runner_log = std::fs::read_to_string(world.dir.path().join("runner.log")).unwrap();
    assert!(!runner_log.contains(TOKEN));
}

#[tokio::test]
async fn the_agent_has_the_secrets_and_what_it_prints_of_them_is_masked() {
    let mut world = world(None).await;
    world.agent.ready().await;
    // In one piece, in pieces of the output, in a line that is not whole when it is told, in JSON.
    let command = "echo got $API_TOKEN; printf tok-012; sleep 1; printf 3456789; sleep 1; echo abcdef; printf %s \"$KEY_FILE\"; test ${#API_TOKEN} = 20 && echo right";
    assert_eq!(outcome(&world.ask(&bash(&json!({ "cmd": command }))).await), done());
    let output = world.parts().into_iter().find_map(|part| match part.body {
        PartBody::Tool { output, .. } => output,
        _ => None,
    });
    assert_eq!(output.as_deref(), Some("got ***\n***\n***\nright\n"));
    assert_nothing_shown(&world);
    // What the model says is masked, too, piece by piece.
    let said = format!("I have seen {TOKEN}, and first-line-of-it.");
    world.ask(&bash(&json!({ "cmd": "true", "then": said }))).await;
    assert_eq!(world.texts().last().unwrap(), "I have seen ***, and ***.");
    assert_nothing_shown(&world);
    world.check();
    let snapshots = world.agent.log().snapshots.clone();
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in snapshots {
        let file = dir.path().join(&name);
        std::fs::write(&file, bytes).unwrap();
        let listed = std::process::Command::new("tar")
            .arg("-xOzf")
            .arg(&file)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&listed.stdout).into_owned();
        assert!(text.contains("got ****") && !text.contains(TOKEN), "in {name}");
    }
}

#[tokio::test]
async fn the_set_up_script_runs_in_the_workspace_before_the_agent_and_tells_what_it_does() {
    let script = "echo setting up with $API_TOKEN\necho hello > made.txt\nfor n in 1 2 3; do echo step $n; sleep 0.3; done\nexit 0";
    let world = world(Some(script)).await;
    world.agent.ready().await;
    assert_eq!(set_up_output(&world), "setting up with ***\nstep 1\nstep 2\nstep 3\n");
    assert_eq!(
        std::fs::read_to_string(world.workspace().join("made.txt")).unwrap(),
        "hello\n"
    );
    let log = world.agent.log();
    let at = |wanted: fn(&RunnerEvent) -> bool| log.events.iter().position(wanted).unwrap();
    let step = |step| {
        log.events
            .iter()
            .position(|event| *event == RunnerEvent::Step { step })
            .unwrap()
    };
    assert!(at(|event| matches!(event, RunnerEvent::Cloned { .. })) < step(StartStep::Setup));
    assert!(step(StartStep::Setup) < at(|event| matches!(event, RunnerEvent::SetupOutput { .. })));
    assert!(step(StartStep::Setup) < step(StartStep::Engine));
    drop(log);
    assert_nothing_shown(&world);
}

#[tokio::test]
async fn it_runs_once_in_a_workspace_and_again_when_it_has_changed() {
    let mut world = world(Some("echo ran >> runs.txt")).await;
    let runs = |world: &World| std::fs::read_to_string(world.workspace().join("runs.txt")).unwrap();
    world.agent.ready().await;
    for (setup, expected) in [
        ("echo ran >> runs.txt", "ran\n"),
        ("echo anew >> runs.txt", "ran\nanew\n"),
    ] {
        world.kill_runner();
        world.kill_engine();
        let seen = world.agent.log().events.len();
        world.agent.log().environment = gives(Some(setup));
        world.start_runner();
        world.agent.ready_again(seen).await;
        assert_eq!(runs(&world), expected);
    }
}

#[tokio::test]
async fn a_script_that_fails_ends_the_start_with_its_last_words() {
    let mut world = world(Some("echo first\nfalse | true\nfalse $API_TOKEN\necho never")).await;
    let (step, code, message, retryable) = start_failed(&world).await;
    assert_eq!(
        (step, code.as_str(), retryable),
        (StartStep::Setup, "setup_failed", false)
    );
    assert!(
        message.contains("exit status: 1") && message.contains("first"),
        "{message}"
    );
    assert!(!set_up_output(&world).contains("never"));
    // The workspace stays, and the next try begins with the script.
    world.kill_runner();
    world.kill_engine();
    let seen = world.agent.log().events.len();
    world.agent.log().environment = gives(Some("#!/bin/sh\necho $0 $API_TOKEN; exit 0"));
    world.start_runner();
    world.agent.ready_again(seen).await;
    assert!(set_up_output(&world).ends_with("setup.sh ***\n"));
    assert_nothing_shown(&world);
}

#[tokio::test]
async fn a_script_that_prints_without_end_is_told_in_part() {
    let world = world(Some("head -c 3000000 /dev/zero | tr '\\0' x | fold -w 80")).await;
    world.agent.ready().await;
    let told = set_up_output(&world);
    assert!(told.len() < 300 * 1024, "{}", told.len());
    assert!(told.contains("bytes more are not shown"));
}

#[tokio::test]
async fn nothing_starts_without_an_answer_to_what_the_policy_gives() {
    let refused = |log: &mut Log| {
        log.environment = gives(None);
        log.environment_statuses.extend([503; 5]);
    };
    let mut world = World::beginning_with(refused, |_, _| {}).await;
    let (_, code, _, retryable) = start_failed(&world).await;
    assert_eq!((code.as_str(), retryable), ("policy_unavailable", true));
    assert!(!world.engine_alive());
    world.kill_runner();
    world.agent.log().environment_statuses.extend([503; 2]);
    world.start_runner();
    world.agent.ready().await;
}

#[tokio::test]
async fn an_engine_that_was_given_other_secrets_is_not_kept() {
    let mut world = world(None).await;
    world.agent.ready().await;
    let before = world.state().get().engine.unwrap().pid;
    world.kill_runner();
    world.agent.log().environment = json!({ "secrets": { "API_TOKEN": "another-0123456789" } }).to_string();
    let hellos = world.agent.log().hellos.len();
    world.start_runner();
    world
        .agent
        .until("another hello", |log| (log.hellos.len() > hellos).then_some(()))
        .await;
    world.ask(&bash(&json!({ "cmd": "echo $API_TOKEN" }))).await;
    assert_ne!(world.state().get().engine.unwrap().pid, before);
    let log = serde_json::to_string(&world.agent.log().events).unwrap();
    assert!(!log.contains("another-0123456789") && log.contains("***"));
}
