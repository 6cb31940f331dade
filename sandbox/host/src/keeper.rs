//! A sandbox's keeper: a process of its own, started by the host and independent of it afterwards. It starts the
//! runner, keeps the log within bounds, waits for the end, ends what the runner left behind and records the cause.
//!
//! There is at most one keeper per sandbox (a file lock), and it starts a sandbox at most once.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use errand_protocol::runner::{ENV_TOKEN, ENV_TOKEN_ON_STDIN};
use rustix::process::{Resource, Rlimit, WaitOptions, WaitStatus};

use crate::cgroup;
use crate::dirs::{Exit, KeeperRecord, Launch, SandboxDir};
use crate::egress::guard::{self, Guard};
use crate::egress::{namespace, pass, proxy, sockets};
use crate::processes;

/// First argument of a host's binary that is to be a keeper; the second is the sandbox's directory.
pub const KEEP: &str = "__keep";
/// First argument of the step between the keeper and the sandbox's first program.
pub const EXEC: &str = "__exec";

/// First argument of the step that only tries an own network; a program and its arguments follow.
pub const PROBE: &str = "__probe";

const LOG_PART: u64 = 2_500_000;
const SWEEP: Duration = Duration::from_secs(10);
/// For so long, and so often, it is tried to record the end on a full disk.
const UNRECORDED: Duration = Duration::from_mins(1);
const AGAIN: Duration = Duration::from_millis(500);
/// The exit code of [`exec`] when it could not prepare the process.
const NOT_PREPARED: i32 = 125;

/// Keeps the sandbox in `path` until its end.
pub fn keep(path: PathBuf) -> io::Result<()> {
    let dir = SandboxDir::from_path(path).ok_or(io::ErrorKind::InvalidInput)?;
    // Away from the host's terminal and process group.
    rustix::process::setsid()?;
    let Some(lock) = dir.try_lock()? else {
        return Ok(());
    };
    // Held until the process is gone, not until this function returns: whoever gets it next finds no keeper.
    std::mem::forget(lock);
    if dir.exit().is_some() || dir.stopping().is_some() || dir.deleting() || dir.started() {
        return Ok(());
    }
    let pid = rustix::process::getpid().as_raw_pid();
    let start = processes::start_time(pid).unwrap_or_default();
    dir.set_keeper(&KeeperRecord { pid, start })?;
    adopt_orphans()?;
    let exit = match start_and_wait(&dir) {
        Ok(exit) => exit,
        Err(error) => Exit {
            failed: true,
            cause: format!("it could not be started: {error}"),
        },
    };
    processes::kill_all(&dir, SWEEP);
    reap_orphans();
    cgroup::remove(&dir.cgroups());
    record(&dir, &dir.stopping().unwrap_or(exit))
}

/// Writes the end down; again and again for a while when the disk is full, because nobody else knows the cause.
fn record(dir: &SandboxDir, exit: &Exit) -> io::Result<()> {
    let mut result = dir.set_exit(exit);
    processes::wait_until(UNRECORDED, || {
        if result.is_err() && dir.path().exists() {
            std::thread::sleep(AGAIN);
            result = dir.set_exit(exit);
        }
        result.is_ok() || !dir.path().exists()
    });
    result
}

fn start_and_wait(dir: &SandboxDir) -> io::Result<Exit> {
    let launch = dir.launch().ok_or(io::ErrorKind::NotFound)?;
    let (reader, writer) = io::pipe()?;
    let (line, its_line) = UnixStream::pair()?;
    let child = Command::new(std::env::current_exe()?)
        .arg(EXEC)
        .arg(dir.path())
        .env_clear()
        .stdin(Stdio::from(OwnedFd::from(its_line)))
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .spawn()?;
    dir.set_started()?;
    let log = dir.path().join("runner.log");
    let copied = log.clone();
    // Ends when the last process of the sandbox has closed its output.
    std::thread::spawn(move || copy_bounded(reader, &copied));
    // A first step that fails sends nothing, and its end says why.
    let mut guard = launch.network.as_ref().and_then(|_| Guard::new(dir, &line).ok());
    let end = wait_for(i32::try_from(child.id()).unwrap_or(i32::MAX), guard.as_mut())?;
    processes::kill_all(dir, SWEEP);
    Ok(match end {
        End::Program(status) => describe(status, &launch, &log),
        End::Proxy(error) => Exit {
            failed: false,
            cause: format!("its network's proxy could not be kept running: {error}"),
        },
    })
}

