//! Pushes as git sends them, in pieces of any size; refusals as git reads them.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "what is not as it should be fails the test"
)]

use errand_git::branches::Branches;
use errand_git::pkt::{self, Line};
use errand_git::push::{Command, MAX_HEAD, Push, Reader, Unreadable};
use errand_git::report;
use proptest::prelude::*;

const ABILITIES: &str = "\0 report-status-v2 side-band-64k object-format=sha1 agent=git/2.39.5";

fn mine() -> Branches {
    Branches::of(&"ses_1".parse().unwrap())
}

fn command(reference: &str) -> Command {
    Command {
        old: "0".repeat(40),
        new: "a1".repeat(20),
        reference: reference.to_owned(),
    }
}

/// The body of a push of these, with a pack behind it.
fn body(commands: &[Command], pack: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    for (at, Command { old, new, reference }) in commands.iter().enumerate() {
        let abilities = if at == 0 { ABILITIES } else { "" };
        pkt::push(&mut body, format!("{old} {new} {reference}{abilities}").as_bytes());
    }
    pkt::flush(&mut body);
    body.extend_from_slice(pack);
    body
}

/// Feeds `bytes` cut at `cuts`; what came out, and whether all that was fed is kept.
fn read(bytes: &[u8], cuts: &[usize]) -> Result<Option<Push>, Unreadable> {
    let mut reader = Reader::default();
    let mut from = 0;
    for to in cuts.iter().copied().chain([bytes.len()]) {
        let to = to.clamp(from, bytes.len());
        if let Some(push) = reader.feed(&bytes[from..to])? {
            assert_eq!(
                reader.into_bytes(),
                &bytes[..to],
                "what was read is passed on as it came"
            );
            return Ok(Some(push));
        }
        from = to;
    }
    Ok(None)
}

/// The report's lines, out of the answer's bands.
fn lines(answer: &[u8]) -> (Vec<String>, String) {
    let (mut rest, mut report, mut words) = (answer, Vec::new(), String::new());
    while let Some((Line::Data(data), length)) = pkt::first(rest).unwrap() {
        match data[0] {
            1 => report.extend_from_slice(&data[1..]),
            _ => words.push_str(std::str::from_utf8(&data[1..]).unwrap()),
        }
        rest = &rest[length..];
    }
    assert_eq!(rest, b"0000");
    let (mut rest, mut lines) = (report.as_slice(), Vec::new());
    while let Some((Line::Data(data), length)) = pkt::first(rest).unwrap() {
        lines.push(String::from_utf8(data.to_vec()).unwrap());
        rest = &rest[length..];
    }
    (lines, words)
}

#[test]
fn a_push_of_ones_own_branch_passes() {
    let push = read(&body(&[command("refs/heads/errand/ses_1")], b"PACK..."), &[])
        .unwrap()
        .unwrap();
    assert!(push.side_band && push.report_status);
    assert_eq!(push.commands, [command("refs/heads/errand/ses_1")]);
    assert_eq!(report::refusal(&push, &mine()), None);
}

#[test]
fn one_refused_branch_refuses_the_push_and_each_is_told_why() {
    let commands = [command("refs/heads/errand/ses_1"), command("refs/heads/main")];
    let push = read(&body(&commands, b""), &[]).unwrap().unwrap();
    let (lines, words) = lines(&report::refusal(&push, &mine()).unwrap());
    assert_eq!(
        lines,
        [
            "unpack ok\n",
            "ng refs/heads/errand/ses_1 Errand: another branch of this push was refused\n",
            "ng refs/heads/main Errand: this session pushes only to errand/ses_1\n"
        ]
    );
    assert!(words.contains("git push origin HEAD:errand/ses_1"));
}

#[test]
fn a_push_of_nothing_asks_whether_one_is_let_in() {
    let push = read(b"0000", &[]).unwrap().unwrap();
    assert_eq!(push, Push::default());
    assert_eq!(report::refusal(&push, &mine()), None);
}

