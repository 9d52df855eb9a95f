//! An order book maintained from snapshots and changes.

use std::cmp::Ordering;
use std::collections::VecDeque;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::decimal::Decimal;
use crate::event::{Book, BookKind, Level};

/// Both sides of a market, best prices first, to a depth if one is set.
///
/// Prices are compared by value: `1.50` and `1.5` are the same level, and the latest text is the one kept. The serde
/// form holds the levels with their scale, so a book survives a checkpoint digit by digit.
///
/// ```
/// use qicore_data::{Decimal, Level, OrderBook};
///
/// let level = |price, size| Level::new(Decimal::from(price), Decimal::from(size));
/// let mut book = OrderBook::with_depth(2);
/// book.replace(&[level(99, 1), level(98, 4)], &[level(101, 2)]);
/// book.update(&[level(99, 0), level(100, 3)], &[]);
/// assert_eq!(book.best_bid(), Some(level(100, 3)));
/// assert_eq!(book.bids().take(2).map(|bid| bid.price).collect::<Vec<_>>(), [100.into(), 98.into()]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderBook {
    depth: usize,
    bids: Ladder,
    asks: Ladder,
}

/// The best rank that an update changed on each side: 0 is the best price, `None` says that the side is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Touched {
    /// On the bid side.
    pub bids: Option<usize>,
    /// On the ask side.
    pub asks: Option<usize>,
}

impl Default for OrderBook {
    fn default() -> Self {
        Self::new()
    }
}

impl OrderBook {
    /// An empty book that keeps every level.
    pub fn new() -> Self {
        Self::with_depth(usize::MAX)
    }

    /// An empty book that keeps the best `depth` levels of each side.
    pub fn with_depth(depth: usize) -> Self {
        Self {
            depth,
            bids: Ladder::new(Ordering::Greater),
            asks: Ladder::new(Ordering::Less),
        }
    }

    /// Takes up a book event, whichever its kind.
    pub fn apply(&mut self, book: &Book) -> Touched {
        let (bids, asks) = (book.levels.bids(), book.levels.asks());
        if book.kind == BookKind::Snapshot {
            self.replace(bids, asks)
        } else {
            self.update(bids, asks)
        }
    }

    /// Starts anew from a snapshot, in any order.
    pub fn replace(&mut self, bids: &[Level], asks: &[Level]) -> Touched {
        self.bids.replace(bids, self.depth);
        self.asks.replace(asks, self.depth);
        Touched {
            bids: Some(0),
            asks: Some(0),
        }
    }

    /// Sets levels to their new sizes; size 0 deletes. The depth is cut after the last of them, so that a message may
    /// add a level before it deletes another.
    pub fn update(&mut self, bids: &[Level], asks: &[Level]) -> Touched {
        Touched {
            bids: self.bids.update(bids, self.depth),
            asks: self.asks.update(asks, self.depth),
        }
    }

    /// The bids, highest price first.
    pub fn bids(&self) -> impl ExactSizeIterator<Item = &Level> + Clone {
        self.bids.levels.iter()
    }

    /// The asks, lowest price first.
    pub fn asks(&self) -> impl ExactSizeIterator<Item = &Level> + Clone {
        self.asks.levels.iter()
    }

    /// The highest bid.
    pub fn best_bid(&self) -> Option<Level> {
        self.bids.levels.front().copied()
    }

    /// The lowest ask.
    pub fn best_ask(&self) -> Option<Level> {
        self.asks.levels.front().copied()
    }
}

/// One side, best price first and no price twice.
///
/// A ring buffer, because both ends are busy: venues change the levels near the best price, and a full book of bounded
/// depth loses its worst level with every new one. A tree finds a level deep down sooner, but costs more on either end.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ladder {
    /// How a better price compares with a worse one.
    better: Ordering,
    levels: VecDeque<Level>,
}

impl Ladder {
    const fn new(better: Ordering) -> Self {
        Self {
            better,
            levels: VecDeque::new(),
        }
    }

    fn replace(&mut self, levels: &[Level], depth: usize) {
        self.levels.clear();
        self.levels.extend(levels.iter().filter(|level| !level.size.is_zero()));
        let better = self.better;
        let ordered = |(a, b): (&Level, &Level)| a.price.cmp(&b.price) == better;
        if !self
            .levels
            .iter()
            .zip(self.levels.range(1.min(self.levels.len())..))
            .all(ordered)
        {
            self.sort();
        }
        self.levels.truncate(depth);
    }

    /// Orders what a snapshot gave in another order; of levels with the same price the last counts.
    #[cold]
    fn sort(&mut self) {
        let mut levels = Vec::from(std::mem::take(&mut self.levels));
        levels.sort_by(|a, b| match self.better {
            Ordering::Less => a.price.cmp(&b.price),
            _ => b.price.cmp(&a.price),
        });
        levels.dedup_by(|later, kept| {
            let same = later.price == kept.price;
            if same {
                *kept = *later;
            }
            same
        });
        self.levels = levels.into();
    }

    fn update(&mut self, levels: &[Level], depth: usize) -> Option<usize> {
        let touched = levels.iter().filter_map(|level| self.set(*level)).min();
        self.levels.truncate(depth);
        touched
    }

    /// Sets one level and tells its rank. A deletion of a level that is not there changes nothing: venues send those
    /// for levels beyond the depth.
    fn set(&mut self, level: Level) -> Option<usize> {
        match (self.find(&level.price), level.size.is_zero()) {
            (Ok(rank), false) => {
                self.levels[rank] = level;
                Some(rank)
            }
            (Ok(rank), true) => {
                self.levels.remove(rank);
                Some(rank)
            }
            (Err(rank), false) => {
                self.levels.insert(rank, level);
                Some(rank)
            }
            (Err(_), true) => None,
        }
    }

