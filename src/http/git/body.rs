//! Bodies on their way to a host. Never more than a little of one is held: what is longer than that is passed on in the
//! pieces in which it comes.

use axum::body::Body;
use errand_git::push::{Push, Reader, Unreadable};
use errand_protocol::api::ErrorCode;
use futures_util::stream::{self, StreamExt};
use http_body_util::BodyExt;
use worker::js_sys::Uint8Array;
use worker::wasm_bindgen::{JsCast, JsValue};
use worker::web_sys::ReadableStream;

use crate::http::error::ApiError;

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

/// The payload of `head` and what follows it.
pub(super) async fn of(head: Vec<u8>, mut rest: Body) -> Result<Payload, ApiError> {
    let mut bytes = head;
    while bytes.len() <= WHOLE {
        match next(&mut rest).await {
            Some(chunk) => bytes.extend_from_slice(&chunk?),
            None => return Ok(Payload::Whole(bytes)),
        }
    }
    let first = stream::once(std::future::ready(Ok(chunk_of(&bytes))));
    let others = stream::unfold(Some(rest), |rest| async move {
        let mut rest = rest?;
        match next(&mut rest).await? {
            Ok(chunk) => Some((Ok(chunk_of(&chunk)), Some(rest))),
            // The host hears that it breaks off, not that it is over.
            Err(error) => Some((Err(JsValue::from_str(&error.message)), None)),
        }
    });
    let stream = wasm_streams::ReadableStream::from_stream(first.chain(others));
    Ok(Payload::Stream(stream.into_raw().unchecked_into()))
}

fn chunk_of(bytes: &[u8]) -> JsValue {
    Uint8Array::from(bytes).into()
}

/// The head of a push, its bytes (and maybe more), and the rest.
pub(super) async fn read_push(mut body: Body) -> Result<(Push, Vec<u8>, Body), ApiError> {
    let mut reader = Reader::default();
    while let Some(chunk) = next(&mut body).await {
        if let Some(push) = reader.feed(&chunk?).map_err(unreadable)? {
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
pub(super) async fn drain(mut rest: Body) {
    let mut length = 0;
    while length <= PATIENCE
        && let Some(Ok(chunk)) = next(&mut rest).await
    {
        length += chunk.len();
    }
}

async fn next(body: &mut Body) -> Option<Result<axum::body::Bytes, ApiError>> {
    loop {
        match body.frame().await? {
            Ok(frame) => {
                if let Ok(chunk) = frame.into_data() {
                    return Some(Ok(chunk));
                }
            }
            Err(_) => return Some(Err(ApiError::bad_request("the body could not be read to its end"))),
        }
    }
}
