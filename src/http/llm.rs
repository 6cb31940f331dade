//! The LLM proxy (DESIGN §4): `/llm/{provider}/…`, the engine's provider address. The sandbox shows its token, the
//! session says for whom and for which turn, the org's ledger admits the call, and the Worker puts in the provider's key.
//! Requests are read whole (the model they name must be one that the session's owner can use: `models`), answers are
//! streamed through unchanged and counted on their way ([`meter`]).
//!
//! For which turn a call is made is asked of the session, not taken from the request: what runs in the sandbox could
//! write anything there, and the session is asked anyway whether its sandbox may still speak.
//!
//! Errors have the shape of the caller's dialect. The key appears in no answer and no log.

mod meter;
mod upstream;

use std::cell::RefCell;
use std::collections::HashSet;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use errand_ledger::asked::Asked;
use errand_protocol::api::ErrorCode;
use errand_protocol::ids::{BudgetId, Generation, OrgId, SessionId, UserId};
use errand_protocol::money::{BudgetLevel, BudgetNotice, Micros};
use errand_protocol::runner::Dialect;
use errand_protocol::text::ModelId;
use errand_protocol::time::Timestamp;
use futures_util::future::join;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde::{Deserialize, Serialize};
use worker::web_sys::ReadableStream;
use worker::{AbortController, AbortSignal, Delay};

use self::meter::Meter;
use self::upstream::Endpoint;
use super::error::ApiError;
use super::{App, NativeBody, RequestId, Upload, auth, json};
use crate::config::Secret;
use crate::ledger::commands::{Admission, AdmitCommand};
use crate::models::{self, Found, Key};
use crate::platform::sandbox_token::{self, Audience, Claims};
use crate::platform::{clock, ids, rpc};
use crate::session_agent::commands::{BudgetNews, LlmAccess, LlmGrant};

/// Largest request: a full context window with pictures.
const MAX_BYTES: usize = 32 * 1024 * 1024;
/// So long a provider may take until its answer begins. Reasoning models without streaming take minutes.
const HEAD_LIMIT: Duration = Duration::from_mins(10);
/// How a call waits for those before it, near a budget's end; then the engine is told to come again.
const WAIT_STEP: Duration = Duration::from_millis(250);
const WAIT_STEPS: u32 = 240;
/// What is answered to nobody.
const NOBODY: &str = "whoever asked went away";
/// So many warnings are remembered.
const MAX_WARNED: usize = 5_000;
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
pub(super) async fn proxy(app: App, Extension(id): Extension<RequestId>, request: Request) -> Response {
    let provider = address(request.uri().path()).map_or("", |(provider, _)| provider);
    let dialect = models::known_address(&app.config, provider).map(|known| known.dialect);
    match relay(&app, &id.0, request).await {
        Ok(response) => response,
        Err(error) => error.into_llm_response(&id.0, dialect.unwrap_or(Dialect::Openai)),
    }
}

/// Whose call it is.
#[derive(Debug, Clone)]
struct Caller {
    org: OrgId,
    session: SessionId,
    generation: Generation,
    /// The reference of the request, for the logs.
    request: String,
    /// Raised when whoever asked went away before there was an answer. (Later on, that ends the answer's stream.)
    gone: AbortSignal,
}

async fn relay(app: &App, id: &str, request: Request) -> Result<Response, ApiError> {
    let (mut parts, _) = request.into_parts();
    let upload = Upload::take(&mut parts.extensions);
    let claims = authenticate(app, &parts.headers)?;
    let signal = parts.extensions.get::<AbortSignal>().cloned();
    let caller = Caller {
        org: claims.org,
        session: claims.sub,
        generation: claims.generation,
        request: id.to_owned(),
        gone: signal.unwrap_or_else(|| AbortController::default().signal()),
    };
    let (grant, body) = join(caller.grant(app), whole(upload, &parts.headers)).await;
    let (grant, bytes) = (grant?, body?);
    let usable = models::usable(&app.config, &caller.org, &grant.payer.user).await?;
    let (provider, path) = address(parts.uri.path()).ok_or_else(|| ApiError::not_found("address"))?;
    let at = usable.address(&app.config, provider);
    let at = at.ok_or_else(|| ApiError::not_found("provider"))?;
    let to = upstream::endpoint(at.dialect, path, parts.uri.query());
    let to = to.ok_or_else(|| ApiError::not_found("address"))?;
    if parts.method != http::Method::POST {
        return Err(ApiError::method_not_allowed("POST"));
    }
    let wanted = wanted_model(provider, &to, &bytes)?;
    let found = usable.open(&app.config, &wanted)?;
    let key = key(app, &caller, &grant.payer.user, &usable.name, &found.key)?;
    let meter = admitted(app, &caller, grant, &to, &found, &bytes).await?;
    let request = upstream::request(&found.model, key.as_ref(), &to, &parts.headers, &bytes)?;
    ask(&found, &to, request, &caller.gone, meter).await
}

