//! The life of turns: prompts in, aborts, answers, crashes, the end. The mapper says what events mean; this decides
//! what to do about them and calls the engine.
//!
//! Every call to the engine runs as a task of its own whose outcome comes back as [`Outcome`], so nothing here waits.

mod left;
mod steers;
mod turns;

use left::Left;
use steers::Handed;
pub use steers::Steer;

use errand_protocol::ids::{InteractionId, TurnId};
use errand_protocol::interaction::Answer;
use errand_protocol::runner::{GitAuthor, RunnerEvent, RunnerSetup};
use errand_protocol::session::Cause;
use errand_protocol::text::{ModelId, PromptText};
use errand_protocol::time::Timestamp;
use tokio::sync::mpsc;

use super::calls::{self, Outcome};
use super::mapper::{Ending, Mapper, Output, Source};
use super::record::Record;
use crate::cause;
use crate::config::Config;
use crate::engine::api::Api;
use crate::engine::event::EngineEvent;
use crate::engine::supervisor::EngineNews;
use crate::reported::Reported;
use crate::state::StateFile;
use crate::streams::Streams;

/// After the engine went idle, its sum of the changes is waited for so long, in milliseconds.
const SUM_UP: i64 = 700;
/// Events that wait for the engine's record to be read, at most; then the engine has to wait.
const MAX_WAITING: usize = 1024;
/// A turn without any event for so long is looked after.
const QUIET: i64 = 5_000;

/// A turn that is to run.
#[derive(Debug, Clone)]
pub struct Run {
    /// Which.
    pub turn: TurnId,
    /// What is asked.
    pub text: PromptText,
    /// With which model.
    pub model: ModelId,
    /// Whose commits.
    pub author: GitAuthor,
}

#[derive(Debug)]
enum Phase {
    /// Events are taken as they come.
    Following,
    /// The engine's record is being read; events wait.
    Reading(u64, Source, Vec<EngineEvent>),
}

/// The bridge.
pub struct Bridge {
    config: Config,
    setup: RunnerSetup,
    state: StateFile,
    outcomes: mpsc::Sender<Outcome>,
    engine: Option<Api>,
    /// The engine's session; known once the engine was up.
    root: String,
    mapper: Option<Mapper>,
    /// What an earlier process was working on; until the engine is up for the first time.
    left: Option<Left>,
    phase: Phase,
    /// Waits for the engine, or for the turn before it.
    next: Option<Run>,
    /// The running turn's prompt, until the engine has it.
    posting: Option<Run>,
    /// Number of the post that hands the running turn a further prompt.
    steering: Option<u64>,
    /// The further prompt that was handed over last.
    handed: Option<Handed>,
    /// When the ended turn is reported, at the latest; it waits for the sum of its changes.
    ending_at: Option<i64>,
    summing_up: bool,
    last_event: i64,
    checking: bool,
    reads: u64,
    posts: u64,
    /// The prompt was given to an engine before, in another life of this runner: events may have been missed.
    repeated: bool,
    /// The turn was to be stopped while no engine was up: the one that is up now is stopped once this reading is done.
    stop_after: Option<u64>,
    /// So many calls are stopping the engine: they would stop the next turn as well.
    stops: u32,
    crash: Option<Cause>,
}

impl Bridge {
    /// A bridge whose engine is not up yet. `left`: the turn that an earlier process was working on.
    pub fn new(
        config: Config,
        setup: RunnerSetup,
        state: StateFile,
        left: Option<TurnId>,
        outcomes: mpsc::Sender<Outcome>,
    ) -> Self {
        Self {
            config,
            setup,
            state,
            outcomes,
            engine: None,
            root: String::new(),
            mapper: None,
            left: left.map(Left::new),
            phase: Phase::Following,
            next: None,
            posting: None,
            steering: None,
            handed: None,
            ending_at: None,
            summing_up: false,
            last_event: 0,
            checking: false,
            reads: 0,
            posts: 0,
            repeated: false,
            stop_after: None,
            stops: 0,
            crash: None,
        }
    }

    /// Whether prompts are taken.
    pub const fn ready(&self) -> bool {
        self.engine.is_some()
    }

    /// Whether more news can be taken now: while the engine's record is being read, events wait, but not any number.
    pub const fn takes_news(&self) -> bool {
        match &self.phase {
            Phase::Following => true,
            Phase::Reading(_, _, waiting) => waiting.len() < MAX_WAITING,
        }
    }

