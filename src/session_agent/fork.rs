//! `POST …/fork`: the original's side. It finds out after which turn, sees to it that the work of that turn is saved,
//! copies the snapshot in R2 and the log into the new session's object, page by page, and has it made there
//! ([`super::forked`]).
//!
//! Every step can be repeated: whoever asks again with the same id goes on with what an earlier request left half made.

use std::rc::Rc;
use std::time::Duration;

use errand_protocol::api::{ErrorCode, PostFork};
use errand_protocol::event::Event;
use errand_protocol::ids::{Seq, SessionId, TurnId};
use errand_protocol::session::ForkOrigin;
use errand_protocol::startup::Watchdog;
use errand_protocol::text::Title;
use errand_protocol::time::Timestamp;
use errand_session::fork::{Fork, Survey, Work, store as fork_store};
use errand_session::{Input, Snapshot, store};
use worker::{Delay, Response, Stub};

use super::Agent;
use super::commands::{BeginFork, CopyEvents, FindFork, FoundFork, MakeFork};
use super::routes::Answer;
use super::sse::news_within;
use super::writes::Write;
use crate::admission;
use crate::http::error::ApiError;
use crate::platform::{blobs, clock, ids, rpc};

/// So long a fork waits for the runner to save the work.
const SAVE_PATIENCE_MS: i64 = 15_000;
/// Events are read so many at a time, and sent when there are so many or their JSON is so long.
const READ: u32 = 50;
const SEND: usize = 500;
const SEND_BYTES: usize = 1024 * 1024;
/// So often the work is looked for again when its snapshot is replaced while it is copied.
const COPY_TRIES: u32 = 3;

pub(super) async fn fork(write: &Write<'_>, request_id: &str) -> Answer {
    let agent = write.agent;
    let wanted: PostFork = write.optional()?;
    let id: SessionId = match wanted.id.clone() {
        Some(id) => id,
        None => write.derived("session")?.unwrap_or_else(|| ids::mint(clock::now())),
    };
    write.note.borrow_mut().say("fork", &id);
    let stub = agent.config()?.session_agent(&id)?;
    let find = FindFork {
        actor: write.actor.clone(),
        origin: agent.id()?,
        turn: wanted.turn_id.clone(),
        prompt: wanted.prompt.clone(),
    };
    let found: FoundFork = rpc::post(&stub, "fork-find", &find, request_id).await?;
    if let Some(made) = found.made {
        return Ok(Response::from_json(&made)?);
    }
    let ended = fork_store::ended_turns(&agent.sql)?;
    let turn = found.turn.or(wanted.turn_id);
    let turn = agent.read(|session| session.fork_turn(turn.as_ref(), &ended))??;
    let copying = Copying {
        agent,
        stub: &stub,
        request_id,
        id,
        origin: ForkOrigin {
            session_id: agent.id()?,
            turn_id: turn,
        },
    };
    let wish = admission::Wish::default();
    let allowed = admission::admit(agent.config()?, write.actor, &copying.id, wish, request_id).await?;
    agent.saved_work(&copying.origin.turn_id).await?;
    let actor = write.actor.clone();
    let origin = copying.origin.clone();
    let begin = BeginFork { actor, origin };
    let () = rpc::post(&stub, "fork-begin", &begin, request_id).await?;
    let snapshot = copying.snapshot().await?;
    let survey = copying.survey().await?;
    let head_seq = copying.events(&survey).await?;
    let fork = Fork {
        origin: begin.origin,
        head_seq,
        todos: survey.todos().to_vec(),
        snapshot,
    };
    let make = agent.read(|session| {
        let spec = session.spec();
        MakeFork {
            actor: begin.actor,
            titled_by_person: wanted.title.is_some() || session.chosen_title().is_some(),
            title: wanted.title.map_or_else(|| session.summary().title, Title::from),
            repo: spec.repo.clone(),
            model: spec.model.clone(),
            co_author: spec.co_author,
            fork,
            prompt: wanted.prompt,
            sandbox: allowed.sandbox,
        }
    })?;
    rpc::post_raw(&stub, "fork-make", &make, request_id).await
}

