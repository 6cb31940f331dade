//! The start: the workspace is prepared once, while the relay and the engine come up.

use std::collections::BTreeSet;
use std::io;

use errand_protocol::runner::{RunnerEvent, RunnerSetup};
use errand_protocol::session::StartStep;

use super::App;
use crate::bridge::driver::Bridge;
use crate::cause::{StartFailure, plain};
use crate::config::Config;
use crate::engine::settings;
use crate::engine::supervisor::{Supervisor, Workspace};
use crate::git::{self, CheckedOut};
use crate::git_config;
use crate::relay::{self, Relay};
use crate::snapshot::restore::{self, Outcome};
use crate::snapshot::transfer::Transfer;
use crate::state::{ConversationNote, StateFile};

/// Making the workspace: a clone or an empty repository, then what a snapshot adds.
struct Preparation {
    config: Config,
    state: StateFile,
    transfer: Transfer,
    setup: RunnerSetup,
}

impl Preparation {
    async fn run(&self, begun_before: bool) -> Result<CheckedOut, StartFailure> {
        if begun_before {
            self.clear();
        }
        let begun = self.state.update(|state| state.cloning = true);
        let prepared = self.fill().await;
        if let Err(error) = begun.and_then(|()| self.state.update(|state| state.cloned = prepared.is_ok())) {
            tracing::error!(%error, "the notes could not be written");
        }
        prepared
    }

    fn clear(&self) {
        if let Err(error) = git::clear(&self.config.workspace) {
            tracing::warn!(%error, "what an interrupted start left could not be removed");
        }
    }

    async fn fill(&self) -> Result<CheckedOut, StartFailure> {
        let cloned = self.clone().await?;
        let Some(source) = &self.setup.snapshot else {
            return Ok(cloned);
        };
        let trouble = match restore::files(&self.config, &self.state, &self.transfer, source).await {
            Outcome::Restored => return git::checked_out(&self.config, self.setup.repo.as_ref()).await,
            Outcome::NotNow(trouble) => return Err(StartFailure::restore(&trouble)),
            Outcome::Lost(trouble) => trouble,
        };
        tracing::warn!(trouble, "the snapshot is of no use");
        self.clear();
        let cloned = self.clone().await?;
        let loss = format!(
            "The work was not brought back, and the agent does not remember the conversation: {}. The workspace was made anew.",
            plain(&trouble)
        );
        let noted = self.state.update(|state| {
            state.snapshot.conversation = Some(ConversationNote {
                snapshot: source.id.clone(),
                root: None,
                until: None,
                losses: vec![loss],
            });
        });
        noted.map_err(|error| StartFailure::engine(&error.to_string()))?;
        Ok(cloned)
    }

    async fn clone(&self) -> Result<CheckedOut, StartFailure> {
        let repo = self.setup.repo.as_ref();
        let cloned = git::prepare(&self.config, &self.setup).await?;
        let base = Some(cloned.commit.clone()).filter(|commit| repo.is_some() && commit != git::NO_COMMIT);
        if let Err(error) = self.state.update(|state| state.snapshot.base = base) {
            tracing::error!(%error, "the notes could not be written");
        }
        Ok(cloned)
    }
}

impl App {
    /// The first welcome: the workspace is prepared while the engine starts.
    pub(super) fn begin(&mut self, setup: RunnerSetup) {
        self.bridge = Some(Bridge::new(
            self.config.clone(),
            setup.clone(),
            self.state.clone(),
            self.working_on(),
            self.tell.outcomes.clone(),
        ));
        let noted = self.state.get();
        let work = Preparation {
            config: self.config.clone(),
            state: self.state.clone(),
            transfer: Transfer::new(&self.config, self.http.clone(), self.token.subscribe()),
            setup: setup.clone(),
        };
        let done = self.tell.prepared.clone();
        if !noted.cloned {
            self.report(RunnerEvent::Step {
                step: StartStep::Cloning,
            });
        }
        if let Err(error) = self.start_engine(&setup) {
            let StartFailure { step, cause, retryable } = StartFailure::engine(&error.to_string());
            self.report(RunnerEvent::StartFailed { step, cause, retryable });
            return;
        }
        self.setup = Some(setup);
        tokio::spawn(async move {
            let prepared = if noted.cloned {
                Ok(None)
            } else {
                work.run(noted.cloning).await.map(Some)
            };
            let _ = done.send(prepared).await;
        });
    }

    pub(super) fn prepared(&mut self, prepared: Result<Option<CheckedOut>, StartFailure>) -> io::Result<()> {
        match prepared {
            Ok(checked_out) => {
                if let Some(CheckedOut { branch, commit }) = checked_out {
                    self.report(RunnerEvent::Cloned { branch, commit });
                }
                self.report(RunnerEvent::Step {
                    step: StartStep::Engine,
                });
                self.workspace.send_replace(Workspace::Ready);
            }
            Err(StartFailure { step, cause, retryable }) => {
                self.workspace.send_replace(Workspace::Failed);
                self.report(RunnerEvent::StartFailed { step, cause, retryable });
            }
        }
        self.settle()
    }

    /// The engine's process starts at once; it is given the workspace when that is ready.
    fn start_engine(&self, setup: &RunnerSetup) -> io::Result<()> {
        std::fs::create_dir_all(&self.config.workspace)?;
        let noted = self.state.get().relay;
        let (listener, relay) = relay::open(noted.clone())?;
        let may_adopt = noted.as_ref() == Some(&relay);
        self.state.update(|state| state.relay = Some(relay.clone()))?;
        git_config::write(&self.config, setup.git.as_ref(), &relay)?;
        let mut paths: BTreeSet<_> = setup.providers.values().map(|provider| provider.path.clone()).collect();
        if setup.git.as_ref().is_some_and(|git| git.proxy.is_some()) {
            paths.insert(git_config::PREFIX.to_owned());
        }
        let serve = Relay {
            http: self.http.clone(),
            upstream: self.config.http_url(),
            paths,
            token: self.token.subscribe(),
        };
        let supervisor = Supervisor {
            config: self.config.clone(),
            content: settings::content(setup, &relay),
            title: setup.title.clone(),
            state: self.state.clone(),
            http: self.http.clone(),
            news: self.tell.news.clone(),
            may_adopt,
            workspace: self.workspace.subscribe(),
        };
        tokio::spawn(serve.serve(listener, relay.key));
        tokio::spawn(supervisor.run());
        Ok(())
    }
}
