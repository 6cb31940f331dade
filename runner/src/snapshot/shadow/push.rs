//! The agent's work as a commit of its repository, and its way there.
//!
//! Unlike a snapshot it is read with the repository's own attributes (line endings, filters), so that people find in it
//! what the agent changed and nothing else. The agent's index, HEAD, refs and files stay as they are: the index is a copy,
//! objects go to the shadow, which is also where the push is made from: none of the repository's hooks or remotes count.

use std::fmt::Write as _;
use std::io;
use std::process::{Output, Stdio};

use errand_protocol::git::GitProxy;
use errand_protocol::runner::{GitAuthor, PushOutcome};
use errand_protocol::text::Branch;
use tokio::process::Command;

use super::{Shadow, finish, names, some_of};
use crate::git;
use crate::git_config;
use crate::state::PushNote;

/// Where the pushed commit stays known in the shadow.
const PUSHED: &str = "refs/errand/pushed";

/// In whose name a commit is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Authorship {
    /// Whose work it is.
    pub author: GitAuthor,
    /// Who commits it.
    pub committer: GitAuthor,
    /// Whether the committer is named as a co-author.
    pub co_author: bool,
    /// What it says.
    pub message: String,
}

/// The work as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// The last commit.
    pub head: Option<String>,
    /// All files that git does not ignore.
    pub tree: String,
    /// There is nothing but what the last commit has.
    pub committed: bool,
    /// What is not in it.
    lacks: Vec<String>,
}

impl Work {
    /// Whether a note is about the same work.
    pub fn is(&self, note: &PushNote) -> bool {
        self.head == note.head && self.tree == note.tree
    }

    /// What is not in it, as part of a sentence.
    pub fn lacks(&self) -> Option<String> {
        Some(self.lacks.join(" and ")).filter(|lacks| !lacks.is_empty())
    }

    /// The answer where it is published: what cannot be pushed is told all the same.
    ///
    /// # Errors
    /// When there is something that cannot be pushed.
    pub fn nothing_new(&self) -> Result<PushOutcome, PushError> {
        match self.lacks() {
            Some(lacks) => Err(PushError::Refused(format!("there is nothing new but {lacks}"))),
            None => Ok(PushOutcome::Nothing {}),
        }
    }

    /// Whether the repository has all of it, as far as is known here.
    pub async fn is_published(&self, shadow: &Shadow) -> bool {
        let Some(head) = &self.head else {
            return self.committed;
        };
        let found = ["for-each-ref", "--count=1", "--contains", head, "refs/remotes/origin"];
        self.committed && shadow.in_workspace(&found).await.is_ok_and(|found| !found.is_empty())
    }
}

/// Why the work is not in the repository.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// It could not be read.
    #[error("{0}")]
    Disk(#[from] io::Error),
    /// The repository, or the way there, does not take it.
    #[error("{0}")]
    Refused(String),
    /// It took too long.
    #[error("that took too long")]
    Slow,
}

impl PushError {
    /// For programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Refused(_) => "push_refused",
            Self::Disk(_) | Self::Slow => "push_failed",
        }
    }
}

impl Shadow {
    /// Reads the work.
    ///
    /// # Errors
    /// When the disk or git fails.
    pub async fn work(&self) -> io::Result<Work> {
        let head = self.in_workspace(&["rev-parse", "--verify", "--quiet", "HEAD"]);
        let head = head.await.ok();
        let before = match &head {
            Some(head) => self.in_workspace(&["rev-parse", &format!("{head}^{{tree}}")]).await?,
            None => finish(self.work_command(&["mktree"]), None).await?,
        };
        let index = self.in_workspace(&["rev-parse", "--path-format=absolute", "--git-path", "index"]);
        let index = index.await?;
        let _ = std::fs::remove_file(self.work_index());
        if std::fs::copy(index, self.work_index()).is_err() {
            // Every file is read, then.
            let _ = std::fs::remove_file(self.work_index());
        }
        let lacks = self.stage_work().await?;
        let tree = finish(self.work_command(&["write-tree"]), None).await?;
        let committed = tree == before;
        Ok(Work {
            head,
            tree,
            committed,
            lacks,
        })
    }

