//! Looking after the host's disk for as long as the host runs. The rules are those of [`crate::disk`].

use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::dirs::SandboxDir;
use crate::disk::{self, Culprit, Watch};
use crate::host::{Host, blocking};
use crate::processes;
use crate::stop;

impl Host {
    /// Sees to it that sandboxes leave something of the disk, until the host ends.
    pub async fn watch_disk(self: Arc<Self>) {
        let mut watch = Watch::new(self.config.disk);
        loop {
            tokio::time::sleep(disk::LOOK).await;
            let state = self.config.state.clone();
            let looked = blocking(move || {
                let culprit = look_at_disk(&mut watch, &state)?;
                Ok((watch, culprit))
            });
            watch = match looked.await {
                Ok((watch, culprit)) => {
                    if let Some(culprit) = culprit {
                        self.stop_for_disk(culprit).await;
                    }
                    watch
                }
                Err(error) => {
                    tracing::warn!(%error, "the disk could not be looked at");
                    Watch::new(self.config.disk)
                }
            };
        }
    }

    async fn stop_for_disk(&self, Culprit { name, cause }: Culprit) {
        let one = self.lock_of(&name);
        let _one = one.lock().await;
        let dir = SandboxDir::new(&self.config.state, &name);
        if dir.exit().is_some() || dir.deleting() {
            return;
        }
        tracing::warn!(sandbox = name, cause, "is stopped");
        // At once: while a runner is asked first, the rest goes on writing.
        if let Err(error) = blocking(move || stop::stop(&dir, std::time::Duration::ZERO, &cause)).await {
            tracing::error!(sandbox = name, %error, "could not be stopped");
        }
    }
}

fn look_at_disk(watch: &mut Watch, state: &Path) -> io::Result<Option<Culprit>> {
    let mut running = SandboxDir::list(state);
    running.retain(|dir| dir.started() && dir.exit().is_none());
    let names: Vec<&str> = running.iter().map(SandboxDir::name).collect();
    let free = disk::free_space(state)?;
    if !watch.must_count(&names, free) {
        return Ok(None);
    }
    let used: Vec<(&str, u64)> = running
        .iter()
        .map(|dir| (dir.name(), disk::used(dir.path(), &processes::members(dir))))
        .collect();
    let resumed = |name: &str| {
        SandboxDir::new(state, name)
            .record()
            .is_none_or(|record| record.spec.resume.is_some())
    };
    Ok(watch.counted(&used, |name| !resumed(name), free))
}
