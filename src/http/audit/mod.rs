//! The audit log: every request that may change something, whoever made it and however it ended. Owns: what an entry
//! says ([`describe`]), writing it after the answer, and `GET /api/admin/audit`.
//!
//! Who asks is noted where the credential is recognised ([`Slot`]), so no handler can forget it. A request by nobody we
//! know is in no org's log; it is refused before it does anything. What is commanded over a WebSocket is written by the
//! session's object (`session_agent::viewer_socket`).

mod note;
mod read;

use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};

use errand_access::Actor;
use errand_protocol::accounts::AuditEntry;
use errand_protocol::ids::{OrgId, UserId};
use errand_protocol::time::Timestamp;
use http::{HeaderMap, Method, StatusCode};
use serde::Serialize;

pub(super) use self::note::MAX_TARGET;
pub(crate) use self::note::Note;
pub(super) use self::read::read;
use crate::config::Config;
use crate::d1::audit;
use crate::platform::{clock, crypto, ids, json, rpc};

/// Where a request notes who made it, and what came of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Slot(Arc<Mutex<Option<Who>>>);

#[derive(Debug)]
struct Who {
    /// In whose log it belongs.
    org: OrgId,
    user: Option<UserId>,
    name: String,
    credential: String,
    address: Option<String>,
    /// Instead of method and address.
    action: Option<&'static str>,
    /// A foreign page made their browser ask.
    foreign: bool,
    note: Note,
}

impl Slot {
    /// This actor makes the request.
    pub(super) fn note(&self, actor: &Actor, address: Option<String>) {
        self.put(actor, address, None);
    }

    /// A foreign page made this person's browser ask. It can do so as often as it likes: see [`foreign_id`].
    pub(super) fn note_foreign(&self, actor: &Actor, address: Option<String>, origin: &str) {
        self.put(actor, address, None);
        self.say("origin", origin);
        if let Some(who) = self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            who.foreign = true;
        }
    }

    /// This person has just signed in by it.
    pub(super) fn note_sign_in(&self, actor: &Actor, address: Option<String>) {
        self.put(actor, address, Some("sign-in"));
    }

    /// Somebody whom we do not know tried to sign in, and was not let in. `by`: by way of whom.
    pub(super) fn note_stranger(&self, org: OrgId, name: &str, by: &str, address: Option<String>) {
        self.set(Who {
            org,
            user: None,
            name: name.chars().take(MAX_TARGET).collect(),
            credential: by.to_owned(),
            address,
            action: Some("sign-in"),
            foreign: false,
            note: Note::default(),
        });
    }

    /// The request is about this, which its address does not say. Nothing secret.
    pub(super) fn about(&self, target: &str) {
        self.tell(|note| note.about(target));
    }

    /// What was made has this value there.
    pub(super) fn say(&self, name: &str, value: impl Display) {
        self.tell(|note| note.say(name, value));
    }

    /// The same when there is a value.
    pub(super) fn say_if(&self, name: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.say(name, value);
        }
    }

    /// This was one thing, and is another.
    pub(super) fn change(&self, name: &str, from: impl Display, to: impl Display) {
        self.tell(|note| note.change(name, from, to));
    }

    /// Each field in which these differ.
    pub(super) fn fields(&self, from: &impl Serialize, to: &impl Serialize) {
        self.tell(|note| note.fields(from, to));
    }

    /// Says more of it.
    pub(super) fn tell(&self, say: impl FnOnce(&mut Note)) {
        if let Some(who) = self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            say(&mut who.note);
        }
    }

    /// What an object says of it in its answer, which then does not say it any more.
    pub(super) fn take_over(&self, headers: &mut HeaderMap) {
        let said = headers.remove(rpc::AUDIT);
        if let Some(more) = said.and_then(|said| json::read::<Note>(said.as_bytes()).ok()) {
            self.tell(|note| note.add(more));
        }
    }

    /// It belongs into the log of this org, in which the actor is not yet.
    pub(super) fn concerns(&self, org: &OrgId) {
        if let Some(who) = self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            who.org = org.clone();
        }
    }

    fn put(&self, actor: &Actor, address: Option<String>, action: Option<&'static str>) {
        self.set(Who {
            org: actor.org.clone(),
            user: Some(actor.person.id.clone()),
            name: actor.person.name.clone(),
            credential: actor.credential.id().as_str().to_owned(),
            address,
            action,
            foreign: false,
            note: Note::default(),
        });
    }

    fn set(&self, who: Who) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(who);
    }

    /// What the log is to say of the request, when it is to say something.
    pub(super) fn entry(
        &self,
        request: Option<&Asked>,
        status: StatusCode,
        request_id: &str,
    ) -> Option<(OrgId, AuditEntry)> {
        let who = self.0.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        let request = request?;
        if request.method.is_safe() && who.action.is_none() {
            return None;
        }
        let (action, target) = describe(&request.method, &request.path);
        let now = clock::now();
        let id = match &who.user {
            Some(user) if who.foreign => foreign_id(now, user, &action),
            Some(_) | None => ids::mint_body(now),
        };
        let entry = AuditEntry {
            id,
            at: now,
            user_id: who.user,
            user_name: who.name,
            credential: who.credential,
            action: who.action.map_or(action, str::to_owned),
            target: who.note.target.unwrap_or(target),
            details: who.note.details,
            outcome: outcome(status),
            address: who.address,
            request_id: request_id.to_owned(),
        };
        Some((who.org, entry))
    }
}

