//! The runner link: who may speak, what is new, what is acked.

use errand_protocol::close::CloseCode;
use errand_protocol::egress::{EgressReason, EgressRefusal};
use errand_protocol::event::EventBody;
use errand_protocol::ids::Generation;
use errand_protocol::runner::{AgentFrame, RunnerEvent, RunnerFrame};
use errand_protocol::session::{Phase, PromptState, StartStep, TurnOutcome};
use errand_protocol::viewer::Command;

use crate::harness::Harness;
use crate::make::*;

fn acks(h: &mut Harness) -> Vec<u64> {
    let frames = h.sent_to_runner().into_iter();
    frames
        .filter_map(|frame| match frame {
            AgentFrame::Ack { rseq } => Some(rseq),
            _ => None,
        })
        .collect()
}

fn title(number: u64) -> RunnerEvent {
    RunnerEvent::Title {
        title: format!("title {number}"),
    }
}

fn titles(h: &Harness) -> Vec<String> {
    let events = h.events().into_iter();
    events
        .filter_map(|event| match event.body {
            EventBody::SessionTitled { title, .. } => Some(title.to_string()),
            _ => None,
        })
        .collect()
}

/// A hello on connection 9 with something else than usual.
fn hello_with(h: &mut Harness, change: impl FnOnce(&mut RunnerFrame)) {
    let mut frame = h.hello_frame(true, h.turn());
    change(&mut frame);
    h.closed.clear();
    h.frame(9, frame);
}

fn of_generation(frame: &mut RunnerFrame, other: u32) {
    if let RunnerFrame::Hello { generation, .. } = frame {
        *generation = Generation(other);
    }
}

fn of_spool(frame: &mut RunnerFrame, number: u32, last: u64) {
    if let RunnerFrame::Hello {
        spool_id, last_rseq, ..
    } = frame
    {
        *spool_id = spool(number);
        *last_rseq = last;
    }
}

#[test]
fn another_protocol_is_refused() {
    let (mut h, _) = Harness::running();
    hello_with(&mut h, |frame| {
        if let RunnerFrame::Hello { protocol, .. } = frame {
            *protocol = 99;
        }
    });
    assert_eq!(h.closed, [(conn(9), CloseCode::ProtocolMismatch)]);
    assert_eq!(h.session.runner(), Some(&conn(1)));
}

#[test]
fn a_runner_of_another_generation_is_told_to_go() {
    let (mut h, _) = Harness::running();
    for other in [0, 2] {
        hello_with(&mut h, |frame| of_generation(frame, other));
        assert_eq!(h.closed, [(conn(9), CloseCode::Replaced)]);
        assert_eq!(h.session.runner(), Some(&conn(1)));
    }
}

#[test]
fn a_second_process_with_the_same_token_does_not_push_the_first_one_out() {
    let (mut h, _) = Harness::running();
    hello_with(&mut h, |frame| of_spool(frame, 77, 0));
    assert_eq!(h.closed, [(conn(9), CloseCode::Replaced)]);
    assert_eq!(h.session.runner(), Some(&conn(1)));
}

#[test]
fn the_same_runner_on_a_new_connection_takes_over_from_its_half_dead_one() {
    let (mut h, turn) = Harness::running();
    hello_with(&mut h, |_| ());
    assert_eq!(h.closed, [(conn(1), CloseCode::Silent)]);
    assert_eq!(h.session.runner(), Some(&conn(9)));
    h.step(errand_session::Input::RunnerGone { conn: conn(1) }).unwrap();
    assert_eq!(h.phase(), Phase::Running, "the end of the old connection is no loss");
    h.event(ended(&turn, TurnOutcome::Done));
}

#[test]
fn a_session_without_need_for_a_runner_refuses_it_in_every_phase() {
    let mut h = Harness::new();
    hello_with(&mut h, |_| ());
    assert_eq!(h.closed, [(conn(9), CloseCode::Replaced)], "idle");

    let mut h = Harness::idle();
    h.pass(15 * 60_000);
    assert_eq!(h.phase(), Phase::Pausing);
    hello_with(&mut h, |_| ());
    assert_eq!(h.closed, [(conn(9), CloseCode::Replaced)], "pausing");
    h.pass(10_000);
    h.outcome_is(errand_protocol::sandbox::SandboxState::Exited);
    hello_with(&mut h, |_| ());
    assert_eq!(h.closed.last(), Some(&(conn(9), CloseCode::Replaced)), "paused");

    h.command(Command::Terminate {}).unwrap();
    hello_with(&mut h, |_| ());
    assert_eq!(h.closed, [(conn(9), CloseCode::Terminated)], "terminated");
}

