//! The workspace's files in a git repository of the runner's own, beside the state: one commit per finished turn and one
//! for now, each with the whole tree, untracked files included.
//!
//! The agent's repository is only read: neither its HEAD, index nor files change, no ref appears in it, none of its
//! hooks, filters or line-ending rules run. Its objects are borrowed (`objects/info/alternates`), so that only what is
//! new takes room. Files that git ignores are left out, and so are new ones that are very large.

mod checkout;
mod pack;
pub mod push;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use errand_protocol::ids::TurnId;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::meta::Place;
use crate::config::Config;
use crate::git;

/// A git command over all files may take so long.
const LIMIT: Duration = Duration::from_mins(5);
/// Untracked files above this are left out.
pub(super) const MAX_UNTRACKED: u64 = 32 * 1024 * 1024;
/// So many names of what was left out are told.
const NAMES: usize = 5;
/// Nothing of the agent's attributes: every file as it is, byte by byte.
const ATTRIBUTES: &str = "* -text -filter -ident -working-tree-encoding\n";

/// The repository.
#[derive(Clone)]
pub struct Shadow {
    config: Config,
    dir: PathBuf,
}

/// The files at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Captured {
    /// Where.
    pub place: Place,
    /// The tree: equal trees are equal files.
    pub tree: String,
    /// All local branches.
    pub branches: BTreeMap<String, String>,
    /// What was left out, in words.
    pub left_out: Vec<String>,
}

impl Shadow {
    /// The repository in the state directory; made when it is not there yet.
    ///
    /// # Errors
    /// When the disk or git fails.
    pub async fn open(config: &Config) -> io::Result<Self> {
        let shadow = Self {
            config: config.clone(),
            dir: config.state.join("shadow.git"),
        };
        // One whose making was broken off (a kill, a full disk) is made again: that changes nothing of what is there.
        let whole = ["HEAD", "config", "refs", "objects/info"];
        if !whole.iter().all(|name| shadow.dir.join(name).exists()) {
            let dir = shadow.dir.display().to_string();
            let mut init = git::command(config);
            init.current_dir(&config.state)
                .args(["init", "--quiet", "--bare", "--", &dir]);
            finish(init, None).await?;
        }
        std::fs::create_dir_all(shadow.dir.join("info"))?;
        std::fs::write(shadow.dir.join("info/attributes"), ATTRIBUTES)?;
        let lent = config.workspace.join(".git/objects");
        std::fs::write(
            shadow.dir.join("objects/info/alternates"),
            format!("{}\n", lent.display()),
        )?;
        Ok(shadow)
    }

    /// Removes what an earlier attempt left.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn remove(config: &Config) -> io::Result<()> {
        match std::fs::remove_dir_all(config.state.join("shadow.git")) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Commits the files as they are, for the end of `turn` or for now.
    ///
    /// # Errors
    /// When the disk or git fails.
    pub async fn capture(&self, turn: Option<&TurnId>) -> io::Result<Captured> {
        let head = self
            .in_workspace(&["rev-parse", "--verify", "--quiet", "HEAD"])
            .await
            .ok();
        let branch = self
            .in_workspace(&["symbolic-ref", "--short", "--quiet", "HEAD"])
            .await
            .ok();
        let left_out = self.stage().await?;
        let mut tree = self.git(&["write-tree"]).await;
        if tree.is_err() {
            // Objects that were borrowed are gone: every file is read again.
            let _ = std::fs::remove_file(self.dir.join("index"));
            self.stage().await?;
            tree = self.git(&["write-tree"]).await;
        }
        let tree = tree?;
        let message = turn.map_or("The work now", TurnId::as_str);
        let mut commit = vec!["commit-tree", &tree, "-m", message];
        if let Some(head) = &head {
            commit.extend(["-p", head]);
        }
        let commit = self.git(&commit).await?;
        let name = turn.map_or_else(|| NOW.to_owned(), turn_ref);
        self.git(&["update-ref", &name, &commit]).await?;
        Ok(Captured {
            place: Place { branch, head, commit },
            tree,
            branches: self.branches().await?,
            left_out,
        })
    }

    /// Whether a commit is (still) there.
    pub async fn has(&self, commit: &str) -> bool {
        let commit = format!("{commit}^{{commit}}");
        self.git(&["cat-file", "-e", &commit]).await.is_ok()
    }

