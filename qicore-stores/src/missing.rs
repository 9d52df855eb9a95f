//! Bars that are not there.

use qicore_data::{Timeframe, Timestamp};

/// Bars that are not there: all opening times from the first to the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Missing {
    /// The opening time of the first missing bar.
    pub from: Timestamp,
    /// The opening time of the last one.
    pub to: Timestamp,
    /// How many they are.
    pub bars: u64,
}

/// The bars that are missing before the `first` one that is there, and in the holes behind bars that are there.
pub(crate) fn missing(
    timeframe: Timeframe,
    from: Timestamp,
    first: Timestamp,
    holes: impl Iterator<Item = (Timestamp, Timestamp)>,
) -> Vec<Missing> {
    let floor = timeframe.floor(from);
    let start = if floor < from { timeframe.next(floor) } else { floor };
    let before = run(timeframe, start, first);
    let behind = holes.filter_map(|(bar, next)| run(timeframe, timeframe.next(bar), next));
    before.into_iter().chain(behind).collect()
}

/// The bars from one opening time up to another, without that.
fn run(timeframe: Timeframe, from: Timestamp, end: Timestamp) -> Option<Missing> {
    if from >= end {
        return None;
    }
    let (bars, to) = match timeframe.length() {
        Some(length) => {
            let before_last = end.nanos().abs_diff(from.nanos()).saturating_sub(1) / length.as_nanos() as u64;
            let last = from
                .nanos()
                .saturating_add_unsigned(before_last * length.as_nanos() as u64);
            (before_last + 1, Timestamp::from_nanos(last))
        }
        // Months differ in length; all that there are can be counted.
        None => std::iter::successors(Some(from), |at| Some(timeframe.next(*at)))
            .take_while(|at| *at < end)
            .fold((0, from), |(bars, _), at| (bars + 1, at)),
    };
    Some(Missing { from, to, bars })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn months_that_are_missing() {
        let [february, may, july] = ["2026-02-01T00:00:00Z", "2026-05-01T00:00:00Z", "2026-07-01T00:00:00Z"].map(at);
        let holes = [(february, may), (may, july)];
        let found = missing(Timeframe::Mo1, at("2025-12-15T00:00:00Z"), february, holes.into_iter());
        let told: Vec<_> = found
            .iter()
            .map(|run| (run.from.date(), run.to.date(), run.bars))
            .collect();
        let expected = [
            ("2026-01-01", "2026-01-01", 1),
            ("2026-03-01", "2026-04-01", 2),
            ("2026-06-01", "2026-06-01", 1),
        ];
        assert_eq!(
            told,
            expected.map(|(from, to, bars)| (from.to_owned(), to.to_owned(), bars))
        );
    }

    #[test]
    fn an_empty_series_of_any_length_is_one_run() {
        let (from, to) = (Timestamp::from_nanos(i64::MIN + 1), Timestamp::from_nanos(i64::MAX));
        for timeframe in [Timeframe::S1, Timeframe::W1, Timeframe::Mo1] {
            let found = missing(timeframe, at("1700-01-01T00:00:00Z"), to, [].into_iter());
            let [run] = found[..] else { panic!("{found:?}") };
            assert!(
                run.to < to && (timeframe.next(run.to) >= to || timeframe.next(run.to) < run.to),
                "{run:?}"
            );
            assert!(missing(timeframe, from, to, [].into_iter()).len() == 1);
        }
        let minutes = missing(
            Timeframe::M1,
            at("2026-01-01T00:00:30Z"),
            at("2026-01-01T00:03:30Z"),
            [].into_iter(),
        );
        let told = (at("2026-01-01T00:01:00Z"), at("2026-01-01T00:03:00Z"), 3);
        assert_eq!(
            minutes
                .iter()
                .map(|run| (run.from, run.to, run.bars))
                .collect::<Vec<_>>(),
            [told]
        );
    }

    #[test]
    fn nothing_missing() {
        let at = |minute: i64| Timestamp::from_nanos(minute * 60_000_000_000);
        assert_eq!(missing(Timeframe::M1, at(0), at(0), [].into_iter()), []);
        assert_eq!(missing(Timeframe::M1, at(0), at(0), [(at(3), at(4))].into_iter()), []);
    }
}
