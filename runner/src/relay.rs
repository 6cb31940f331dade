//! The relay: a loopback address that the engine takes for its model provider, and git for the repository's host.
//!
//! It passes requests on to the control plane's proxies, with the current sandbox token in place of the relay's
//! key, and streams both ways unchanged. So the token is in no configuration and no environment. The engine's key
//! opens nothing but this relay. Whoever goes away before an answer is whole ends the request to the control plane too.

mod upstream;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::watch;

pub use self::upstream::Upstream;
use crate::ids;
use crate::state::RelayNote;

type Body = BoxBody<Bytes, hyper::Error>;

/// Headers of one connection only (RFC 9110 §7.6.1), and those that the next hop sets itself.
const NOT_PASSED: [HeaderName; 9] = [
    header::CONNECTION,
    header::EXPECT,
    header::HOST,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
];
/// Where Anthropic's and Google's clients put the key.
const API_KEYS: [HeaderName; 2] = [
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("x-goog-api-key"),
];

/// The relay's settings.
#[derive(Debug)]
pub struct Relay {
    /// To the control plane.
    pub upstream: Upstream,
    /// Its HTTP address.
    pub address: String,
    /// Paths that are passed on, with all below them.
    pub paths: BTreeSet<String>,
    /// The current sandbox token.
    pub token: watch::Receiver<String>,
}

/// Opens the relay's port: the noted one when it is free, so that a running engine finds it again.
///
/// # Errors
/// When no port can be opened.
pub fn open(noted: Option<RelayNote>) -> std::io::Result<(TcpListener, RelayNote)> {
    if let Some(note) = noted
        && let Ok(listener) = listen(note.port)
    {
        return Ok((listener, note));
    }
    let listener = listen(0)?;
    let note = RelayNote {
        port: listener.local_addr()?.port(),
        key: ids::secret()?,
    };
    Ok((listener, note))
}

fn listen(port: u16) -> std::io::Result<TcpListener> {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
}

impl Relay {
    /// Serves until the task is dropped.
    pub async fn serve(self, listener: TcpListener, key: String) {
        let relay = Arc::new(self);
        let key: Arc<str> = key.into();
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                continue;
            };
            let _ = stream.set_nodelay(true);
            let (relay, key) = (Arc::clone(&relay), Arc::clone(&key));
            tokio::spawn(async move {
                let service = service_fn(|request| {
                    let (relay, key) = (Arc::clone(&relay), Arc::clone(&key));
                    async move { Ok::<_, Infallible>(relay.pass(request, &key).await) }
                });
                let connection =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a connection to the relay broke");
                }
            });
        }
    }

    async fn pass(&self, request: Request<Incoming>, key: &str) -> Response<Body> {
        let path = request.uri().path();
        let known = self.paths.iter().any(|base| {
            path.strip_prefix(base.as_str())
                .is_some_and(|rest| rest.starts_with('/'))
        });
        if !known || path.contains("/..") {
            return refuse(StatusCode::NOT_FOUND, "there is nothing at this path");
        }
        if !carries(request.headers(), key) {
            return refuse(StatusCode::UNAUTHORIZED, "this is not the relay's key");
        }
        let target = request.uri().path_and_query().map_or(path, |target| target.as_str());
        let Ok(uri) = Uri::try_from(format!("{}{target}", self.address)) else {
            return refuse(StatusCode::BAD_REQUEST, "this address is not one");
        };
        let (parts, body) = request.into_parts();
        let mut asked = Request::new(body);
        *asked.method_mut() = parts.method;
        *asked.uri_mut() = uri;
        *asked.headers_mut() = self.headers(parts.headers);
        match self.upstream.ask(asked).await {
            Ok(mut response) => {
                drop_hop_headers(response.headers_mut());
                response.map(http_body_util::BodyExt::boxed)
            }
            Err(error) => {
                tracing::warn!(%error, "the control plane could not be reached");
                refuse(StatusCode::BAD_GATEWAY, "Errand's control plane does not answer")
            }
        }
    }

    fn headers(&self, mut headers: HeaderMap) -> HeaderMap {
        drop_hop_headers(&mut headers);
        let token = self.token.borrow().clone();
        if let Ok(mut bearer) = HeaderValue::try_from(format!("Bearer {token}")) {
            bearer.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, bearer);
        }
        for name in API_KEYS {
            if headers.contains_key(&name)
                && let Ok(mut value) = HeaderValue::try_from(token.as_str())
            {
                value.set_sensitive(true);
                headers.insert(name, value);
            }
        }
        headers
    }
}

fn drop_hop_headers(headers: &mut HeaderMap) {
    for name in NOT_PASSED {
        headers.remove(name);
    }
}

fn carries(headers: &HeaderMap, key: &str) -> bool {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    text(header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer ")) == Some(key)
        || API_KEYS.into_iter().any(|name| text(name) == Some(key))
}

fn refuse(status: StatusCode, message: &str) -> Response<Body> {
    let body = serde_json::json!({ "error": { "message": message, "type": "errand_relay" } }).to_string();
    let body = Full::new(Bytes::from(body)).map_err(|never| match never {}).boxed();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests;
