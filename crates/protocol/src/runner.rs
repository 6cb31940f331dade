//! Frames between the runner in a sandbox and the SessionAgent: `GET /runner/:sessionId` with the sandbox token as
//! `Authorization: Bearer`.
//!
//! The runner sends `hello` first and waits for `welcome`. What must not be lost travels in `event` frames: they
//! carry `rseq`, the runner's own contiguous numbering from 1 within one spool file, kept on disk until the agent
//! acks them (after the transaction that stored them). On reconnect the runner resends from `welcome.acked + 1`;
//! the agent ignores what it has. Deltas are outside the spool: the agent says how far each open part is saved
//! (`saved`), the runner keeps the whole text of open parts and resends from any offset when asked (`resend`).
//! Liveness: the runner sends the text `ping` every 20 s and gets `pong` without waking the agent.
//! Commands to the runner are idempotent: `run` by its turn id, the rest by what they name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::egress::EgressRefusal;
use crate::git::{GitSetup, Pushed};
use crate::ids::{Generation, InteractionId, MessageId, PartId, PromptId, SessionId, SnapshotId, SpoolId, TurnId};
use crate::interaction::{Answer, Ask};
use crate::repository::{SecretName, SecretValue, SetupScript};
use crate::sandbox::RepoSpec;
use crate::session::{Cause, FileChange, StartStep, Todo, TurnOutcome, Usage};
use crate::text::{Branch, ModelId, PromptText};
use crate::time::Timestamp;
use crate::transcript::Part;
use crate::viewer::Delta;

/// Environment variable: WebSocket base URL of the control plane, e.g. `ws://127.0.0.1:8787`.
pub const ENV_URL: &str = "ERRAND_URL";
/// Environment variable: the session id.
pub const ENV_SESSION: &str = "ERRAND_SESSION";
/// Environment variable: this sandbox's generation, decimal.
pub const ENV_GENERATION: &str = "ERRAND_GENERATION";
/// Environment variable: the first sandbox token; the runner takes it out of its environment at once, and gets
/// fresh ones over the link.
pub const ENV_TOKEN: &str = "ERRAND_TOKEN";
/// Environment variable: set when the first token comes on standard input instead. The environment that a process was
/// started with stays readable in `/proc` for as long as it runs, also that of a program which starts the runner.
pub const ENV_TOKEN_ON_STDIN: &str = "ERRAND_TOKEN_ON_STDIN";

/// Environment variable: path of the file in which the host tells what it refused to the sandbox, one
/// [`EgressRefusal`] of JSON a line, only ever appended to; absent where it refuses nothing.
pub const ENV_EGRESS: &str = "ERRAND_EGRESS";

/// From the runner, by its `type`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum RunnerFrame {
    /// First frame.
    Hello {
        /// [`crate::PROTOCOL_VERSION`].
        protocol: u32,
        /// Must equal the token's.
        generation: Generation,
        /// The spool file that `rseq` counts in.
        spool_id: SpoolId,
        /// The last `rseq` written to it; 0 when none.
        last_rseq: u64,
        /// The turn that the engine works on, as the runner knows it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        turn: Option<TurnId>,
        /// Whether the engine is ready for prompts.
        ready: bool,
        /// Version of the runner program.
        version: String,
    },
    /// What must not be lost.
    Event {
        /// Its number in the spool.
        rseq: u64,
        /// When it happened, by the sandbox's clock; for display only.
        at: Timestamp,
        /// What happened.
        body: RunnerEvent,
    },
    /// A piece of an open part.
    Delta(Delta),
    /// No more deltas for now: save what is not saved yet.
    Flush {},
    /// The token has less than a quarter of its life left.
    RenewToken {},
}

