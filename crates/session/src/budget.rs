//! What a session does when a budget is nearly or wholly used up. Which calls of models are made is the ledger's
//! decision; here it is decided how the session comes to rest.
//!
//! When one is used up, the running turn gets one last prompt, [`NOTE`], for which something of the budget is kept: as a
//! prompt that steers it, or as a turn of its own should it have ended. Nothing else is begun. When the note is written,
//! refused, or [`crate::Timings::note`] is over, the work is pushed (`push`) and the session rests: the work is saved, its
//! cause is `budget`, and whoever may grant it is asked to extend the budget. It goes on when that is granted, when the budget begins anew, or when a
//! person says so.

use errand_protocol::api::ErrorCode;
use errand_protocol::event::EventBody;
use errand_protocol::git::Pushed;
use errand_protocol::ids::{BudgetId, InteractionId, PromptId, TurnId};
use errand_protocol::interaction::{Answer, Ask, Interaction, Resolution};
use errand_protocol::money::{BudgetLevel, BudgetNotice, Micros};
use errand_protocol::runner::GitAuthor;
use errand_protocol::session::{Cause, Person, Place, Prompt, PromptMode, PromptState, TurnOutcome};
use errand_protocol::startup::Watchdog;
use errand_protocol::text::PromptText;
use errand_protocol::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::core::Life;
use crate::effect::Rejection;
use crate::push::Push;
use crate::session::{Placed, Session, Step};
use crate::timings::Timings;

/// The last prompt of a turn whose budget is used up.
pub const NOTE: &str = "The budget for this work is used up. Stop working on it. If there are changes worth keeping, \
    you may run one command to commit them and to push your branch, when there is a remote that takes it. Then write a \
    hand-over note as your answer, and nothing else: what was asked, what is done, what is not, what to do next, and \
    what whoever goes on must know. Keep it short.";
/// What the work goes on with.
const GO_ON: &str = "The budget was extended. Go on with the work where your hand-over note left off.";
/// So much of a commit's name is told in a sentence.
const SHORT: usize = 10;
/// So many warnings are remembered.
const MAX_WARNED: usize = 16;
/// When nothing is answered, and the budget never begins anew, it is tried again after so many times the patience with
/// people.
const PATIENCE: i64 = 30;

/// A session that was told to stop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BudgetStop {
    /// Why.
    pub notice: BudgetNotice,
    /// Since when.
    pub since: Timestamp,
    /// The prompt that asks for the hand-over note, while one can be written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<PromptId>,
    /// The lost turn that may have taken the note in: its sandbox went before its runner could say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub perhaps_in: Option<TurnId>,
    /// Nothing is left for it any more, or its time is up.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub spent: bool,
    /// The note is written.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub noted: bool,
    /// Work was cut off.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
    /// What is asked of people, once it rests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Interaction>,
    /// Whose work it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<GitAuthor>,
    /// How far the work is on its way to the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push: Option<Push>,
    /// It was raised before the session rests: then it goes on at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raised: Option<Raise>,
}

/// Somebody has raised or removed a budget.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Raise {
    /// How much from now on; none when there is no such budget any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    limit: Option<Micros>,
    by: Person,
}

impl From<Raise> for Resolution {
    fn from(Raise { limit, by }: Raise) -> Self {
        match limit {
            Some(limit) => Self::Answered {
                answer: Answer::Extend { limit },
                by,
            },
            None => Self::Cancelled {},
        }
    }
}

impl BudgetStop {
    /// Why a turn was cut.
    pub(crate) fn reason(&self) -> Cause {
        let BudgetNotice { what, limit, .. } = &self.notice;
        Cause::new("budget", format!("{what} of {} is used up.", limit.dollars()))
    }

    /// Why the session rests.
    fn cause(&self, open: usize) -> Cause {
        let BudgetNotice { what, limit, .. } = &self.notice;
        let note = match (self.cut, self.noted) {
            (false, _) => String::new(),
            (true, true) => " The agent left a hand-over note.".to_owned(),
            (true, false) if open == 0 => " There was nothing left for a hand-over note.".to_owned(),
            (true, false) => {
                format!(" There was nothing left for a hand-over note; {open} entries of the agent's list are open.")
            }
        };
        let then = match self.notice.until {
            Some(until) => format!("goes on at {until}, or when it is extended"),
            None => "goes on when it is extended".to_owned(),
        };
        let work = match &self.push {
            Some(Push::Done(Pushed { branch, commit })) => {
                format!("pushed to {branch} ({})", commit.get(..SHORT).unwrap_or(commit))
            }
            Some(Push::Asked { .. } | Push::Over {}) | None => "kept".to_owned(),
        };
        let message = format!(
            "{what} of {} is used up. What was done is {work}.{note} It {then}.",
            limit.dollars()
        );
        Cause::new("budget", message)
    }
}