#[test]
fn what_two_readers_could_understand_differently_is_refused() {
    let line = |text: &str| {
        let mut bytes = Vec::new();
        pkt::push(&mut bytes, text.as_bytes());
        pkt::flush(&mut bytes);
        bytes
    };
    let zero = "0".repeat(40);
    let one = "1".repeat(40);
    for (text, why) in [
        (format!("{zero} {one}"), Unreadable::Malformed),
        (format!("{zero} {one} "), Unreadable::Malformed),
        (format!("{zero} {one} refs/heads/a b"), Unreadable::Malformed),
        (
            format!("{zero} {one} refs/heads/a\nrefs/heads/main"),
            Unreadable::Malformed,
        ),
        (format!("{zero}  {one} refs/heads/a"), Unreadable::Malformed),
        (format!(" {zero} {one} refs/heads/a"), Unreadable::Malformed),
        (format!("{zero} {} refs/heads/a", "1".repeat(64)), Unreadable::Malformed),
        (format!("{zero} {} refs/heads/a", "g".repeat(40)), Unreadable::Malformed),
        ("shallow x".to_owned(), Unreadable::Malformed),
        ("push-cert\0caps".to_owned(), Unreadable::Signed),
        ("push-cert\n".to_owned(), Unreadable::Signed),
    ] {
        assert_eq!(read(&line(&text), &[]), Err(why), "{text}");
    }
    let first = format!("{zero} {one} refs/heads/errand/ses_1{ABILITIES}");
    let mut late = Vec::new();
    pkt::push(&mut late, first.as_bytes());
    pkt::push(&mut late, first.as_bytes());
    assert_eq!(read(&late, &[]), Err(Unreadable::Malformed), "abilities come once");
    for bad in [
        &b"PACK"[..],
        b"0001",
        b"0003",
        b"GET / HTTP/1.1",
        &[0xff; 8],
        b"\x1f\x8b\x08\x00gzip",
    ] {
        assert_eq!(read(bad, &[]), Err(Unreadable::Malformed));
    }
}

#[test]
fn a_head_without_an_end_is_given_up() {
    let mut endless = Vec::new();
    while endless.len() <= MAX_HEAD {
        pkt::push(&mut endless, format!("shallow {}", "a".repeat(40)).as_bytes());
    }
    assert_eq!(read(&endless, &[]), Err(Unreadable::TooLong));
}

#[test]
fn what_a_server_made_of_it_is_read_from_its_report() {
    let commands = [command("refs/heads/errand/ses_1"), command("refs/heads/errand/ses_1-b")];
    let push = read(&body(&commands, b""), &[]).unwrap().unwrap();
    let mut report = Vec::new();
    pkt::push(&mut report, b"unpack ok\n");
    pkt::push(&mut report, b"ok refs/heads/errand/ses_1\n");
    pkt::push(&mut report, b"option refname refs/heads/x\n");
    pkt::push(&mut report, b"ng refs/heads/errand/ses_1-b non-fast-forward\n");
    pkt::flush(&mut report);
    let mut answer = Vec::new();
    pkt::push(&mut answer, b"\x02Resolving deltas\n");
    pkt::push(&mut answer, &[b"\x01", &report[..20]].concat());
    pkt::push(&mut answer, &[b"\x01", &report[20..]].concat());
    pkt::flush(&mut answer);
    for size in [1, 3, 1000] {
        let mut reader = report::Reader::new(&push);
        answer.chunks(size).for_each(|piece| reader.feed(piece));
        assert_eq!(reader.made(&commands), [&commands[0]]);
    }
}

proptest! {
    #[test]
    fn a_push_is_read_the_same_however_it_is_cut(
        names in prop::collection::vec("refs/(heads|tags)/[a-z/]{1,30}", 1..8),
        pack in prop::collection::vec(any::<u8>(), 0..200),
        mut cuts in prop::collection::vec(0usize..1200, 0..40),
    ) {
        let commands: Vec<_> = names.iter().map(|name| command(name)).collect();
        let bytes = body(&commands, &pack);
        cuts.sort_unstable();
        let push = read(&bytes, &cuts).unwrap().unwrap();
        prop_assert_eq!(&push.commands, &commands);
        let one_by_one: Vec<_> = (1..bytes.len()).collect();
        prop_assert_eq!(read(&bytes, &one_by_one).unwrap().unwrap(), push);
    }

    #[test]
    fn nothing_that_is_fed_makes_it_fall_over(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        mut cuts in prop::collection::vec(0usize..400, 0..10),
    ) {
        cuts.sort_unstable();
        let whole = read(&bytes, &[]);
        prop_assert_eq!(read(&bytes, &cuts), whole);
        let mut reader = report::Reader::new(&Push { side_band: true, report_status: true, commands: Vec::new() });
        reader.feed(&bytes);
        prop_assert!(reader.made(&[]).is_empty());
    }

    #[test]
    fn only_own_branches_pass(name in "(refs/heads/|refs/tags/|)(errand/|main|)(ses_1|ses_2|)[-/a-z.]{0,6}") {
        let push = Push { commands: vec![command(&name)], side_band: true, report_status: true };
        let passes = report::refusal(&push, &mine()).is_none();
        let own = name == "refs/heads/errand/ses_1" || name.starts_with("refs/heads/errand/ses_1-")
            || name.starts_with("refs/heads/errand/ses_1/");
        prop_assert!(!passes || own, "{}", name);
    }
}
