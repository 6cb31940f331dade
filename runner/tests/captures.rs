//! The mapper against real event streams (`tests/captures`, recorded from OpenCode 1.18.33, noise removed): what a
//! session's people would see of each (the `.txt` beside it), and the rules that hold for all of them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may end where something is missing"
)]
#![allow(clippy::wildcard_enum_match_arm, reason = "tests look for single events")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use errand_protocol::ids::{PartId, TurnId};
use errand_protocol::interaction::Ask;
use errand_protocol::runner::RunnerEvent;
use errand_protocol::session::TurnOutcome;
use errand_protocol::time::Timestamp;
use errand_protocol::transcript::{Part, PartBody};
use errand_runner::bridge::mapper::{Ending, Mapper, Output, Source};
use errand_runner::cause;
use errand_runner::engine::event::{EngineEvent, parse};
use errand_runner::reported::Reported;
use errand_runner::streams::{Streams, TEXT_EVERY};

fn read(name: &str) -> Vec<EngineEvent> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures").join(name);
    std::fs::read_to_string(path)
        .unwrap()
        .lines()
        .filter_map(parse)
        .collect()
}

fn names() -> Vec<String> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures");
    let mut names: Vec<String> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| Path::new(name).extension().is_some_and(|kind| kind == "jsonl"))
        .collect();
    names.sort();
    names
}

/// Follows one root session through a capture, as the driver would.
struct Follower {
    mapper: Mapper,
    root: String,
    streams: Streams,
    log: Vec<RunnerEvent>,
    turns: u32,
    prompts: BTreeSet<String>,
}

impl Follower {
    fn new(root: &str) -> Self {
        Self {
            mapper: Mapper::new(root, "/workspace", false, Reported::default()),
            root: root.to_owned(),
            streams: Streams::default(),
            log: Vec::new(),
            turns: 0,
            prompts: BTreeSet::new(),
        }
    }

    fn take(&mut self, outputs: Vec<Output>) {
        for output in outputs {
            match output {
                Output::Event(event) => {
                    match &event {
                        RunnerEvent::PartStarted { part, .. } => self.streams.open(part.id.clone(), 0, TEXT_EVERY),
                        RunnerEvent::PartFinished { part, .. } => self.close(part),
                        RunnerEvent::PartRemoved { part_id, .. } => self.streams.close(part_id),
                        _ => {}
                    }
                    self.log.push(event);
                }
                Output::Append(part, text) => self.streams.append(&part, &text),
                Output::Set(part, text) => self.streams.follow(&part, &text, 0, TEXT_EVERY),
                Output::Lost(part) => self.streams.close(&part),
            }
        }
    }

    /// What was streamed of a part is the beginning of what it is in the end.
    fn close(&mut self, part: &Part) {
        if let (Some(streamed), Some(text)) = (self.streams.text(&part.id), part.streaming_text()) {
            assert!(
                text.starts_with(streamed),
                "{streamed:?} is not the beginning of {text:?}"
            );
        }
        self.streams.close(&part.id);
    }

    fn event(&mut self, event: &EngineEvent) {
        if let EngineEvent::Message(info) = event
            && info.session == self.root
            && info.role == "user"
            && self.prompts.insert(info.id.clone())
            && self.mapper.turn().is_none()
        {
            self.turns += 1;
            let turn = TurnId::from_body(&self.turns.to_string()).unwrap();
            self.mapper.begin(turn, info.id.parse().unwrap());
        }
        let now = Timestamp::from_millis(1_795_242_000_000);
        let outputs = self.mapper.handle(event.clone(), Source::Live, now);
        self.take(outputs);
        if let Some(ending) = self.mapper.settled() {
            self.end(ending);
        }
    }

    fn end(&mut self, ending: Ending) {
        let files = self.mapper.final_diffs().unwrap_or_default();
        let texts = std::mem::take(&mut self.streams);
        let text_of = |part: &PartId| texts.text(part).map(str::to_owned);
        let outputs = self
            .mapper
            .finish(ending, files, text_of, Timestamp::from_millis(1_795_242_000_001));
        self.take(outputs);
    }

    /// The capture is over: so is the turn, if one is left.
    fn stop(&mut self) {
        let cause = Some(cause::engine_crashed("the capture ends"));
        self.end(Ending {
            outcome: TurnOutcome::Failed,
            cause,
        });
    }
}

