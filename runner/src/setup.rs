//! The repository's set-up script: run once in a new workspace, and again when the script has changed since, before the
//! agent works. Bounded in time and in what is told of its output; what it leaves running stays, as a service may.

use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use errand_protocol::limits::{MAX_SETUP_OUTPUT_BYTES, MAX_SETUP_PIECE_BYTES};
use errand_protocol::repository::SetupScript;
use errand_protocol::session::{Cause, StartStep};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::sync::mpsc;

use crate::cause::{StartFailure, plain};
use crate::config::Config;
use crate::mask::{Masks, Stream};

/// The script may take so long: less than the control plane waits for the step.
const LIMIT: Duration = Duration::from_mins(9);
/// Output is told so often.
const EVERY: Duration = Duration::from_millis(500);
/// After its end output is read for so long; what still holds it then was left running.
const LAST_WORDS: Duration = Duration::from_millis(300);
/// So much of the end of the output is in the cause of a failure.
const TAIL: usize = 300;

/// One run of the script.
pub struct Setup {
    /// Where and with which paths.
    pub config: Config,
    /// The script.
    pub script: SetupScript,
    /// Secrets, as environment variables.
    pub variables: Vec<(String, String)>,
    /// What must not be told.
    pub masks: Masks,
    /// Where its output goes, piece by piece; closed at its end.
    pub output: mpsc::Sender<String>,
    /// How long it may take.
    pub limit: Duration,
}

impl Setup {
    /// With the product's limit.
    pub const fn new(
        config: Config,
        script: SetupScript,
        variables: Vec<(String, String)>,
        masks: Masks,
        output: mpsc::Sender<String>,
    ) -> Self {
        Self {
            config,
            script,
            variables,
            masks,
            output,
            limit: LIMIT,
        }
    }

    /// Runs it.
    ///
    /// # Errors
    /// When it fails or takes too long; trying the same again would not help.
    pub async fn run(self) -> Result<(), StartFailure> {
        let mut child = self
            .start()
            .map_err(|error| failed("setup_failed", &format!("it could not be started: {error}")))?;
        let mut told = Told::new(&self.masks, &self.output);
        let ended = tokio::time::timeout(self.limit, told.follow(&mut child)).await;
        match ended {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(Ok(status)) => Err(failed(
                "setup_failed",
                &format!("{status}. It ended with: {}", told.tail()),
            )),
            Ok(Err(error)) => Err(failed("setup_failed", &error.to_string())),
            Err(_) => {
                end(&child);
                let _ = child.wait().await;
                told.rest().await;
                let minutes = self.limit.as_secs().div_ceil(60);
                let said = format!("it took longer than {minutes} minutes. It got to: {}", told.tail());
                Err(failed("setup_timeout", &said))
            }
        }
    }

    fn start(&self) -> io::Result<Child> {
        let file = self.config.state.join("setup.sh");
        std::fs::write(&file, self.script.as_str())?;
        std::fs::create_dir_all(&self.config.home)?;
        std::fs::create_dir_all(&self.config.tmp)?;
        // One pipe for both, so that lines stay in order.
        let (reader, writer) = io::pipe()?;
        let mut command = self.command(&file)?;
        let child = command
            .current_dir(&self.config.workspace)
            .env_clear()
            .env("PATH", &self.config.path)
            .env("HOME", &self.config.home)
            .env("LANG", &self.config.lang)
            .env("TMPDIR", &self.config.tmp)
            .env("CI", "true")
            .env("GIT_TERMINAL_PROMPT", "0")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(writer.try_clone()?)
            .stderr(writer)
            .process_group(0)
            .spawn();
        drop(command);
        let mut child = child?;
        let output = std::process::ChildStdout::from(std::os::fd::OwnedFd::from(reader));
        child.stdout = Some(tokio::process::ChildStdout::from_std(output)?);
        Ok(child)
    }

    fn command(&self, file: &Path) -> io::Result<Command> {
        use std::os::unix::fs::PermissionsExt as _;
        if self.script.as_str().starts_with("#!") {
            std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o700))?;
            return Ok(Command::new(file));
        }
        let bash = ["/bin/bash", "/usr/bin/bash"]
            .into_iter()
            .find(|path| Path::new(path).exists());
        let mut command = Command::new(bash.unwrap_or("/bin/sh"));
        command.arg("-e");
        if bash.is_some() {
            command.args(["-o", "pipefail"]);
        }
        command.arg(file);
        Ok(command)
    }
}

