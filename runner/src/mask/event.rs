//! Masking of whole events: every text that people read is gone through. A kind of event that is new has to be added here,
//! or it does not compile.

use errand_protocol::interaction::{Ask, Question};
use errand_protocol::runner::{PushOutcome, RunnerEvent};
use errand_protocol::session::{Cause, FileChange, Todo};
use errand_protocol::transcript::{Part, PartBody};
use serde_json::{Map, Value};

use super::Masks;

impl Masks {
    /// The event with all secrets masked.
    #[must_use]
    pub fn event(&self, mut event: RunnerEvent) -> RunnerEvent {
        if self.is_empty() {
            return event;
        }
        match &mut event {
            RunnerEvent::Step { .. }
            | RunnerEvent::Cloned { .. }
            | RunnerEvent::Ready { .. }
            | RunnerEvent::TurnAccepted { .. }
            | RunnerEvent::MessageStarted { .. }
            | RunnerEvent::PartRemoved { .. }
            | RunnerEvent::InteractionClosed { .. }
            | RunnerEvent::SteerAccepted { .. }
            | RunnerEvent::SnapshotSaved { .. } => {}
            RunnerEvent::StartFailed { cause, .. }
            | RunnerEvent::SteerRefused { cause, .. }
            | RunnerEvent::SnapshotFailed { cause }
            | RunnerEvent::EngineRestarted { cause } => self.cause(cause),
            RunnerEvent::MessageFinished { cause, .. } => self.maybe_cause(cause.as_mut()),
            RunnerEvent::TurnRetrying { message, .. } => self.string(message),
            RunnerEvent::TurnFinished { cause, files, .. } => {
                self.maybe_cause(cause.as_mut());
                for file in files {
                    self.file(file);
                }
            }
            RunnerEvent::PartStarted { part, .. } | RunnerEvent::PartFinished { part, .. } => self.part(part),
            RunnerEvent::Todos { todos } => {
                for Todo { content, .. } in todos {
                    self.string(content);
                }
            }
            RunnerEvent::Title { title } => self.string(title),
            RunnerEvent::InteractionAsked { ask, .. } => self.ask(ask),
            RunnerEvent::SnapshotRestored { loss, .. } => self.maybe(loss),
            RunnerEvent::PushEnded { outcome, .. } => match outcome {
                PushOutcome::Pushed { lacks, .. } => self.maybe(lacks),
                PushOutcome::Failed { cause } => self.cause(cause),
                PushOutcome::Nothing {} => {}
            },
            RunnerEvent::SetupOutput { text } => self.string(text),
            RunnerEvent::EgressRefused(refusal) => self.string(&mut refusal.host),
        }
        event
    }

    fn string(&self, text: &mut String) {
        if let Some(masked) = self.text(text) {
            *text = masked;
        }
    }

    fn maybe(&self, text: &mut Option<String>) {
        if let Some(text) = text {
            self.string(text);
        }
    }

    fn strings(&self, texts: &mut [String]) {
        for text in texts {
            self.string(text);
        }
    }

    fn cause(&self, cause: &mut Cause) {
        self.string(&mut cause.message);
    }

    fn maybe_cause(&self, cause: Option<&mut Cause>) {
        if let Some(cause) = cause {
            self.cause(cause);
        }
    }

    fn file(&self, file: &mut FileChange) {
        self.string(&mut file.path);
        self.maybe(&mut file.patch);
    }

    fn part(&self, part: &mut Part) {
        match &mut part.body {
            PartBody::Text { text } | PartBody::Reasoning { text } => self.string(text),
            PartBody::Tool {
                tool,
                title,
                input,
                output,
                error,
                diff,
                status: _,
                exit_code: _,
                truncated: _,
            } => {
                self.string(tool);
                self.value(input);
                for text in [title, output, error, diff] {
                    self.maybe(text);
                }
            }
            PartBody::File { name, mime: _, url } => {
                self.string(name);
                self.maybe(url);
            }
            PartBody::Patch { files } => self.strings(files),
            PartBody::Subtask {
                description,
                agent: _,
                status: _,
                output,
                error,
            } => {
                self.string(description);
                self.maybe(output);
                self.maybe(error);
            }
        }
    }