/// What happened in the sandbox, by its `kind`. The session machine turns these into log events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all_fields = "camelCase")]
pub enum RunnerEvent {
    /// A step of the start began.
    #[serde(rename = "step")]
    Step {
        /// `cloning`, `setup` or `engine`.
        step: StartStep,
    },
    /// The repository is checked out.
    #[serde(rename = "cloned")]
    Cloned {
        /// The branch.
        branch: Branch,
        /// The commit.
        commit: String,
    },
    /// The engine takes prompts.
    #[serde(rename = "ready")]
    Ready {
        /// Its version.
        engine: String,
    },
    /// The start failed in a way that trying again may or may not mend.
    #[serde(rename = "start_failed")]
    StartFailed {
        /// In which step.
        step: StartStep,
        /// Why.
        cause: Cause,
        /// Whether another try can help (a network error: yes; no such repository: no).
        retryable: bool,
    },
    /// The engine has taken the prompt in.
    #[serde(rename = "turn.accepted")]
    TurnAccepted {
        /// Which turn.
        turn_id: TurnId,
    },
    /// The model failed and the engine tries again.
    #[serde(rename = "turn.retrying")]
    TurnRetrying {
        /// Which turn.
        turn_id: TurnId,
        /// Which try failed.
        attempt: u32,
        /// Why, in words.
        message: String,
        /// When it is tried again.
        next_at: Timestamp,
    },
    /// The engine is idle again and its last message complete.
    #[serde(rename = "turn.finished")]
    TurnFinished {
        /// Which turn.
        turn_id: TurnId,
        /// How it ended.
        outcome: TurnOutcome,
        /// Why, unless `done`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cause: Option<Cause>,
        /// What it used.
        usage: Usage,
        /// What it changed.
        files: Vec<FileChange>,
    },
    /// The agent began a message.
    #[serde(rename = "message.started")]
    MessageStarted {
        /// Its turn.
        turn_id: TurnId,
        /// The engine's id.
        message_id: MessageId,
    },
    /// The agent ended a message.
    #[serde(rename = "message.finished")]
    MessageFinished {
        /// Its turn.
        turn_id: TurnId,
        /// The engine's id.
        message_id: MessageId,
        /// Why it ended early.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cause: Option<Cause>,
    },
    /// A part began or moved on while open (pending → running). Its streaming text is empty here: deltas follow.
    #[serde(rename = "part.started")]
    PartStarted {
        /// Its turn.
        turn_id: TurnId,
        /// Its message (of the root agent, also for a sub-agent's parts).
        message_id: MessageId,
        /// The part.
        part: Part,
    },
    /// A part is complete.
    #[serde(rename = "part.finished")]
    PartFinished {
        /// Its turn.
        turn_id: TurnId,
        /// Its message.
        message_id: MessageId,
        /// The whole part.
        part: Part,
    },
    /// The engine took a part back.
    #[serde(rename = "part.removed")]
    PartRemoved {
        /// Its message.
        message_id: MessageId,
        /// The part.
        part_id: PartId,
    },
    /// The agent's list changed.
    #[serde(rename = "todos")]
    Todos {
        /// The whole list.
        todos: Vec<Todo>,
    },
    /// The engine named the session.
    #[serde(rename = "title")]
    Title {
        /// As the engine gave it; unchecked.
        title: String,
    },
    /// A person is asked.
    #[serde(rename = "interaction.asked")]
    InteractionAsked {
        /// Minted by the runner from the engine's request id, so that asking twice is one interaction.
        interaction_id: InteractionId,
        /// The turn that waits.
        turn_id: TurnId,
        /// The tool call that asks.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        part_id: Option<PartId>,
        /// What.
        ask: Ask,
    },
    /// The engine no longer waits for it (answered, or the turn ended).
    #[serde(rename = "interaction.closed")]
    InteractionClosed {
        /// Which.
        interaction_id: InteractionId,
    },
    /// The runner has taken a prompt in for the running turn and will hand it to the engine. From here on it ends with
    /// the turn and is never begun again.
    #[serde(rename = "steer.accepted")]
    SteerAccepted {
        /// Which turn.
        turn_id: TurnId,
        /// Which prompt.
        prompt_id: PromptId,
    },
    /// The runner does not take it in: that turn does not run here (any more). It was not handed to the engine.
    #[serde(rename = "steer.refused")]
    SteerRefused {
        /// Which turn.
        turn_id: TurnId,
        /// Which prompt.
        prompt_id: PromptId,
        /// Why.
        cause: Cause,
    },
    /// A snapshot was uploaded: `PUT /runner/:sessionId/snapshots/:snapshotId` was answered with 204.
    #[serde(rename = "snapshot.saved")]
    SnapshotSaved {
        /// Its id.
        snapshot_id: SnapshotId,
        /// The last turn that is in it; absent before the first.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        turn_id: Option<TurnId>,
        /// Its size.
        bytes: u64,
        /// Its format ([`crate::limits::SNAPSHOT_RUNTIME`]).
        runtime: u32,
    },
    /// What became of [`AgentFrame::Push`].
    #[serde(rename = "push.ended")]
    PushEnded {
        /// Which stop of the session it was for.
        stop: Timestamp,
        /// How it ended.
        outcome: PushOutcome,
    },
    /// The work could not be saved; it is tried again soon.
    #[serde(rename = "snapshot.failed")]
    SnapshotFailed {
        /// Why.
        cause: Cause,
    },
    /// The workspace was made from a snapshot.
    #[serde(rename = "snapshot.restored")]
    SnapshotRestored {
        /// Which.
        snapshot_id: SnapshotId,
        /// What could not be brought back, in words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        loss: Option<String>,
    },
    /// What the repository's set-up script printed, piece by piece; secrets are masked.
    #[serde(rename = "setup.output")]
    SetupOutput {
        /// A piece, at most [`crate::limits::MAX_SETUP_PIECE_BYTES`].
        text: String,
    },
    /// The sandbox was not let through to a host.
    #[serde(rename = "egress.refused")]
    EgressRefused(EgressRefusal),
    /// The engine died and was started again; what it was doing is lost, what it had finished is not.
    #[serde(rename = "engine.restarted")]
    EngineRestarted {
        /// Why, as far as known.
        cause: Cause,
    },
}

