//! What was spent and what may be: reports, budgets, prices. Owns: who may ask, and what is well formed. The books are
//! the org's ledger's.

use axum::Extension;
use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use errand_access::{Action, Actor};
use errand_protocol::ids::{BudgetId, SessionId, UserId};
use errand_protocol::money::{Budget, Dimension, Micros, NewBudget, PatchBudget, Period, Price, PriceList};
use errand_protocol::text::{ModelId, RepoUrl};
use http::{HeaderMap, StatusCode, Uri};
use serde::{Deserialize, Serialize};

use super::audit::Note;
use super::error::{ApiError, json_response};
use super::json::Json;
use super::{App, RequestId, Slots, allow, idempotency, query, wire};
use crate::config::Config;
use crate::d1::members;
use crate::ledger::commands::{
    ChangeBudgetCommand, ChangedBudget, ChangedPrices, EstimateCommand, HistoryCommand, MadeBudget, MakeBudgetCommand,
    RemoveBudgetCommand, SetPricesCommand, UsageCommand,
};
use crate::platform::{clock, ids, rpc};

const MAX_DAYS: u32 = 366;
const DEFAULT_DAYS: u32 = 30;
/// A billion dollars: larger numbers are mistakes, and sums must stay exact.
const MAX_LIMIT: Micros = Micros(1_000_000_000_000_000);
/// Ten thousand dollars for a million tokens.
const MAX_RATE: u64 = 10_000_000_000;
const MAX_PRICES: usize = 500;
const MAX_SUBJECT_BYTES: usize = 2048;

/// `GET /api/usage`.
#[worker::send]
pub(super) async fn usage(app: App, Extension(id): Extension<RequestId>, actor: Actor) -> Result<Response, ApiError> {
    allow::in_org(&actor, Action::ReadUsage)?;
    let command = UsageCommand {
        user: actor.person.id.clone(),
        all: allow::in_org(&actor, Action::ReadOrgUsage).is_ok(),
    };
    ask(&app, &actor, "usage", &command, &id).await
}

#[derive(Debug, Deserialize)]
struct HistoryQuery {
    dimension: Option<Dimension>,
    subject: Option<String>,
    days: Option<u32>,
}

/// `GET /api/usage/history?dimension=&subject=&days=`: one's own days unless something else is asked for.
#[worker::send]
pub(super) async fn history(
    app: App,
    Extension(id): Extension<RequestId>,
    actor: Actor,
    uri: Uri,
) -> Result<Response, ApiError> {
    allow::in_org(&actor, Action::ReadUsage)?;
    let wrong = "dimension must be one of those of the API, days a whole number";
    let query: HistoryQuery = query::read(&uri, ApiError::bad_request(wrong))?;
    let command = history_command(&actor, query)?;
    let own = command.dimension == Dimension::User && command.subject == actor.person.id.as_str();
    if !own {
        allow::in_org(&actor, Action::ReadOrgUsage)?;
    }
    ask(&app, &actor, "history", &command, &id).await
}

fn history_command(actor: &Actor, query: HistoryQuery) -> Result<HistoryCommand, ApiError> {
    let days = query.days.unwrap_or(DEFAULT_DAYS);
    if !(1..=MAX_DAYS).contains(&days) {
        return Err(ApiError::invalid("days", format!("days must be 1 to {MAX_DAYS}")));
    }
    let dimension = query.dimension.unwrap_or(Dimension::User);
    let subject = match (dimension, query.subject) {
        (Dimension::Org, None) => String::new(),
        (Dimension::Org, Some(_)) => return Err(ApiError::invalid("subject", "the org has no subject")),
        (Dimension::User, None) => actor.person.id.to_string(),
        (Dimension::Repository, Some(subject)) => repository(&subject)?,
        (_, Some(subject)) if (1..=MAX_SUBJECT_BYTES).contains(&subject.len()) => subject,
        (_, _) => return Err(ApiError::invalid("subject", "say of which one")),
    };
    Ok(HistoryCommand {
        dimension,
        subject,
        days,
    })
}

