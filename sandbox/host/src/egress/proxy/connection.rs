//! One connection: decided, connected, copied; or refused in words that the program which made it can show.

use std::io;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use errand_protocol::egress::{EgressReason, EgressRefusal};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{sleep, timeout};

use super::{Shared, destination};
use crate::egress::dial::{self, NoConnection};
use crate::egress::settings::{Settings, Verdict, Wanted};
use crate::egress::tls::{self, Hello};

/// Bytes on their way, at most, in each direction of a connection.
const BUFFER: usize = 32 * 1024;
/// A client that waits for the server to speak first is only cut off when it is refused.
const FIRST_WORDS: Duration = Duration::from_millis(700);
/// A client may take so long to say whom it means once it began to.
const HELLO: Duration = Duration::from_secs(10);
/// Between two looks at a first message of which more is to come.
const LOOK: Duration = Duration::from_millis(5);

/// Why a connection comes to nothing.
enum Failure {
    Refused(Wanted, EgressReason),
    Unreachable(io::Error),
    /// Too many, or the settings cannot be read.
    Closed,
}

/// Serves one connection to its end.
pub(super) async fn serve(mut client: TcpStream, shared: Arc<Shared>) {
    let _ = client.set_nodelay(true);
    let Some(meant) = destination(&client) else { return };
    let port = meant.port();
    let Some(wanted) = shared.wanted(meant.ip()) else {
        // The address of a name that was given away too long ago, or by an earlier proxy: the program asks again.
        return abort(&client);
    };
    let failure = match connect(&wanted, port, &shared).await {
        Ok((mut server, strict, _place)) => {
            match copy(&mut client, &mut server, strict.as_ref(), &wanted, port).await {
                Ok(()) => return,
                Err(failure) => {
                    // The server hears of a client that broke off as it would without us.
                    if matches!(failure, Failure::Closed) {
                        abort(&server);
                    }
                    failure
                }
            }
        }
        Err(failure) => failure,
    };
    let named = |wanted: &Wanted| format!("{wanted}:{port}");
    match failure {
        Failure::Closed => abort(&client),
        Failure::Unreachable(error) => {
            explain(
                client,
                &shared,
                &unreachable(&named(&wanted), &error),
                "502 Bad Gateway",
                &tls::INTERNAL_ERROR,
            )
            .await;
        }
        Failure::Refused(whom, reason) => {
            let refusal = EgressRefusal {
                host: whom.to_string(),
                port,
                reason,
            };
            shared
                .refusals
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .tell(&refusal, Instant::now());
            explain(
                client,
                &shared,
                &refused(&named(&whom), reason),
                "403 Forbidden",
                &tls::ACCESS_DENIED,
            )
            .await;
        }
    }
}

/// The server, the settings when its name must be seen to be the one that was decided on, and a place.
type Connected = (TcpStream, Option<Settings>, OwnedSemaphorePermit);

async fn connect(wanted: &Wanted, port: u16, shared: &Shared) -> Result<Connected, Failure> {
    let settings = shared.settings().ok_or(Failure::Closed)?;
    let verdict = settings.decide(wanted, port);
    let places = if matches!(verdict, Verdict::ControlPlane(_)) {
        &shared.to_control_plane
    } else {
        &shared.connections
    };
    let place = Arc::clone(places).try_acquire_owned().map_err(|_| Failure::Closed)?;
    let (server, strict) = match verdict {
        Verdict::Refused(reason) => return Err(Failure::Refused(wanted.clone(), reason)),
        Verdict::ControlPlane(origin) => (dial::anywhere(&origin.host, origin.port).await, None),
        Verdict::Published(address) => (dial::exactly(address).await, Some(settings)),
        Verdict::Public => match dial::public(wanted, port, &shared.lookups).await {
            Err(NoConnection::Private) => return Err(Failure::Refused(wanted.clone(), EgressReason::Private)),
            Err(NoConnection::Failed(error)) => (Err(error), None),
            Ok(server) => (Ok(server), Some(settings)),
        },
    };
    Ok((server.map_err(Failure::Unreachable)?, strict, place))
}

