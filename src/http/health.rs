//! `GET /health` and `GET /api/config`: does this installation work, and what does it offer?

use std::time::Duration;

use axum::Extension;
use axum::response::Response;
use errand_protocol::api::{Health, HealthPart, Installation};
use errand_protocol::ids::OrgId;
use futures_util::future::join5;
use http::StatusCode;
use worker::{Method, Request};

use super::error::{ApiError, json_response};
use super::{App, RequestId};
use crate::config::{Config, Environment};
use crate::platform::{rpc, sandbox_host};

/// So long each part has to answer.
const LIMIT: Duration = Duration::from_secs(2);
/// The page waits for this one.
const CONFIG_LIMIT: Duration = Duration::from_secs(1);

/// `GET /health`: 200 when all parts answer, else 503.
#[worker::send]
pub(super) async fn health(app: App, Extension(id): Extension<RequestId>) -> Result<Response, ApiError> {
    let config = &app.config;
    let (database, files, sessions, host, model) = join5(
        part("database", &id, database(config)),
        part("files", &id, files(config)),
        part("sessions", &id, sessions(config, &id)),
        part("sandboxHost", &id, host(config)),
        part("model", &id, model(config)),
    )
    .await;
    let parts = vec![database, files, sessions, host, model];
    let ok = parts.iter().all(|part| part.ok);
    let health = Health {
        status: if ok { "ok" } else { "degraded" }.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        parts,
    };
    let status = if ok {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    Ok(json_response(status, &health))
}

/// `GET /api/config`. Needs no sign-in, and says nothing that a stranger must not know.
#[worker::send]
pub(super) async fn config(app: App) -> Result<Response, ApiError> {
    let config = &app.config;
    let host = sandbox_host::health(config, CONFIG_LIMIT).await.ok();
    let (isolation, warning) = match host {
        Some(host) => (Some(host.isolation), host.warning),
        None => (
            None,
            Some("The sandbox host does not answer; sessions cannot start now.".to_owned()),
        ),
    };
    let installation = Installation {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        sign_in: ways_to_sign_in(config),
        sign_in_code: config.environment == Environment::Development && config.sign_in_code.is_some(),
        models: config.models.infos(),
        sample_repo: config.sample(),
        isolation,
        warning,
    };
    Ok(json_response(StatusCode::OK, &installation))
}

fn ways_to_sign_in(config: &Config) -> Vec<String> {
    let ways = [
        ("github", config.github.is_some()),
        ("google", config.google.is_some()),
        ("dev", config.environment == Environment::Development),
    ];
    let there = ways.into_iter().filter(|(_, there)| *there);
    there.map(|(name, _)| name.to_owned()).collect()
}

/// The outcome of one check. Why it failed is logged; strangers read only that it did.
async fn part(name: &str, id: &RequestId, check: impl Future<Output = worker::Result<Option<String>>>) -> HealthPart {
    let (ok, detail) = match rpc::in_time(check, LIMIT).await {
        Ok(detail) => (true, detail),
        Err(error) => {
            log::warn!(request = id.0.as_str(), part = name; "health: {error}");
            (false, Some("does not answer".to_owned()))
        }
    };
    HealthPart {
        name: name.to_owned(),
        ok,
        detail,
    }
}

async fn database(config: &Config) -> worker::Result<Option<String>> {
    crate::d1::users::ping(config).await.map(|()| None)
}

async fn files(config: &Config) -> worker::Result<Option<String>> {
    config.files()?.head("health").await.map(|_| None)
}

async fn sessions(config: &Config, id: &RequestId) -> worker::Result<Option<String>> {
    let org: OrgId = "org_health"
        .parse()
        .map_err(|e| worker::Error::RustError(format!("{e}")))?;
    let pong: Result<serde_json::Value, ApiError> = rpc::post(&config.registry(&org)?, "health", &(), &id.0).await;
    pong.map(|_| None)
        .map_err(|error| worker::Error::RustError(error.message))
}

async fn host(config: &Config) -> worker::Result<Option<String>> {
    sandbox_host::health(config, LIMIT).await.map(|host| host.warning)
}

/// Any answer counts, a refusal too: it shows that the endpoint is there. The key is not sent.
async fn model(config: &Config) -> worker::Result<Option<String>> {
    let Some(model) = config.models.default_model().and_then(|id| config.models.get(id)) else {
        return Err(worker::Error::RustError("no model is configured".to_owned()));
    };
    let request = Request::new(&format!("{}/models", model.base_url), Method::Get)?;
    let response = rpc::fetch(request, LIMIT).await?;
    if response.status_code() >= 500 {
        return Err(worker::Error::RustError(format!(
            "the model endpoint answers {}",
            response.status_code()
        )));
    }
    Ok(None)
}
