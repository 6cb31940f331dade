//! Calls to the engine that take their time: each is a task whose outcome comes back to the bridge.

use std::time::Duration;

use errand_protocol::ids::{InteractionId, MessageId, TurnId};
use errand_protocol::interaction::Answer;
use errand_protocol::session::FileChange;
use serde_json::json;
use tokio::sync::mpsc::Sender;

use super::driver::Run;
use super::mapper::interaction_id;
use super::parts;
use super::snapshot::{self, Snapshot};
use crate::config::Config;
use crate::engine::api::{Api, ApiError};
use crate::git;
use crate::state::TurnNote;

const PAUSE: Duration = Duration::from_millis(200);
/// How often a prompt is posted to an engine that does not answer.
const POST_TRIES: u32 = 5;
/// How often stopping is tried before the bridge decides by the engine's record.
const STOP_TRIES: u32 = 25;

/// What came of a call.
#[derive(Debug)]
pub enum Outcome {
    /// The engine has the prompt, or why not; by the number of the request.
    Posted(u64, Result<(), String>),
    /// The engine's record, by the number of the request; none when the engine did not answer.
    Read(u64, Option<Snapshot>),
    /// What the turn changed.
    Changes(TurnId, Vec<FileChange>),
    /// The engine does not wait for this request any more.
    Answered(String),
    /// Whether the engine is idle.
    Checked {
        /// No run in progress.
        idle: bool,
    },
}

/// Gives the engine a prompt. The ids make it harmless to do so again when there was no answer.
pub fn post(api: Api, config: Config, root: String, run: Run, note: TurnNote, number: u64, outcomes: Sender<Outcome>) {
    tokio::spawn(async move {
        if let Err(error) = git::set_author(&config, &run.author).await {
            tracing::warn!(%error, "the commit author could not be set");
        }
        let mut tries = 1;
        let result = loop {
            let result = api
                .prompt(&root, &note.message, &note.part, &run.model, run.text.as_str())
                .await;
            if !matches!(result, Err(ApiError::Network(_))) || tries == POST_TRIES {
                break result;
            }
            tries += 1;
            tokio::time::sleep(PAUSE).await;
        };
        let _ = outcomes
            .send(Outcome::Posted(number, result.map_err(|error| error.to_string())))
            .await;
    });
}

/// Reads the engine's record of the turn. It is tried again until the engine answers or dies.
pub fn read(api: Api, root: String, prompt: MessageId, number: u64, outcomes: Sender<Outcome>) {
    tokio::spawn(async move {
        for _ in 0..10 {
            match snapshot::read(&api, &root, &prompt).await {
                Ok(snapshot) => {
                    let _ = outcomes.send(Outcome::Read(number, Some(snapshot))).await;
                    return;
                }
                Err(error) => tracing::warn!(%error, "the engine's record could not be read"),
            }
            tokio::time::sleep(PAUSE).await;
        }
        let _ = outcomes.send(Outcome::Read(number, None)).await;
    });
}

/// Asks for the changes of a turn.
pub fn changes(api: Api, root: String, turn: TurnId, prompt: MessageId, workspace: String, outcomes: Sender<Outcome>) {
    tokio::spawn(async move {
        let diff = api.diff(&root, &prompt).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the turn's changes could not be read");
            serde_json::Value::Null
        });
        let _ = outcomes
            .send(Outcome::Changes(turn, parts::files(&diff, &workspace)))
            .await;
    });
}

/// Asks whether the engine is idle.
pub fn check(api: Api, root: String, outcomes: Sender<Outcome>) {
    tokio::spawn(async move {
        let idle = api.statuses().await.is_ok_and(|statuses| !statuses.contains_key(&root));
        let _ = outcomes.send(Outcome::Checked { idle }).await;
    });
}

/// Stops a turn: nothing may wait for a person any more, then the run is aborted until it is idle. (A parent whose
/// sub-agent is cancelled makes another step; a cancelled sub-agent's request stays listed for ever.)
pub fn stop(api: Api, root: String, children: Vec<String>, outcomes: Sender<Outcome>) {
    tokio::spawn(async move {
        let tree: Vec<&String> = std::iter::once(&root).chain(&children).collect();
        refuse_requests(&api, &tree).await;
        for _ in 0..STOP_TRIES {
            for session in &tree {
                if let Err(error) = api.abort(session).await {
                    tracing::warn!(%error, "the engine did not take the abort");
                }
            }
            tokio::time::sleep(PAUSE).await;
            let statuses = api.statuses().await.unwrap_or_default();
            if !tree.iter().any(|session| statuses.contains_key(*session)) {
                break;
            }
            refuse_requests(&api, &tree).await;
        }
        let _ = outcomes.send(Outcome::Checked { idle: true }).await;
    });
}

async fn refuse_requests(api: &Api, tree: &[&String]) {
    for ask in api.permissions().await.unwrap_or_default() {
        if tree.contains(&&ask.session) {
            let _ = api.reply_permission(&ask.id, &json!({ "reply": "reject" })).await;
        }
    }
    for ask in api.questions().await.unwrap_or_default() {
        if tree.contains(&&ask.session) {
            let _ = api.reject_question(&ask.id).await;
        }
    }
}

/// Passes a person's answer on. The engine's request is found by the interaction's id.
pub fn answer(api: Api, interaction: InteractionId, answer: Answer, outcomes: Sender<Outcome>) {
    tokio::spawn(async move {
        let body = interaction.as_str().trim_start_matches(InteractionId::PREFIX);
        let (permission, question) = (format!("per_{body}"), format!("que_{body}"));
        let (request, result) = match answer {
            Answer::Permission { reply, message } => {
                let mut body = json!({ "reply": reply });
                if let (Some(message), Some(fields)) = (message, body.as_object_mut()) {
                    fields.insert("message".to_owned(), message.into());
                }
                let result = api.reply_permission(&permission, &body).await;
                (permission, result)
            }
            Answer::Question { answers } => {
                let result = api.reply_question(&question, &answers).await;
                (question, result)
            }
            Answer::Dismiss {} => {
                // The default answer of either kind.
                let waiting = api.permissions().await.unwrap_or_default();
                if waiting
                    .iter()
                    .any(|ask| interaction_id(&ask.id).as_ref() == Some(&interaction))
                {
                    let result = api.reply_permission(&permission, &json!({ "reply": "reject" })).await;
                    (permission, result)
                } else {
                    let result = api.reject_question(&question).await;
                    (question, result)
                }
            }
        };
        match result {
            Ok(()) => {}
            Err(error) if error.not_found() => {
                let _ = outcomes.send(Outcome::Answered(request)).await;
            }
            Err(error) => tracing::warn!(%error, "the engine did not take an answer"),
        }
    });
}