/// The subject as it is counted. A budget of what there is not would never stop anything.
async fn known(config: &Config, actor: &Actor, dimension: Dimension, subject: String) -> Result<String, ApiError> {
    let unknown = |what: &str| ApiError::invalid("subject", format!("{subject} is {what}"));
    match dimension {
        Dimension::Repository => return repository(&subject),
        Dimension::User => {
            let user: UserId = subject.parse().map_err(|_| unknown("nobody's id"))?;
            let member = members::find(config, &actor.org, &user).await?;
            member.ok_or_else(|| unknown("nobody of this organization"))?;
        }
        Dimension::Session => drop(subject.parse::<SessionId>().map_err(|_| unknown("no session's id"))?),
        Dimension::Trigger if subject.trim().is_empty() => return Err(unknown("no trigger's id")),
        Dimension::Trigger | Dimension::Org | Dimension::Turn | Dimension::Model => {}
    }
    Ok(subject)
}

/// A repository as it is counted.
fn repository(address: &str) -> Result<String, ApiError> {
    let url: Result<RepoUrl, _> = address.parse();
    url.map(|url| url.canonical().to_string())
        .map_err(|error| ApiError::invalid("subject", format!("{error}")))
}

#[derive(Debug, Deserialize)]
struct EstimateQuery {
    repo: Option<RepoUrl>,
    model: Option<ModelId>,
}

/// `GET /api/usage/estimate?repo=&model=`: what turns on a repository cost and took lately.
#[worker::send]
pub(super) async fn estimate(
    app: App,
    Extension(id): Extension<RequestId>,
    actor: Actor,
    uri: Uri,
) -> Result<Response, ApiError> {
    let query: EstimateQuery = query::read(
        &uri,
        ApiError::invalid("", "repo must be a repository's address, model provider/model"),
    )?;
    allow::to_create(&actor, query.repo.as_ref())?;
    let command = EstimateCommand {
        repo: query.repo.map(|repo| repo.canonical()),
        model: query.model.map(|model| model.with_effort().0),
    };
    ask(&app, &actor, "estimate", &command, &id).await
}

/// `GET /api/admin/budgets`.
#[worker::send]
pub(super) async fn budgets(app: App, Extension(id): Extension<RequestId>, actor: Actor) -> Result<Response, ApiError> {
    allow::in_org(&actor, Action::ReadOrgUsage)?;
    ask(&app, &actor, "budgets", &(), &id).await
}

/// `POST /api/admin/budgets`: 201, or 200 when the same was made before.
#[worker::send]
pub(super) async fn make_budget(
    app: App,
    Extension(id): Extension<RequestId>,
    Extension(slots): Extension<Slots>,
    actor: Actor,
    headers: HeaderMap,
    Json(mut new): Json<NewBudget>,
) -> Result<Response, ApiError> {
    allow::in_org(&actor, Action::WriteBudgets)?;
    check_budget(&new)?;
    new.subject = match new.subject.take() {
        Some(subject) => Some(known(&app.config, &actor, new.dimension, subject).await?),
        None => None,
    };
    let key = headers
        .get("idempotency-key")
        .map(|key| key.to_str().unwrap_or_default());
    let derived = idempotency::checked(key)?.map(|key| ids::derive(actor.org.as_str(), "budget", key));
    let command = MakeBudgetCommand {
        id: new.id.clone().or(derived).unwrap_or_else(|| ids::mint(clock::now())),
        new,
    };
    slots.audit.about(command.id.as_str());
    let NewBudget {
        dimension,
        subject,
        period,
        limit,
        ..
    } = &command.new;
    slots
        .audit
        .tell(|note| tell_budget(note, (*dimension, subject.as_deref(), *period)));
    slots.audit.say("limit", limit.dollars());
    let ledger = app.config.ledger(&actor.org)?;
    let MadeBudget { budget, made } = rpc::post(&ledger, "make-budget", &command, &id.0).await?;
    let status = if made { StatusCode::CREATED } else { StatusCode::OK };
    Ok(json_response(status, &budget))
}