/// One line for what a person would see of an event; nothing for what only moves things on.
fn line(event: &RunnerEvent) -> Option<String> {
    let of = |part: &Part, text: String| {
        if part.parent_part_id.is_some() {
            format!("  {text}")
        } else {
            text
        }
    };
    Some(match event {
        RunnerEvent::PartFinished { part, .. } => match &part.body {
            PartBody::Text { text } => of(part, format!("text {}", short(text))),
            PartBody::Reasoning { text } => of(part, format!("reasoning {}", short(text))),
            PartBody::Tool {
                tool,
                status,
                diff,
                exit_code,
                ..
            } => {
                let mut line = format!("{tool} {status:?}");
                if diff.is_some() {
                    line.push_str(" diff");
                }
                if let Some(code) = exit_code {
                    let _ = write!(line, " exit {code}");
                }
                of(part, line)
            }
            PartBody::Subtask {
                description, status, ..
            } => of(part, format!("subtask {description:?} {status:?}")),
            PartBody::Patch { files } => of(part, format!("patch {}", files.join(" "))),
            PartBody::File { name, .. } => format!("file {name}"),
        },
        RunnerEvent::PartRemoved { .. } => "removed".to_owned(),
        RunnerEvent::TurnRetrying { attempt, .. } => format!("retry {attempt}"),
        RunnerEvent::TurnFinished {
            outcome, cause, usage, ..
        } => {
            let code = cause.as_ref().map_or("", |cause| cause.code.as_str());
            format!("{outcome:?} {code} in {} out {}", usage.input, usage.output)
        }
        RunnerEvent::MessageFinished { cause: Some(cause), .. } => format!("message {}", cause.code),
        RunnerEvent::InteractionAsked { ask, part_id, .. } => {
            let placed = if part_id.is_some() { "" } else { " (of nothing)" };
            match ask {
                Ask::Permission { permission, .. } => format!("asks {permission}{placed}"),
                Ask::Question { questions } => format!("asks {:?}{placed}", questions[0].header),
            }
        }
        RunnerEvent::InteractionClosed { .. } => "closed".to_owned(),
        RunnerEvent::Todos { todos } => format!("todos {}", todos.len()),
        RunnerEvent::Title { title } => format!("title {title}"),
        _ => return None,
    })
}

fn short(text: &str) -> String {
    let head: String = text.chars().take(24).collect();
    format!("{head:?}")
}

/// What people see of a capture, session by session.
fn seen(name: &str) -> String {
    let events = read(name);
    let mut followers: BTreeMap<usize, Follower> = BTreeMap::new();
    for event in &events {
        if let EngineEvent::Session(info) = event
            && info.parent.is_none()
            && !followers.values().any(|follower| follower.root == info.id)
        {
            followers.insert(followers.len(), Follower::new(&info.id));
        }
        for follower in followers.values_mut() {
            follower.event(event);
        }
    }
    let mut text = String::new();
    for follower in followers.values_mut() {
        follower.stop();
        rules(name, &follower.log);
        for line in follower.log.iter().filter_map(line) {
            let _ = writeln!(text, "{line}");
        }
    }
    text
}

/// What holds for every log: nothing ends before it begins, nothing ends twice, nothing stays open, places are unique.
fn rules(name: &str, log: &[RunnerEvent]) {
    let mut open = BTreeSet::new();
    let mut gone = BTreeSet::new();
    let mut places = BTreeMap::new();
    let mut messages = BTreeMap::new();
    for event in log {
        match event {
            RunnerEvent::MessageStarted { message_id, .. } => {
                assert_eq!(messages.insert(message_id.clone(), false), None, "{name}");
            }
            RunnerEvent::MessageFinished { message_id, .. } => {
                assert_eq!(messages.insert(message_id.clone(), true), Some(false), "{name}");
            }
            RunnerEvent::PartStarted { part, message_id, .. } | RunnerEvent::PartFinished { part, message_id, .. } => {
                // A cancelled sub-agent's call may end after the message that delegated to it.
                let late = part.parent_part_id.is_some() && open.contains(&part.id);
                let message = messages.get(message_id);
                assert!(
                    message == Some(&false) || (late && message.is_some()),
                    "{name}: a part outside a message"
                );
                assert!(!gone.contains(&part.id), "{name}: {} comes again", part.id);
                let at = places
                    .entry((message_id.clone(), part.index))
                    .or_insert_with(|| part.id.clone());
                assert_eq!(at, &part.id, "{name}: two parts at one place");
                if part.ended_at.is_some() {
                    open.remove(&part.id);
                    gone.insert(part.id.clone());
                } else {
                    assert!(
                        part.streaming_text().is_none_or(str::is_empty),
                        "{name}: text belongs in deltas"
                    );
                    open.insert(part.id.clone());
                }
            }
            RunnerEvent::PartRemoved { part_id, .. } => {
                assert!(open.remove(part_id), "{name}: a part is removed that was not open");
                gone.insert(part_id.clone());
            }
            RunnerEvent::TurnFinished { .. } => {
                assert!(open.is_empty(), "{name}: left open {open:?}");
                assert!(
                    messages.values().all(|finished| *finished),
                    "{name}: a message is left open"
                );
            }
            _ => {}
        }
    }
}