#[test]
fn a_runner_of_a_start_that_failed_is_refused_between_two_tries() {
    let mut h = Harness::new();
    h.booted();
    let old = h.hello_frame(true, None);
    h.event(RunnerEvent::StartFailed {
        step: StartStep::Cloning,
        cause: cause("repo_unreachable"),
        retryable: true,
    });
    h.closed.clear();
    h.frame(2, old.clone());
    assert_eq!(h.closed, [(conn(2), CloseCode::Replaced)]);
    h.pass(2_000);
    h.frame(3, old);
    assert_eq!(
        h.closed.last(),
        Some(&(conn(3), CloseCode::Replaced)),
        "also when the next was requested"
    );
    assert_eq!(h.phase(), Phase::Starting);
}

#[test]
fn a_late_runner_of_a_sandbox_that_seemed_not_to_be_made_is_welcome() {
    let mut h = Harness::new();
    h.prompt("p1");
    h.pass(120_000);
    h.hello(1, true, None);
    assert_eq!((h.phase(), h.generation()), (Phase::Running, 1));
    assert_eq!(h.told_to_run().len(), 1);
}

#[test]
fn frames_of_a_connection_that_did_not_say_hello_change_nothing() {
    let (mut h, turn) = Harness::running();
    let head = h.session.head_seq();
    for frame in [
        RunnerFrame::Event {
            rseq: 3,
            at: START,
            body: ended(&turn, TurnOutcome::Done),
        },
        RunnerFrame::Delta(delta("a", 0, "x")),
        RunnerFrame::Flush {},
        RunnerFrame::RenewToken {},
    ] {
        h.closed.clear();
        h.frame(9, frame);
        assert_eq!(h.closed, [(conn(9), CloseCode::Silent)]);
    }
    assert_eq!((h.session.head_seq(), h.turn()), (head, Some(turn)));
}

#[test]
fn every_number_is_applied_once_in_order_and_acked() {
    let (mut h, _) = Harness::running();
    let at = h.spooled();
    h.numbered(at, title(1));
    h.numbered(at, title(1));
    h.numbered(at - 1, title(0));
    assert_eq!(
        acks(&mut h),
        [at, at, at],
        "a repetition is acked as far as things are stored"
    );
    assert_eq!(titles(&h), ["title 1"]);
}

#[test]
fn a_gap_closes_the_connection_and_the_runner_sends_again_from_what_is_stored() {
    let (mut h, turn) = Harness::running();
    let missing = h.spooled();
    h.numbered(missing + 1, title(2));
    assert!(titles(&h).is_empty());
    assert_eq!(h.closed.last(), Some(&(conn(1), CloseCode::Silent)));
    assert_eq!(h.phase(), Phase::Reconnecting);
    h.spooled();
    h.hello(2, true, Some(turn));
    assert_eq!(h.welcomes.last(), Some(&(missing - 1)));
    h.numbered(missing, title(1));
    h.numbered(missing + 1, title(2));
    assert_eq!(titles(&h), ["title 1", "title 2"]);
    assert_eq!(h.phase(), Phase::Running);
}

#[test]
fn what_was_acked_survives_an_eviction() {
    let (mut h, turn) = Harness::running();
    let at = h.spooled();
    h.numbered(at, title(1));
    h.evict(false);
    h.hello(2, true, Some(turn));
    assert_eq!(h.welcomes.last(), Some(&at));
    h.numbered(at, title(1));
    assert_eq!(titles(&h), ["title 1"]);
}

#[test]
fn a_new_spool_begins_with_its_first_number() {
    let (mut h, turn) = Harness::running();
    h.lose_runner();
    hello_with(&mut h, |frame| {
        of_spool(frame, 77, 1);
        if let RunnerFrame::Hello { turn: now, .. } = frame {
            *now = Some(turn.clone());
        }
    });
    assert_eq!(h.welcomes.last(), Some(&0));
    h.numbered(1, title(1));
    assert_eq!(titles(&h), ["title 1"]);
}

