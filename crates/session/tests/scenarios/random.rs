//! Random stories with faults of every kind. During them the invariants hold after every step; after them, with a
//! world that behaves, everything that was accepted comes to its end.

use std::collections::{BTreeMap, BTreeSet};

use errand_protocol::event::EventBody;
use errand_protocol::ids::PromptId;
use errand_protocol::sandbox::SandboxErrorKind;
use errand_protocol::session::{Phase, Place};
use errand_protocol::viewer::{Command, ServerFrame};
use errand_session::Input;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

use crate::make::*;
use crate::world::World;

/// Random stories that `cargo test` runs; `PROPTEST_CASES` asks for more.
const STORIES: u32 = 250;
const LONGEST: usize = 150;

type Action = (u8, u16);

fn act(world: &mut World, (kind, detail): Action) {
    let pick = usize::from(detail);
    let coin = detail % 2 == 0;
    match kind % 40 {
        0..=2 => person(world, prompt(&(detail % 24).to_string())),
        3 => person(world, crate::steer::steer(&(100 + detail % 24).to_string())),
        4 | 5 => person(world, command(world, detail)),
        6..=12 => {
            world.provider_answers(pick);
        }
        13 => world.provider_fails(pick, coin, Some(SandboxErrorKind::Transient)),
        14 => world.provider_fails(pick, coin, None),
        // A conflict means that the sandbox is there, with an older wish.
        15 => world.provider_fails(
            pick,
            refusal(detail) == SandboxErrorKind::Conflict,
            Some(refusal(detail)),
        ),
        16 if coin => world.provider_cannot_make(pick),
        16 => world.provider_repeats(pick),
        17..=28 => {
            for _ in 0..=detail % 24 {
                world.runners_act();
            }
        }
        29 => world.cut(pick, coin),
        30 => world.kill(pick, detail % 16 == 0),
        31 => world.restart(pick, detail % 8 == 0),
        32 => world.evict(pick, coin),
        33 => world.mangle(pick, coin),
        34 | 35 => world.stream(pick, "tёxt😀"),
        36 => world.crash_engine(pick, detail % 3 == 0),
        37 => {
            world.h.now = world.h.now.plus(i64::from(detail) / 4);
            tick(world);
        }
        _ => next_deadline(world, detail % 8 != 0),
    }
}

fn refusal(detail: u16) -> SandboxErrorKind {
    [
        SandboxErrorKind::Capacity,
        SandboxErrorKind::RateLimited,
        SandboxErrorKind::Conflict,
        SandboxErrorKind::InvalidSpec,
        SandboxErrorKind::Auth,
        SandboxErrorKind::Unsupported,
    ][usize::from(detail) % 6]
}

fn person(world: &mut World, command: Command) {
    world.step(Input::Command {
        by: ada(),
        id: None,
        command,
    });
}

fn command(world: &World, detail: u16) -> Command {
    let prompt_id = prompt_id(&(detail / 16 % 12).to_string());
    match detail % 16 {
        0..=2 => abort(),
        3 => Command::Abort {
            turn_id: Some(turn_id("trn_other")),
        },
        4..=5 => Command::WithdrawPrompt { prompt_id },
        6..=7 => Command::EditPrompt {
            prompt_id,
            text: "edited".parse().unwrap(),
        },
        8..=11 => answer(&open_interaction(world).unwrap_or("none".to_owned()), allow()),
        12 => Command::Retry {},
        13 => resting(detail / 16),
        14 => moving(prompt_id, detail / 64),
        _ if detail > 60_000 => Command::Terminate {},
        _ => Command::Rename {
            title: format!("title {detail}").parse().unwrap(),
        },
    }
}

fn resting(detail: u16) -> Command {
    match detail % 4 {
        0 => Command::Pause {},
        1 => Command::Resume {},
        2 => Command::Archive {},
        _ => Command::Restore {},
    }
}

fn moving(prompt_id: PromptId, detail: u16) -> Command {
    let other = crate::make::prompt_id(&(detail % 12).to_string());
    match detail % 4 {
        0 => Command::PromotePrompt { prompt_id },
        1 => Command::MovePrompt {
            prompt_id,
            to: Place::First,
        },
        2 => Command::MovePrompt {
            prompt_id,
            to: Place::Last,
        },
        _ => Command::MovePrompt {
            prompt_id,
            to: Place::Before(other),
        },
    }
}

fn open_interaction(world: &World) -> Option<String> {
    match world.h.session.hello(world.h.session.head_seq(), None, vec![]) {
        ServerFrame::Hello { interactions, .. } => {
            let first = interactions.first()?;
            first.id.as_str().strip_prefix("int_").map(str::to_owned)
        }
        _ => None,
    }
}

fn tick(world: &mut World) {
    let runner_seen = world.h.session.runner().map(|_| world.h.now);
    world.step(Input::Deadline { runner_seen });
}

fn next_deadline(world: &mut World, pinged: bool) {
    if let Some((at, _)) = world.h.session.next_deadline(&world.h.timings) {
        world.h.now = world.h.now.max(at);
        let runner_seen = world.h.session.runner().filter(|_| pinged).map(|_| world.h.now);
        world.step(Input::Deadline { runner_seen });
    }
}

