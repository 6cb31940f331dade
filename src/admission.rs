//! Before a session is made: what the settings say for the person who makes it, and whether the org's registry lets one
//! more in. Used where sessions are made: by the Worker, and by a session that is forked.

use errand_access::{Actor, Settings};
use errand_protocol::api::ErrorCode;
use errand_protocol::ids::SessionId;

use crate::config::Config;
use crate::d1::settings;
use crate::http::error::ApiError;
use crate::platform::rpc;
use crate::session_registry::admission::{Admission, AdmitCommand};

/// The settings under which the session may be made.
///
/// # Errors
/// Rate limited, with the reason, when there may be no more.
pub(crate) async fn admit(
    config: &Config,
    actor: &Actor,
    session: &SessionId,
    request_id: &str,
) -> Result<Settings, ApiError> {
    let settings = settings::resolved(config, &actor.org, &actor.person.id).await?;
    let command = AdmitCommand {
        session: session.clone(),
        owner: actor.person.id.clone(),
        limits: settings.limits,
    };
    match rpc::post(&config.registry(&actor.org)?, "admit", &command, request_id).await? {
        Admission::Granted => Ok(settings),
        Admission::Refused(reason) => Err(ApiError::new(ErrorCode::RateLimited, reason)),
    }
}
