//! What a runner makes of its engine: turns, steers, aborts, answers, and the reports in the spool. Every report is
//! made by comparing the engine's record with what was reported, so that it is the same after any crash.

use errand_protocol::ids::{InteractionId, PromptId, TurnId};
use errand_protocol::interaction::Answer;
use errand_protocol::runner::RunnerEvent;
use errand_protocol::session::{Cause, TurnOutcome, Usage};
use errand_protocol::transcript::{Part, PartBody};
use errand_runner::streams;

use crate::disk::{Disk, PartState};
use crate::event::Event;
use crate::make::{cause, time};
use crate::news::{news, unread};
use crate::runner::Runner;
use crate::world::World;

impl World {
    /// Writes an event to the spool.
    pub fn report(&mut self, at: usize, event: RunnerEvent) {
        self.say(|| format!("runner in {at} writes {event:?}"));
        let sandbox = &mut self.host.sandboxes[at];
        let (Some(runner), Some(disk)) = (&mut sandbox.runner, &mut sandbox.disk) else {
            return;
        };
        let mut opened = None;
        match &event {
            RunnerEvent::PartStarted { part, .. } if disk.spool.reported.open_part(&part.id).is_none() => {
                let tool = matches!(part.body, PartBody::Tool { .. });
                let every = if tool { streams::TOOL_EVERY } else { streams::TEXT_EVERY };
                opened = part.streaming_text().map(|_| (part.id.clone(), every));
            }
            RunnerEvent::PartFinished { part, .. } => runner.streams.close(&part.id),
            RunnerEvent::PartRemoved { part_id, .. } => runner.streams.close(part_id),
            _ => {}
        }
        let rseq = disk.spool.append(event);
        if let Some((part, every)) = opened {
            runner.streams.open(part, rseq, every);
        }
        self.wrote();
    }

    fn report_all(&mut self, at: usize, events: Vec<RunnerEvent>) {
        for event in events {
            self.report(at, event);
        }
    }

    /// The engine is up: the runner goes on with what it knows.
    pub fn engine_up(&mut self, at: usize, adopted: bool, crashed: Option<Cause>) {
        if !adopted {
            let engine = self.new_engine();
            self.host.sandboxes[at].engine = Some(engine);
        }
        let Some(runner) = &mut self.host.sandboxes[at].runner else {
            return;
        };
        runner.ready = true;
        let (posting, stopping) = (runner.posting.clone(), runner.stopping.take());
        self.report(
            at,
            match crashed {
                Some(cause) => RunnerEvent::EngineRestarted { cause },
                None => RunnerEvent::Ready { engine: "1".to_owned() },
            },
        );
        self.engine_did(at);
        match posting {
            Some((turn, _)) if stopping.as_ref() == Some(&turn) => self.stop_unreported(at, &turn),
            Some((turn, text)) => self.post(at, turn, text),
            None => {}
        }
        if let Some(turn) = stopping {
            self.later(0, Event::Stop(at, turn));
        }
        self.start_next(at);
        self.pump(at);
    }

    /// A turn of which nothing was reported is to stop: what the engine made of it, if it has it, is told first.
    fn stop_unreported(&mut self, at: usize, turn: &TurnId) {
        let sandbox = &mut self.host.sandboxes[at];
        let (Some(runner), Some(disk)) = (&mut sandbox.runner, &sandbox.disk) else {
            return;
        };
        runner.posting = None;
        let begun = disk.record.turns.contains_key(turn);
        self.report(at, RunnerEvent::TurnAccepted { turn_id: turn.clone() });
        if begun {
            self.engine_did(at);
        } else {
            self.end_turn(at, turn, TurnOutcome::Aborted, Some(cause("aborted")));
        }
    }

    /// A turn is to run. The same one again changes nothing.
    pub fn told_run(&mut self, at: usize, turn: TurnId, text: String) {
        let sandbox = &mut self.host.sandboxes[at];
        let (Some(runner), Some(disk)) = (&mut sandbox.runner, &sandbox.disk) else {
            return;
        };
        let current = current(runner, disk);
        if current == Some(&turn) || disk.turns.get(&turn) == Some(&true) {
            return;
        }
        runner.next = Some((turn, text));
        self.start_next(at);
    }

    fn start_next(&mut self, at: usize) {
        let sandbox = &mut self.host.sandboxes[at];
        let (Some(runner), Some(disk)) = (&mut sandbox.runner, &mut sandbox.disk) else {
            return;
        };
        if !runner.ready || current(runner, disk).is_some() {
            return;
        }
        let Some((turn, text)) = runner.next.take() else { return };
        disk.turns.entry(turn.clone()).or_insert(false);
        disk.noted = Some((turn.clone(), text.clone()));
        self.post(at, turn, text);
    }