/// So many entries a person and minute has at most of what foreign pages asked for: more than there are routes that a
/// page would try, so that different ones are hardly ever taken for the same.
const FOREIGN_A_MINUTE: u8 = 128;

/// The id of such an entry is that of others of this minute, and an id is stored once: nobody fills a log by a page that
/// somebody looks at.
fn foreign_id(now: Timestamp, user: &UserId, action: &str) -> String {
    let minute = Timestamp::from_millis(now.millis() - now.millis().rem_euclid(60_000));
    let [kind, ..] = crypto::sha256(action.as_bytes());
    ids::body_of(minute, &format!("foreign {user} {}", kind % FOREIGN_A_MINUTE))
}

/// What was asked for.
#[derive(Debug)]
pub(super) struct Asked {
    method: Method,
    path: String,
}

impl Asked {
    /// By this request.
    pub(super) fn by<B>(request: &http::Request<B>) -> Self {
        Self {
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
        }
    }
}

/// `ok`, or the status of the refusal.
fn outcome(status: StatusCode) -> String {
    if status.as_u16() < 400 {
        "ok".to_owned()
    } else {
        status.as_u16().to_string()
    }
}

/// Writes an entry. One that cannot be written is in the logs, whole.
pub(crate) async fn write(config: &Config, org: &OrgId, entry: &AuditEntry) {
    if let Err(error) = audit::insert(config, org, entry).await {
        let text = serde_json::to_string(entry).unwrap_or_default();
        log::error!(request = entry.request_id.as_str(), org = org.as_str(); "audit entry not stored: {error}: {text}");
    }
}

/// Method and address with the ids taken out, and the ids. A secret's name is one.
fn describe(method: &Method, path: &str) -> (String, String) {
    let before = std::iter::once("").chain(path.split('/'));
    let is_id = |(before, segment): (&str, &str)| {
        let (prefix, body) = segment.split_once('_').unwrap_or_default();
        before == "secrets" || (prefix.len() == 3 && !body.is_empty())
    };
    let segments: Vec<(bool, &str)> = before.zip(path.split('/')).map(|pair| (is_id(pair), pair.1)).collect();
    let plain = segments
        .iter()
        .map(|(is_id, segment)| if *is_id { ":id" } else { segment });
    let action = format!("{method} {}", plain.collect::<Vec<_>>().join("/"));
    let ids: Vec<&str> = segments.iter().filter(|(is_id, _)| *is_id).map(|(_, id)| *id).collect();
    let short = |text: String| text.chars().take(MAX_TARGET).collect();
    (short(action), short(ids.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_names_the_route_and_its_ids_apart() {
        let of = |path| describe(&Method::POST, path);
        let (action, target) = of("/api/sessions/ses_1/prompts/prm_2");
        assert_eq!(action, "POST /api/sessions/:id/prompts/:id");
        assert_eq!(target, "ses_1/prm_2");
        assert_eq!(of("/api/keys"), ("POST /api/keys".to_owned(), String::new()));
        for name in ["AGENT", "NPM_TOKEN"] {
            let of_a_secret = ("POST /api/admin/secrets/:id".to_owned(), name.to_owned());
            let path = format!("/api/admin/secrets/{name}");
            assert_eq!(describe(&Method::POST, &path), of_a_secret);
        }
        assert!(of(&format!("/api/{}", "x".repeat(9999))).0.len() <= MAX_TARGET);
    }

    #[test]
    fn what_foreign_pages_ask_for_fills_no_log() {
        let user = |name: &str| -> UserId { format!("usr_{name}").parse().unwrap() };
        let id = |at, by: &str, action: &str| foreign_id(Timestamp::from_millis(at), &user(by), action);
        let of_a_minute: std::collections::BTreeSet<String> = (0..5_000)
            .map(|n| id(1_800_000_000_000 + n, "ada", &format!("POST /api/{n}")))
            .collect();
        assert_eq!(of_a_minute.len(), usize::from(FOREIGN_A_MINUTE));
        let one = id(1_800_000_000_000, "ada", "POST /api/groups");
        assert_eq!(one, id(1_800_000_059_999, "ada", "POST /api/groups"));
        assert_ne!(one, id(1_800_000_060_000, "ada", "POST /api/groups"));
        assert_ne!(one, id(1_800_000_000_000, "bob", "POST /api/groups"));
    }

    #[test]
    fn a_refusal_is_an_outcome() {
        assert_eq!(outcome(StatusCode::CREATED), "ok");
        assert_eq!(outcome(StatusCode::FORBIDDEN), "403");
    }
}
