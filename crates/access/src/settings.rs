//! What can be set, at which level, and which level wins: system, then org, then groups, then user, then session, each
//! overriding what the ones before it say. All of it is resolved here ([`Settings::resolve`], [`Settings::for_session`]);
//! nothing else compares levels.
//!
//! Somebody in several groups has what is best for them: of limits the most generous that any of the groups says, so that
//! being taken into a group never takes anything away; of visibilities the narrowest, so that nothing is shown by surprise.
//! The order of groups means nothing.

use errand_protocol::access::Visibility;
use errand_protocol::sandbox::SandboxLimits;
use errand_protocol::settings::{
    Limit, MIN_SANDBOX_CPU, MIN_SANDBOX_MIB, MIN_SANDBOX_MINUTES, SandboxWish, SettingsPatch,
};
use serde::{Deserialize, Serialize};

/// What each level says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Levels {
    /// The installation.
    pub system: SettingsPatch,
    /// The org.
    pub org: SettingsPatch,
    /// The groups of the person.
    pub groups: Vec<SettingsPatch>,
    /// The org, of this person.
    pub user: SettingsPatch,
}

/// Everything that can be set, with its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Settings {
    /// Who sees a new session.
    pub default_visibility: Visibility,
    /// Whether commits of new sessions name Errand as a co-author.
    #[serde(default)]
    pub co_author_trailer: bool,
    /// How many sessions there may be.
    pub limits: Limits,
    /// What sandboxes may be like at most.
    pub sandbox: SandboxCaps,
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

/// What a sandbox may be like at most; [`None`] is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SandboxCaps {
    /// Memory, MiB.
    pub memory_mib: Option<u32>,
    /// CPU, thousandths of a core.
    pub cpu_millis: Option<u32>,
    /// How long it may be up, minutes.
    pub minutes: Option<u32>,
}

impl Settings {
    /// What holds for a person, from what each level says. What concerns the org as a whole is said by the system and the
    /// org alone.
    pub fn resolve(levels: &Levels) -> Self {
        let mut settings = Self::default();
        settings.take(&levels.system);
        settings.take_of_org(&levels.system);
        settings.take(&levels.org);
        settings.take_of_org(&levels.org);
        settings.take(&together(&levels.groups));
        settings.take(&levels.user);
        settings
    }

    fn take(&mut self, patch: &SettingsPatch) {
        set(&mut self.default_visibility, patch.default_visibility);
        set(&mut self.co_author_trailer, patch.co_author_trailer);
        let cap = |place: &mut Option<u32>, limit: Option<Limit>| set(place, limit.map(Limit::get));
        cap(&mut self.limits.person_concurrent, patch.person_concurrent_sessions);
        cap(&mut self.limits.person_daily, patch.person_daily_sessions);
        // Whoever wrote less (the installation's settings are not checked) would get sandboxes that only ever end.
        let at_least = |limit: Option<Limit>, least: u32| limit.map(|limit| limit.max(Limit::Most(least)));
        cap(
            &mut self.sandbox.memory_mib,
            at_least(patch.sandbox_memory_mib, MIN_SANDBOX_MIB),
        );
        cap(
            &mut self.sandbox.cpu_millis,
            at_least(patch.sandbox_cpu_millis, MIN_SANDBOX_CPU),
        );
        cap(
            &mut self.sandbox.minutes,
            at_least(patch.sandbox_minutes, MIN_SANDBOX_MINUTES),
        );
    }

    fn take_of_org(&mut self, patch: &SettingsPatch) {
        set(
            &mut self.limits.org_concurrent,
            patch.org_concurrent_sessions.map(Limit::get),
        );
        set(&mut self.limits.org_daily, patch.org_daily_sessions.map(Limit::get));
    }

    /// What its maker gets for one session: their own wish where they have one, else what is usual, as far as it may be.
    ///
    /// # Errors
    /// Why a wish is more than they may have, in words.
    pub fn for_session(&self, visibility: Option<Visibility>, wish: SandboxWish) -> Result<ForSession, String> {
        let (caps, usual) = (&self.sandbox, SandboxLimits::default());
        Ok(ForSession {
            visibility: visibility.unwrap_or(self.default_visibility),
            co_author: self.co_author_trailer,
            sandbox: SandboxWish {
                memory_mib: fitting(wish.memory_mib, caps.memory_mib, usual.memory_mib, "MiB of memory")?,
                cpu_millis: fitting(
                    wish.cpu_millis,
                    caps.cpu_millis,
                    usual.cpu_millis,
                    "thousandths of a core",
                )?,
                minutes: fitting(wish.minutes, caps.minutes, u32::MAX, "minutes")?,
            },
        })
    }
}

/// What a session is made with, after all levels were asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForSession {
    /// Who sees it.
    pub visibility: Visibility,
    /// Whether its commits name Errand as a co-author.
    pub co_author: bool,
    /// What its sandboxes have at most; what is not said is as usual.
    pub sandbox: SandboxWish,
}

/// A wish, as far as it is allowed; without one, the limit where that is less than what is usual.
fn fitting(wish: Option<u32>, cap: Option<u32>, usual: u32, of: &str) -> Result<Option<u32>, String> {
    match (wish, cap) {
        (Some(wish), Some(cap)) if wish > cap => Err(format!(
            "a sandbox of yours may have {cap} {of}, not {wish}: ask for less; the org's admins set this limit"
        )),
        (Some(wish), _) => Ok(Some(wish)),
        (None, cap) => Ok(cap.filter(|cap| *cap < usual)),
    }
}

/// What several groups say together; see the module.
fn together(groups: &[SettingsPatch]) -> SettingsPatch {
    let most = |of: fn(&SettingsPatch) -> Option<Limit>| groups.iter().filter_map(of).max();
    SettingsPatch {
        default_visibility: groups.iter().filter_map(|group| group.default_visibility).min(),
        co_author_trailer: groups.iter().filter_map(|group| group.co_author_trailer).max(),
        default_model: groups.iter().filter_map(|group| group.default_model.clone()).min(),
        allowed_models: None,
        person_concurrent_sessions: most(|group| group.person_concurrent_sessions),
        person_daily_sessions: most(|group| group.person_daily_sessions),
        org_concurrent_sessions: None,
        org_daily_sessions: None,
        sandbox_memory_mib: most(|group| group.sandbox_memory_mib),
        sandbox_cpu_millis: most(|group| group.sandbox_cpu_millis),
        sandbox_minutes: most(|group| group.sandbox_minutes),
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
        let limit = limit?;
        let sessions = if limit == 1 { "session" } else { "sessions" };
        Some(format!(
            "{who} {limit} {sessions} {what}; the org's admins set this limit"
        ))
    }
}
