//! Saves the work in the background: a task of its own that commits the files after each turn and uploads snapshots,
//! one at a time. What is wished for meanwhile is done once, afterwards.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use errand_protocol::ids::{SnapshotId, TurnId};
use errand_protocol::limits::{MAX_SNAPSHOT_BYTES, SNAPSHOT_RUNTIME};
use errand_protocol::runner::RunnerEvent;
use errand_protocol::session::Cause;
use tokio::sync::{Mutex, mpsc, watch};
use tokio::task::JoinHandle;

use super::again::Again;
use super::meta::{Meta, TurnMark};
use super::pusher::{Order, Pusher};
use super::shadow::{Captured, Shadow};
use super::transfer::{Transfer, TransferError};
use super::{archive, conversation};
use crate::cause;
use crate::config::Config;
use crate::engine::api::Api;
use crate::ids;
use crate::mask::Masks;
use crate::state::{Saved, StateFile};

/// Turns whose files are kept, at most.
const MAX_TURNS: usize = 200;
/// Turns whose files stay in a snapshot that would be too large with all of them.
const FEW_TURNS: usize = 5;

/// What is wished for.
#[derive(Debug, PartialEq, Eq)]
pub enum Wish {
    /// A turn is over.
    Turn(TurnId),
    /// A snapshot, if the last one lacks anything; in any case an answer.
    Save,
    /// The work in the repository; answered as well.
    Push(Order),
}

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// To be reported.
    pub event: RunnerEvent,
    /// It answers [`Wish::Save`].
    pub answer: bool,
}

/// The engine whose conversation is saved.
#[derive(Debug, Clone)]
pub struct Engine {
    /// How to call it.
    pub api: Api,
    /// Its session.
    pub root: String,
    /// Its version.
    pub version: String,
}

/// What the saver works with.
pub struct Saver {
    /// The runner's settings.
    pub config: Config,
    /// The runner's notes.
    pub state: StateFile,
    /// The way to the control plane.
    pub transfer: Transfer,
    /// The engine, while it is up.
    pub engine: watch::Receiver<Option<Engine>>,
    /// The token, so that it is in no snapshot.
    pub token: watch::Receiver<String>,
    /// What the repository's policy gave to the agent, so that it is in none either.
    pub masks: watch::Receiver<Masks>,
    /// Where reports go.
    pub reports: mpsc::Sender<Report>,
    /// One git command at a time changes the shadow's index.
    pub index: Mutex<()>,
}

