//! Where a venue's bars begin.

use std::time::Duration;

use qicore_data::{Timeframe, Timestamp};

/// The open times of bars.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grid {
    timeframe: Timeframe,
    /// How long after Monday weeks begin; zero for other timeframes.
    shift: Duration,
}

impl Grid {
    /// Of a venue whose weeks begin so long after Monday, 00:00 UTC.
    pub(crate) fn new(timeframe: Timeframe, week: Duration) -> Self {
        let shift = match timeframe {
            Timeframe::W1 => week,
            _ => Duration::ZERO,
        };
        Self { timeframe, shift }
    }

    /// The open time of the bar that `at` falls into.
    pub(crate) fn floor(self, at: Timestamp) -> Timestamp {
        let floor = self.timeframe.floor(at.saturating_sub(self.shift));
        floor.saturating_add(self.shift)
    }

    /// The open time of the first bar that opens at `at` or later.
    pub(crate) fn ceil(self, at: Timestamp) -> Timestamp {
        match self.floor(at) {
            floor if floor == at => at,
            floor => self.next(floor),
        }
    }

    /// The end of the bar that opens at `open`.
    pub(crate) fn next(self, open: Timestamp) -> Timestamp {
        self.timeframe.next(open)
    }

    /// The bars from one open time to another.
    pub(crate) fn bars(self, from: Timestamp, to: Timestamp) -> u64 {
        match self.timeframe.length() {
            Some(length) => (to.since(from).as_nanos() / length.as_nanos().max(1)) as u64,
            None => std::iter::successors(Some(from), |at| Some(self.next(*at)))
                .take_while(|at| *at < to)
                .count() as u64,
        }
    }
}
