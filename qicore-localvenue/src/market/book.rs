//! Books. The book after update `u` is a function of `u` alone: levels lie on a grid of prices, the smooth price decides
//! which are bids and which are asks, and each level's size lives for some updates, at a phase of its own, the shorter the
//! nearer it is to the best price. An update is the difference of two neighbouring books.

use std::sync::Arc;

use super::{Market, Series, TruthBook, TruthQuote, decimal, noise::Walk};

/// Price and size in units.
pub(crate) type Level = (i64, i64);

/// Updates for which a level's size lives, so many levels behind the best.
fn life(behind: i64) -> u64 {
    match behind {
        ..10 => 4,
        10..100 => 40,
        _ => 400,
    }
}

/// Books remembered of a symbol.
const REMEMBERED: usize = 8;
const PHASE: u64 = 11;
const AMOUNT: u64 = 12;

/// A book in units of its instrument, best levels first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Book {
    pub(crate) update: u64,
    pub(crate) time: i64,
    pub(crate) bids: Vec<Level>,
    pub(crate) asks: Vec<Level>,
}

/// What turns one book into another: new sizes by price, zero deletes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Changes {
    pub(crate) bids: Vec<Level>,
    pub(crate) asks: Vec<Level>,
}

impl Book {
    /// The changes from this book to a `later` one, both cut to `depth` levels.
    pub(crate) fn changes(&self, later: &Self, depth: usize) -> Changes {
        let cut = |side: &[Level]| side[..side.len().min(depth)].to_vec();
        Changes {
            bids: differences(&cut(&self.bids), &cut(&later.bids), |a, b| a > b),
            asks: differences(&cut(&self.asks), &cut(&later.asks), |a, b| a < b),
        }
    }
}

/// Merges two sides sorted best first.
fn differences(old: &[Level], new: &[Level], better: impl Fn(i64, i64) -> bool) -> Vec<Level> {
    let (mut left, mut right) = (old.iter().peekable(), new.iter().peekable());
    let mut changes = Vec::new();
    loop {
        match (left.peek().copied(), right.peek().copied()) {
            (None, None) => return changes,
            (Some(&(a, _)), Some(&(b, _))) if better(a, b) => {
                changes.push((a, 0));
                left.next();
            }
            (Some(&(a, old)), Some(&(b, new))) if a == b => {
                if old != new {
                    changes.push((b, new));
                }
                left.next();
                right.next();
            }
            (_, Some(&level)) => {
                changes.push(level);
                right.next();
            }
            (Some(&(a, _)), None) => {
                changes.push((a, 0));
                left.next();
            }
        }
    }
}

impl Market {
    /// The book after update `update` (from 1), in full depth.
    pub fn book(&self, symbol: &str, update: u64) -> Option<TruthBook> {
        let series = self.series(symbol)?;
        let book = self.book_at(series, update);
        let texts = |side: &[Level]| side.iter().map(|level| texts(series, *level)).collect();
        Some(TruthBook {
            symbol: symbol.to_owned(),
            update,
            time: book.time,
            bids: texts(&book.bids),
            asks: texts(&book.asks),
        })
    }

    /// The best bid and ask after update `update`.
    pub fn quote(&self, symbol: &str, update: u64) -> Option<TruthQuote> {
        let series = self.series(symbol)?;
        let book = self.book_at(series, update);
        Some(TruthQuote {
            symbol: symbol.to_owned(),
            update,
            time: book.time,
            bid: texts(series, *book.bids.first()?),
            ask: texts(series, *book.asks.first()?),
        })
    }

    /// The number of the last book update at or before `now`, at least 1.
    pub fn last_update(&self, symbol: &str, now: i64) -> u64 {
        self.series(symbol).map_or(1, |series| self.update_at(series, now))
    }

    pub(crate) fn update_at(&self, series: &Series, now: i64) -> u64 {
        let passed = Self::until(series, now) - self.shared.start;
        1 + (passed.max(0) / self.shared.book_interval) as u64
    }

    pub(crate) fn book_at(&self, series: &Series, update: u64) -> Arc<Book> {
        if let Some(book) = series.memo().books.iter().find(|book| book.update == update) {
            return book.clone();
        }
        let book = Arc::new(self.make_book(series, update.max(1)));
        let mut memo = series.memo();
        memo.books.push_front(book.clone());
        memo.books.truncate(REMEMBERED);
        book
    }

    fn make_book(&self, series: &Series, update: u64) -> Book {
        let exact = self.shared.start + (update as i64 - 1) * self.shared.book_interval;
        let instrument = &series.instrument;
        let step = instrument.step();
        let id = self.first_from(series, exact);
        let middle = series.noise.path(instrument.base_price, id, &mut Walk::default()) / step;
        let depth = self.shared.book_depth as i64;
        let level = |grid: i64| {
            let life = life((grid - middle).abs());
            let phase = series.noise.hash(PHASE, grid as u64) % life;
            let dice = series
                .noise
                .hash(AMOUNT + life, grid as u64 ^ (((update + phase) / life) << 40));
            let ceiling = 10u64.pow(1 + (dice % u64::from(instrument.size_scale)) as u32) * 5;
            (grid * step, 1 + ((dice >> 16) % ceiling) as i64)
        };
        Book {
            update,
            time: exact - exact.rem_euclid(self.shared.quantum),
            bids: (0..depth)
                .map(|i| middle - i)
                .take_while(|grid| *grid > 0)
                .map(level)
                .collect(),
            asks: (1..=depth).map(|i| middle + i).map(level).collect(),
        }
    }
}

fn texts(series: &Series, (price, size): Level) -> (String, String) {
    let instrument = &series.instrument;
    (
        decimal::plain(price.into(), instrument.price_scale),
        decimal::plain(size.into(), instrument.size_scale),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_turn_one_side_into_the_other() {
        let old = [(10, 1), (9, 2), (7, 3)];
        let new = [(11, 4), (9, 5), (7, 3), (6, 1)];
        let changes = differences(&old, &new, |a, b| a > b);
        assert_eq!(changes, [(11, 4), (10, 0), (9, 5), (6, 1)]);
    }
}
