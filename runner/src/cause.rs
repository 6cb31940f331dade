//! Why something failed, in words for the people who read the session.
//!
//! Owns the codes of this side: `model_*`, `engine_*`, `repo_*`, `disk_full`, `interrupted`.

use errand_protocol::session::{Cause, StartStep};
use serde_json::Value;

use crate::engine::event::EngineError;

/// A start that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartFailure {
    /// In which step.
    pub step: StartStep,
    /// Why.
    pub cause: Cause,
    /// Whether another try can help.
    pub retryable: bool,
}

impl StartFailure {
    /// What the repository's policy gives could not be had.
    pub fn environment(detail: &str) -> Self {
        Self {
            step: StartStep::Cloning,
            cause: Cause::new(
                "policy_unavailable",
                format!(
                    "What the repository's policy gives the sandbox could not be had: {}. Nothing was started without it.",
                    plain(detail)
                ),
            ),
            retryable: true,
        }
    }

    /// The work could not be brought back, and is not given up.
    pub fn restore(detail: &str) -> Self {
        Self {
            step: StartStep::Cloning,
            cause: Cause::new(
                "restore_failed",
                format!(
                    "The work could not be brought back from its snapshot yet: {}. Nothing of it is lost.",
                    plain(detail)
                ),
            ),
            retryable: true,
        }
    }

    /// The engine did not come up.
    pub fn engine(detail: &str) -> Self {
        Self {
            step: StartStep::Engine,
            cause: Cause::new(
                "engine_failed",
                format!("The agent's engine did not start: {}.", plain(detail)),
            ),
            retryable: true,
        }
    }
}

/// A text for the middle of a sentence: one line, no final stop, not too long.
pub fn plain(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let short: String = line.chars().take(400).collect();
    short.trim_end_matches(['.', ' ']).to_owned()
}

/// What the engine says went wrong with a message.
pub fn of_engine(error: &EngineError) -> Cause {
    let said = plain(error.data.get("message").and_then(Value::as_str).unwrap_or(&error.name));
    match error.name.as_str() {
        "MessageAbortedError" => aborted(),
        "ContextOverflowError" => Cause::new(
            "model_context",
            format!(
                "The conversation no longer fits the model's context window: {said}. Start a new session, or ask for less at once."
            ),
        ),
        "ProviderAuthError" => model_auth(&said),
        "MessageOutputLengthError" => Cause::new(
            "model_output_limit",
            "The model's answer was cut off at its length limit. Ask it to go on, or to answer in smaller pieces.",
        ),
        "ContentFilterError" => Cause::new(
            "model_refused",
            format!("The model's provider refused to answer: {said}."),
        ),
        "APIError" => api_error(error, &said),
        _ if said.to_lowercase().contains("model not found") => model_unknown(&said),
        _ => Cause::new("engine_error", format!("The agent's engine reports: {said}.")),
    }
}

fn api_error(error: &EngineError, said: &str) -> Cause {
    match error.data.get("statusCode").and_then(Value::as_u64) {
        Some(401 | 403) => model_auth(said),
        // Errand's own refusal: it says which budget, and until when.
        Some(402) if said.starts_with("The budget ") => Cause::new("budget", format!("{said}.")),
        Some(402) => Cause::new(
            "model_payment",
            format!("The model's provider asks for payment: {said}."),
        ),
        Some(404) => model_unknown(said),
        Some(429) => Cause::new(
            "model_rate_limited",
            format!(
                "The model's provider limits the number of requests, and waiting did not help: {said}. Try again later."
            ),
        ),
        Some(status) if status >= 500 => Cause::new(
            "model_unavailable",
            format!("The model's provider failed with status {status}, several times: {said}. Try again later."),
        ),
        Some(status) => Cause::new(
            "model_rejected",
            format!("The model's provider refused the request with status {status}: {said}."),
        ),
        None => Cause::new(
            "model_unreachable",
            format!(
                "The model could not be reached: {said}. Check the network and the model's address, then try again."
            ),
        ),
    }
}

fn model_auth(said: &str) -> Cause {
    Cause::new(
        "model_auth",
        format!("The model's provider does not accept the key: {said}. Check the key in the installation's settings."),
    )
}

/// The model is not among those the session may use.
pub fn model_unknown(which: &str) -> Cause {
    Cause::new(
        "model_unknown",
        format!("There is no such model here: {which}. Choose another one."),
    )
}

/// A person (or a deadline) stopped the turn.
pub fn aborted() -> Cause {
    Cause::new(
        "aborted",
        "The turn was stopped before it was finished. What was done until then is kept.",
    )
}

/// The engine died.
pub fn engine_crashed(detail: &str) -> Cause {
    Cause::new(
        "engine_crashed",
        format!(
            "The agent's engine stopped unexpectedly ({}) and was started again. Finished steps are kept, the step in progress is lost. Send the prompt again to go on.",
            plain(detail)
        ),
    )
}

