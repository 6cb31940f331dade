//! The link's rules, step by step.

use super::*;
use errand_protocol::runner::GitAuthor;
use errand_protocol::time::Timestamp;

fn greeting(last: u64) -> Greeting {
    Greeting {
        generation: Generation(1),
        spool: SpoolId::from_body("1").unwrap(),
        last,
        turn: None,
        ready: false,
    }
}

fn welcome(acked: u64, expires: i64) -> Input {
    Input::Frame(AgentFrame::Welcome {
        protocol: PROTOCOL_VERSION,
        acked,
        setup: RunnerSetup {
            session_id: "ses_1".parse().unwrap(),
            repo: None,
            model: "demo/demo".parse().unwrap(),
            providers: std::collections::BTreeMap::new(),
            author: GitAuthor {
                name: "A".to_owned(),
                email: "a@example.com".to_owned(),
            },
            git: None,
            title: None,
            permissions: std::collections::BTreeMap::new(),
            snapshot: None,
        },
        token: SandboxToken {
            token: "second".to_owned(),
            expires_at: Timestamp::from_millis(expires),
        },
    })
}

fn step(link: &mut Link, input: Input, last: u64, now: i64) -> Vec<Action> {
    link.handle(input, &greeting(last), now, 0.0)
}

/// A link that is up with `acked` of `last` events stored.
fn up(acked: u64, last: u64) -> Link {
    let mut link = Link::new("first".to_owned());
    assert_eq!(
        step(&mut link, Input::Tick, last, 0),
        [Action::Dial("first".to_owned())]
    );
    assert!(matches!(
        step(&mut link, Input::Opened, last, 10)[..],
        [Action::Send(RunnerFrame::Hello { .. })]
    ));
    let actions = step(&mut link, welcome(acked, 1_000_000), last, 20);
    assert!(matches!(actions[..], [Action::Forget(_), Action::Welcomed(_)]));
    link
}

fn sent(link: &mut Link, last: u64) -> Vec<u64> {
    std::iter::from_fn(|| link.next_event(last)).collect()
}

#[test]
fn nothing_is_sent_before_the_welcome_and_then_everything_that_is_not_stored() {
    let mut link = Link::new("t".to_owned());
    step(&mut link, Input::Tick, 5, 0);
    step(&mut link, Input::Opened, 5, 0);
    assert_eq!(link.next_event(5), None);
    step(&mut link, welcome(2, 1_000_000), 5, 0);
    assert_eq!(sent(&mut link, 5), [3, 4, 5]);
    assert_eq!(sent(&mut link, 7), [6, 7]);
}

#[test]
fn one_connection_never_sends_an_event_twice_and_a_new_one_begins_after_the_stored_ones() {
    let mut link = up(0, 3);
    assert_eq!(sent(&mut link, 3), [1, 2, 3]);
    assert_eq!(sent(&mut link, 3), [] as [u64; 0]);
    assert_eq!(
        step(&mut link, Input::Frame(AgentFrame::Ack { rseq: 2 }), 3, 30),
        [Action::Forget(2)]
    );
    assert_eq!(step(&mut link, Input::Closed(None), 4, 40), [Action::Drop]);
    assert_eq!(link.next_event(4), None);
    assert_eq!(
        step(&mut link, Input::Tick, 4, 1000),
        [Action::Dial("second".to_owned())]
    );
    step(&mut link, Input::Opened, 4, 1001);
    step(&mut link, welcome(2, 1_000_000), 4, 1002);
    assert_eq!(sent(&mut link, 4), [3, 4]);
}

#[test]
fn an_ack_beyond_what_was_sent_forgets_no_more_than_that() {
    let mut link = up(0, 3);
    assert_eq!(link.next_event(3), Some(1));
    assert_eq!(
        step(&mut link, Input::Frame(AgentFrame::Ack { rseq: 99 }), 3, 30),
        [Action::Forget(1)]
    );
    let link = up(99, 3);
    assert_eq!(link.sent(), 3);
}

#[test]
fn each_close_code_has_its_end_and_the_retryable_ones_dial_again() {
    let cases = [
        (1000, Exit::Done),
        (4409, Exit::Replaced),
        (4410, Exit::Terminated),
        (4401, Exit::Unauthenticated),
        (4404, Exit::NotFound),
        (4426, Exit::ProtocolMismatch),
        (4400, Exit::BadFrame),
        (4413, Exit::BadFrame),
    ];
    for (code, exit) in cases {
        assert_eq!(
            step(&mut up(0, 0), Input::Closed(Some(code)), 0, 50),
            [Action::Exit(exit)],
            "{code}"
        );
    }
    for code in [
        Some(4408),
        Some(4429),
        Some(4500),
        Some(1006),
        Some(1001),
        Some(4999),
        None,
    ] {
        assert_eq!(
            step(&mut up(0, 0), Input::Closed(code), 0, 50),
            [Action::Drop],
            "{code:?}"
        );
    }
}

#[test]
fn a_refused_upgrade_ends_it_only_when_dialling_again_cannot_help() {
    for (status, exit) in [
        (401, Exit::Unauthenticated),
        (404, Exit::NotFound),
        (410, Exit::Terminated),
    ] {
        let mut link = Link::new("t".to_owned());
        step(&mut link, Input::Tick, 0, 0);
        assert_eq!(
            step(&mut link, Input::Refused(Some(status)), 0, 1),
            [Action::Exit(exit)]
        );
    }
    for status in [Some(500), Some(503), Some(426), None] {
        let mut link = Link::new("t".to_owned());
        step(&mut link, Input::Tick, 0, 0);
        assert_eq!(step(&mut link, Input::Refused(status), 0, 1), [Action::Drop]);
    }
}

