//! The engine's HTTP API, as far as it is used (`GET /doc` of the engine describes it all).

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use errand_protocol::ids::{MessageId, PartId};
use errand_protocol::text::ModelId;
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::event::{
    EngineEvent, MessageInfo, PartInfo, PermissionAsk, QuestionAsk, SessionInfo, Status, TodoInfo, parse,
};

/// A call may take so long; reading a long session's messages is the slowest.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Copying a whole conversation may take so long.
const COPY_TIMEOUT: Duration = Duration::from_mins(2);

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// The engine answered with an error.
    #[error("{0}: {1}")]
    Status(StatusCode, String),
    /// It did not answer.
    #[error("no answer: {0}")]
    Network(#[from] reqwest::Error),
}

impl ApiError {
    /// Whether the engine says that there is no such thing.
    pub fn not_found(&self) -> bool {
        matches!(self, Self::Status(StatusCode::NOT_FOUND, _))
    }
}

/// A message with its parts, as the engine stores it.
#[derive(Debug, Deserialize)]
pub struct StoredMessage {
    /// The message.
    pub info: MessageInfo,
    /// Its parts.
    pub parts: Vec<PartInfo>,
}

/// The engine at an address.
#[derive(Debug, Clone)]
pub struct Api {
    http: reqwest::Client,
    base: String,
    authorization: String,
}

impl Api {
    /// The engine on this port of the loopback.
    pub fn new(http: reqwest::Client, port: u16, password: &str) -> Self {
        let credentials = base64::engine::general_purpose::STANDARD.encode(format!("opencode:{password}"));
        Self {
            http,
            base: format!("http://127.0.0.1:{port}"),
            authorization: format!("Basic {credentials}"),
        }
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http
            .request(method, format!("{}{path}", self.base))
            .header(reqwest::header::AUTHORIZATION, &self.authorization)
    }

    async fn send(request: reqwest::RequestBuilder) -> Result<reqwest::Response, ApiError> {
        let response = request.send().await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        Err(ApiError::Status(status, response.text().await.unwrap_or_default()))
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        let request = self.request(Method::GET, path).timeout(TIMEOUT);
        Ok(Self::send(request).await?.json().await?)
    }

    async fn post(&self, path: &str, body: &Value) -> Result<reqwest::Response, ApiError> {
        Self::send(self.request(Method::POST, path).timeout(TIMEOUT).json(body)).await
    }

    /// Its version, when it is well.
    pub async fn version(&self) -> Result<String, ApiError> {
        #[derive(Deserialize)]
        struct Health {
            version: String,
        }
        // A connection that comes too early is taken and never answered.
        let request = self
            .request(Method::GET, "/global/health")
            .timeout(Duration::from_secs(1));
        Ok(Self::send(request).await?.json::<Health>().await?.version)
    }