/// The engine went idle without an answer.
pub fn engine_stopped() -> Cause {
    Cause::new(
        "engine_stopped",
        "The agent's engine stopped working on the prompt without an answer. Send the prompt again.",
    )
}

/// The host ended the runner while the agent worked.
pub fn sandbox_ends() -> Cause {
    Cause::new(
        "sandbox_ended",
        "The sandbox was ended while the agent worked. What was done until then is kept; send the prompt again to go on.",
    )
}

/// The model did not answer, however often it was tried.
pub fn model_gave_up(said: &str) -> Cause {
    Cause::new(
        "model_unavailable",
        format!("The model did not answer, however often it was tried. {said} Try again later."),
    )
}

/// A further prompt came for a turn that does not run here.
pub fn not_running() -> Cause {
    Cause::new(
        "turn_not_running",
        "The turn was over before the agent could be given the prompt.",
    )
}

/// A prompt could not be written down, so it is not begun.
pub fn not_noted(error: &std::io::Error) -> Cause {
    Cause::new(
        "disk_failed",
        format!(
            "The sandbox could not write the prompt down: {}.",
            plain(&error.to_string())
        ),
    )
}

/// What the agent does cannot be written down any more.
pub fn disk_full() -> Cause {
    Cause::new(
        "disk_full",
        "The sandbox's disk is full, so what the agent does could not be recorded any more: the turn was ended. Remove large files, or start a new session.",
    )
}

/// The work could not be saved.
pub fn snapshot_failed(code: &str, detail: &str) -> Cause {
    Cause::new(
        code,
        format!(
            "The work could not be saved: {}. It is tried again soon.",
            plain(detail)
        ),
    )
}

/// There is too much work to save.
pub fn snapshot_too_large() -> Cause {
    Cause::new(
        "snapshot_too_large",
        "The work is too large to be saved. Commit and push it, or remove large files that git does not ignore.",
    )
}

/// Where work is that was not pushed.
const KEPT: &str = "It is kept in the session's sandbox and its snapshot.";

/// The repository is not one that Errand pushes to.
pub fn push_nowhere() -> Cause {
    Cause::new(
        "push_nowhere",
        format!("The work was not pushed: Errand has no way to push to this repository. {KEPT}"),
    )
}

/// The work could not be pushed.
pub fn push_failed(code: &str, why: &str) -> Cause {
    Cause::new(
        code,
        format!("The work was not pushed to the repository: {}. {KEPT}", plain(why)),
    )
}

/// The engine did not take the prompt.
pub fn prompt_refused(detail: &str) -> Cause {
    Cause::new(
        "engine_error",
        format!("The agent's engine did not take the prompt: {}.", plain(detail)),
    )
}

/// What the engine says while it waits to try the model again.
pub fn retry_message(said: &str) -> String {
    let said = plain(said);
    let lower = said.to_lowercase();
    if ["rate limit", "too many requests", "429"]
        .iter()
        .any(|word| lower.contains(word))
    {
        format!("The model's provider limits the number of requests ({said}).")
    } else if [
        "overloaded",
        "unavailable",
        "internal",
        "server error",
        "500",
        "502",
        "503",
    ]
    .iter()
    .any(|word| lower.contains(word))
    {
        format!("The model's provider failed ({said}).")
    } else {
        format!("The model could not be reached ({said}).")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn code(name: &str, data: Value) -> String {
        of_engine(&EngineError {
            name: name.to_owned(),
            data,
        })
        .code
    }

    #[test]
    fn every_status_of_a_provider_has_its_code() {
        let api = |status: Value| code("APIError", json!({"message": "no", "statusCode": status}));
        assert_eq!(api(json!(401)), "model_auth");
        assert_eq!(api(json!(404)), "model_unknown");
        assert_eq!(api(json!(429)), "model_rate_limited");
        assert_eq!(api(json!(503)), "model_unavailable");
        assert_eq!(api(json!(400)), "model_rejected");
        assert_eq!(api(Value::Null), "model_unreachable");
        assert_eq!(code("ContextOverflowError", Value::Null), "model_context");
        assert_eq!(code("MessageAbortedError", Value::Null), "aborted");
    }

    #[test]
    fn a_message_is_one_sentence_even_when_the_provider_says_a_page() {
        let page = format!("line one.\nline two {}", "x".repeat(5000));
        let cause = of_engine(&EngineError {
            name: "UnknownError".to_owned(),
            data: json!({"message": page}),
        });
        assert!(!cause.message.contains('\n') && cause.message.len() < 600);
    }

    #[test]
    fn a_retry_says_what_the_model_did() {
        assert!(retry_message("Rate limit reached").contains("limits the number"));
        assert!(retry_message("internal fake error").contains("failed"));
        assert!(retry_message("Connection reset by server").contains("reached"));
    }
}