/// `PATCH /api/admin/budgets/:id`.
#[worker::send]
pub(super) async fn change_budget(
    app: App,
    Extension(id): Extension<RequestId>,
    Extension(slots): Extension<Slots>,
    actor: Actor,
    Path(budget): Path<String>,
    Json(PatchBudget { limit }): Json<PatchBudget>,
) -> Result<Response, ApiError> {
    allow::in_org(&actor, Action::WriteBudgets)?;
    check_limit(limit)?;
    let command = ChangeBudgetCommand {
        id: budget_id(&budget)?,
        limit,
        by: actor.person.clone(),
        extends: None,
    };
    let ledger = app.config.ledger(&actor.org)?;
    let changed: ChangedBudget = rpc::post(&ledger, "change-budget", &command, &id.0).await?;
    slots.audit.tell(|note| tell_raise(note, &changed));
    Ok(json_response(StatusCode::OK, &changed.budget))
}

/// `DELETE /api/admin/budgets/:id`: fine when there is none.
#[worker::send]
pub(super) async fn remove_budget(
    app: App,
    Extension(id): Extension<RequestId>,
    Extension(slots): Extension<Slots>,
    actor: Actor,
    Path(budget): Path<String>,
) -> Result<Response, ApiError> {
    allow::in_org(&actor, Action::WriteBudgets)?;
    let command = RemoveBudgetCommand {
        id: budget_id(&budget)?,
        by: actor.person.clone(),
    };
    let ledger = app.config.ledger(&actor.org)?;
    let gone: Option<Budget> = rpc::post(&ledger, "remove-budget", &command, &id.0).await?;
    if let Some(Budget {
        dimension,
        subject,
        period,
        limit,
        ..
    }) = gone
    {
        slots
            .audit
            .tell(|note| tell_budget(note, (dimension, subject.as_deref(), period)));
        slots.audit.say("limit", limit.dollars());
    }
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `GET /api/admin/prices`.
#[worker::send]
pub(super) async fn prices(app: App, Extension(id): Extension<RequestId>, actor: Actor) -> Result<Response, ApiError> {
    allow::in_org(&actor, Action::ReadOrgUsage)?;
    ask(&app, &actor, "prices", &(), &id).await
}

/// `PUT /api/admin/prices`.
#[worker::send]
pub(super) async fn set_prices(
    app: App,
    Extension(id): Extension<RequestId>,
    Extension(slots): Extension<Slots>,
    actor: Actor,
    Json(PriceList { prices }): Json<PriceList>,
) -> Result<Response, ApiError> {
    allow::in_org(&actor, Action::WriteBudgets)?;
    if prices.len() > MAX_PRICES {
        return Err(ApiError::invalid("prices", format!("at most {MAX_PRICES} prices")));
    }
    let rates = prices.iter().flat_map(|price| {
        let rates = &price.rates;
        let some = [rates.cache_read, rates.cache_write, rates.reasoning];
        [rates.input, rates.output]
            .into_iter()
            .chain(some.into_iter().flatten())
    });
    if rates.max().is_some_and(|rate| rate > MAX_RATE) {
        return Err(ApiError::invalid("prices", format!("a rate is at most {MAX_RATE}")));
    }
    let ledger = app.config.ledger(&actor.org)?;
    let command = SetPricesCommand { prices };
    let ChangedPrices { prices, were } = rpc::post(&ledger, "set-prices", &command, &id.0).await?;
    slots.audit.tell(|note| {
        note.change("prices", were.len(), prices.len());
        note.lists("prices", &price_words(&were), &price_words(&prices));
    });
    Ok(json_response(StatusCode::OK, &PriceList { prices }))
}

/// Per million tokens.
fn price_words(prices: &[Price]) -> Vec<String> {
    let words = |price: &Price| {
        let Price { model, from, rates } = price;
        let (input, output) = (Micros(rates.input).dollars(), Micros(rates.output).dollars());
        format!("{model} from {from}: {input} in, {output} out")
    };
    prices.iter().map(words).collect()
}

fn tell_budget(note: &mut Note, (dimension, subject, period): (Dimension, Option<&str>, Period)) {
    note.made(&serde_json::json!({ "dimension": dimension, "period": period }));
    note.say(
        "subject",
        subject.unwrap_or(if dimension == Dimension::Org {
            "the whole org"
        } else {
            "each"
        }),
    );
}

/// Which budget got another limit.
pub(crate) fn tell_raise(note: &mut Note, changed: &ChangedBudget) {
    let budget = &changed.budget;
    tell_budget(note, (budget.dimension, budget.subject.as_deref(), budget.period));
    note.change("limit", changed.was.dollars(), budget.limit.dollars());
}

/// The ledger's answer is the API's, errors included.
async fn ask(
    app: &App,
    actor: &Actor,
    command: &str,
    body: &impl Serialize,
    id: &RequestId,
) -> Result<Response, ApiError> {
    let answer = rpc::post_raw(&app.config.ledger(&actor.org)?, command, body, &id.0).await?;
    Ok(wire::passed_on(answer)?)
}

fn budget_id(text: &str) -> Result<BudgetId, ApiError> {
    text.parse().map_err(|_| ApiError::not_found("budget"))
}

/// A limit of a budget that is a mistake.
///
/// # Errors
/// Invalid when it is too high.
pub(crate) fn check_limit(limit: Micros) -> Result<(), ApiError> {
    if limit > MAX_LIMIT {
        return Err(ApiError::invalid(
            "limit",
            format!("a limit is at most {} micro-dollars", MAX_LIMIT.0),
        ));
    }
    Ok(())
}

fn check_budget(new: &NewBudget) -> Result<(), ApiError> {
    check_limit(new.limit)?;
    let subject = new.subject.as_deref();
    match (new.dimension, subject) {
        (Dimension::Turn | Dimension::Model, _) => {
            return Err(ApiError::invalid(
                "dimension",
                "there are no budgets of turns and models",
            ));
        }
        (Dimension::Org, Some(_)) => return Err(ApiError::invalid("subject", "the org has no subject")),
        (Dimension::Org | Dimension::User | Dimension::Session | Dimension::Repository | Dimension::Trigger, _) => {}
    }
    if subject.is_some_and(|subject| !(1..=MAX_SUBJECT_BYTES).contains(&subject.len())) {
        let message = format!("a subject has 1 to {MAX_SUBJECT_BYTES} bytes");
        return Err(ApiError::invalid("subject", message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(json: &str) -> Result<(), ApiError> {
        check_budget(&serde_json::from_str(json).unwrap())
    }

    #[test]
    fn a_budget_is_of_something_that_is_counted() {
        assert!(new(r#"{"dimension":"org","period":"day","limit":10000}"#).is_ok());
        assert!(new(r#"{"dimension":"user","subject":"usr_1","period":"month","limit":0}"#).is_ok());
        assert!(new(r#"{"dimension":"trigger","subject":"key_1","period":"day","limit":1}"#).is_ok());
        for bad in [
            r#"{"dimension":"org","subject":"x","period":"day","limit":1}"#,
            r#"{"dimension":"turn","period":"day","limit":1}"#,
            r#"{"dimension":"model","period":"day","limit":1}"#,
            r#"{"dimension":"user","subject":"","period":"day","limit":1}"#,
            r#"{"dimension":"org","period":"day","limit":9000000000000000}"#,
        ] {
            assert!(new(bad).is_err(), "{bad}");
        }
    }
}
