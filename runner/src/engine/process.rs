//! The engine's process: starting it, seeing whether it lives, ending it with everything it started.
//!
//! The engine is a group of its own and its output goes to a file, so that it survives the runner; a restarted
//! runner finds it by its note. What it starts may leave the group (shells do), so a mark in the environment, which
//! children inherit, finds them all.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::net::TcpListener;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;
use tokio::process::{Child, Command};

use super::settings;
use crate::config::Config;
use crate::ids;
use crate::state::EngineNote;

const LISTENING: &[u8] = b"opencode server listening";
const START_TIMEOUT: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(10);
/// Looks for what is left of an engine that was killed.
const LOOKS: u32 = 200;
const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

/// Starts the engine and waits until it listens.
///
/// # Errors
/// When it cannot be started, dies, or does not listen in time.
pub async fn start(
    config: &Config,
    content: &Value,
    given: &[(String, String)],
    remember: impl Fn(&EngineNote) -> io::Result<()>,
) -> io::Result<(EngineNote, Child)> {
    settings::lay_out(config)?;
    let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
    let mut note = EngineNote {
        pid: 0,
        port,
        password: ids::secret()?,
        mark: ids::secret()?,
    };
    let log = config.state.join("engine.log");
    let output = File::create(&log)?;
    let mut child = Command::new(&config.engine)
        .args(["serve", "--hostname", "127.0.0.1", "--log-level", "WARN", "--port"])
        .arg(port.to_string())
        .current_dir(&config.workspace)
        .env_clear()
        .envs(given.iter().map(|(name, value)| (name, value)))
        .envs(settings::environment(config, content, &note))
        .stdin(Stdio::null())
        .stderr(output.try_clone()?)
        .stdout(output)
        .process_group(0)
        .spawn()?;
    note.pid = child.id().unwrap_or_default();
    remember(&note)?;
    let listening = async {
        loop {
            if let Some(status) = child.try_wait()? {
                return Err(io::Error::other(format!("{status}; {}", last_line(&log))));
            }
            if fs::read(&log)?
                .windows(LISTENING.len())
                .any(|window| window == LISTENING)
            {
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
    };
    let listening = tokio::time::timeout(START_TIMEOUT, listening)
        .await
        .unwrap_or_else(|_| Err(io::Error::other("it did not listen within a minute")));
    if let Err(error) = listening {
        end(&note);
        let _ = child.wait().await;
        return Err(error);
    }
    Ok((note, child))
}

fn last_line(log: &std::path::Path) -> String {
    let mut text = String::new();
    let _ = File::open(log).and_then(|file| file.take(64 * 1024).read_to_string(&mut text));
    text.lines()
        .rev()
        .find(|line| !line.trim().is_empty())
        .unwrap_or("it printed nothing")
        .to_owned()
}

/// Whether this very engine still runs.
pub fn alive(note: &EngineNote) -> bool {
    // A zombie's environment is empty, a reused pid has another one.
    marked(note.pid, &note.mark)
}

fn marked(pid: u32, mark: &str) -> bool {
    let wanted = format!("{}={mark}", settings::MARK);
    fs::read(format!("/proc/{pid}/environ")).is_ok_and(|environment| {
        environment
            .split(|byte| *byte == 0)
            .any(|entry| entry == wanted.as_bytes())
    })
}

/// Ends the engine, its group, and everything else that carries its mark.
pub fn end(note: &EngineNote) {
    if alive(note)
        && let Some(group) = pid(note.pid)
    {
        let _ = kill_process_group(group, Signal::KILL);
    }
    // A process that is just being forked may be missed, and one that was killed takes a moment to give back its memory:
    // look until none is left.
    for _ in 0..LOOKS {
        let left: Vec<u32> = processes().filter(|pid| marked(*pid, &note.mark)).collect();
        if left.is_empty() {
            return;
        }
        for pid in left.into_iter().filter_map(pid) {
            let _ = kill_process(pid, Signal::KILL);
        }
        thread::sleep(BETWEEN_LOOKS);
    }
}

fn pid(number: u32) -> Option<Pid> {
    i32::try_from(number).ok().and_then(Pid::from_raw)
}

fn processes() -> impl Iterator<Item = u32> {
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().to_string_lossy().parse().ok())
}
