//! Which level of settings wins, and what a limit says when it is reached.

#![allow(clippy::unwrap_used, reason = "tests")]

use errand_access::{Levels, Limits, SandboxCaps, Settings, Usage};
use errand_protocol::access::Visibility;
use errand_protocol::settings::{Limit, SandboxWish, SettingsPatch};
use proptest::prelude::*;

fn patch(json: &str) -> SettingsPatch {
    serde_json::from_str(json).unwrap()
}

#[test]
fn a_later_level_wins_where_it_says_something() {
    let levels = Levels {
        system: patch(r#"{"personConcurrentSessions":5,"personDailySessions":50,"orgDailySessions":100}"#),
        org: patch(r#"{"personConcurrentSessions":8,"defaultVisibility":"org","orgDailySessions":200}"#),
        groups: vec![patch(
            r#"{"personDailySessions":"unlimited","orgDailySessions":7,"sandboxMinutes":60}"#,
        )],
        user: patch(r#"{"personConcurrentSessions":1,"orgConcurrentSessions":0}"#),
    };
    let settings = Settings::resolve(&levels);
    assert_eq!(settings.default_visibility, Visibility::Org);
    let expected = Limits {
        person_concurrent: Some(1),
        person_daily: None,
        org_concurrent: None,
        org_daily: Some(200),
    };
    assert_eq!(settings.limits, expected, "groups and users say nothing about the org");
    assert_eq!(settings.sandbox.minutes, Some(60));
    let only_system = Levels {
        system: levels.system,
        ..Levels::default()
    };
    assert_eq!(Settings::resolve(&only_system).limits.person_concurrent, Some(5));
    assert_eq!(Settings::resolve(&Levels::default()), Settings::default());
}

#[test]
fn of_several_groups_the_most_generous_limit_and_the_narrowest_visibility_win() {
    let groups = vec![
        patch(r#"{"personDailySessions":3,"defaultVisibility":"org","sandboxMemoryMib":"unlimited"}"#),
        patch(r#"{"personDailySessions":9,"defaultVisibility":"link","sandboxMemoryMib":1024}"#),
        patch("{}"),
    ];
    let org = patch(r#"{"personDailySessions":20,"defaultVisibility":"private"}"#);
    let settings = Settings::resolve(&Levels {
        org,
        groups,
        ..Levels::default()
    });
    assert_eq!(
        settings.limits.person_daily,
        Some(9),
        "a group may give less than the org"
    );
    assert_eq!(settings.default_visibility, Visibility::Link);
    assert_eq!(settings.sandbox.memory_mib, None);
}

#[test]
fn a_session_gets_what_its_maker_wants_as_far_as_they_may_have_it() {
    let settings = Settings {
        default_visibility: Visibility::Org,
        sandbox: SandboxCaps {
            memory_mib: Some(2048),
            cpu_millis: None,
            minutes: Some(60),
        },
        ..Settings::default()
    };
    let usual = settings.for_session(None, SandboxWish::default()).unwrap();
    assert_eq!(usual.visibility, Visibility::Org);
    assert_eq!((usual.sandbox.memory_mib, usual.sandbox.cpu_millis), (Some(2048), None));
    let roomy = Settings {
        sandbox: SandboxCaps {
            memory_mib: Some(100_000),
            ..SandboxCaps::default()
        },
        ..settings
    };
    let usual = roomy.for_session(None, SandboxWish::default()).unwrap();
    assert_eq!(usual.sandbox.memory_mib, None, "a limit is no wish");
    let wish = |memory, minutes| SandboxWish {
        memory_mib: memory,
        cpu_millis: Some(4000),
        minutes,
    };
    let less = settings
        .for_session(Some(Visibility::Private), wish(Some(512), Some(60)))
        .unwrap();
    assert_eq!(less.visibility, Visibility::Private);
    assert_eq!(less.sandbox, wish(Some(512), Some(60)));
    let refusal = settings.for_session(None, wish(Some(2049), None)).unwrap_err();
    assert!(
        refusal.contains("2048 MiB of memory, not 2049") && refusal.contains("ask for less"),
        "{refusal}"
    );
    assert!(settings.for_session(None, wish(None, Some(61))).is_err());
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
    let one = Limits {
        person_concurrent: Some(1),
        ..Limits::default()
    };
    let refusal = one.refusal(usage(1, 0)).unwrap();
    assert!(refusal.contains("you have 1 session at work"), "{refusal}");
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

fn limit() -> impl Strategy<Value = Option<Limit>> {
    prop_oneof![
        Just(None),
        Just(Some(Limit::Unlimited)),
        (0..20_u32).prop_map(|n| Some(Limit::Most(n)))
    ]
}

prop_compose! {
    fn any_patch()(
        visibility in prop_oneof![
            Just(None), Just(Some(Visibility::Private)), Just(Some(Visibility::Link)), Just(Some(Visibility::Org))
        ],
        limits in prop::array::uniform7(limit()),
    ) -> SettingsPatch {
        let [concurrent, daily, org_concurrent, org_daily, memory, cpu, minutes] = limits;
        SettingsPatch {
            default_model: None,
            allowed_models: None,
            default_visibility: visibility,
            co_author_trailer: None,
            person_concurrent_sessions: concurrent,
            person_daily_sessions: daily,
            org_concurrent_sessions: org_concurrent,
            org_daily_sessions: org_daily,
            sandbox_memory_mib: memory,
            sandbox_cpu_millis: cpu,
            sandbox_minutes: minutes,
        }
    }
}

/// No limit is the greatest.
fn at_least(more: Option<u32>, less: Option<u32>) -> bool {
    more.is_none() || less.is_some_and(|less| more >= Some(less))
}

proptest! {
    #[test]
    fn the_order_of_groups_means_nothing_and_one_more_group_takes_nothing_away(
        system in any_patch(), org in any_patch(), user in any_patch(),
        groups in prop::collection::vec(any_patch(), 0..4), one_more in any_patch(),
    ) {
        let of = |groups: Vec<SettingsPatch>| {
            let levels = Levels { system: system.clone(), org: org.clone(), groups, user: user.clone() };
            Settings::resolve(&levels)
        };
        let before = of(groups.clone());
        prop_assert_eq!(before, of(groups.iter().rev().cloned().collect()));
        if !groups.is_empty() {
            let after = of(groups.iter().cloned().chain([one_more.clone()]).collect());
            // What no group said so far may become less than what the org says: that is what a group is for.
            if groups.iter().any(|group| group.person_daily_sessions.is_some()) {
                prop_assert!(at_least(after.limits.person_daily, before.limits.person_daily));
            }
            if groups.iter().any(|group| group.sandbox_memory_mib.is_some()) {
                prop_assert!(at_least(after.sandbox.memory_mib, before.sandbox.memory_mib));
            }
            prop_assert_eq!(after.limits.org_daily, before.limits.org_daily);
        }
    }

    #[test]
    fn a_session_never_gets_more_than_its_maker_may_have(
        user in any_patch(), memory in prop::option::of(0..40_u32), minutes in prop::option::of(0..40_u32),
    ) {
        let settings = Settings::resolve(&Levels { user, ..Levels::default() });
        let wish = SandboxWish { memory_mib: memory, cpu_millis: None, minutes };
        if let Ok(made) = settings.for_session(None, wish) {
            prop_assert!(at_least(settings.sandbox.memory_mib, made.sandbox.memory_mib));
            prop_assert!(at_least(settings.sandbox.minutes, made.sandbox.minutes));
        }
    }
}
