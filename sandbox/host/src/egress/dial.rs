//! Connecting on a sandbox's behalf, from outside of it. A name is resolved once, and the connection goes to an address
//! that was looked at: no second answer of a name server can lead it elsewhere.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::address::{is_own, is_public};
use super::settings::Wanted;

const RESOLVE: Duration = Duration::from_secs(10);
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

/// Connects to a host on the public internet.
pub async fn public(wanted: &Wanted, port: u16) -> Result<TcpStream, NoConnection> {
    let found: Vec<SocketAddr> = match wanted {
        Wanted::Name(name) => resolve(name, port).await.map_err(NoConnection::Failed)?,
        Wanted::Address(address) => vec![(*address, port).into()],
    };
    let public: Vec<SocketAddr> = found.into_iter().filter(|at| reachable(at.ip())).collect();
    if public.is_empty() {
        return Err(NoConnection::Private);
    }
    first(&public).await.map_err(NoConnection::Failed)
}

fn reachable(address: IpAddr) -> bool {
    is_public(address) && !is_own(address)
}

/// Connects to wherever a host is: the control plane's.
pub async fn anywhere(host: &str, port: u16) -> io::Result<TcpStream> {
    first(&resolve(host, port).await?).await
}

/// Connects to one address.
pub async fn exactly(address: SocketAddr) -> io::Result<TcpStream> {
    first(&[address]).await
}

async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    let found: Vec<SocketAddr> = timeout(RESOLVE, lookup_host((host, port))).await??.collect();
    if found.is_empty() {
        return Err(io::ErrorKind::NotFound.into());
    }
    Ok(found)
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
