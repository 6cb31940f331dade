//! What a request may cost at most, and what it probably costs, before anybody has counted its tokens.
//!
//! The bound rests on this: a token stands for at least one byte of text. What holds more tokens than bytes (a picture)
//! is given [`MEDIA_BOUND`]; what the provider fetches itself (a picture's address, an uploaded file, an earlier answer)
//! has no bound that we could know.

use crate::Wire;
use crate::scan::{Scan, Sink};
use crate::usage::BYTES_PER_TOKEN;

/// No picture or page is more tokens than this.
const MEDIA_BOUND: u64 = 40_000;
/// What a picture usually is.
const MEDIA_GUESS: u64 = 1_600;
/// A text of so many bytes under the name `data` is no words.
const MEDIA_BYTES: u64 = 256;

/// What a request says of its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// Tokens of the request, at most; `None`: nobody knows.
    pub input_bound: Option<u64>,
    /// Tokens of the request, about.
    pub input_guess: u64,
    /// Tokens of the answer, at most; `None`: nobody knows.
    pub output_bound: Option<u64>,
}

impl Asked {
    /// From the request's body. `longest` is the model's longest answer, for requests that do not limit it.
    pub fn read(wire: Wire, body: &[u8], longest: Option<u64>) -> Self {
        let mut seen = Seen {
            wire,
            ..Seen::default()
        };
        Scan::new().feed(body, &mut seen);
        let bytes = body.len() as u64;
        let media_bound = seen.media.saturating_mul(MEDIA_BOUND);
        let words = bytes.saturating_sub(seen.media_bytes);
        let output = seen.output.or(longest);
        Self {
            input_bound: (!seen.elsewhere).then(|| bytes.saturating_add(media_bound)),
            input_guess: (words / BYTES_PER_TOKEN).saturating_add(seen.media.saturating_mul(MEDIA_GUESS)),
            output_bound: output.map(|tokens| tokens.saturating_mul(seen.answers.max(1))),
        }
    }
}

#[derive(Debug)]
struct Seen {
    wire: Wire,
    output: Option<u64>,
    answers: u64,
    media: u64,
    media_bytes: u64,
    elsewhere: bool,
}

impl Default for Seen {
    fn default() -> Self {
        Self {
            wire: Wire::OpenAiChat,
            output: None,
            answers: 1,
            media: 0,
            media_bytes: 0,
            elsewhere: false,
        }
    }
}

impl Sink for Seen {
    fn number(&mut self, path: &str, value: u64) {
        match (self.wire, path) {
            (Wire::AnthropicMessages | Wire::OpenAiChat, "max_tokens")
            | (Wire::OpenAiChat, "max_completion_tokens")
            | (Wire::OpenAiResponses, "max_output_tokens")
            | (Wire::GoogleGenerate, "generationConfig.maxOutputTokens" | "generation_config.max_output_tokens") => {
                self.output = Some(self.output.unwrap_or(0).max(value));
            }
            (Wire::OpenAiChat, "n")
            | (Wire::GoogleGenerate, "generationConfig.candidateCount" | "generation_config.candidate_count") => {
                self.answers = self.answers.max(value);
            }
            _ => {}
        }
    }

    fn text(&mut self, path: &str, head: &str, bytes: u64) {
        // What the agent's tools were given and gave back is text, whatever its fields are called.
        let of_a_tool = [".input.", ".args.", ".response.", "tools[]"]
            .iter()
            .any(|part| path.contains(part));
        if of_a_tool {
            return;
        }
        let name = path.rsplit('.').next().unwrap_or(path);
        if head.starts_with("data:") || matches!(name, "data" | "file_data") && bytes > MEDIA_BYTES {
            self.media += 1;
            self.media_bytes += bytes;
        }
        let address = matches!(name, "url" | "image_url" | "file_url") && head.starts_with("http");
        let reference = matches!(
            name,
            "file_id" | "previous_response_id" | "conversation" | "cachedContent" | "fileUri" | "file_uri"
        );
        self.elsewhere |= address || reference;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(wire: Wire, body: &str) -> Asked {
        Asked::read(wire, body.as_bytes(), Some(8_192))
    }

    #[test]
    fn a_request_has_no_more_tokens_than_bytes_and_the_answer_no_more_than_it_asks_for() {
        let body = r#"{"model":"m","max_tokens":100,"n":3,"messages":[{"role":"user","content":"Guten Tag"}]}"#;
        let found = asked(Wire::OpenAiChat, body);
        assert_eq!(found.input_bound, Some(body.len() as u64));
        assert_eq!(found.output_bound, Some(300));
        assert_eq!(found.input_guess, body.len() as u64 / 4);
        assert_eq!(asked(Wire::OpenAiChat, "{}").output_bound, Some(8_192));
        assert_eq!(Asked::read(Wire::OpenAiChat, b"{}", None).output_bound, None);
        let google = r#"{"generationConfig":{"maxOutputTokens":7,"candidateCount":2}}"#;
        assert_eq!(asked(Wire::GoogleGenerate, google).output_bound, Some(14));
        assert_eq!(
            asked(Wire::OpenAiResponses, r#"{"max_output_tokens":5}"#).output_bound,
            Some(5)
        );
    }

    #[test]
    fn said_twice_the_larger_limit_counts() {
        assert_eq!(
            asked(Wire::OpenAiChat, r#"{"max_tokens":9,"max_completion_tokens":70}"#).output_bound,
            Some(70)
        );
    }

    #[test]
    fn a_picture_counts_as_a_picture() {
        let picture = "A".repeat(100_000);
        let body = format!(
            r#"{{"messages":[{{"content":[{{"type":"image","source":{{"type":"base64","data":"{picture}"}}}},{{"type":"text","text":"{picture}"}}]}}]}}"#
        );
        let found = asked(Wire::AnthropicMessages, &body);
        assert_eq!(found.input_bound, Some(body.len() as u64 + MEDIA_BOUND));
        assert!((25_000..28_000).contains(&found.input_guess), "{}", found.input_guess);
    }

    #[test]
    fn what_the_provider_fetches_has_no_bound() {
        for body in [
            r#"{"messages":[{"content":[{"type":"image_url","image_url":{"url":"https://x/y.png"}}]}]}"#,
            r#"{"previous_response_id":"resp_1"}"#,
            r#"{"cachedContent":"cachedContents/1"}"#,
            r#"{"input":[{"content":[{"type":"input_image","image_url":"https://x/y.png"}]}]}"#,
        ] {
            assert_eq!(asked(Wire::OpenAiResponses, body).input_bound, None, "{body}");
        }
        let tool = r#"{"messages":[{"content":[{"type":"tool_use","input":{"url":"https://x"}}]}],"tools":[{"url":"https://x"}]}"#;
        assert!(asked(Wire::AnthropicMessages, tool).input_bound.is_some());
    }
}
