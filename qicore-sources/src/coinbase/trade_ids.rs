//! Whether the trades of the Exchange feed follow each other without a hole.

use std::collections::{BTreeMap, HashMap};

use qicore_data::{Gap, GapReason, Symbol, Timestamp};
use serde::{Deserialize, Serialize, Serializer};

/// The last trade of each product on the connection. Ids are consecutive in each product: in the recorded connection
/// that the tests read, over all of its products.
///
/// An id above the next one is a loss. One that is not above the last is a trade out of order or sent twice (by `full`
/// and `matches`): it makes no gap and does not set the count back.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct TradeIds(#[serde(serialize_with = "sorted")] HashMap<Symbol, Last>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Last {
    id: u64,
    at: Timestamp,
    /// What the last heartbeat told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    told: Option<u64>,
}

impl TradeIds {
    /// Takes note of the trade before the subscription (`last_match`), with which counting begins.
    pub(super) fn begin(&mut self, symbol: Symbol, id: u64, at: Timestamp) {
        let last = self.0.entry(symbol).or_insert(Last { id, at, told: None });
        last.advance(id, at);
    }

    /// Takes note of a trade. The gap before it, if there is one.
    pub(super) fn follow(&mut self, symbol: Symbol, id: u64, at: Timestamp) -> Option<Gap> {
        let last = self.0.entry(symbol).or_insert(Last { id, at, told: None });
        let missed = id.saturating_sub(last.id).saturating_sub(1);
        let gap = last.gap(missed, at);
        last.advance(id, at);
        gap
    }

    /// Takes note of a heartbeat. A gap, if the one before it told of a trade that has not come since: a trade may come
    /// after the heartbeat of its second. Products without a trade so far may not be subscribed to.
    pub(super) fn heartbeat(&mut self, symbol: Symbol, id: u64, at: Timestamp) -> Option<Gap> {
        let last = self.0.get_mut(&symbol)?;
        let due = last.told.replace(id)?;
        let gap = last.gap(due.saturating_sub(last.id), at);
        last.advance(due, at);
        gap
    }
}

impl Last {
    fn gap(self, missed: u64, to: Timestamp) -> Option<Gap> {
        (missed > 0).then_some(Gap {
            from: self.at,
            to,
            reason: GapReason::Sequence,
            missed: Some(missed),
        })
    }

    fn advance(&mut self, id: u64, at: Timestamp) {
        if id > self.id {
            (self.id, self.at) = (id, at);
        }
    }
}

/// The same state is to have the same text.
fn sorted<S: Serializer>(last: &HashMap<Symbol, Last>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(last.iter().collect::<BTreeMap<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(second: u64) -> Timestamp {
        Timestamp::from_nanos(second as i64 * 1_000_000_000)
    }

    fn missed(gap: Option<Gap>) -> Option<u64> {
        gap.and_then(|gap| gap.missed)
    }

    #[test]
    fn jumps_are_gaps_and_steps_back_are_not() {
        let (mut ids, symbol) = (TradeIds::default(), Symbol::new("BTC/USD").unwrap());
        ids.begin(symbol, 5, at(0));
        let found: Vec<_> = [6, 9, 7, 9, 10, u64::MAX, 0]
            .into_iter()
            .map(|id| missed(ids.follow(symbol, id, at(id % 100))))
            .collect();
        assert_eq!(found, [None, Some(2), None, None, None, Some(u64::MAX - 11), None]);
    }

    #[test]
    fn each_product_counts_for_itself_and_from_its_first_trade() {
        let (mut ids, symbols) = (
            TradeIds::default(),
            ["BTC/USD", "ETH/USD"].map(|name| Symbol::new(name).unwrap()),
        );
        for (symbol, id) in [(symbols[0], 7), (symbols[1], 100), (symbols[0], 8), (symbols[1], 101)] {
            assert_eq!(ids.follow(symbol, id, at(1)), None);
        }
        ids.begin(symbols[0], 50, at(2));
        assert_eq!(
            ids.follow(symbols[0], 51, at(3)),
            None,
            "another subscription begins anew"
        );
    }

    #[test]
    fn a_heartbeat_tells_of_a_loss_once_and_not_before_the_next_one() {
        let (mut ids, symbol) = (TradeIds::default(), Symbol::new("BTC/USD").unwrap());
        assert_eq!(ids.heartbeat(symbol, 3, at(0)), None, "no trade is expected");
        ids.begin(symbol, 5, at(1));
        assert_eq!(ids.heartbeat(symbol, 6, at(2)), None);
        assert_eq!(ids.follow(symbol, 6, at(2)), None, "late, but here");
        assert_eq!(ids.heartbeat(symbol, 8, at(3)), None);
        let gap = ids.heartbeat(symbol, 8, at(4)).unwrap();
        assert_eq!((gap.missed, gap.from, gap.to), (Some(2), at(2), at(4)));
        assert_eq!(ids.heartbeat(symbol, 8, at(5)), None);
        assert_eq!(ids.follow(symbol, 9, at(6)), None);
    }
}