/// Copies both ways until both ends are done. With `strict`, a client that speaks TLS must mean a server that is
/// allowed: one address may serve many names.
async fn copy(
    client: &mut TcpStream,
    server: &mut TcpStream,
    strict: Option<&Settings>,
    wanted: &Wanted,
    port: u16,
) -> Result<(), Failure> {
    let (mut from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let up = async {
        if let (Some(settings), Wanted::Name(name)) = (strict, wanted) {
            check_server_name(&mut from_client, settings, name, port).await?;
        }
        pour(from_client, to_server).await.map_err(|_| Failure::Closed)
    };
    let down = async { pour(from_server, to_client).await.map_err(|_| Failure::Closed) };
    tokio::try_join!(up, down).map(drop)
}

async fn pour(mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> io::Result<()> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return to.shutdown().await;
        }
        to.write_all(buffer.get(..count).unwrap_or_default()).await?;
    }
}

async fn check_server_name(
    client: &mut ReadHalf<'_>,
    settings: &Settings,
    name: &str,
    port: u16,
) -> Result<(), Failure> {
    let until = Instant::now() + HELLO;
    let mut bytes = vec![0; tls::LONGEST];
    loop {
        let count = client.peek(&mut bytes).await.map_err(|_| Failure::Closed)?;
        let seen = bytes.get(..count).unwrap_or_default();
        match tls::hello(seen) {
            // What begins as TLS and cannot be read is not let through: somebody else may be able to read it.
            Hello::Other if tls::begins(seen) => return Err(Failure::Closed),
            Hello::Other | Hello::Server(None) => return Ok(()),
            Hello::Server(Some(server)) if server == name || settings.allows(&server, port) => return Ok(()),
            Hello::Server(Some(server)) => {
                return Err(Failure::Refused(Wanted::Name(server), EgressReason::NotAllowed));
            }
            Hello::More if count == 0 => return Ok(()),
            Hello::More if count == bytes.len() || Instant::now() > until => return Err(Failure::Closed),
            Hello::More => sleep(LOOK).await,
        }
    }
}

/// Says it in the protocol that the client speaks, as far as we know it: TLS, HTTP, or not at all.
async fn explain(mut client: TcpStream, shared: &Shared, words: &str, status: &str, alert: &[u8]) {
    let Ok(_place) = Arc::clone(&shared.explained).try_acquire_owned() else {
        return abort(&client);
    };
    let mut first = [0; 16];
    let Ok(Ok(count @ 1..)) = timeout(FIRST_WORDS, client.peek(&mut first)).await else {
        return abort(&client);
    };
    let said = if tls::begins(first.get(..count).unwrap_or_default()) {
        alert.to_vec()
    } else {
        let length = words.len();
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{words}"
        )
        .into_bytes()
    };
    let last_words = async {
        client.write_all(&said).await?;
        client.shutdown().await?;
        // Closing with unread bytes would take back what was said.
        let mut rest = [0; 4096];
        while client.read(&mut rest).await? > 0 {}
        io::Result::Ok(())
    };
    let _ = timeout(FIRST_WORDS, last_words).await;
}

fn refused(host: &str, reason: EgressReason) -> String {
    let why = match reason {
        EgressReason::NotAllowed => "its egress policy does not name this host. A person can allow it in the session",
        EgressReason::Address => "its egress policy goes by names, and this is an address",
        EgressReason::Private => "it is not on the public internet",
    };
    format!("Errand: this sandbox may not reach {host}: {why}.\n")
}

fn unreachable(host: &str, error: &io::Error) -> String {
    format!("Errand: {host} could not be reached from this sandbox's host: {error}\n")
}

/// Closes so that the program notices at once.
fn abort(client: &TcpStream) {
    let _ = rustix::net::sockopt::set_socket_linger(client, Some(Duration::ZERO));
}
