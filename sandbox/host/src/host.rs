//! What the contract's calls do. The directories are the truth; what stands here in memory is only who works on
//! which sandbox at the moment, so that calls about one name follow each other and the capacity is counted once.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use errand_protocol::egress::EgressPolicy;
use errand_protocol::sandbox::{
    HostHealth, SandboxError, SandboxErrorKind, SandboxList, SandboxSpec, SandboxState, SandboxStatus,
};
use errand_protocol::time::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::checks::{check_egress, check_name, check_spec, control_planes, disk, invalid, same_or_conflict};
use crate::dirs::{self, Exit, Record, SandboxDir};
use crate::disk::{self, DiskLimits};
use crate::egress::settings::{Origin, Published, Settings};
use crate::isolation::Platform;
use crate::keeper;
use crate::launch::{self, Programs};
use crate::processes;
use crate::repo::LocalRepo;
use crate::stop;
use crate::takeover;

const RETRY_CAPACITY_MS: i64 = 10_000;

/// The host's settings, after the machine was looked at.
#[derive(Debug)]
pub struct Config {
    /// Everything that the host keeps.
    pub state: PathBuf,
    /// Sandboxes that may run at once.
    pub capacity: u32,
    /// How much of the disk they may use.
    pub disk: DiskLimits,
    /// What sandboxes start.
    pub programs: Programs,
    /// What the machine offers.
    pub platform: Platform,
    /// Where the control plane is; none: where each spec says.
    pub control_planes: Vec<Origin>,
    /// Services of the host's network that sandboxes may reach.
    pub published: Vec<Published>,
    /// Our own binary, which is also the keeper.
    pub keeper: PathBuf,
}

/// The sandboxes of one state directory.
#[derive(Debug)]
pub struct Host {
    pub(crate) config: Config,
    names: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>,
    admission: tokio::sync::Mutex<()>,
}

impl Host {
    /// A host over a state directory, which is made when it is missing.
    pub fn new(config: Config) -> io::Result<Arc<Self>> {
        dirs::prepare(&config.state)?;
        Ok(Arc::new(Self {
            config,
            names: Mutex::default(),
            admission: tokio::sync::Mutex::default(),
        }))
    }

    /// Goes on where an earlier host ended: living sandboxes stay, half-made ones are made, half-removed ones
    /// removed, and one whose keeper vanished is cleared up and says so.
    pub fn recover(self: &Arc<Self>) {
        for dir in SandboxDir::list(&self.config.state) {
            if dir.deleting() {
                let host = Arc::clone(self);
                tokio::spawn(async move { host.delete(dir.name()).await });
            } else if dir.exit().is_none() && !dir.kept() {
                let host = Arc::clone(self);
                tokio::spawn(async move { host.revive(dir).await });
            }
        }
    }

    async fn revive(self: Arc<Self>, dir: SandboxDir) {
        if !dir.started() {
            tracing::info!(sandbox = dir.name(), "was accepted by an earlier host and is made now");
            return self.make(dir).await;
        }
        let ended = blocking(move || {
            stop::stop(
                &dir,
                std::time::Duration::ZERO,
                "its keeper process vanished (was the machine restarted?)",
            )
        });
        if let Err(error) = ended.await {
            tracing::error!(%error, "a sandbox without a keeper could not be cleared up");
        }
    }

    /// Ensures that the sandbox exists, and starts making it when it is new.
    pub async fn ensure(self: &Arc<Self>, name: &str, spec: SandboxSpec) -> Result<SandboxStatus, SandboxError> {
        check_name(name)?;
        check_spec(&spec)?;
        let one = self.lock_of(name);
        let _one = one.lock().await;
        let dir = SandboxDir::new(&self.config.state, name);
        if let Some(record) = dir.record() {
            return same_or_conflict(&dir, &record, &spec);
        }
        self.check_resume(name, &spec)?;
        self.local_repo(&spec)?;
        check_egress(&spec.egress, self.config.platform.egress())?;
        let egress = self.egress(&spec)?;
        let _admission = self.admission.lock().await;
        if self.active_beside(spec.resume.as_deref()) >= self.config.capacity {
            return Err(no_room(format!(
                "all {} places for sandboxes are taken",
                self.config.capacity
            )));
        }
        if let Some(shortage) = self.config.disk.shortage(&self.config.state) {
            return Err(no_room(shortage));
        }
        let record = Record {
            created_at: now(),
            isolation: self.config.platform.isolation(),
            spec,
            cgroups: self.config.platform.cgroups.paths(&self.group_of(name)),
        };
        dir.create(&record, egress.as_ref()).map_err(|error| disk(&error))?;
        let status = dir.status();
        let host = Arc::clone(self);
        tokio::spawn(async move { host.make(dir).await });
        Ok(status)
    }

