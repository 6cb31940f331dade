//! The vendors' list prices, as they were known when this was written (early 2026). They are found by the model's name
//! alone: who relays a model under its own name bills the same, or an own price says otherwise.

use errand_protocol::money::Rates;
use errand_protocol::text::ModelId;
use errand_protocol::time::Timestamp;

use super::Tariff;

/// Micro-dollars for a million tokens; the vendors' lists are in dollars.
const fn rates(input: u64, output: u64, cache_read: u64, cache_write: u64) -> Rates {
    Rates {
        input,
        output,
        cache_read: Some(cache_read),
        cache_write: Some(cache_write),
        reasoning: None,
    }
}

/// A cache that is written at the price of input.
const fn cached(input: u64, output: u64, cache_read: u64) -> Rates {
    rates(input, output, cache_read, input)
}

/// 2025-01-01: older models are not called any more.
const Y2025: i64 = 1_735_689_600_000;

struct Known {
    name: &'static str,
    from: i64,
    tariff: Tariff,
}

const fn known(name: &'static str, rates: Rates) -> Known {
    Known {
        name,
        from: Y2025,
        tariff: Tariff::flat(rates),
    }
}

const fn tiered(name: &'static str, usual: Rates, long: Rates) -> Known {
    Known {
        name,
        from: Y2025,
        tariff: Tariff {
            rates: usual,
            above: Some((200_000, long)),
        },
    }
}

const SONNET: Rates = rates(3_000_000, 15_000_000, 300_000, 3_750_000);
const SONNET_LONG: Rates = rates(6_000_000, 22_500_000, 600_000, 7_500_000);
const OPUS_4: Rates = rates(15_000_000, 75_000_000, 1_500_000, 18_750_000);

const KNOWN: &[Known] = &[
    known("claude-opus-4-5", rates(5_000_000, 25_000_000, 500_000, 6_250_000)),
    known("claude-opus-4-1", OPUS_4),
    known("claude-opus-4", OPUS_4),
    tiered("claude-sonnet-4-5", SONNET, SONNET_LONG),
    tiered("claude-sonnet-4", SONNET, SONNET_LONG),
    known("claude-3-7-sonnet", SONNET),
    known("claude-haiku-4-5", rates(1_000_000, 5_000_000, 100_000, 1_250_000)),
    known("claude-3-5-haiku", rates(800_000, 4_000_000, 80_000, 1_000_000)),
    known("gpt-5", cached(1_250_000, 10_000_000, 125_000)),
    known("gpt-5-1", cached(1_250_000, 10_000_000, 125_000)),
    known("gpt-5-codex", cached(1_250_000, 10_000_000, 125_000)),
    known("gpt-5-1-codex", cached(1_250_000, 10_000_000, 125_000)),
    known("gpt-5-mini", cached(250_000, 2_000_000, 25_000)),
    known("gpt-5-nano", cached(50_000, 400_000, 5_000)),
    known("gpt-4-1", cached(2_000_000, 8_000_000, 500_000)),
    known("gpt-4-1-mini", cached(400_000, 1_600_000, 100_000)),
    known("gpt-4-1-nano", cached(100_000, 400_000, 25_000)),
    known("gpt-4o", cached(2_500_000, 10_000_000, 1_250_000)),
    known("gpt-4o-mini", cached(150_000, 600_000, 75_000)),
    known("o3", cached(2_000_000, 8_000_000, 500_000)),
    known("o4-mini", cached(1_100_000, 4_400_000, 275_000)),
    tiered(
        "gemini-2-5-pro",
        cached(1_250_000, 10_000_000, 125_000),
        cached(2_500_000, 15_000_000, 250_000),
    ),
    tiered(
        "gemini-3-pro",
        cached(2_000_000, 12_000_000, 200_000),
        cached(4_000_000, 18_000_000, 400_000),
    ),
    known("gemini-2-5-flash", cached(300_000, 2_500_000, 30_000)),
    known("gemini-2-5-flash-lite", cached(100_000, 400_000, 10_000)),
];

/// The list price of a model at `at`.
pub(super) fn tariff(model: &ModelId, at: Timestamp) -> Option<Tariff> {
    let name = model
        .as_str()
        .rsplit('/')
        .next()?
        .to_lowercase()
        .replace(['.', ':', '@'], "-");
    KNOWN
        .iter()
        .filter(|known| known.from <= at.millis() && is_version(&name, known.name))
        .max_by_key(|known| known.from)
        .map(|known| known.tariff)
}

/// Whether `name` is the model `known` or a dated version of it. Another word after it is another model, at another
/// price.
fn is_version(name: &str, known: &str) -> bool {
    let Some(rest) = name.strip_prefix(known) else {
        return false;
    };
    let Some(version) = rest.strip_prefix('-') else {
        return rest.is_empty();
    };
    let digits = version.bytes().filter(u8::is_ascii_digit).count();
    let dated = digits >= 4 && version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    dated || version == "latest" || version == "preview"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input(id: &str) -> Option<u64> {
        tariff(&id.parse().unwrap(), Timestamp::from_millis(Y2025 + 1)).map(|tariff| tariff.rates.input)
    }

    #[test]
    fn a_model_is_found_by_its_name_whoever_relays_it_and_whatever_its_date() {
        for id in [
            "anthropic/claude-sonnet-4-5",
            "claude/claude-sonnet-4-5-20250929",
            "openrouter/anthropic/claude-sonnet-4.5",
            "anthropic/claude-sonnet-4-5-latest",
        ] {
            assert_eq!(input(id), Some(3_000_000), "{id}");
        }
        assert_eq!(input("openai/gpt-5-2025-08-07"), Some(1_250_000));
        assert_eq!(input("google/gemini-3-pro-preview"), Some(2_000_000));
    }

    #[test]
    fn another_word_is_another_model() {
        assert_eq!(input("openai/gpt-5-mini"), Some(250_000));
        for id in [
            "openai/gpt-5-pro",
            "openai/gpt-50",
            "anthropic/claude-opus-4-9",
            "demo/scripted",
            "x/o3-deep-research",
        ] {
            assert_eq!(input(id), None, "{id}");
        }
    }

    #[test]
    fn no_price_counts_before_its_day() {
        let model = "openai/gpt-5".parse().unwrap();
        assert_eq!(tariff(&model, Timestamp::from_millis(Y2025 - 1)), None);
    }
}
