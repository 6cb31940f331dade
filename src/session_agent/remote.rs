//! Calls to the sandbox provider and to the registry. Their outcomes come back as inputs; a call that is lost with the
//! object's memory is made again, because the machine stored that it wants it.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use errand_protocol::egress::EgressPolicy;
use errand_protocol::runner::{ENV_GENERATION, ENV_SESSION, ENV_TOKEN, ENV_URL};
use errand_protocol::sandbox::{
    SandboxError, SandboxErrorBody, SandboxErrorKind, SandboxLimits, SandboxSpec, SandboxState, SandboxStatus,
};
use errand_protocol::session::Session as Summary;
use errand_protocol::settings::SandboxWish;
use errand_protocol::startup::Start;
use errand_session::room::Scarce;
use errand_session::{Input, SandboxCall, Session};
use worker::Method;

use super::Agent;
use crate::admission;
use crate::http::error::ApiError;
use crate::platform::rpc::{self, ApplyCommand};
use crate::platform::signal::{Signal, Waiter};
use crate::platform::{clock, ids, json, sandbox_host};
use crate::session_registry::commands::SampleCommand;

/// How long the provider may take to answer; the work itself is asynchronous.
const PROVIDER_LIMIT: Duration = Duration::from_secs(10);

impl Agent {
    pub(super) fn call_provider(self: &Rc<Self>, call: SandboxCall) {
        let agent = Rc::clone(self);
        self.state.wait_until(async move {
            let outcome = agent.provider_outcome(&call).await;
            agent.step_or_log(Input::Sandbox { call, outcome });
        });
    }

    async fn provider_outcome(self: &Rc<Self>, call: &SandboxCall) -> Result<SandboxStatus, SandboxError> {
        if matches!(call, SandboxCall::Ensure { .. }) {
            self.admitted().await?;
        }
        // Read before a sandbox is made, whatever it takes: none is made without it.
        let egress = match call {
            SandboxCall::Ensure { .. } => Some(self.egress_policy().await.map_err(|error| {
                log::warn!("policy: {}", error.source.unwrap_or(error.message));
                transient("The repository's policy cannot be read.")
            })?),
            SandboxCall::Inspect { .. } | SandboxCall::Suspend { .. } | SandboxCall::Delete { .. } => None,
        };
        let made_with = egress.clone();
        let request = self.provider_request(call, egress.unwrap_or_default());
        let (method, path, body) = request.map_err(|e| transient(&e.message))?;
        let config = self.config().map_err(|e| transient(&e.message))?;
        let answer = sandbox_host::call(config, method, &path, &body, PROVIDER_LIMIT).await;
        let answer = answer.map_err(|error| {
            log::warn!("sandbox host: {error}");
            transient("The sandbox host does not answer.")
        })?;
        if answer.status == 204 {
            return Ok(gone(name_of(call)));
        }
        if (200..300).contains(&answer.status) {
            if let Some(policy) = made_with {
                self.look_again(policy);
            }
            return json::read(&answer.body).map_err(|_| transient("The sandbox host answered nonsense."));
        }
        let error = json::read::<SandboxErrorBody>(&answer.body).map_or_else(
            |_| transient(&format!("The sandbox host answered {}.", answer.status)),
            |body| body.error,
        );
        if matches!(call, SandboxCall::Ensure { .. }) && error.kind == SandboxErrorKind::Capacity {
            return Err(self.ask_for_room(Scarce::Host, error).await);
        }
        Err(error)
    }

    /// Whether one more session of its owner may be at work. Until then it waits, as for a host without room.
    async fn admitted(&self) -> Result<(), SandboxError> {
        let (config, of) = (self.config(), self.read(|s| (s.spec().clone(), s.head_seq())));
        let (Ok(config), Ok((spec, head))) = (config, of) else {
            return Err(transient("The session cannot be read."));
        };
        let asked = admission::may_start(config, &spec.org, &spec.id, &spec.owner.id, head);
        let Err((reason, scarce)) = asked.await else {
            return Ok(());
        };
        let error = SandboxError {
            kind: SandboxErrorKind::Capacity,
            message: format!("Waiting: {reason}."),
            retry_after_ms: None,
        };
        Err(self.ask_for_room(scarce, error).await)
    }