#[test]
fn the_delay_grows_up_to_a_bound_and_a_welcome_resets_it() {
    let mut link = Link::new("t".to_owned());
    let mut now = 0;
    let mut delays = Vec::new();
    for _ in 0..9 {
        assert_eq!(step(&mut link, Input::Tick, 0, now).len(), 1);
        step(&mut link, Input::Refused(None), 0, now);
        delays.push(link.next_tick() - now);
        now = link.next_tick();
    }
    assert_eq!(delays, [100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
    step(&mut link, Input::Tick, 0, now);
    step(&mut link, Input::Opened, 0, now);
    step(&mut link, welcome(0, now + 100_000), 0, now);
    link.handle(Input::Closed(None), &greeting(0), now, 1.0);
    assert_eq!(link.next_tick() - now, 200);
}

#[test]
fn a_silent_connection_is_pinged_and_given_up_after_a_minute() {
    let mut link = up(0, 0);
    assert_eq!(step(&mut link, Input::Tick, 0, 19_000), []);
    assert_eq!(step(&mut link, Input::Tick, 0, 20_010), [Action::Ping]);
    assert_eq!(step(&mut link, Input::Tick, 0, 20_020), []);
    step(&mut link, Input::Alive, 0, 20_050);
    assert_eq!(step(&mut link, Input::Tick, 0, 40_020), [Action::Ping]);
    assert_eq!(step(&mut link, Input::Tick, 0, 80_049), [Action::Ping]);
    assert_eq!(step(&mut link, Input::Tick, 0, 80_050), [Action::Drop]);
}

#[test]
fn a_dial_without_an_answer_and_a_hello_without_a_welcome_are_given_up() {
    let mut link = Link::new("t".to_owned());
    step(&mut link, Input::Tick, 0, 0);
    assert_eq!(step(&mut link, Input::Tick, 0, GREETING), [Action::Drop]);
    let mut link = Link::new("t".to_owned());
    step(&mut link, Input::Tick, 0, 0);
    step(&mut link, Input::Opened, 0, 5);
    assert_eq!(step(&mut link, Input::Tick, 0, GREETING + 5), [Action::Drop]);
}

#[test]
fn a_fresh_token_is_asked_for_in_the_last_quarter_of_its_life() {
    let mut link = up(0, 0);
    let quarter = 1_000_000 - (1_000_000 - 20) / 4;
    let asked = |actions: &[Action]| actions.contains(&Action::Send(RunnerFrame::RenewToken {}));
    step(&mut link, Input::Alive, 0, quarter - 2);
    assert!(!asked(&step(&mut link, Input::Tick, 0, quarter - 1)));
    assert!(asked(&step(&mut link, Input::Tick, 0, quarter)));
    assert!(!asked(&step(&mut link, Input::Tick, 0, quarter + 1000)));
    assert!(asked(&step(&mut link, Input::Tick, 0, quarter + 30_000)));
    let token = SandboxToken {
        token: "third".to_owned(),
        expires_at: Timestamp::from_millis(5_000_000),
    };
    step(
        &mut link,
        Input::Frame(AgentFrame::Token { token }),
        0,
        quarter + 30_001,
    );
    assert_eq!(link.token(), "third");
    step(&mut link, Input::Alive, 0, quarter + 90_000);
    assert!(!asked(&step(&mut link, Input::Tick, 0, quarter + 90_001)));
}

#[test]
fn another_protocol_version_ends_it() {
    let mut link = Link::new("t".to_owned());
    step(&mut link, Input::Tick, 0, 0);
    step(&mut link, Input::Opened, 0, 0);
    let Input::Frame(AgentFrame::Welcome {
        acked, setup, token, ..
    }) = welcome(0, 1)
    else {
        unreachable!()
    };
    let frame = AgentFrame::Welcome {
        protocol: PROTOCOL_VERSION + 1,
        acked,
        setup,
        token,
    };
    assert_eq!(
        step(&mut link, Input::Frame(frame), 0, 1),
        [Action::Drop, Action::Exit(Exit::ProtocolMismatch)]
    );
}

#[test]
fn an_event_that_is_never_acked_is_sent_again_on_a_new_connection() {
    let mut link = up(0, 2);
    assert_eq!(sent(&mut link, 2), [1, 2]);
    step(&mut link, Input::Tick, 2, 1_000);
    step(&mut link, Input::Frame(AgentFrame::Ack { rseq: 1 }), 2, 20_000);
    let mut now = 20_000;
    // Pings are answered, so the connection itself is not the trouble.
    while link.up() {
        now = link.next_tick().max(now);
        step(&mut link, Input::Alive, 2, now);
        step(&mut link, Input::Tick, 2, now);
    }
    assert!(
        (20_000 + UNACKED..=20_000 + UNACKED + PING_EVERY).contains(&now),
        "{now}"
    );
    let dialled = step(&mut link, Input::Tick, 2, now + FIRST_DELAY);
    assert!(matches!(dialled[..], [Action::Dial(_)]));
    step(&mut link, Input::Opened, 2, now + FIRST_DELAY);
    step(&mut link, welcome(1, 10_000_000), 2, now + FIRST_DELAY);
    assert_eq!(sent(&mut link, 2), [2]);
}