/// What became of pushing the work.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum PushOutcome {
    /// The repository has it.
    Pushed {
        /// Where.
        pushed: Pushed,
        /// What of the work is not in it, in words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lacks: Option<String>,
    },
    /// There is nothing that the repository does not have.
    Nothing {},
    /// The repository does not have it.
    Failed {
        /// Why.
        cause: Cause,
    },
}

/// To the runner, by its `type`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum AgentFrame {
    /// Answer to `hello`. Idempotent: on a reconnect the runner only takes `acked` and `token` from it.
    Welcome {
        /// [`crate::PROTOCOL_VERSION`].
        protocol: u32,
        /// Highest contiguous `rseq` of this spool that is stored; resend from the next.
        acked: u64,
        /// What to work on.
        setup: RunnerSetup,
        /// A fresh sandbox token.
        token: SandboxToken,
    },
    /// Everything up to `rseq` is stored; the spool may forget it.
    Ack {
        /// Highest contiguous stored number.
        rseq: u64,
    },
    /// The text of an open part is saved up to `len` UTF-16 code units.
    Saved {
        /// Which part.
        part_id: PartId,
        /// How far.
        len: u32,
    },
    /// Send the text of an open part again from `from` on (as a delta).
    Resend {
        /// Which part.
        part_id: PartId,
        /// From which UTF-16 offset.
        from: u32,
    },
    /// Run a turn. The same turn id again must not run it twice.
    Run {
        /// Which turn.
        turn_id: TurnId,
        /// What is asked.
        text: PromptText,
        /// With which model.
        model: ModelId,
        /// Author of commits made in this turn.
        author: GitAuthor,
    },
    /// Hand a further prompt to the turn that runs; answered by `steer.accepted` or `steer.refused`. The same prompt
    /// id again must not be handed over twice, and is answered again.
    Steer {
        /// Which turn.
        turn_id: TurnId,
        /// Which prompt.
        prompt_id: PromptId,
        /// Its text.
        text: PromptText,
        /// With which model.
        model: ModelId,
    },
    /// Upload a snapshot now if there is anything that the last one lacks. Answered by `snapshot.saved` (of the last one
    /// again when it lacks nothing) or `snapshot.failed`.
    Save {},
    /// Push the work as it is, commits and files, to the session's branch for unfinished work
    /// ([`crate::git::GitProxy::unfinished`]), without changing anything that the agent sees. Answered by `push.ended`; the
    /// same work again is not pushed twice.
    Push {
        /// When the session was told to stop.
        stop: Timestamp,
        /// Author of the commit that holds what is not committed.
        author: GitAuthor,
        /// Its message.
        message: String,
    },
    /// Stop the turn. Fine when it is not running.
    Abort {
        /// Which turn.
        turn_id: TurnId,
    },
    /// A person's answer (or the default). Fine when the engine no longer waits.
    Resolve {
        /// Which interaction.
        interaction_id: InteractionId,
        /// The answer.
        answer: Answer,
    },
    /// A fresh token.
    Token {
        /// It.
        token: SandboxToken,
    },
    /// Upload a snapshot if there is anything that the last one lacks (for at most 15 s), stop the engine and exit.
    Shutdown {},
}

