//! The session's log: durable events with contiguous positions. The transcript is a fold over it.

use serde::{Deserialize, Serialize};

use crate::access::{Role, Visibility};
use crate::egress::EgressReason;
use crate::ids::{Generation, InteractionId, MessageId, PartId, PromptId, Seq, SnapshotId, TurnId, UserId};
use crate::interaction::{Interaction, Resolution};
use crate::sandbox::{Isolation, RepoSpec};
use crate::session::{
    Cause, FileChange, ForkOrigin, Person, Phase, Place, Prompt, StartStep, Todo, TurnOutcome, Usage,
};
use crate::text::{Branch, ModelId, PromptText, Title};
use crate::time::Timestamp;
use crate::transcript::Part;

/// One entry of the log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct Event {
    /// Its position.
    pub seq: Seq,
    /// When the SessionAgent stored it.
    pub at: Timestamp,
    /// What happened.
    #[serde(flatten)]
    pub body: EventBody,
}

/// What happened, by its `type`. A reader skips types that it does not know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all_fields = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
pub enum EventBody {
    /// The session was made.
    #[serde(rename = "session.created")]
    SessionCreated {
        /// By whom.
        owner: Person,
        /// Its first title.
        title: Title,
        /// Its repository.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        repo: Option<RepoSpec>,
        /// Its model.
        model: ModelId,
        /// Which session it was forked from. The events that follow, up to the end of that turn, are copies of that
        /// session's; their positions and times are those of the copy's log and of the original.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        forked_from: Option<ForkOrigin>,
    },
    /// It has another title.
    #[serde(rename = "session.titled")]
    SessionTitled {
        /// The title.
        title: Title,
        /// Who chose it; absent when the engine did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Person>,
    },
    /// It moved to another phase.
    #[serde(rename = "session.phase")]
    SessionPhase {
        /// Where it is now.
        phase: Phase,
        /// Why, when there is something to say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cause: Option<Cause>,
    },
    /// A step of the start began.
    #[serde(rename = "sandbox.step")]
    SandboxStep {
        /// Which sandbox.
        generation: Generation,
        /// The step that began.
        step: StartStep,
        /// 1 for the first try of this start.
        attempt: u32,
    },
    /// The sandbox is ready for turns.
    #[serde(rename = "sandbox.ready")]
    SandboxReady {
        /// Which sandbox.
        generation: Generation,
        /// How it is isolated.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        isolation: Option<Isolation>,
        /// The engine's version.
        engine: String,
    },
    /// Something went wrong with the sandbox and the session goes on.
    #[serde(rename = "sandbox.trouble")]
    SandboxTrouble {
        /// Which sandbox.
        generation: Generation,
        /// What, and what is done about it.
        cause: Cause,
    },
    /// What the repository's set-up script printed; pieces follow each other without anything between them.
    #[serde(rename = "sandbox.setup_output")]
    SandboxSetupOutput {
        /// Which sandbox.
        generation: Generation,
        /// A piece.
        text: String,
    },
    /// The sandbox was not let through to a host. Told once for each host and port, and at most some times a minute.
    #[serde(rename = "sandbox.egress_refused")]
    SandboxEgressRefused {
        /// The name, or the address when it was used instead of a name.
        host: String,
        /// The port.
        port: u16,
        /// Why.
        reason: EgressReason,
    },
    /// The session's work so far is saved outside its sandbox.
    #[serde(rename = "sandbox.snapshot")]
    SandboxSnapshot {
        /// Its id.
        snapshot_id: SnapshotId,
        /// The last turn that is in it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        turn_id: Option<TurnId>,
        /// Its size.
        bytes: u64,
    },
    /// The repository is checked out.
    #[serde(rename = "git.cloned")]
    GitCloned {
        /// The branch.
        branch: Branch,
        /// The commit, 40 hex digits.
        commit: String,
    },
    /// A prompt was accepted.
    #[serde(rename = "prompt.queued")]
    PromptQueued {
        /// The prompt.
        prompt: Prompt,
    },
    /// A waiting prompt got another text.
    #[serde(rename = "prompt.edited")]
    PromptEdited {
        /// Which.
        prompt_id: PromptId,
        /// The new text.
        text: PromptText,
    },
    /// A waiting prompt was taken back.
    #[serde(rename = "prompt.withdrawn")]
    PromptWithdrawn {
        /// Which.
        prompt_id: PromptId,
        /// By whom.
        by: Person,
    },
    /// A waiting prompt got another place in the queue.
    #[serde(rename = "prompt.moved")]
    PromptMoved {
        /// Which.
        prompt_id: PromptId,
        /// Where to.
        to: Place,
        /// By whom.
        by: Person,
    },
    /// A waiting prompt was handed to a turn and ends with it: with its outcome, or as failed when it had ended already.
    #[serde(rename = "prompt.steered")]
    PromptSteered {
        /// Which.
        prompt_id: PromptId,
        /// To which turn.
        turn_id: TurnId,
    },
    /// A prompt's turn began.
    #[serde(rename = "turn.started")]
    TurnStarted {
        /// The turn.
        turn_id: TurnId,
        /// Its prompt.
        prompt_id: PromptId,
    },
    /// Somebody asked to stop the turn.
    #[serde(rename = "turn.aborting")]
    TurnAborting {
        /// The turn.
        turn_id: TurnId,
        /// Who; absent when a deadline did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<Person>,
    },
    /// The model failed and is tried again.
    #[serde(rename = "turn.retrying")]
    TurnRetrying {
        /// The turn.
        turn_id: TurnId,
        /// Which try failed, from 1.
        attempt: u32,
        /// Why, in words.
        message: String,
        /// When it is tried again.
        next_at: Timestamp,
    },
    /// The turn ended.
    #[serde(rename = "turn.finished")]
    TurnFinished {
        /// The turn.
        turn_id: TurnId,
        /// Its prompt.
        prompt_id: PromptId,
        /// How.
        outcome: TurnOutcome,
        /// Why, unless it is `done`.
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
        /// The message.
        message_id: MessageId,
    },
    /// The agent ended a message.
    #[serde(rename = "message.finished")]
    MessageFinished {
        /// Its turn.
        turn_id: TurnId,
        /// The message.
        message_id: MessageId,
        /// Why it ended early.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cause: Option<Cause>,
    },
    /// The engine took a message's part back (a retry after a broken stream); readers drop it.
    #[serde(rename = "part.removed")]
    PartRemoved {
        /// Its message.
        message_id: MessageId,
        /// The part.
        part_id: PartId,
    },
    /// A part began, or an open tool part moved on (pending → running with its input). Deltas follow.
    #[serde(rename = "part.started")]
    PartStarted {
        /// Its turn.
        turn_id: TurnId,
        /// Its message.
        message_id: MessageId,
        /// The part as far as it is known.
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
    /// The agent's list changed.
    #[serde(rename = "note.todos")]
    NoteTodos {
        /// The whole list.
        todos: Vec<Todo>,
    },
    /// A person is asked.
    #[serde(rename = "interaction.opened")]
    InteractionOpened {
        /// What.
        interaction: Interaction,
    },
    /// It is settled.
    #[serde(rename = "interaction.resolved")]
    InteractionResolved {
        /// Which.
        interaction_id: InteractionId,
        /// How.
        #[serde(flatten)]
        resolution: Resolution,
    },
    /// The session was put away or taken back out.
    #[serde(rename = "session.archived")]
    SessionArchived {
        /// Put away?
        archived: bool,
        /// By whom.
        by: Person,
    },
    /// Somebody redeemed one of its share links.
    #[serde(rename = "session.joined")]
    SessionJoined {
        /// As what.
        role: Role,
        /// Who.
        by: Person,
    },
    /// A share link was removed: who had come by it alone is no guest any more.
    #[serde(rename = "session.unshared")]
    SessionUnshared {
        /// Who redeemed it; what they still are, other links say.
        guests: Vec<UserId>,
        /// By whom.
        by: Person,
    },
    /// Others see it now, or no longer.
    #[serde(rename = "session.shared")]
    SessionShared {
        /// Who.
        visibility: Visibility,
        /// By whom.
        by: Person,
    },
}
