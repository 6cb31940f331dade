//! Streams in the vendors' formats: what is counted, in whatever pieces they come, and when they are cut anywhere.

use std::path::Path;

use errand_ledger::Wire;
use errand_ledger::usage::{End, UsageReader, Used};
use errand_protocol::money::Tokens;

/// What the request is guessed to be.
const GUESS: u64 = 1_000;

#[expect(clippy::unwrap_used, reason = "a missing stream fails the test")]
fn stream(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/streams").join(name)).unwrap()
}

fn content_type(name: &str) -> &'static str {
    if Path::new(name).extension().is_some_and(|kind| kind == "sse") {
        "text/event-stream; charset=utf-8"
    } else {
        "application/json"
    }
}

fn read<'p>(wire: Wire, name: &str, pieces: impl Iterator<Item = &'p [u8]>) -> Used {
    let mut reader = UsageReader::new(wire, 200, content_type(name));
    pieces.for_each(|piece| reader.feed(piece));
    reader.used(GUESS)
}

fn exact(input: u64, output: u64, cache_read: u64, cache_write: u64, reasoning: u64) -> Used {
    Used {
        tokens: Tokens {
            input,
            output,
            cache_read,
            cache_write,
            reasoning,
        },
        estimated: false,
        end: End::Complete,
    }
}

fn whole() -> Vec<(Wire, &'static str, Used)> {
    vec![
        (
            Wire::AnthropicMessages,
            "anthropic.sse",
            exact(472, 89, 20_480, 1_024, 0),
        ),
        (Wire::AnthropicMessages, "anthropic.json", exact(12, 6, 3, 0, 0)),
        (Wire::OpenAiChat, "openai-chat.sse", exact(93, 26, 1_024, 0, 320)),
        // This vendor counts reasoning beside the answer.
        (Wire::OpenAiChat, "openai-chat.json", exact(15, 10, 4, 0, 100)),
        (
            Wire::OpenAiResponses,
            "openai-responses.sse",
            exact(117, 47, 1_920, 0, 64),
        ),
        (Wire::GoogleGenerate, "google.sse", exact(286, 17, 1_024, 0, 84)),
        (Wire::GoogleGenerate, "google.json", exact(5, 2, 0, 0, 0)),
    ]
}

#[test]
fn each_vendors_counts_are_read_in_pieces_of_any_length() {
    for (wire, name, expected) in whole() {
        let bytes = stream(name);
        for size in (1..80).chain([bytes.len()]) {
            assert_eq!(
                read(wire, name, bytes.chunks(size)),
                expected,
                "{name} in pieces of {size}"
            );
        }
    }
}

#[test]
fn a_stream_that_is_cut_anywhere_is_booked_by_an_estimate_that_is_not_less_than_what_was_named() {
    for (wire, name, whole) in whole() {
        let bytes = stream(name);
        let mut last = 0;
        for end in 0..bytes.len() {
            let used = read(wire, name, std::iter::once(&bytes[..end]));
            if used.end == End::Complete && !used.estimated {
                assert_eq!(used.tokens, whole.tokens, "{name} cut after {end}");
                continue;
            }
            assert_ne!(used.end, End::Failed, "{name} cut after {end}");
            assert!(used.estimated, "{name} cut after {end}");
            let read = used.tokens.input + used.tokens.cache_read + used.tokens.cache_write;
            assert!(
                read >= GUESS.min(whole.tokens.input),
                "{name} cut after {end}: {used:?}"
            );
            assert!(
                used.tokens.output >= last || used.tokens.reasoning > 0,
                "{name} cut after {end}: {used:?}"
            );
            last = used.tokens.output;
        }
    }
}

#[test]
fn a_provider_that_names_no_usage_is_booked_by_the_length_of_its_text() {
    let name = "openai-chat-no-usage.sse";
    let used = read(Wire::OpenAiChat, name, std::iter::once(stream(name).as_slice()));
    // 19 bytes of text.
    assert_eq!((used.tokens.input, used.tokens.output), (GUESS, 5));
    assert_eq!((used.estimated, used.end), (true, End::Complete));
}

#[test]
fn an_error_in_mid_stream_is_booked_as_far_as_it_came() {
    let name = "anthropic-overloaded.sse";
    let used = read(Wire::AnthropicMessages, name, std::iter::once(stream(name).as_slice()));
    assert_eq!((used.tokens.input, used.tokens.output), (25, 8));
    assert_eq!((used.estimated, used.end), (true, End::Failed));
}

#[test]
fn a_refusal_costs_nothing() {
    for wire in [
        Wire::AnthropicMessages,
        Wire::OpenAiChat,
        Wire::OpenAiResponses,
        Wire::GoogleGenerate,
    ] {
        for status in [302, 400, 401, 429, 500, 529] {
            let mut reader = UsageReader::new(wire, status, "application/json");
            reader.feed(br#"{"type":"error","error":{"code":429,"message":"theirs","status":"RESOURCE_EXHAUSTED"}}"#);
            let used = reader.used(GUESS);
            assert_eq!(
                (used.tokens, used.estimated, used.end),
                (Tokens::default(), false, End::Failed)
            );
        }
    }
}

#[test]
fn what_is_no_answer_at_all_is_estimated() {
    let mut reader = UsageReader::new(Wire::OpenAiChat, 200, "text/html");
    reader.feed(b"<html>{\"usage\":{\"prompt_tokens\":1}}");
    let used = reader.used(GUESS);
    assert_eq!((used.tokens.input, used.estimated, used.end), (GUESS, true, End::Cut));
}

#[test]
fn memory_does_not_grow_with_the_answer() {
    // A single event of 64 MiB: the reader keeps none of it.
    let mut reader = UsageReader::new(Wire::OpenAiChat, 200, "text/event-stream");
    let before = std::mem::size_of_val(&reader);
    reader.feed(br#"data: {"choices":[{"delta":{"content":""#);
    let piece = vec![b'x'; 1024 * 1024];
    for _ in 0..64 {
        reader.feed(&piece);
    }
    reader.feed(b"\"}}],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\n");
    assert_eq!(before, std::mem::size_of_val(&reader));
    assert!(format!("{reader:?}").len() < 4_096);
    assert_eq!(reader.used(GUESS).tokens.input, 3);
}
