//! Which way the rows of a table have gone lately.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use qicore_data::EventType;

/// Most deliveries that are merged before the direct way is tried again.
const LONGEST: u32 = 256;

/// For each kind of event, whether its rows turn out to be there already.
pub(super) struct Habits(Vec<Habit>);

#[derive(Default)]
struct Habit {
    /// Deliveries that are yet to be merged.
    left: AtomicU32,
    /// How many the last failure of the direct way sent to be merged.
    last: AtomicU32,
}

impl Default for Habits {
    fn default() -> Self {
        Self(EventType::ALL.iter().map(|_| Habit::default()).collect())
    }
}

impl Habits {
    /// Whether the next delivery is better merged at once.
    pub(super) fn merges(&self, event_type: EventType) -> bool {
        let left = &self.0[event_type.index()].left;
        left.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok()
    }

    /// A row was there already: a stream of known rows is not tried in vain each time, and one new stream behind it is
    /// not merged for ever.
    pub(super) fn met_known_rows(&self, event_type: EventType) {
        let Habit { left, last } = &self.0[event_type.index()];
        let next = (2 * last.load(Relaxed)).clamp(4, LONGEST);
        last.store(next, Relaxed);
        left.store(next, Relaxed);
    }

    /// All rows were new.
    pub(super) fn met_new_rows(&self, event_type: EventType) {
        self.0[event_type.index()].last.store(0, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_rows_are_merged_for_longer_and_longer() {
        let habits = Habits::default();
        let merged = || (0..).take_while(|_| habits.merges(EventType::Candle)).count();
        assert_eq!(merged(), 0);
        let runs: Vec<_> = (0..8)
            .map(|_| {
                habits.met_known_rows(EventType::Candle);
                merged()
            })
            .collect();
        assert_eq!(runs, [4, 8, 16, 32, 64, 128, 256, 256]);
        assert_eq!(
            (0..9).filter(|_| habits.merges(EventType::Trade)).count(),
            0,
            "each kind has its own"
        );
        habits.met_new_rows(EventType::Candle);
        habits.met_known_rows(EventType::Candle);
        assert_eq!(merged(), 4, "new rows begin it anew");
    }
}