async fn whole(upload: Option<ReadableStream>, headers: &HeaderMap) -> Result<Vec<u8>, ApiError> {
    match upload {
        Some(stream) => json::read_upload(stream, headers, MAX_BYTES).await,
        None => Ok(Vec::new()),
    }
}

impl Caller {
    /// Asks the session whether this sandbox may still call models, and for whom.
    async fn grant(&self, app: &App) -> Result<LlmGrant, ApiError> {
        self.ask_session(app, "llm-access", &self.access()).await
    }

    fn access(&self) -> LlmAccess {
        LlmAccess {
            org: self.org.clone(),
            generation: self.generation,
        }
    }

    /// Tells the session how a budget stands. Answers what holds then.
    async fn tell_budget(
        &self,
        app: &App,
        notice: BudgetNotice,
        level: BudgetLevel,
        reserve: bool,
    ) -> Result<LlmGrant, ApiError> {
        let news = BudgetNews {
            access: self.access(),
            notice,
            level,
            reserve,
        };
        self.ask_session(app, "budget", &news).await
    }

    async fn ask_session(&self, app: &App, command: &str, body: &impl Serialize) -> Result<LlmGrant, ApiError> {
        let asked = rpc::post(&app.config.session_agent(&self.session)?, command, body, &self.request).await;
        let over = |code| matches!(code, ErrorCode::NotFound | ErrorCode::Conflict | ErrorCode::Terminated);
        asked.map_err(|error: ApiError| if over(error.code) { refused() } else { error })
    }
}