#[test]
fn a_spool_that_was_cut_short_goes_on_where_it_ends() {
    let (mut h, turn) = Harness::running();
    for number in 1..=3 {
        h.event(title(number));
    }
    let stored = h.spooled() - 1;
    h.lose_runner();
    hello_with(&mut h, |frame| {
        of_spool(frame, 1, stored - 2);
        if let RunnerFrame::Hello { turn: now, .. } = frame {
            *now = Some(turn.clone());
        }
    });
    assert_eq!(h.welcomes.last(), Some(&(stored - 2)));
    h.numbered(stored - 1, title(9));
    assert_eq!(titles(&h).last().unwrap(), "title 9");
}

#[test]
fn a_hello_that_comes_late_takes_nothing_back() {
    let (mut h, turn) = Harness::running();
    for number in 1..=3 {
        h.event(title(number));
    }
    let stored = h.spooled() - 1;
    let late = |frame: &mut RunnerFrame| of_spool(frame, 1, stored - 2);
    hello_with(&mut h, late);
    assert_eq!(h.closed, [(conn(9), CloseCode::Silent)], "the living connection stays");
    assert_eq!(h.session.runner(), Some(&conn(1)));
    h.lose_runner();
    hello_with(&mut h, |frame| {
        late(frame);
        if let RunnerFrame::Hello { turn, .. } = frame {
            *turn = None;
        }
    });
    assert_eq!(h.turn(), Some(turn), "an old hello does not know the turn yet");
    h.step(errand_session::Input::RunnerGone { conn: conn(9) }).unwrap();
    h.evict(false);
    h.hello(10, true, h.turn());
    assert_eq!(
        h.welcomes.last(),
        Some(&stored),
        "what was acked is not asked for again"
    );
}

#[test]
fn a_silent_runner_is_lost_and_pings_keep_it() {
    let (mut h, _) = Harness::running();
    h.pass(300_000);
    assert_eq!(h.phase(), Phase::Running);
    h.tick();
    h.runner_pings = false;
    h.pass(89_999);
    assert_eq!(h.phase(), Phase::Running);
    h.pass(1);
    assert_eq!(h.phase(), Phase::Reconnecting);
    assert_eq!(h.closed.last(), Some(&(conn(1), CloseCode::Silent)));
}

#[test]
fn an_eviction_with_a_living_socket_is_not_noticed() {
    let (mut h, turn) = Harness::running();
    let head = h.session.head_seq();
    h.evict(true);
    assert_eq!((h.phase(), h.session.head_seq()), (Phase::Running, head));
    h.event(ended(&turn, TurnOutcome::Done));
    assert_eq!(h.state_of("p1"), PromptState::Done);
}

#[test]
fn after_an_eviction_a_socket_that_was_to_be_closed_does_not_speak_for_the_next_sandbox() {
    let mut h = Harness::new();
    h.booted();
    let stale = h.session.runner().unwrap().clone();
    h.event(RunnerEvent::StartFailed {
        step: StartStep::Cloning,
        cause: cause("x"),
        retryable: true,
    });
    h.pass(2_000);
    h.closed.clear();
    h.calls.clear();
    h.session = errand_session::store::load(&h.db, h.now).unwrap().unwrap();
    let runner = Some(stale.clone());
    h.step(errand_session::Input::Restored { runner }).unwrap();
    assert_eq!(h.closed, [(stale, CloseCode::Silent)]);
    assert_eq!(h.session.runner(), None);
}

#[test]
fn a_hello_tells_at_once_that_a_turn_goes_on() {
    let (mut h, turn) = Harness::running();
    h.lose_runner();
    h.sent_to_runner();
    h.hello(2, true, Some(turn.clone()));
    assert!(h.told_to_run().is_empty());
    assert_eq!(h.turn(), Some(turn));
}

#[test]
fn a_turn_that_the_runner_does_not_know_and_never_began_is_told_again() {
    let mut h = Harness::new();
    h.booted();
    h.engine_ready();
    let turn = h.turn().unwrap();
    h.lose_runner();
    h.sent_to_runner();
    h.hello(2, true, None);
    assert_eq!(h.told_to_run(), [turn]);
}

