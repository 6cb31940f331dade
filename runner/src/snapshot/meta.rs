//! What a snapshot says about itself (`meta.json`). Pure.

use std::collections::BTreeMap;

use errand_protocol::ids::{MessageId, SessionId, TurnId};
use errand_protocol::limits::{OLDEST_SNAPSHOT_RUNTIME, SNAPSHOT_RUNTIME};
use serde::{Deserialize, Serialize};

/// The description.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Meta {
    /// Format of the snapshot.
    pub runtime: u32,
    /// Whose work it is.
    pub session: SessionId,
    /// The commit that the bundle builds on; none when it builds on nothing.
    pub base: Option<String>,
    /// The engine's version.
    pub engine: String,
    /// The engine's session; none when there is no conversation in it.
    pub root: Option<String>,
    /// The files as they are.
    pub now: Place,
    /// All local branches and where they end.
    pub branches: BTreeMap<String, String>,
    /// Finished turns, oldest first.
    pub turns: Vec<TurnMark>,
    /// Turns whose files were left out, because the snapshot would have been too large.
    #[serde(default)]
    pub dropped: Vec<TurnId>,
    /// What else was left out, in words.
    #[serde(default)]
    pub left_out: Vec<String>,
}

/// A state of the files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// The branch that was checked out; none for a detached head.
    pub branch: Option<String>,
    /// The commit that was checked out; none on a branch without commits.
    pub head: Option<String>,
    /// A commit with all files, whose parent is `head`.
    pub commit: String,
}

/// Where a turn ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TurnMark {
    /// Which.
    pub turn_id: TurnId,
    /// Its prompt's message.
    pub prompt: MessageId,
    /// Its last message; none when the agent said nothing.
    pub last_message_id: Option<MessageId>,
    /// The files at its end.
    pub place: Place,
}

/// What is wanted of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    /// The files.
    pub place: Place,
    /// How many of the turns.
    pub turns: usize,
    /// The first message that is not wanted any more.
    pub until: Option<MessageId>,
}

impl Meta {
    /// Why it cannot be read here, if so.
    pub fn refusal(&self) -> Option<String> {
        if self.runtime < OLDEST_SNAPSHOT_RUNTIME {
            Some("it was saved by a version of Errand that is too old".to_owned())
        } else if self.runtime > SNAPSHOT_RUNTIME {
            Some("it was saved by a newer version of Errand".to_owned())
        } else {
            None
        }
    }

    /// The state after `upto`, or as it was last. `Err` says why there is none.
    pub fn cut(&self, upto: Option<&TurnId>) -> Result<Cut, String> {
        let Some(upto) = upto else {
            return Ok(Cut {
                place: self.now.clone(),
                turns: self.turns.len(),
                until: None,
            });
        };
        let at = self.turns.iter().position(|mark| &mark.turn_id == upto);
        let Some((at, mark)) = at.and_then(|at| Some((at, self.turns.get(at)?))) else {
            return Err("it does not know the turn that was asked for".to_owned());
        };
        if self.dropped.contains(upto) {
            return Err("it was too large to keep the files of a turn that long ago".to_owned());
        }
        let next = self.turns.get(at + 1);
        Ok(Cut {
            place: mark.place.clone(),
            turns: at + 1,
            until: next.map(|next| next.prompt.clone()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta() -> Meta {
        let place = |commit: &str| Place {
            branch: Some("main".to_owned()),
            head: Some("h".to_owned()),
            commit: commit.to_owned(),
        };
        let mark = |n: u32| TurnMark {
            turn_id: TurnId::from_body(&n.to_string()).unwrap(),
            prompt: MessageId::from_body(&format!("{n}0")).unwrap(),
            last_message_id: None,
            place: place(&format!("c{n}")),
        };
        Meta {
            runtime: SNAPSHOT_RUNTIME,
            session: "ses_1".parse().unwrap(),
            base: None,
            engine: "1".to_owned(),
            root: Some("ses_engine".to_owned()),
            now: place("now"),
            branches: BTreeMap::new(),
            turns: vec![mark(1), mark(2)],
            dropped: vec!["trn_1".parse().unwrap()],
            left_out: Vec::new(),
        }
    }

    #[test]
    fn formats_that_are_too_old_or_too_new_are_refused() {
        let mut meta = meta();
        assert_eq!(meta.refusal(), None);
        meta.runtime = OLDEST_SNAPSHOT_RUNTIME - 1;
        assert!(meta.refusal().unwrap().contains("too old"));
        meta.runtime = SNAPSHOT_RUNTIME + 1;
        assert!(meta.refusal().unwrap().contains("newer"));
    }

    #[test]
    fn a_cut_ends_before_the_next_turns_prompt() {
        let mut meta = meta();
        assert_eq!(meta.cut(None).unwrap().place.commit, "now");
        assert!(
            meta.cut(Some(&"trn_1".parse().unwrap())).is_err(),
            "its files were dropped"
        );
        meta.dropped.clear();
        let cut = meta.cut(Some(&"trn_1".parse().unwrap())).unwrap();
        assert_eq!((cut.place.commit.as_str(), cut.turns), ("c1", 1));
        assert_eq!(cut.until.unwrap().as_str(), "msg_20");
        assert!(meta.cut(Some(&"trn_9".parse().unwrap())).is_err());
    }
}