    /// Makes an accepted sandbox and waits for its keeper's end, to leave no zombie.
    async fn make(self: Arc<Self>, dir: SandboxDir) {
        let one = self.lock_of(dir.name());
        let guard = one.lock_owned().await;
        if dir.exit().is_some() || dir.deleting() || !dir.path().exists() {
            return;
        }
        let host = Arc::clone(&self);
        let prepared = dir.clone();
        let spawned = blocking(move || host.prepare(&prepared))
            .await
            .and_then(|()| self.spawn_keeper(&dir));
        drop(guard);
        match spawned {
            Ok(mut keeper) => {
                tracing::info!(sandbox = dir.name(), "started");
                let _ = keeper.wait().await;
                if let Some(exit) = dir.exit() {
                    tracing::info!(sandbox = dir.name(), cause = exit.cause, "ended");
                }
            }
            Err(error) => {
                tracing::warn!(sandbox = dir.name(), %error, "could not be made");
                let _ = dir.set_exit(&Exit {
                    failed: true,
                    cause: format!("it could not be made: {error}"),
                });
            }
        }
    }

    fn prepare(&self, dir: &SandboxDir) -> io::Result<()> {
        let record = dir.record().ok_or(io::ErrorKind::NotFound)?;
        if let Some(earlier) = &record.spec.resume {
            let files = SandboxDir::new(&self.config.state, earlier);
            let bytes = disk::used(files.path(), &BTreeSet::new());
            if let Some(too_much) = self.config.disk.too_much(bytes) {
                return Err(io::Error::other(too_much));
            }
            takeover::take(&self.config.state, earlier, dir)?;
        }
        let repo = self.local_repo(&record.spec).map_err(io::Error::other)?;
        let group = self.group_of(dir.name());
        let cgroups = self.config.platform.cgroups.create(&group, &record.spec.limits)?;
        let launch = launch::prepare(dir, &record.spec, &self.config.programs, repo.as_ref(), cgroups)?;
        dir.set_launch(&launch)
    }

    fn spawn_keeper(&self, dir: &SandboxDir) -> io::Result<tokio::process::Child> {
        tokio::process::Command::new(&self.config.keeper)
            .arg(keeper::KEEP)
            .arg(dir.path())
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .current_dir("/")
            .spawn()
    }

    /// What is known of a sandbox; `gone` when nothing is. One that ended without a keeper to say so is cleared up
    /// first: it would count as running for ever.
    pub async fn get(self: &Arc<Self>, name: &str) -> Result<SandboxStatus, SandboxError> {
        check_name(name)?;
        let dir = SandboxDir::new(&self.config.state, name);
        let looked_at = dir.clone();
        let abandoned = blocking(move || {
            Ok(looked_at.status().state == SandboxState::Running
                && !looked_at.kept()
                && processes::runner(&looked_at).is_none())
        });
        if abandoned.await.is_ok_and(|abandoned| abandoned) {
            let one = self.lock_of(name);
            let _one = one.lock().await;
            Arc::clone(self).revive(dir.clone()).await;
        }
        Ok(dir.status())
    }

    /// All sandboxes, or those with the label `key=value`.
    pub fn list(&self, label: Option<&str>) -> Result<SandboxList, SandboxError> {
        let wanted = match label.map(|label| label.split_once('=')) {
            None => None,
            Some(Some(pair)) => Some(pair),
            Some(None) => return Err(invalid("a label is written as key=value")),
        };
        let has = |status: &SandboxStatus| {
            wanted.is_none_or(|(key, value)| status.labels.get(key).is_some_and(|found| found == value))
        };
        let sandboxes = self.statuses().into_iter().filter(has).collect();
        Ok(SandboxList { sandboxes })
    }

    /// Stops and removes a sandbox; done when it returns. Goes on when the caller goes away.
    pub async fn delete(self: &Arc<Self>, name: &str) -> Result<(), SandboxError> {
        check_name(name)?;
        let host = Arc::clone(self);
        let name = name.to_owned();
        let work = tokio::spawn(async move {
            let one = host.lock_of(&name);
            let _one = one.lock().await;
            let dir = SandboxDir::new(&host.config.state, &name);
            let state = host.config.state.clone();
            blocking(move || stop::remove(&dir, &state)).await
        });
        let result = work.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        result.map_err(|error| disk(&error))
    }

