//! The LLM proxy (DESIGN §4): `/llm/{provider}/…`, the engine's provider address. The sandbox shows its token, the
//! session says for whom and for which turn, the org's ledger admits the call, and the Worker puts in the provider's key.
//! Requests are read whole (the model they name must be one of the installation's), answers are streamed through
//! unchanged and counted on their way ([`meter`]).
//!
//! For which turn a call is made is asked of the session, not taken from the request: what runs in the sandbox could
//! write anything there, and the session is asked anyway whether its sandbox may still speak.
//!
//! Errors have the shape of the caller's dialect. The key appears in no answer and no log.

mod meter;
mod upstream;

use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use errand_ledger::asked::Asked;
use errand_protocol::api::ErrorCode;
use errand_protocol::runner::Dialect;
use errand_protocol::text::ModelId;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::Deserialize;
use worker::Delay;

use self::meter::Meter;
use self::upstream::Endpoint;
use super::error::ApiError;
use super::{App, NativeBody, RequestId, auth, json};
use crate::config::ModelConfig;
use crate::ledger::commands::{Admission, AdmitCommand, Payer};
use crate::platform::sandbox_token::{self, Audience, Claims};
use crate::platform::{clock, ids, rpc};
use crate::session_agent::commands::LlmAccess;

/// Largest request: a full context window with pictures.
const MAX_BYTES: usize = 32 * 1024 * 1024;
/// So long a provider may take until its answer begins. Reasoning models without streaming take minutes.
const HEAD_LIMIT: Duration = Duration::from_mins(10);
/// How a call waits for those before it, near a budget's end; then the engine is told to come again.
const WAIT_STEP: Duration = Duration::from_millis(250);
const WAIT_STEPS: u32 = 240;
/// What of the provider's headers the engine gets to see: the kind of body, and what its retries go by.
const RETURNED: [&str; 6] = [
    "content-type",
    "cache-control",
    "retry-after",
    "retry-after-ms",
    "x-should-retry",
    "request-id",
];

/// `POST /llm/{provider}/[v1/]{chat/completions|messages|responses|models/{model}:[stream]generateContent}`.
#[worker::send]
pub(super) async fn proxy(State(app): State<App>, Extension(id): Extension<RequestId>, request: Request) -> Response {
    let provider = address(request.uri().path()).map_or("", |(provider, _)| provider);
    let dialect = app.config.models.provider(provider).map(|known| known.dialect);
    match relay(&app, &id.0, request).await {
        Ok(response) => response,
        Err(error) => error.into_llm_response(&id.0, dialect.unwrap_or(Dialect::Openai)),
    }
}

async fn relay(app: &App, id: &str, request: Request) -> Result<Response, ApiError> {
    let (parts, body) = request.into_parts();
    let claims = authenticate(app, &parts.headers)?;
    let (provider, path) = address(parts.uri.path()).ok_or_else(|| ApiError::not_found("address"))?;
    let known = app.config.models.provider(provider);
    let known = known.ok_or_else(|| ApiError::not_found("provider"))?;
    let to = upstream::endpoint(known.dialect, path, parts.uri.query());
    let to = to.ok_or_else(|| ApiError::not_found("address"))?;
    if parts.method != http::Method::POST {
        return Err(ApiError::method_not_allowed("POST"));
    }
    let bytes = json::read(body, MAX_BYTES).await?;
    let (model, known) = wanted_model(app, provider, &to, &bytes)?;
    let meter = admitted(app, id, &claims, &to, (&model, known), &bytes).await?;
    ask(known, &model, &to, &parts.headers, &bytes, meter).await
}

/// `{provider}` and what follows it.
fn address(path: &str) -> Option<(&str, &str)> {
    path.strip_prefix("/llm/").and_then(|rest| rest.split_once('/'))
}

fn authenticate(app: &App, headers: &HeaderMap) -> Result<Claims, ApiError> {
    let key = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let token = auth::bearer(headers)
        .or_else(|| key("x-api-key"))
        .or_else(|| key("x-goog-api-key"));
    let token = token.ok_or_else(refused)?;
    let session = sandbox_token::claimed_session(token).ok_or_else(refused)?;
    sandbox_token::verify_sandbox_token(&app.config, &session, token, Audience::Llm, clock::now())
        .map_err(|_| refused())
}

fn refused() -> ApiError {
    ApiError::new(
        ErrorCode::Unauthenticated,
        "the sandbox token is missing, not valid, expired, or its session has gone on without it",
    )
}

#[derive(Deserialize)]
struct Wanted {
    model: String,
}

#[derive(Deserialize)]
struct AnyObject {}

