//! The keeper's part: it holds the sockets of the sandbox's network and keeps a proxy running that serves them. While
//! there is none connections wait, and nothing leaves. A keeper that is killed leaves the proxy running, as it leaves the
//! runner: the next host that looks clears both up.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::pass;
use crate::dirs::SandboxDir;
use crate::processes::STATE;

/// First argument of a host's binary that is to be a proxy; the second is the sandbox's directory.
pub const PROXY: &str = "__egress";
/// Our own program, also when another version has taken its place on the disk since we were started.
const SELF: &str = "/proc/self/exe";
/// A proxy that ends more often than this within [`WITHIN`] is given up.
const MOST_ENDS: usize = 20;
const WITHIN: Duration = Duration::from_mins(1);

/// The sockets, and the proxy that serves them.
pub struct Guard {
    dir: SandboxDir,
    sockets: Vec<OwnedFd>,
    proxy: i32,
    /// Closed with us, which tells the proxy that nobody looks after it any more.
    line: UnixStream,
    ends: Vec<Instant>,
}

impl Guard {
    /// Takes the sockets that the sandbox's first step sends, and starts a proxy.
    pub fn new(dir: &SandboxDir, from: &UnixStream) -> io::Result<Self> {
        let sockets = pass::receive(from)?;
        let (proxy, line) = start(dir, &sockets)?;
        Ok(Self {
            dir: dir.clone(),
            sockets,
            proxy,
            line,
            ends: Vec::new(),
        })
    }

    /// Starts another proxy if it was this one's process that ended. An error when that happens too often.
    pub fn ended(&mut self, pid: i32) -> io::Result<()> {
        if pid != self.proxy {
            return Ok(());
        }
        self.ends.retain(|end| end.elapsed() < WITHIN);
        self.ends.push(Instant::now());
        if self.ends.len() > MOST_ENDS {
            return Err(io::Error::other("it ends again and again"));
        }
        (self.proxy, self.line) = start(&self.dir, &self.sockets)?;
        Ok(())
    }
}

fn start(dir: &SandboxDir, sockets: &[OwnedFd]) -> io::Result<(i32, UnixStream)> {
    let (line, its) = UnixStream::pair()?;
    pass::send(&line, sockets)?;
    let child = Command::new(SELF)
        .arg0("errand-host")
        .arg(PROXY)
        .arg(dir.path())
        .env_clear()
        // Without the keeper it is known to be the sandbox's by this.
        .env(STATE, dir.state())
        .stdin(Stdio::from(OwnedFd::from(its)))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .current_dir("/")
        .spawn()?;
    // The keeper waits for every child of its own; this handle is not needed for it.
    Ok((i32::try_from(child.id()).unwrap_or(i32::MAX), line))
}