    /// Whether it has this session.
    pub async fn has_session(&self, id: &str) -> Result<bool, ApiError> {
        match self.get::<SessionInfo>(&format!("/session/{id}")).await {
            Ok(_) => Ok(true),
            Err(error) if error.not_found() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Makes a session. Without a title the engine gives it one.
    pub async fn create_session(&self, title: Option<&str>) -> Result<String, ApiError> {
        let body = title.map_or_else(|| json!({}), |title| json!({ "title": title }));
        Ok(self.post("/session", &body).await?.json::<SessionInfo>().await?.id)
    }

    /// Gives it a prompt. The same ids again are the same prompt.
    pub async fn prompt(
        &self,
        session: &str,
        message: &MessageId,
        part: &PartId,
        model: &ModelId,
        text: &str,
    ) -> Result<(), ApiError> {
        let (model, effort) = model.with_effort();
        let (provider, name) = model.split();
        let mut body = json!({
            "messageID": message,
            "model": { "providerID": provider, "modelID": name },
            "agent": "build",
            "parts": [{ "id": part, "type": "text", "text": text }],
        });
        if let (Some(effort), Some(body)) = (effort, body.as_object_mut()) {
            body.insert("variant".to_owned(), effort.name().into());
        }
        self.post(&format!("/session/{session}/prompt_async"), &body)
            .await
            .map(drop)
    }

    /// Stops a session.
    pub async fn abort(&self, session: &str) -> Result<(), ApiError> {
        self.post(&format!("/session/{session}/abort"), &json!({}))
            .await
            .map(drop)
    }

    /// What the sessions do that do something.
    pub async fn statuses(&self) -> Result<BTreeMap<String, Status>, ApiError> {
        self.get("/session/status").await
    }

    /// A session as the engine describes it: all of it.
    pub async fn session_text(&self, session: &str) -> Result<Value, ApiError> {
        self.get(&format!("/session/{session}")).await
    }

    /// A session's messages, oldest first, unread: as many bytes at a time as come.
    pub async fn messages_stream(&self, session: &str) -> Result<reqwest::Response, ApiError> {
        let request = self.request(Method::GET, &format!("/session/{session}/message"));
        Self::send(request.timeout(COPY_TIMEOUT)).await
    }

    /// The project that the engine takes the workspace for. Asking makes the engine look at the workspace.
    pub async fn project(&self) -> Result<String, ApiError> {
        #[derive(Deserialize)]
        struct Project {
            id: String,
        }
        Ok(self.get::<Project>("/project/current").await?.id)
    }

    /// Makes the engine read its providers and models. It does so once, when it first needs them; a turn that is stopped
    /// just then would leave it unable to answer anything.
    pub async fn read_models(&self) -> Result<(), ApiError> {
        self.get::<serde::de::IgnoredAny>("/config/providers").await.map(drop)
    }

    /// Gives the engine events of a session as if they had happened here.
    pub async fn replay(&self, directory: &str, events: &[Value]) -> Result<(), ApiError> {
        let body = json!({ "directory": directory, "events": events });
        self.post("/sync/replay", &body).await.map(drop)
    }

    /// A session's messages, oldest first.
    pub async fn messages(&self, session: &str) -> Result<Vec<StoredMessage>, ApiError> {
        self.get(&format!("/session/{session}/message")).await
    }

    /// The sessions that a session delegated to.
    pub async fn children(&self, session: &str) -> Result<Vec<SessionInfo>, ApiError> {
        self.get(&format!("/session/{session}/children")).await
    }

    /// A session.
    pub async fn session(&self, session: &str) -> Result<SessionInfo, ApiError> {
        self.get(&format!("/session/{session}")).await
    }

    /// A session's to-do list.
    pub async fn todos(&self, session: &str) -> Result<Vec<TodoInfo>, ApiError> {
        self.get(&format!("/session/{session}/todo")).await
    }

    /// Permissions that are waited for.
    pub async fn permissions(&self) -> Result<Vec<PermissionAsk>, ApiError> {
        self.get("/permission").await
    }

    /// Questions that are waited for.
    pub async fn questions(&self) -> Result<Vec<QuestionAsk>, ApiError> {
        self.get("/question").await
    }

    /// Answers a permission.
    pub async fn reply_permission(&self, request: &str, body: &Value) -> Result<(), ApiError> {
        self.post(&format!("/permission/{request}/reply"), body).await.map(drop)
    }

    /// Answers a question.
    pub async fn reply_question(&self, request: &str, answers: &[Vec<String>]) -> Result<(), ApiError> {
        self.post(&format!("/question/{request}/reply"), &json!({ "answers": answers }))
            .await
            .map(drop)
    }

    /// Dismisses a question.
    pub async fn reject_question(&self, request: &str) -> Result<(), ApiError> {
        self.post(&format!("/question/{request}/reject"), &json!({}))
            .await
            .map(drop)
    }

    /// What a turn changed: file diffs.
    pub async fn diff(&self, session: &str, prompt: &MessageId) -> Result<Value, ApiError> {
        self.get(&format!("/session/{session}/diff?messageID={prompt}")).await
    }

    /// The stream of all events, from now on. It ends when nothing comes for `silence`; the engine has two thirds of that
    /// to begin it.
    pub async fn events(&self, silence: Duration) -> Result<Events, ApiError> {
        let connect = Self::send(self.request(Method::GET, "/global/event"));
        let response = tokio::time::timeout(silence * 2 / 3, connect)
            .await
            .unwrap_or_else(|_| {
                Err(ApiError::Status(
                    StatusCode::GATEWAY_TIMEOUT,
                    "no event stream".to_owned(),
                ))
            })?;
        Ok(Events {
            response,
            silence,
            buffer: Vec::new(),
            searched: 0,
        })
    }
}

/// The stream of events (Server-Sent Events; each frame is one `data:` line).
#[derive(Debug)]
pub struct Events {
    response: reqwest::Response,
    silence: Duration,
    buffer: Vec<u8>,
    /// So much of the buffer holds no line's end.
    searched: usize,
}

impl Events {
    /// The next event that matters. `None` when the stream broke or went silent.
    pub async fn next(&mut self) -> Option<EngineEvent> {
        loop {
            while let Some(line) = self.line() {
                let frame = std::str::from_utf8(&line)
                    .ok()
                    .and_then(|line| line.strip_prefix("data:"));
                if let Some(event) = frame.and_then(|frame| parse(frame.trim())) {
                    return Some(event);
                }
            }
            match tokio::time::timeout(self.silence, self.response.chunk()).await {
                Ok(Ok(Some(chunk))) => self.buffer.extend_from_slice(&chunk),
                Ok(Ok(None) | Err(_)) | Err(_) => return None,
            }
        }
    }

    fn line(&mut self) -> Option<Vec<u8>> {
        let rest = self.buffer.get(self.searched..)?;
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
            self.searched = self.buffer.len();
            return None;
        };
        let line = self.buffer.drain(..=self.searched + end).collect();
        self.searched = 0;
        Some(line)
    }
}