    async fn stage_work(&self) -> io::Result<Vec<String>> {
        let mut lacks = Vec::new();
        let list = self.work_command(&["ls-files", "--others", "--exclude-standard", "-z"]);
        let untracked = finish(list, None).await?;
        let large: Vec<&str> = names(&untracked).filter(|name| self.too_large(name)).collect();
        if !large.is_empty() {
            lacks.push(format!("large untracked files ({})", some_of(&large)));
        }
        let nested: Vec<&str> = names(&untracked).filter(|name| name.ends_with('/')).collect();
        if !nested.is_empty() {
            lacks.push(format!("repositories inside the repository ({})", some_of(&nested)));
        }
        let mut paths = ":/\0".to_owned();
        for name in large.into_iter().chain(nested) {
            paths.push_str(":(top,exclude,literal)");
            paths.push_str(name.trim_end_matches('/'));
            paths.push('\0');
        }
        let add = [
            "add",
            "--all",
            "--ignore-errors",
            "--pathspec-from-file=-",
            "--pathspec-file-nul",
        ];
        if finish(self.work_command(&add), Some(paths)).await.is_err() {
            lacks.push("files that could not be read".to_owned());
        }
        Ok(lacks)
    }

    /// The commit that holds all of the work: the last one, or a new one behind it.
    ///
    /// # Errors
    /// When the disk or git fails.
    pub async fn commit(&self, work: &Work, by: &Authorship) -> io::Result<PushNote> {
        let commit = match &work.head {
            Some(head) if work.committed => head.clone(),
            head => self.commit_tree(&work.tree, head.as_deref(), by).await?,
        };
        self.git(&["update-ref", PUSHED, &commit]).await?;
        Ok(PushNote {
            head: work.head.clone(),
            tree: work.tree.clone(),
            commit,
            done: false,
        })
    }

    async fn commit_tree(&self, tree: &str, head: Option<&str>, by: &Authorship) -> io::Result<String> {
        let Authorship {
            author,
            committer,
            co_author,
            message,
        } = by;
        let mut arguments = vec!["commit-tree", tree];
        arguments.extend(head.into_iter().flat_map(|head| ["-p", head]));
        let mut command = self.command(&arguments);
        for (role, who) in [("AUTHOR", author), ("COMMITTER", committer)] {
            command.env(format!("GIT_{role}_NAME"), &who.name);
            command.env(format!("GIT_{role}_EMAIL"), &who.email);
        }
        let mut message = message.clone();
        if *co_author {
            let GitAuthor { name, email } = committer;
            let _ = write!(message, "\nCo-authored-by: {name} <{email}>\n");
        }
        finish(command, Some(message)).await
    }

    /// Pushes a commit, in place of what was pushed there before.
    ///
    /// # Errors
    /// In words that people understand.
    pub async fn push(&self, commit: &str, to: &GitProxy, branch: &Branch) -> Result<(), PushError> {
        let own = format!("include.path={}", git_config::path(&self.config).display());
        let what = format!("+{commit}:refs/heads/{branch}");
        let push = [
            "-c",
            &own,
            "push",
            "--quiet",
            "--no-verify",
            "--recurse-submodules=no",
            "--",
            &to.origin,
            &what,
        ];
        let mut command = self.command(&push);
        let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().await?;
        if output.status.success() {
            return Ok(());
        }
        Err(PushError::Refused(refusal(&output)))
    }

    fn work_index(&self) -> std::path::PathBuf {
        self.dir.join("work-index")
    }

    /// Git in the agent's repository, with an index and a place for objects that are ours.
    fn work_command(&self, arguments: &[&str]) -> Command {
        let mut command = git::command(&self.config);
        command
            .env("GIT_INDEX_FILE", self.work_index())
            .env("GIT_OBJECT_DIRECTORY", self.dir.join("objects"))
            .env("GIT_OPTIONAL_LOCKS", "0")
            .args([
                "-c",
                "core.hooksPath=/dev/null",
                "-c",
                "core.fsmonitor=false",
                "-c",
                "core.safecrlf=false",
                "-c",
                "gc.auto=0",
            ])
            .args(arguments);
        command
    }
}

/// What git's complaint about a push means.
fn refusal(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    if let Some(why) = git::told(&said) {
        return why.to_owned();
    }
    let rejected = |line: &str| {
        let (_, why) = line.split_once("rejected]")?.1.rsplit_once(" (")?;
        Some(why.trim().strip_suffix(')')?.trim_start_matches("Errand: ").to_owned())
    };
    if let Some(why) = said.lines().find_map(rejected) {
        return format!("it was refused ({why})");
    }
    let last = said.lines().rev().find(|line| !line.trim().is_empty());
    last.unwrap_or("git gave no reason")
        .trim_start_matches("fatal: ")
        .to_owned()
}