    /// The prompt goes to the engine.
    fn post(&mut self, at: usize, turn: TurnId, text: String) {
        let Some(runner) = &mut self.host.sandboxes[at].runner else {
            return;
        };
        runner.posting = Some((turn.clone(), text));
        let delay = if runner.rng.one_in(8) {
            runner.rng.span(1, 5_000)
        } else {
            runner.rng.span(1, 60)
        };
        let number = runner.number;
        self.later(delay, Event::Post(at, number, turn));
    }

    /// The engine has the prompt; the runner hears of that a moment later.
    pub fn posted(&mut self, at: usize, number: u64, turn: &TurnId) {
        let sandbox = &mut self.host.sandboxes[at];
        let Some(runner) = &mut sandbox.runner else { return };
        let posting = runner.posting.clone().filter(|(posting, _)| posting == turn);
        let Some((_, text)) = posting.filter(|_| runner.number == number && runner.ready) else {
            return;
        };
        if sandbox.engine.is_none() {
            return;
        }
        let delay = runner.rng.between(0, 20);
        self.engine_takes(at, turn, &text);
        self.later(delay, Event::Posted(at, number, turn.clone()));
    }

    /// The engine's answer to the post.
    pub fn post_answered(&mut self, at: usize, number: u64, turn: &TurnId) {
        let Some(runner) = &mut self.host.sandboxes[at].runner else {
            return;
        };
        let same = runner.posting.as_ref().is_some_and(|(posting, _)| posting == turn);
        if runner.number != number || !same || !runner.ready {
            return;
        }
        runner.posting = None;
        self.report(at, RunnerEvent::TurnAccepted { turn_id: turn.clone() });
        self.engine_did(at);
        self.pump(at);
    }

    /// A prompt is to be taken in by the turn that runs. The same one again is answered again.
    pub fn told_steer(&mut self, at: usize, turn: &TurnId, prompt: &PromptId, text: &str) {
        let sandbox = &mut self.host.sandboxes[at];
        let (Some(runner), Some(disk)) = (&mut sandbox.runner, &mut sandbox.disk) else {
            return;
        };
        let (turn_id, prompt_id) = (turn.clone(), prompt.clone());
        if let Some(taken) = disk.steers.get(prompt) {
            let turn_id = taken.clone();
            self.report(at, RunnerEvent::SteerAccepted { turn_id, prompt_id });
        } else if runner.ready && sandbox.engine.is_some() && disk.spool.reported.turn.as_ref() == Some(turn) {
            disk.steers.insert(prompt.clone(), turn.clone());
            self.report(at, RunnerEvent::SteerAccepted { turn_id, prompt_id });
            self.engine_steers(at, turn, prompt, text);
        } else {
            let cause = cause("no_such_turn");
            self.report(
                at,
                RunnerEvent::SteerRefused {
                    turn_id,
                    prompt_id,
                    cause,
                },
            );
        }
        self.pump(at);
    }

    /// A turn is to stop.
    pub fn told_abort(&mut self, at: usize, turn: &TurnId) {
        let sandbox = &mut self.host.sandboxes[at];
        let (Some(runner), Some(disk)) = (&mut sandbox.runner, &sandbox.disk) else {
            return;
        };
        if runner.next.as_ref().is_some_and(|(next, _)| next == turn) {
            runner.next = None;
            self.report(at, RunnerEvent::TurnAccepted { turn_id: turn.clone() });
            self.end_turn(at, turn, TurnOutcome::Aborted, Some(cause("aborted")));
        } else if current(runner, disk) == Some(turn) {
            if runner.ready {
                let delay = if runner.rng.one_in(8) {
                    20_000
                } else {
                    runner.rng.span(1, 500)
                };
                self.later(delay, Event::Stop(at, turn.clone()));
            } else {
                // What the engine has completed is reported first, once it is up.
                runner.stopping = Some(turn.clone());
            }
        }
        self.pump(at);
    }

    /// A person's answer reaches the engine.
    pub fn answered(&mut self, at: usize, id: &InteractionId, answer: Answer) {
        let sandbox = &mut self.host.sandboxes[at];
        let Some(disk) = &mut sandbox.disk else { return };
        let Some(engine) = &sandbox.engine else { return };
        let number = engine.number;
        let asks = disk.record_mut().turns.values_mut().flat_map(|turn| &mut turn.asks);
        let Some(ask) = asks.into_iter().find(|ask| ask.id == *id && ask.open) else {
            return;
        };
        ask.open = false;
        self.check_answer(id, &answer);
        self.truth.answers.insert(id.clone(), answer);
        self.engine_did(at);
        self.plan_work(at, number);
    }