    /// Brings the shadow's index up to what is in the workspace.
    async fn stage(&self) -> io::Result<Vec<String>> {
        let own = std::fs::read_to_string(self.config.workspace.join(".git/info/exclude")).unwrap_or_default();
        std::fs::write(self.dir.join("info/exclude"), &own)?;
        let mut left_out = Vec::new();
        let untracked = self.git(&["ls-files", "--others", "--exclude-standard", "-z"]).await?;
        let large: Vec<&str> = names(&untracked).filter(|name| self.too_large(name)).collect();
        if !large.is_empty() {
            let lines: Vec<String> = large.iter().map(|name| format!("/{}", escaped(name))).collect();
            std::fs::write(self.dir.join("info/exclude"), format!("{own}\n{}\n", lines.join("\n")))?;
            left_out.push(format!("large untracked files ({})", some_of(&large)));
        }
        // A file that cannot be read is no reason to lose the others.
        if self.git(&["add", "--all", "--ignore-errors", "--", "."]).await.is_err() {
            left_out.push("files that could not be read".to_owned());
        }
        // Tracked files count even if they are ignored.
        let tracked = self.in_workspace(&["ls-files", "--cached", "--ignored", "--exclude-standard", "-z"]);
        let tracked = tracked.await.unwrap_or_default();
        if !tracked.is_empty() {
            let update = self.command(&["update-index", "--add", "--remove", "-z", "--stdin"]);
            finish(update, Some(tracked)).await?;
        }
        let nested = self.git(&["ls-files", "--stage"]).await?;
        let nested: Vec<&str> = nested
            .lines()
            .filter(|line| line.starts_with("160000 "))
            .filter_map(|line| line.split('\t').nth(1))
            .collect();
        if !nested.is_empty() {
            left_out.push(format!("repositories inside the repository ({})", some_of(&nested)));
        }
        let ignored = [
            "ls-files",
            "--others",
            "--ignored",
            "--exclude-standard",
            "--directory",
            "-z",
        ];
        let ignored = self.git(&ignored).await?;
        let ignored: Vec<&str> = names(&ignored).filter(|name| !large.contains(name)).collect();
        if !ignored.is_empty() {
            left_out.push(format!("files that git ignores ({})", some_of(&ignored)));
        }
        Ok(left_out)
    }

    fn too_large(&self, name: &str) -> bool {
        std::fs::symlink_metadata(self.config.workspace.join(name)).is_ok_and(|file| file.len() > MAX_UNTRACKED)
    }

    async fn branches(&self) -> io::Result<BTreeMap<String, String>> {
        let format = "--format=%(objectname) %(refname:lstrip=2)";
        let list = self.in_workspace(&["for-each-ref", format, "refs/heads"]).await;
        let list = list.unwrap_or_default();
        let pairs = list.lines().filter_map(|line| line.split_once(' '));
        Ok(pairs
            .map(|(commit, name)| (name.to_owned(), commit.to_owned()))
            .collect())
    }

    /// Git in the agent's repository.
    async fn in_workspace(&self, arguments: &[&str]) -> io::Result<String> {
        let mut command = git::command(&self.config);
        command.env("GIT_OPTIONAL_LOCKS", "0").args(arguments);
        finish(command, None).await
    }

    /// Git in the shadow, over the workspace's files.
    async fn git(&self, arguments: &[&str]) -> io::Result<String> {
        finish(self.command(arguments), None).await
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = git::command(&self.config);
        command
            .env("GIT_DIR", &self.dir)
            .env("GIT_WORK_TREE", &self.config.workspace)
            .env("GIT_INDEX_FILE", self.dir.join("index"))
            .env("GIT_OPTIONAL_LOCKS", "0")
            .args([
                "-c",
                "user.name=Errand",
                "-c",
                "user.email=runner@errand.invalid",
                "-c",
                "gc.auto=0",
                "-c",
                "core.autocrlf=false",
                "-c",
                "core.fsmonitor=false",
                "-c",
                "advice.addEmbeddedRepo=false",
                "-c",
                "pack.threads=1",
            ])
            .args(arguments);
        command
    }
}

const NOW: &str = "refs/errand/wip";

fn turn_ref(turn: &TurnId) -> String {
    format!("refs/errand/turns/{turn}")
}

fn names(list: &str) -> impl Iterator<Item = &str> {
    list.split('\0').filter(|name| !name.is_empty())
}

fn some_of(names: &[&str]) -> String {
    let some = names.iter().take(NAMES).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMES) {
        0 => some,
        more => format!("{some} and {more} more"),
    }
}

/// A path as a pattern that matches nothing else.
fn escaped(name: &str) -> String {
    name.chars().fold(String::new(), |mut text, c| {
        if matches!(c, '*' | '?' | '[' | ']' | '\\' | ' ' | '!' | '#') {
            text.push('\\');
        }
        text.push(c);
        text
    })
}

/// Runs git; its output without the last line break, or its complaint.
async fn finish(mut command: Command, input: Option<String>) -> io::Result<String> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    if input.is_some() {
        command.stdin(Stdio::piped());
    }
    let run = async {
        let mut child = command.spawn()?;
        let stdin = child.stdin.take();
        let feed = async {
            if let (Some(mut stdin), Some(input)) = (stdin, input) {
                // Git may have had enough before the end; its status tells.
                let _ = stdin.write_all(input.as_bytes()).await;
            }
        };
        let (output, ()) = tokio::join!(child.wait_with_output(), feed);
        output
    };
    let output = tokio::time::timeout(LIMIT, run)
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    if output.status.success() {
        let text = String::from_utf8_lossy(&output.stdout);
        return Ok(text.trim_end_matches('\n').to_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(
        said.lines().last().unwrap_or("git gave no reason").to_owned(),
    ))
}

fn path_text(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests;
