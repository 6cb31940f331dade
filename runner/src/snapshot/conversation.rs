//! The engine's conversation: copied from one engine into files, and given to another one.
//!
//! Per session of the tree there are `<id>.info.json` (the session) and `<id>.json` (its messages, as the engine lists
//! them). A fresh engine takes them as events that have already happened; it then knows every message and part as
//! before. (Its own history of events could be replayed as well, but holds every intermediate state of every part.)

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufReader, Write as _};
use std::path::{Path, PathBuf};

use errand_protocol::ids::MessageId;
use serde::Deserializer as _;
use serde::de::{self, SeqAccess, Visitor};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::redact::Redactor;
use crate::engine::api::{Api, ApiError};

/// Events that are given to the engine at once, by their size.
const BATCH_BYTES: usize = 512 * 1024;

/// Why a conversation could not be copied or given.
#[derive(Debug, thiserror::Error)]
pub enum ConversationError {
    /// The engine.
    #[error("the engine: {0}")]
    Engine(#[from] ApiError),
    /// The disk, or a file that is not what it should be.
    #[error("{0}")]
    Disk(#[from] io::Error),
    /// The engine, half-way through an answer.
    #[error("the engine broke off: {0}")]
    Cut(#[from] reqwest::Error),
}

/// Copies the tree of sessions below `root` into `dir`, replacing what is there; `secrets` are blotted out.
///
/// # Errors
/// When the engine or the disk fails; `dir` is then as it was.
pub async fn save(api: &Api, root: &str, dir: &Path, secrets: &[String]) -> Result<(), ConversationError> {
    let beside = dir.with_extension("new");
    let _ = std::fs::remove_dir_all(&beside);
    std::fs::create_dir_all(&beside)?;
    let mut level = vec![root.to_owned()];
    while let Some(session) = level.pop() {
        let info = api.session_text(&session).await?.to_string();
        let mut blotted = Redactor::new(secrets);
        let mut file = File::create(beside.join(format!("{session}.info.json")))?;
        file.write_all(&blotted.feed(info.as_bytes()))?;
        file.write_all(&blotted.rest())?;
        let mut blotted = Redactor::new(secrets);
        let mut file = File::create(beside.join(format!("{session}.json")))?;
        let mut messages = api.messages_stream(&session).await?;
        while let Some(chunk) = messages.chunk().await? {
            file.write_all(&blotted.feed(&chunk))?;
        }
        file.write_all(&blotted.rest())?;
        level.extend(api.children(&session).await?.into_iter().map(|child| child.id));
    }
    let _ = std::fs::remove_dir_all(dir);
    std::fs::rename(&beside, dir)?;
    Ok(())
}

/// What a conversation becomes in a fresh engine.
#[derive(Debug, Clone)]
pub struct Replay {
    /// Its files.
    pub dir: PathBuf,
    /// The session at the root.
    pub root: String,
    /// The first message that is not wanted any more.
    pub until: Option<MessageId>,
    /// Where the files are now.
    pub workspace: String,
    /// The title that a person chose.
    pub title: Option<String>,
}

impl Replay {
    /// Gives the conversation to an engine that does not know it.
    ///
    /// # Errors
    /// When the files are not there, or the engine does not take them.
    pub async fn run(self, api: &Api) -> Result<(), ConversationError> {
        let project = api.project().await?;
        let mut infos = self.infos()?;
        let root = infos
            .remove(&self.root)
            .ok_or_else(|| io::Error::other("the conversation is not in the snapshot"))?;
        self.session(api, &project, root, true).await?;
        for info in infos.into_values() {
            self.session(api, &project, info, false).await?;
        }
        if api.has_session(&self.root).await? {
            Ok(())
        } else {
            Err(io::Error::other("the engine did not take it").into())
        }
    }

    fn infos(&self) -> io::Result<BTreeMap<String, Value>> {
        let mut infos = BTreeMap::new();
        for entry in std::fs::read_dir(&self.dir)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if let Some(session) = name.strip_suffix(".info.json") {
                infos.insert(
                    session.to_owned(),
                    serde_json::from_slice(&std::fs::read(self.dir.join(&name))?)?,
                );
            }
        }
        Ok(infos)
    }

    async fn session(&self, api: &Api, project: &str, mut info: Value, root: bool) -> Result<(), ConversationError> {
        let id = info.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
        if let Some(fields) = info.as_object_mut() {
            fields.insert("directory".to_owned(), self.workspace.as_str().into());
            fields.insert("projectID".to_owned(), project.into());
            // The engine counts them again from the messages.
            fields.insert("cost".to_owned(), 0.into());
            fields.insert(
                "tokens".to_owned(),
                json!({ "input": 0, "output": 0, "reasoning": 0, "cache": { "read": 0, "write": 0 } }),
            );
            for gone in ["share", "revert"] {
                fields.remove(gone);
            }
            if let Some(title) = self.title.as_ref().filter(|_| root) {
                fields.insert("title".to_owned(), title.as_str().into());
            }
        }
        let (batches, mut ready) = mpsc::channel(1);
        let file = self.dir.join(format!("{id}.json"));
        let writer = Writer {
            session: id,
            until: self.until.clone(),
            always: root,
            seq: 0,
            batch: Vec::new(),
            bytes: 0,
            batches,
        };
        let reading = tokio::task::spawn_blocking(move || writer.all(&info, &file));
        while let Some(batch) = ready.recv().await {
            api.replay(&self.workspace, &batch).await?;
        }
        reading.await.map_err(io::Error::other)??;
        Ok(())
    }
}

/// Turns one session's files into batches of events. Blocking.
struct Writer {
    session: String,
    until: Option<MessageId>,
    /// A session without messages is wanted too.
    always: bool,
    seq: u64,
    batch: Vec<Value>,
    bytes: usize,
    batches: mpsc::Sender<Vec<Value>>,
}

impl Writer {
    fn all(mut self, info: &Value, file: &Path) -> io::Result<()> {
        let created = json!({ "sessionID": self.session, "info": info });
        self.event("session.created.1", &created)?;
        let mut json = serde_json::Deserializer::from_reader(BufReader::new(File::open(file)?));
        json.deserialize_seq(Each(&mut self)).map_err(io::Error::from)?;
        // A sub-agent of a turn that is not wanted any more.
        if self.seq == 1 && !self.always {
            return Ok(());
        }
        self.flush()
    }

    fn message(&mut self, mut message: Value) -> io::Result<()> {
        let info = message.get_mut("info").map(Value::take).unwrap_or_default();
        let id = info.get("id").and_then(Value::as_str).unwrap_or_default();
        if self.until.as_ref().is_some_and(|until| id >= until.as_str()) {
            return Ok(());
        }
        let data = json!({ "sessionID": self.session, "info": info });
        self.event("message.updated.1", &data)?;
        let parts = message.get_mut("parts").map(Value::take).unwrap_or_default();
        for part in parts.as_array().into_iter().flatten() {
            let data = json!({ "sessionID": self.session, "part": part, "time": crate::clock::now().millis() });
            self.event("message.part.updated.1", &data)?;
        }
        Ok(())
    }

    fn event(&mut self, kind: &str, data: &Value) -> io::Result<()> {
        let body = self.session.trim_start_matches("ses_");
        let event = json!({
            "id": format!("evt_{:08x}{body}", self.seq),
            "aggregateID": self.session,
            "seq": self.seq,
            "type": kind,
            "data": data,
        });
        self.seq += 1;
        self.bytes += event.to_string().len();
        self.batch.push(event);
        if self.bytes >= BATCH_BYTES {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.bytes = 0;
        let batch = std::mem::take(&mut self.batch);
        if batch.is_empty() {
            return Ok(());
        }
        self.batches.blocking_send(batch).map_err(io::Error::other)
    }
}

/// Reads a list of messages one by one.
struct Each<'a>(&'a mut Writer);

impl<'de> Visitor<'de> for Each<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a list of messages")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(message) = list.next_element::<Value>()? {
            self.0.message(message).map_err(de::Error::custom)?;
        }
        Ok(())
    }
}
