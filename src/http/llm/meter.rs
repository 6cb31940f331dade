//! Counting what a call uses while its answer streams by, and booking it exactly once, whatever becomes of the answer:
//! dropping the [`Meter`] ends the call. It is dropped when the stream has ended, when the provider or the one who asked
//! went away, and when the relay gave up before there was a stream.

use std::rc::Rc;

use errand_ledger::Wire;
use errand_ledger::usage::{End, UsageReader, Used};
use errand_protocol::ids::CallId;
use errand_protocol::money::{BudgetLevel, Tokens};
use errand_protocol::time::Timestamp;
use futures_channel::oneshot;
use futures_util::stream::{self, StreamExt};
use worker::js_sys::Uint8Array;
use worker::wasm_bindgen::{JsCast, JsValue};
use worker::web_sys::ReadableStream;

use super::Caller;
use crate::http::App;
use crate::http::error::ApiError;
use crate::ledger::commands::{CallEnd, Crossing, HeardCommand, SettleCommand, Settled};
use crate::platform::{clock, rpc};

/// So often the ledger hears that a long call goes on.
const HEARD_EVERY_MS: i64 = 60_000;

/// Of one call, from its admission on.
pub(super) struct Meter {
    books: Rc<Books>,
    call: CallId,
    input_guess: u64,
    sent: bool,
    reader: Option<UsageReader>,
    heard_at: Timestamp,
    done: Option<oneshot::Sender<SettleCommand>>,
}

/// Where the call is booked, and who hears of budgets that it uses up.
struct Books {
    app: App,
    caller: Caller,
}

impl Meter {
    /// The request lives until the call is settled: also when nobody waits for its answer any more.
    pub(super) fn begin(app: &App, caller: &Caller, call: CallId, input_guess: u64) -> Self {
        let books = Rc::new(Books {
            app: app.clone(),
            caller: caller.clone(),
        });
        let (done, over) = oneshot::channel();
        let settling = Rc::clone(&books);
        app.context.wait_until(async move {
            // Cancelled: it was never admitted.
            if let Ok(command) = over.await {
                settling.settle(&command).await;
            }
        });
        Self {
            books,
            call,
            input_guess,
            sent: false,
            reader: None,
            heard_at: clock::now(),
            done: Some(done),
        }
    }

    /// It was not admitted: there is nothing to book.
    pub(super) fn refused(mut self) {
        self.done = None;
    }

    /// The provider gets the request now.
    pub(super) fn sent(&mut self) {
        self.sent = true;
    }

    /// The provider could not be reached, and read nothing.
    pub(super) fn unreachable(mut self) {
        self.sent = false;
    }

    /// The answer begins.
    pub(super) fn answered(&mut self, wire: Wire, status: u16, content_type: &str) {
        self.reader = Some(UsageReader::new(wire, status, content_type));
    }

    fn feed(&mut self, bytes: &[u8]) {
        let Some(reader) = &mut self.reader else { return };
        reader.feed(bytes);
        let now = clock::now();
        if now.since(self.heard_at) < HEARD_EVERY_MS {
            return;
        }
        self.heard_at = now;
        let command = HeardCommand {
            call: self.call.clone(),
            tokens: reader.used(self.input_guess).tokens,
        };
        let books = Rc::clone(&self.books);
        self.books
            .app
            .context
            .wait_until(async move { books.heard(&command).await });
    }

    fn used(&self) -> Used {
        match &self.reader {
            Some(reader) => reader.used(self.input_guess),
            None if self.sent => Used {
                tokens: Tokens {
                    input: self.input_guess,
                    ..Tokens::default()
                },
                estimated: true,
                end: End::Cut,
            },
            None => Used {
                tokens: Tokens::default(),
                estimated: false,
                end: End::Failed,
            },
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        let Some(done) = self.done.take() else { return };
        let used = self.used();
        // Nobody listens only when the whole request is gone; then the ledger finds the call by itself.
        let _ = done.send(SettleCommand {
            call: self.call.clone(),
            tokens: used.tokens,
            estimated: used.estimated,
            end: match used.end {
                End::Complete => CallEnd::Complete,
                End::Cut => CallEnd::Cut,
                End::Failed => CallEnd::Failed,
            },
        });
    }
}

impl Books {
    async fn settle(&self, command: &SettleCommand) {
        let request = self.caller.request.as_str();
        let settled: Result<Settled, ApiError> = self.tell("settle", command).await;
        match settled {
            Ok(Settled { cost, crossed }) => {
                log::info!(request = request, call = command.call.as_str(), cost = cost.0; "model call booked");
                for crossing in crossed {
                    let budget = crossing.notice.budget.as_str().to_owned();
                    log::warn!(request = request, budget = budget, hard = crossing.hard; "a budget reached a level");
                    self.hear(crossing).await;
                }
            }
            // The ledger finds the call by itself, later.
            Err(error) => {
                log::error!(request = request, call = command.call.as_str(); "settle: {}", error.source.unwrap_or(error.message));
            }
        }
    }

    /// The session hears of it now. Should it not, it hears of it with its next call.
    async fn hear(&self, crossing: Crossing) {
        let level = if crossing.hard {
            BudgetLevel::UsedUp
        } else {
            BudgetLevel::Soft
        };
        let told = self
            .caller
            .tell_budget(&self.app, crossing.notice, level, crossing.reserve);
        if let Err(error) = told.await {
            log::warn!(request = self.caller.request.as_str(); "budget: {}", error.source.unwrap_or(error.message));
        }
    }

    async fn heard(&self, command: &HeardCommand) {
        let told: Result<(), ApiError> = self.tell("heard", command).await;
        if let Err(error) = told {
            log::warn!(request = self.caller.request.as_str(); "heard: {}", error.source.unwrap_or(error.message));
        }
    }

    async fn tell<B: serde::Serialize, R: serde::de::DeserializeOwned>(
        &self,
        command: &str,
        body: &B,
    ) -> Result<R, ApiError> {
        rpc::post(
            &self.app.config.ledger(&self.caller.org)?,
            command,
            body,
            &self.caller.request,
        )
        .await
    }
}

/// The same chunks as `answer` has, each looked at on its way: the very objects are passed on. Ends the call when it
/// ends, or when its reader goes away; then the provider is told to stop.
pub(super) fn metered(answer: ReadableStream, meter: Meter) -> ReadableStream {
    let chunks = wasm_streams::ReadableStream::from_raw(answer.unchecked_into()).into_stream();
    let looked_at = stream::unfold((chunks, meter), |(mut chunks, mut meter)| async move {
        let chunk = chunks.next().await?;
        if let Some(bytes) = chunk.as_ref().ok().and_then(JsCast::dyn_ref::<Uint8Array>) {
            meter.feed(&bytes.to_vec());
        }
        Some((chunk, (chunks, meter)))
    });
    wasm_streams::ReadableStream::from_stream::<_>(looked_at.map(|chunk: Result<JsValue, JsValue>| chunk))
        .into_raw()
        .unchecked_into()
}
