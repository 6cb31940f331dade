//! What is sent to a provider: to which of its addresses, with which of the engine's headers, and the key in its place.

use errand_ledger::Wire;
use errand_protocol::runner::Dialect;
use http::HeaderMap;
use worker::{Headers, Method, RequestInit, RequestRedirect};

use crate::config::{ModelConfig, Secret};
use crate::http::error::ApiError;

/// What of the engine's headers the provider gets to see.
const SENT: [&str; 5] = [
    "content-type",
    "accept",
    "anthropic-version",
    "anthropic-beta",
    "user-agent",
];

/// An address that is relayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint<'p> {
    /// What is appended to a provider's base address.
    pub(super) path: &'p str,
    /// With this query.
    pub(super) query: &'static str,
    /// The format of question and answer.
    pub(super) wire: Wire,
    /// The model, where the address names it.
    pub(super) model: Option<&'p str>,
}

/// The endpoint of a conversation at this path and query, if it is one.
pub(super) fn endpoint<'p>(dialect: Dialect, path: &'p str, query: Option<&str>) -> Option<Endpoint<'p>> {
    let path = path.strip_prefix("v1/").unwrap_or(path);
    let plain = |wire| Endpoint {
        path,
        query: "",
        wire,
        model: None,
    };
    match (dialect, path) {
        (Dialect::Google, path) => google(path, query),
        (Dialect::Openai | Dialect::Responses | Dialect::Anthropic, "chat/completions") => {
            Some(plain(Wire::OpenAiChat))
        }
        (Dialect::Openai | Dialect::Responses | Dialect::Anthropic, "responses") => Some(plain(Wire::OpenAiResponses)),
        (Dialect::Openai | Dialect::Responses | Dialect::Anthropic, "messages") => Some(plain(Wire::AnthropicMessages)),
        (Dialect::Openai | Dialect::Responses | Dialect::Anthropic, _) => None,
    }
}

fn google<'p>(path: &'p str, query: Option<&str>) -> Option<Endpoint<'p>> {
    let (model, method) = path.strip_prefix("models/")?.split_once(':')?;
    let named = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
    let well_formed = !model.is_empty() && !model.starts_with('.') && model.bytes().all(named);
    let streamed = match method {
        "streamGenerateContent" => true,
        "generateContent" => false,
        _ => return None,
    };
    // The rest of the query could hold a key of the caller's.
    let as_events = streamed && query.is_some_and(|query| query.split('&').any(|pair| pair == "alt=sse"));
    well_formed.then_some(Endpoint {
        path,
        query: if as_events { "?alt=sse" } else { "" },
        wire: Wire::GoogleGenerate,
        model: Some(model),
    })
}

/// The request to the provider.
pub(super) fn request(
    known: &ModelConfig,
    key: Option<&Secret>,
    to: &Endpoint<'_>,
    from: &HeaderMap,
    body: &[u8],
) -> Result<worker::Request, ApiError> {
    let headers = Headers::new();
    for name in SENT {
        if let Some(value) = from.get(name).and_then(|value| value.to_str().ok()) {
            headers.set(name, value)?;
        }
    }
    if let Some(key) = key {
        let (name, value) = match known.dialect {
            Dialect::Openai | Dialect::Responses => ("authorization", format!("Bearer {}", key.expose())),
            Dialect::Anthropic => ("x-api-key", key.expose().to_owned()),
            Dialect::Google => ("x-goog-api-key", key.expose().to_owned()),
        };
        headers.set(name, &value)?;
    }
    let mut init = RequestInit::new();
    init.with_method(Method::Post)
        .with_headers(headers)
        // A redirect could carry the key elsewhere.
        .with_redirect(RequestRedirect::Manual)
        .with_body(Some(worker::js_sys::Uint8Array::from(body).into()));
    let url = format!("{}/{}{}", known.base_url.trim_end_matches('/'), to.path, to.query);
    Ok(worker::Request::new_with_init(&url, &init)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_endpoints_of_a_conversation_are_relayed() {
        let path = |path| endpoint(Dialect::Openai, path, None).map(|endpoint| endpoint.path);
        assert_eq!(path("v1/chat/completions"), Some("chat/completions"));
        assert_eq!(path("messages"), Some("messages"));
        for other in [
            "v1/files",
            "v1/../admin",
            "",
            "v1/v1/messages",
            "chat/completions/x",
            "models/m:generateContent",
        ] {
            assert_eq!(path(other), None, "{other}");
        }
    }

    #[test]
    fn google_names_the_model_in_the_address_and_keeps_only_what_asks_for_events() {
        let found =
            |path, query| endpoint(Dialect::Google, path, query).map(|found| (found.model.unwrap(), found.query));
        let stream = "v1/models/gemini-2.5-pro:streamGenerateContent";
        assert_eq!(
            found(stream, Some("alt=sse&key=AIza")),
            Some(("gemini-2.5-pro", "?alt=sse"))
        );
        assert_eq!(found(stream, Some("alt=json")), Some(("gemini-2.5-pro", "")));
        assert_eq!(found("models/m:generateContent", Some("alt=sse")), Some(("m", "")));
        for other in [
            "models/m",
            "models/:generateContent",
            "models/../x:generateContent",
            "models/a/b:generateContent",
            "models/m:countTokens",
            "models/m%2fx:generateContent",
            "models/m?x:generateContent",
            "chat/completions",
        ] {
            assert_eq!(found(other, None), None, "{other}");
        }
    }
}
