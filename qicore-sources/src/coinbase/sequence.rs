//! Whether the messages of a connection follow each other without a hole.

use qicore_data::{Gap, GapReason, Timestamp};
use serde::{Deserialize, Serialize};

/// The last message of the connection. The venue counts all messages of a connection, whatever their channel.
///
/// A number above the next one is a loss, of which nobody can say whom it concerns. 0 begins a new connection. Any other
/// number that is not above the last one is a message out of order: it makes no gap and does not set the count back.
#[derive(Debug, Default, Clone, Copy, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Sequence(Option<Last>);

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Last {
    number: u64,
    at: Timestamp,
}

impl Sequence {
    /// The gap before a message, if there is one.
    pub(super) fn gap(&self, number: u64, at: Timestamp) -> Option<Gap> {
        let last = self.0?;
        let missed = number.checked_sub(last.number)?.saturating_sub(1);
        (missed > 0).then_some(Gap {
            from: last.at,
            to: at,
            reason: GapReason::Sequence,
            missed: Some(missed),
        })
    }

    /// Takes note of a message that has been decoded. One that could not be decoded leaves a gap before the next.
    pub(super) fn advance(&mut self, number: u64, at: Timestamp) {
        if number == 0 || self.0.is_none_or(|last| number > last.number) {
            self.0 = Some(Last { number, at });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jumps_are_gaps_and_steps_back_are_not() {
        let mut sequence = Sequence::default();
        let mut missed = Vec::new();
        for number in [5, 6, 9, 7, 8, 10, 0, 1, u64::MAX, u64::MAX] {
            let at = Timestamp::from_nanos(1);
            missed.push(sequence.gap(number, at).and_then(|gap| gap.missed));
            sequence.advance(number, at);
        }
        let expected = [(2, 2), (8, u64::MAX - 2)].map(|(at, missed)| (at, Some(missed)));
        for (at, missed) in missed.into_iter().enumerate() {
            let expected = expected
                .iter()
                .find(|(place, _)| *place == at)
                .and_then(|(_, missed)| *missed);
            assert_eq!(missed, expected, "message {at}");
        }
    }
}
