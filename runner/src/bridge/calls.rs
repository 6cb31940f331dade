//! Calls to the engine that take their time: each is a task whose outcome comes back to the bridge.

use std::time::Duration;

use errand_protocol::ids::{InteractionId, MessageId, PartId, TurnId};
use errand_protocol::interaction::Answer;
use errand_protocol::runner::GitAuthor;
use errand_protocol::session::FileChange;
use errand_protocol::text::{ModelId, PromptText};
use serde_json::json;
use tokio::sync::mpsc::Sender;

use super::files;
use super::mapper::interaction_id;
use super::record::{self, Record};
use crate::config::Config;
use crate::engine::api::{Api, ApiError};
use crate::git;

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
    /// The same of a further prompt for the running turn.
    Steered(u64, Result<(), String>),
    /// The engine's record, by the number of the request; none when the engine did not answer.
    Read(u64, Option<Record>),
    /// What the turn changed.
    Changes(TurnId, Vec<FileChange>),
    /// The engine does not wait for this request any more.
    Answered(String),
    /// Whether the engine is idle.
    Checked {
        /// No run in progress.
        idle: bool,
    },
    /// Stopping is over: the engine is idle, or cannot be stopped.
    Stopped,
}

/// A prompt as the engine gets it. The ids make it harmless to give it again when there was no answer.
#[derive(Debug, Clone)]
pub struct Post {
    /// Its message.
    pub message: MessageId,
    /// That message's part.
    pub part: PartId,
    /// Of which model.
    pub model: ModelId,
    /// What is asked.
    pub text: PromptText,
}

/// Gives the engine a turn's prompt.
pub fn post(
    api: Api,
    config: Config,
    root: String,
    author: GitAuthor,
    post: Post,
    number: u64,
    outcomes: Sender<Outcome>,
) {
    tokio::spawn(async move {
        // The model has to answer before anything can be committed.
        let (set, result) = tokio::join!(git::set_author(&config, &author), give(&api, &root, &post));
        if let Err(error) = set {
            tracing::warn!(%error, "the commit author could not be set");
        }
        let _ = outcomes.send(Outcome::Posted(number, result)).await;
    });
}

/// Gives the engine a further prompt while it works on a turn.
pub fn steer(api: Api, root: String, post: Post, number: u64, outcomes: Sender<Outcome>) {
    tokio::spawn(async move {
        let result = give(&api, &root, &post).await;
        let _ = outcomes.send(Outcome::Steered(number, result)).await;
    });
}

async fn give(api: &Api, root: &str, post: &Post) -> Result<(), String> {
    let mut tries = 1;
    loop {
        let result = api
            .prompt(root, &post.message, &post.part, &post.model, post.text.as_str())
            .await;
        if !matches!(result, Err(ApiError::Network(_))) || tries == POST_TRIES {
            return result.map_err(|error| error.to_string());
        }
        tries += 1;
        tokio::time::sleep(PAUSE).await;
    }
}

/// Reads the engine's record of the turn. It is tried again until the engine answers or dies.
pub fn read(api: Api, root: String, prompt: MessageId, number: u64, outcomes: Sender<Outcome>) {
    tokio::spawn(async move {
        for _ in 0..10 {
            match record::read(&api, &root, &prompt).await {
                Ok(record) => {
                    let _ = outcomes.send(Outcome::Read(number, Some(record))).await;
                    return;
                }
                Err(error) => tracing::warn!(%error, "the engine's record could not be read"),
            }
            tokio::time::sleep(PAUSE).await;
        }
        let _ = outcomes.send(Outcome::Read(number, None)).await;
    });
}

/// Asks for the changes of a turn: the engine sums them up by prompt.
pub fn changes(
    api: Api,
    root: String,
    turn: TurnId,
    prompts: Vec<MessageId>,
    workspace: String,
    outcomes: Sender<Outcome>,
) {
    tokio::spawn(async move {
        let mut summaries = Vec::new();
        for prompt in prompts {
            match api.diff(&root, &prompt).await {
                Ok(summary) => summaries.push(summary),
                Err(error) => tracing::warn!(%error, "the turn's changes could not be read"),
            }
        }
        let files = files::files(&summaries, &workspace);
        let _ = outcomes.send(Outcome::Changes(turn, files)).await;
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
        let _ = outcomes.send(Outcome::Stopped).await;
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

/// Passes a person's answer on. The engine's request is found by the interaction's id. An engine that does not answer
/// is told again: it would wait for ever, and nobody else has the answer.
pub fn answer(api: Api, interaction: InteractionId, answer: Answer, outcomes: Sender<Outcome>) {
    tokio::spawn(async move {
        for tries in 1.. {
            let (request, result) = reply(&api, &interaction, &answer).await;
            match result {
                Ok(()) => return,
                Err(error) if error.not_found() => {
                    let _ = outcomes.send(Outcome::Answered(request)).await;
                    return;
                }
                Err(ApiError::Network(_)) if tries < POST_TRIES => tokio::time::sleep(PAUSE).await,
                Err(error) => return tracing::warn!(%error, "the engine did not take an answer"),
            }
        }
    });
}

/// The engine's name of the request, and whether it took the answer.
async fn reply(api: &Api, interaction: &InteractionId, answer: &Answer) -> (String, Result<(), ApiError>) {
    let body = interaction.as_str().trim_start_matches(InteractionId::PREFIX);
    let (permission, question) = (format!("per_{body}"), format!("que_{body}"));
    match answer {
        Answer::Permission { reply, message } => {
            let mut body = json!({ "reply": reply });
            if let (Some(message), Some(fields)) = (message, body.as_object_mut()) {
                fields.insert("message".to_owned(), message.clone().into());
            }
            let result = api.reply_permission(&permission, &body).await;
            (permission, result)
        }
        Answer::Question { answers } => {
            let result = api.reply_question(&question, answers).await;
            (question, result)
        }
        // Of what the control plane asks itself the engine knows nothing.
        Answer::Extend { .. } => (question, Ok(())),
        Answer::Dismiss {} => {
            // The default answer of either kind.
            let waiting = api.permissions().await.unwrap_or_default();
            if waiting
                .iter()
                .any(|ask| interaction_id(&ask.id).as_ref() == Some(interaction))
            {
                let result = api.reply_permission(&permission, &json!({ "reply": "reject" })).await;
                (permission, result)
            } else {
                let result = api.reject_question(&question).await;
                (question, result)
            }
        }
    }
}
