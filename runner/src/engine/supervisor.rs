//! Keeps the engine alive and its event stream connected, and tells the bridge what becomes of them.
//!
//! Owns restarts: with back-off, three deaths within five minutes end it. An engine that a killed runner left
//! behind is taken over while it answers.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use errand_protocol::ids::SnapshotId;
use errand_protocol::session::Cause;
use serde_json::Value;
use tokio::process::Child;
use tokio::sync::{mpsc, watch};

use super::api::{Api, ApiError, Events};
use super::event::EngineEvent;
use super::{process, settings, snapshot_repos};
use crate::cause;
use crate::config::Config;
use crate::snapshot::restore;
use crate::state::{EngineNote, StateFile};

const MAX_DEATHS: usize = 3;
const WITHIN: Duration = Duration::from_mins(5);
const FIRST_PAUSE: Duration = Duration::from_millis(300);
/// A process that lives but leaves so many attempts to reach it unanswered, one after the other, hangs: it is ended.
const MAX_UNANSWERED: u32 = 3;

/// What becomes of the engine.
#[derive(Debug)]
pub enum EngineNews {
    /// It takes prompts; events follow.
    Up {
        /// How to call it.
        api: Api,
        /// The engine's session.
        session: String,
        /// Its version.
        version: String,
        /// Whether it is the process that ran before (after a restart of the runner).
        adopted: bool,
    },
    /// Before `Up`: the files, and as far as possible the conversation, come from a snapshot.
    Restored {
        /// Which.
        snapshot: SnapshotId,
        /// What could not be brought back, in words.
        losses: Vec<String>,
    },
    /// An event.
    Event(EngineEvent),
    /// The stream broke and is connected again: events may be missing.
    Gap,
    /// The process ended; it is started again.
    Died(Cause),
    /// It does not stay up.
    Failed(String),
}

/// What the supervisor works with.
#[derive(Clone)]
pub struct Supervisor {
    /// The runner's settings.
    pub config: Config,
    /// The engine's configuration.
    pub content: Value,
    /// Secrets that the repository's policy gives to the agent, as environment variables.
    pub given: Vec<(String, String)>,
    /// Title that a person chose.
    pub title: Option<String>,
    /// The runner's notes.
    pub state: StateFile,
    /// For calls to the engine.
    pub http: reqwest::Client,
    /// Where news go.
    pub news: mpsc::Sender<EngineNews>,
    /// Whether the relay is where the running engine expects it.
    pub may_adopt: bool,
    /// The engine looks at the workspace when it is first asked about it: not before that is ready.
    pub workspace: watch::Receiver<Workspace>,
}

/// How far the workspace is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workspace {
    /// It is being made.
    Coming,
    /// The agent can work in it.
    Ready,
    /// There will be none.
    Failed,
}

struct Running {
    note: EngineNote,
    child: Option<Child>,
}

impl Supervisor {
    /// Runs until the engine does not stay up, or nobody listens any more.
    pub async fn run(self) {
        let mut deaths: VecDeque<Instant> = VecDeque::new();
        let mut adopt = self.may_adopt;
        loop {
            let died = match self.bring_up(std::mem::take(&mut adopt)).await {
                Ok(mut running) => {
                    let adopted = running.child.is_none();
                    let detail = self.attend(&mut running, adopted).await;
                    process::end(&running.note);
                    let Some(detail) = detail else { return };
                    tracing::warn!(detail, "the engine died");
                    if self
                        .news
                        .send(EngineNews::Died(cause::engine_crashed(&detail)))
                        .await
                        .is_err()
                    {
                        return;
                    }
                    detail
                }
                Err(error) => error.to_string(),
            };
            deaths.push_back(Instant::now());
            while deaths.front().is_some_and(|death| death.elapsed() > WITHIN) {
                deaths.pop_front();
            }
            if deaths.len() >= MAX_DEATHS {
                let _ = self.news.send(EngineNews::Failed(died)).await;
                return;
            }
            let doublings = u32::try_from(deaths.len().saturating_sub(1)).unwrap_or(0);
            tokio::time::sleep(FIRST_PAUSE * 4_u32.pow(doublings)).await;
        }
    }

