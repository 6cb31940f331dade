//! What a request may cost at most, and what it probably costs, before anybody has counted its tokens.
//!
//! The bound rests on this: a token stands for at least one byte of text. What holds more tokens than bytes (a picture)
//! is given [`MEDIA_BOUND`]; what the provider fetches itself (a picture's address, an uploaded file, an earlier answer,
//! what its own tools find) has no bound that we could know.
//!
//! Whoever writes the request gains by hiding what it asks for. So it is read by a whole parser, escapes and exponents
//! included, names are compared without regard to case, and what cannot be read has no bound.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::Wire;
use crate::usage::BYTES_PER_TOKEN;

/// No picture or page is more tokens than this.
const MEDIA_BOUND: u64 = 40_000;
/// What a picture usually is.
const MEDIA_GUESS: u64 = 1_600;
/// A text of so many bytes under the name `data` is no words.
const MEDIA_BYTES: u64 = 256;

/// Fields beside `model` that let a provider answer with another model than that one.
const OTHER_MODELS: [&str; 6] = ["models", "fallbacks", "model_list", "route", "preset", "tools[].model"];
/// Fields by which the provider reads more than the request holds.
const READS_MORE: [&str; 6] = [
    "mcp_servers",
    "plugins",
    "web_search_options",
    "prompt",
    "conversation",
    "container",
];
/// Limits by other names, which only some servers know: what they mean beside a known one is each server's own matter.
const OWN_LIMITS: [&str; 7] = [
    "n_predict",
    "num_predict",
    "options.num_predict",
    "max_new_tokens",
    "parameters.max_new_tokens",
    "max_gen_len",
    "max_length",
];
/// Tools that run where the agent is, by their `type`; any other type is one of the provider's own.
const OWN_TOOLS: [&str; 2] = ["function", "custom"];
const OWN_TOOL_FAMILIES: [&str; 4] = ["bash_", "text_editor_", "computer_", "memory_"];
/// The only part of Google's `tools[]` that runs where the agent is.
const GOOGLE_OWN_TOOLS: [&str; 2] = ["tools[].functiondeclarations", "tools[].function_declarations"];

/// What a request says of its size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Tokens of the request, at most; `None`: nobody knows.
    pub input_bound: Option<u64>,
    /// Tokens of the request, about.
    pub input_guess: u64,
    /// Tokens of the answer, at most; `None`: nobody knows.
    pub output_bound: Option<u64>,
    /// The field by which the request names other models than the one that was judged.
    pub other_models: Option<String>,
}

impl Asked {
    /// From the request's body. `longest` is the model's longest answer, for requests that do not limit it.
    pub fn read(wire: Wire, body: &[u8], longest: Option<u64>) -> Self {
        let mut seen = Seen {
            wire,
            ..Seen::default()
        };
        let mut json = serde_json::Deserializer::from_slice(body);
        let mut path = String::new();
        let at = At {
            seen: &mut seen,
            path: &mut path,
        };
        let whole = at.deserialize(&mut json).and_then(|()| json.end()).is_ok();
        let bytes = body.len() as u64;
        let media_bound = seen.media.saturating_mul(MEDIA_BOUND);
        let words = bytes.saturating_sub(seen.media_bytes);
        let output = seen.output.or(longest);
        let output_bound = output.map(|tokens| tokens.saturating_mul(seen.answers.max(1)));
        Self {
            input_bound: (whole && !seen.elsewhere).then(|| bytes.saturating_add(media_bound)),
            input_guess: (words / BYTES_PER_TOKEN).saturating_add(seen.media.saturating_mul(MEDIA_GUESS)),
            output_bound: output_bound.filter(|_| whole && !seen.odd),
            other_models: seen.other_models,
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
    /// A limit is there, and does not say how much.
    odd: bool,
    other_models: Option<String>,
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
            odd: false,
            other_models: None,
        }
    }
}

/// What a number limits.
enum Limits {
    Length,
    Answers,
}

impl Seen {
    fn limits(&self, path: &str) -> Option<Limits> {
        match (self.wire, path) {
            (Wire::AnthropicMessages | Wire::OpenAiChat, "max_tokens")
            | (Wire::OpenAiChat, "max_completion_tokens")
            | (Wire::OpenAiResponses, "max_output_tokens")
            | (Wire::GoogleGenerate, "generationconfig.maxoutputtokens" | "generation_config.max_output_tokens") => {
                Some(Limits::Length)
            }
            (Wire::OpenAiChat, "n" | "best_of")
            | (Wire::GoogleGenerate, "generationconfig.candidatecount" | "generation_config.candidate_count") => {
                Some(Limits::Answers)
            }
            _ => None,
        }
    }

