//! Requests to the sandbox host (DESIGN §5): signing, sending with a time limit. Does not: know what the answers mean
//! for a session.

use std::time::Duration;

use errand_protocol::sandbox::{HostHealth, SIGNATURE_HEADER, TIMESTAMP_HEADER, signing_text};
use errand_protocol::time::Timestamp;
use worker::{Headers, Method, Request, RequestInit};

use super::{clock, crypto, rpc};
use crate::config::Config;

/// An answer of the host: its status and body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// Body.
    pub body: Vec<u8>,
}

/// Sends one signed request. `path` begins with a slash and includes the query.
///
/// # Errors
/// When the host cannot be reached or does not answer in time: the outcome is then unknown.
pub async fn call(config: &Config, method: Method, path: &str, body: &[u8], limit: Duration) -> worker::Result<Answer> {
    let host = &config.sandbox_host;
    let headers = Headers::new();
    for (name, value) in signature_headers(host.secret.expose(), method.as_ref(), path, body, clock::now()) {
        headers.set(name, &value)?;
    }
    headers.set("content-type", "application/json")?;
    let mut init = RequestInit::new();
    init.with_method(method).with_headers(headers);
    if !body.is_empty() {
        init.with_body(Some(worker::js_sys::Uint8Array::from(body).into()));
    }
    let request = Request::new_with_init(&format!("{}{path}", host.url), &init)?;
    let response = rpc::fetch(request, limit).await?;
    Ok(Answer {
        status: response.status_code(),
        body: rpc::in_time(rpc::bytes_of(&response), limit).await?,
    })
}

/// The host's health; unsigned.
///
/// # Errors
/// When it does not answer in time or answers something else.
pub async fn health(config: &Config, limit: Duration) -> worker::Result<HostHealth> {
    let request = Request::new(&format!("{}/v1/health", config.sandbox_host.url), Method::Get)?;
    let response = rpc::fetch(request, limit).await?;
    let status = response.status_code();
    let body = rpc::in_time(rpc::bytes_of(&response), limit).await?;
    super::json::read(&body)
        .map_err(|error| worker::Error::RustError(format!("the sandbox host answers {status}, and no health: {error}")))
}

fn signature_headers(
    secret: &str,
    method: &str,
    path: &str,
    body: &[u8],
    now: Timestamp,
) -> [(&'static str, String); 2] {
    let text = signing_text(now.millis(), method, path, &crypto::hex(&crypto::sha256(body)));
    let signature = crypto::hex(&crypto::hmac_sha256(secret.as_bytes(), text.as_bytes()));
    [
        (TIMESTAMP_HEADER, now.millis().to_string()),
        (SIGNATURE_HEADER, format!("v1={signature}")),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_covers_time_method_path_and_body() {
        let of = |method, path, body: &[u8], ms| {
            signature_headers("secret", method, path, body, Timestamp::from_millis(ms))[1]
                .1
                .clone()
        };
        let signature = of("PUT", "/v1/sandboxes/sbx-1", b"{}", 1_700_000_000_000);
        // Pinned: the host checks the same bytes.
        let text =
            "v1:1700000000000:PUT:/v1/sandboxes/sbx-1:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";
        let expected = crypto::hex(&crypto::hmac_sha256(b"secret", text.as_bytes()));
        assert_eq!(signature, format!("v1={expected}"));
        assert_ne!(signature, of("GET", "/v1/sandboxes/sbx-1", b"{}", 1_700_000_000_000));
        assert_ne!(signature, of("PUT", "/v1/sandboxes/sbx-2", b"{}", 1_700_000_000_000));
        assert_ne!(signature, of("PUT", "/v1/sandboxes/sbx-1", b"", 1_700_000_000_000));
        assert_ne!(signature, of("PUT", "/v1/sandboxes/sbx-1", b"{}", 1_700_000_000_001));
    }
}
