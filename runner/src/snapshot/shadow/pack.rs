//! Making the bundle.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::Path;

use errand_protocol::ids::TurnId;

use super::{NOW, Shadow, finish, path_text, turn_ref};

impl Shadow {
    /// Writes a bundle of the branches, the given turns and the files as captured last, without what `base` reaches.
    /// Gives the turns that had to stay out because they are not whole any more: the agent removed what they build on.
    ///
    /// # Errors
    /// When the disk or git fails.
    pub async fn bundle(
        &self,
        file: &Path,
        base: Option<&str>,
        branches: &BTreeMap<String, String>,
        turns: &[TurnId],
    ) -> io::Result<Vec<TurnId>> {
        self.set_branches(branches).await?;
        let mut broken = Vec::new();
        let mut refs: Vec<String> = branches.keys().map(|name| format!("refs/heads/{name}")).collect();
        refs.push(NOW.to_owned());
        refs.extend(turns.iter().map(turn_ref));
        if let Err(error) = self.write_bundle(file, base, &refs).await {
            tracing::warn!(%error, "the bundle could not be made; broken turns are looked for");
            for turn in turns {
                if self.whole(&turn_ref(turn), base).await {
                    continue;
                }
                refs.retain(|name| *name != turn_ref(turn));
                broken.push(turn.clone());
            }
            self.write_bundle(file, base, &refs).await?;
        }
        Ok(broken)
    }

    async fn write_bundle(&self, file: &Path, base: Option<&str>, refs: &[String]) -> io::Result<()> {
        let mut lines = refs.join("\n");
        if let Some(base) = base {
            lines.push_str("\n^");
            lines.push_str(base);
        }
        lines.push('\n');
        let create = self.command(&["bundle", "create", "--quiet", &path_text(file), "--stdin"]);
        finish(create, Some(lines)).await.map(drop)
    }

    async fn whole(&self, name: &str, base: Option<&str>) -> bool {
        let mut list = vec!["rev-list", "--objects", "--quiet", name];
        if let Some(base) = base {
            list.extend(["--not", base]);
        }
        self.git(&list).await.is_ok()
    }

    /// Takes over where the agent's branches end.
    async fn set_branches(&self, branches: &BTreeMap<String, String>) -> io::Result<()> {
        let known = self
            .git(&["for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads"])
            .await?;
        let mut lines = String::new();
        for gone in known.lines().filter(|name| !branches.contains_key(*name)) {
            let _ = writeln!(lines, "delete refs/heads/{gone}");
        }
        for (name, commit) in branches {
            let _ = writeln!(lines, "update refs/heads/{name} {commit}");
        }
        let update = self.command(&["update-ref", "--stdin"]);
        finish(update, Some(lines)).await.map(drop)
    }

    /// Forgets turns: they are never asked for again.
    ///
    /// # Errors
    /// When git fails.
    pub async fn forget(&self, turns: &[TurnId]) -> io::Result<()> {
        let mut lines = String::new();
        for turn in turns {
            let _ = writeln!(lines, "delete {}", turn_ref(turn));
        }
        let update = self.command(&["update-ref", "--stdin"]);
        finish(update, Some(lines)).await.map(drop)
    }
}
