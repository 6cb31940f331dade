//! Frames between a viewer (browser, script) and the SessionAgent: `GET /api/sessions/:id/ws?after=SEQ`.
//!
//! The first frame from the server is [`ServerFrame::Hello`], with everything that is not in the log; then the
//! events after `SEQ` (without `after`: the last [`crate::limits::FIRST_PAGE`]), then live frames. When more than
//! one page lies between, the server sends the newest page and `hello.firstSeq` tells where it begins; older ones
//! come by `GET …/events?before=`. Liveness: the viewer sends the text `ping`, and gets `pong`.
//!
//! Flow control: every [`crate::limits::CHECK_EVERY_BYTES`] the server sends [`ServerFrame::Check`]; the viewer, when it
//! has come so far, answers with the text `seen N` ([`SEEN`]). One that falls
//! [`crate::limits::MAX_UNREAD_BYTES`] behind is closed with `overloaded`: it dials again with `after`.

use serde::{Deserialize, Serialize};

use crate::access::{Role, Visibility};
use crate::api::ErrorCode;
use crate::event::Event;
use crate::ids::{CommandId, InteractionId, MessageId, PartId, PromptId, Seq, TurnId};
use crate::interaction::{Answer, Interaction};
use crate::session::{Person, Place, Prompt, PromptMode, Session, Todo, TurnInfo};
use crate::text::{ChosenTitle, ModelId, PromptText};
use crate::transcript::Part;

/// What a viewer's answer to [`ServerFrame::Check`] begins with; the number of the check follows.
pub const SEEN: &str = "seen ";

/// From the viewer: a command with its id. Exactly one `ack` or `reject` answers it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct ClientFrame {
    /// Made by the client; the same id again is harmless.
    pub id: CommandId,
    /// What is wanted.
    #[serde(flatten)]
    pub command: Command,
}

/// What a person can tell a session, by its `type`. The REST routes map to the same commands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", rename_all_fields = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
pub enum Command {
    /// Queue a prompt.
    Prompt {
        /// Made by the client; the same id again is the same prompt.
        prompt_id: PromptId,
        /// The text.
        text: PromptText,
        /// Another model for this prompt.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        model: Option<ModelId>,
        /// When it reaches the agent.
        #[serde(default, skip_serializing_if = "PromptMode::is_queue")]
        #[cfg_attr(feature = "ts", ts(optional, as = "Option<PromptMode>"))]
        mode: PromptMode,
    },
    /// Change a waiting prompt.
    EditPrompt {
        /// Which.
        prompt_id: PromptId,
        /// The new text.
        text: PromptText,
    },
    /// Take a waiting prompt back.
    WithdrawPrompt {
        /// Which.
        prompt_id: PromptId,
    },
    /// Give a waiting prompt another place in the queue.
    MovePrompt {
        /// Which.
        prompt_id: PromptId,
        /// Where to.
        to: Place,
    },
    /// Stop the running turn, if one runs, and run this waiting prompt next.
    PromotePrompt {
        /// Which.
        prompt_id: PromptId,
    },
    /// Stop the running turn. Fine when none runs.
    Abort {
        /// Only this turn, so that a late click does not stop the next one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        turn_id: Option<TurnId>,
    },
    /// Settle an interaction.
    Answer {
        /// Which.
        interaction_id: InteractionId,
        /// How.
        answer: Answer,
    },
    /// Give it another title.
    Rename {
        /// The title.
        title: ChosenTitle,
    },
    /// Change who sees it.
    Share {
        /// By what rule.
        visibility: Visibility,
    },
    /// Leave `error` and start again; waiting prompts go on.
    Retry {},
    /// Stop the sandbox and keep its files; the next prompt wakes it. Refused while a turn runs or prompts wait.
    Pause {},
    /// Bring the sandbox up without a prompt. Fine when it is up.
    Resume {},
    /// Put the session away: paused, and out of the usual list. Refused while a turn runs or prompts wait. A prompt
    /// takes it back out.
    Archive {},
    /// Take it back out. It stays paused.
    Restore {},
    /// End the session for good: sandbox removed, waiting prompts withdrawn. The transcript stays.
    Terminate {},
}