/// What ended a sandbox.
enum End {
    /// Its first program.
    Program(WaitStatus),
    /// Its way out.
    Proxy(io::Error),
}

/// Waits for the child, and reaps whatever orphan ends meanwhile; the proxy is started again.
fn wait_for(child: i32, mut guard: Option<&mut Guard>) -> io::Result<End> {
    loop {
        match rustix::process::wait(WaitOptions::empty()) {
            Ok(Some((pid, status))) if pid.as_raw_pid() == child => return Ok(End::Program(status)),
            Ok(Some((pid, _))) => {
                if let Some(Err(error)) = guard.as_mut().map(|guard| guard.ended(pid.as_raw_pid())) {
                    return Ok(End::Proxy(error));
                }
            }
            Ok(None) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Takes the results of the killed orphans, which are ours to take; not every init does it after us.
fn reap_orphans() {
    processes::wait_until(Duration::from_secs(1), || {
        matches!(
            rustix::process::wait(WaitOptions::NOHANG),
            Err(rustix::io::Errno::CHILD)
        )
    });
}

/// The cause in words. bubblewrap says "128 + signal" for a program that a signal ended.
fn describe(status: WaitStatus, launch: &Launch, log: &Path) -> Exit {
    let code = status.exit_status();
    let signal = status
        .terminating_signal()
        .or_else(|| code.filter(|code| *code > 128).map(|code| code - 128));
    let last_line = last_line(log);
    if code == Some(NOT_PREPARED) || (code == Some(1) && last_line.starts_with("bwrap: ")) {
        return Exit {
            failed: true,
            cause: format!("it could not be started: {last_line}"),
        };
    }
    let cause = match (signal, code) {
        (Some(9), _) if cgroup::ran_out_of_memory(&launch.cgroups) => {
            format!(
                "the runner was ended because the sandbox used all of its {} MiB of memory",
                launch.memory_mib
            )
        }
        (Some(signal), _) => format!("the runner was ended by signal {signal}"),
        (None, Some(0)) => "the runner ended by itself".to_owned(),
        (None, code) => format!("the runner ended with code {}: {last_line}", code.unwrap_or(-1)),
    };
    Exit { failed: false, cause }
}

fn last_line(log: &Path) -> String {
    // The log's thread may still be writing the last bytes.
    std::thread::sleep(Duration::from_millis(50));
    let text = std::fs::read(log)
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .unwrap_or_default();
    let line = text
        .lines()
        .rfind(|line| !line.trim().is_empty())
        .unwrap_or("no output");
    let said = said(line).unwrap_or_else(|| line.to_owned());
    said.chars().filter(|c| !c.is_control()).take(300).collect()
}

/// What a line of the runner's log says, which is JSON for programs.
fn said(line: &str) -> Option<String> {
    let entry: serde_json::Value = serde_json::from_str(line).ok()?;
    let fields = entry.get("fields")?;
    let text = |name: &str| fields.get(name).and_then(serde_json::Value::as_str);
    let message = text("message")?;
    Some(text("error").map_or_else(|| message.to_owned(), |error| format!("{message}: {error}")))
}

/// Copies into the log; a full part becomes the older one, which it replaces.
fn copy_bounded(mut from: io::PipeReader, log: &Path) {
    let mut buffer = vec![0; 16 * 1024];
    let mut written = 0;
    let mut file = None;
    while let Ok(count @ 1..) = from.read(&mut buffer) {
        if written > LOG_PART {
            let _ = std::fs::rename(log, log.with_extension("log.1"));
            (file, written) = (None, 0);
        }
        if file.is_none() {
            file = open_log(log).ok();
        }
        // A log that cannot be written (a full disk) must not block the runner: read on.
        if let (Some(file), Some(bytes)) = (&mut file, buffer.get(..count)) {
            let _ = file.write_all(bytes);
        }
        written += count as u64;
    }
}

fn open_log(log: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).mode(0o600).open(log)
}

/// Joins the sandbox's cgroups, enters its network, then becomes its first program. Returns only when that failed.
/// Standard input is the keeper's line.
pub fn exec(path: PathBuf) -> io::Error {
    let Some(launch) = SandboxDir::from_path(path).and_then(|dir| dir.launch()) else {
        return io::Error::other("no launch record");
    };
    for group in &launch.cgroups {
        if let Err(error) = std::fs::write(group.join("cgroup.procs"), "0") {
            return io::Error::other(format!("cannot join {}: {error}", group.display()));
        }
    }
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    if let Err(error) =
        rustix::process::setrlimit(Resource::Core, none).and_then(|()| rustix::process::setsid().map(drop))
    {
        return error.into();
    }
    if let Some(network) = &launch.network
        && let Err(error) = enter(&network.listen)
    {
        return error;
    }
    let mut words = launch.argv.iter();
    let Some(program) = words.next() else {
        return io::ErrorKind::InvalidInput.into();
    };
    let mut command = Command::new(program);
    command
        .args(words)
        .env_clear()
        .envs(&launch.env)
        .stdin(Stdio::null())
        .current_dir(&launch.cwd);
    if let Some(token) = launch.env.get(ENV_TOKEN)
        && let Err(error) = hand_over(&mut command, token)
    {
        return error;
    }
    command.exec()
}

/// Enters a network of the sandbox's own and gives the keeper its sockets.
fn enter(listen: &[std::net::SocketAddr]) -> io::Result<()> {
    let line = UnixStream::from(rustix::io::fcntl_dupfd_cloexec(io::stdin(), 3)?);
    pass::send(&line, &namespace::enter(listen)?)?;
    sockets::restrict()
}

/// Enters a network of its own and becomes the program in it: whether that works is to be found out.
fn probe(words: &[String]) -> io::Error {
    let Some((program, arguments)) = words.split_first() else {
        return io::ErrorKind::InvalidInput.into();
    };
    match namespace::enter(&[]) {
        Err(error) => error,
        Ok(_sockets) => match sockets::restrict() {
            Err(error) => error,
            Ok(()) => Command::new(program).args(arguments).exec(),
        },
    }
}

/// Gives the token on standard input: bubblewrap stays as the sandbox's first process, and what stands in its
/// environment could be read inside.
fn hand_over(command: &mut Command, token: &str) -> io::Result<()> {
    let (reader, mut writer) = io::pipe()?;
    writer.write_all(token.as_bytes())?;
    command.env_remove(ENV_TOKEN).env(ENV_TOKEN_ON_STDIN, "1").stdin(reader);
    Ok(())
}

/// Runs one of the steps beside the host itself when the command line asks for it; the exit code then.
pub fn run_step(args: &[String]) -> Option<i32> {
    let [_, step, path, rest @ ..] = args else { return None };
    let failed = |error: io::Error| {
        let _ = writeln!(io::stderr(), "{error}");
        Some(NOT_PREPARED)
    };
    match (step.as_str(), rest) {
        (KEEP, []) => Some(i32::from(keep(PathBuf::from(path)).is_err())),
        (EXEC, []) => failed(exec(PathBuf::from(path))),
        (guard::PROXY, []) => Some(i32::from(proxy::run(PathBuf::from(path)).is_err())),
        (PROBE, _) => failed(probe(args.get(2..).unwrap_or_default())),
        _ => None,
    }
}

/// Processes whose parent ends become ours, so that none gets out of sight.
fn adopt_orphans() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_child_subreaper(rustix::process::Pid::from_raw(1))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_of_the_runners_log_is_told_in_its_words() {
        let line = r#"{"timestamp":"…","level":"ERROR","fields":{"message":"the runner cannot go on","error":"the disk is full"},"target":"x"}"#;
        assert_eq!(said(line).as_deref(), Some("the runner cannot go on: the disk is full"));
        assert_eq!(said(r#"{"fields":{"message":"bye"}}"#).as_deref(), Some("bye"));
        assert_eq!(said("plain text"), None);
    }

    #[test]
    fn a_log_keeps_its_newest_part_within_bounds() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("runner.log");
        let (reader, mut writer) = io::pipe().unwrap();
        let copied = log.clone();
        let thread = std::thread::spawn(move || copy_bounded(reader, &copied));
        let line = [b"x".repeat(999), b"\n".to_vec()].concat();
        for _ in 0..9_000 {
            writer.write_all(&line).unwrap();
        }
        writer.write_all(b"the last line\n").unwrap();
        drop(writer);
        thread.join().unwrap();
        let size = |name: &str| std::fs::metadata(dir.path().join(name)).map(|m| m.len()).unwrap();
        assert!(size("runner.log") + size("runner.log.1") < 5_100_000);
        assert_eq!(last_line(&log), "the last line");
    }
}