    /// The turn in progress.
    pub fn turn(&self) -> Option<TurnId> {
        match &self.mapper {
            Some(mapper) => mapper.turn().cloned(),
            None => self.left.as_ref().map(|left| left.turn.clone()),
        }
    }

    /// When [`Bridge::tick`] is due.
    pub fn next_tick(&self) -> Option<i64> {
        let look = self
            .turn()
            .filter(|_| self.engine.is_some() && !self.checking)
            .map(|_| self.last_event + QUIET);
        match (self.ending_at, look) {
            (Some(end), Some(look)) => Some(end.min(look)),
            (end, look) => end.or(look),
        }
    }

    /// Time passed.
    pub fn tick(&mut self, now: Timestamp) {
        let ms = now.millis();
        if self.ending_at.is_some_and(|at| at <= ms) && !self.summing_up {
            self.sum_up();
        }
        if self.next_tick().is_some_and(|at| at <= ms) {
            self.check(now);
        }
    }

    /// Asks the engine whether it is idle.
    fn check(&mut self, now: Timestamp) {
        if let (Some(api), false) = (self.engine.clone(), self.checking) {
            self.checking = true;
            self.last_event = now.millis();
            calls::check(api, self.root.clone(), self.outcomes.clone());
        }
    }

    /// Whether the engine has everything that it is to work on.
    const fn handed_over(&self) -> bool {
        self.posting.is_none() && self.steering.is_none()
    }

    /// How the turn ended. `None` while it goes on, or a further prompt is on its way to the engine.
    fn settled(&self) -> Option<Ending> {
        self.mapper
            .as_ref()
            .filter(|_| self.steering.is_none())
            .and_then(Mapper::settled)
    }

    /// The engine's news.
    pub fn news(&mut self, news: EngineNews, streams: &Streams, reported: &Reported, now: Timestamp) -> Vec<Output> {
        match news {
            EngineNews::Up {
                api,
                session,
                version,
                adopted,
            } => {
                self.up(api, &session, reported);
                let event = match self.crash.take() {
                    Some(cause) => RunnerEvent::EngineRestarted { cause },
                    None => RunnerEvent::Ready { engine: version },
                };
                let mut out = vec![Output::Event(event)];
                out.extend(self.resume(adopted, streams, now));
                out
            }
            EngineNews::Event(event) => {
                self.last_event = now.millis();
                if let Phase::Reading(_, _, waiting) = &mut self.phase {
                    waiting.push(event);
                    return Vec::new();
                }
                self.event(event, Source::Live, streams, now)
            }
            EngineNews::Gap => {
                self.read_record(Source::Resumed);
                Vec::new()
            }
            EngineNews::Restored { .. } => Vec::new(),
            EngineNews::Died(cause) => {
                self.engine = None;
                self.steering = None;
                self.phase = Phase::Following;
                self.crash = Some(cause);
                Vec::new()
            }
            EngineNews::Failed(detail) => {
                let failure = cause::StartFailure::engine(&detail);
                self.engine = None;
                let ending = Ending::failed(failure.cause.clone());
                let mut out = self.end(ending, Vec::new(), streams, now);
                out.push(Output::Event(RunnerEvent::StartFailed {
                    step: failure.step,
                    cause: failure.cause,
                    retryable: failure.retryable,
                }));
                out
            }
        }
    }

    fn up(&mut self, api: Api, session: &str, reported: &Reported) {
        self.engine = Some(api);
        if self.mapper.is_none() || self.root != session {
            let turn = self
                .mapper
                .as_ref()
                .and_then(|mapper| Some((mapper.turn()?.clone(), mapper.prompt()?.clone())));
            let workspace = self.config.workspace.display().to_string();
            let mut mapper = Mapper::new(session, &workspace, self.setup.title.is_some(), reported.clone());
            if let Some((turn, prompt)) = turn {
                mapper.begin(turn, prompt);
            }
            self.mapper = Some(mapper);
            session.clone_into(&mut self.root);
        }
    }

    /// A person's answer. Fine when the engine no longer waits.
    pub fn resolve(&self, interaction: InteractionId, answer: Answer) {
        if let Some(api) = self.engine.clone() {
            calls::answer(api, interaction, answer, self.outcomes.clone());
        }
    }