    /// The engine did something: what of it is new is reported.
    pub fn engine_did(&mut self, at: usize) {
        let sandbox = &mut self.host.sandboxes[at];
        let (Some(runner), Some(disk)) = (&mut sandbox.runner, &sandbox.disk) else {
            return;
        };
        let Some(turn) = disk.spool.reported.turn.clone().filter(|_| runner.ready) else {
            return;
        };
        let now = self.now;
        let record = disk.record.turns.get(&turn);
        let events = record.map_or_else(Vec::new, |record| news(disk, &turn, record));
        let ended = record.and_then(|record| record.ended.clone());
        let works = record.is_some_and(|record| record.works);
        self.report_all(at, events);
        self.stream(at, &turn);
        if let Some((outcome, cause)) = ended {
            self.end_turn(at, &turn, outcome, cause);
        } else if !works {
            // The engine that worked on it is gone.
            self.cut_off(at, &turn, now);
            self.end_turn(at, &turn, TurnOutcome::Failed, Some(cause("engine_crashed")));
        }
        self.pump(at);
    }

    /// Follows the texts of open parts.
    fn stream(&mut self, at: usize, turn: &TurnId) {
        let sandbox = &mut self.host.sandboxes[at];
        let (Some(runner), Some(disk)) = (&mut sandbox.runner, &sandbox.disk) else {
            return;
        };
        let Some(record) = disk.record.turns.get(turn) else {
            return;
        };
        let parts = record.messages.iter().flat_map(|message| &message.parts);
        for part in parts.filter(|part| part.state == PartState::Open) {
            let id = &part.part.id;
            if matches!(part.part.body, PartBody::Tool { .. }) {
                runner
                    .streams
                    .follow(id, &part.text, disk.spool.last(), streams::TOOL_EVERY);
            } else if let Some(more) = runner.streams.text(id).and_then(|had| part.text.strip_prefix(had)) {
                // Prose is told piece by piece: whoever has missed some does not follow it any more.
                let more = more.to_owned();
                runner.streams.append(id, &more);
            }
        }
    }

    /// Parts that were being written are closed with what is known of them.
    fn cut_off(&mut self, at: usize, turn: &TurnId, now: i64) {
        let sandbox = &self.host.sandboxes[at];
        let (Some(runner), Some(disk)) = (&sandbox.runner, &sandbox.disk) else {
            return;
        };
        let reported = &disk.spool.reported;
        let open = reported.open_parts().into_iter().filter_map(|id| {
            let mark = reported.parts.get(&id)?;
            let text = runner.streams.text(&id).unwrap_or_default().to_owned();
            let part: Part = mark.open.clone()?.with_streaming_text(text);
            Some(RunnerEvent::PartFinished {
                turn_id: turn.clone(),
                message_id: mark.message.clone(),
                part: Part {
                    ended_at: Some(time(now)),
                    ..part
                },
            })
        });
        let closed = reported.interactions.iter().cloned();
        let closed = closed.map(|interaction_id| RunnerEvent::InteractionClosed { interaction_id });
        let events = open.chain(closed).collect();
        self.report_all(at, events);
    }

    /// The engine will not come back: the turn that it had is over.
    pub fn engine_gone(&mut self, at: usize) {
        let sandbox = &mut self.host.sandboxes[at];
        let (Some(runner), Some(disk)) = (&mut sandbox.runner, &sandbox.disk) else {
            return;
        };
        let turn = current(runner, disk).cloned();
        runner.posting = None;
        if let Some(turn) = turn {
            // What an engine completed unheard cannot be read without one.
            for id in unread(disk, &turn) {
                self.truth.unread(&id);
            }
            self.end_turn(at, &turn, TurnOutcome::Failed, Some(cause("engine_failed")));
        }
    }

    fn end_turn(&mut self, at: usize, turn: &TurnId, outcome: TurnOutcome, cause: Option<Cause>) {
        self.cut_off(at, turn, self.now);
        self.report(
            at,
            RunnerEvent::TurnFinished {
                turn_id: turn.clone(),
                outcome,
                cause,
                usage: Usage::default(),
                files: Vec::new(),
            },
        );
        if let Some(disk) = &mut self.host.sandboxes[at].disk {
            disk.turns.insert(turn.clone(), true);
            disk.last_turn = Some(turn.clone());
        }
        self.upload(at, false);
        self.start_next(at);
    }
}

/// The turn that the runner works on.
fn current<'a>(runner: &'a Runner, disk: &'a Disk) -> Option<&'a TurnId> {
    let posting = runner.posting.as_ref().map(|(turn, _)| turn);
    posting.or(disk.spool.reported.turn.as_ref())
}