#[test]
fn every_capture_keeps_the_rules() {
    assert!(names().len() >= 20);
    for name in names() {
        assert!(!seen(&name).is_empty(), "{name}");
    }
}

#[test]
fn a_replay_of_everything_reports_nothing_twice() {
    for name in names() {
        let events = read(&name);
        let Some(root) = events.iter().find_map(|event| match event {
            EngineEvent::Session(info) if info.parent.is_none() => Some(info.id.clone()),
            _ => None,
        }) else {
            continue;
        };
        let mut follower = Follower::new(&root);
        let prompt = events.iter().find_map(|event| match event {
            EngineEvent::Message(info) if info.session == root => Some(info.id.clone()),
            _ => None,
        });
        let Some(prompt) = prompt else { continue };
        follower.mapper.begin("trn_1".parse().unwrap(), prompt.parse().unwrap());
        let now = Timestamp::from_millis(1_795_242_000_000);
        let lasting = |outputs: Vec<Output>| {
            let events = outputs.into_iter().filter_map(|output| match output {
                Output::Event(
                    event @ (RunnerEvent::PartFinished { .. }
                    | RunnerEvent::PartStarted { .. }
                    | RunnerEvent::MessageStarted { .. }
                    | RunnerEvent::MessageFinished { .. }
                    | RunnerEvent::TurnAccepted { .. }),
                ) => Some(event),
                _ => None,
            });
            events.collect::<Vec<_>>()
        };
        let first: Vec<_> = events
            .iter()
            .flat_map(|event| lasting(follower.mapper.handle(event.clone(), Source::Live, now)))
            .collect();
        assert!(!first.is_empty(), "{name}");
        // The engine's record holds the last state of each part and message.
        let mut last: BTreeMap<String, EngineEvent> = BTreeMap::new();
        for event in events {
            match &event {
                EngineEvent::Part(part) => drop(last.insert(part.id.clone(), event)),
                EngineEvent::Message(message) => drop(last.insert(message.id.clone(), event)),
                _ => {}
            }
        }
        for event in last.into_values() {
            assert_eq!(
                lasting(follower.mapper.handle(event, Source::Resumed, now)),
                [],
                "{name}"
            );
        }
    }
}

macro_rules! captures {
    ($($test:ident: $name:literal,)*) => {$(
        #[test]
        fn $test() {
            let seen = seen(concat!($name, ".jsonl"));
            assert_eq!(seen, include_str!(concat!("captures/", $name, ".txt")), "\n{seen}");
        }
    )*};
}

captures! {
    what_the_engine_breaks_off_by_itself_failed_and_keeps_what_came: "abort",
    the_other_dialect_looks_the_same: "anthropic",
    a_call_with_wrong_arguments_is_an_error: "badargs",
    an_overflow_is_compacted_and_answered: "ctx",
    a_broken_stream_takes_its_text_back: "drop",
    edits_have_diffs_and_patches_name_files: "edit",
    a_refused_key_fails_the_turn: "err401",
    a_rate_limit_is_waited_for: "err429",
    a_model_that_never_answers_is_not_done: "err429ever",
    permissions_are_asked_and_closed: "permission",
    questions_are_asked_and_closed: "question",
    a_sub_agents_permission_belongs_to_the_root: "subagent-permission",
    a_sub_agents_parts_stand_under_its_call: "subagent",
    a_simple_answer: "text",
    the_global_stream_says_the_same: "text-global",
    an_answer_at_its_length_limit: "length",
    other_tools_pass_too: "mcp",
}
