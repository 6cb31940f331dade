//! Hibernatable WebSockets: attachments, sending, closing, pings that are answered without waking the object.

use errand_protocol::close::CloseCode;
use errand_protocol::time::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use worker::wasm_bindgen::JsCast;
use worker::worker_sys::WebSocketRequestResponsePair;
use worker::{Request, State, WebSocket};

use crate::http::error::ApiError;

/// From now on the platform answers the text `ping` with `pong` without waking the object.
pub fn answer_pings(state: &State) {
    if let Ok(pair) = WebSocketRequestResponsePair::new("ping", "pong") {
        state.set_websocket_auto_response(&pair);
    }
}

#[wasm_bindgen]
extern "C" {
    type PingedState;

    #[wasm_bindgen(method, catch, js_name = getWebSocketAutoResponseTimestamp)]
    fn auto_response_timestamp(this: &PingedState, ws: &JsValue) -> Result<JsValue, JsValue>;
}

/// When the platform last answered a ping on this socket.
pub fn last_ping(state: &State, ws: &WebSocket) -> Option<Timestamp> {
    let state: &PingedState = state.as_raw().unchecked_ref();
    let at = state.auto_response_timestamp(raw(ws)).ok()?;
    let date: worker::js_sys::Date = at.dyn_into().ok()?;
    #[expect(clippy::cast_possible_truncation, reason = "milliseconds since 1970 as a double")]
    Some(Timestamp::from_millis(date.get_time() as i64))
}

/// What was attached to the socket when it was accepted; it survives hibernation.
pub fn attachment<T: DeserializeOwned>(ws: &WebSocket) -> Option<T> {
    ws.deserialize_attachment().ok().flatten()
}

/// Whether both are the same socket.
pub fn same(one: &WebSocket, other: &WebSocket) -> bool {
    raw(one) == raw(other)
}

fn raw(ws: &WebSocket) -> &JsValue {
    let ws: &worker::web_sys::WebSocket = ws.as_ref();
    ws.as_ref()
}

/// A frame as text; `None` never happens with frames that are plain data.
pub fn to_text(frame: &impl Serialize) -> Option<String> {
    serde_json::to_string(frame).ok()
}

/// Sends a frame. A socket that is closed already is not an error: its close event is on its way.
pub fn send(ws: &WebSocket, frame: &impl Serialize) {
    if let Some(text) = to_text(frame) {
        send_text(ws, &text);
    }
}

/// Sends a text, like [`send`].
pub fn send_text(ws: &WebSocket, text: &str) {
    let _ = ws.send_with_str(text);
}

#[wasm_bindgen]
extern "C" {
    type AnySocket;

    #[wasm_bindgen(method, catch, js_name = send)]
    fn send_js(this: &AnySocket, text: &JsValue) -> Result<(), JsValue>;
}

/// Sends a text to several sockets, handing it over to JavaScript only once.
pub fn send_text_to_all<'a>(all: impl Iterator<Item = &'a WebSocket>, text: &str) {
    let text = JsValue::from_str(text);
    for ws in all {
        let _ = raw(ws).unchecked_ref::<AnySocket>().send_js(&text);
    }
}

/// Closes a socket and says why.
pub fn close(ws: &WebSocket, code: CloseCode) {
    let _ = ws.close(Some(code.code()), Some(format!("{code:?}")));
}

/// Answers the peer's close, which the platform leaves to us. Codes that may not be sent become 1000.
pub fn finish_close(ws: &WebSocket, code: usize, reason: &str) {
    let code = u16::try_from(code)
        .ok()
        .filter(|code| matches!(code, 1000 | 3000..=4999))
        .unwrap_or(1000);
    let _ = ws.close(Some(code), Some(reason));
}

/// Refuses a request that is not a WebSocket handshake.
///
/// # Errors
/// Bad request.
pub fn require_upgrade(request: &Request) -> Result<(), ApiError> {
    let upgrade = request.headers().get("upgrade")?.unwrap_or_default();
    if upgrade.eq_ignore_ascii_case("websocket") {
        Ok(())
    } else {
        Err(ApiError::bad_request("this address speaks WebSocket"))
    }
}
