//! A whole sandbox for tests, without the sandbox: the real runner, the real engine, the demo model, and a stand-in
//! control plane. Everything that is started is stopped when the world is dropped.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use errand_protocol::ids::TurnId;
use errand_protocol::runner::{AgentFrame, Dialect, GitAuthor, ModelSetup, ProviderSetup, RunnerEvent, RunnerSetup};
use errand_protocol::sandbox::RepoSpec;
use errand_protocol::session::TurnOutcome;
use errand_protocol::transcript::{Part, PartBody};
use errand_runner::engine::api::Api;
use errand_runner::engine::process;
use errand_runner::state::StateFile;
use tempfile::TempDir;

use crate::agent::{self, Agent, Log};

pub struct World {
    /// More environment of the runner.
    env: Vec<(&'static str, String)>,
    pub agent: Agent,
    pub setup: RunnerSetup,
    pub dir: TempDir,
    pub model_url: String,
    runner: Kept,
    _model: Kept,
}

/// A process that ends with its owner.
pub struct Kept(Child);

impl Drop for Kept {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Path of the engine; the tests cannot do without it and must not pass without it.
pub fn engine() -> String {
    std::env::var("ERRAND_ENGINE").expect("set ERRAND_ENGINE to the path of the OpenCode binary to run these tests")
}

pub fn author() -> GitAuthor {
    GitAuthor {
        name: "Ada Example".to_owned(),
        email: "ada@example.com".to_owned(),
    }
}

pub fn setup() -> RunnerSetup {
    let models = ["demo", "demo-fast"].map(|id| ModelSetup {
        id: id.to_owned(),
        name: "Demo".to_owned(),
        context: 128_000,
        output: 8_192,
    });
    let provider = ProviderSetup {
        dialect: Dialect::Openai,
        path: "/llm/demo/v1".to_owned(),
        models: models.to_vec(),
    };
    RunnerSetup {
        session_id: "ses_test".parse().unwrap(),
        repo: None,
        model: "demo/demo-fast".parse().unwrap(),
        providers: BTreeMap::from([("demo".to_owned(), provider)]),
        author: author(),
        title: Some("A test".to_owned()),
        git: None,
        permissions: BTreeMap::new(),
        snapshot: None,
    }
}

pub fn git(dir: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=T", "-c", "user.email=t@example.com", "-C"])
        .arg(dir)
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "git {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The sample repository as a git repository in `dir`.
pub fn sample(dir: &Path) -> RepoSpec {
    let repo = dir.join("sample");
    let from = root().join("sandbox/sample-repo");
    assert!(
        Command::new("cp")
            .arg("-r")
            .arg(from)
            .arg(&repo)
            .status()
            .unwrap()
            .success()
    );
    git(&repo, &["init", "-q", "-b", "main"]);
    git(&repo, &["add", "-A"]);
    git(&repo, &["commit", "-qm", "The cart"]);
    RepoSpec {
        url: repo.display().to_string().parse().unwrap(),
        branch: None,
    }
}

fn start_model() -> (Kept, String) {
    let model = Command::new("node")
        .arg(root().join("sandbox/demo-model/server.mjs"))
        .args(["--port", "0"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut model = Kept(model);
    let mut line = String::new();
    BufReader::new(model.0.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let url = line.trim().rsplit(' ').next().unwrap().to_owned();
    (model, url)
}

impl World {
    /// A world whose runner works on nothing.
    pub async fn empty() -> Self {
        Self::with(|_, _| {}).await
    }

    /// A world; `change` sees the set-up before it is used, and the temporary directory.
    pub async fn with(change: impl FnOnce(&mut RunnerSetup, &Path)) -> Self {
        Self::beginning_with(|_| {}, change).await
    }

    /// A world whose control plane is prepared before the runner starts.
    pub async fn beginning_with(prepare: impl FnOnce(&mut Log), change: impl FnOnce(&mut RunnerSetup, &Path)) -> Self {
        Self::make(prepare, Vec::new(), change).await
    }

    /// A world whose runner has more in its environment.
    pub async fn with_env(env: Vec<(&'static str, String)>) -> Self {
        Self::make(|_| {}, env, |_, _| {}).await
    }

    async fn make(
        prepare: impl FnOnce(&mut Log),
        env: Vec<(&'static str, String)>,
        change: impl FnOnce(&mut RunnerSetup, &Path),
    ) -> Self {
        engine();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let dir = TempDir::new().unwrap();
        let mut setup = setup();
        change(&mut setup, dir.path());
        let (model, model_url) = start_model();
        let agent = Agent::start(setup.clone(), model_url.clone()).await;
        prepare(&mut agent.log());
        let runner = spawn_runner(dir.path(), &agent, &env);
        Self {
            env,
            agent,
            setup,
            dir,
            model_url,
            runner,
            _model: model,
        }
    }

    pub async fn ready() -> Self {
        let world = Self::empty().await;
        world.agent.ready().await;
        world
    }

    pub fn workspace(&self) -> PathBuf {
        self.dir.path().join("workspace")
    }

    pub fn state(&self) -> StateFile {
        StateFile::open(&self.dir.path().join("state/runner.json"))
    }

    pub fn prompt(&mut self, text: &str) -> TurnId {
        let turn = next_turn();
        self.run(&turn, text);
        turn
    }

    pub fn run(&self, turn: &TurnId, text: &str) {
        self.agent.send(AgentFrame::Run {
            turn_id: turn.clone(),
            text: text.parse().unwrap(),
            model: "demo/demo-fast".parse().unwrap(),
            author: author(),
        });
    }

    /// Runs a prompt to its end.
    pub async fn ask(&mut self, text: &str) -> RunnerEvent {
        let turn = self.prompt(text);
        self.agent.turn_finished(&turn).await
    }

    pub fn runner_pid(&self) -> u32 {
        self.runner.0.id()
    }

    /// The memory that the runner has resident now.
    pub fn runner_kib(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The most memory that the runner ever had resident.
    pub fn runner_peak_kib(&self) -> u64 {
        self.memory("VmHWM:")
    }

    fn memory(&self, which: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.runner_pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with(which)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    pub fn kill_runner(&mut self) {
        self.runner.0.kill().unwrap();
        self.runner.0.wait().unwrap();
    }

    pub fn kill_engine(&self) {
        self.signal_engine("-KILL");
    }

    /// It hangs: its process lives, and does nothing.
    pub fn stop_engine(&self) {
        self.signal_engine("-STOP");
    }

    fn signal_engine(&self, signal: &str) {
        let engine = self.state().get().engine.unwrap();
        let sent = Command::new("kill").args([signal, &engine.pid.to_string()]).status();
        assert!(sent.unwrap().success());
    }

    /// As a host ends it.
    pub fn terminate_runner(&self) {
        let ended = Command::new("kill").arg(self.runner_pid().to_string()).status();
        assert!(ended.unwrap().success());
    }

    pub fn start_runner(&mut self) {
        self.runner = spawn_runner(self.dir.path(), &self.agent, &self.env);
    }

    pub async fn runner_exit(&mut self) -> i32 {
        for _ in 0..600 {
            if let Some(status) = self.runner.0.try_wait().unwrap() {
                return status.code().unwrap_or(-1);
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("the runner does not exit");
    }

    pub fn engine_alive(&self) -> bool {
        self.state().get().engine.is_some_and(|engine| process::alive(&engine))
    }

    pub async fn open_gate(&self, name: &str) {
        self.post(&format!("/control/gates/{name}")).await;
    }

    async fn post(&self, path: &str) {
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([])
            .build()
            .unwrap();
        http.post(format!("{}{path}", self.model_url))
            .send()
            .await
            .unwrap()
            .error_for_status()
            .unwrap();
    }

    /// The model's requests that were not for a title.
    pub async fn model_requests(&self) -> Vec<serde_json::Value> {
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([])
            .build()
            .unwrap();
        let url = format!("{}/control/requests", self.model_url);
        let all: Vec<serde_json::Value> = http.get(url).send().await.unwrap().json().await.unwrap();
        all.into_iter().filter(|request| request["kind"] != "title").collect()
    }

    /// Waits until the engine itself has completed a command, whoever listens.
    pub async fn command_completed(&self) {
        let state = self.state().get();
        let (note, session) = (state.engine.unwrap(), state.engine_session.unwrap());
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let api = Api::new(http, note.port, &note.password);
        for _ in 0..600 {
            let messages = api.messages(&session).await.unwrap();
            let states = messages.iter().flat_map(|message| &message.parts);
            if states
                .filter_map(|part| part.state.as_ref())
                .any(|state| state.status == "completed")
            {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("the command does not end");
    }

    /// As if the runner had been killed just before it wrote the first event of this type. Only while it does not run.
    pub fn forget_from_spool(&self, kind: &str) {
        let path = self.dir.path().join("state/spool.jsonl");
        let spool = std::fs::read_to_string(&path).unwrap();
        let wanted = format!("\"kind\":\"{kind}\"");
        let lines: Vec<&str> = spool.lines().take_while(|line| !line.contains(&wanted)).collect();
        assert!(lines.len() < spool.lines().count(), "{spool}");
        std::fs::write(&path, lines.join("\n") + "\n").unwrap();
        let mut log = self.agent.log();
        let kept = log
            .events
            .iter()
            .position(|event| matches!(event, RunnerEvent::TurnAccepted { .. }));
        let kept = kept.unwrap_or(log.events.len());
        log.events.truncate(kept);
        log.texts.clear();
    }

    /// Waits until the model was asked a second time: its first answer was cut off with the runner that relayed it, and a
    /// gate lets only those go on that wait there.
    pub async fn asked_again(&self) {
        for _ in 0..1200 {
            if self.model_requests().await.len() >= 2 {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("the model was not asked again");
    }

    /// Waits until text of an open part has come.
    pub async fn text_begun(&self) {
        self.agent
            .until("the begun text", |log| {
                log.texts.values().any(|text| !text.is_empty()).then_some(())
            })
            .await;
    }

    /// All finished parts.
    pub fn parts(&self) -> Vec<Part> {
        let log = self.agent.log();
        let finished = log.events.iter().filter_map(|event| match event {
            RunnerEvent::PartFinished { part, .. } => Some(part.clone()),
            _ => None,
        });
        finished.collect()
    }

    /// Texts of finished prose parts.
    pub fn texts(&self) -> Vec<String> {
        let texts = self.parts().into_iter().filter_map(|part| match part.body {
            PartBody::Text { text } => Some(text),
            _ => None,
        });
        texts.collect()
    }

    /// Checks the log.
    pub fn check(&self) {
        agent::check(&self.agent.log());
    }
}

fn spawn_runner(dir: &Path, agent: &Agent, env: &[(&'static str, String)]) -> Kept {
    let log = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(dir.join("runner.log"))
        .unwrap();
    let runner = Command::new(env!("CARGO_BIN_EXE_errand-runner"))
        .env_clear()
        .envs(env.iter().map(|(name, value)| (*name, value.as_str())))
        .env("PATH", std::env::var("PATH").unwrap())
        .env("ERRAND_URL", format!("ws://{}", agent.address))
        .env("ERRAND_SESSION", "ses_test")
        .env("ERRAND_GENERATION", "1")
        .env("ERRAND_TOKEN", agent.log().token.clone())
        .env("ERRAND_ENGINE", engine())
        .env("ERRAND_WORKSPACE", dir.join("workspace"))
        .env("ERRAND_STATE", dir.join("state"))
        .stderr(log)
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    Kept(runner)
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = self.runner.0.kill();
        let _ = self.runner.0.wait();
        if let Some(engine) = self.state().get().engine {
            process::end(&engine);
        }
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.dir.path().join("runner.log")).unwrap_or_default();
            eprintln!("the runner's log:\n{log}");
        }
    }
}

/// Waits until something outside of the log is true.
pub async fn until(mut is: impl FnMut() -> bool) {
    for _ in 0..1200 {
        if is() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("waited in vain");
}

/// Whether any process carries an engine's mark.
pub fn runs(mark: &str) -> bool {
    let marked = |pid: &std::ffi::OsStr| {
        let environ = std::fs::read(Path::new("/proc").join(pid).join("environ")).unwrap_or_default();
        environ.windows(mark.len()).any(|window| window == mark.as_bytes())
    };
    std::fs::read_dir("/proc")
        .unwrap()
        .any(|entry| marked(&entry.unwrap().file_name()))
}

/// A turn that there was not before, in any world: another may go on with this one's turns.
pub fn next_turn() -> TurnId {
    static TURNS: AtomicU32 = AtomicU32::new(1);
    TurnId::from_body(&TURNS.fetch_add(1, Ordering::Relaxed).to_string()).unwrap()
}

/// How a turn ended, and the code of its cause.
pub fn outcome(event: &RunnerEvent) -> (TurnOutcome, String) {
    match event {
        RunnerEvent::TurnFinished { outcome, cause, .. } => (
            *outcome,
            cause.as_ref().map(|cause| cause.code.clone()).unwrap_or_default(),
        ),
        _ => panic!("not the end of a turn"),
    }
}

/// How a turn ends that ends well.
pub fn done() -> (TurnOutcome, String) {
    (TurnOutcome::Done, String::new())
}

/// The first call of a tool.
pub fn tool(parts: &[Part], name: &str) -> Part {
    parts
        .iter()
        .find(|part| matches!(&part.body, PartBody::Tool { tool, .. } if tool == name))
        .unwrap()
        .clone()
}
