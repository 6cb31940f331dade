//! What an entry says besides who and how it ended: what it is about, what was made, what was changed to what. Never the
//! value of a secret. An object tells the Worker in a header of its answer ([`Note::onto`]).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use worker::{Headers, Response};

use crate::platform::{json, rpc};

/// Longest target that is kept: addresses hold few ids.
pub(crate) const MAX_TARGET: usize = 300;
/// Longest value of a detail that is kept.
const MAX_VALUE: usize = 500;

/// See the module.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Note {
    /// What it is about, when the address does not say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) target: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) details: BTreeMap<String, String>,
}

impl Note {
    /// It is about this.
    pub(crate) fn about(&mut self, target: &str) {
        self.target = Some(short(target, MAX_TARGET));
    }

    /// This has that value.
    pub(crate) fn say(&mut self, name: &str, value: impl Display) {
        self.details
            .insert(name.to_owned(), short(&value.to_string(), MAX_VALUE));
    }

    /// The fields of something that was made, as JSON has them.
    pub(crate) fn made(&mut self, thing: &impl Serialize) {
        if let Ok(Value::Object(fields)) = serde_json::to_value(thing) {
            for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
                self.say(name, words(Some(value)));
            }
        }
    }

    /// This was one thing, and is another. Nothing when it is the same.
    pub(crate) fn change(&mut self, name: &str, from: impl Display, to: impl Display) {
        let (from, to) = (from.to_string(), to.to_string());
        if from != to {
            let half = MAX_VALUE / 2 - 2;
            self.say(name, format!("{} → {}", short(&from, half), short(&to, half)));
        }
    }

    /// Each field of two objects in which they differ.
    pub(crate) fn fields(&mut self, from: &impl Serialize, to: &impl Serialize) {
        let read = |value: Result<Value, _>| match value {
            Ok(Value::Object(fields)) => fields,
            Ok(_) | Err(_) => serde_json::Map::new(),
        };
        let (from, to) = (read(serde_json::to_value(from)), read(serde_json::to_value(to)));
        let names: BTreeSet<&String> = from.keys().chain(to.keys()).collect();
        for name in names {
            self.change(name, words(from.get(name)), words(to.get(name)));
        }
    }

    /// What was put into a list, and what was taken out.
    pub(crate) fn lists<T: Display>(&mut self, name: &str, from: &[T], to: &[T]) {
        let texts = |list: &[T]| -> BTreeSet<String> { list.iter().map(T::to_string).collect() };
        let (from, to) = (texts(from), texts(to));
        for (what, new, old) in [("added", &to, &from), ("removed", &from, &to)] {
            let some: Vec<&str> = new.difference(old).map(String::as_str).collect();
            if !some.is_empty() {
                self.say(&format!("{name} {what}"), some.join(", "));
            }
        }
    }

    /// What `more` says as well.
    pub(super) fn add(&mut self, more: Self) {
        self.target = more.target.or_else(|| self.target.take());
        self.details.extend(more.details);
    }

    /// The answer of an object, which tells the Worker this.
    ///
    /// # Errors
    /// When a header cannot be set.
    pub(crate) fn onto(&self, answer: Response) -> worker::Result<Response> {
        if *self == Self::default() {
            return Ok(answer);
        }
        // Headers of an answer that is passed on cannot be changed.
        let headers: Headers = answer.headers().entries().collect();
        headers.set(rpc::AUDIT, &json::ascii(&serde_json::to_string(self)?))?;
        Ok(answer.with_headers(headers))
    }
}

fn words(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => "not set".to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

fn short(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_changed_is_told_and_what_stayed_is_not() {
        let mut note = Note::default();
        note.fields(
            &json!({ "same": 1, "gone": true, "more": 2, "list": ["a"] }),
            &json!({ "same": 1, "more": "unlimited", "new": "x", "list": ["a", "b"] }),
        );
        note.change("role", "member", "member");
        let told: Vec<(&str, &str)> = note.details.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        let expected = [
            ("gone", "true → not set"),
            ("list", r#"["a"] → ["a","b"]"#),
            ("more", "2 → unlimited"),
            ("new", "not set → x"),
        ];
        assert_eq!(told, expected);
    }

    #[test]
    fn of_lists_only_the_difference_is_told() {
        let mut note = Note::default();
        note.lists("hosts", &["a", "b"], &["b", "c", "d"]);
        note.lists("secrets", &["A"], &["A"]);
        let told: Vec<(&str, &str)> = note.details.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(told, [("hosts added", "c, d"), ("hosts removed", "a")]);
    }

    #[test]
    fn what_is_long_is_cut() {
        let mut note = Note::default();
        note.say("name", "ä".repeat(9999));
        note.change("limit", "x".repeat(9999), "y");
        note.about(&"t".repeat(9999));
        assert!(note.details.values().all(|value| value.chars().count() <= MAX_VALUE));
        assert!(note.details["limit"].ends_with("… → y"), "both sides are told");
        assert_eq!(note.target.unwrap().chars().count(), MAX_TARGET);
    }

    #[test]
    fn the_later_word_counts() {
        let mut note = Note::default();
        note.about("ses_1");
        note.say("a", 1);
        let mut more = Note::default();
        more.say("b", 2);
        note.add(more);
        assert_eq!(note.target.as_deref(), Some("ses_1"));
        assert_eq!(note.details.len(), 2);
    }
}
