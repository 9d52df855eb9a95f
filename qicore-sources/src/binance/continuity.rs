//! Whether depth updates follow each other without a hole.

use std::collections::{BTreeMap, HashMap};

use qicore_data::{Gap, GapReason, Symbol, Timestamp};
use serde::{Deserialize, Serialize, Serializer};

use super::wire::DepthUpdate;

/// The last depth update of each symbol.
///
/// Spot: an update's first number `U` is the one after the last number `u` of the update before (rule 4 of "How to
/// manage a local order book correctly"). Futures: `pu` is the `u` before, while `U` may jump.
///
/// An update whose `u` is not above the last one is stale: a duplicate, or a connection that lags behind the one before
/// it. It makes no gap and does not set the count back, and it is passed on as it is: that nothing of it is applied
/// twice follows from its `sequence`. One that overlaps the last one makes no gap either.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Continuity(#[serde(serialize_with = "sorted")] HashMap<Symbol, Last>);

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Last {
    update: u64,
    at: Timestamp,
}

impl Continuity {
    /// Takes note of an update. The gap before it, if there is one.
    pub(super) fn follow(&mut self, symbol: Symbol, update: &DepthUpdate<'_>) -> Option<Gap> {
        let new = Last {
            update: update.last,
            at: update.time.0,
        };
        let last = self.0.entry(symbol).or_insert(new);
        let gap = gap(*last, update);
        if new.update > last.update {
            *last = new;
        }
        gap
    }
}

/// The same state is to have the same text.
fn sorted<S: Serializer>(last: &HashMap<Symbol, Last>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(last.iter().collect::<BTreeMap<_, _>>())
}

fn gap(last: Last, update: &DepthUpdate<'_>) -> Option<Gap> {
    if update.last <= last.update {
        return None;
    }
    let missed = match update.previous {
        Some(previous) if previous > last.update => None,
        Some(_) => return None,
        None => match update.first.checked_sub(last.update + 1) {
            None | Some(0) => return None,
            missed => missed,
        },
    };
    Some(Gap {
        from: last.at,
        to: update.time.0,
        reason: GapReason::Sequence,
        missed,
    })
}

#[cfg(test)]
mod tests {
    use super::super::wire::Time;
    use super::*;

    fn update(first: u64, last: u64, previous: Option<u64>) -> DepthUpdate<'static> {
        DepthUpdate {
            time: Time(Timestamp::from_nanos(last as i64)),
            symbol: "BTCUSDT".into(),
            first,
            last,
            previous,
            bids: Vec::new(),
            asks: Vec::new(),
        }
    }

    fn missed(updates: &[DepthUpdate<'_>]) -> Vec<Option<Option<u64>>> {
        let (mut continuity, symbol) = (Continuity::default(), Symbol::new("BTC/USDT").unwrap());
        let gaps = updates.iter().map(|update| continuity.follow(symbol, update));
        gaps.map(|gap| gap.map(|gap| gap.missed)).collect()
    }

    #[test]
    fn spot_numbers_run_on() {
        let updates = [(1, 3), (4, 4), (7, 9), (10, 10)].map(|(first, last)| update(first, last, None));
        assert_eq!(missed(&updates), [None, None, Some(Some(2)), None]);
    }

    #[test]
    fn stale_and_overlapping_updates_make_no_gap() {
        let updates = [(1, 9), (4, 5), (1, 9), (8, 12), (13, 13)].map(|(first, last)| update(first, last, None));
        assert_eq!(missed(&updates), [None; 5]);
    }

    #[test]
    fn futures_name_the_update_before() {
        let updates = [(10, 20, 5), (33, 40, 20), (70, 80, 60), (70, 80, 60)];
        let updates = updates.map(|(first, last, previous)| update(first, last, Some(previous)));
        assert_eq!(missed(&updates), [None, None, Some(None), None]);
    }

    #[test]
    fn the_largest_number_does_not_overflow() {
        let updates = [(1, u64::MAX), (u64::MAX, u64::MAX)].map(|(first, last)| update(first, last, None));
        assert_eq!(missed(&updates), [None; 2]);
    }
}
