//! The venue's clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use qicore_data::Timestamp;

/// What answers do not tell apart from a clock that agrees with ours, in nanoseconds: they name whole seconds, and were under
/// way for a while.
const AGREES: i64 = 1_500_000_000;

/// The venue's clock, as its last answer over HTTP told it. Whether a bar is over is decided by it: by our own, an open bar
/// would be told as one that is over when that is ahead.
#[derive(Debug, Clone, Default)]
pub(super) struct Clock(Arc<AtomicI64>);

impl Clock {
    /// An answer tells how far it is ahead, in nanoseconds.
    pub(super) fn told(&self, ahead: Option<i64>) {
        let Some(ahead) = ahead else { return };
        let ahead = if (-AGREES..=AGREES).contains(&ahead) { 0 } else { ahead };
        let before = self.0.swap(ahead, Ordering::Relaxed);
        if (before - ahead).abs() > 2 * AGREES {
            let seconds = ahead / 1_000_000_000;
            tracing::warn!(
                seconds,
                "the venue's clock is ahead of this one: bars are over by the venue's"
            );
        }
    }

    /// Its time at one of ours.
    pub(super) fn at(&self, time: Timestamp) -> Timestamp {
        Timestamp::from_nanos(time.nanos().saturating_add(self.0.load(Ordering::Relaxed)))
    }

    pub(super) fn now(&self) -> Timestamp {
        self.at(Timestamp::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_is_no_difference() {
        let (clock, at) = (Clock::default(), Timestamp::from_nanos(1_000_000_000_000));
        for (told, ahead) in [
            (None, 0),
            (Some(-1_400_000_000), 0),
            (Some(-3_000_000_000), -3_000_000_000),
            (None, -3_000_000_000),
            (Some(5), 0),
        ] {
            clock.told(told);
            assert_eq!(clock.at(at).nanos() - at.nanos(), ahead);
        }
    }
}
