//! Bodies on their way to a host. Never more than a little of one is held: what is longer than that the platform passes on
//! by itself.

use errand_git::push::{Push, Reader, Unreadable};
use errand_protocol::api::ErrorCode;
use http::header::CONTENT_ENCODING;
use http::request::Parts;
use worker::web_sys::ReadableStream;

use crate::http::error::ApiError;
use crate::http::{App, Upload};
use crate::platform::streams::Source;

/// A body up to this size is sent with its length, which some servers want.
const WHOLE: usize = 1024 * 1024;
/// So much of a refused push is taken in and thrown away: a client that is cut off while it sends sees a broken
/// connection instead of the reason.
const PATIENCE: usize = 128 * 1024 * 1024;

/// What is sent.
#[derive(Debug)]
pub(super) enum Payload {
    /// Nothing.
    None,
    /// All of it is here.
    Whole(Vec<u8>),
    /// It comes.
    Stream(ReadableStream),
}

/// A body that comes, or none.
#[derive(Debug)]
pub(super) struct Incoming(Option<Source>);

impl Incoming {
    /// As it was sent.
    pub(super) fn of(parts: &mut Parts) -> Self {
        Self(Upload::take(&mut parts.extensions).map(Source::new))
    }

    /// Of a push, which is read as it passes: from here on it is not compressed.
    pub(super) fn readable(parts: &mut Parts) -> Result<Self, ApiError> {
        let Self(source) = Self::of(parts);
        let zipped = parts.headers.remove(CONTENT_ENCODING).is_some_and(|how| how == "gzip");
        let source = match source {
            Some(source) if zipped => Some(source.unzipped().map_err(worker::Error::from)?),
            other => other,
        };
        Ok(Self(source))
    }

    async fn next(&mut self) -> Result<Option<Vec<u8>>, ApiError> {
        let Some(source) = &mut self.0 else { return Ok(None) };
        let broken = |_| ApiError::bad_request("the body could not be read to its end");
        source.next().await.map_err(broken)
    }
}

/// The payload of `head` and what follows it.
pub(super) async fn of(app: &App, head: Vec<u8>, mut rest: Incoming) -> Result<Payload, ApiError> {
    let mut bytes = head;
    while bytes.len() <= WHOLE {
        match rest.next().await? {
            Some(chunk) => bytes.extend_from_slice(&chunk),
            None => return Ok(Payload::Whole(bytes)),
        }
    }
    let Some(source) = rest.0 else {
        return Ok(Payload::Whole(bytes));
    };
    let stream = source.behind(&bytes, &app.context).map_err(worker::Error::from)?;
    Ok(Payload::Stream(stream))
}

/// The head of a push, its bytes (and maybe more), and the rest.
pub(super) async fn read_push(mut body: Incoming) -> Result<(Push, Vec<u8>, Incoming), ApiError> {
    let mut reader = Reader::default();
    while let Some(chunk) = body.next().await? {
        if let Some(push) = reader.feed(&chunk).map_err(unreadable)? {
            return Ok((push, reader.into_bytes(), body));
        }
    }
    Err(ApiError::bad_request("the push breaks off before its pack"))
}

fn unreadable(why: Unreadable) -> ApiError {
    let code = match why {
        Unreadable::Malformed => ErrorCode::BadRequest,
        Unreadable::TooLong => ErrorCode::TooLarge,
        Unreadable::Signed => ErrorCode::Forbidden,
    };
    ApiError::new(code, why.to_string())
}

/// Takes in what is left, within bounds.
pub(super) async fn drain(mut rest: Incoming) {
    let mut length = 0;
    while length <= PATIENCE
        && let Ok(Some(chunk)) = rest.next().await
    {
        length += chunk.len();
    }
}
