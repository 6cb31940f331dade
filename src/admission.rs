//! Before a session is made: what the settings say for the person who makes it, and whether the org's registry lets one
//! more in. Used where sessions are made: by the Worker, and by a session that is forked. And before one goes to work, which
//! may be long after it was made.

use errand_access::{Actor, ForSession};
use errand_protocol::access::Visibility;
use errand_protocol::api::ErrorCode;
use errand_protocol::ids::{OrgId, Seq, SessionId, UserId};
use errand_protocol::settings::{MIN_SANDBOX_CPU, MIN_SANDBOX_MIB, MIN_SANDBOX_MINUTES, SandboxWish};
use errand_session::room::Scarce;

use crate::config::Config;
use crate::d1::settings;
use crate::http::error::ApiError;
use crate::platform::rpc;
use crate::session_registry::admission::{Admission, AdmitCommand, Start, StartCommand};

/// Sessions go to rest, and a day moves on, at any moment: who may not make one now asks again after so many seconds.
const LOOK_AGAIN: u64 = 60;

/// What the maker of a session says of it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wish {
    /// Who is to see it.
    pub(crate) visibility: Option<Visibility>,
    /// What its sandboxes are to be like.
    pub(crate) sandbox: SandboxWish,
}

/// What the session may be made with.
///
/// # Errors
/// Invalid when the wish is none that makes sense; rate limited, with the reason, when there may be no more sessions, or
/// none with such sandboxes.
pub(crate) async fn admit(
    config: &Config,
    actor: &Actor,
    session: &SessionId,
    wish: Wish,
    request_id: &str,
) -> Result<ForSession, ApiError> {
    check(wish.sandbox)?;
    // Nothing that passes with time: a greater wish is never let in.
    let limited = |reason| ApiError::new(ErrorCode::RateLimited, reason);
    let settings = settings::resolved(config, &actor.org, &actor.person.id).await?;
    let allowed = settings.for_session(wish.visibility, wish.sandbox).map_err(limited)?;
    let command = AdmitCommand {
        session: session.clone(),
        owner: actor.person.id.clone(),
        limits: settings.limits,
    };
    match rpc::post(&config.registry(&actor.org)?, "admit", &command, request_id).await? {
        Admission::Granted => Ok(allowed),
        Admission::Refused(reason) => Err(ApiError::limited(reason, LOOK_AGAIN)),
    }
}

/// Whether a session of this person may go to work now. Without an answer it may: a limit is no reason for an outage.
///
/// # Errors
/// Why not and what it waits for, and whose limit it is.
pub(crate) async fn may_start(
    config: &Config,
    org: &OrgId,
    session: &SessionId,
    owner: &UserId,
    head_seq: Seq,
) -> Result<(), (String, Scarce)> {
    let asked = async {
        let command = StartCommand {
            session: session.clone(),
            owner: owner.clone(),
            head_seq,
            limits: settings::resolved(config, org, owner).await?.limits,
        };
        rpc::post(&config.registry(org)?, "start", &command, "start").await
    };
    match asked.await {
        Ok(Start::Granted) => Ok(()),
        Ok(Start::Refused { reason, scarce }) => Err((reason, scarce)),
        Err(error) => {
            let error: ApiError = error;
            log::error!(session = session.as_str(); "admission: {}", error.source.unwrap_or(error.message));
            Ok(())
        }
    }
}

/// No sandbox works with less, and no host has more.
fn check(wish: SandboxWish) -> Result<(), ApiError> {
    for (field, value, range) in [
        ("sandbox.memoryMib", wish.memory_mib, MIN_SANDBOX_MIB..=262_144),
        ("sandbox.cpuMillis", wish.cpu_millis, MIN_SANDBOX_CPU..=64_000),
        ("sandbox.minutes", wish.minutes, MIN_SANDBOX_MINUTES..=43_200),
    ] {
        if value.is_some_and(|value| !range.contains(&value)) {
            let message = format!("{field} is {} to {}", range.start(), range.end());
            return Err(ApiError::invalid(field, message));
        }
    }
    Ok(())
}
