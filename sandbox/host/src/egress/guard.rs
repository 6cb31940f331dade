//! The keeper's part: it holds the sockets of the sandbox's network and keeps a proxy running that serves them. While
//! there is none connections wait, and nothing leaves.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::pass;

/// First argument of a host's binary that is to be a proxy; the second is the sandbox's directory.
pub const PROXY: &str = "__egress";
/// A proxy that ends more often than this within [`WITHIN`] is given up.
const MOST_ENDS: usize = 20;
const WITHIN: Duration = Duration::from_mins(1);

/// The sockets, and the proxy that serves them.
pub struct Guard {
    sandbox: std::path::PathBuf,
    sockets: Vec<OwnedFd>,
    proxy: i32,
    /// Closed with us: the proxy ends then.
    line: UnixStream,
    ends: Vec<Instant>,
}

impl Guard {
    /// Takes the sockets that the sandbox's first step sends, and starts a proxy.
    pub fn new(sandbox: &Path, from: &UnixStream) -> io::Result<Self> {
        let sockets = pass::receive(from)?;
        let (proxy, line) = start(sandbox, &sockets)?;
        Ok(Self {
            sandbox: sandbox.to_path_buf(),
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
        (self.proxy, self.line) = start(&self.sandbox, &self.sockets)?;
        Ok(())
    }
}

fn start(sandbox: &Path, sockets: &[OwnedFd]) -> io::Result<(i32, UnixStream)> {
    let (line, its) = UnixStream::pair()?;
    pass::send(&line, sockets)?;
    let child = Command::new(std::env::current_exe()?)
        .arg(PROXY)
        .arg(sandbox)
        .env_clear()
        .stdin(Stdio::from(OwnedFd::from(its)))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .current_dir("/")
        .spawn()?;
    // The keeper waits for every child of its own; this handle is not needed for it.
    Ok((i32::try_from(child.id()).unwrap_or(i32::MAX), line))
}
