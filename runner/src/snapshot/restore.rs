//! Filling a fresh workspace from a snapshot. The conversation follows when the engine is up.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use errand_protocol::runner::SnapshotSource;

use super::conversation::Replay;
use super::meta::{Cut, Meta};
use super::shadow::Shadow;
use super::transfer::Transfer;
use super::{archive, transfer};
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
    Transfer(#[from] transfer::TransferError),
    /// The disk or git failed.
    #[error("{0}")]
    Disk(#[from] io::Error),
}

/// Bringing files back, and then the conversation, may take so long each.
pub const LIMIT: Duration = Duration::from_mins(2);

fn unpacked(config: &Config) -> PathBuf {
    config.state.join("restore")
}

/// Removes what an earlier attempt left.
pub fn clean(config: &Config) {
    let _ = std::fs::remove_dir_all(unpacked(config));
    let _ = std::fs::remove_file(unpacked(config).with_extension("tar.gz"));
}

/// Brings the files of a snapshot back into a workspace that was just cloned (or made), and notes the conversation for
/// the engine.
///
/// # Errors
/// When there is no such snapshot, it cannot be used here, or the disk or git fails; the workspace may then be in any
/// state.
pub async fn files(
    config: &Config,
    state: &StateFile,
    transfer: &Transfer,
    source: &SnapshotSource,
) -> Result<(), RestoreError> {
    clean(config);
    let (dir, file) = (unpacked(config), unpacked(config).with_extension("tar.gz"));
    transfer.get(&source.id, &file).await?;
    let (from, to) = (file.clone(), dir.clone());
    tokio::task::spawn_blocking(move || archive::unpack(&from, &to))
        .await
        .map_err(io::Error::other)??;
    let _ = std::fs::remove_file(file);
    let meta: Meta = serde_json::from_slice(&std::fs::read(dir.join("meta.json"))?).map_err(io::Error::from)?;
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
    let trouble = match tokio::time::timeout(LIMIT, replay.run(api)).await {
        Ok(Ok(())) => return Some(root),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "it took longer than two minutes".to_owned(),
    };
    tracing::warn!(trouble, "the conversation could not be restored");
    note.losses.push(format!(
        "The agent does not remember the conversation: it could not be given to the engine ({trouble})."
    ));
    None
}
