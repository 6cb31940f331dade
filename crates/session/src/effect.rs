//! What goes in and what comes out: inputs are what happened, effects are what the shell must do, as data, in order.
//!
//! The shell applies effects like this: all durable ones ([`Effect::is_durable`]) in one transaction, then frames,
//! then the alarm for [`crate::Session::next_deadline`], then remote calls, whose outcomes come back as inputs.

use std::collections::BTreeMap;

use errand_protocol::access::Role;
use errand_protocol::api::ErrorCode;
use errand_protocol::close::CloseCode;
use errand_protocol::event::Event;
use errand_protocol::git::Pushed;
use errand_protocol::ids::{BudgetId, CommandId, ConnId, Generation, PartId, PromptId, SnapshotId, UserId};
use errand_protocol::money::{BudgetLevel, BudgetNotice, Micros};
use errand_protocol::runner::{AgentFrame, RunnerFrame};
use errand_protocol::sandbox::{RepoSpec, SandboxError, SandboxStatus};
use errand_protocol::session::{Person, Prompt, Session as Summary};
use errand_protocol::startup::{Start, Verdict};
use errand_protocol::text::PromptText;
use errand_protocol::time::Timestamp;
use errand_protocol::viewer::{Command, OpenPart, ServerFrame};

use crate::kept::SandboxLife;
use crate::startup::NumberedStart;
use crate::timings::Timings;

/// What the machine may know besides its own state. Handed in with every input.
pub struct Cx<'a> {
    /// The present.
    pub now: Timestamp,
    /// How long states may last.
    pub timings: &'a Timings,
    /// Bodies for new ids: unique, of ULID shape.
    pub ids: &'a mut dyn FnMut() -> String,
    /// A prompt that was accepted earlier, whatever became of it, with the text that it came with.
    pub known_prompt: &'a dyn Fn(&PromptId) -> Option<Prompt>,
    /// Whether this person's command was carried out earlier.
    pub known_command: &'a dyn Fn(&UserId, &CommandId) -> bool,
    /// Whether anybody is watching the session now.
    pub watched: bool,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// A person commands.
    Command {
        /// Who.
        by: Person,
        /// Made by the client: the same id again is not carried out again.
        id: Option<CommandId>,
        /// What.
        command: Command,
    },
    /// Somebody started to watch.
    Watched,
    /// Somebody redeemed a share link, which the shell has checked.
    Joined {
        /// Who.
        by: Person,
        /// As what.
        role: Role,
    },
    /// A push of the sandbox, through the control plane, was taken by the repository.
    Pushed(Pushed),
    /// A share link is removed.
    Unshared {
        /// By whom.
        by: Person,
        /// Who redeemed it, and as what they may stay by their other links.
        left: BTreeMap<UserId, Option<Role>>,
    },
    /// Somebody waits for the work to be saved.
    SaveWanted,
    /// Another session waits for a place. Refused when this one has something to do, or has not been idle for long.
    MakeRoom {
        /// Though somebody is watching.
        even_watched: bool,
    },
    /// A runner's frame came in.
    Runner {
        /// On which connection.
        conn: ConnId,
        /// The frame.
        frame: RunnerFrame,
    },
    /// A runner's connection ended.
    RunnerGone {
        /// Which.
        conn: ConnId,
    },
    /// A call to the provider ended.
    Sandbox {
        /// Which call.
        call: SandboxCall,
        /// How.
        outcome: Result<SandboxStatus, SandboxError>,
    },
    /// The ledger says how a budget stands that applies to this session's calls of models.
    Budget {
        /// Which.
        notice: BudgetNotice,
        /// How far.
        level: BudgetLevel,
        /// Something of it is left for a hand-over note.
        reserve: bool,
    },
    /// A person has raised or removed a budget.
    BudgetRaised {
        /// Which.
        budget: BudgetId,
        /// How much from now on; none when there is no such budget any more.
        limit: Option<Micros>,
        /// Who did it.
        by: Person,
    },
    /// The ledger has the life of a sandbox, or did not answer.
    Booked {
        /// Which sandbox.
        generation: Generation,
        /// Whether it has it.
        ok: bool,
    },
    /// The registry has the summary, or did not answer.
    Indexed {
        /// Whether it has it.
        ok: bool,
    },
    /// The object was loaded from storage; always the first input after [`crate::store::load`].
    Restored {
        /// The runner's connection that had said hello and is still open.
        runner: Option<ConnId>,
    },
    /// The alarm fired; also harmless at any other time.
    Deadline {
        /// When the connected runner last gave a sign that did not wake the object (a ping), if known.
        runner_seen: Option<Timestamp>,
    },
}