    async fn bring_up(&self, adopt: bool) -> std::io::Result<Running> {
        if let Some(note) = self.state.get().engine {
            if adopt && process::alive(&note) && self.api(&note).version().await.is_ok() {
                tracing::info!(pid = note.pid, "took over the running engine");
                return Ok(Running { note, child: None });
            }
            process::end(&note);
        }
        let notes = self.state.get();
        if notes.engine_session.is_none() && notes.snapshot.conversation.is_some() {
            // What an earlier one was given of the conversation before it ended could keep this one from taking it.
            settings::forget(&self.config)?;
        }
        snapshot_repos::mend(&self.config).await;
        let remember = |note: &EngineNote| self.state.update(|state| state.engine = Some(note.clone()));
        let (note, child) = process::start(&self.config, &self.content, &self.given, remember).await?;
        Ok(Running {
            note,
            child: Some(child),
        })
    }

    fn api(&self, note: &EngineNote) -> Api {
        Api::new(self.http.clone(), note.port, &note.password)
    }

    /// Passes the engine's events on until it dies; says how. `None` when nobody listens any more.
    async fn attend(&self, running: &mut Running, adopted: bool) -> Option<String> {
        let api = self.api(&running.note);
        let mut workspace = self.workspace.clone();
        let made = *workspace.wait_for(|now| *now != Workspace::Coming).await.ok()?;
        if made == Workspace::Failed {
            return None;
        }
        let mut first = true;
        let mut unanswered = 0;
        loop {
            match self.connect(&api, first, adopted).await {
                Ok((mut events, news)) => {
                    self.news.send(news).await.ok()?;
                    first = false;
                    unanswered = 0;
                    while let Some(event) = events.next().await {
                        let broken = event.tells_a_broken_engine();
                        self.news.send(EngineNews::Event(event)).await.ok()?;
                        if broken {
                            return Some("it can answer nothing any more".to_owned());
                        }
                    }
                    tracing::info!("the engine's event stream ended or says nothing; is it still there?");
                }
                Err(error) => {
                    tracing::warn!(%error, "the engine does not answer");
                    tokio::time::sleep(FIRST_PAUSE).await;
                    unanswered += 1;
                    if unanswered >= MAX_UNANSWERED {
                        return Some(error.to_string());
                    }
                }
            }
            if let Some(detail) = gone(running).await {
                return Some(detail);
            }
        }
    }

    async fn connect(&self, api: &Api, first: bool, adopted: bool) -> Result<(Events, EngineNews), ApiError> {
        if !first {
            return Ok((api.events(self.config.engine_silence).await?, EngineNews::Gap));
        }
        let (version, events) = tokio::try_join!(api.version(), api.events(self.config.engine_silence))?;
        let session = self.session(api).await?;
        if !adopted {
            api.read_models().await?;
        }
        if let Some(note) = self.state.get().snapshot.conversation {
            restore::given(&self.config, &note);
            let restored = EngineNews::Restored {
                snapshot: note.snapshot,
                losses: note.losses,
            };
            let _ = self.news.send(restored).await;
        }
        Ok((
            events,
            EngineNews::Up {
                api: api.clone(),
                session,
                version,
                adopted,
            },
        ))
    }

    /// The engine's session of this Errand session: the one noted, else a new one.
    async fn session(&self, api: &Api) -> Result<String, ApiError> {
        if let Some(known) = self.state.get().engine_session
            && api.has_session(&known).await?
        {
            return Ok(known);
        }
        let mut note = self.state.get().snapshot.conversation;
        let restored = match &mut note {
            Some(note) => restore::conversation(&self.config, api, note, self.title.as_deref()).await,
            None => None,
        };
        let session = match restored {
            Some(session) => session,
            None => api.create_session(self.title.as_deref()).await?,
        };
        let noted = self.state.update(|state| {
            state.engine_session = Some(session.clone());
            state.snapshot.conversation = note;
        });
        if let Err(error) = noted {
            tracing::error!(%error, "the engine's session could not be noted");
        }
        Ok(session)
    }
}

/// How the process ended, if it did. A process that is just dying gets a moment for it.
async fn gone(running: &mut Running) -> Option<String> {
    if let Some(child) = &mut running.child {
        let ended = tokio::time::timeout(Duration::from_millis(500), child.wait())
            .await
            .ok()?;
        return Some(ended.map_or_else(|error| error.to_string(), |status| status.to_string()));
    }
    tokio::time::sleep(Duration::from_millis(200)).await;
    (!process::alive(&running.note)).then(|| "the process is gone".to_owned())
}