/// The key of a model that can be used. That a stored one is used is noted after the answer.
fn key(app: &App, caller: &Caller, owner: &UserId, name: &str, key: &Key) -> Result<Option<Secret>, ApiError> {
    let stored = match key {
        Key::NotNeeded | Key::Missing => return Ok(None),
        Key::Installation(key) => return Ok(Some(key.clone())),
        Key::Stored(stored) => stored,
    };
    let (secret, anew) = models::opened(&app.config, &caller.org, stored)?;
    let used = models::Use {
        org: caller.org.clone(),
        owner: owner.clone(),
        name: name.to_owned(),
        session: caller.session.clone(),
        request: caller.request.clone(),
        key: stored.clone(),
        anew,
    };
    if used.is_new() {
        let config = std::sync::Arc::clone(&app.config);
        app.context.wait_until(async move { used.write(&config).await });
    }
    Ok(Some(secret))
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

/// The model that the request names.
fn wanted_model(provider: &str, to: &Endpoint<'_>, body: &[u8]) -> Result<ModelId, ApiError> {
    let name = if let Some(name) = to.model {
        let AnyObject {} = json::parse_json(body)?;
        name.to_owned()
    } else {
        let Wanted { model } = json::parse_json(body)?;
        model
    };
    let id = format!("{provider}/{name}");
    id.parse().map_err(|e| ApiError::invalid("model", format!("{e}")))
}

/// Asks the ledger whether the call may be made. From here on it is booked.
async fn admitted(
    app: &App,
    caller: &Caller,
    grant: LlmGrant,
    to: &Endpoint<'_>,
    found: &Found,
    body: &[u8],
) -> Result<Meter, ApiError> {
    let asked = Asked::read(to.wire, body, Some(found.model.output.into()));
    if let Some(field) = asked.other_models {
        let message = "the request may name one model, by `model`: what an org allows and what calls cost goes by it";
        return Err(ApiError::invalid(&field, message));
    }
    let mut command = AdmitCommand {
        call: ids::mint(clock::now()),
        payer: grant.payer,
        model: found.id.clone(),
        demo: found.model.demo,
        input_bound: asked.input_bound,
        input_guess: asked.input_guess,
        output_bound: asked.output_bound,
        note: grant.note,
    };
    let meter = Meter::begin(app, caller, command.call.clone(), asked.input_guess);
    match admission(app, caller, &mut command).await {
        Ok(()) => Ok(meter),
        Err(refusal) => {
            meter.refused();
            Err(refusal)
        }
    }
}

/// A session whose call is refused hears of it, and is told to stop; then its calls may use what is kept for its
/// hand-over note, this one included.
async fn admission(app: &App, caller: &Caller, command: &mut AdmitCommand) -> Result<(), ApiError> {
    let ledger = app.config.ledger(&caller.org)?;
    let mut patience = WAIT_STEPS;
    loop {
        match rpc::post(&ledger, "admit", &*command, &caller.request).await? {
            Admission::Admitted { near } => {
                warn(app, caller, near);
                return Ok(());
            }
            Admission::Refused { why, notice, reserve } => {
                let told = caller
                    .tell_budget(app, notice.clone(), BudgetLevel::UsedUp, reserve)
                    .await?;
                if reserve && told.note && !command.note {
                    command.note = true;
                    continue;
                }
                let mut error = ApiError::new(ErrorCode::BudgetExhausted, why);
                error.details = Some(serde_json::json!({ "budget": notice.budget, "until": notice.until }));
                return Err(error);
            }
            Admission::NoPrice { why, budget } => {
                let mut error = ApiError::new(ErrorCode::BudgetExhausted, why);
                error.details = Some(serde_json::json!({ "budget": budget }));
                return Err(error);
            }
            Admission::Wait { .. } if caller.gone.aborted() => return Err(ApiError::unavailable(NOBODY)),
            Admission::Wait { why } if patience == 0 => return Err(ApiError::new(ErrorCode::RateLimited, why)),
            Admission::Wait { .. } => {
                patience -= 1;
                Delay::from(WAIT_STEP).await;
            }
        }
    }
}

/// Which session, of which budget, limit and period.
type Warning = (SessionId, BudgetId, Micros, Option<Timestamp>);

thread_local! {
    /// What sessions were warned of by this isolate. They know by themselves what they were told; this saves the asking.
    static WARNED: RefCell<HashSet<Warning>> = RefCell::default();
}

/// The session hears that most of a budget is spent, while the call goes on.
fn warn(app: &App, caller: &Caller, near: Option<BudgetNotice>) {
    let Some(notice) = near else { return };
    let of = (
        caller.session.clone(),
        notice.budget.clone(),
        notice.limit,
        notice.until,
    );
    let news = WARNED.with_borrow_mut(|warned| {
        if warned.len() >= MAX_WARNED {
            warned.clear();
        }
        warned.insert(of)
    });
    if !news {
        return;
    }
    let (app, caller, context) = (app.clone(), caller.clone(), app.context.clone());
    context.wait_until(async move {
        if let Err(error) = caller.tell_budget(&app, notice, BudgetLevel::Soft, true).await {
            log::warn!(request = caller.request.as_str(); "budget: {}", error.source.unwrap_or(error.message));
        }
    });
}

/// Asks the provider, and streams what it answers. It is told to stop when nobody waits for its answer any more; what it
/// has read by then is booked.
async fn ask(
    found: &Found,
    to: &Endpoint<'_>,
    request: worker::Request,
    gone: &AbortSignal,
    mut meter: Meter,
) -> Result<Response, ApiError> {
    if gone.aborted() {
        return Err(ApiError::unavailable(NOBODY));
    }
    meter.sent();
    match rpc::fetch_for(request, HEAD_LIMIT, gone).await {
        Ok(response) => {
            let content_type = response.headers().get("content-type")?.unwrap_or_default();
            meter.answered(to.wire, response.status_code(), &content_type);
            streamed(&response, meter)
        }
        Err(_) if gone.aborted() => Err(ApiError::unavailable(NOBODY)),
        Err(error) => {
            meter.unreachable();
            let mut refusal = ApiError::unavailable(format!("the endpoint of {} cannot be reached", found.id));
            refusal.source = Some(format!("llm {}: {error}", found.id));
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