    /// A call to the engine came back.
    pub fn outcome(&mut self, outcome: Outcome, streams: &Streams, now: Timestamp) -> Vec<Output> {
        match outcome {
            Outcome::Posted(number, result) => self.posted(number, result, streams, now),
            Outcome::Steered(number, result) => self.steered(number, result, streams, now),
            Outcome::Read(number, record) => self.read(number, record, streams, now),
            Outcome::Changes(turn, files) => {
                self.summing_up = false;
                match self.settled() {
                    Some(ending) if self.turn() == Some(turn) => self.end(ending, files, streams, now),
                    _ => Vec::new(),
                }
            }
            Outcome::Answered(request) => self.event(EngineEvent::Settled(request), Source::Live, streams, now),
            Outcome::Checked { idle } => {
                self.checking = false;
                self.checked(idle);
                Vec::new()
            }
            Outcome::Stopped => {
                self.stops -= 1;
                self.checked(true);
                self.start_next(streams, now)
            }
        }
    }

    fn checked(&mut self, idle: bool) {
        if idle && self.turn().is_some() && self.handed_over() && self.ending_at.is_none() {
            self.read_record(Source::Resumed);
        }
    }

    fn read_record(&mut self, source: Source) {
        let Some(prompt) = self.mapper.as_ref().and_then(|mapper| mapper.prompt().cloned()) else {
            return;
        };
        if let (Some(api), Phase::Following) = (self.engine.clone(), &self.phase) {
            self.reads += 1;
            self.phase = Phase::Reading(self.reads, source, Vec::new());
            calls::read(api, self.root.clone(), prompt, self.reads, self.outcomes.clone());
        }
    }

    fn read(&mut self, number: u64, record: Option<Record>, streams: &Streams, now: Timestamp) -> Vec<Output> {
        let (source, waiting) = match std::mem::replace(&mut self.phase, Phase::Following) {
            Phase::Reading(wanted, source, waiting) if wanted == number => (source, waiting),
            other @ (Phase::Reading(..) | Phase::Following) => {
                self.phase = other;
                return Vec::new();
            }
        };
        let Some(mapper) = &mut self.mapper else {
            return Vec::new();
        };
        let mut out = Vec::new();
        if let Some(record) = record {
            for event in record.events {
                out.extend(mapper.handle(event, source, now));
            }
            out.extend(mapper.only_waiting_for(&record.waiting));
        }
        if source == Source::Resumed && mapper.overlooked() && waiting.is_empty() && self.remind() {
            return out;
        }
        let Some(mapper) = &self.mapper else {
            return out;
        };
        if let Some(ending) = abandoned(mapper, source, &waiting) {
            out.extend(self.end(ending, Vec::new(), streams, now));
        }
        for event in waiting {
            out.extend(self.event(event, Source::Live, streams, now));
        }
        out.extend(self.look_for_the_end(streams, now));
        // If that turn has ended with the reading, the next one may run already: it is nobody's to stop.
        let still = self.mapper.as_ref().is_some_and(Mapper::stopping);
        if self.stop_after == Some(number) && still {
            self.stop_engine();
        }
        out
    }

    fn event(&mut self, event: EngineEvent, source: Source, streams: &Streams, now: Timestamp) -> Vec<Output> {
        let Some(mapper) = &mut self.mapper else {
            return Vec::new();
        };
        let mut out = mapper.handle(event, source, now);
        out.extend(self.look_for_the_end(streams, now));
        out
    }

    /// A settled turn is reported as soon as its changes are known.
    fn look_for_the_end(&mut self, streams: &Streams, now: Timestamp) -> Vec<Output> {
        let Some(mapper) = &self.mapper else { return Vec::new() };
        let Some(ending) = self.settled() else {
            self.ending_at = None;
            if mapper.overlooked() && self.handed_over() {
                self.check(now);
            }
            return Vec::new();
        };
        if let Some(files) = mapper.final_diffs() {
            return self.end(ending, files, streams, now);
        }
        self.ending_at.get_or_insert(now.millis() + SUM_UP);
        Vec::new()
    }
}

/// How a turn ends that the engine does not work on any more, though it never finished it.
fn abandoned(mapper: &Mapper, source: Source, waiting: &[EngineEvent]) -> Option<Ending> {
    if mapper.settled().is_some() {
        return None;
    }
    let crashed = source == Source::Crashed;
    if !crashed && (!mapper.idle() || !waiting.is_empty()) {
        None
    } else if mapper.stopping() {
        Some(Ending::aborted())
    } else if crashed {
        Some(Ending::failed(cause::engine_crashed("its process ended")))
    } else {
        Some(Ending::failed(cause::engine_stopped()))
    }
}
