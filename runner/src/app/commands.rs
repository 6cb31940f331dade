//! What the control plane asks for, and the end: the work is saved before the runner goes.

use std::io;

use errand_protocol::git::GitSetup;
use errand_protocol::runner::{AgentFrame, GitAuthor, PushOutcome, RunnerEvent};
use errand_protocol::session::{TurnOutcome, Usage};
use errand_protocol::time::Timestamp;

use super::App;
use crate::bridge::driver::{Run, Steer};
use crate::bridge::mapper::{Ending, Output};
use crate::cause;
use crate::clock;
use crate::link::core::Exit;
use crate::snapshot::pusher::Order;
use crate::snapshot::saver::Wish;
use crate::snapshot::shadow::push::Authorship;
use crate::spool;

/// The work is saved for so long, at most, before the runner ends, in milliseconds.
const CLOSING: i64 = 15_000;
/// A turn gets so much of it to be stopped.
const STOPPING: i64 = 4_000;

/// The last word may take so long to be told, in milliseconds.
const LEAVING: i64 = 10_000;

/// The runner is about to end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Closing {
    /// At the latest then.
    until: i64,
    /// The saver was asked; it answered.
    asked: bool,
    saved: bool,
}

impl App {
    pub(super) fn command(&mut self, frame: AgentFrame) {
        let now = clock::now();
        match (frame, &mut self.bridge) {
            (AgentFrame::Saved { part_id, len }, _) => self.streams.saved(&part_id, len),
            (AgentFrame::Resend { part_id, from }, _) => self.streams.resend(&part_id, from),
            (AgentFrame::Save {}, _) => self.wish(Wish::Save),
            (AgentFrame::Push { stop, author, message }, _) => self.push(stop, author, message),
            (AgentFrame::Shutdown {}, _) => self.close(),
            (
                AgentFrame::Run {
                    turn_id,
                    text,
                    model,
                    author,
                },
                Some(bridge),
            ) if self.closing.is_none() => {
                let run = Run {
                    turn: turn_id,
                    text,
                    model,
                    author,
                };
                let out = bridge.run(run, &self.streams, now);
                self.take(out);
            }
            (
                AgentFrame::Steer {
                    turn_id: turn,
                    prompt_id: prompt,
                    text,
                    model,
                },
                bridge,
            ) => {
                let steer = Steer {
                    turn,
                    prompt,
                    text,
                    model,
                };
                let out = match bridge {
                    Some(bridge) => bridge.steer(steer, now),
                    None => vec![Output::Event(steer.refused(cause::not_running()))],
                };
                self.take(out);
            }
            (AgentFrame::Abort { turn_id }, Some(bridge)) => {
                let out = bridge.abort(&turn_id);
                self.take(out);
            }
            (AgentFrame::Resolve { interaction_id, answer }, Some(bridge)) => bridge.resolve(interaction_id, answer),
            (
                AgentFrame::Run { .. }
                | AgentFrame::Abort { .. }
                | AgentFrame::Resolve { .. }
                | AgentFrame::Welcome { .. }
                | AgentFrame::Ack { .. }
                | AgentFrame::Token { .. },
                _,
            ) => {}
        }
    }

    /// The work is to be pushed: only where the control plane leads to the repository.
    fn push(&mut self, stop: Timestamp, author: GitAuthor, message: String) {
        let git = self.setup.as_ref().and_then(|setup| setup.git.clone());
        match git {
            Some(GitSetup {
                committer,
                co_author,
                proxy: Some(to),
            }) => self.wish(Wish::Push(Order {
                stop,
                work: Authorship {
                    author,
                    committer,
                    co_author,
                    message,
                },
                to,
            })),
            Some(_) | None => self.report(RunnerEvent::PushEnded {
                stop,
                outcome: PushOutcome::Failed {
                    cause: cause::push_nowhere(),
                },
            }),
        }
    }

    /// Something for the saver to do.
    pub(super) fn wish(&self, wish: Wish) {
        if let Err(error) = self.wishes.try_send(wish) {
            tracing::error!(%error, "the saver does not keep up");
        }
    }

    /// Stops the turn, saves the work, then ends. A second time: at once.
    pub(super) fn close(&mut self) {
        if self.closing.is_some() {
            self.exit = Some(Exit::Done);
            return;
        }
        let now = clock::now();
        self.closing = Some(Closing {
            until: now.millis() + CLOSING,
            asked: false,
            saved: false,
        });
        if let Some(bridge) = &mut self.bridge
            && let Some(turn) = bridge.turn()
        {
            let out = bridge.stop(&turn, Ending::failed(cause::sandbox_ends()));
            self.take(out);
        }
        self.closing_goes_on();
    }

    /// When [`Self::closing_goes_on`] is due.
    pub(super) fn closing_due(&self) -> Option<i64> {
        if self.leaving.is_some() {
            return self.leaving;
        }
        let closing = self.closing?;
        Some(if closing.asked {
            closing.until
        } else {
            closing.until - CLOSING + STOPPING
        })
    }

    /// The spool takes no more: nothing can be promised, and work that nobody hears of must not go on. With the room
    /// that was kept for it the turn is ended, and the process leaves as soon as that is told.
    pub(super) fn speechless(&mut self, error: &io::Error) {
        tracing::error!(%error, "the spool could not be written");
        if !spool::full(error) {
            self.exit = Some(Exit::Broken);
            return;
        }
        self.exit = Some(Exit::DiskFull);
        let Some(turn_id) = self.spool.reported().turn.clone() else {
            return;
        };
        if let Some(bridge) = &mut self.bridge {
            drop(bridge.stop(&turn_id, Ending::failed(cause::disk_full())));
        }
        let last_word = RunnerEvent::TurnFinished {
            turn_id,
            outcome: TurnOutcome::Failed,
            cause: Some(cause::disk_full()),
            usage: Usage::default(),
            files: Vec::new(),
        };
        if self.spool.append_last(clock::now(), last_word).is_ok() {
            self.leaving = Some(clock::now().millis() + LEAVING);
            self.exit = None;
        }
    }

    /// Whether the last word is spoken.
    pub(super) const fn leaving(&self) -> bool {
        self.leaving.is_some()
    }

    /// The saver has answered.
    pub(super) fn saved(&mut self) {
        if let Some(closing) = self.closing.as_mut().filter(|closing| closing.asked) {
            closing.saved = true;
        }
    }

    /// The next step of ending: asking for a snapshot once no turn runs, leaving once it is there and told.
    pub(super) fn closing_goes_on(&mut self) {
        if let Some(until) = self.leaving {
            if self.spool.all_acked() || clock::now().millis() >= until {
                self.exit = Some(Exit::DiskFull);
            }
            return;
        }
        let Some(closing) = self.closing else { return };
        let now = clock::now().millis();
        // Without an engine there is nothing that could be stopped in time.
        let idle = self
            .bridge
            .as_ref()
            .is_none_or(|bridge| bridge.turn().is_none() || !bridge.ready());
        if !closing.asked && (idle || now >= closing.until - CLOSING + STOPPING) {
            self.wish(Wish::Save);
            self.closing = Some(Closing { asked: true, ..closing });
        }
        let told = !self.link.up() || self.spool.all_acked();
        if now >= closing.until || (closing.saved && told) {
            self.exit = Some(Exit::Done);
        }
    }
}
