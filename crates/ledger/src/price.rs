//! What tokens cost. The org's own prices come first, then the vendors' list prices that are known here, each from a
//! day on. A model without a price has no cost that anybody could know, and no budget lets it pass.

use errand_protocol::money::{Micros, Price, Rates, Tokens};
use errand_protocol::text::ModelId;
use errand_protocol::time::Timestamp;

mod known;

const MILLION: u128 = 1_000_000;

/// What a model costs at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tariff {
    /// The usual rates.
    pub rates: Rates,
    /// Those of requests with more than so many tokens.
    pub above: Option<(u64, Rates)>,
}

impl Tariff {
    /// Without an extra for long requests.
    pub const fn flat(rates: Rates) -> Self {
        Self { rates, above: None }
    }

    /// What these tokens cost, rounded up.
    pub fn cost(&self, tokens: &Tokens) -> Micros {
        let read = tokens
            .input
            .saturating_add(tokens.cache_read)
            .saturating_add(tokens.cache_write);
        let rates = match &self.above {
            Some((threshold, rates)) if read > *threshold => rates,
            _ => &self.rates,
        };
        sum(&[
            (tokens.input, rates.input),
            (tokens.output, rates.output),
            (tokens.cache_read, rates.cache_read.unwrap_or(rates.input)),
            (tokens.cache_write, rates.cache_write.unwrap_or(rates.input)),
            (tokens.reasoning, rates.reasoning.unwrap_or(rates.output)),
        ])
    }

    /// What so many tokens cost at most, whatever they turn out to be.
    pub fn at_most(&self, input: u64, output: u64) -> Micros {
        let dearest = |rates: &Rates| {
            let read = rates
                .input
                .max(rates.cache_read.unwrap_or(0))
                .max(rates.cache_write.unwrap_or(0));
            let written = rates.output.max(rates.reasoning.unwrap_or(0));
            sum(&[(input, read), (output, written)])
        };
        let usual = dearest(&self.rates);
        self.above
            .as_ref()
            .map_or(usual, |(_, rates)| usual.max(dearest(rates)))
    }
}

fn sum(parts: &[(u64, u64)]) -> Micros {
    let total = parts.iter().fold(0_u128, |total, (tokens, rate)| {
        total.saturating_add(u128::from(*tokens) * u128::from(*rate))
    });
    Micros(u64::try_from(total.div_ceil(MILLION)).unwrap_or(u64::MAX))
}

/// What `model` costs at `at`; `None`: nobody said.
pub fn tariff(own: &[Price], model: &ModelId, at: Timestamp) -> Option<Tariff> {
    let own = own
        .iter()
        .filter(|price| price.model == *model && price.from <= at)
        .max_by_key(|price| price.from);
    own.map(|price| Tariff::flat(price.rates))
        .or_else(|| known::tariff(model, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(id: &str) -> ModelId {
        id.parse().unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn price(from: &str, input: u64) -> Price {
        Price {
            model: model("acme/large"),
            from: at(from),
            rates: Rates {
                input,
                output: 10,
                cache_read: None,
                cache_write: None,
                reasoning: None,
            },
        }
    }

    #[test]
    fn each_kind_of_token_has_its_rate_and_the_sum_is_rounded_up_once() {
        let tariff = Tariff::flat(Rates {
            input: 3_000_000,
            output: 15_000_000,
            cache_read: Some(300_000),
            cache_write: Some(3_750_000),
            reasoning: None,
        });
        let tokens = Tokens {
            input: 1_000,
            output: 100,
            cache_read: 10_000,
            cache_write: 2_000,
            reasoning: 1,
        };
        // 3,000 + 1,500 + 3,000 + 7,500 + 15
        assert_eq!(tariff.cost(&tokens), Micros(15_015));
        let one = Tokens {
            cache_read: 1,
            ..Tokens::default()
        };
        assert_eq!(tariff.cost(&one), Micros(1));
        assert_eq!(tariff.cost(&Tokens::default()), Micros(0));
    }

    #[test]
    fn the_most_that_tokens_can_cost_is_not_exceeded_by_any_of_their_kinds() {
        let tariff = tariff(&[], &model("anthropic/claude-sonnet-4-5"), at("2026-11-21T00:00:00Z")).unwrap();
        for (read, written) in [(10, 5), (199_999, 64_000), (200_001, 1), (1_000_000, 64_000)] {
            let most = tariff.at_most(read, written);
            for kind in 0..3 {
                let mut tokens = Tokens {
                    output: written,
                    ..Tokens::default()
                };
                *[&mut tokens.input, &mut tokens.cache_read, &mut tokens.cache_write][kind] = read;
                assert!(tariff.cost(&tokens) <= most, "{read} {written} {kind}");
            }
        }
    }

    #[test]
    fn absurd_counts_do_not_overflow() {
        let tariff = Tariff::flat(price("2026-01-01T00:00:00Z", u64::MAX).rates);
        let tokens = Tokens {
            input: u64::MAX,
            cache_read: u64::MAX,
            ..Tokens::default()
        };
        assert_eq!(tariff.cost(&tokens), Micros(u64::MAX));
    }

    #[test]
    fn the_latest_own_price_that_has_begun_counts() {
        let own = [
            price("2026-06-01T00:00:00Z", 2),
            price("2026-01-01T00:00:00Z", 1),
            price("2027-01-01T00:00:00Z", 3),
        ];
        let input = |day: &str| tariff(&own, &model("acme/large"), at(day)).map(|tariff| tariff.rates.input);
        assert_eq!(input("2025-12-31T23:59:59Z"), None);
        assert_eq!(input("2026-01-01T00:00:00Z"), Some(1));
        assert_eq!(input("2026-11-21T00:00:00Z"), Some(2));
        assert_eq!(tariff(&own, &model("acme/small"), at("2026-11-21T00:00:00Z")), None);
    }

    #[test]
    fn an_own_price_goes_before_a_known_one() {
        let mut own = price("2026-01-01T00:00:00Z", 1);
        own.model = model("openai/gpt-5");
        let at = at("2026-11-21T00:00:00Z");
        assert_eq!(tariff(&[own], &model("openai/gpt-5"), at).unwrap().rates.input, 1);
        assert_eq!(tariff(&[], &model("openai/gpt-5"), at).unwrap().rates.input, 1_250_000);
    }
}
