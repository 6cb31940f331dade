//! Days and months of UTC: which one a moment belongs to, and when the next begins.

use errand_protocol::money::Period;
use errand_protocol::time::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

/// The name of the period that `at` is in: `total`, `2026-11-21`, `2026-11`.
pub fn bucket(period: Period, at: Timestamp) -> String {
    let date = date(at);
    match period {
        Period::Total => "total".to_owned(),
        Period::Day => format!("{date}"),
        Period::Month => format!("{:04}-{:02}", date.year(), date.month()),
    }
}

/// When the period that `at` is in began; the beginning of time for one that never ends.
pub fn begins(period: Period, at: Timestamp) -> Timestamp {
    let date = date(at);
    let first = match period {
        Period::Total => return Timestamp::from_millis(0),
        Period::Day => date,
        Period::Month => date.first_of_month(),
    };
    let midnight = TimeZone::UTC.to_timestamp(DateTime::from(first));
    midnight.map_or(at, |midnight| Timestamp::from_millis(midnight.as_millisecond()))
}

/// When the period that `at` is in ends; `None`: never.
pub fn ends(period: Period, at: Timestamp) -> Option<Timestamp> {
    let date = date(at);
    let next = match period {
        Period::Total => return None,
        Period::Day => date.tomorrow().ok()?,
        Period::Month => date.last_of_month().tomorrow().ok()?,
    };
    let midnight = TimeZone::UTC.to_timestamp(DateTime::from(next)).ok()?;
    Some(Timestamp::from_millis(midnight.as_millisecond()))
}

/// The day `days` days before that of `at`, as [`bucket`] names it.
pub fn day_before(at: Timestamp, days: u32) -> String {
    bucket(Period::Day, at.plus(-i64::from(days) * 86_400_000))
}

fn date(at: Timestamp) -> Date {
    // Out of jiff's range no clock of ours ever is.
    let at = jiff::Timestamp::from_millisecond(at.millis()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    TimeZone::UTC.to_datetime(at).date()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn periods_are_those_of_utc_and_end_at_midnight() {
        let late = at("2028-02-29T23:59:59.999Z");
        assert_eq!(bucket(Period::Day, late), "2028-02-29");
        assert_eq!(bucket(Period::Month, late), "2028-02");
        assert_eq!(bucket(Period::Total, late), "total");
        assert_eq!(ends(Period::Day, late), Some(at("2028-03-01T00:00:00Z")));
        assert_eq!(
            ends(Period::Month, at("2026-12-01T00:00:00Z")),
            Some(at("2027-01-01T00:00:00Z"))
        );
        assert_eq!(ends(Period::Total, late), None);
        assert_eq!(begins(Period::Day, late), at("2028-02-29T00:00:00Z"));
        assert_eq!(begins(Period::Month, late), at("2028-02-01T00:00:00Z"));
        assert_eq!(day_before(at("2026-03-01T12:00:00Z"), 1), "2026-02-28");
    }
}