impl Session {
    /// Whether calls of models may use what is kept for a hand-over note.
    pub fn writes_note(&self) -> bool {
        let stop = self.core.budget.as_ref();
        stop.is_some_and(|stop| stop.asked.is_none() && stop.note.is_some() && !stop.spent)
    }

    /// How far the session's budgets have come.
    pub(crate) fn budget_level(&self) -> Option<BudgetLevel> {
        if self.core.budget.is_some() {
            return Some(BudgetLevel::UsedUp);
        }
        (!self.core.warned.is_empty()).then_some(BudgetLevel::Soft)
    }

    /// What is asked of people while it rests.
    pub fn budget_ask(&self) -> Option<&Interaction> {
        self.core.budget.as_ref()?.asked.as_ref()
    }

    /// Why it rests.
    pub(crate) fn budget_cause(&self) -> Option<Cause> {
        let stop = self.core.budget.as_ref().filter(|stop| stop.asked.is_some())?;
        let open = self.core.todos.iter().filter(|todo| todo.status != "completed");
        Some(stop.cause(open.count()))
    }

    /// The place of the prompt that may be begun next: none while a budget is used up, but for the note's.
    pub(crate) fn next_prompt(&self) -> Option<usize> {
        match &self.core.budget {
            None => (!self.queue.is_empty()).then_some(0),
            Some(stop) => {
                let note = stop.note.as_ref().filter(|_| !stop.spent)?;
                self.queue.iter().position(|placed| placed.prompt.id == *note)
            }
        }
    }

    /// Whether there is something to do that needs a sandbox.
    pub(crate) fn wants_sandbox(&self) -> bool {
        self.core.turn.is_some() || self.next_prompt().is_some()
    }

    pub(crate) fn budget_deadline(&self, timings: &Timings) -> Option<Timestamp> {
        let stop = self.core.budget.as_ref()?;
        if let Some(asked) = &stop.asked {
            return Some(asked.deadline);
        }
        if let Some(until) = self.push_deadline(timings) {
            return Some(until);
        }
        let runs = self.core.turn.as_ref().is_some_and(|turn| turn.abort.is_none());
        (runs || self.next_prompt().is_some()).then(|| stop.since.plus(timings.note))
    }
}

/// Whose words [`NOTE`] is.
fn errand() -> Option<Person> {
    Some(Person {
        id: "usr_errand".parse().ok()?,
        name: "Errand".to_owned(),
        email: "errand@users.errand.invalid".to_owned(),
    })
}

impl Step<'_, '_> {
    /// The ledger says how a budget stands. `reserve`: something is left for a hand-over note.
    pub(crate) fn budget_heard(&mut self, notice: BudgetNotice, level: BudgetLevel, reserve: bool) {
        if self.s.core.life == Life::Terminated {
            return;
        }
        match level {
            BudgetLevel::Soft => self.budget_warns(notice),
            BudgetLevel::UsedUp => self.budget_reached(notice, reserve),
        }
    }

    /// Told once for a budget, limit and period.
    fn budget_warns(&mut self, notice: BudgetNotice) {
        let same = |known: &BudgetNotice| (known.limit, known.until) == (notice.limit, notice.until);
        let warned = &mut self.s.core.warned;
        if warned.iter().any(|known| known.budget == notice.budget && same(known)) {
            return;
        }
        warned.retain(|known| known.budget != notice.budget);
        warned.push(notice.clone());
        if warned.len() > MAX_WARNED {
            warned.remove(0);
        }
        self.log(EventBody::BudgetWarned { notice });
    }

    /// Budgets that have begun anew do not warn any more.
    pub(crate) fn forget_warnings(&mut self) {
        let now = self.cx.now;
        self.s
            .core
            .warned
            .retain(|notice| notice.until.is_none_or(|until| until > now));
    }

    fn forget_warnings_of(&mut self, budget: &BudgetId) {
        self.s.core.warned.retain(|notice| notice.budget != *budget);
    }

