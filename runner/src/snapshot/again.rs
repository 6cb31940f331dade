//! Patience of the [`saver`](super::saver): what could not be saved, or not all of it, is tried again.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::saver::Engine;

/// After the first attempt; it doubles up to [`LAST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LAST_PAUSE: Duration = Duration::from_secs(80);

/// When what could not be saved is tried again.
#[derive(Default)]
pub(super) struct Again {
    tries: u32,
    at: Option<Instant>,
}

impl Again {
    /// An attempt begins: nothing is due before it is over.
    pub(super) fn begun(&mut self) {
        self.at = None;
    }

    /// Whether the last attempt did not come to everything.
    pub(super) fn failed(&self) -> bool {
        self.tries > 0
    }

    /// An attempt is over.
    pub(super) fn after(&mut self, whole: bool) {
        if whole {
            *self = Self::default();
            return;
        }
        let pause = FIRST_PAUSE.saturating_mul(1 << self.tries.min(4)).min(LAST_PAUSE);
        self.tries += 1;
        self.at = Some(Instant::now() + pause);
    }

    /// Comes back when it is due and the engine is up: without it the same would be missing again.
    pub(super) async fn due(&self, engine: &mut watch::Receiver<Option<Engine>>) {
        let Some(at) = self.at else {
            return std::future::pending().await;
        };
        tokio::time::sleep_until(at).await;
        if engine.wait_for(Option::is_some).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