/// The world behaves until nothing moves any more. How long that took is bounded.
fn calm_down(world: &mut World) {
    let began = world.h.now;
    let mut retries = 0;
    for _ in 0..3_000 {
        if world.provider_answers(0) || world.runners_act() {
            continue;
        }
        if let Some(id) = open_interaction(world) {
            person(world, answer(&id, allow()));
            continue;
        }
        let summary = world.h.session.summary();
        if summary.phase == Phase::Error && retries < 2 {
            retries += 1;
            person(world, Command::Retry {});
            continue;
        }
        let nothing_to_do = summary.queue == 0 && world.h.turn().is_none();
        if nothing_to_do && (summary.phase.resting() || summary.phase == Phase::Running) {
            let patience = 4 * 60 * 60_000;
            assert!(world.h.now.since(began) < patience, "it took too long");
            return;
        }
        assert!(
            world.h.session.next_deadline(&world.h.timings).is_some(),
            "stuck: {summary:?}"
        );
        next_deadline(world, true);
    }
    panic!("it never rests: {:?}\n{}", world.h.session.summary(), world.h.db.core());
}

/// What the log says of prompts, turns, interactions and parts, now that all is over.
fn audit(world: &World) {
    let mut ends: BTreeMap<String, u32> = BTreeMap::new();
    let mut starts: BTreeMap<String, u32> = BTreeMap::new();
    let mut asked: BTreeMap<String, u32> = BTreeMap::new();
    let mut open = BTreeSet::new();
    let mut complete = BTreeSet::new();
    for event in world.h.events() {
        match event.body {
            EventBody::PromptQueued { prompt } => {
                assert!(ends.insert(prompt.id.to_string(), 0).is_none(), "queued twice");
            }
            EventBody::PromptWithdrawn { prompt_id, .. } | EventBody::TurnFinished { prompt_id, .. } => {
                *ends.get_mut(prompt_id.as_str()).unwrap() += 1;
            }
            EventBody::PromptSteered { prompt_id, .. } => {
                *ends.get_mut(prompt_id.as_str()).unwrap() += 1;
                *starts.entry(prompt_id.to_string()).or_default() += 1;
            }
            EventBody::TurnStarted { prompt_id, .. } => *starts.entry(prompt_id.to_string()).or_default() += 1,
            EventBody::InteractionOpened { interaction } => {
                assert!(asked.insert(interaction.id.to_string(), 0).is_none(), "opened twice");
            }
            EventBody::InteractionResolved { interaction_id, .. } => {
                *asked.get_mut(interaction_id.as_str()).unwrap() += 1;
            }
            EventBody::PartStarted { part, .. } => {
                assert!(open.insert(part.id), "a part began twice");
            }
            EventBody::PartFinished { part, .. } => {
                open.remove(&part.id);
                let whole = part.streaming_text() == Some("whole");
                assert!(
                    complete.insert(part.id.clone()) || whole,
                    "a part was cut after it was complete"
                );
                if !whole {
                    complete.remove(&part.id);
                }
            }
            _ => {}
        }
    }
    assert!(
        ends.values().all(|count| *count == 1),
        "each prompt ends once: {ends:?}"
    );
    assert!(
        starts.values().all(|count| *count == 1),
        "each prompt runs at most once: {starts:?}"
    );
    assert!(
        asked.values().all(|count| *count == 1),
        "each interaction is settled once: {asked:?}"
    );
    assert!(open.is_empty(), "parts are left open: {open:?}");
    if !world.lost_files {
        assert!(
            world.begun.values().all(|count| *count == 1),
            "begun twice: {:?}",
            world.begun
        );
        for (prompt, times) in world.handed.iter().filter(|_| !world.lost_spool) {
            let alone = world
                .h
                .events()
                .iter()
                .any(|e| matches!(&e.body, EventBody::TurnStarted { prompt_id, .. } if prompt_id == prompt));
            assert_eq!(
                *times + u32::from(alone),
                1,
                "{prompt} was handed over and ran by itself"
            );
        }
    }
}

/// No sandbox is left running but the one that the session uses.
fn no_orphans(world: &World) {
    let mut running = world.running();
    if world.h.phase() == Phase::Running {
        running.remove(&format!("sbx-ses_1-{}", world.h.generation()));
    }
    assert!(running.is_empty(), "orphans in {:?}: {running:?}", world.h.phase());
}

fn story(actions: &[Action]) {
    let mut world = World::new();
    for action in actions {
        act(&mut world, *action);
    }
    calm_down(&mut world);
    audit(&world);
    no_orphans(&world);
}

#[test]
fn whatever_happens_everything_accepted_comes_to_its_end() {
    let config = Config {
        cases: std::env::var("PROPTEST_CASES").map_or(STORIES, |cases| cases.parse().unwrap()),
        failure_persistence: None,
        max_shrink_iters: 600,
        ..Config::default()
    };
    // The same stories every time; more of them with a greater number.
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let stories = proptest::collection::vec(proptest::prelude::any::<Action>(), 1..LONGEST);
    let result = runner.run(&stories, |actions| {
        story(&actions);
        Ok(())
    });
    if let Err(TestError::Fail(reason, actions)) = result {
        panic!("{reason}\nstory({actions:?})");
    }
    result.unwrap();
}
