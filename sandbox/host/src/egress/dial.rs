//! Connecting on a sandbox's behalf, from outside of it. A name is resolved once, and the connection goes to an address
//! that was looked at: no second answer of a name server can lead it elsewhere.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::address::{is_near, is_public};
use super::settings::Wanted;

const RESOLVE: Duration = Duration::from_secs(10);
/// Names that are being resolved at a time, the control plane's aside. A resolver that does not answer holds a thread
/// for longer than anybody waits for it.
const LOOKUPS: usize = 16;
/// Threads for them, with some left for the control plane's name.
pub const THREADS: usize = 2 * LOOKUPS;
const CONNECT: Duration = Duration::from_secs(10);
/// Addresses of one name that are tried.
const TRIES: usize = 4;

/// Why there is no connection.
#[derive(Debug)]
pub enum NoConnection {
    /// Every address of the name is private.
    Private,
    /// It could not be resolved or reached.
    Failed(io::Error),
}

/// Places for names that are being resolved.
pub fn lookups() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(LOOKUPS))
}

/// Connects to a host on the public internet.
pub async fn public(wanted: &Wanted, port: u16, lookups: &Arc<Semaphore>) -> Result<TcpStream, NoConnection> {
    let found: Vec<SocketAddr> = match wanted {
        Wanted::Name(name) => timeout(RESOLVE, resolve(name.clone(), port, lookups))
            .await
            .unwrap_or_else(|elapsed| Err(elapsed.into()))
            .map_err(NoConnection::Failed)?,
        Wanted::Address(address) => vec![(*address, port).into()],
    };
    let public: Vec<SocketAddr> = found.into_iter().filter(|at| reachable(at.ip())).collect();
    if public.is_empty() {
        return Err(NoConnection::Private);
    }
    first(&public).await.map_err(NoConnection::Failed)
}

fn reachable(address: IpAddr) -> bool {
    is_public(address) && !is_near(address)
}

/// Connects to wherever a host is: the control plane's.
pub async fn anywhere(host: &str, port: u16) -> io::Result<TcpStream> {
    let found: Vec<SocketAddr> = timeout(RESOLVE, lookup_host((host, port))).await??.collect();
    first(&found).await
}

/// Connects to one address.
pub async fn exactly(address: SocketAddr) -> io::Result<TcpStream> {
    first(&[address]).await
}

/// The place is kept until the resolver has answered, whoever still waits.
async fn resolve(host: String, port: u16, lookups: &Arc<Semaphore>) -> io::Result<Vec<SocketAddr>> {
    let place = Arc::clone(lookups).acquire_owned().await.map_err(io::Error::other)?;
    let found = spawn_blocking(move || {
        let found = (host.as_str(), port).to_socket_addrs().map(Iterator::collect);
        drop(place);
        found
    });
    found.await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

async fn first(addresses: &[SocketAddr]) -> io::Result<TcpStream> {
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses.iter().take(TRIES) {
        match timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                // Both ends send what they have at once; the small waits would add up.
                stream.set_nodelay(true)?;
                rustix::net::sockopt::set_socket_keepalive(&stream, true)?;
                return Ok(stream);
            }
            Ok(Err(error)) => last = error,
            Err(elapsed) => last = elapsed.into(),
        }
    }
    Err(last)
}