    fn ask(&self, ask: &mut Ask) {
        match ask {
            Ask::Permission {
                permission: _,
                patterns,
                command,
                path,
                diff,
                always,
            } => {
                self.strings(patterns);
                self.strings(always);
                for text in [command, path, diff] {
                    self.maybe(text);
                }
            }
            Ask::Question { questions } => {
                for question in questions {
                    self.question(question);
                }
            }
            // The session asks it; nothing of it comes from a sandbox.
            Ask::Budget { .. } => {}
        }
    }

    fn question(&self, question: &mut Question) {
        self.string(&mut question.header);
        self.string(&mut question.question);
        for option in &mut question.options {
            self.string(&mut option.label);
            self.string(&mut option.description);
        }
    }

    /// A tool's arguments: what is in them is the model's, names of fields included.
    fn value(&self, value: &mut Value) {
        match value {
            Value::String(text) => self.string(text),
            Value::Array(values) => {
                for value in values {
                    self.value(value);
                }
            }
            Value::Object(fields) => {
                let old = std::mem::take(fields);
                *fields = old
                    .into_iter()
                    .map(|(mut name, mut value)| {
                        self.string(&mut name);
                        self.value(&mut value);
                        (name, value)
                    })
                    .collect::<Map<_, _>>();
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SECRET: &str = "hunter2-hunter2";

    #[test]
    fn no_text_of_an_event_shows_a_secret() {
        let masks = Masks::new([SECRET]);
        let part = |body: Value| {
            let mut part = json!({ "id": "prt_a", "index": 0, "startedAt": "2026-11-21T06:00:00.000Z" });
            part.as_object_mut().unwrap().extend(body.as_object().unwrap().clone());
            json!({ "kind": "part.finished", "turnId": "trn_1", "messageId": "msg_1", "part": part })
        };
        let s = |around: &str| format!("{around}{SECRET}{around}");
        let cause = json!({ "code": "x", "message": s("\n") });
        let asked = |ask: Value| {
            let mut event = json!({ "kind": "interaction.asked", "interactionId": "int_1", "turnId": "trn_1" });
            event["ask"] = ask;
            event
        };
        let events = [
            part(json!({ "type": "text", "text": s("é") })),
            part(
                json!({ "type": "tool", "tool": "bash", "status": "completed", "title": s(" "), "output": s("\""),
                "error": s("'"), "diff": s("+"), "input": { "command": s("$"), (s("")): [{ "deep": s("") }, 7, null] } }),
            ),
            part(json!({ "type": "file", "name": s(""), "mime": "text/plain", "url": s("/") })),
            part(json!({ "type": "patch", "files": [s("/")] })),
            part(
                json!({ "type": "subtask", "description": s(""), "agent": "general", "status": "error", "output": s(""), "error": s("") }),
            ),
            asked(
                json!({ "kind": "permission", "permission": "bash", "patterns": [s("")], "command": s(""), "path": s(""), "diff": s(""), "always": [s("")] }),
            ),
            asked(
                json!({ "kind": "question", "questions": [{ "header": s(""), "question": s(""), "options": [{ "label": s(""), "description": s("") }] }] }),
            ),
            json!({ "kind": "turn.finished", "turnId": "trn_1", "outcome": "failed", "cause": cause, "usage": {},
                "files": [{ "path": s(""), "status": "added", "additions": 1, "deletions": 0, "patch": s("+") }] }),
            json!({ "kind": "start_failed", "step": "setup", "cause": cause, "retryable": false }),
            json!({ "kind": "todos", "todos": [{ "content": s(""), "status": "pending", "priority": "high" }] }),
            json!({ "kind": "title", "title": s("") }),
            json!({ "kind": "setup.output", "text": s("") }),
            json!({ "kind": "egress.refused", "host": s(""), "port": 1, "reason": "private" }),
        ];
        for event in events {
            let event: RunnerEvent = serde_json::from_value(event.clone()).unwrap_or_else(|e| panic!("{event}: {e}"));
            let masked = serde_json::to_string(&masks.event(event.clone())).unwrap();
            assert!(!masked.contains(SECRET) && masked.contains("***"), "{masked}");
            assert_eq!(Masks::default().event(event.clone()), event);
        }
    }
}
