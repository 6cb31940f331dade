//! The proxy of one sandbox: a process of its own beside the keeper, outside of the sandbox. It answers the sandbox's
//! DNS queries, accepts its connections, and connects each to where it may go, or refuses it and says so.
//!
//! Bounded: connections, refusals that are being explained, and bytes on their way. Connections to the control plane
//! have places of their own, so that an agent which takes all others does not cut its runner off.

mod connection;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpStream, UdpSocket, UnixStream};
use tokio::sync::Semaphore;

use self::connection::serve;
use super::dial;
use super::names::Names;
use super::pass;
use super::refusals::Refusals;
use super::settings::{Settings, Wanted};
use crate::dirs::SandboxDir;

/// Connections of one sandbox at a time, besides those to the control plane.
pub const MOST_CONNECTIONS: usize = 512;
/// Connections to the control plane at a time.
const MOST_TO_CONTROL_PLANE: usize = 64;
/// Refusals that are being explained at a time; others are only cut off.
const MOST_REFUSALS: usize = 64;
/// How long to wait when a connection cannot be accepted (no file descriptors).
const AGAIN: Duration = Duration::from_millis(50);
/// Between two looks at whether the sandbox has ended, when there is no keeper to say so.
const LOOK: Duration = Duration::from_secs(1);
/// A query over UDP is never longer.
const QUERY: usize = 1500;

/// What the connections of a sandbox share.
struct Shared {
    settings: PathBuf,
    names: Mutex<Names>,
    refusals: Mutex<Refusals>,
    connections: Arc<Semaphore>,
    to_control_plane: Arc<Semaphore>,
    explained: Arc<Semaphore>,
    lookups: Arc<Semaphore>,
}

impl Shared {
    /// As they are now; `None` when they cannot be read: then nothing is allowed.
    fn settings(&self) -> Option<Settings> {
        serde_json::from_slice(&std::fs::read(&self.settings).ok()?).ok()
    }

    fn wanted(&self, address: IpAddr) -> Option<Wanted> {
        let IpAddr::V4(own) = address else {
            return Some(Wanted::Address(address));
        };
        if !Names::ours(own) {
            return Some(Wanted::Address(address));
        }
        let names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.name(own).map(|name| Wanted::Name(name.to_owned()))
    }
}

/// Serves the sandbox in `path` with the sockets that come on standard input, which is the keeper's line, until the
/// sandbox has ended.
pub fn run(path: PathBuf) -> io::Result<()> {
    let line = rustix::io::fcntl_dupfd_cloexec(std::io::stdin(), 3)?;
    let sockets = pass::receive(&line)?;
    let dir = SandboxDir::from_path(path).ok_or(io::ErrorKind::InvalidInput)?;
    let _ = more_files();
    let shared = Arc::new(Shared {
        settings: dir.egress_settings(),
        names: Mutex::new(Names::new(std::process::id().wrapping_mul(4099))),
        refusals: Mutex::new(Refusals::open(&dir.refusals())?),
        connections: Arc::new(Semaphore::new(MOST_CONNECTIONS)),
        to_control_plane: Arc::new(Semaphore::new(MOST_TO_CONTROL_PLANE)),
        explained: Arc::new(Semaphore::new(MOST_REFUSALS)),
        lookups: dial::lookups(),
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(dial::THREADS)
        .build()?;
    runtime.block_on(async {
        let mut sockets = sockets.into_iter();
        tokio::spawn(answer_names(datagrams(sockets.next())?, Arc::clone(&shared)));
        for socket in sockets {
            tokio::spawn(accept(listener(socket)?, Arc::clone(&shared)));
        }
        closed(line).await?;
        while dir.exit().is_none() && dir.path().exists() {
            tokio::time::sleep(LOOK).await;
        }
        io::Result::Ok(())
    })?;
    // Not waiting for a name that is being resolved.
    runtime.shutdown_background();
    Ok(())
}

/// Each connection takes two.
fn more_files() -> rustix::io::Result<()> {
    let most = getrlimit(Resource::Nofile).maximum;
    setrlimit(
        Resource::Nofile,
        Rlimit {
            current: most,
            maximum: most,
        },
    )
}

fn datagrams(socket: Option<OwnedFd>) -> io::Result<UdpSocket> {
    let socket = std::net::UdpSocket::from(socket.ok_or(io::ErrorKind::InvalidInput)?);
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
}

fn listener(socket: OwnedFd) -> io::Result<TcpListener> {
    let socket = std::net::TcpListener::from(socket);
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket)
}

/// Waits for the keeper's end.
async fn closed(line: OwnedFd) -> io::Result<()> {
    let line = std::os::unix::net::UnixStream::from(line);
    line.set_nonblocking(true)?;
    let line = UnixStream::from_std(line)?;
    loop {
        line.readable().await?;
        match line.try_read(&mut [0; 16]) {
            Ok(1..) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(0) | Err(_) => return Ok(()),
        }
    }
}

async fn answer_names(socket: UdpSocket, shared: Arc<Shared>) {
    let mut query = [0; QUERY];
    loop {
        let Ok((count, from)) = socket.recv_from(&mut query).await else {
            // What comes as an error here is about an answer that nobody waited for.
            tokio::task::yield_now().await;
            continue;
        };
        let answer = {
            let mut names = shared.names.lock().unwrap_or_else(PoisonError::into_inner);
            query.get(..count).and_then(|query| names.answer(query))
        };
        if let Some(answer) = answer {
            let _ = socket.try_send_to(&answer, from);
        }
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => drop(tokio::spawn(serve(stream, Arc::clone(&shared)))),
            Err(_) => tokio::time::sleep(AGAIN).await,
        }
    }
}

/// Where the sandbox's program meant to connect to, before it was led here.
fn destination(stream: &TcpStream) -> Option<SocketAddr> {
    let here = stream.local_addr().ok()?;
    Some(original(stream).unwrap_or(here))
}

#[cfg(target_os = "linux")]
fn original(stream: &TcpStream) -> Option<SocketAddr> {
    rustix::net::sockopt::ip_original_dst(stream).ok().map(SocketAddr::V4)
}

#[cfg(not(target_os = "linux"))]
fn original(_stream: &TcpStream) -> Option<SocketAddr> {
    None
}
