//! What starts of sandboxes usually take: the last [`KEPT`] of each repository, fresh ones and resumed ones apart, and
//! their percentiles. Owns: the arithmetic. The samples are in [`store`].

pub(super) mod store;

use std::collections::BTreeMap;

use errand_protocol::startup::{Mark, Start, StartPoint, Typical, TypicalSpan};

/// So many starts of one repository and kind are remembered.
pub(super) const KEPT: u32 = 200;

/// What these starts took; `None` when there is none.
pub(super) fn typical(starts: &[Vec<Mark>]) -> Option<Typical> {
    let mut spans: BTreeMap<StartPoint, Vec<i64>> = BTreeMap::new();
    let mut ready = Vec::new();
    for marks in starts {
        for (mark, next) in marks.iter().zip(marks.iter().skip(1)) {
            spans.entry(mark.point).or_default().push(next.at.since(mark.at).max(0));
        }
        ready.extend(until_ready(marks));
    }
    let (ready_p50, ready_p95) = percentiles(ready)?;
    let spans = spans.into_iter().filter_map(|(point, times)| {
        let (p50, p95) = percentiles(times)?;
        Some(TypicalSpan { point, p50, p95 })
    });
    Some(Typical {
        samples: u32::try_from(starts.len()).unwrap_or(u32::MAX),
        spans: spans.collect(),
        ready_p50,
        ready_p95,
    })
}

/// Whether a start says how long one takes.
pub(super) fn tells(start: &Start) -> bool {
    until_ready(&start.marks).is_some()
}

fn until_ready(marks: &[Mark]) -> Option<i64> {
    let at = |point| marks.iter().find(|mark| mark.point == point).map(|mark| mark.at);
    Some(at(StartPoint::Ready)?.since(at(StartPoint::Queued)?).max(0))
}

/// The values that half and 95 % of all do not exceed (nearest rank).
pub(crate) fn percentiles(mut times: Vec<i64>) -> Option<(i64, i64)> {
    times.sort_unstable();
    let rank = |percent: usize| {
        times
            .get((times.len() * percent).div_ceil(100).checked_sub(1)?)
            .copied()
    };
    Some((rank(50)?, rank(95)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use errand_protocol::time::Timestamp;

    fn marks(points: &[(StartPoint, i64)]) -> Vec<Mark> {
        let mark = |(point, at): &(StartPoint, i64)| Mark {
            point: *point,
            at: Timestamp::from_millis(*at),
        };
        points.iter().map(mark).collect()
    }

    #[test]
    fn percentiles_are_values_that_occurred() {
        assert_eq!(percentiles((1..=100).rev().collect()), Some((50, 95)));
        assert_eq!(percentiles(vec![7]), Some((7, 7)));
        assert_eq!(percentiles(vec![1, 9]), Some((1, 9)));
        assert_eq!(percentiles(Vec::new()), None);
    }

    #[test]
    fn a_span_lasts_from_its_point_to_the_next_one_that_was_reached() {
        use StartPoint::{Booting, Cloning, Engine, Queued, Ready};
        let with_clone = marks(&[(Queued, 0), (Booting, 10), (Cloning, 30), (Engine, 70), (Ready, 100)]);
        let without = marks(&[(Queued, 0), (Booting, 20), (Engine, 50), (Ready, 300)]);
        let found = typical(&[with_clone, without]).unwrap();
        let span = |point| {
            found
                .spans
                .iter()
                .find(|span| span.point == point)
                .map(|s| (s.p50, s.p95))
        };
        assert_eq!(span(Queued), Some((10, 20)));
        assert_eq!(span(Booting), Some((20, 30)));
        assert_eq!(span(Cloning), Some((40, 40)));
        assert_eq!(span(Engine), Some((30, 250)));
        assert_eq!(span(Ready), None, "nothing follows it");
        assert_eq!((found.samples, found.ready_p50, found.ready_p95), (2, 100, 300));
    }

    #[test]
    fn a_clock_that_was_set_back_gives_no_negative_time() {
        let found = typical(&[marks(&[(StartPoint::Queued, 50), (StartPoint::Ready, 20)])]).unwrap();
        assert_eq!((found.ready_p50, found.spans[0].p50), (0, 0));
        assert_eq!(typical(&[]), None);
    }
}
