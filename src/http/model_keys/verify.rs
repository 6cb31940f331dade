//! Whether a provider takes a key: one cheap question (its list of models, or what it says of the key) before the key is
//! stored. Redirects are not followed. What the provider answers is not shown: only what it means.

use std::time::Duration;

use errand_ledger::vendors::vendor;
use errand_protocol::api::ErrorCode;
use errand_protocol::models::ProviderKey;
use errand_protocol::runner::Dialect;
use errand_protocol::text::{ModelId, ProviderName};
use serde_json::Value;
use worker::{Headers, RequestInit, RequestRedirect};

use crate::http::error::ApiError;
use crate::models::Address;
use crate::platform::{json, rpc};

/// So long a provider may take.
const LIMIT: Duration = Duration::from_secs(10);
/// So long an answer may be: lists of models can be long.
const MAX_BYTES: usize = 2 * 1024 * 1024;
/// So many models of a provider that is not known by name are offered.
const MAX_MODELS: usize = 100;

/// Asks the provider. Resolves to the models that it names, in its order; empty where it need not name any.
///
/// # Errors
/// Invalid when it refuses the key or is no provider, rate limited or unavailable when it does not say.
pub(super) async fn verify(provider: &ProviderName, at: &Address, key: &ProviderKey) -> Result<Vec<String>, ApiError> {
    let known = vendor(provider.as_str());
    let name = known.map_or(provider.as_str(), |known| known.title);
    let path = known.map_or("models", |known| known.check);
    let asked = rpc::in_time(ask(at, path, key), LIMIT).await;
    let (status, body) = asked.map_err(|cause| {
        let message = format!("{name} does not answer; the key was not stored");
        let mut error = match known {
            Some(_) => ApiError::unavailable(message),
            // An address that somebody gave is theirs to correct.
            None => ApiError::invalid("baseUrl", message),
        };
        error.source = Some(format!("model key of {provider}: {cause}"));
        error
    })?;
    match status {
        200..300 => {
            let said: Option<Value> = json::read(&body).ok();
            let said = said.filter(Value::is_object).ok_or_else(|| nonsense(name))?;
            if known.is_some() {
                return Ok(Vec::new());
            }
            let models = models(&said, provider);
            if models.is_empty() {
                return Err(ApiError::invalid("baseUrl", format!("{name} names no models")));
            }
            Ok(models)
        }
        // Google says 400 of a key that it does not know.
        401..=403 => Err(refused(name)),
        400 if at.dialect == Dialect::Google => Err(refused(name)),
        404 | 405 => Err(ApiError::invalid(
            "baseUrl",
            format!("there is no list of models at {}/{path}", at.base_url),
        )),
        429 => {
            let message = format!("{name} is asked too often just now; try again in a while");
            Err(ApiError::new(ErrorCode::RateLimited, message))
        }
        300..400 => Err(ApiError::invalid(
            "baseUrl",
            format!("{name} sends us elsewhere: give the address that answers itself"),
        )),
        500.. => Err(ApiError::unavailable(format!(
            "{name} answers {status}; the key was not stored"
        ))),
        _ => Err(nonsense(name)),
    }
}

fn refused(name: &str) -> ApiError {
    ApiError::invalid("key", format!("{name} refuses this key"))
}

fn nonsense(name: &str) -> ApiError {
    ApiError::invalid(
        "baseUrl",
        format!("{name} does not answer as a provider of models does"),
    )
}

async fn ask(at: &Address, path: &str, key: &ProviderKey) -> worker::Result<(u16, Vec<u8>)> {
    let headers = Headers::new();
    headers.set("accept", "application/json")?;
    headers.set("user-agent", "errand")?;
    match at.dialect {
        Dialect::Openai | Dialect::Responses => headers.set("authorization", &format!("Bearer {}", key.expose()))?,
        Dialect::Anthropic => {
            headers.set("x-api-key", key.expose())?;
            headers.set("anthropic-version", "2023-06-01")?;
        }
        Dialect::Google => headers.set("x-goog-api-key", key.expose())?,
    }
    let mut init = RequestInit::new();
    // A key must not follow a redirect to somebody else.
    init.with_headers(headers).with_redirect(RequestRedirect::Manual);
    let request = worker::Request::new_with_init(&format!("{}/{path}", at.base_url), &init)?;
    let mut response = rpc::fetch(request, LIMIT).await?;
    let status = response.status_code();
    // Only of a good answer is anything read.
    let body = match status {
        200..300 => rpc::bytes_up_to(&mut response, MAX_BYTES).await?,
        _ => Vec::new(),
    };
    Ok((status, body))
}

/// The models of a list whose names can be part of an id.
fn models(said: &Value, provider: &ProviderName) -> Vec<String> {
    let list = said.get("data").and_then(Value::as_array);
    let names = list.into_iter().flatten().filter_map(|model| model.get("id")?.as_str());
    let usable = names.filter(|name| format!("{provider}/{name}").parse::<ModelId>().is_ok());
    usable.take(MAX_MODELS).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_can_be_ids_are_offered() {
        let listed =
            serde_json::json!({ "data": [{ "id": "llama-3" }, { "id": "no spaces" }, { "name": "x" }, { "id": 7 }] });
        let provider = "mine".parse().unwrap();
        assert_eq!(models(&listed, &provider), ["llama-3"]);
        assert!(models(&serde_json::json!({ "data": { "label": "a key" } }), &provider).is_empty());
    }
}
