//! Reading what a call used from its answer, while the answer streams by: bytes in any pieces, bounded memory, and the
//! bytes themselves are never touched.
//!
//! What cannot be read is estimated, and marked as an estimate: a stream that was cut, or a provider that names no
//! usage. Estimates go by the bytes of text, four to a token.

use errand_protocol::money::Tokens;

use crate::Wire;
use crate::frames::{Frames, Piece};
use crate::scan::{Scan, Sink};

/// Bytes of text in one token, about.
pub(crate) const BYTES_PER_TOKEN: u64 = 4;

/// No call has more tokens than this: a provider that names more has gone mad, and sums must stay sums.
const MOST_TOKENS: u64 = 1 << 32;

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The provider said that it is complete.
    Complete,
    /// It broke off: the provider, the network, or who asked.
    Cut,
    /// The provider refused or failed.
    Failed,
}

/// What a call used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Used {
    /// How much.
    pub tokens: Tokens,
    /// Whether any of it is an estimate.
    pub estimated: bool,
    /// How the answer ended.
    pub end: End,
}

/// Reads one answer.
#[derive(Debug)]
pub struct UsageReader {
    refused: bool,
    frames: Option<Frames>,
    scan: Scan,
    seen: Seen,
}

impl UsageReader {
    /// For an answer with this status and content type.
    pub fn new(wire: Wire, status: u16, content_type: &str) -> Self {
        Self {
            refused: status >= 300,
            frames: content_type.starts_with("text/event-stream").then(Frames::new),
            scan: Scan::new(),
            seen: Seen::new(wire),
        }
    }

    /// Looks at the next bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        let (scan, seen) = (&mut self.scan, &mut self.seen);
        match &mut self.frames {
            None => scan.feed(bytes, seen),
            Some(frames) => frames.feed(bytes, |piece| match piece {
                Piece::Data(data) => scan.feed(data, seen),
                Piece::End => scan.reset(),
            }),
        }
    }

    /// What was used, as far as the answer has come. `input_guess` stands for the request's tokens while the provider
    /// has not named them.
    pub fn used(&self, input_guess: u64) -> Used {
        let seen = &self.seen;
        let end = match (self.refused || seen.failed, seen.complete) {
            (true, _) => End::Failed,
            (false, true) => End::Complete,
            (false, false) => End::Cut,
        };
        let mut tokens = seen.tokens();
        let named = seen.input.is_some() && seen.output.is_some();
        if end == End::Failed && !named && seen.text == 0 && seen.input.is_none() {
            // Refused before anything was read: nobody bills that.
            return Used {
                tokens: Tokens::default(),
                estimated: false,
                end,
            };
        }
        if seen.input.is_none() {
            tokens.input = input_guess;
        }
        // Cut in the midst of the counts: those that came may lack what is to be taken off them.
        let exact = named && end == End::Complete && !self.scan.is_open();
        if !exact {
            let written = seen.text.div_ceil(BYTES_PER_TOKEN);
            tokens.output = tokens.output.max(written.saturating_sub(tokens.reasoning));
        }
        Used {
            tokens,
            estimated: !exact,
            end,
        }
    }
}

/// What the answer said so far. Providers that count along name sums: the largest is the last.
#[derive(Debug)]
struct Seen {
    wire: Wire,
    input: Option<u64>,
    output: Option<u64>,
    total: Option<u64>,
    cache_read: u64,
    cache_write: u64,
    reasoning: u64,
    tool_input: u64,
    /// Bytes of text that the model wrote.
    text: u64,
    complete: bool,
    failed: bool,
}

impl Seen {
    const fn new(wire: Wire) -> Self {
        Self {
            wire,
            input: None,
            output: None,
            total: None,
            cache_read: 0,
            cache_write: 0,
            reasoning: 0,
            tool_input: 0,
            text: 0,
            complete: false,
            failed: false,
        }
    }

    /// Each token in exactly one place: vendors differ in what their sums include.
    fn tokens(&self) -> Tokens {
        let (input, output) = (self.input.unwrap_or(0), self.output.unwrap_or(0));
        match self.wire {
            Wire::AnthropicMessages => Tokens {
                input,
                output,
                cache_read: self.cache_read,
                cache_write: self.cache_write,
                reasoning: 0,
            },
            Wire::GoogleGenerate => Tokens {
                input: (input + self.tool_input).saturating_sub(self.cache_read),
                output,
                cache_read: self.cache_read,
                cache_write: 0,
                reasoning: self.reasoning,
            },
            Wire::OpenAiChat | Wire::OpenAiResponses => {
                // Some compatible servers count reasoning beside the answer; then only the total has both.
                let beside = self
                    .total
                    .is_some_and(|total| total >= input + output + self.reasoning.max(1));
                let cached = self.cache_read.saturating_add(self.cache_write);
                Tokens {
                    input: input.saturating_sub(cached),
                    output: if beside {
                        output
                    } else {
                        output.saturating_sub(self.reasoning)
                    },
                    cache_read: self.cache_read,
                    cache_write: self.cache_write,
                    reasoning: self.reasoning,
                }
            }
        }
    }