impl Command {
    /// Its `type`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Prompt { .. } => "prompt",
            Self::EditPrompt { .. } => "edit_prompt",
            Self::WithdrawPrompt { .. } => "withdraw_prompt",
            Self::MovePrompt { .. } => "move_prompt",
            Self::PromotePrompt { .. } => "promote_prompt",
            Self::Abort { .. } => "abort",
            Self::Answer { .. } => "answer",
            Self::Rename { .. } => "rename",
            Self::Share { .. } => "share",
            Self::Retry {} => "retry",
            Self::Pause {} => "pause",
            Self::Resume {} => "resume",
            Self::Archive {} => "archive",
            Self::Restore {} => "restore",
            Self::Terminate {} => "terminate",
        }
    }
}

/// To the viewer, by its `type`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", rename_all_fields = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export, optional_fields))]
pub enum ServerFrame {
    /// First frame.
    Hello {
        /// [`crate::PROTOCOL_VERSION`].
        protocol: u32,
        /// The session now.
        session: Session,
        /// Position of the log's last event; events up to here follow at once.
        head_seq: Seq,
        /// Position of the first event that follows; `headSeq + 1` when none does. When it is greater than
        /// `after + 1` there is a gap, to be filled by `GET …/events?before=`.
        first_seq: Seq,
        /// Parts that are being written, with their text so far.
        open_parts: Vec<OpenPart>,
        /// Prompts that wait, in order.
        queue: Vec<Prompt>,
        /// The turn that runs.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        turn: Option<TurnInfo>,
        /// What waits for a person.
        interactions: Vec<Interaction>,
        /// The agent's list.
        todos: Vec<Todo>,
        /// Who else is looking.
        presence: Vec<Person>,
        /// What a share link makes of the one who looks, while the session is shared by link.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        guest: Option<Role>,
    },
    /// A log event.
    Event {
        /// The event.
        event: Event,
    },
    /// Several log events, in order: the pages after `hello`.
    Events {
        /// The events.
        events: Vec<Event>,
    },
    /// A piece of an open part.
    Delta(Delta),
    /// The session's summary changed (phase, activity, title, queue).
    Session {
        /// All of it.
        session: Session,
    },
    /// Who is looking changed.
    Presence {
        /// All of them.
        presence: Vec<Person>,
    },
    /// How far have you read? See the module's text.
    Check {
        /// Bytes sent to all viewers of this session so far.
        sent: u64,
    },
    /// The command was carried out (or had been before).
    Ack {
        /// Which.
        id: CommandId,
    },
    /// The command was refused; nothing changed.
    Reject {
        /// Which; absent when the frame had no readable id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<CommandId>,
        /// Why.
        code: ErrorCode,
        /// In words.
        message: String,
    },
}

/// A part that is being written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct OpenPart {
    /// Its turn.
    pub turn_id: TurnId,
    /// Its message.
    pub message_id: MessageId,
    /// The part with its text so far.
    pub part: Part,
}

/// A piece of an open part's streaming text. Previews: they are not in the log, the finished part replaces them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[cfg_attr(feature = "ts", derive(ts_rs::TS), ts(export))]
pub struct Delta {
    /// Which part.
    pub part_id: PartId,
    /// Where `text` begins, in UTF-16 code units (what JavaScript's `length` counts). Smaller than what the
    /// reader has: the overlap is known already. Greater: a gap, wait for the finished part.
    pub offset: u32,
    /// What follows.
    pub text: String,
    /// The text was rewritten: drop what you have; `offset` is 0.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    #[cfg_attr(feature = "ts", ts(optional, as = "Option<bool>"))]
    pub reset: bool,
}