#[test]
fn a_turn_that_ended_while_the_runner_was_away_ends_when_its_spool_arrives() {
    let (mut h, turn) = Harness::running();
    h.lose_runner();
    let one = h.spooled();
    let two = h.spooled();
    h.hello(2, true, None);
    h.numbered(one, title(1));
    h.numbered(two, ended(&turn, TurnOutcome::Done));
    assert_eq!(h.state_of("p1"), PromptState::Done);
}

#[test]
fn a_turn_that_the_runner_lost_without_a_trace_fails_instead_of_waiting_for_ever() {
    let (mut h, _) = Harness::running();
    h.prompt("p2");
    h.lose_runner();
    let pending = h.spooled();
    h.hello(2, true, None);
    assert_eq!(
        h.state_of("p1"),
        PromptState::Running,
        "its spool may still hold the end"
    );
    h.numbered(pending, title(1));
    assert_eq!(
        (h.state_of("p1"), h.state_of("p2")),
        (PromptState::Failed, PromptState::Running)
    );
}

#[test]
fn a_turn_that_is_over_here_is_stopped_there() {
    let (mut h, turn) = Harness::running();
    h.event(ended(&turn, TurnOutcome::Done));
    h.lose_runner();
    h.sent_to_runner();
    let foreign = turn_id("trn_old");
    h.hello(2, true, Some(foreign.clone()));
    let stop = AgentFrame::Abort {
        turn_id: foreign.clone(),
    };
    assert!(h.sent_to_runner().contains(&stop));
    h.event(accepted(&foreign));
    assert!(h.sent_to_runner().contains(&stop));
}

#[test]
fn a_runner_whose_engine_is_down_gets_prompts_when_it_is_up_again() {
    for restarted in [true, false] {
        let mut h = Harness::idle();
        h.lose_runner();
        h.hello(2, false, None);
        assert_eq!(h.phase(), Phase::Starting);
        h.prompt("p2");
        assert!(h.told_to_run().is_empty());
        if restarted {
            let cause = cause("engine_crashed");
            h.event(RunnerEvent::EngineRestarted { cause });
        } else {
            h.engine_ready();
        }
        assert_eq!(h.phase(), Phase::Running);
        assert_eq!(h.told_to_run().len(), 1);
    }
}

#[test]
fn a_turn_whose_engine_never_comes_back_does_not_begin_again_elsewhere() {
    let (mut h, turn) = Harness::running();
    h.lose_runner();
    h.hello(2, false, Some(turn));
    h.pass(120_000);
    assert_eq!(h.state_of("p1"), PromptState::Failed);
    h.pass(2_000);
    h.sent_to_runner();
    h.bring_up();
    assert!(h.told_to_run().is_empty());
}

#[test]
fn a_token_is_granted_for_the_current_generation() {
    let (mut h, _) = Harness::running();
    let mut ids = String::new;
    let mut cx = errand_session::Cx {
        known_command: &|_, _| false,
        watched: true,
        now: h.now,
        timings: &h.timings,
        ids: &mut ids,
        known_prompt: &|_| None,
    };
    let input = errand_session::Input::Runner {
        conn: conn(1),
        frame: RunnerFrame::RenewToken {},
    };
    let effects = h.session.handle(&mut cx, input).unwrap();
    let granted = errand_session::Effect::GrantToken {
        conn: conn(1),
        generation: Generation(1),
    };
    assert_eq!(effects, [granted]);
}

#[test]
fn a_refused_connection_is_logged_and_one_that_no_host_would_tell_is_not() {
    let (mut h, _) = Harness::running();
    for host in ["evil.example", "", "a\nb", &"x".repeat(254)] {
        h.event(RunnerEvent::EgressRefused(EgressRefusal {
            host: host.to_owned(),
            port: 443,
            reason: EgressReason::NotAllowed,
        }));
    }
    let logged: Vec<_> = h
        .events()
        .into_iter()
        .filter(|event| matches!(event.body, EventBody::SandboxEgressRefused { .. }))
        .map(|event| serde_json::to_value(event.body).unwrap())
        .collect();
    let expected = serde_json::json!({
        "type": "sandbox.egress_refused", "host": "evil.example", "port": 443, "reason": "not_allowed"
    });
    assert_eq!(logged, [expected]);
}