    /// Stops a sandbox and keeps its files, for another one to take over; done when it returns.
    pub async fn suspend(self: &Arc<Self>, name: &str) -> Result<SandboxStatus, SandboxError> {
        check_name(name)?;
        let host = Arc::clone(self);
        let name = name.to_owned();
        let work = tokio::spawn(async move {
            let one = host.lock_of(&name);
            let _one = one.lock().await;
            let dir = SandboxDir::new(&host.config.state, &name);
            blocking(move || {
                if dir.record().is_some() {
                    stop::stop(&dir, stop::GRACE, "it was suspended")?;
                }
                Ok(dir.status())
            })
            .await
        });
        let result = work.await.unwrap_or_else(|error| Err(io::Error::other(error)));
        result.map_err(|error| disk(&error))
    }

    /// Changes what a sandbox may reach; counts for connections from then on.
    pub async fn set_egress(self: &Arc<Self>, name: &str, policy: EgressPolicy) -> Result<SandboxStatus, SandboxError> {
        check_name(name)?;
        check_egress(&policy, self.config.platform.egress())?;
        let one = self.lock_of(name);
        let _one = one.lock().await;
        let dir = SandboxDir::new(&self.config.state, name);
        // Without a network of its own it has all that it could be given.
        if let Some(mut settings) = dir.egress() {
            settings.policy = policy;
            dir.set_egress(&settings).map_err(|error| disk(&error))?;
        }
        Ok(dir.status())
    }

    /// Whether and how well this host works.
    pub fn health(&self) -> HostHealth {
        HostHealth {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            isolation: self.config.platform.isolation(),
            warning: self.config.platform.warning.clone(),
            limits: self.config.platform.cgroups.limits(),
            egress: self.config.platform.egress(),
            running: self.active_beside(None),
            capacity: self.config.capacity,
        }
    }

    fn statuses(&self) -> Vec<SandboxStatus> {
        SandboxDir::list(&self.config.state)
            .iter()
            .map(SandboxDir::status)
            .collect()
    }

    /// Sandboxes that take a place, but for the one that gives its own up.
    fn active_beside(&self, leaving: Option<&str>) -> u32 {
        let active = |status: &&SandboxStatus| {
            let runs = matches!(status.state, SandboxState::Creating | SandboxState::Running);
            runs && leaving != Some(status.name.as_str())
        };
        u32::try_from(self.statuses().iter().filter(active).count()).unwrap_or(u32::MAX)
    }

    fn check_resume(&self, name: &str, spec: &SandboxSpec) -> Result<(), SandboxError> {
        let Some(earlier) = &spec.resume else { return Ok(()) };
        check_name(earlier)?;
        let same_session = takeover::allowed(&self.config.state, earlier, spec.labels.get("session"));
        if earlier == name || !same_session {
            return Err(invalid(
                "a sandbox can take over only from an earlier one of its own session",
            ));
        }
        Ok(())
    }

    fn local_repo(&self, spec: &SandboxSpec) -> Result<Option<LocalRepo>, SandboxError> {
        let Some(path) = spec.repo.as_ref().and_then(|repo| repo.url.local_path()) else {
            return Ok(None);
        };
        let checked = LocalRepo::check(Path::new(path), &self.config.state);
        checked.map(Some).map_err(|error| invalid(&error.to_string()))
    }

    /// What the sandbox's proxy goes by; `None` when it shares the host's network.
    fn egress(&self, spec: &SandboxSpec) -> Result<Option<Settings>, SandboxError> {
        let settings = Settings {
            policy: spec.egress.clone(),
            control_planes: control_planes(spec, &self.config.control_planes)?,
            published: self.config.published.clone(),
        };
        Ok(Some(settings).filter(|_| self.config.platform.own_network))
    }

    /// Several hosts may run on one machine, each with a sandbox of the same name.
    fn group_of(&self, name: &str) -> String {
        format!("{name}-{}", short_hash(&self.config.state))
    }

    pub(crate) fn lock_of(&self, name: &str) -> Arc<tokio::sync::Mutex<()>> {
        let mut names = self.names.lock().unwrap_or_else(PoisonError::into_inner);
        names.retain(|_, lock| Arc::strong_count(lock) > 1);
        Arc::clone(names.entry(name.to_owned()).or_default())
    }
}

fn no_room(message: String) -> SandboxError {
    SandboxError {
        kind: SandboxErrorKind::Capacity,
        message,
        retry_after_ms: Some(RETRY_CAPACITY_MS),
    }
}

pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)))
}

fn short_hash(path: &Path) -> String {
    let digest = Sha256::digest(path.as_os_str().as_encoded_bytes());
    base16ct::lower::encode_string(&digest).chars().take(8).collect()
}

/// The wall clock, milliseconds since 1970.
pub fn now() -> Timestamp {
    let since = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
