//! A sandbox in which a test runs one command after the other, as the agent would.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::{Lab, Running, eventually};

/// A runner that carries out what the test writes into its workspace.
pub(crate) const SHELL: &str = "trap 'exit 0' TERM; cd /workspace; touch ready; while :; do \
    if test -e todo; then mv todo now; timeout 60 bash now > out.new 2>&1; echo \"[$?]\" >> out.new; mv out.new out; fi; sleep 0.02; done";

pub(crate) struct Shell {
    workspace: PathBuf,
    pub(crate) name: String,
}

impl Shell {
    /// Makes a sandbox whose runner is [`SHELL`] and waits until it takes commands.
    pub(crate) fn start(lab: &Lab, host: &Running, name: &str, egress: &Value, env: &Value) -> Self {
        let made = host.put(name, &spec(egress, env));
        assert_eq!(made.status, 202, "{}", made.body);
        let shell = Self::of(lab, name);
        eventually("the shell", || shell.workspace.join("ready").exists());
        shell
    }

    /// The shell of a sandbox that runs.
    pub(crate) fn of(lab: &Lab, name: &str) -> Self {
        Self {
            workspace: lab.sandbox(name).join("workspace"),
            name: name.to_owned(),
        }
    }

    /// Begins a command inside.
    pub(crate) fn begin(&self, command: &str) {
        let _ = fs::remove_file(self.workspace.join("out"));
        let draft = self.workspace.join("draft");
        fs::write(&draft, command).unwrap();
        fs::rename(draft, self.workspace.join("todo")).unwrap();
    }

    /// Runs a command inside; what it wrote, and its exit code in brackets.
    pub(crate) fn run(&self, command: &str) -> String {
        self.begin(command);
        self.ended(command)
    }

    /// Waits for the end of what was begun.
    pub(crate) fn ended(&self, command: &str) -> String {
        let out = self.workspace.join("out");
        eventually(&format!("the end of {command}"), || out.exists());
        fs::read_to_string(out).unwrap()
    }

    /// What was refused, as `host:port reason`.
    pub(crate) fn refused(&self) -> Vec<String> {
        let file = self.workspace.join("../egress/refused.jsonl");
        let text = fs::read_to_string(file).unwrap_or_default();
        let told = |line: &str| {
            let line: Value = serde_json::from_str(line).unwrap();
            let text = |name: &str| line.get(name).and_then(Value::as_str).unwrap().to_owned();
            format!("{}:{} {}", text("host"), line.get("port").unwrap(), text("reason"))
        };
        text.lines().map(told).collect()
    }
}

/// A specification with an egress policy.
pub(crate) fn spec(egress: &Value, env: &Value) -> Value {
    json!({ "env": env, "egress": egress, "labels": { "session": "ses_1" } })
}

/// The policy that names these hosts.
pub(crate) fn allow(hosts: &[&str]) -> Value {
    json!({ "mode": "allowlist", "hosts": hosts })
}
