//! The start: the workspace is prepared once, then the relay and the engine come up.

use std::collections::BTreeSet;
use std::io;

use errand_protocol::runner::{RunnerEvent, RunnerSetup};
use errand_protocol::session::StartStep;

use super::App;
use crate::bridge::driver::Bridge;
use crate::cause::StartFailure;
use crate::engine::settings;
use crate::engine::supervisor::Supervisor;
use crate::git::{self, CheckedOut};
use crate::relay::{self, Relay};

impl App {
    /// The first welcome: the workspace is prepared, then the engine starts.
    pub(super) fn begin(&mut self, setup: RunnerSetup) {
        self.bridge = Some(Bridge::new(
            self.config.clone(),
            setup.clone(),
            self.state.clone(),
            self.tell.outcomes.clone(),
        ));
        let noted = self.state.get();
        let (config, state, done) = (self.config.clone(), self.state.clone(), self.tell.prepared.clone());
        let (repo, author) = (setup.repo.clone(), setup.author.clone());
        self.setup = Some(setup);
        if !noted.cloned {
            self.report(RunnerEvent::Step {
                step: StartStep::Cloning,
            });
        }
        tokio::spawn(async move {
            let prepared = if noted.cloned {
                Ok(None)
            } else {
                if noted.cloning
                    && let Err(error) = git::clear(&config.workspace)
                {
                    tracing::warn!(%error, "an interrupted clone could not be removed");
                }
                let begun = state.update(|state| state.cloning = true);
                let prepared = git::prepare(&config, repo.as_ref(), &author).await;
                if let Err(error) = begun.and_then(|()| state.update(|state| state.cloned = prepared.is_ok())) {
                    tracing::error!(%error, "the notes could not be written");
                }
                prepared.map(Some)
            };
            let _ = done.send(prepared).await;
        });
    }

    pub(super) async fn prepared(&mut self, prepared: Result<Option<CheckedOut>, StartFailure>) -> io::Result<()> {
        match prepared {
            Ok(checked_out) => {
                if let Some(CheckedOut { branch, commit }) = checked_out {
                    self.report(RunnerEvent::Cloned { branch, commit });
                }
                self.report(RunnerEvent::Step {
                    step: StartStep::Engine,
                });
                self.start_engine().await?;
            }
            Err(StartFailure { step, cause, retryable }) => {
                self.report(RunnerEvent::StartFailed { step, cause, retryable });
            }
        }
        self.settle()
    }

    pub(super) async fn start_engine(&mut self) -> io::Result<()> {
        let Some(setup) = &self.setup else { return Ok(()) };
        let noted = self.state.get().relay;
        let (listener, relay) = relay::open(noted.clone()).await?;
        let may_adopt = noted.as_ref() == Some(&relay);
        self.state.update(|state| state.relay = Some(relay.clone()))?;
        let content = settings::content(setup, &relay);
        let paths: BTreeSet<_> = setup.providers.values().map(|provider| provider.path.clone()).collect();
        let serve = Relay {
            http: self.http.clone(),
            upstream: self.config.http_url(),
            paths,
            token: self.token.subscribe(),
        };
        tokio::spawn(serve.serve(listener, relay.key));
        let supervisor = Supervisor {
            config: self.config.clone(),
            content,
            title: setup.title.clone(),
            state: self.state.clone(),
            http: self.http.clone(),
            news: self.tell.news.clone(),
            may_adopt,
        };
        tokio::spawn(supervisor.run());
        Ok(())
    }
}