#[derive(Debug, thiserror::Error)]
enum SaveError {
    #[error("{0}")]
    Disk(#[from] io::Error),
    #[error("{0}")]
    Transfer(#[from] TransferError),
}

impl SaveError {
    fn cause(&self) -> Cause {
        match self {
            Self::Transfer(TransferError::TooLarge) => cause::snapshot_too_large(),
            Self::Transfer(error) => cause::snapshot_failed("snapshot_upload_failed", &error.to_string()),
            Self::Disk(error) => cause::snapshot_failed("snapshot_failed", &error.to_string()),
        }
    }
}

/// What an attempt came to.
#[derive(Debug)]
struct Attempt {
    /// To be reported, if anything.
    event: Option<RunnerEvent>,
    /// All that there is is saved, or never will be.
    whole: bool,
}

/// What was made.
struct Made {
    saved: Saved,
    /// Now, and not before.
    fresh: bool,
    /// The conversation in it is as the engine has it.
    whole: bool,
}

/// What was uploaded.
struct Uploaded {
    bytes: u64,
    /// The last turn in it.
    turn: Option<TurnId>,
    whole: bool,
}

/// What there is of the conversation.
struct Copied {
    /// The engine's session; none when there is no copy.
    root: Option<String>,
    /// It is as the engine has it now.
    whole: bool,
}

impl Saver {
    /// Runs until nobody wishes for anything any more.
    pub async fn run(self, mut wishes: mpsc::Receiver<Wish>) {
        let saver = Arc::new(self);
        let mut engine = saver.engine.clone();
        let mut saving: Option<JoinHandle<Attempt>> = None;
        let mut again = Again::default();
        let mut pusher = Pusher::default();
        let (mut wanted, mut answer, mut answering) = (false, false, false);
        loop {
            if saving.is_none() && (wanted || answer) {
                (answering, wanted, answer) = (answer, false, false);
                again.begun();
                let told = !answering && again.failed();
                let saver = Arc::clone(&saver);
                saving = Some(tokio::spawn(async move { saver.save(answering, told).await }));
            }
            let done = async {
                match &mut saving {
                    Some(task) => task.await.ok(),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                wish = wishes.recv() => match wish {
                    None => return,
                    Some(Wish::Save) => answer = true,
                    Some(Wish::Push(order)) => pusher.push(&saver, order),
                    Some(Wish::Turn(turn)) => {
                        if let Err(error) = saver.mark(&turn).await {
                            tracing::warn!(%error, "the files at the end of a turn could not be kept");
                        }
                        wanted = true;
                    }
                },
                attempt = done => {
                    saving = None;
                    again.after(attempt.as_ref().is_some_and(|attempt| attempt.whole));
                    if let Some(event) = attempt.and_then(|attempt| attempt.event) {
                        let _ = saver.reports.send(Report { event, answer: answering }).await;
                    }
                }
                () = again.due(&mut engine) => wanted = true,
            }
        }
    }

    /// Keeps the files as they are at the end of a turn.
    async fn mark(&self, turn: &TurnId) -> io::Result<()> {
        let state = self.state.get();
        let Some(note) = state.turns.into_iter().find(|note| &note.turn == turn) else {
            return Ok(());
        };
        let _one = self.index.lock().await;
        let shadow = Shadow::open(&self.config).await?;
        let captured = shadow.capture(Some(turn)).await?;
        let mark = TurnMark {
            turn_id: note.turn,
            prompt: note.message,
            last_message_id: note.last,
            place: captured.place,
        };
        let mut gone = Vec::new();
        self.state.update(|state| {
            let marks = &mut state.snapshot.turns;
            marks.retain(|known| known.turn_id != mark.turn_id);
            marks.push(mark);
            let surplus = marks.len().saturating_sub(MAX_TURNS);
            gone = marks.drain(..surplus).map(|mark| mark.turn_id).collect();
        })?;
        if gone.is_empty() {
            Ok(())
        } else {
            shadow.forget(&gone).await
        }
    }

    /// `answer`: somebody waits for the outcome. `told`: that it does not work has been said before.
    async fn save(&self, answer: bool, told: bool) -> Attempt {
        match self.try_save().await {
            Ok(made) => Attempt {
                whole: made.whole,
                event: (made.fresh || answer).then_some(RunnerEvent::SnapshotSaved {
                    snapshot_id: made.saved.id,
                    turn_id: made.saved.turn,
                    bytes: made.saved.bytes,
                    runtime: SNAPSHOT_RUNTIME,
                }),
            },
            Err(error) => {
                tracing::warn!(%error, "the work could not be saved");
                Attempt {
                    whole: matches!(error, SaveError::Transfer(TransferError::TooLarge)),
                    event: (!told).then(|| RunnerEvent::SnapshotFailed { cause: error.cause() }),
                }
            }
        }
    }

    /// Makes and uploads a snapshot, unless the last one lacks nothing.
    async fn try_save(&self) -> Result<Made, SaveError> {
        if !self.state.get().cloned {
            return Err(io::Error::other("the workspace is not prepared yet").into());
        }
        let brought = self.state.get().snapshot.conversation;
        if brought.is_some_and(|note| note.root.is_some()) {
            // A snapshot of these files alone would take the place of the one that has the conversation as well.
            return Err(io::Error::other("the conversation is still being brought back from the last snapshot").into());
        }
        let (shadow, captured) = {
            // Two would make it at the same time, where there is none yet.
            let _one = self.index.lock().await;
            let shadow = Shadow::open(&self.config).await?;
            let captured = shadow.capture(None).await?;
            (shadow, captured)
        };
        let notes = self.state.get();
        let id = ids::snapshot_id()?;
        let mut contents = contents(&captured, &notes.snapshot.turns);
        if notes.turns.last().is_some_and(|turn| !turn.over) {
            // The conversation goes on at this moment: no other snapshot holds the same.
            contents.push_str(id.as_str());
        }
        if let Some(saved) = notes.snapshot.saved.filter(|saved| saved.contents == contents) {
            let (fresh, whole) = (false, true);
            return Ok(Made { saved, fresh, whole });
        }
        let Uploaded { bytes, turn, whole } = self.upload(&id, &shadow, captured).await?;
        if !whole {
            contents.push_str(id.as_str());
        }
        let saved = Saved {
            id,
            turn,
            bytes,
            contents,
        };
        self.state.update(|state| state.snapshot.saved = Some(saved.clone()))?;
        let fresh = true;
        Ok(Made { saved, fresh, whole })
    }

    async fn upload(&self, id: &SnapshotId, shadow: &Shadow, captured: Captured) -> Result<Uploaded, SaveError> {
        let dir = dir(&self.config);
        std::fs::create_dir_all(&dir)?;
        let mut meta = self.describe(captured);
        if let Some(base) = &meta.base
            && !shadow.has(base).await
        {
            // The agent threw the repository away: what there is now builds on nothing.
            meta.base = None;
        }
        let copied = self.conversation(&copy(&self.config)).await;
        let whole = copied.whole;
        meta.root = copied.root;
        if !whole {
            meta.left_out.push("the last part of the conversation".to_owned());
        }
        let file = self.config.state.join("snapshot.tar.gz");
        let mut bytes = self.pack(shadow, &dir, &file, &mut meta, usize::MAX).await?;
        if bytes > MAX_SNAPSHOT_BYTES {
            bytes = self.pack(shadow, &dir, &file, &mut meta, FEW_TURNS).await?;
        }
        let sent = if bytes > MAX_SNAPSHOT_BYTES {
            Err(TransferError::TooLarge)
        } else {
            self.transfer.put(id, &file).await
        };
        let _ = std::fs::remove_file(&file);
        let _ = std::fs::remove_file(dir.join("work.bundle"));
        sent?;
        let turn = meta.turns.pop().map(|mark| mark.turn_id);
        Ok(Uploaded { bytes, turn, whole })
    }

    fn describe(&self, captured: Captured) -> Meta {
        let notes = self.state.get().snapshot;
        let engine = self.engine.borrow();
        Meta {
            runtime: SNAPSHOT_RUNTIME,
            session: self.config.session.clone(),
            base: notes.base,
            engine: engine.as_ref().map(|engine| engine.version.clone()).unwrap_or_default(),
            root: None,
            now: captured.place,
            branches: captured.branches,
            turns: notes.turns,
            dropped: Vec::new(),
            left_out: captured.left_out,
        }
    }

    /// Copies the conversation; when the engine cannot be asked, the last copy is used again.
    async fn conversation(&self, dir: &Path) -> Copied {
        let engine = self.engine.borrow().clone();
        let notes = self.state.get();
        let copied = match &engine {
            Some(engine) => {
                let mut secrets = vec![self.token.borrow().clone()];
                secrets.extend(notes.engine.map(|engine| engine.password));
                secrets.extend(notes.relay.map(|relay| relay.key));
                secrets.extend_from_slice(self.masks.borrow().needles());
                conversation::save(&engine.api, &engine.root, dir, &secrets)
                    .await
                    .map_err(|error| error.to_string())
            }
            None => Err("the engine is not running".to_owned()),
        };
        if let Err(error) = &copied {
            tracing::warn!(error, "the conversation could not be copied");
        }
        let root = engine.map(|engine| engine.root).or(notes.engine_session);
        Copied {
            root: root.filter(|root| dir.join(format!("{root}.info.json")).exists()),
            whole: copied.is_ok(),
        }
    }

    /// Packs the archive with the files of the last `keep` turns only.
    async fn pack(
        &self,
        shadow: &Shadow,
        dir: &Path,
        file: &Path,
        meta: &mut Meta,
        keep: usize,
    ) -> Result<u64, SaveError> {
        let all: Vec<TurnId> = meta.turns.iter().map(|mark| mark.turn_id.clone()).collect();
        let (dropped, kept) = all.split_at(all.len().saturating_sub(keep));
        let bundle = dir.join("work.bundle");
        let broken = shadow
            .bundle(&bundle, meta.base.as_deref(), &meta.branches, kept)
            .await?;
        meta.dropped = dropped.iter().cloned().chain(broken).collect();
        std::fs::write(
            dir.join("meta.json"),
            serde_json::to_vec(meta).map_err(io::Error::from)?,
        )?;
        let (dir, file) = (dir.to_owned(), file.to_owned());
        let packed = tokio::task::spawn_blocking(move || archive::pack(&dir, &file));
        Ok(packed.await.map_err(io::Error::other)??)
    }
}

/// Where a snapshot is put together.
fn dir(config: &Config) -> PathBuf {
    config.state.join("snapshot")
}

/// Where the last copy of the conversation is.
pub(super) fn copy(config: &Config) -> PathBuf {
    dir(config).join("engine")
}

/// Equal texts mean equal snapshots.
fn contents(captured: &Captured, turns: &[TurnMark]) -> String {
    let mut text = format!(
        "{} {:?} {:?}",
        captured.tree, captured.place.head, captured.place.branch
    );
    for (name, commit) in &captured.branches {
        let _ = write!(text, " {name}={commit}");
    }
    if let Some(last) = turns.last() {
        let _ = write!(text, " {}", last.turn_id);
    }
    text
}
