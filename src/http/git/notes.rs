//! What is kept of a use: the audit log's entry, and the session's event of a push.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::response::Response;
use errand_git::address::{Endpoint, Service};
use errand_git::push::{Command, Push};
use errand_git::report;
use errand_protocol::accounts::AuditEntry;
use errand_protocol::git::Pushed;
use errand_protocol::time::Timestamp;
use futures_util::stream::{self, StreamExt};
use http::header::{CONTENT_TYPE, HeaderValue};
use worker::js_sys::Uint8Array;
use worker::wasm_bindgen::JsCast;
use worker::web_sys::ReadableStream;

use super::access::Grant;
use super::credential::Credential;
use super::upstream;
use crate::http::error::ApiError;
use crate::http::{App, NativeBody, audit};
use crate::platform::{clock, ids, rpc};
use crate::session_agent::commands::GitPushed;

/// An entry about reading stands for an hour of it.
const HOUR_MS: i64 = 60 * 60 * 1000;
/// Branches of one push that are named.
const MAX_NAMED: usize = 5;

/// A credential was used, or should have been. Reads of one session by one credential with one outcome are one entry an
/// hour: an agent could fetch all day.
pub(super) fn used(app: &App, id: &str, grant: &Grant, credential: &Credential, error: Option<&ApiError>) {
    let service = grant.wanted.endpoint.service();
    let told_otherwise = matches!(grant.wanted.endpoint, Endpoint::Refs(Service::ReceivePack)) && error.is_none();
    if told_otherwise || (credential.header().is_none() && service == Service::UploadPack) {
        return;
    }
    let outcome = error.map_or_else(|| "ok".to_owned(), |error| error.code.status().to_string());
    let now = clock::now();
    let repository = &grant.wanted.repository;
    let target = format!("{}/{repository} {}", grant.session, credential.source);
    let (action, key) = match service {
        Service::UploadPack => ("git.fetch", ids::body_of(hour_of(now), &format!("{target} {outcome}"))),
        Service::ReceivePack => ("git.push", ids::mint_body(now)),
    };
    write(app, id, grant, (action, key, target, outcome));
}

fn hour_of(at: Timestamp) -> Timestamp {
    Timestamp::from_millis(at.millis() - at.millis().rem_euclid(HOUR_MS))
}

/// A push was refused here.
pub(super) fn refused(app: &App, id: &str, grant: &Grant, push: &Push) {
    let named: Vec<_> = push
        .commands
        .iter()
        .take(MAX_NAMED)
        .map(|command| command.reference.as_str())
        .collect();
    let target = format!("{}/{} {}", grant.session, grant.wanted.repository, named.join(" "));
    let target = target.chars().take(audit::MAX_TARGET).collect();
    let key = ids::mint_body(clock::now());
    write(app, id, grant, ("git.push.refused", key, target, "403".to_owned()));
}

fn write(app: &App, id: &str, grant: &Grant, entry: (&str, String, String, String)) {
    let (action, key, target, outcome) = entry;
    let entry = AuditEntry {
        id: key,
        at: clock::now(),
        user_id: Some(grant.of.owner.id.clone()),
        user_name: grant.of.owner.name.clone(),
        credential: format!("sbx-{}-{}", grant.session, grant.claims.generation.0),
        action: action.to_owned(),
        target,
        details: BTreeMap::new(),
        outcome,
        address: None,
        request_id: id.to_owned(),
    };
    let (config, org) = (app.config.clone(), grant.claims.org.clone());
    app.context
        .wait_until(async move { audit::write(&config, &org, &entry).await });
}

/// The answer to a push as it comes, read on its way: when it has ended, the session hears what was made.
pub(super) fn watched(app: &App, id: &str, grant: &Grant, push: Push, answer: &worker::Response) -> Response {
    if push.commands.is_empty() {
        return upstream::streamed(answer);
    }
    let mut response = http::Response::new(Body::empty());
    let kind = HeaderValue::from_static("application/x-git-receive-pack-result");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    if let worker::ResponseBody::Stream(stream) = answer.body() {
        let watch = Watch {
            reader: report::Reader::new(&push),
            commands: push.commands,
            teller: Teller {
                app: app.clone(),
                id: id.to_owned(),
                session: grant.session.clone(),
                org: grant.claims.org.clone(),
                generation: grant.claims.generation,
            },
        };
        response
            .extensions_mut()
            .insert(NativeBody::new(watch.over(stream.clone())));
    }
    response
}

struct Watch {
    reader: report::Reader,
    commands: Vec<Command>,
    teller: Teller,
}

impl Watch {
    /// The same chunks as `answer` has; the very objects are passed on.
    fn over(self, answer: ReadableStream) -> ReadableStream {
        let chunks = wasm_streams::ReadableStream::from_raw(answer.unchecked_into()).into_stream();
        let looked_at = stream::unfold((chunks, self), |(mut chunks, mut watch)| async move {
            let Some(chunk) = chunks.next().await else {
                watch.ended().await;
                return None;
            };
            if let Some(bytes) = chunk.as_ref().ok().and_then(JsCast::dyn_ref::<Uint8Array>) {
                watch.reader.feed(&bytes.to_vec());
            }
            Some((chunk, (chunks, watch)))
        });
        wasm_streams::ReadableStream::from_stream(looked_at)
            .into_raw()
            .unchecked_into()
    }

    /// Before the client hears the end: who then asks the session finds it there.
    async fn ended(&self) {
        let made = self.reader.made(&self.commands);
        let pushed = made.into_iter().filter_map(|command| {
            let branch = command.reference.strip_prefix("refs/heads/")?.parse().ok()?;
            let commit = command.new.clone();
            Some(Pushed { branch, commit })
        });
        let pushed: Vec<_> = pushed.collect();
        if !pushed.is_empty() {
            self.teller.tell(pushed).await;
        }
    }
}

/// Tells the session.
struct Teller {
    app: App,
    id: String,
    session: errand_protocol::ids::SessionId,
    org: errand_protocol::ids::OrgId,
    generation: errand_protocol::ids::Generation,
}

impl Teller {
    async fn tell(&self, pushed: Vec<Pushed>) {
        let command = GitPushed {
            org: self.org.clone(),
            generation: self.generation,
            pushed,
        };
        let told: Result<(), ApiError> = async {
            let stub = self.app.config.session_agent(&self.session)?;
            rpc::post(&stub, "git-pushed", &command, &self.id).await
        }
        .await;
        if let Err(error) = told {
            log::warn!(request = self.id.as_str(); "git-pushed: {}", error.source.unwrap_or(error.message));
        }
    }
}
