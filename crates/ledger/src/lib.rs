//! What model calls use and cost, and whether one more may be made. Pure.
//!
//! | module | owns |
//! |---|---|
//! | [`asked`] | what a request may cost at most, and probably costs |
//! | [`usage`] | reading what was used from an answer, while it streams by |
//! | [`price`] | what tokens cost: own prices, then the known ones, by date |
//! | [`period`] | days and months |
//! | [`admission`] | budgets: admit, wait or refuse |
//! | [`vendors`] | the providers that are known by name, and their models |
//!
//! Does not: store, send, know a clock or a vendor's key. The object that keeps the books is `src/ledger`.

#![warn(missing_docs)]

pub mod admission;
pub mod asked;
mod frames;
pub mod period;
pub mod price;
mod scan;
pub mod usage;
pub mod vendors;

/// A vendor's wire format, as far as counting is concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// OpenAI Chat Completions, and whatever is compatible with it.
    OpenAiChat,
    /// OpenAI Responses.
    OpenAiResponses,
    /// Anthropic Messages.
    AnthropicMessages,
    /// Google `generateContent` and `streamGenerateContent`.
    GoogleGenerate,
}
