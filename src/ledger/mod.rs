//! Ledger: one Durable Object per org, named by the org's id. It owns the org's books: every call of a model, from its
//! admission against the budgets to what it is booked with, each sandbox that was stopped, and the sums of them. The only place that admits calls, so
//! that sessions which ask at the same moment are asked after one another.
//!
//! Whoever made a call settles it. Should that never happen (the Worker died), the call is booked by the alarm with what
//! is known of it; its reservation does not stay for good.
//!
//! It does not: know who may ask — the Worker does; relay, or read a stream; know prices (`crates/ledger`).

mod books;
pub mod commands;
mod releases;
mod store;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::time::Duration;

use errand_protocol::money::{BudgetList, PriceList};
use errand_protocol::time::Timestamp;
use errand_session::sql::Sql;
use serde::Serialize;
use worker::{DurableObject, Env, Request, Response, State, durable_object, wasm_bindgen};

use self::commands::{Admission, ChangedPrices, HeardCommand, SetPricesCommand};
use crate::config::Config;
use crate::http::error::ApiError;
use crate::platform::sql::DoSql;
use crate::platform::{clock, ids, rpc};

/// Should a session that was stopped not be reached, it is told again after this.
const TELL_AGAIN_MS: i64 = 10_000;

/// See the module.
#[durable_object(alarm)]
pub struct Ledger {
    state: State,
    env: Env,
    store: Result<DoSql, ApiError>,
    /// Whether the alarm is known to be set.
    awake: Cell<bool>,
}

impl DurableObject for Ledger {
    fn new(state: State, env: Env) -> Self {
        let sql = DoSql::new(state.storage());
        let store = store::migrate(&sql).map(|()| sql).map_err(ApiError::from);
        Self {
            state,
            env,
            store,
            awake: Cell::new(false),
        }
    }

    async fn fetch(&self, mut request: Request) -> worker::Result<Response> {
        let id = rpc::request_id(&request)?;
        match self.answer(&mut request).await {
            Ok(response) => Ok(response),
            Err(error) => error.into_worker_response(&id),
        }
    }

    async fn alarm(&self) -> worker::Result<Response> {
        self.awake.set(false);
        let now = clock::now();
        let again = self.store().and_then(|sql| Ok(books::book_lost(sql, now)?));
        let again = again.unwrap_or_else(|error| {
            log::error!("lost calls: {}", error.source.unwrap_or(error.message));
            Some(now.plus(books::LOST_AFTER_MS))
        });
        let untold = self.tell_stopped(&ids::request_id(now)).await.err().map(|error| {
            log::warn!("stopped sessions: {}", error.source.unwrap_or(error.message));
            now.plus(TELL_AGAIN_MS)
        });
        if let Some(at) = again.into_iter().chain(untold).min() {
            self.wake_at(at, now).await?;
        }
        Response::empty()
    }
}

impl Ledger {
    async fn answer(&self, request: &mut Request) -> Result<Response, ApiError> {
        let now = clock::now();
        let sql = self.store()?;
        match request.path().as_str() {
            "/admit" => {
                let admission = books::admit(sql, &rpc::read_command(request).await?, now)?;
                if matches!(admission, Admission::Admitted { .. }) && !self.awake.get() {
                    self.wake_at(now.plus(books::LOST_AFTER_MS), now).await?;
                }
                write(&admission)
            }
            "/heard" => {
                let HeardCommand { call, tokens } = rpc::read_command(request).await?;
                store::heard(sql, &call, &tokens, now)?;
                write(&())
            }
            "/settle" => write(&books::settle(sql, &rpc::read_command(request).await?, now)?),
            "/sandbox" => write(&books::book_sandbox(sql, &rpc::read_command(request).await?)?),
            "/session-usage" => write(&books::session_usage(sql, &rpc::read_command(request).await?)?),
            "/estimate" => write(&books::estimate(sql, &rpc::read_command(request).await?, now)?),
            "/usage" => write(&books::usage(sql, &rpc::read_command(request).await?, now)?),
            "/history" => write(&books::history(sql, &rpc::read_command(request).await?, now)?),
            _ => {
                let answer = rules(sql, request, now).await?;
                // Sessions may have to hear of it.
                if releases::store::waiting(sql, 1)?.len() == 1 {
                    self.wake_at(now, now).await?;
                }
                Ok(answer)
            }
        }
    }

    async fn tell_stopped(&self, id: &str) -> Result<(), ApiError> {
        let config = Config::of(&self.env)?;
        let org = self.state.id().name().unwrap_or_default();
        let org = org.parse().map_err(|_| ApiError::internal("a ledger without an org"))?;
        releases::tell(self.store()?, &config, &org, id).await
    }

    fn store(&self) -> Result<&DoSql, ApiError> {
        self.store.as_ref().map_err(Clone::clone)
    }

    async fn wake_at(&self, at: Timestamp, now: Timestamp) -> worker::Result<()> {
        let wait = Duration::from_millis(u64::try_from(at.since(now)).unwrap_or_default());
        self.state.storage().set_alarm(wait).await?;
        self.awake.set(true);
        Ok(())
    }
}

/// What people set: budgets and prices.
async fn rules(sql: &impl Sql, request: &mut Request, now: Timestamp) -> Result<Response, ApiError> {
    match request.path().as_str() {
        "/budgets" => write(&BudgetList {
            budgets: store::budgets(sql)?,
        }),
        "/make-budget" => write(&books::make_budget(sql, rpc::read_command(request).await?, now)?),
        "/change-budget" => write(&books::change_budget(sql, &rpc::read_command(request).await?, now)?),
        "/remove-budget" => write(&books::remove_budget(sql, &rpc::read_command(request).await?)?),
        "/prices" => write(&PriceList {
            prices: store::prices(sql)?,
        }),
        "/set-prices" => {
            let SetPricesCommand { prices } = rpc::read_command(request).await?;
            let were = store::prices(sql)?;
            store::set_prices(sql, &prices)?;
            write(&ChangedPrices {
                prices: store::prices(sql)?,
                were,
            })
        }
        _ => Err(ApiError::not_found("command")),
    }
}

fn write(answer: &impl Serialize) -> Result<Response, ApiError> {
    Ok(Response::from_json(answer)?)
}
