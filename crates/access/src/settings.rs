//! What can be set, at which level, and which level wins: system, then org, then group, then user, then session, each
//! overriding what the ones before it say. All of it is resolved in [`Settings::resolve`]; nothing else compares levels.

use errand_protocol::access::Visibility;
use errand_protocol::settings::{Limit, SettingsPatch};
use serde::{Deserialize, Serialize};

/// Everything that can be set, with its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    /// Who sees a new session.
    pub default_visibility: Visibility,
    /// Whether commits of new sessions name Errand as a co-author.
    #[serde(default)]
    pub co_author_trailer: bool,
    /// How many sessions there may be.
    pub limits: Limits,
}

/// How many sessions there may be; [`None`] is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Of one person, at work at the same time.
    pub person_concurrent: Option<u32>,
    /// Of one person, made within 24 hours.
    pub person_daily: Option<u32>,
    /// Of the org, at work at the same time.
    pub org_concurrent: Option<u32>,
    /// Of the org, made within 24 hours.
    pub org_daily: Option<u32>,
}

impl Settings {
    /// What holds, from what each level says; the later ones win. What concerns the org as a whole is said by the system
    /// and the org (the first two) alone.
    pub fn resolve(levels: &[SettingsPatch]) -> Self {
        let mut settings = Self {
            default_visibility: Visibility::Private,
            co_author_trailer: false,
            limits: Limits::default(),
        };
        for (level, patch) in levels.iter().enumerate() {
            let limits = &mut settings.limits;
            set(&mut settings.default_visibility, patch.default_visibility);
            set(&mut settings.co_author_trailer, patch.co_author_trailer);
            set(
                &mut limits.person_concurrent,
                patch.person_concurrent_sessions.map(Limit::get),
            );
            set(&mut limits.person_daily, patch.person_daily_sessions.map(Limit::get));
            if level < 2 {
                set(
                    &mut limits.org_concurrent,
                    patch.org_concurrent_sessions.map(Limit::get),
                );
                set(&mut limits.org_daily, patch.org_daily_sessions.map(Limit::get));
            }
        }
        settings
    }
}

fn set<T>(place: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *place = value;
    }
}

/// How many sessions there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Of the person, at work now.
    pub person_concurrent: u32,
    /// Of the person, made within 24 hours.
    pub person_daily: u32,
    /// Of the org, at work now.
    pub org_concurrent: u32,
    /// Of the org, made within 24 hours.
    pub org_daily: u32,
}

impl Limits {
    /// Why there may not be one more session, in words that say what it waits for.
    pub fn refusal(&self, usage: Usage) -> Option<String> {
        let checks = [
            (
                self.person_concurrent,
                usage.person_concurrent,
                "you have",
                "at work: wait until one rests, or pause one",
            ),
            (
                self.person_daily,
                usage.person_daily,
                "you have made",
                "within 24 hours: wait until the oldest is older than that",
            ),
            (
                self.org_concurrent,
                usage.org_concurrent,
                "your org has",
                "at work: wait until one rests",
            ),
            (
                self.org_daily,
                usage.org_daily,
                "your org has made",
                "within 24 hours: wait until the oldest is older than that",
            ),
        ];
        let (limit, _, who, what) = checks
            .into_iter()
            .find(|(limit, used, ..)| limit.is_some_and(|limit| *used >= limit))?;
        Some(format!(
            "{who} {} sessions {what}; an admin can raise this limit",
            limit?
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patch(json: &str) -> SettingsPatch {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_later_level_wins_where_it_says_something() {
        let system = patch(r#"{"personConcurrentSessions":5,"personDailySessions":50,"orgDailySessions":100}"#);
        let org = patch(r#"{"personConcurrentSessions":8,"defaultVisibility":"org","orgDailySessions":200}"#);
        let group = patch(r#"{"personDailySessions":"unlimited","orgDailySessions":7}"#);
        let user = patch(r#"{"personConcurrentSessions":1,"orgConcurrentSessions":0}"#);
        let settings = Settings::resolve(&[system.clone(), org, group, user]);
        assert_eq!(settings.default_visibility, Visibility::Org);
        let expected = Limits {
            person_concurrent: Some(1),
            person_daily: None,
            org_concurrent: None,
            org_daily: Some(200),
        };
        assert_eq!(settings.limits, expected, "a user's level says nothing about the org");
        assert_eq!(Settings::resolve(&[system]).limits.person_concurrent, Some(5));
        assert_eq!(Settings::resolve(&[]).limits, Limits::default());
    }

    #[test]
    fn one_more_than_the_limit_is_refused_with_the_reason() {
        let limits = Limits {
            person_concurrent: Some(2),
            org_daily: Some(3),
            ..Limits::default()
        };
        let usage = |person_concurrent, org_daily| Usage {
            person_concurrent,
            org_daily,
            person_daily: 1000,
            org_concurrent: 1000,
        };
        assert_eq!(limits.refusal(usage(1, 2)), None);
        let refusal = limits.refusal(usage(2, 0)).unwrap();
        assert!(refusal.contains("you have 2 sessions at work"), "{refusal}");
        let refusal = limits.refusal(usage(0, 3)).unwrap();
        assert!(
            refusal.contains("your org has made 3 sessions within 24 hours"),
            "{refusal}"
        );
        let none = Limits {
            person_daily: Some(0),
            ..Limits::default()
        };
        assert!(none.refusal(Usage::default()).is_some());
    }
}