    fn provider_request(
        &self,
        call: &SandboxCall,
        egress: EgressPolicy,
    ) -> Result<(Method, String, Vec<u8>), ApiError> {
        let path = format!("/v1/sandboxes/{}", name_of(call));
        Ok(match call {
            SandboxCall::Ensure {
                generation,
                repo,
                resume,
                ..
            } => {
                let token = self.token(*generation)?;
                let config = self.config()?;
                let (session, org) = self.read(|s| (s.spec().id.to_string(), s.spec().org.to_string()))?;
                let limits = limits_of(self.read(|s| s.spec().sandbox)?);
                let env = BTreeMap::from([
                    (ENV_URL.to_owned(), config.runner_url.clone()),
                    (ENV_SESSION.to_owned(), session.clone()),
                    (ENV_GENERATION.to_owned(), generation.0.to_string()),
                    (ENV_TOKEN.to_owned(), token.token),
                ]);
                let labels = BTreeMap::from([("session".to_owned(), session), ("org".to_owned(), org)]);
                let spec = SandboxSpec {
                    repo: repo.clone(),
                    resume: resume.clone(),
                    env,
                    labels,
                    limits,
                    egress,
                };
                (Method::Put, path, serde_json::to_vec(&spec)?)
            }
            SandboxCall::Inspect { .. } => (Method::Get, path, Vec::new()),
            SandboxCall::Suspend { .. } => (Method::Post, format!("{path}/suspend"), Vec::new()),
            SandboxCall::Delete { .. } => (Method::Delete, path, Vec::new()),
        })
    }

    /// Raised when the registry has answered the next update.
    pub(super) fn registry_told(&self) -> Waiter {
        let (signal, waiter) = Signal::new();
        self.told.replace(Some(signal));
        waiter
    }

    pub(super) fn call_registry(self: &Rc<Self>, session: Summary) {
        let agent = Rc::clone(self);
        self.state.wait_until(async move {
            let ok = agent.tell_registry(session).await;
            if let Some(signal) = agent.told.take() {
                signal.raise();
            }
            agent.step_or_log(Input::Indexed { ok });
        });
    }

    /// Tells the registry how long a start took. What fails is lost: it is one sample of many.
    pub(super) fn tell_sample(self: &Rc<Self>, start: Start) {
        let agent = Rc::clone(self);
        self.state.wait_until(async move {
            let request_id = ids::request_id(clock::now());
            if let Err(error) = agent.send_sample(start, &request_id).await {
                log::warn!(request = request_id; "sample: {}", error.source.unwrap_or(error.message));
            }
        });
    }

    async fn send_sample(&self, start: Start, request_id: &str) -> Result<(), ApiError> {
        let (org, sample) = self.read(|session| {
            let spec = session.spec();
            let sample = SampleCommand {
                session: spec.id.clone(),
                repo: repo_key(session),
                start,
            };
            (spec.org.clone(), sample)
        })?;
        rpc::post(&self.config()?.registry(&org)?, "sample", &sample, request_id).await
    }

    async fn tell_registry(&self, session: Summary) -> bool {
        let request_id = ids::request_id(clock::now());
        let told: Result<serde_json::Value, ApiError> = async {
            let (org, guests) = self.read(|s| {
                let guests = s.access().guests().keys().cloned().collect();
                (s.spec().org.clone(), guests)
            })?;
            let stub = self.config()?.registry(&org)?;
            rpc::post(&stub, "apply", &ApplyCommand { session, guests }, &request_id).await
        }
        .await;
        if let Err(error) = &told {
            log::warn!(request = request_id; "registry: {}", error.source.as_ref().unwrap_or(&error.message));
        }
        told.is_ok()
    }
}

/// What the provider is told; what nobody said is as usual.
fn limits_of(wish: SandboxWish) -> SandboxLimits {
    let usual = SandboxLimits::default();
    SandboxLimits {
        memory_mib: wish.memory_mib.unwrap_or(usual.memory_mib),
        cpu_millis: wish.cpu_millis.unwrap_or(usual.cpu_millis),
        pids: usual.pids,
    }
}

/// What tells the repository of one session from those of others: its address; empty for an empty workspace.
pub(super) fn repo_key(session: &Session) -> String {
    let repo = session.spec().repo.as_ref();
    repo.map(|repo| repo.url.as_str().to_owned()).unwrap_or_default()
}

fn name_of(call: &SandboxCall) -> &str {
    match call {
        SandboxCall::Ensure { name, .. }
        | SandboxCall::Inspect { name }
        | SandboxCall::Suspend { name }
        | SandboxCall::Delete { name } => name,
    }
}

fn transient(message: &str) -> SandboxError {
    SandboxError {
        kind: SandboxErrorKind::Transient,
        message: message.to_owned(),
        retry_after_ms: None,
    }
}

fn gone(name: &str) -> SandboxStatus {
    SandboxStatus {
        name: name.to_owned(),
        state: SandboxState::Gone,
        created_at: None,
        exit: None,
        isolation: None,
        labels: BTreeMap::new(),
    }
}
