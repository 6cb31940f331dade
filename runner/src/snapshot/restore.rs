//! Filling a fresh workspace from a snapshot. The conversation follows when the engine is up.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use errand_protocol::runner::SnapshotSource;

use super::archive;
use super::conversation::{ConversationError, Replay};
use super::meta::{Cut, Meta};
use super::saver;
use super::shadow::Shadow;
use super::transfer::{Transfer, TransferError};
use crate::config::Config;
use crate::engine::api::Api;
use crate::state::{ConversationNote, StateFile};

/// Why the work could not be brought back.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The snapshot cannot be used.
    #[error("{0}")]
    Unusable(String),
    /// It could not be fetched.
    #[error("it could not be fetched: {0}")]
    Transfer(#[from] TransferError),
    /// The disk or git failed.
    #[error("{0}")]
    Disk(#[from] io::Error),
    /// It did not come to an end.
    #[error("it took longer than two minutes")]
    TooSlow,
}

impl RestoreError {
    /// Whether the work is given up for lost, after so many attempts. What may pass is never a reason for that: a network
    /// or a control plane that does not answer, a full disk. What may be a damaged snapshot as well as a killed git is
    /// found out by trying.
    fn is_loss(&self, attempts: u32) -> bool {
        match self {
            Self::Unusable(_) | Self::Transfer(TransferError::TooLarge | TransferError::Refused(404 | 410)) => true,
            Self::Transfer(_) => false,
            Self::Disk(error) => attempts >= ATTEMPTS && !is_full(error),
            Self::TooSlow => attempts >= ATTEMPTS,
        }
    }
}

/// An archive that was received whole and cannot be read will not be better the next time.
fn of_archive(error: io::Error) -> RestoreError {
    use io::ErrorKind::{InvalidData, InvalidInput, Other, UnexpectedEof};
    let damaged = matches!(error.kind(), InvalidData | InvalidInput | UnexpectedEof | Other) && !is_full(&error);
    if damaged {
        RestoreError::Unusable(error.to_string())
    } else {
        RestoreError::Disk(error)
    }
}

/// git tells it in words only.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        || error.to_string().contains("No space left")
}

/// So long an engine that does not take the conversation is asked again. Shorter than a start may take.
const PATIENCE: Duration = Duration::from_mins(1);
const PAUSE: Duration = Duration::from_secs(1);

/// So often a snapshot is tried that may be damaged.
const ATTEMPTS: u32 = 3;

/// What came of bringing files back.
#[derive(Debug)]
pub enum Outcome {
    /// They are as they were.
    Restored,
    /// The snapshot is of no use: the work goes on without it, and people are told why.
    Lost(String),
    /// Not this time: the start is to be tried again.
    NotNow(String),
}

/// Bringing files back, and then the conversation, may take so long each.
pub const LIMIT: Duration = Duration::from_mins(2);

fn unpacked(config: &Config) -> PathBuf {
    config.state.join("restore")
}

/// The engine has the conversation: what it was given becomes the last copy of it, so that a snapshot made while the
/// engine cannot be asked is none without a conversation. (One that was cut is not what the engine has.)
pub fn given(config: &Config, note: &ConversationNote) {
    let copy = saver::copy(config);
    let whole = note.root.is_some() && note.until.is_none() && !copy.exists();
    if whole && copy.parent().is_some_and(|dir| std::fs::create_dir_all(dir).is_ok()) {
        let _ = std::fs::rename(unpacked(config).join("engine"), copy);
    }
    clean(config);
}

/// Removes what an earlier attempt left.
fn clean(config: &Config) {
    let _ = std::fs::remove_dir_all(unpacked(config));
    let _ = std::fs::remove_file(unpacked(config).with_extension("tar.gz"));
}

/// Brings the files of a snapshot back into a workspace that was just cloned (or made), and notes the conversation for
/// the engine. When they are not restored, the workspace may be in any state.
pub async fn files(config: &Config, state: &StateFile, transfer: &Transfer, source: &SnapshotSource) -> Outcome {
    let attempts = state.get().snapshot.attempts + 1;
    if let Err(error) = state.update(|state| state.snapshot.attempts = attempts) {
        return Outcome::NotNow(error.to_string());
    }
    let restored = tokio::time::timeout(LIMIT, bring_back(config, state, transfer, source)).await;
    match restored.unwrap_or(Err(RestoreError::TooSlow)) {
        Ok(()) => Outcome::Restored,
        Err(error) if error.is_loss(attempts) => Outcome::Lost(error.to_string()),
        Err(error) => Outcome::NotNow(error.to_string()),
    }
}