impl Agent {
    /// The work after a turn, as it is saved. When it is not, the runner is told to save it, and gets some time.
    async fn saved_work(self: &Rc<Self>, turn: &TurnId) -> Result<Option<Snapshot>, ApiError> {
        let started = clock::now();
        let mut news = self.events.join();
        let mut seen = None;
        loop {
            self.load()?;
            let (last, connected) = self.read(|s| (s.snapshot().cloned(), s.runner().is_some()))?;
            let asked = seen.is_some();
            // Much is logged while one waits, and little of it is a new snapshot: only that is worth reading the log for.
            if seen.as_ref() != Some(&last) {
                let ended = fork_store::ended_turns(&self.sql)?;
                match self.read(|session| session.work_after(turn, &ended))? {
                    Work::None => return Ok(None),
                    Work::Saved(snapshot) => return Ok(Some(snapshot)),
                    Work::Unsaved => seen = Some(last),
                }
            }
            if !connected || self.save_failed_since(started)? {
                return Err(unsaved());
            }
            if !asked {
                self.step(Input::SaveWanted)?;
            }
            let left = SAVE_PATIENCE_MS - clock::now().since(started);
            let left = u64::try_from(left).map_err(|_| unsaved())?;
            if !news_within(&mut news, Duration::from_millis(left)).await {
                return Err(unsaved());
            }
        }
    }

    fn save_failed_since(&self, since: Timestamp) -> Result<bool, ApiError> {
        let verdicts = store::verdicts(&self.sql)?;
        let mut recent = verdicts.iter().take_while(|verdict| verdict.at >= since);
        Ok(recent.any(|verdict| verdict.watchdog == Watchdog::Snapshot))
    }
}

fn unsaved() -> ApiError {
    let message = "the work of that turn is not saved outside its sandbox: fork after an earlier turn, or try again \
                   when the sandbox runs";
    ApiError::new(ErrorCode::Conflict, message)
}

/// What is being copied, and where to.
struct Copying<'a> {
    agent: &'a Rc<Agent>,
    stub: &'a Stub,
    request_id: &'a str,
    id: SessionId,
    origin: ForkOrigin,
}

impl Copying<'_> {
    /// Copies the snapshot that holds the work.
    async fn snapshot(&self) -> Result<Option<Snapshot>, ApiError> {
        let files = self.agent.config()?.files()?;
        for _ in 0..COPY_TRIES {
            let Some(snapshot) = self.agent.saved_work(&self.origin.turn_id).await? else {
                return Ok(None);
            };
            let org = self.agent.read(|session| session.spec().org.clone())?;
            let from = self.agent.snapshot_key(&snapshot.id)?;
            let to = blobs::snapshot_key(&org, &self.id, &snapshot.id);
            if blobs::copy(&files, from, to).await? {
                return Ok(Some(snapshot));
            }
            // A newer one has taken its place meanwhile.
        }
        Err(unsaved())
    }

    /// Reads the log up to the end of the turn.
    async fn survey(&self) -> Result<Survey, ApiError> {
        let mut survey = Survey::new(self.origin.turn_id.clone());
        let mut after = Seq::default();
        while survey.end().is_none() {
            let page = store::events_after(&self.agent.sql, after, READ)?;
            let last = page
                .last()
                .ok_or_else(|| ApiError::internal("an ended turn has no end"))?;
            after = last.seq;
            for event in &page {
                survey.push(event);
            }
            let_others_go_on().await;
        }
        Ok(survey)
    }

    /// Copies what the fork is to have of the log; the position of the last copy.
    async fn events(&self, survey: &Survey) -> Result<Seq, ApiError> {
        let end = survey.end().unwrap_or_default();
        let (mut after, mut head) = (Seq::default(), Seq(1));
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while after < end {
            let page = store::events_after(&self.agent.sql, after, READ)?;
            let Some(last) = page.last() else { break };
            after = last.seq;
            for mut event in page.into_iter().filter(|event| survey.copies(event)) {
                head = head.next();
                event.seq = head;
                bytes += serde_json::to_string(&event)?.len();
                batch.push(event);
                if batch.len() >= SEND || bytes >= SEND_BYTES {
                    self.send(std::mem::take(&mut batch)).await?;
                    bytes = 0;
                }
            }
            let_others_go_on().await;
        }
        self.send(batch).await?;
        Ok(head)
    }

    async fn send(&self, events: Vec<Event>) -> Result<(), ApiError> {
        let origin = self.origin.clone();
        let command = CopyEvents { origin, events };
        rpc::post(self.stub, "fork-copy", &command, self.request_id).await
    }
}

/// A long log is not read in one go: the session's own frames come between.
async fn let_others_go_on() {
    Delay::from(Duration::ZERO).await;
}