fn failed(code: &str, said: &str) -> StartFailure {
    StartFailure {
        step: StartStep::Setup,
        cause: Cause::new(
            code,
            format!(
                "The repository's set-up script failed: {}. An admin can change it; then try again.",
                plain(said)
            ),
        ),
        retryable: false,
    }
}

/// Ends it with all that it started, as far as that stayed in its group.
fn end(child: &Child) {
    let pid = child
        .id()
        .and_then(|pid| i32::try_from(pid).ok())
        .and_then(Pid::from_raw);
    if let Some(pid) = pid {
        let _ = kill_process_group(pid, Signal::KILL);
    }
}

/// What is told of the output.
struct Told<'a> {
    masks: &'a Masks,
    output: &'a mpsc::Sender<String>,
    stream: Stream,
    /// Bytes that are no whole character yet.
    raw: Vec<u8>,
    /// Masked, to be told.
    waiting: String,
    /// The end of what was masked.
    last: String,
    bytes: usize,
    left_out: usize,
}

impl<'a> Told<'a> {
    fn new(masks: &'a Masks, output: &'a mpsc::Sender<String>) -> Self {
        Self {
            masks,
            output,
            stream: Stream::default(),
            raw: Vec::new(),
            waiting: String::new(),
            last: String::new(),
            bytes: 0,
            left_out: 0,
        }
    }

    /// Tells the output until the script has ended.
    async fn follow(&mut self, child: &mut Child) -> io::Result<ExitStatus> {
        let mut output = child.stdout.take();
        let mut buffer = vec![0; 16 * 1024];
        let mut every = tokio::time::interval(EVERY);
        let mut open = true;
        let status = loop {
            tokio::select! {
                status = child.wait() => break status?,
                read = read(output.as_mut(), &mut buffer), if open => {
                    let count = read?;
                    open = count > 0;
                    self.take(buffer.get(..count).unwrap_or_default()).await;
                }
                _ = every.tick() => self.tell().await,
            }
        };
        let last_words = async {
            while let Ok(count @ 1..) = read(output.as_mut(), &mut buffer).await {
                self.take(buffer.get(..count).unwrap_or_default()).await;
            }
        };
        let _ = tokio::time::timeout(LAST_WORDS, last_words).await;
        self.rest().await;
        Ok(status)
    }

    async fn take(&mut self, bytes: &[u8]) {
        self.raw.extend_from_slice(bytes);
        let whole = match std::str::from_utf8(&self.raw) {
            Err(error) if error.error_len().is_none() => error.valid_up_to(),
            Ok(_) | Err(_) => self.raw.len(),
        };
        let text: Vec<u8> = self.raw.drain(..whole).collect();
        let text = String::from_utf8_lossy(&text).replace('\0', "");
        let shown = self.stream.feed(self.masks, &text);
        self.show(&shown);
        if self.waiting.len() >= MAX_SETUP_PIECE_BYTES {
            self.tell().await;
        }
    }

    fn show(&mut self, text: &str) {
        self.last.push_str(text);
        let surplus = self.last.len().saturating_sub(2 * TAIL);
        self.last.drain(..self.last.ceil_char_boundary(surplus));
        let room = MAX_SETUP_OUTPUT_BYTES.saturating_sub(self.bytes + self.waiting.len());
        let shown = text.get(..text.floor_char_boundary(room)).unwrap_or_default();
        self.waiting.push_str(shown);
        self.left_out += text.len() - shown.len();
    }

    async fn tell(&mut self) {
        while !self.waiting.is_empty() {
            let end = self.waiting.floor_char_boundary(MAX_SETUP_PIECE_BYTES);
            let text: String = self.waiting.drain(..end).collect();
            self.bytes += text.len();
            let _ = self.output.send(text).await;
        }
    }

    /// All that is not told yet.
    async fn rest(&mut self) {
        let raw = std::mem::take(&mut self.raw);
        let mut shown = self.stream.feed(self.masks, &String::from_utf8_lossy(&raw));
        shown += &self.stream.rest(self.masks);
        self.show(&shown);
        self.tell().await;
        if self.left_out > 0 {
            self.waiting = format!("\n… {} bytes more are not shown …\n", self.left_out);
            self.tell().await;
        }
    }

    fn tail(&self) -> String {
        let begin = self.last.len().saturating_sub(TAIL);
        let tail = self.last.get(self.last.ceil_char_boundary(begin)..).unwrap_or_default();
        let tail = plain(tail);
        if tail.is_empty() { "no output".to_owned() } else { tail }
    }
}

async fn read(from: Option<&mut (impl AsyncRead + Unpin)>, buffer: &mut [u8]) -> io::Result<usize> {
    match from {
        Some(from) => from.read(buffer).await,
        None => Ok(0),
    }
}