    fn anthropic_number(&mut self, path: &str, value: u64) {
        let Some(name) = path.strip_prefix("message.").unwrap_or(path).strip_prefix("usage.") else {
            return;
        };
        match name {
            "input_tokens" => most(&mut self.input, value),
            "output_tokens" => most(&mut self.output, value),
            "cache_read_input_tokens" => self.cache_read = self.cache_read.max(value),
            "cache_creation_input_tokens" => self.cache_write = self.cache_write.max(value),
            _ => {}
        }
    }

    fn openai_number(&mut self, path: &str, value: u64) {
        let path = path
            .strip_prefix("response.")
            .or(path.strip_prefix("choices[]."))
            .unwrap_or(path);
        let Some(name) = path.strip_prefix("usage.") else {
            return;
        };
        match name {
            "prompt_tokens" | "input_tokens" => most(&mut self.input, value),
            "completion_tokens" | "output_tokens" => most(&mut self.output, value),
            "total_tokens" => most(&mut self.total, value),
            "prompt_tokens_details.cached_tokens"
            | "input_tokens_details.cached_tokens"
            | "prompt_cache_hit_tokens" => self.cache_read = self.cache_read.max(value),
            "prompt_tokens_details.cache_write_tokens" => self.cache_write = self.cache_write.max(value),
            "completion_tokens_details.reasoning_tokens" | "output_tokens_details.reasoning_tokens" => {
                self.reasoning = self.reasoning.max(value);
            }
            _ => {}
        }
    }

    fn google_number(&mut self, path: &str, value: u64) {
        let Some(name) = path.strip_prefix("[].").unwrap_or(path).strip_prefix("usageMetadata.") else {
            return;
        };
        match name {
            "promptTokenCount" => most(&mut self.input, value),
            "candidatesTokenCount" => most(&mut self.output, value),
            "cachedContentTokenCount" => self.cache_read = self.cache_read.max(value),
            "thoughtsTokenCount" => self.reasoning = self.reasoning.max(value),
            "toolUsePromptTokenCount" => self.tool_input = self.tool_input.max(value),
            _ => {}
        }
    }

    fn anthropic_text(&mut self, path: &str, head: &str, bytes: u64) {
        match (path, head) {
            ("type", "message_stop") | ("stop_reason", _) => self.complete = true,
            ("type", "error") => self.failed = true,
            ("delta.text" | "delta.thinking" | "delta.partial_json" | "content[].text" | "content[].thinking", _) => {
                self.text += bytes;
            }
            _ => {}
        }
    }

    fn chat_text(&mut self, path: &str, bytes: u64) {
        if matches!(path, "error.message" | "error.code" | "error.type") {
            self.failed = true;
        }
        let Some(choice) = path.strip_prefix("choices[].") else {
            return;
        };
        if choice == "finish_reason" {
            self.complete = true;
            return;
        }
        let written = choice.strip_prefix("delta.").or(choice.strip_prefix("message."));
        if matches!(
            written,
            Some("content" | "reasoning_content" | "reasoning" | "refusal" | "tool_calls[].function.arguments")
        ) {
            self.text += bytes;
        }
    }

    fn responses_text(&mut self, path: &str, head: &str, bytes: u64) {
        match (path, head) {
            ("type", "response.completed" | "response.incomplete") | ("status", "completed" | "incomplete") => {
                self.complete = true;
            }
            ("type", "response.failed" | "error") | ("status", "failed") | ("error.message", _) => self.failed = true,
            ("delta" | "output[].content[].text" | "output[].arguments", _) => self.text += bytes,
            _ => {}
        }
    }

    fn google_text(&mut self, path: &str, bytes: u64) {
        match path.strip_prefix("[].").unwrap_or(path) {
            "candidates[].finishReason" | "promptFeedback.blockReason" => {
                self.complete = true;
                // Nothing was written, and then it is not counted either.
                most(&mut self.output, 0);
            }
            "error.status" | "error.message" => self.failed = true,
            "candidates[].content.parts[].text" => self.text += bytes,
            _ => {}
        }
    }
}

fn most(known: &mut Option<u64>, value: u64) {
    *known = Some(known.unwrap_or(0).max(value));
}

impl Sink for Seen {
    fn number(&mut self, path: &str, value: u64) {
        let value = value.min(MOST_TOKENS);
        match self.wire {
            Wire::AnthropicMessages => self.anthropic_number(path, value),
            Wire::OpenAiChat | Wire::OpenAiResponses => self.openai_number(path, value),
            Wire::GoogleGenerate => self.google_number(path, value),
        }
    }

    fn text(&mut self, path: &str, head: &str, bytes: u64) {
        match self.wire {
            Wire::AnthropicMessages => self.anthropic_text(path, head, bytes),
            Wire::OpenAiChat => self.chat_text(path, bytes),
            Wire::OpenAiResponses => self.responses_text(path, head, bytes),
            Wire::GoogleGenerate => self.google_text(path, bytes),
        }
    }
}
