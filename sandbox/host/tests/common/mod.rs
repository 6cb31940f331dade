//! A real host process with a shell script in the runner's place, and a small signing HTTP client.

#![allow(dead_code, reason = "each test file uses its own part of it")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

pub(crate) mod shell;
pub(crate) mod web;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use errand_host::auth::sign;
use errand_host::host::now;
use serde_json::{Value, json};

pub(crate) const SECRET: &str = "the secret of the tests";
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A runner that says it is there and waits to be told to end.
pub(crate) const WAITING: &str =
    "trap 'exit 0' TERM; echo ready > \"$ERRAND_WORKSPACE/ready\"; while :; do sleep 0.05; done";

pub(crate) struct Lab {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) args: Vec<String>,
}

/// A running host; killed when it goes out of scope, its sandboxes with the lab.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) address: String,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl Lab {
    /// A place for a host whose runner is this shell script.
    pub(crate) fn new(runner: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let lab = Self { dir, args: Vec::new() };
        lab.script("runner", runner);
        lab.script("engine", "exit 0");
        lab
    }

    #[must_use]
    pub(crate) fn with(mut self, args: &[&str]) -> Self {
        self.args.extend(args.iter().map(|arg| (*arg).to_owned()));
        self
    }

    pub(crate) fn script(&self, name: &str, text: &str) {
        let file = self.dir.path().join(name);
        fs::write(&file, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }

    pub(crate) fn state(&self) -> PathBuf {
        fs::canonicalize(self.dir.path()).unwrap().join("state")
    }

    pub(crate) fn kill_keeper(&self, name: &str) {
        let record = fs::read(self.sandbox(name).join("keeper.json")).unwrap();
        let keeper: Value = serde_json::from_slice(&record).unwrap();
        let pid = i32::try_from(keeper.get("pid").and_then(Value::as_i64).unwrap()).unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    }

    pub(crate) fn sandbox(&self, name: &str) -> PathBuf {
        self.state().join("sandboxes").join(name)
    }

    fn host_args(&self) -> Vec<String> {
        let path = |name: &str| self.dir.path().join(name).to_str().unwrap().to_owned();
        let mut args = vec![
            "--state".to_owned(),
            path("state"),
            "--runner".to_owned(),
            path("runner"),
        ];
        args.extend(["--engine".to_owned(), path("engine")]);
        args.extend(self.args.clone());
        args
    }

    pub(crate) fn start(&self) -> Running {
        let mut child = command(&self.host_args())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let address = line
            .trim()
            .strip_prefix("errand-host listening on http://")
            .unwrap()
            .to_owned();
        Running { child, address }
    }
}

fn command(args: &[String]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_errand-host"));
    command
        .args(args)
        .env("ERRAND_HOST_SECRET", SECRET)
        .env("ERRAND_TEST_LEAK", "must not be seen inside");
    command
}

/// A time that no earlier request of this process used; equal requests need different ones.
pub(crate) fn fresh_timestamp() -> i64 {
    static LAST: AtomicI64 = AtomicI64::new(0);
    let wanted = now().millis();
    let before = LAST
        .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |last| Some(wanted.max(last + 1)))
        .unwrap();
    wanted.max(before + 1)
}

impl Running {
    pub(crate) fn call(&self, method: &str, path: &str, body: &Value) -> Answer {
        let body = if body.is_null() {
            Vec::new()
        } else {
            serde_json::to_vec(body).unwrap()
        };
        self.send(method, path, &body)
    }

    pub(crate) fn send(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        let timestamp = fresh_timestamp();
        let signature = sign(SECRET, timestamp, method, path, body).unwrap();
        self.raw(
            method,
            path,
            body,
            &[
                ("x-errand-timestamp", &timestamp.to_string()),
                ("x-errand-signature", &signature),
            ],
        )
    }

    pub(crate) fn raw(&self, method: &str, path: &str, body: &[u8], headers: &[(&str, &str)]) -> Answer {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let headers = headers
            .iter()
            .fold(String::new(), |all, (name, value)| all + name + ": " + value + "\r\n");
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n"
        );
        stream.write_all(head.as_bytes()).unwrap();
        // A host that refuses a large body early closes while we still write.
        let _ = stream.write_all(body);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let text = String::from_utf8_lossy(&answer).into_owned();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        Answer {
            status,
            body: serde_json::from_str(body).unwrap_or(Value::Null),
        }
    }

    pub(crate) fn put(&self, name: &str, spec: &Value) -> Answer {
        self.call("PUT", &format!("/v1/sandboxes/{name}"), spec)
    }

    pub(crate) fn get(&self, name: &str) -> Answer {
        self.call("GET", &format!("/v1/sandboxes/{name}"), &Value::Null)
    }

    pub(crate) fn delete(&self, name: &str) -> Answer {
        self.call("DELETE", &format!("/v1/sandboxes/{name}"), &Value::Null)
    }

    pub(crate) fn health(&self) -> Value {
        self.raw("GET", "/v1/health", b"", &[]).body
    }

    /// Waits for a state and returns the status.
    pub(crate) fn until_state(&self, name: &str, state: &str) -> Value {
        let mut last = Value::Null;
        eventually(&format!("{name} to be {state}"), || {
            last = self.get(name).body;
            last.get("state").is_some_and(|found| found == state)
        });
        last
    }

    /// Kills the host alone, as a crash would.
    pub(crate) fn crash(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Tells the host to stop and waits for it.
    pub(crate) fn terminate(mut self) -> bool {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().success()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = command(&self.host_args()).arg("--stop-all").status();
        let left = processes_of(&self.state());
        assert!(
            std::thread::panicking() || left.is_empty(),
            "the test left processes behind: {left:?}"
        );
    }
}

pub(crate) fn spec(env: &[(&str, &str)]) -> Value {
    let env: serde_json::Map<String, Value> = env.iter().map(|(k, v)| ((*k).to_owned(), json!(v))).collect();
    json!({ "env": env })
}

/// Polls until `done`, and fails in words when it takes too long.
pub(crate) fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < until, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Processes whose command line or environment names the state directory.
pub(crate) fn processes_of(state: &Path) -> Vec<String> {
    processes_naming(&state.join("sandboxes"))
}

/// Processes whose command line or environment names the path.
pub(crate) fn processes_naming(path: &Path) -> Vec<String> {
    let needle = path.to_str().unwrap().to_owned();
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse::<u32>() else {
            continue;
        };
        let read = |name: &str| fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let text = [read("cmdline"), read("environ")].concat();
        if String::from_utf8_lossy(&text).contains(&needle) {
            found.push(format!(
                "{pid} {}",
                String::from_utf8_lossy(&read("cmdline")).replace('\0', " ")
            ));
        }
    }
    found
}

/// Whether this machine can isolate; tests of isolation have nothing to test elsewhere.
pub(crate) fn isolated(host: &Running) -> bool {
    let isolated = host
        .health()
        .get("isolation")
        .is_some_and(|level| level == "namespaces");
    if !isolated {
        eprintln!("skipped: this machine has no working bubblewrap");
    }
    isolated
}
