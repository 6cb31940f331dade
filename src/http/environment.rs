//! `GET /runner/{id}/environment`: what the repository's policy gives a sandbox, to that sandbox. Every secret that is
//! handed out is in the audit log, before the answer.

use std::collections::BTreeMap;

use axum::Extension;
use axum::extract::Request;
use axum::response::Response;
use errand_protocol::accounts::AuditEntry;
use errand_protocol::ids::{OrgId, SessionId};
use errand_protocol::runner::SandboxEnvironment;
use http::StatusCode;

use super::error::{ApiError, json_response};
use super::{App, RequestId, audit, auth, forward};
use crate::d1::{repositories, secrets};
use crate::platform::sandbox_token::Audience;
use crate::platform::{clock, ids, rpc};
use crate::session_agent::commands::{EnvironmentAccess, EnvironmentSubject};

/// See the module.
#[worker::send]
pub(super) async fn get(app: App, Extension(id): Extension<RequestId>, request: Request) -> Result<Response, ApiError> {
    let session = forward::session_id(request.uri(), "/runner/")?;
    let claims = auth::sandbox(&app.config, request.headers(), &session, Audience::Runner)?;
    let access = EnvironmentAccess {
        org: claims.org.clone(),
        generation: claims.generation,
    };
    let stub = app.config.session_agent(&session)?;
    let subject: EnvironmentSubject = rpc::post(&stub, "environment-access", &access, &id.0).await?;
    let environment = environment(&app, &claims.org, (&session, &subject), &id).await?;
    Ok(json_response(StatusCode::OK, &environment))
}

async fn environment(
    app: &App,
    org: &OrgId,
    (session, subject): (&SessionId, &EnvironmentSubject),
    id: &RequestId,
) -> Result<SandboxEnvironment, ApiError> {
    let Some(url) = &subject.repo else {
        return Ok(SandboxEnvironment::default());
    };
    let policy = repositories::find(&app.config, org, url).await?.repository.policy;
    let mut environment = SandboxEnvironment {
        setup: policy.setup,
        ..SandboxEnvironment::default()
    };
    if policy.secrets.is_empty() {
        return Ok(environment);
    }
    let given = secrets::given(&app.config, org, (&subject.owner.id, url), &policy.secrets).await?;
    for (name, secret) in given {
        let now = clock::now();
        let entry = AuditEntry {
            id: ids::mint_body(now),
            at: now,
            user_id: Some(subject.owner.id.clone()),
            user_name: subject.owner.name.clone(),
            credential: "sandbox".to_owned(),
            action: format!("use secret {name} of {}", secret.scope),
            target: session.to_string(),
            details: BTreeMap::new(),
            outcome: "ok".to_owned(),
            address: None,
            request_id: id.0.clone(),
        };
        audit::write(&app.config, org, &entry).await;
        environment.secrets.insert(name, secret.value);
    }
    Ok(environment)
}