/// What the shell must do.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Durable: append to the log.
    Append(Event),
    /// Durable: insert or update a prompt.
    PutPrompt {
        /// The prompt.
        prompt: Prompt,
        /// Its place in the order of all prompts.
        position: u64,
    },
    /// Durable: the text of this prompt is changed for the first time, or again: keep the one that it came with.
    KeepAsked {
        /// Which prompt.
        id: PromptId,
        /// Its text until now.
        text: PromptText,
    },
    /// Durable: the machine's own state, as JSON.
    SaveCore(String),
    /// Durable: an open part without its streaming text.
    PutOpen(OpenPart),
    /// Durable: a further piece of an open part's text.
    SaveText {
        /// Which part.
        part_id: PartId,
        /// Where it begins, in UTF-16 code units.
        offset: u32,
        /// The piece.
        text: String,
    },
    /// Durable: the text of an open part was rewritten; forget the pieces.
    ResetText(PartId),
    /// Durable: a part is no longer open.
    DropOpen(PartId),
    /// Durable: this person's command was carried out.
    Remember {
        /// Whose.
        by: UserId,
        /// Which.
        id: CommandId,
    },
    /// Durable: a start as far as it is known.
    PutStart(NumberedStart),
    /// Durable: what a watchdog decided.
    AddVerdict(Verdict),
    /// To all viewers.
    Viewers(ServerFrame),
    /// To the connected runner; dropped when there is none.
    Runner(AgentFrame),
    /// Answer a runner's hello: `welcome` with this `acked`, the setup and a fresh token.
    Welcome {
        /// To which connection.
        conn: ConnId,
        /// For which sandbox.
        generation: Generation,
        /// Highest stored `rseq`.
        acked: u64,
    },
    /// Send a fresh token.
    GrantToken {
        /// To which connection.
        conn: ConnId,
        /// For which sandbox.
        generation: Generation,
    },
    /// Close a runner's connection.
    CloseRunner {
        /// Which.
        conn: ConnId,
        /// Why.
        code: CloseCode,
    },
    /// Call the provider; its outcome is [`Input::Sandbox`].
    Sandbox(SandboxCall),
    /// Tell the registry; its outcome is [`Input::Indexed`].
    Index(Box<Summary>),
    /// Tell the ledger how long a sandbox was kept; its outcome is [`Input::Booked`].
    Book(SandboxLife),
    /// Tell the registry how long a start took; nobody waits for an outcome.
    Sample(Start),
    /// Remove a snapshot that is no longer needed; what fails is left behind.
    DropSnapshot(SnapshotId),
}

impl Effect {
    /// Whether this belongs into the transaction.
    pub const fn is_durable(&self) -> bool {
        match self {
            Self::Append(_)
            | Self::PutPrompt { .. }
            | Self::KeepAsked { .. }
            | Self::SaveCore(_)
            | Self::PutOpen(_)
            | Self::SaveText { .. }
            | Self::ResetText(_)
            | Self::DropOpen(_)
            | Self::Remember { .. }
            | Self::PutStart(_)
            | Self::AddVerdict(_) => true,
            Self::Viewers(_)
            | Self::Runner(_)
            | Self::Welcome { .. }
            | Self::GrantToken { .. }
            | Self::CloseRunner { .. }
            | Self::Sandbox(_)
            | Self::Index(_)
            | Self::Book(_)
            | Self::Sample(_)
            | Self::DropSnapshot(_) => false,
        }
    }
}

/// A call to the provider, idempotent by its name. The shell adds addresses and the token.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind", rename_all_fields = "camelCase")]
pub enum SandboxCall {
    /// Make sure that it exists.
    Ensure {
        /// Its name.
        name: String,
        /// Its generation.
        generation: Generation,
        /// What it works on.
        repo: Option<RepoSpec>,
        /// Whose workspace and state it takes over.
        resume: Option<String>,
    },
    /// Ask how it is.
    Inspect {
        /// Its name.
        name: String,
    },
    /// Stop it and keep its files.
    Suspend {
        /// Its name.
        name: String,
    },
    /// Stop it and remove it.
    Delete {
        /// Its name.
        name: String,
    },
}

impl SandboxCall {
    /// The sandbox that it is about.
    pub fn name(&self) -> &str {
        match self {
            Self::Ensure { name, .. } | Self::Inspect { name } | Self::Suspend { name } | Self::Delete { name } => name,
        }
    }

    /// Whether it only serves a start or a search that is going on.
    pub(crate) const fn is_look(&self) -> bool {
        match self {
            Self::Ensure { .. } | Self::Inspect { .. } => true,
            Self::Suspend { .. } | Self::Delete { .. } => false,
        }
    }
}

/// The caller's fault: nothing changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Rejection {
    /// For programs.
    pub code: ErrorCode,
    /// For people.
    pub message: String,
}

impl Rejection {
    /// A rejection from its two parts.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }
}
