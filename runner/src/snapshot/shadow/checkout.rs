//! Bringing files back from a bundle.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use super::{Shadow, finish, path_text};
use crate::git;
use crate::snapshot::meta::{Meta, Place};

/// Where the workspace keeps a bundle's refs while it is being restored.
const PASSING: &str = "refs/errand/restore";

impl Shadow {
    /// Puts the workspace into a state of the bundle: branches, HEAD, and files with what is not committed. The
    /// workspace holds the commit that the bundle builds on.
    ///
    /// # Errors
    /// When the disk or git fails; the workspace may then be in any state.
    pub async fn check_out(&self, bundle: &Path, meta: &Meta, place: &Place) -> io::Result<()> {
        let bundle = path_text(bundle);
        if let Some(base) = &meta.base {
            self.fetch_base(base).await?;
        }
        // Both keep their own copies: what the agent's repository tidies up must stay here.
        let fetch = ["fetch", "--quiet", "--no-write-fetch-head"];
        self.git(&[&fetch[..], &[&bundle, "+refs/*:refs/*"]].concat()).await?;
        let passing = format!("+refs/*:{PASSING}/*");
        self.change_workspace(&[&fetch[..], &[&bundle, &passing]].concat(), None)
            .await?;
        // What the clone wrote is known before it is replaced, so that nothing of it stays.
        self.stage().await?;
        self.git(&["read-tree", "--reset", "-u", &place.commit]).await?;
        self.set_refs(meta, place).await?;
        let tree = place.head.as_deref().unwrap_or("--empty");
        self.change_workspace(&["read-tree", tree], None).await?;
        // Its status only says that there are changes.
        let _ = self.change_workspace(&["update-index", "-q", "--refresh"], None).await;
        Ok(())
    }

    async fn fetch_base(&self, base: &str) -> io::Result<()> {
        let commit = format!("{base}^{{commit}}");
        if self.in_workspace(&["cat-file", "-e", &commit]).await.is_ok() {
            return Ok(());
        }
        let fetch = ["fetch", "--quiet", "--no-write-fetch-head", "origin", base];
        let fetched = self.change_workspace(&fetch, None).await;
        fetched
            .map(drop)
            .map_err(|_| io::Error::other("the commit that the work was based on is not in the repository any more"))
    }

    async fn set_refs(&self, meta: &Meta, place: &Place) -> io::Result<()> {
        let mut lines = String::new();
        for (name, commit) in &meta.branches {
            if place.branch.as_ref() != Some(name) {
                let _ = writeln!(lines, "update refs/heads/{name} {commit}");
            }
        }
        if let Some(branch) = &place.branch {
            let full = format!("refs/heads/{branch}");
            self.change_workspace(&["symbolic-ref", "HEAD", &full], None).await?;
            if let Some(head) = &place.head {
                let _ = writeln!(lines, "update {full} {head}");
            }
        } else if let Some(head) = &place.head {
            self.change_workspace(&["update-ref", "--no-deref", "HEAD", head], None)
                .await?;
        }
        let passing = self
            .in_workspace(&["for-each-ref", "--format=delete %(refname)", PASSING])
            .await?;
        let _ = writeln!(lines, "{passing}");
        self.change_workspace(&["update-ref", "--stdin"], Some(lines))
            .await
            .map(drop)
    }

    async fn change_workspace(&self, arguments: &[&str], input: Option<String>) -> io::Result<String> {
        let mut command = git::command(&self.config);
        command.args(["-c", "gc.auto=0"]).args(arguments);
        finish(command, input).await
    }
}
