//! The providers of models that are known by name: where they are, how one asks whether a key is good, and the models of
//! theirs that people use (early 2026). A key opens them; nothing here says what they cost ([`crate::price`]).

use errand_protocol::runner::Dialect;

/// A provider.
#[derive(Debug, Clone, Copy)]
pub struct Vendor {
    /// The part of a model's id before the slash.
    pub name: &'static str,
    /// What people call it.
    pub title: &'static str,
    /// Its wire format.
    pub dialect: Dialect,
    /// Where it is.
    pub base_url: &'static str,
    /// What is asked, below its address, to learn whether a key is good: costs nothing.
    pub check: &'static str,
    /// Its models.
    pub models: &'static [VendorModel],
}

/// A model of a provider.
#[derive(Debug, Clone, Copy)]
pub struct VendorModel {
    /// The part of its id after the slash.
    pub model: &'static str,
    /// Name to show.
    pub name: &'static str,
    /// Context window, tokens.
    pub context: u32,
    /// Longest answer, tokens.
    pub output: u32,
    /// Whether it can be told how much to think.
    pub efforts: bool,
}

const fn model(model: &'static str, name: &'static str, context: u32, output: u32) -> VendorModel {
    VendorModel {
        model,
        name,
        context,
        output,
        efforts: true,
    }
}

const fn plain(id: &'static str, name: &'static str, context: u32, output: u32) -> VendorModel {
    VendorModel {
        efforts: false,
        ..model(id, name, context, output)
    }
}

/// All of them.
pub const VENDORS: &[Vendor] = &[
    Vendor {
        name: "anthropic",
        title: "Anthropic",
        dialect: Dialect::Anthropic,
        base_url: "https://api.anthropic.com/v1",
        check: "models?limit=1",
        models: &[
            model("claude-opus-4-5", "Claude Opus 4.5", 200_000, 64_000),
            model("claude-sonnet-4-5", "Claude Sonnet 4.5", 200_000, 64_000),
            model("claude-haiku-4-5", "Claude Haiku 4.5", 200_000, 64_000),
        ],
    },
    Vendor {
        name: "openai",
        title: "OpenAI",
        dialect: Dialect::Responses,
        base_url: "https://api.openai.com/v1",
        check: "models",
        models: &[
            model("gpt-5.1", "GPT-5.1", 400_000, 128_000),
            model("gpt-5.1-codex", "GPT-5.1 Codex", 400_000, 128_000),
            model("gpt-5", "GPT-5", 400_000, 128_000),
            model("gpt-5-mini", "GPT-5 mini", 400_000, 128_000),
            plain("gpt-4.1", "GPT-4.1", 1_047_576, 32_768),
        ],
    },
    Vendor {
        name: "google",
        title: "Google",
        dialect: Dialect::Google,
        base_url: "https://generativelanguage.googleapis.com/v1beta",
        check: "models?pageSize=1",
        models: &[
            plain("gemini-3-pro-preview", "Gemini 3 Pro", 1_048_576, 65_536),
            plain("gemini-2.5-pro", "Gemini 2.5 Pro", 1_048_576, 65_536),
            plain("gemini-2.5-flash", "Gemini 2.5 Flash", 1_048_576, 65_536),
        ],
    },
    Vendor {
        name: "openrouter",
        title: "OpenRouter",
        dialect: Dialect::Openai,
        base_url: "https://openrouter.ai/api/v1",
        // Its list of models is for everybody: it says nothing of a key.
        check: "key",
        models: &[
            model("anthropic/claude-sonnet-4.5", "Claude Sonnet 4.5", 200_000, 64_000),
            model("openai/gpt-5", "GPT-5", 400_000, 128_000),
            plain("google/gemini-2.5-pro", "Gemini 2.5 Pro", 1_048_576, 65_536),
            plain("qwen/qwen3-coder", "Qwen3 Coder", 262_144, 65_536),
        ],
    },
];

/// The provider of this name.
pub fn vendor(name: &str) -> Option<&'static Vendor> {
    VENDORS.iter().find(|vendor| vendor.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::price;
    use errand_protocol::text::{ModelId, ProviderName};
    use errand_protocol::time::Timestamp;

    #[test]
    fn every_model_has_a_well_formed_id_and_the_vendors_own_have_a_price() {
        for vendor in VENDORS {
            assert!(vendor.name.parse::<ProviderName>().is_ok(), "{}", vendor.name);
            assert!(vendor.base_url.starts_with("https://") && !vendor.base_url.ends_with('/'));
            for model in vendor.models {
                let id: ModelId = format!("{}/{}", vendor.name, model.model).parse().unwrap();
                let priced = price::tariff(&[], &id, Timestamp::from_millis(1_795_242_077_308)).is_some();
                assert!(priced || vendor.name == "openrouter", "{id} has no price");
            }
        }
    }
}
