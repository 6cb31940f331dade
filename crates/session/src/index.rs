//! The summary in the registry: told when something that lists show, or whose lists show it, has changed, at most once an
//! interval, until it is known to have arrived.

use errand_protocol::access::Visibility;
use errand_protocol::git::Pushed;
use errand_protocol::money::BudgetLevel;
use errand_protocol::sandbox::Isolation;
use errand_protocol::session::{Activity, Cause, Phase};
use errand_protocol::text::Title;
use errand_protocol::viewer::ServerFrame;

use crate::effect::Effect;
use crate::session::{Session, Step};

/// What lists show of a session, and to whom; a change of it is published.
#[derive(PartialEq)]
pub(crate) struct Glance {
    phase: Phase,
    activity: Activity,
    title: Title,
    cause: Option<Cause>,
    queue: usize,
    isolation: Option<Isolation>,
    archived: bool,
    visibility: Visibility,
    guest_changes: u64,
    pushed: Option<Pushed>,
    budget: Option<BudgetLevel>,
}

impl Session {
    /// Whether the registry lacks the last change.
    pub(crate) fn index_stale(&self) -> bool {
        self.core.index.stale && !self.live.indexed
    }

    /// What lists show now; cheaper than a whole summary, because every step asks twice.
    pub(crate) fn glance(&self) -> Glance {
        let core = &self.core;
        Glance {
            phase: core.life.phase(),
            activity: self.activity(),
            title: core.title.clone(),
            cause: self.cause(),
            queue: self.queue.len(),
            isolation: core.isolation,
            archived: core.archived_at.is_some(),
            visibility: core.access.visibility,
            guest_changes: core.access.guest_changes,
            pushed: core.pushed.clone(),
            budget: self.budget_level(),
        }
    }
}

impl Step<'_, '_> {
    /// Tells the viewers and, when it is time, the registry.
    pub(crate) fn publish(&mut self, before: &Glance) {
        if self.s.glance() != *before {
            let session = self.s.summary();
            self.fx.push(Effect::Viewers(ServerFrame::Session { session }));
            self.s.core.index.stale = true;
            self.s.live.indexed = false;
            self.s.live.changed_while_indexing = self.s.live.indexing.is_some();
            self.dirty = true;
        }
        let now = self.cx.now;
        if self.s.index_stale() && self.s.index_due(self.cx.timings) <= now {
            // The next one not before this; and again some time later, should the outcome of this one never come.
            self.s.core.index.due = now.plus(self.cx.timings.index_interval);
            self.s.live.indexing = Some(now);
            self.s.live.changed_while_indexing = false;
            self.dirty = true;
            self.fx.push(Effect::Index(Box::new(self.s.summary())));
        }
    }

    /// The registry has it, or did not answer.
    pub(crate) fn indexed(&mut self, ok: bool) {
        self.s.live.indexing = None;
        let index = &mut self.s.core.index;
        if ok {
            self.s.live.indexed = !self.s.live.changed_while_indexing;
            self.dirty |= index.failures > 0;
            index.failures = 0;
        } else {
            self.dirty = true;
            index.failures = index.failures.saturating_add(1);
            index.stale = true;
            let wait = crate::deadlines::backoff(self.cx.timings.call_backoff, index.failures);
            index.due = self.cx.now.plus(wait);
        }
    }

    /// What the core must say when it is stored anyway.
    pub(crate) fn note_indexed(&mut self) {
        if std::mem::take(&mut self.s.live.indexed) {
            self.s.core.index.stale = false;
        }
    }
}
