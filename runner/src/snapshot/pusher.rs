//! Pushing the work to a branch of its own, before the session rests: beside saving, and one push at a time.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use errand_protocol::git::{GitProxy, Pushed};
use errand_protocol::runner::{PushOutcome, RunnerEvent};
use errand_protocol::time::Timestamp;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::saver::{Report, Saver};
use super::shadow::Shadow;
use super::shadow::push::{Authorship, PushError};
use crate::cause;
use crate::state::PushNote;

/// All of it may take so long: shorter than the control plane waits.
const LIMIT: Duration = Duration::from_secs(50);

/// What is to be pushed where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// The stop of the session that it is for.
    pub stop: Timestamp,
    /// In whose name.
    pub work: Authorship,
    /// The repository.
    pub to: GitProxy,
}

/// The push that goes on.
#[derive(Debug, Default)]
pub(super) struct Pusher(Option<JoinHandle<()>>);

impl Pusher {
    /// Begins a push. While one goes on its answer is the answer to this as well.
    pub(super) fn push(&mut self, saver: &Arc<Saver>, order: Order) {
        if self.0.as_ref().is_some_and(|push| !push.is_finished()) {
            return;
        }
        let saver = Arc::clone(saver);
        self.0 = Some(tokio::spawn(async move {
            let outcome = timeout(LIMIT, saver.push(&order)).await;
            let outcome = outcome.unwrap_or(Err(PushError::Slow));
            let event = RunnerEvent::PushEnded {
                stop: order.stop,
                outcome: outcome.unwrap_or_else(|error| {
                    tracing::warn!(%error, "the work could not be pushed");
                    PushOutcome::Failed {
                        cause: cause::push_failed(error.code(), &error.to_string()),
                    }
                }),
            };
            let _ = saver.reports.send(Report { event, answer: false }).await;
        }));
    }
}

impl Saver {
    async fn push(&self, order: &Order) -> Result<PushOutcome, PushError> {
        let branch = order.to.unfinished().map_err(io::Error::other)?;
        let notes = self.state.get();
        if !notes.cloned {
            return Err(io::Error::other("the workspace is not prepared yet").into());
        }
        let (shadow, work) = {
            let _one = self.index.lock().await;
            let shadow = Shadow::open(&self.config).await?;
            let work = shadow.work().await?;
            (shadow, work)
        };
        let known = notes.push.filter(|known| work.is(known));
        let mut note = match known {
            Some(known) if known.done || shadow.has(&known.commit).await => known,
            _ if work.is_published(&shadow).await => return work.nothing_new(),
            _ => shadow.commit(&work, &order.work).await?,
        };
        if !note.done {
            self.note(&note)?;
            shadow.push(&note.commit, &order.to, &branch).await?;
            note.done = true;
            self.note(&note)?;
        }
        let commit = note.commit;
        let pushed = Pushed { branch, commit };
        let lacks = work.lacks();
        Ok(PushOutcome::Pushed { pushed, lacks })
    }

    fn note(&self, note: &PushNote) -> io::Result<()> {
        self.state.update(|state| state.push = Some(note.clone()))
    }
}

#[cfg(test)]
mod tests;
