//! A directory with a workspace and the runner's notes, for tests of what is saved of it.

use std::path::Path;
use std::process::Command;

use super::shadow::MAX_UNTRACKED;
use crate::config::Config;

pub(super) struct Place {
    pub(super) dir: tempfile::TempDir,
    pub(super) config: Config,
}

/// What git says in this directory.
pub(super) fn git(dir: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=T", "-c", "user.email=t@example.com", "-C"])
        .arg(dir)
        .args(arguments)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

impl Place {
    /// Without a workspace yet.
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let env = |name: &str| {
            Some(match name {
                "ERRAND_URL" => "ws://127.0.0.1:1".to_owned(),
                "ERRAND_SESSION" => "ses_1".to_owned(),
                "ERRAND_GENERATION" => "1".to_owned(),
                "PATH" => std::env::var("PATH").unwrap(),
                "ERRAND_WORKSPACE" => dir.path().join("workspace").display().to_string(),
                "ERRAND_STATE" => dir.path().join("state").display().to_string(),
                "ERRAND_TOKEN" | "ERRAND_ENGINE" => "x".to_owned(),
                _ => return None,
            })
        };
        let config = Config::read(env).unwrap();
        std::fs::create_dir_all(&config.state).unwrap();
        Self { dir, config }
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.config.workspace.join(name), text).unwrap();
    }

    pub(super) fn git(&self, arguments: &[&str]) -> String {
        git(&self.config.workspace, arguments)
    }

    /// Two things that nothing saved has: a file that is too large (`b [1].bin`), and a repository of its own (`inner`).
    pub(super) fn add_what_is_left_out(&self) {
        self.write("b [1].bin", "");
        let file = std::fs::File::options()
            .write(true)
            .open(self.config.workspace.join("b [1].bin"));
        file.unwrap().set_len(MAX_UNTRACKED + 1).unwrap();
        self.git(&["init", "-q", "inner"]);
        self.write("inner/x", "x");
        git(&self.config.workspace.join("inner"), &["add", "-A"]);
        git(&self.config.workspace.join("inner"), &["commit", "-qm", "inner"]);
    }
}
