//! Connections to the control plane. While an answer is owed on one, its end is a reset: the control plane hears of
//! that at once and stops the call at the model's provider, where it takes a connection that is only closed for one
//! whose answer may still be read. The system ends the connections of a process that is killed in the same way.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::{Request, Response};
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustix::net::sockopt::set_socket_linger;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tower_service::Service;

type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;
type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// How long a connection may take to be made.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// Makes connections and uses them again.
#[derive(Debug, Clone)]
pub struct Upstream(Client<Connector, Incoming>);

impl Upstream {
    /// For the control plane at this address.
    ///
    /// # Errors
    /// When the system's certificates cannot be read.
    pub fn new(address: &str) -> io::Result<Self> {
        let config = ClientConfig::builder();
        // Without TLS the system's certificates need not be read, nor be there.
        let config = if address.starts_with("http://") {
            config.with_root_certificates(RootCertStore::empty())
        } else {
            config.try_with_platform_verifier().map_err(io::Error::other)?
        };
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_LIMIT));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(config.with_no_client_auth())
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .build(Connector(connector));
        Ok(Self(client))
    }

    /// Sends a request. Whoever drops the answer before its end resets its connection.
    pub(super) async fn ask(&self, request: Request<Incoming>) -> Result<Response<Answer>, Error> {
        let mut response = self.0.request(request).await?;
        let debt = response.extensions_mut().remove::<Account>();
        let debt = debt.map(|account| (account.written.load(Ordering::Acquire), account));
        Ok(response.map(|body| Answer { body, debt }))
    }
}

/// What of a connection's writes was answered: the next question may be on its way when the last answer is looked at.
#[derive(Debug, Clone, Default)]
struct Account {
    written: Arc<AtomicU64>,
    answered: Arc<AtomicU64>,
}

impl Account {
    fn write(&self) {
        self.written.fetch_add(1, Ordering::AcqRel);
    }

    fn owes(&self) -> bool {
        self.written.load(Ordering::Acquire) > self.answered.load(Ordering::Acquire)
    }
}

/// An answer's body, which knows when it is whole.
pub(super) struct Answer {
    body: Incoming,
    debt: Option<(u64, Account)>,
}

impl Answer {
    fn settle(&mut self) {
        if let Some((written, account)) = self.debt.take() {
            account.answered.fetch_max(written, Ordering::AcqRel);
        }
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if frame.is_none() || self.body.is_end_stream() {
            self.settle();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // An answer without a body is never read.
        if self.body.is_end_stream() {
            self.settle();
        }
    }
}

/// Makes [`Line`]s.
#[derive(Debug, Clone)]
struct Connector(HttpsConnector<HttpConnector>);

impl Service<Uri> for Connector {
    type Response = Line;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Line, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let connecting = self.0.call(to);
        Box::pin(async move {
            let stream = connecting.await?;
            tcp(&stream).set_zero_linger()?;
            let account = Account::default();
            Ok(Line { stream, account })
        })
    }
}

/// One connection. Its end is a reset unless it is dropped while nothing is owed.
struct Line {
    stream: Stream,
    account: Account,
}

fn tcp(stream: &Stream) -> &TcpStream {
    match stream {
        MaybeHttpsStream::Http(stream) => stream.inner(),
        MaybeHttpsStream::Https(stream) => stream.inner().get_ref().0.inner().inner(),
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if !self.account.owes() {
            let _ = set_socket_linger(tcp(&self.stream), None);
        }
    }
}

impl Connection for Line {
    fn connected(&self) -> Connected {
        self.stream.connected().extra(self.account.clone())
    }
}

impl Read for Line {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl Write for Line {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.account.write();
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.account.owes() {
            // Whoever was told of the end first might not look for the reset any more.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.account.write();
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }
}
