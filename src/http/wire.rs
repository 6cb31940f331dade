//! Between the platform's requests and answers and those of the router: what is short is passed in one piece, what is
//! long as the platform's own stream; neither is pumped through our memory. Every request pays for this, so it
//! crosses to JavaScript as seldom as it can. Does not: limit or judge bodies (`json`).

use std::str::FromStr;

use axum::body::{Body, HttpBody};
use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body_util::BodyExt;
use worker::js_sys::{Array, Uint8Array};
use worker::send::SendWrapper;
use worker::wasm_bindgen::JsCast;
use worker::web_sys::{self, ReadableStream};
use worker::{AbortSignal, RequestInit, ResponseBody, ResponseBuilder, WebSocket};

use super::App;
use super::error::ApiError;

/// A body that the platform streams by itself, instead of the response's own: it is not copied through our memory, and
/// its length is known when it comes from R2.
#[derive(Clone)]
pub(crate) struct NativeBody(SendWrapper<ReadableStream>);

impl NativeBody {
    /// Of this stream.
    pub(crate) fn new(stream: ReadableStream) -> Self {
        Self(SendWrapper(stream))
    }
}

/// The body of a request that is large: the platform's own stream, which the request has in place of a body.
#[derive(Clone)]
pub(crate) struct Upload(SendWrapper<ReadableStream>);

impl Upload {
    /// What a request brought; [`None`] without a body.
    pub(crate) fn take(extensions: &mut Extensions) -> Option<ReadableStream> {
        extensions.remove::<Self>().map(|Self(stream)| stream.0)
    }
}

impl App {
    /// What the request was given on its way to the router.
    ///
    /// # Errors
    /// Internal when it was given nothing, which is a mistake of ours.
    pub(super) fn of(parts: &Parts) -> Result<Self, ApiError> {
        let app = parts.extensions.get::<Self>().cloned();
        app.ok_or_else(|| ApiError::internal("a request without what every handler knows"))
    }
}

impl<S: Sync> FromRequestParts<S> for App {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Self::of(parts)
    }
}

/// The request as the router wants it. Fails when its address or a header cannot be read.
pub(super) fn readable(raw: &web_sys::Request) -> worker::Result<http::Request<worker::Body>> {
    // The platform's bindings take a method that they do not know for GET: it is read from the request itself.
    let mut readable = http::Request::builder()
        .method(raw.method().as_str())
        .uri(raw.url())
        .body(worker::Body::empty())?;
    copy_headers(&raw.headers(), readable.headers_mut())?;
    let path = readable.uri().path();
    let large = ["/git/", "/runner/", "/llm/"].iter().any(|of| path.starts_with(of));
    let waits = path.starts_with("/llm/");
    match raw.body() {
        Some(body) if large => _ = readable.extensions_mut().insert(Upload(SendWrapper(body))),
        Some(body) => *readable.body_mut() = worker::Body::new(body),
        None => {}
    }
    if waits {
        readable.extensions_mut().insert(AbortSignal::from(raw.signal()));
    }
    Ok(readable)
}

/// One crossing for all of them, and two for each.
fn copy_headers(from: &web_sys::Headers, to: &mut HeaderMap) -> worker::Result<()> {
    for pair in Array::from(from).iter() {
        let pair: Array = pair.unchecked_into();
        let (name, value) = (pair.get(0).as_string(), pair.get(1).as_string());
        if let (Some(name), Some(value)) = (name, value) {
            to.append(HeaderName::from_str(&name)?, HeaderValue::from_str(&value)?);
        }
    }
    Ok(())
}

/// The router's answer as the platform sends it.
pub(super) async fn answer(response: http::Response<Body>) -> worker::Result<web_sys::Response> {
    let (mut parts, body) = response.into_parts();
    let mut init = ResponseBuilder::new()
        .with_status(parts.status.as_u16())
        .with_headers(headers_of(&parts.headers)?);
    if let Some(socket) = parts.extensions.remove::<WebSocket>() {
        init = init.with_websocket(socket);
    }
    let init = web_sys::ResponseInit::from(init);
    if let Some(NativeBody(stream)) = parts.extensions.remove::<NativeBody>() {
        return Ok(web_sys::Response::new_with_opt_readable_stream_and_init(
            Some(&stream.0),
            &init,
        )?);
    }
    if body.is_end_stream() {
        return Ok(web_sys::Response::new_with_opt_str_and_init(None, &init)?);
    }
    // Whole already: no handler of ours streams in any other way than by the platform.
    let whole = body.collect().await;
    let whole = whole
        .map_err(|error| worker::Error::RustError(error.to_string()))?
        .to_bytes();
    let bytes = Uint8Array::from(&*whole);
    Ok(web_sys::Response::new_with_opt_buffer_source_and_init(
        Some(&bytes),
        &init,
    )?)
}

fn headers_of(map: &HeaderMap) -> worker::Result<worker::Headers> {
    let headers = worker::Headers::new();
    for (name, value) in map {
        // Not only ASCII: what a client sends is passed on, for whoever judges it.
        let value = std::str::from_utf8(value.as_bytes());
        let value = value.map_err(|error| worker::Error::RustError(format!("header {name}: {error}")))?;
        headers.append(name.as_str(), value)?;
    }
    Ok(headers)
}

/// An object's answer as the router passes it on: a body stays the platform's stream.
///
/// # Errors
/// When a header cannot be read.
pub(super) fn passed_on(answer: worker::Response) -> worker::Result<http::Response<Body>> {
    let mut response = http::Response::new(Body::empty());
    *response.status_mut() = StatusCode::from_u16(answer.status_code())?;
    copy_headers(&answer.headers().0, response.headers_mut())?;
    if let ResponseBody::Stream(stream) = answer.body() {
        response.extensions_mut().insert(NativeBody::new(stream.clone()));
    }
    if let Some(socket) = answer.websocket() {
        response.extensions_mut().insert(socket);
    }
    Ok(response)
}

/// A request to an object.
///
/// # Errors
/// When the platform refuses the address.
pub(super) fn onward(
    url: &str,
    method: worker::Method,
    headers: &HeaderMap,
    body: &[u8],
) -> worker::Result<worker::Request> {
    let mut init = RequestInit::new();
    init.with_method(method).with_headers(headers_of(headers)?);
    if !body.is_empty() {
        init.with_body(Some(Uint8Array::from(body).into()));
    }
    worker::Request::new_with_init(url, &init)
}