    fn key(&mut self, path: &str, name: &str) {
        let misspelt = path == "model" && name != "model";
        if misspelt || OTHER_MODELS.contains(&path) {
            self.other_models.get_or_insert_with(|| name.chars().take(40).collect());
        }
        let of_google = path.starts_with("tools[].") && path.matches('.').count() == 1;
        let finds = self.wire == Wire::GoogleGenerate && of_google && !GOOGLE_OWN_TOOLS.contains(&path);
        self.elsewhere |= finds || READS_MORE.contains(&path);
        self.odd |= OWN_LIMITS.contains(&path);
    }

    fn number(&mut self, path: &str, value: u64) {
        match self.limits(path) {
            // Below 1 it limits nothing: to many servers it says "as long as you like".
            Some(Limits::Length) if value == 0 => self.odd = true,
            Some(Limits::Length) => self.output = Some(self.output.unwrap_or(0).max(value)),
            Some(Limits::Answers) => self.answers = self.answers.max(value),
            None => {}
        }
    }

    /// A text or a truth value, which some servers read as a number.
    fn no_number(&mut self, path: &str) {
        self.odd |= self.limits(path).is_some();
    }

    fn text(&mut self, path: &str, text: &str) {
        self.no_number(path);
        if path == "tools[].type" {
            let own = OWN_TOOLS.contains(&text) || OWN_TOOL_FAMILIES.iter().any(|family| text.starts_with(family));
            self.elsewhere |= !own;
        }
        // What the agent's tools were given and gave back is text, whatever its fields are called.
        let of_a_tool = [".input.", ".args.", ".response.", "tools[]"]
            .iter()
            .any(|part| path.contains(part));
        if of_a_tool {
            return;
        }
        let bytes = text.len() as u64;
        let name = path.rsplit('.').next().unwrap_or(path);
        if starts_with(text, "data:") || matches!(name, "data" | "file_data") && bytes > MEDIA_BYTES {
            self.media += 1;
            self.media_bytes += bytes;
        }
        let address = matches!(name, "url" | "image_url" | "file_url") && starts_with(text, "http");
        let reference = matches!(
            name,
            "file_id"
                | "previous_response_id"
                | "conversation"
                | "cachedcontent"
                | "cached_content"
                | "fileuri"
                | "file_uri"
        );
        self.elsewhere |= address || reference;
    }
}

fn starts_with(text: &str, scheme: &str) -> bool {
    let head = text.trim_start().as_bytes().get(..scheme.len());
    head.is_some_and(|head| head.eq_ignore_ascii_case(scheme.as_bytes()))
}

/// A value of the request and the way to it, in small letters: `messages[].content[].type`.
struct At<'w> {
    seen: &'w mut Seen,
    path: &'w mut String,
}

