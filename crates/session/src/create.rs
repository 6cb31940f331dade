//! How a session comes to be: made anew, forked, or read back from its store.

use errand_protocol::event::{Event, EventBody};
use errand_protocol::ids::{Generation, OrgId, Seq, SessionId};
use errand_protocol::sandbox::RepoSpec;
use errand_protocol::session::{Person, PromptState};
use errand_protocol::settings::SandboxWish;
use errand_protocol::text::{ModelId, Title};
use errand_protocol::time::Timestamp;
use errand_protocol::viewer::OpenPart;

use crate::core::{Access, Core, Index, Life, Spec, Volatile};
use crate::effect::Effect;
use crate::fork::Fork;
use crate::open_parts::OpenParts;
use crate::session::{Placed, Session};
use crate::startup::NumberedStart;

/// What a new session is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct NewSession {
    /// Its id.
    pub id: SessionId,
    /// Its tenant.
    pub org: OrgId,
    /// Whose it is.
    pub owner: Person,
    /// Its title.
    pub title: Title,
    /// Whether a person chose the title.
    pub titled_by_person: bool,
    /// What it works on.
    pub repo: Option<RepoSpec>,
    /// Its model.
    pub model: ModelId,
    /// Whether its commits name Errand as a co-author.
    pub co_author: bool,
    /// What it continues; its events are in the log already.
    pub fork: Option<Fork>,
    /// What its sandboxes have at most.
    pub sandbox: SandboxWish,
    /// What makes it, when that is no person: the id of an API key.
    pub trigger: Option<String>,
    /// Hash of the request that makes it: the same id with another one is refused by the shell.
    pub request: Option<String>,
}

/// What a store gives back, for [`Session::from_stored`].
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// The last [`Effect::SaveCore`], read.
    pub core: Core,
    /// Prompts that are queued, running or steered, in the order of their places.
    pub prompts: Vec<Placed>,
    /// Open parts in the order in which they were first put, each with its text.
    pub open: Vec<(OpenPart, String)>,
    /// The last start.
    pub start: Option<NumberedStart>,
}

impl Session {
    /// The session as it was stored. Its first input must be [`Input::Restored`].
    pub fn from_stored(stored: Stored, now: Timestamp) -> Self {
        let (mut queue, mut steered, mut running) = (Vec::new(), Vec::new(), None);
        for placed in stored.prompts {
            match placed.prompt.state {
                PromptState::Running => running = Some(placed),
                PromptState::Steered => steered.push(placed),
                PromptState::Queued
                | PromptState::Done
                | PromptState::Failed
                | PromptState::Aborted
                | PromptState::Withdrawn => queue.push(placed),
            }
        }
        Self {
            core: stored.core,
            queue,
            running,
            steered,
            start: stored.start,
            open: OpenParts::restore(stored.open),
            live: Volatile {
                runner_seen: now,
                replayed_at: now,
                saved_at: now,
                ..Volatile::default()
            },
        }
    }

    /// A new session, with the effects that make it exist.
    pub fn create(new: NewSession, now: Timestamp) -> (Self, Vec<Effect>) {
        let fork = new.fork;
        let forked_from = fork.as_ref().map(|fork| fork.origin.clone());
        let body = EventBody::SessionCreated {
            owner: new.owner.clone(),
            title: new.title.clone(),
            repo: new.repo.clone(),
            model: new.model.clone(),
            forked_from: forked_from.clone(),
        };
        let head_seq = fork.as_ref().map_or(Seq(1), |fork| fork.head_seq.max(Seq(1)));
        let (todos, snapshot) = fork.map_or_else(Default::default, |fork| (fork.todos, fork.snapshot));
        let spec = Spec {
            id: new.id,
            org: new.org,
            owner: new.owner,
            repo: new.repo,
            model: new.model,
            created_at: now,
            forked_from,
            co_author: new.co_author,
            sandbox: new.sandbox,
            trigger: new.trigger,
            request: new.request,
        };
        let session = Self {
            core: Core {
                spec,
                title: new.title,
                titled_by_person: new.titled_by_person,
                head_seq,
                updated_at: now,
                life: Life::Idle,
                generation: Generation::default(),
                made: false,
                resumable: None,
                isolation: None,
                failed_starts: Vec::new(),
                turn: None,
                prompts: 0,
                interactions: std::collections::BTreeMap::new(),
                answers: std::collections::BTreeMap::new(),
                settled: Vec::new(),
                settled_by: std::collections::BTreeMap::new(),
                todos,
                spool: None,
                calls: Vec::new(),
                index: Index {
                    stale: true,
                    due: now,
                    failures: 0,
                },
                archived_at: None,
                snapshot,
                access: Access::default(),
                up_since: None,
                first_turn: false,
                pushed: None,
                budget: None,
                warned: Vec::new(),
                made_room: None,
                kept: None,
                counted: Generation::default(),
                unbooked: Vec::new(),
            },
            queue: Vec::new(),
            running: None,
            steered: Vec::new(),
            start: None,
            open: OpenParts::default(),
            live: Volatile {
                indexing: Some(now),
                runner_seen: now,
                replayed_at: now,
                saved_at: now,
                ..Volatile::default()
            },
        };
        let summary = session.summary();
        let effects = vec![
            Effect::Append(Event {
                seq: Seq(1),
                at: now,
                body,
            }),
            Effect::SaveCore(session.core_json()),
            Effect::Index(Box::new(summary)),
        ];
        (session, effects)
    }
}
