//! What really happened, as somebody sees it who stands outside of the world: what was handed to engines, what they
//! wrote, which disks were lost for good.

use std::collections::{BTreeMap, BTreeSet};

use errand_protocol::ids::{Generation, InteractionId, PartId, PromptId, TurnId};
use errand_protocol::interaction::Answer;
use errand_protocol::transcript::Part;
use errand_session::SandboxLife;

/// The truth.
#[derive(Debug, Default)]
pub struct Truth {
    /// Disks on which each prompt was handed to an engine.
    pub handed: BTreeMap<PromptId, Vec<u32>>,
    /// Which prompt each turn is for.
    pub turns: BTreeMap<TurnId, PromptId>,
    /// What engines wrote.
    pub parts: BTreeMap<PartId, TruePart>,
    /// Disks that were lost for good.
    pub lost: BTreeSet<u32>,
    /// Sandboxes that were lost without anybody having removed them.
    pub vanished: BTreeSet<String>,
    /// What engines were told of their questions.
    pub answers: BTreeMap<InteractionId, Answer>,
    /// Lives of sandboxes that the ledger was told.
    pub lives: BTreeMap<Generation, SandboxLife>,
    /// Prompts of which a viewer knows that they were accepted.
    pub accepted: BTreeSet<PromptId>,
}

/// A part as the engine has it.
#[derive(Debug, Default)]
pub struct TruePart {
    /// Where.
    pub disk: u32,
    /// Its text, and the texts that it had before it was rewritten.
    pub texts: Vec<String>,
    /// Complete.
    pub done: Option<Part>,
    /// Taken back.
    pub removed: bool,
    /// Completed while no runner listened, by an engine that never came up again.
    pub unread: bool,
}

impl TruePart {
    /// Whether this is what it says or said at some time.
    pub fn said(&self, text: &str) -> bool {
        self.texts.iter().any(|whole| whole.starts_with(text))
    }
}

impl Truth {
    /// The ledger is told how long a sandbox was kept: however often, always the same.
    pub fn booked(&mut self, life: &SandboxLife) {
        let known = self.lives.entry(life.generation).or_insert_with(|| life.clone());
        assert_eq!(known, life, "booked: two lives of one sandbox");
        assert!(life.since <= life.until, "booked: {life:?} ended before it began");
    }

    /// The prompt of a turn.
    pub fn prompt_of(&self, turn: &TurnId) -> PromptId {
        let known = self.turns.get(turn);
        assert!(
            known.is_some(),
            "unknown turn: a runner is told of {turn}, which no durable event names"
        );
        known.cloned().unwrap()
    }

    fn part(&mut self, id: &PartId) -> &mut TruePart {
        self.parts.entry(id.clone()).or_default()
    }

    /// A part began.
    pub fn begun(&mut self, id: &PartId, disk: u32) {
        let part = self.part(id);
        part.disk = disk;
        part.texts.push(String::new());
    }

    /// It grew to this text.
    pub fn grow(&mut self, id: &PartId, text: &str) {
        if let Some(last) = self.part(id).texts.last_mut() {
            text.clone_into(last);
        }
    }

    /// Its text was replaced.
    pub fn rewrite(&mut self, id: &PartId, text: &str) {
        self.part(id).texts.push(text.to_owned());
    }

    /// It is complete.
    pub fn done(&mut self, id: &PartId, part: Part) {
        self.part(id).done = Some(part);
    }

    /// It was taken back.
    pub fn removed(&mut self, id: &PartId) {
        self.part(id).removed = true;
    }

    /// Nobody heard of it, and nobody can ask for it any more.
    pub fn unread(&mut self, id: &PartId) {
        self.part(id).unread = true;
    }

    /// How often a prompt was handed over on disks that are not lost.
    pub fn handings(&self, prompt: &PromptId) -> usize {
        let disks = self.handed.get(prompt).map_or(&[][..], Vec::as_slice);
        disks.iter().filter(|disk| !self.lost.contains(disk)).count()
    }
}