impl<'de> DeserializeSeed<'de> for At<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for At<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.seen.no_number(self.path);
        Ok(())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.seen.number(self.path, value);
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.visit_u64(u64::try_from(value).unwrap_or(0))
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it ends at the greatest and at 0"
    )]
    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.visit_u64(value.ceil() as u64)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<(), E> {
        self.seen.text(self.path, text);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let outer = self.path.len();
        self.path.push_str("[]");
        loop {
            let item = At {
                seen: &mut *self.seen,
                path: &mut *self.path,
            };
            if items.next_element_seed(item)?.is_none() {
                break;
            }
        }
        self.path.truncate(outer);
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<(), A::Error> {
        let outer = self.path.len();
        while let Some(name) = fields.next_key::<std::borrow::Cow<'_, str>>()? {
            if outer > 0 {
                self.path.push('.');
            }
            // A name cannot pretend to be a way.
            let letters = name.chars().map(|c| {
                if matches!(c, '.' | '[' | ']') {
                    '_'
                } else {
                    c.to_ascii_lowercase()
                }
            });
            self.path.extend(letters);
            self.seen.key(self.path, &name);
            let value = At {
                seen: &mut *self.seen,
                path: &mut *self.path,
            };
            fields.next_value_seed(value)?;
            self.path.truncate(outer);
        }
        Ok(())
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
    fn what_limits_nothing_is_no_limit() {
        for none in ["-1", "0", "-0.5", "0.0", "-1e9", "null,\"max_tokens\":-1"] {
            let body = format!(r#"{{"max_tokens":{none}}}"#);
            assert_eq!(asked(Wire::OpenAiChat, &body).output_bound, None, "{body}");
        }
        let google = r#"{"generationConfig":{"maxOutputTokens":0}}"#;
        assert_eq!(asked(Wire::GoogleGenerate, google).output_bound, None);
        for other in [
            r#""n_predict":9"#,
            r#""options":{"num_predict":9}"#,
            r#""Max_New_Tokens":9"#,
        ] {
            let body = format!(r#"{{"max_tokens":1,{other}}}"#);
            assert_eq!(asked(Wire::OpenAiChat, &body).output_bound, None, "{body}");
        }
        let of_a_tool = r#"{"max_tokens":1,"tools":[{"type":"function","function":{"parameters":{"max_length":1}}}]}"#;
        assert_eq!(asked(Wire::OpenAiChat, of_a_tool).output_bound, Some(1));
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
        for (wire, tool) in [
            (
                Wire::OpenAiResponses,
                r#"{"tools":[{"type":"function"},{"type":"web_search"}]}"#,
            ),
            (
                Wire::AnthropicMessages,
                r#"{"tools":[{"name":"x"},{"type":"web_fetch_20250910"}]}"#,
            ),
            (
                Wire::GoogleGenerate,
                r#"{"tools":[{"functionDeclarations":[]},{"googleSearch":{}}]}"#,
            ),
            (Wire::OpenAiChat, r#"{"web_search_options":{}}"#),
        ] {
            assert_eq!(asked(wire, tool).input_bound, None, "{tool}");
        }
        for (wire, tool) in [
            (
                Wire::OpenAiChat,
                r#"{"tools":[{"type":"function","function":{"parameters":{"type":"object"}}}]}"#,
            ),
            (
                Wire::AnthropicMessages,
                r#"{"tools":[{"name":"x"},{"type":"bash_20250124"}]}"#,
            ),
            (
                Wire::GoogleGenerate,
                r#"{"tools":[{"functionDeclarations":[{"name":"x"}]}]}"#,
            ),
        ] {
            assert!(asked(wire, tool).input_bound.is_some(), "{tool}");
        }
        let tool = r#"{"messages":[{"content":[{"type":"tool_use","input":{"url":"https://x"}}]}],"tools":[{"url":"https://x"}]}"#;
        assert!(asked(Wire::AnthropicMessages, tool).input_bound.is_some());
    }

    #[test]
    fn nothing_is_hidden_by_the_way_it_is_written() {
        let out = |body: &str| asked(Wire::OpenAiChat, body).output_bound;
        for same in [
            r#"{"max_tokens":10,"n":100}"#,
            r#"{"max_tokens":1e1,"\u006e":1e2}"#,
            r#"{"max_tokens":9.5,"N":100.0}"#,
            r#"{"max_tokens":10,"n":1,"n":100}"#,
            r#"{"n":100,"max_tokens":10,"max_tokens":3}"#,
        ] {
            assert_eq!(out(same), Some(1_000), "{same}");
        }
        let deep = format!("{}1{}", "[".repeat(300), "]".repeat(300));
        for unknown in [
            r#"{"max_tokens":10,"n":"100"}"#,
            r#"{"max_tokens":true}"#,
            r#"{"max_tokens":10"#,
            r#"{"max_tokens":10} {"n":5}"#,
            &format!(r#"{{"max_tokens":10,"tools":{deep},"n":100}}"#),
        ] {
            assert_eq!(out(unknown), None, "{unknown}");
        }
        assert_eq!(out(r#"{"max_tokens":5,"n":-3}"#), Some(5));
        assert_eq!(out(r#"{"max_tokens":1e999}"#), None, "no number at all");
        let google = r#"{"generationConfig.maxOutputTokens":1}"#;
        assert_eq!(asked(Wire::GoogleGenerate, google).output_bound, Some(8_192));
        let address = r#"{"messages":[{"content":[{"image_url":{"\u0075rl":" HTTPS://x"}}]}]}"#;
        assert_eq!(asked(Wire::OpenAiChat, address).input_bound, None);
    }

    #[test]
    fn a_request_that_names_other_models_says_so() {
        let others = |body: &str| asked(Wire::OpenAiChat, body).other_models;
        assert_eq!(
            others(r#"{"model":"m","messages":[{"content":"models","models":1}]}"#),
            None
        );
        let tools = r#"{"tools":[{"type":"function","function":{"parameters":{"properties":{"model":{}}}}}]}"#;
        assert_eq!(others(tools), None);
        for (body, field) in [
            (r#"{"model":"m","models":["x"]}"#, "models"),
            (r#"{"model":"m","\u006dodels":["x"]}"#, "models"),
            (r#"{"model":"m","fallbacks":["x"]}"#, "fallbacks"),
            (r#"{"model":"m","Model":"x"}"#, "Model"),
            (r#"{"model":"m","preset":"x"}"#, "preset"),
            (
                r#"{"model":"m","tools":[{"type":"image_generation","model":"x"}]}"#,
                "model",
            ),
        ] {
            assert_eq!(others(body).as_deref(), Some(field), "{body}");
        }
    }
}
