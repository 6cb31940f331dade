//! What a call may ask for: the checks that need no host, and the contract's errors that come of them.

use std::io;

use errand_protocol::egress::{EgressPolicy, MAX_EGRESS_HOSTS};
use errand_protocol::runner::{ENV_TOKEN, ENV_URL};
use errand_protocol::sandbox::{
    EgressSupport, SandboxError, SandboxErrorKind, SandboxLimits, SandboxSpec, SandboxStatus,
};

use crate::dirs::{self, Record, SandboxDir};
use crate::egress::settings::Origin;

/// Tokens are made anew for each call, so they do not make another spec; nor does a policy that was changed meanwhile.
pub(crate) fn same_or_conflict(
    dir: &SandboxDir,
    record: &Record,
    spec: &SandboxSpec,
) -> Result<SandboxStatus, SandboxError> {
    let lasting = |spec: &SandboxSpec| {
        let mut spec = spec.clone();
        spec.env.remove(ENV_TOKEN);
        spec.egress = EgressPolicy::default();
        spec
    };
    let changed = || dir.egress().is_some_and(|settings| settings.policy == spec.egress);
    let same_egress = record.spec.egress == spec.egress || changed();
    if dir.deleting() {
        return Err(disk(&io::Error::other(format!(
            "{} is still being removed",
            dir.name()
        ))));
    }
    if lasting(&record.spec) == lasting(spec) && same_egress {
        return Ok(dir.status());
    }
    let message = format!("{} exists already with another specification", dir.name());
    Err(refusal(SandboxErrorKind::Conflict, &message))
}

/// Whether a host that can do so much keeps to the policy.
pub(crate) fn check_egress(policy: &EgressPolicy, support: EgressSupport) -> Result<(), SandboxError> {
    let EgressPolicy::Allowlist { hosts } = policy else {
        return Ok(());
    };
    if hosts.len() > MAX_EGRESS_HOSTS {
        return Err(invalid(&format!(
            "an egress policy names at most {MAX_EGRESS_HOSTS} hosts"
        )));
    }
    if support == EgressSupport::None {
        let message = "sandboxes here share the host's network, so they cannot be kept to an egress policy; GET /v1/health says why";
        return Err(refusal(SandboxErrorKind::Unsupported, message));
    }
    Ok(())
}

/// Where the control plane is: one of those that the host was told, or, when it was told none, where the spec says.
pub(crate) fn control_planes(spec: &SandboxSpec, told: &[Origin]) -> Result<Vec<Origin>, SandboxError> {
    let Some(url) = spec.env.get(ENV_URL) else {
        return Ok(told.to_vec());
    };
    let origin: Origin = url.parse().map_err(|error: String| invalid(&error))?;
    if told.is_empty() {
        return Ok(vec![origin]);
    }
    if told.contains(&origin) {
        return Ok(told.to_vec());
    }
    Err(invalid(&format!(
        "{url} is none of the control planes that this host was told (--control-plane)"
    )))
}

/// A name that can be a directory's.
pub(crate) fn check_name(name: &str) -> Result<(), SandboxError> {
    if dirs::valid_name(name) {
        return Ok(());
    }
    Err(invalid(
        "a sandbox's name is sbx- and up to 100 letters, digits, '_' or '-'",
    ))
}

/// Environment and limits.
pub(crate) fn check_spec(spec: &SandboxSpec) -> Result<(), SandboxError> {
    for (name, value) in &spec.env {
        let mut bytes = name.bytes();
        let first = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
        let well_formed = first && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_');
        // The loader's variables would act on bubblewrap, outside the sandbox.
        if !well_formed || name.starts_with("LD_") || name.starts_with("DYLD_") || value.contains('\0') {
            return Err(invalid(&format!("the environment variable {name:?} is not allowed")));
        }
    }
    let SandboxLimits {
        memory_mib,
        pids,
        cpu_millis,
    } = spec.limits;
    if memory_mib < 32 || pids < 8 || cpu_millis < 10 {
        return Err(invalid(
            "the limits are too small: at least 32 MiB, 8 processes, 10 thousandths of a core",
        ));
    }
    Ok(())
}

/// An error for a request that can never work.
pub(crate) fn invalid(message: &str) -> SandboxError {
    refusal(SandboxErrorKind::InvalidSpec, message)
}

/// An error that stays when the request is repeated.
fn refusal(kind: SandboxErrorKind, message: &str) -> SandboxError {
    SandboxError {
        kind,
        message: message.to_owned(),
        retry_after_ms: None,
    }
}

/// An error that may pass.
pub(crate) fn disk(error: &io::Error) -> SandboxError {
    SandboxError {
        kind: SandboxErrorKind::Transient,
        message: format!("the host could not do it: {error}"),
        retry_after_ms: Some(1000),
    }
}