/// The model that the request names; only the installation's own are relayed.
fn wanted_model<'a>(
    app: &'a App,
    provider: &str,
    to: &Endpoint<'_>,
    body: &[u8],
) -> Result<(ModelId, &'a ModelConfig), ApiError> {
    let name = if let Some(name) = to.model {
        let AnyObject {} = json::parse_json(body)?;
        name.to_owned()
    } else {
        let Wanted { model } = json::parse_json(body)?;
        model
    };
    let id = format!("{provider}/{name}");
    let known = id.parse().ok().and_then(|id: ModelId| {
        let known = app.config.models.get(&id)?;
        Some((id, known))
    });
    known.ok_or_else(|| ApiError::invalid("model", format!("{id} is not one of this installation's models")))
}

/// Asks the session for whom the call is, and the ledger whether it may be made. From here on it is booked.
async fn admitted(
    app: &App,
    id: &str,
    claims: &Claims,
    to: &Endpoint<'_>,
    (model, known): (&ModelId, &ModelConfig),
    body: &[u8],
) -> Result<Meter, ApiError> {
    let access = LlmAccess {
        org: claims.org.clone(),
        generation: claims.generation,
    };
    let payer: Result<Payer, ApiError> =
        rpc::post(&app.config.session_agent(&claims.sub)?, "llm-access", &access, id).await;
    let over = |code| matches!(code, ErrorCode::NotFound | ErrorCode::Conflict | ErrorCode::Terminated);
    let payer = payer.map_err(|error| if over(error.code) { refused() } else { error })?;
    let asked = Asked::read(to.wire, body, Some(known.output.into()));
    let command = AdmitCommand {
        call: ids::mint(clock::now()),
        payer,
        model: model.clone(),
        demo: known.demo,
        input_bound: asked.input_bound,
        input_guess: asked.input_guess,
        output_bound: asked.output_bound,
    };
    let meter = Meter::begin(app, &claims.org, command.call.clone(), asked.input_guess, id);
    match admission(app, id, claims, &command).await {
        Ok(()) => Ok(meter),
        Err(refusal) => {
            meter.refused();
            Err(refusal)
        }
    }
}

async fn admission(app: &App, id: &str, claims: &Claims, command: &AdmitCommand) -> Result<(), ApiError> {
    let ledger = app.config.ledger(&claims.org)?;
    let mut patience = WAIT_STEPS;
    loop {
        match rpc::post(&ledger, "admit", command, id).await? {
            Admission::Admitted {} => return Ok(()),
            Admission::Refused { why, budget, until } => {
                let mut error = ApiError::new(ErrorCode::BudgetExhausted, why);
                error.details = Some(serde_json::json!({ "budget": budget, "until": until }));
                return Err(error);
            }
            Admission::Wait { why } if patience == 0 => return Err(ApiError::new(ErrorCode::RateLimited, why)),
            Admission::Wait { .. } => {
                patience -= 1;
                Delay::from(WAIT_STEP).await;
            }
        }
    }
}

/// Asks the provider, and streams what it answers.
async fn ask(
    known: &ModelConfig,
    model: &ModelId,
    to: &Endpoint<'_>,
    headers: &HeaderMap,
    body: &[u8],
    mut meter: Meter,
) -> Result<Response, ApiError> {
    let request = upstream::request(known, known.api_key.as_ref(), to, headers, body)?;
    meter.sent();
    match rpc::fetch(request, HEAD_LIMIT).await {
        Ok(response) => {
            let content_type = response.headers().get("content-type")?.unwrap_or_default();
            meter.answered(to.wire, response.status_code(), &content_type);
            streamed(&response, meter)
        }
        Err(error) => {
            meter.unreachable();
            let mut refusal = ApiError::unavailable(format!("the endpoint of {model} cannot be reached"));
            refusal.source = Some(format!("llm {model}: {error}"));
            Err(refusal)
        }
    }
}

fn streamed(response: &worker::Response, meter: Meter) -> Result<Response, ApiError> {
    let status = match response.status_code() {
        // What we send is a plain POST: a redirect is the provider's mistake, and a login page is no answer.
        300..400 => StatusCode::BAD_GATEWAY,
        code => StatusCode::from_u16(code).unwrap_or(StatusCode::BAD_GATEWAY),
    };
    let mut headers = HeaderMap::new();
    for name in RETURNED {
        let value = response
            .headers()
            .get(name)?
            .and_then(|value| HeaderValue::from_str(&value).ok());
        if let Some(value) = value {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    headers
        .entry(CONTENT_TYPE)
        .or_insert(HeaderValue::from_static("application/json"));
    let mut answer = http::Response::new(Body::empty());
    match response.body() {
        worker::ResponseBody::Stream(stream) => {
            let body = NativeBody::new(meter::metered(stream.clone(), meter));
            answer.extensions_mut().insert(body);
        }
        // What the network answers is a stream, or nothing.
        worker::ResponseBody::Body(_) | worker::ResponseBody::Empty => {}
    }
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    Ok(answer)
}