    fn budget_reached(&mut self, notice: BudgetNotice, reserve: bool) {
        if self.s.core.budget.is_some() {
            if !reserve {
                self.drop_note();
            }
            return;
        }
        let runs = self.s.core.turn.as_ref().is_some_and(|turn| turn.abort.is_none());
        self.log(EventBody::BudgetReached { notice: notice.clone() });
        self.s.core.budget = Some(BudgetStop {
            notice,
            since: self.cx.now,
            note: None,
            perhaps_in: None,
            spent: !reserve,
            noted: false,
            cut: runs,
            asked: None,
            author: runs.then(|| self.s.author()),
            push: None,
            raised: None,
        });
        if runs && reserve {
            let note = errand().and_then(|by| self.enqueue_first(NOTE, by, PromptMode::Steer));
            if let Some(stop) = &mut self.s.core.budget {
                stop.note = note;
            }
        }
    }

    /// Puts a prompt of our own before all others.
    fn enqueue_first(&mut self, text: &str, author: Person, mode: PromptMode) -> Option<PromptId> {
        let id = PromptId::from_body(&(self.cx.ids)()).ok()?;
        let prompt = Prompt {
            id: id.clone(),
            text: PromptText::try_from(text.to_owned()).ok()?,
            author: author.clone(),
            model: None,
            mode,
            state: PromptState::Queued,
            created_at: self.cx.now,
        };
        self.enqueue(Placed {
            prompt: prompt.clone(),
            position: 0,
        });
        self.log(EventBody::PromptQueued { prompt });
        self.runs_next(&id, author);
        Some(id)
    }

    /// It runs next. One that is being handed to the agent stays where it is.
    pub(crate) fn runs_next(&mut self, id: &PromptId, by: Person) {
        let _ = self.move_prompt(id, Place::First, by);
    }

    /// The note's prompt runs next, wherever people have put it.
    pub(crate) fn note_first(&mut self) {
        let note = self.s.core.budget.as_ref().and_then(|stop| stop.note.clone());
        if let (Some(note), Some(by)) = (note, errand()) {
            self.runs_next(&note, by);
        }
    }

    /// No note is written any more; what the agent has of it already goes on with its turn.
    fn drop_note(&mut self) {
        let Some(stop) = &mut self.s.core.budget else { return };
        stop.spent = true;
        self.dirty = true;
        let Some(note) = stop.note.clone() else { return };
        if !self.s.being_handed_over(&note) {
            self.withdraw_our_own();
        }
    }

    /// A turn is lost with its sandbox. Its agent may have the note, and will say so only when its files are used again.
    pub(crate) fn note_lost_with(&mut self, turn_id: &TurnId) {
        let note = self.s.core.budget.as_ref().and_then(|stop| stop.note.as_ref());
        if note.is_some_and(|note| self.s.being_handed_over(note))
            && let Some(stop) = &mut self.s.core.budget
        {
            stop.perhaps_in = Some(turn_id.clone());
            self.dirty = true;
        }
    }

    /// A turn ends. Whether its failure is the budget's; and whether the note is written.
    pub(crate) fn budget_ends_turn(&mut self, prompts: &[PromptId], outcome: TurnOutcome) -> Option<Cause> {
        let stop = self.s.core.budget.as_mut()?;
        let has_note = stop.note.as_ref().is_some_and(|note| prompts.contains(note));
        stop.noted |= has_note && outcome == TurnOutcome::Done;
        stop.cut = true;
        (outcome == TurnOutcome::Failed).then(|| stop.reason())
    }

    /// Time for the note is up, or for an answer.
    pub(crate) fn budget_due(&mut self) {
        let now = self.cx.now;
        if self.s.budget_deadline(self.cx.timings).is_none_or(|at| at > now) {
            return;
        }
        let Some(stop) = &self.s.core.budget else { return };
        if stop.asked.is_some() {
            let answer = Answer::Dismiss {};
            self.go_on(Resolution::Expired { answer });
            return self.wake();
        }
        if self.s.push_deadline(self.cx.timings).is_some() {
            return; // It rests without that.
        }
        let cause = stop.reason();
        self.drop_note();
        if self.s.core.turn.is_some() {
            self.verdict(
                Watchdog::TurnTotal,
                cause.clone(),
                "The turn is stopped: its budget is used up.",
            );
            self.abort_turn(None, Some(cause));
        }
    }

    /// Comes to rest when nothing is left to do but what waits for the budget.
    pub(crate) fn rest_for_budget(&mut self) {
        let stop = self.s.core.budget.as_ref();
        if self.s.core.life == Life::Terminated || self.s.wants_sandbox() || stop.is_none_or(|s| s.asked.is_some()) {
            return;
        }
        if self.push_goes_on() {
            return;
        }
        self.ask_for_more();
        if let Some(raise) = self.s.core.budget.as_mut().and_then(|stop| stop.raised.take()) {
            self.go_on(raise.into());
            return self.wake();
        }
        match self.s.core.life {
            Life::Running { .. } => self.pause(),
            Life::Starting { .. } | Life::Reconnecting { .. } => self.leave_start(),
            Life::Pausing { .. } | Life::Idle | Life::Paused | Life::Error { .. } | Life::Terminated => {}
        }
    }

