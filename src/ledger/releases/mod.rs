//! Sessions that a budget stopped hear of it when the budget is raised or removed: what waits in them goes on. Each is
//! noted when it is stopped, and told until it has answered; one that went on meanwhile ignores it.

pub(super) mod store;

use errand_protocol::ids::OrgId;
use errand_session::sql::Sql;
use futures_util::future::join_all;

use self::store::Release;
use crate::config::Config;
use crate::http::error::ApiError;
use crate::platform::rpc;
use crate::session_agent::commands::BudgetRaised;

/// So many sessions are told at once.
const AT_ONCE: usize = 50;

/// Tells all that wait to be told.
///
/// # Errors
/// When some could not be reached; all others were told.
pub(super) async fn tell(sql: &impl Sql, config: &Config, org: &OrgId, request_id: &str) -> Result<(), ApiError> {
    let mut outcome = Ok(());
    for some in store::waiting(sql, u32::MAX)?.chunks(AT_ONCE) {
        let told = some.iter().map(|release| tell_one(config, org, release, request_id));
        for (release, told) in some.iter().zip(join_all(told).await) {
            match told {
                Ok(()) => store::told(sql, release)?,
                Err(error) => outcome = Err(error),
            }
        }
    }
    outcome
}

async fn tell_one(config: &Config, org: &OrgId, release: &Release, request_id: &str) -> Result<(), ApiError> {
    let command = BudgetRaised {
        org: org.clone(),
        budget: release.budget.clone(),
        raise: release.raise.clone(),
    };
    rpc::post(
        &config.session_agent(&release.session)?,
        "budget-raised",
        &command,
        request_id,
    )
    .await
}