async fn bring_back(
    config: &Config,
    state: &StateFile,
    transfer: &Transfer,
    source: &SnapshotSource,
) -> Result<(), RestoreError> {
    clean(config);
    let (dir, file) = (unpacked(config), unpacked(config).with_extension("tar.gz"));
    transfer.get(&source.id, &file).await?;
    let (from, to) = (file.clone(), dir.clone());
    let unpacked = tokio::task::spawn_blocking(move || archive::unpack(&from, &to)).await;
    unpacked.map_err(io::Error::other)?.map_err(of_archive)?;
    let _ = std::fs::remove_file(file);
    let meta: Meta = serde_json::from_slice(&std::fs::read(dir.join("meta.json"))?)
        .map_err(|error| RestoreError::Unusable(error.to_string()))?;
    if let Some(refusal) = meta.refusal() {
        return Err(RestoreError::Unusable(refusal));
    }
    let Cut { place, turns, until } = meta.cut(source.upto.as_ref()).map_err(RestoreError::Unusable)?;
    Shadow::remove(config)?;
    let shadow = Shadow::open(config).await?;
    shadow.check_out(&dir.join("work.bundle"), &meta, &place).await?;
    let mut losses = Vec::new();
    if !meta.left_out.is_empty() {
        losses.push(format!("Not kept in the snapshot: {}.", meta.left_out.join("; ")));
    }
    state.update(|state| {
        state.snapshot.attempts = 0;
        state.snapshot.base.clone_from(&meta.base);
        state.snapshot.turns = meta.turns.into_iter().take(turns).collect();
        state.snapshot.conversation = Some(ConversationNote {
            snapshot: source.id.clone(),
            root: meta.root,
            until,
            losses,
        });
    })?;
    Ok(())
}

/// An engine may be in trouble itself: a full disk.
fn may_pass(error: &ConversationError) -> bool {
    match error {
        ConversationError::Engine(_) | ConversationError::Cut(_) => true,
        ConversationError::Disk(error) => is_full(error),
    }
}

/// Gives the engine the noted conversation; gives its session, or adds to the losses why there is none.
pub async fn conversation(
    config: &Config,
    api: &Api,
    note: &mut ConversationNote,
    title: Option<&str>,
) -> Option<String> {
    let root = note.root.clone()?;
    let replay = Replay {
        dir: unpacked(config).join("engine"),
        root: root.clone(),
        until: note.until.clone(),
        workspace: config.workspace.display().to_string(),
        title: title.map(str::to_owned),
    };
    let begun = Instant::now();
    let trouble = loop {
        match tokio::time::timeout(LIMIT, replay.clone().run(api)).await {
            Ok(Ok(())) => return Some(root),
            // What it has taken already it passes over the next time.
            Ok(Err(error)) if may_pass(&error) && begun.elapsed() < PATIENCE => {
                tracing::warn!(%error, "the engine did not take the conversation; once more");
                tokio::time::sleep(PAUSE).await;
            }
            Ok(Err(error)) => break error.to_string(),
            Err(_) => break "it took longer than two minutes".to_owned(),
        }
    };
    tracing::warn!(trouble, "the conversation could not be restored");
    note.losses.push(format!(
        "The agent does not remember the conversation: it could not be given to the engine ({trouble})."
    ));
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_given_up_only_for_what_does_not_pass() {
        let disk = |kind, text: &str| RestoreError::Disk(io::Error::new(kind, text.to_owned()));
        let failed = TransferError::Failed("no answer".to_owned());
        for (error, first, third) in [
            (
                RestoreError::Unusable("it is of another runtime".to_owned()),
                true,
                true,
            ),
            (TransferError::Refused(404).into(), true, true),
            (TransferError::Refused(409).into(), false, false),
            (failed.into(), false, false),
            (
                TransferError::Disk("No space left on device".to_owned()).into(),
                false,
                false,
            ),
            (disk(io::ErrorKind::StorageFull, "full"), false, false),
            (
                disk(io::ErrorKind::Other, "fatal: unable to write: No space left on device"),
                false,
                false,
            ),
            (disk(io::ErrorKind::InvalidData, "not a gzip"), false, true),
            (RestoreError::TooSlow, false, true),
        ] {
            assert_eq!((error.is_loss(1), error.is_loss(3)), (first, third), "{error}");
        }
    }

    #[test]
    fn a_conversation_whose_files_are_damaged_is_not_tried_again() {
        assert!(!may_pass(
            &io::Error::other("the conversation is not in the snapshot").into()
        ));
        assert!(may_pass(&io::Error::new(io::ErrorKind::StorageFull, "full").into()));
    }
}