    fn ask_for_more(&mut self) {
        let now = self.cx.now;
        let Ok(id) = InteractionId::from_body(&(self.cx.ids)()) else {
            return;
        };
        // Of no turn: the one that was cut is over.
        let Ok(turn_id) = TurnId::from_body("none") else { return };
        self.withdraw_our_own();
        let Some(stop) = &mut self.s.core.budget else { return };
        let never = now.plus(self.cx.timings.interaction.saturating_mul(PATIENCE));
        let interaction = Interaction {
            id,
            turn_id,
            part_id: None,
            ask: Ask::Budget {
                notice: stop.notice.clone(),
            },
            opened_at: now,
            deadline: stop.notice.until.unwrap_or(never).max(now.plus(1_000)),
        };
        stop.note = None;
        stop.asked = Some(interaction.clone());
        self.log(EventBody::InteractionOpened { interaction });
    }

    /// A note's prompt that was not begun is of no use any more. What an agent may have had is not taken back: it ended
    /// with the turn.
    fn withdraw_our_own(&mut self) {
        let Some(by) = errand() else { return };
        let stop = self.s.core.budget.as_ref();
        if let Some((turn_id, note)) = stop.and_then(|stop| stop.perhaps_in.clone().zip(stop.note.clone())) {
            self.steer_accepted(turn_id, note);
        }
        let ours = |placed: &Placed| placed.prompt.author.id == by.id;
        while let Some(at) = self.s.queue.iter().position(ours) {
            let placed = self.s.queue.remove(at);
            self.withdrawn(placed, by.clone());
        }
    }

    /// A person who may extends the budget; the ledger has done so already.
    pub(crate) fn extend_budget(&mut self, by: Person, limit: Micros) -> Result<(), Rejection> {
        let stop = self.s.core.budget.as_ref();
        if stop.is_some_and(|stop| limit <= stop.notice.limit) {
            let message = "The new limit must be higher than the one that is used up.";
            return Err(Rejection::new(ErrorCode::Invalid, message));
        }
        let cut = stop.is_some_and(|stop| stop.cut);
        if let Some(which) = stop.map(|stop| stop.notice.budget.clone()) {
            self.forget_warnings_of(&which);
        }
        self.go_on(Resolution::Answered {
            answer: Answer::Extend { limit },
            by: by.clone(),
        });
        if cut {
            self.enqueue_first(GO_ON, by, PromptMode::Queue);
        }
        self.wake();
        Ok(())
    }

    /// Somebody has raised or removed a budget, not only for this session. What waits goes on; work that was cut off does
    /// not go on by itself: who raised it may not know what it was.
    pub(crate) fn budget_raised(&mut self, budget: &BudgetId, limit: Option<Micros>, by: Person) {
        let stop = self.s.core.budget.as_ref();
        let enough = |stop: &BudgetStop| limit.is_none_or(|limit| limit > stop.notice.limit);
        if !stop.is_some_and(|stop| stop.notice.budget == *budget && enough(stop)) {
            return;
        }
        self.forget_warnings_of(budget);
        let raise = Raise { limit, by };
        if let Some(stop) = self.s.core.budget.as_mut().filter(|stop| stop.asked.is_none()) {
            // The note is asked for already.
            stop.raised = Some(raise);
            self.dirty = true;
            return;
        }
        self.go_on(raise.into());
        self.wake();
    }

    /// A person says that it may be tried again.
    pub(crate) fn try_budget_again(&mut self) {
        if self.s.budget_ask().is_some() {
            self.go_on(Resolution::Cancelled {});
        }
    }

    /// Nothing is held back any more.
    pub(crate) fn go_on(&mut self, resolution: Resolution) {
        let Some(stop) = self.s.core.budget.take() else { return };
        self.dirty = true;
        if let Some(asked) = stop.asked {
            self.remember_settled(&asked.id);
            if let Resolution::Answered { by, .. } = &resolution {
                self.s.core.settled_by.insert(asked.id.clone(), by.name.clone());
            }
            self.log(EventBody::InteractionResolved {
                interaction_id: asked.id,
                resolution,
            });
        }
    }
}