    /// The rank of a price, or the rank that it would get. Strides that double from the best price, then a binary
    /// search: most changes are found within the first few levels.
    fn find(&self, price: &Decimal) -> Result<usize, usize> {
        let len = self.levels.len();
        let (mut low, mut high, mut stride) = (0, len, 1);
        while low + stride <= len {
            let probe = low + stride - 1;
            match self.levels[probe].price.cmp(price) {
                Ordering::Equal => return Ok(probe),
                order if order == self.better => low = probe + 1,
                _ => {
                    high = probe;
                    break;
                }
            }
            stride *= 2;
        }
        while low < high {
            let middle = low + (high - low) / 2;
            match self.levels[middle].price.cmp(price) {
                Ordering::Equal => return Ok(middle),
                order if order == self.better => low = middle + 1,
                _ => high = middle,
            }
        }
        Err(low)
    }
}

/// The form in a checkpoint.
#[derive(Serialize, Deserialize)]
struct Stored<L> {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    depth: Option<usize>,
    bids: L,
    asks: L,
}

impl Serialize for OrderBook {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let stored = Stored {
            depth: Some(self.depth).filter(|depth| *depth < usize::MAX),
            bids: &self.bids.levels,
            asks: &self.asks.levels,
        };
        stored.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for OrderBook {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = Stored::<Vec<Level>>::deserialize(deserializer)?;
        let mut book = Self::with_depth(stored.depth.unwrap_or(usize::MAX));
        book.replace(&stored.bids, &stored.asks);
        Ok(book)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// One side as anybody would write it: the oracle of the property test.
    #[derive(Default)]
    struct Model(BTreeMap<Decimal, Decimal>);

    impl Model {
        fn set(&mut self, levels: &[Level]) {
            for level in levels {
                if level.size.is_zero() {
                    self.0.remove(&level.price);
                } else {
                    self.0.insert(level.price, level.size);
                }
            }
        }

        fn cut(&mut self, depth: usize, highest_first: bool) -> Vec<Level> {
            while self.0.len() > depth {
                if highest_first {
                    self.0.pop_first();
                } else {
                    self.0.pop_last();
                }
            }
            let levels = self.0.iter().map(|(price, size)| Level::new(*price, *size));
            if highest_first {
                levels.rev().collect()
            } else {
                levels.collect()
            }
        }
    }

    fn levels(most: usize) -> impl Strategy<Value = Vec<Level>> {
        // Few prices, in two scales, so that levels meet; every third size deletes.
        let level = (1i64..40, any::<bool>(), 0i64..3).prop_map(|(price, wide, size)| {
            let price = if wide {
                Decimal::new(price * 10, 2)
            } else {
                Decimal::new(price, 1)
            };
            Level::new(price, Decimal::new(size, 0))
        });
        prop::collection::vec(level, 0..most)
    }

    proptest! {
        #[test]
        fn agrees_with_a_sorted_map(
            depth in prop_oneof![1usize..12, Just(usize::MAX)],
            start in (levels(60), levels(60)),
            updates in prop::collection::vec((levels(6), levels(6)), 0..40),
        ) {
            let (mut bids, mut asks) = (Model::default(), Model::default());
            let mut book = OrderBook::with_depth(depth);
            book.replace(&start.0, &start.1);
            // In a snapshot size 0 is no level, but does not delete one either.
            let present = |levels: &[Level]| levels.iter().filter(|level| !level.size.is_zero()).copied().collect::<Vec<_>>();
            bids.set(&present(&start.0));
            asks.set(&present(&start.1));
            bids.cut(depth, true);
            asks.cut(depth, false);
            for (new_bids, new_asks) in updates {
                let before = book.clone();
                let touched = book.update(&new_bids, &new_asks);
                bids.set(&new_bids);
                asks.set(&new_asks);
                prop_assert_eq!(book.bids().copied().collect::<Vec<_>>(), bids.cut(depth, true));
                prop_assert_eq!(book.asks().copied().collect::<Vec<_>>(), asks.cut(depth, false));
                let untouched = touched.bids.unwrap_or(usize::MAX);
                prop_assert!(before.bids().take(untouched).eq(book.bids().take(untouched)));
                let untouched = touched.asks.unwrap_or(usize::MAX);
                prop_assert!(before.asks().take(untouched).eq(book.asks().take(untouched)));
            }
            let text = serde_json::to_string(&book).unwrap();
            prop_assert_eq!(serde_json::from_str::<OrderBook>(&text).unwrap(), book);
        }
    }

    #[test]
    fn the_latest_text_of_a_price_is_kept() {
        let mut book = OrderBook::new();
        let level = |price: &str| Level::new(crate::decimal::parse(price).unwrap(), Decimal::ONE);
        book.replace(&[], &[level("1.50")]);
        let touched = book.update(&[], &[level("1.5")]);
        assert_eq!(
            touched,
            Touched {
                bids: None,
                asks: Some(0)
            }
        );
        assert_eq!(
            book.asks().map(|ask| ask.price.to_string()).collect::<Vec<_>>(),
            ["1.5"]
        );
        assert_eq!(
            serde_json::to_string(&book).unwrap(),
            r#"{"bids":[],"asks":[["1.5","1"]]}"#
        );
    }

    #[test]
    fn a_damaged_state_is_an_error() {
        for text in [
            "",
            "{}",
            r#"{"bids":[["x","1"]],"asks":[]}"#,
            r#"{"bids":[["1"]],"asks":[]}"#,
        ] {
            assert!(serde_json::from_str::<OrderBook>(text).is_err(), "{text:?}");
        }
    }
}
