//! The start: what the policy gives is asked for; then the workspace is prepared once, while the relay and the engine come
//! up; then the set-up script runs; then the engine is given the workspace.

use std::collections::BTreeSet;
use std::io;

use errand_protocol::repository::SetupScript;
use errand_protocol::runner::{RunnerEvent, RunnerSetup, SandboxEnvironment};
use errand_protocol::session::StartStep;

use tokio::sync::mpsc;

use super::{App, Prepared};
use crate::bridge::driver::Bridge;
use crate::cause::{StartFailure, plain};
use crate::config::Config;
use crate::engine::settings;
use crate::engine::supervisor::{Supervisor, Workspace};
use crate::environment;
use crate::git::{self, CheckedOut};
use crate::git_config;
use crate::relay::{self, Relay, Upstream};
use crate::setup::Setup;
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
    /// The first welcome: what the repository's policy gives is asked for, then all begins.
    pub(super) fn begin(&mut self, setup: RunnerSetup) {
        self.bridge = Some(Bridge::new(
            self.config.clone(),
            setup.clone(),
            self.state.clone(),
            self.working_on(),
            self.tell.outcomes.clone(),
        ));
        if !self.state.get().cloned {
            self.report(RunnerEvent::Step {
                step: StartStep::Cloning,
            });
        }
        self.setup = Some(setup);
        let (config, http, token) = (self.config.clone(), self.http.clone(), self.token.subscribe());
        let done = self.tell.prepared.clone();
        tokio::spawn(async move {
            let given = environment::ask(&config, &http, &token).await;
            let _ = done.send(Prepared::Given(Box::new(given))).await;
        });
    }

    pub(super) fn prepared(&mut self, prepared: Prepared) -> io::Result<()> {
        match prepared {
            Prepared::Given(given) => match *given {
                Ok(given) => self.given(given),
                Err(said) => self.start_failed(StartFailure::environment(&said)),
            },
            Prepared::Filled(Ok(checked_out)) => {
                if let Some(CheckedOut { branch, commit }) = checked_out {
                    self.report(RunnerEvent::Cloned { branch, commit });
                }
                self.set_up();
            }
            Prepared::Said(text) => self.report(RunnerEvent::SetupOutput { text }),
            Prepared::SetUp(Ok(())) => {
                let script = self.script();
                let noted = self.state.update(|state| state.set_up = script.map(|(_, print)| print));
                if let Err(error) = noted {
                    tracing::error!(%error, "the set-up could not be noted");
                }
                self.workspace_ready();
            }
            Prepared::Filled(Err(failure)) | Prepared::SetUp(Err(failure)) => self.start_failed(failure),
        }
        self.settle()
    }

    /// What the policy gives is known: the workspace is prepared while the engine starts.
    fn given(&mut self, given: SandboxEnvironment) {
        let Some(setup) = self.setup.clone() else { return };
        self.masks.send_replace(environment::masks(&given));
        self.given = given;
        if let Err(error) = self.start_engine(&setup) {
            return self.start_failed(StartFailure::engine(&error.to_string()));
        }
        let noted = self.state.get();
        let work = Preparation {
            config: self.config.clone(),
            state: self.state.clone(),
            transfer: Transfer::new(&self.config, self.http.clone(), self.token.subscribe()),
            setup,
        };
        let done = self.tell.prepared.clone();
        tokio::spawn(async move {
            let filled = if noted.cloned {
                Ok(None)
            } else {
                work.run(noted.cloning).await.map(Some)
            };
            let _ = done.send(Prepared::Filled(filled)).await;
        });
    }

    /// The set-up script and its fingerprint.
    fn script(&self) -> Option<(SetupScript, u64)> {
        let script = self.given.setup.clone()?;
        let print = environment::fingerprint(&[(script.as_str().to_owned(), String::new())]);
        Some((script, print))
    }

    /// Runs the set-up script unless this workspace was set up by it before.
    fn set_up(&mut self) {
        let set_up = self.state.get().set_up;
        let Some((script, _)) = self.script().filter(|(_, print)| set_up != Some(*print)) else {
            return self.workspace_ready();
        };
        self.report(RunnerEvent::Step { step: StartStep::Setup });
        let (output, mut said) = mpsc::channel(1);
        let setup = Setup::new(
            self.config.clone(),
            script,
            environment::variables(&self.given),
            self.masks.borrow().clone(),
            output,
        );
        let done = self.tell.prepared.clone();
        // By one way, so that its last words come before its end.
        tokio::spawn(async move {
            let pass_on = async {
                while let Some(text) = said.recv().await {
                    let _ = done.send(Prepared::Said(text)).await;
                }
            };
            let (ran, ()) = tokio::join!(setup.run(), pass_on);
            let _ = done.send(Prepared::SetUp(ran)).await;
        });
    }

    fn workspace_ready(&mut self) {
        self.report(RunnerEvent::Step {
            step: StartStep::Engine,
        });
        self.workspace.send_replace(Workspace::Ready);
    }

    fn start_failed(&mut self, StartFailure { step, cause, retryable }: StartFailure) {
        self.workspace.send_replace(Workspace::Failed);
        self.report(RunnerEvent::StartFailed { step, cause, retryable });
    }

    /// The engine's process starts at once; it is given the workspace when that is ready.
    fn start_engine(&self, setup: &RunnerSetup) -> io::Result<()> {
        std::fs::create_dir_all(&self.config.workspace)?;
        let noted = self.state.get().relay;
        let (listener, relay) = relay::open(noted.clone())?;
        let variables = environment::variables(&self.given);
        let given = Some(environment::fingerprint(&variables));
        // One that was given other secrets goes on with those, and prints what is not known here.
        let may_adopt = noted.as_ref() == Some(&relay) && self.state.get().given == given;
        self.state.update(|state| {
            state.relay = Some(relay.clone());
            state.given = given;
        })?;
        git_config::write(&self.config, setup.git.as_ref(), &relay)?;
        let mut paths: BTreeSet<_> = setup.providers.values().map(|provider| provider.path.clone()).collect();
        if setup.git.as_ref().is_some_and(|git| git.proxy.is_some()) {
            paths.insert(git_config::PREFIX.to_owned());
        }
        let serve = Relay {
            upstream: Upstream::new(&self.config.http_url())?,
            address: self.config.http_url(),
            paths,
            token: self.token.subscribe(),
        };
        let supervisor = Supervisor {
            config: self.config.clone(),
            content: settings::content(setup, &relay),
            given: variables,
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