/// What a runner is to prepare. Holds no secret.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunnerSetup {
    /// The session.
    pub session_id: SessionId,
    /// What to clone into `/workspace`; none: an empty git repository is made there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repo: Option<RepoSpec>,
    /// The session's default model.
    pub model: ModelId,
    /// How the engine reaches models: one entry per provider name, the part of a [`ModelId`] before the slash.
    pub providers: BTreeMap<String, ProviderSetup>,
    /// Commit author until a turn says otherwise.
    pub author: GitAuthor,
    /// Committer, and how the repository is reached; absent: the author commits, the repository is reached directly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<GitSetup>,
    /// The session's title, when a person chose it: the engine then need not name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Engine permission rules: permission name (`bash`, `edit`, …) → `allow`, `ask` or `deny`. Missing: the
    /// engine's default.
    #[serde(default)]
    pub permissions: BTreeMap<String, String>,
    /// What to make the workspace of when nothing of it is on the sandbox's disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<SnapshotSource>,
}

/// A snapshot to start from: `GET /runner/:sessionId/snapshots/:snapshotId`, with the sandbox token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SnapshotSource {
    /// Which.
    pub id: SnapshotId,
    /// Files and conversation as they were after this turn; absent: all that is in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upto: Option<TurnId>,
}

/// How the engine reaches one provider. The address is the control plane's proxy; the key is the sandbox token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProviderSetup {
    /// Which wire format.
    pub dialect: Dialect,
    /// Path on the control plane, e.g. `/llm/demo/v1`.
    pub path: String,
    /// The models it offers.
    pub models: Vec<ModelSetup>,
}

/// One model of a provider.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ModelSetup {
    /// The part of a [`ModelId`] after the slash.
    pub id: String,
    /// Name to show.
    pub name: String,
    /// Context window, tokens.
    pub context: u32,
    /// Longest answer, tokens.
    pub output: u32,
}

/// A provider's wire format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dialect {
    /// OpenAI Chat Completions: `POST {path}/chat/completions`.
    Openai,
    /// OpenAI Responses: `POST {path}/responses`.
    Responses,
    /// Anthropic Messages: `POST {path}/messages`.
    Anthropic,
    /// Google Gemini: `POST {path}/models/{model}:streamGenerateContent`.
    Google,
}

/// A commit author.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GitAuthor {
    /// Name.
    pub name: String,
    /// Address.
    pub email: String,
}

/// Answer of `GET /runner/:sessionId/environment`, to the sandbox token: what the repository's policy gives this sandbox.
/// It is the agent's to see, but for nobody who only reads the session.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct SandboxEnvironment {
    /// What to run in a new workspace before the agent starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub setup: Option<SetupScript>,
    /// Environment variables of that script and of the agent.
    #[serde(default)]
    pub secrets: BTreeMap<SecretName, SecretValue>,
}

/// The sandbox's only credential (DESIGN §4). `Debug` does not print it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SandboxToken {
    /// The JWT.
    pub token: String,
    /// When it ends.
    pub expires_at: Timestamp,
}

impl std::fmt::Debug for SandboxToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SandboxToken")
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}
